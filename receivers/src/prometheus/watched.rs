//! The files of `file_sd_configs`: what they say, and whether they have changed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pipeline::config::read_document;
use pipeline::doors::{Files, Glob};
use tokio::time::Instant;

use super::config::{FileDiscovery, Group};

/// The most bytes of a file of targets.
const MOST_FILE_BYTES: usize = 8 << 20;

/// Files of targets, and what they said last.
pub struct Watched {
    config: FileDiscovery,
    read_again: Option<Instant>,
    files: BTreeMap<PathBuf, Read>,
}

/// What a file said.
#[derive(Clone)]
struct Read {
    /// Time of change, length, inode.
    stamp: (Duration, u64, u64),
    groups: Vec<Group>,
}

impl Watched {
    /// Files that were not looked at yet.
    pub fn new(config: FileDiscovery) -> Watched {
        Watched { config, read_again: None, files: BTreeMap::new() }
    }

    /// All groups with their files, in the order of the files' names.
    pub fn groups(&self) -> impl Iterator<Item = (&Path, &Group)> {
        self.files.iter().flat_map(|(path, read)| read.groups.iter().map(move |group| (path.as_path(), group)))
    }

    /// Reads what has changed, and everything once in a `refresh_interval`; whether the groups are others now. A file
    /// that cannot be read keeps what it said before.
    pub async fn look(&mut self, doors: Arc<dyn Files>, job: String) -> bool {
        let now = Instant::now();
        let all = self.read_again.is_none_or(|at| at <= now);
        if all {
            self.read_again = Some(now + self.config.refresh_interval.get());
        }
        let before = self.files.clone();
        let patterns = self.config.files.clone();
        let looking = tokio::task::spawn_blocking(move || look(&*doors, &patterns, &before, all, &job));
        let Ok(files) = looking.await else { return false };
        let changed = !files
            .iter()
            .map(|(path, read)| (path, &read.groups))
            .eq(self.files.iter().map(|(path, read)| (path, &read.groups)));
        self.files = files;
        changed
    }
}

fn look(
    doors: &dyn Files,
    patterns: &[String],
    before: &BTreeMap<PathBuf, Read>,
    all: bool,
    job: &str,
) -> BTreeMap<PathBuf, Read> {
    let globs = patterns.iter().filter_map(|pattern| Glob::new(pattern).ok());
    let paths: BTreeSet<PathBuf> = globs.flat_map(|glob| doors.glob(&glob).paths).collect();
    let mut files = BTreeMap::new();
    for path in paths {
        let Ok(stat) = doors.stat(&path) else { continue };
        let stamp = (stat.modified, stat.len, stat.inode);
        let known = before.get(&path).cloned();
        if !all && known.as_ref().is_some_and(|read| read.stamp == stamp) {
            files.extend(known.map(|read| (path, read)));
            continue;
        }
        let contents = doors.read_small(&path, MOST_FILE_BYTES).map_err(|error| error.to_string());
        match contents.and_then(|contents| read_document::<Vec<Group>>(&contents)) {
            Ok(groups) => {
                files.insert(path, Read { stamp, groups });
            }
            Err(error) => {
                tracing::error!(job, file = %path.display(), "targets not read: {error}");
                let groups = known.map(|read| read.groups).unwrap_or_default();
                files.insert(path, Read { stamp, groups });
            }
        }
    }
    files
}
