//! Hears from the operating system when something changes in folders (inotify), so that nobody has to look so often. What it
//! does not hear of (network file systems, too many folders) is found by looking now and then all the same.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::unix::AsyncFd;

use super::Changes;
use crate::component::BoxFuture;

/// The most folders that are followed.
const MOST_FOLDERS: usize = 4096;

/// Follows folders through one inotify instance.
pub(super) struct Inotify {
    events: AsyncFd<File>,
    folders: HashMap<PathBuf, i32>,
}

impl Inotify {
    /// Follows nothing yet. Must be called inside a runtime.
    #[allow(deprecated, reason = "`register` is unsafe code; a File keeps its one descriptor as long as it lives")]
    pub(super) fn new() -> io::Result<Inotify> {
        let events = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        Ok(Inotify { events: AsyncFd::new(File::from(events))?, folders: HashMap::new() })
    }
}

impl Changes for Inotify {
    fn follow(&mut self, folders: &BTreeSet<PathBuf>) {
        let events = self.events.get_ref();
        self.folders.retain(|folder, watch| {
            let stays = folders.contains(folder);
            if !stays {
                // It may be gone with its folder.
                _ = inotify::remove_watch(events, *watch);
            }
            stays
        });
        for folder in folders.iter().take(MOST_FOLDERS) {
            let what = WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::MOVED_FROM;
            // Again for those that are followed: a folder of that name may be another one by now.
            if let Ok(watch) = inotify::add_watch(events, folder, what | WatchFlags::ONLYDIR) {
                self.folders.insert(folder.clone(), watch);
            }
        }
    }

    fn changed(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let mut heard = false;
            let mut events = [0; 4096];
            while !heard {
                let Ok(mut ready) = self.events.readable_mut().await else {
                    return std::future::pending().await;
                };
                // What changed is found by looking; here it only counts that something did.
                while let Ok(Ok(1..)) = ready.try_io(|file| file.get_mut().read(&mut events)) {
                    heard = true;
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn changes_in_folders_are_heard_of_while_they_are_followed() {
        let root = tempfile::tempdir().unwrap();
        let (one, two) = (root.path().join("one"), root.path().join("two"));
        std::fs::create_dir(&one).unwrap();
        std::fs::create_dir(&two).unwrap();
        let mut changes = Inotify::new().unwrap();
        let heard = async |changes: &mut Inotify| timeout(Duration::from_secs(30), changes.changed()).await.is_ok();
        changes.follow(&BTreeSet::from([one.clone(), root.path().join("nothing")]));
        std::fs::write(two.join("x"), "unheard").unwrap();
        std::fs::write(one.join("x"), "heard").unwrap();
        assert!(heard(&mut changes).await);
        changes.follow(&BTreeSet::from([two.clone()]));
        std::fs::write(one.join("x"), "unheard").unwrap();
        // Everything that was heard of before is over.
        while timeout(Duration::ZERO, changes.changed()).await.is_ok() {}
        std::fs::rename(two.join("x"), two.join("y")).unwrap();
        assert!(heard(&mut changes).await);
    }
}
