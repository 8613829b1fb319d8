//! The extension `file_storage`: where the queues on disk are, and what else receivers keep.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use crate::batch::Signal;
use crate::component::{Context, Error, Extension};
use crate::config::{ComponentId, GoDuration, Problem, Settings};
use crate::journal;
use crate::registry::ExtensionFactory;

/// `extensions.file_storage`: a folder for what must outlive the process.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct FileStorage {
    /// The folder; empty is `file_storage` in the data directory, which is made (ours: the collector's default is a
    /// folder of the collector).
    pub directory: PathBuf,
    /// Accepted and without effect: a folder that another process has is never waited for.
    pub timeout: GoDuration,
    /// Whether what is answered survives a loss of power, not only the end of the process (ours: on by default).
    pub fsync: bool,
    /// The most that each queue holds, in bytes of serialized OTLP; 0 is 4 GiB.
    pub max_size: u64,
    /// Whether `directory` is made.
    pub create_directory: bool,
    /// Its permissions then, in octal.
    pub directory_permissions: String,
    /// Accepted and without effect: a damaged file costs the damaged records only.
    pub recreate: bool,
    /// Accepted and without effect: segments that have drained are removed at once.
    pub compaction: Compaction,
    /// When the next segment file is begun, in bytes (ours).
    pub segment_size: u64,
}

/// `compaction`; nothing in it has an effect.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "they are accepted, so that a collector's config loads")]
pub struct Compaction {
    pub on_start: bool,
    pub on_rebound: bool,
    pub directory: String,
    pub rebound_needed_threshold_mib: u64,
    pub rebound_trigger_threshold_mib: u64,
    pub max_transaction_size: u64,
    pub check_interval: GoDuration,
    pub cleanup_on_start: bool,
}

impl Default for FileStorage {
    fn default() -> FileStorage {
        FileStorage {
            directory: PathBuf::new(),
            timeout: GoDuration::from_secs(1),
            fsync: true,
            max_size: 0,
            create_directory: false,
            directory_permissions: "0750".to_owned(),
            recreate: false,
            compaction: Compaction::default(),
            segment_size: 16 << 20,
        }
    }
}

/// The bound of a queue on disk where the config gives none, in bytes.
const MOST_BYTES: u64 = 4 << 30;

impl Settings for FileStorage {
    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.permissions().is_none() {
            let message =
                format!("directory_permissions is {:?}, it must be octal, as \"0750\"", self.directory_permissions);
            problems.push(Problem::at("directory_permissions", message));
        }
        if self.segment_size == 0 {
            problems.push(Problem::at("segment_size", "segment_size is 0, the least is 1"));
        }
        if !self.directory.as_os_str().is_empty() && !self.create_directory && !is_folder(&self.directory) {
            let message = format!(
                "there is no folder {}; make it, or let it be made with create_directory: true",
                self.directory.display()
            );
            problems.push(Problem::at("directory", message));
        }
        problems
    }
}

/// `file_storage`.
pub struct FileStorageFactory;

impl ExtensionFactory for FileStorageFactory {
    const TYPES: &'static [&'static str] = &["file_storage"];
    const ABOUT: &'static str = "Keeps sending queues, and the places reached in files, on disk.";
    const README: &'static str = include_str!("README.md");
    const SECTION: &'static str = "The extension `file_storage`";
    type Config = FileStorage;

    fn build(config: FileStorage, _: Context) -> Result<Arc<dyn Extension>, Error> {
        Ok(Arc::new(config))
    }
}

impl Extension for FileStorage {
    fn storage(&self) -> Option<&FileStorage> {
        Some(self)
    }
}

/// The config is checked where it will run, as the collector does.
fn is_folder(path: &Path) -> bool {
    path.is_dir()
}

impl FileStorage {
    /// Where the queue of an exporter is, and how it is written.
    pub fn journal(&self, data_dir: &Path, exporter: &ComponentId, signal: Signal) -> journal::Settings {
        journal::Settings {
            folder: self.folder(data_dir).join(format!("exporter_{}_{signal}", plain(&exporter.to_string()))),
            permissions: self.permissions().unwrap_or(0o750),
            segment_bytes: self.segment_size,
            fsync: self.fsync,
        }
    }

    /// The folder of everything that is stored.
    pub fn folder(&self, data_dir: &Path) -> PathBuf {
        let at_home = self.directory.as_os_str().is_empty();
        if at_home { data_dir.join("file_storage") } else { self.directory.clone() }
    }

    /// The most bytes of serialized OTLP in one queue.
    pub fn most_bytes(&self) -> usize {
        let bytes = if self.max_size == 0 { MOST_BYTES } else { self.max_size };
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    fn permissions(&self) -> Option<u32> {
        u32::from_str_radix(&self.directory_permissions, 8).ok().filter(|bits| *bits <= 0o777)
    }
}

/// A name that is one folder, and different for different ids.
fn plain(id: &str) -> String {
    let mut out = String::new();
    for byte in id.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' => out.push(char::from(byte)),
            b'/' => out.push('+'),
            other => out.push_str(&format!("%{other:02x}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exporter_and_signal_has_its_folder() {
        let folder = |id: &ComponentId, signal| {
            FileStorage::default().journal(Path::new("/data"), id, signal).folder.display().to_string()
        };
        let id = |name: &str| ComponentId::new("otlp_http", name);
        assert_eq!(folder(&id(""), Signal::Logs), "/data/file_storage/exporter_otlp_http_logs");
        assert_eq!(folder(&id("a"), Signal::Traces), "/data/file_storage/exporter_otlp_http+a_traces");
        assert_eq!(folder(&id("../ü"), Signal::Traces), "/data/file_storage/exporter_otlp_http+..+%c3%bc_traces");
    }

    #[test]
    fn what_cannot_be_is_said() {
        let wrong = FileStorage {
            directory: "/nowhere/at/all".into(),
            directory_permissions: "rwx".into(),
            segment_size: 0,
            ..FileStorage::default()
        };
        let paths: Vec<_> = wrong.check().into_iter().map(|problem| problem.path).collect();
        assert_eq!(paths, ["directory_permissions", "segment_size", "directory"]);
        assert_eq!(FileStorage::default().check(), []);
        assert_eq!(
            FileStorage { create_directory: true, directory: "/x".into(), ..FileStorage::default() }.check(),
            []
        );
    }
}
