//! `--watch`: hears when the files of the config change, and those that components read as parts of it. Where the operating
//! system tells nothing, or a mount hides it, they are looked at every few seconds all the same. A Kubernetes ConfigMap is
//! changed by turning a link in its folder: that, too, is a change in the folder of the file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pipeline::doors::{Changes, Files};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use crate::config::{Contents, Read};

/// Files that are written are read when nothing has changed for so long.
const QUIET: Duration = Duration::from_millis(200);
/// How often they are looked at where nothing is heard.
const LOOK: Duration = Duration::from_secs(5);

/// Looks at the files that a config was read from.
pub struct Watch {
    files: Arc<dyn Files>,
    read: Read,
    ears: Option<Box<dyn Changes>>,
}

impl Watch {
    /// Watches the files of the last time that the config was read. Must be called inside a runtime.
    pub fn new(files: Arc<dyn Files>, read: Read) -> Watch {
        let ears = files.changes();
        Watch { files, read, ears }
    }

    /// Ends when there is something else in one of the files than what was read, and it is not being changed any more.
    pub async fn changed(&mut self) {
        loop {
            self.listen().await;
            let mut before = self.now().await;
            if before == *self.read.contents() {
                continue;
            }
            loop {
                sleep(QUIET).await;
                let now = self.now().await;
                if now == before {
                    break;
                }
                before = now;
            }
            if before != *self.read.contents() {
                return;
            }
        }
    }

    /// Waits until something may have changed.
    async fn listen(&mut self) {
        let Some(ears) = &mut self.ears else { return sleep(LOOK).await };
        ears.follow(&folders(&*self.files, &self.read));
        let _ = timeout(LOOK, ears.changed()).await;
    }

    async fn now(&mut self) -> Contents {
        let (files, read) = (self.files.clone(), self.read.clone());
        spawn_blocking(move || read.now(&*files)).await.unwrap_or_default()
    }
}

/// The folders in which a change can be one of the files: those of the files, and of what links among them lead to.
fn folders(files: &dyn Files, read: &Read) -> BTreeSet<PathBuf> {
    let folder = |path: &Path| match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let paths: Vec<_> = read.contents().keys().cloned().collect();
    let led_to = paths.iter().filter_map(|path| files.resolve(path).ok());
    paths.iter().map(|path| folder(path)).chain(led_to.map(|path| folder(&path))).collect()
}

#[cfg(test)]
mod tests {
    use pipeline::doors::Glob;
    use pipeline::graph::ConfigFiles;
    use pipeline::testing::World;
    use tokio::time::Instant;

    use super::*;

    fn reading(world: &World, path: &str) -> Read {
        let read = Read::default();
        read.contents().insert(path.into(), None);
        let now = read.now(&world.files);
        *read.contents() = now;
        read
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_told_when_it_is_over_and_touching_a_file_is_none() {
        let world = World::new();
        let write = |text: &str| world.doors.files.replace(Path::new("/etc/slipring/config.yaml"), text.as_bytes());
        write("one").unwrap();
        let read = reading(&world, "/etc/slipring/config.yaml");
        let mut watch = Watch::new(world.doors.files.clone(), read.clone());
        write("one").unwrap();
        assert!(timeout(Duration::from_secs(60), watch.changed()).await.is_err());
        let changing = async {
            for n in 0..10 {
                write(&format!("two {n}")).unwrap();
                sleep(Duration::from_millis(150)).await;
            }
            Instant::now()
        };
        let ((), written) = tokio::join!(watch.changed(), changing);
        assert!(written.elapsed() < LOOK);
        let seen = read.now(&world.files);
        *read.contents() = seen;
        assert!(timeout(Duration::from_secs(60), watch.changed()).await.is_err(), "it was told once");
    }

    #[tokio::test(start_paused = true)]
    async fn files_of_components_are_watched_and_such_as_come() {
        let world = World::new();
        let files = world.doors.files.clone();
        let write = |path: &str, text: &str| files.replace(Path::new(path), text.as_bytes()).unwrap();
        write("/etc/config.yaml", "one");
        write("/jobs/a.yml", "a");
        let read = reading(&world, "/etc/config.yaml");
        let of_components = || ConfigFiles {
            files: [("/jobs/a.yml".into(), None)].into(),
            globs: vec![Glob::new("/jobs/*.yml").unwrap()],
        };
        read.also_as_they_are(of_components(), &*files);
        let mut watch = Watch::new(files.clone(), read.clone());
        assert!(timeout(Duration::from_secs(60), watch.changed()).await.is_err());
        for (path, text) in [("/jobs/a.yml", "changed"), ("/jobs/b.yml", "new"), ("/etc/config.yaml", "two")] {
            write(path, text);
            timeout(Duration::from_secs(60), watch.changed()).await.expect(path);
            read.also_as_they_are(of_components(), &*files);
        }
        write("/jobs/b.txt", "no job");
        assert!(timeout(Duration::from_secs(60), watch.changed()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_that_goes_and_comes_back_the_same_is_no_change() {
        let world = World::new();
        let path = Path::new("/etc/config.yaml");
        world.doors.files.replace(path, b"one").unwrap();
        let mut watch = Watch::new(world.doors.files.clone(), reading(&world, "/etc/config.yaml"));
        let swapping = async {
            sleep(Duration::from_secs(5)).await;
            world.doors.files.remove(path).unwrap();
            sleep(Duration::from_millis(100)).await;
            world.doors.files.replace(path, b"one").unwrap();
        };
        let (told, ()) = tokio::join!(timeout(Duration::from_secs(60), watch.changed()), swapping);
        assert!(told.is_err());
        world.doors.files.remove(path).unwrap();
        watch.changed().await;
    }
}
