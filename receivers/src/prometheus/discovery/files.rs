//! `file_sd_configs`: what files say, and whether they have changed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pipeline::doors::{Files, Glob};
use tokio::time::{Instant, sleep};

use super::documents::{read_json, read_yaml};
use super::{Finder, Found};
use crate::prometheus::config::{FileDiscovery, Group};

/// The most bytes of a file of targets.
const MOST_FILE_BYTES: usize = 8 << 20;
/// How often files are looked at for changes.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Files by their paths, and what they said last.
type Known = BTreeMap<PathBuf, Read>;

/// What a file said.
#[derive(Clone)]
struct Read {
    /// Time of change, length, inode.
    stamp: (Duration, u64, u64),
    groups: Vec<Group>,
}

/// Follows the files of a config: reads what has changed, and everything once in a `refresh_interval`. A file that
/// cannot be read keeps what it said before.
pub(super) async fn run(config: FileDiscovery, doors: Arc<dyn Files>, finder: Finder) {
    let mut known = Known::new();
    let mut read_again = Instant::now();
    loop {
        let everything = read_again <= Instant::now();
        if everything {
            read_again = Instant::now() + config.refresh_interval.get();
        }
        let (doors, patterns, before) = (doors.clone(), config.files.clone(), known.clone());
        let looking = tokio::task::spawn_blocking(move || look(&*doors, &patterns, &before, everything));
        if let Ok((found, errors)) = looking.await {
            known = found;
            finder.put_all(found_in(&known));
            if errors.is_empty() {
                finder.succeeded();
            } else {
                finder.failed(&errors.join("; "));
            }
        }
        sleep(LOOK_EVERY).await;
    }
}

fn found_in(known: &Known) -> BTreeMap<String, Found> {
    let groups = known.iter().flat_map(|(path, read)| read.groups.iter().enumerate().map(move |group| (path, group)));
    groups
        .map(|(path, (i, group))| {
            let path = path.to_string_lossy();
            (format!("{path}:{i:08}"), Found::listed(group, &[("__meta_filepath", &*path)]))
        })
        .collect()
}

fn look(doors: &dyn Files, patterns: &[String], before: &Known, everything: bool) -> (Known, Vec<String>) {
    let globs = patterns.iter().filter_map(|pattern| Glob::new(pattern).ok());
    let paths: BTreeSet<PathBuf> = globs.flat_map(|glob| doors.glob(&glob).paths).collect();
    let (mut files, mut errors) = (Known::new(), Vec::new());
    for path in paths {
        let Ok(stat) = doors.stat(&path) else { continue };
        let stamp = (stat.modified, stat.len, stat.inode);
        let known = before.get(&path).cloned();
        if !everything && known.as_ref().is_some_and(|read| read.stamp == stamp) {
            files.extend(known.map(|read| (path, read)));
            continue;
        }
        match read(doors, &path) {
            Ok(groups) => {
                files.insert(path, Read { stamp, groups });
            }
            Err(error) => {
                errors.push(format!("{}: {error}", path.display()));
                // With another stamp it is read again at the next look, and the error stays while the file is bad.
                let groups = known.map(|read| read.groups).unwrap_or_default();
                files.insert(path, Read { stamp: (Duration::ZERO, 0, 0), groups });
            }
        }
    }
    (files, errors)
}

fn read(doors: &dyn Files, path: &Path) -> Result<Vec<Group>, String> {
    let contents = doors.read_small(path, MOST_FILE_BYTES).map_err(|error| error.to_string())?;
    let is_json = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("json"));
    if is_json { read_json(&contents) } else { read_yaml(&contents) }
}
