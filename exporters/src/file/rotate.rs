//! Gives a full file another name and removes what is too old or too much.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pipeline::calendar::utc;
use pipeline::doors::{Files, Glob};

use super::config::Rotation;

const DAY: Duration = Duration::from_secs(86_400);

/// Renames `out.jsonl` to `out-2026-01-01T00-00-00.000.jsonl` (UTC) and removes old files by the config's limits.
///
/// # Errors
/// The operating system's, for the renaming.
pub fn move_away(path: &Path, rotation: &Rotation, files: &dyn Files, now: Duration) -> io::Result<()> {
    let mut time = now;
    let mut to = backup(path, time);
    while files.stat(&to).is_ok() {
        time += Duration::from_millis(1);
        to = backup(path, time);
    }
    files.rename(path, &to)?;
    for old in too_many(path, rotation, files, now) {
        if let Err(error) = files.remove(&old) {
            tracing::warn!(path = %old.display(), %error, "an old file could not be removed");
        }
    }
    Ok(())
}

fn backup(path: &Path, time: Duration) -> PathBuf {
    let (stem, extension) = parts(path);
    path.with_file_name(format!("{stem}-{}{extension}", timestamp(time)))
}

fn too_many(path: &Path, rotation: &Rotation, files: &dyn Files, now: Duration) -> Vec<PathBuf> {
    let (stem, extension) = parts(path);
    let folder = path.parent().map(|p| p.to_string_lossy().into_owned()).unwrap_or_default();
    let folder = if folder.is_empty() { folder } else { format!("{}/", escaped(folder.trim_end_matches('/'))) };
    let digits = |count: usize| "[0-9]".repeat(count);
    let [four, three, two] = [4, 3, 2].map(digits);
    let time = format!("{four}-{two}-{two}T{two}-{two}-{two}.{three}");
    let Ok(glob) = Glob::new(&format!("{folder}{}-{time}{}", escaped(&stem), escaped(&extension))) else {
        return Vec::new();
    };
    let mut old = files.glob(&glob).paths;
    // Their names are in the order of their times.
    old.sort();
    let most = if rotation.max_backups == 0 { usize::MAX } else { rotation.max_backups };
    let mut remove: Vec<_> = old.drain(..old.len().saturating_sub(most)).collect();
    if rotation.max_days > 0 {
        let age = DAY * u32::try_from(rotation.max_days).unwrap_or(u32::MAX);
        let is_old = |p: &PathBuf| files.stat(p).is_ok_and(|stat| stat.modified + age < now);
        remove.extend(old.into_iter().filter(is_old));
    }
    remove
}

/// A file's name without its extension, and the extension with its dot.
fn parts(path: &Path) -> (String, String) {
    let text = |part: &std::ffi::OsStr| part.to_string_lossy().into_owned();
    let extension = path.extension().map(|e| format!(".{}", text(e))).unwrap_or_default();
    (path.file_stem().map(text).unwrap_or_default(), extension)
}

fn escaped(text: &str) -> String {
    text.chars().flat_map(|c| "*?[]{}\\".contains(c).then_some('\\').into_iter().chain([c])).collect()
}

/// `2026-01-01T00-00-00.000`, UTC.
fn timestamp(since_1970: Duration) -> String {
    utc(since_1970).strftime("%Y-%m-%dT%H-%M-%S%.3f").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_files_have_their_time_in_their_name() {
        let check = |seconds: u64, millis: u64, expected: &str| {
            let time = Duration::from_secs(seconds) + Duration::from_millis(millis);
            assert_eq!(timestamp(time), expected);
        };
        check(0, 0, "1970-01-01T00-00-00.000");
        check(951_782_399, 999, "2000-02-28T23-59-59.999");
        check(951_782_400, 0, "2000-02-29T00-00-00.000");
        check(1_709_251_200, 7, "2024-03-01T00-00-00.007");
        check(1_767_225_600, 0, "2026-01-01T00-00-00.000");
        let path = backup(Path::new("/var/out.tar.gz"), Duration::ZERO);
        assert_eq!(path, Path::new("/var/out.tar-1970-01-01T00-00-00.000.gz"));
        assert_eq!(backup(Path::new("out"), Duration::ZERO), Path::new("out-1970-01-01T00-00-00.000"));
    }
}
