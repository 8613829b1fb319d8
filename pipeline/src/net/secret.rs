//! Secrets in files, and other small files that may change while the process runs: read again when they have changed.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::component::Context;
use crate::config::Opaque;
use crate::doors::{FileStat, Files};
use crate::telemetry::Reporter;

/// The longest file with secrets.
const MOST_BYTES: usize = 1 << 20;
/// How often a file is looked at, at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A secret that stands in the config or in a file.
#[derive(Clone, Debug)]
pub enum Secret {
    /// In the config.
    Given(Opaque),
    /// In that file.
    File(String),
}

impl Secret {
    /// The one in the file, or the one in the config where no file is named.
    pub fn of(given: &str, file: &str) -> Secret {
        if file.is_empty() { Secret::Given(Opaque(given.to_owned())) } else { Secret::File(file.to_owned()) }
    }

    /// Whether it is given at all.
    pub fn is_given(&self) -> bool {
        match self {
            Secret::Given(text) => !text.0.is_empty(),
            Secret::File(_) => true,
        }
    }

    /// The secret as it is now.
    ///
    /// # Errors
    /// The file cannot be read; it is named.
    pub async fn read(&self, files: &Arc<dyn Files>) -> Result<String, String> {
        match self {
            Secret::Given(text) => Ok(text.0.clone()),
            Secret::File(file) => read(file, files).await,
        }
    }
}

/// What a file holds now, without blanks around it.
///
/// # Errors
/// The file cannot be read, or is not text.
pub async fn read(file: &str, files: &Arc<dyn Files>) -> Result<String, String> {
    let (files, path) = (files.clone(), PathBuf::from(file));
    let reading = tokio::task::spawn_blocking(move || files.read_small(&path, MOST_BYTES));
    let bytes = reading.await.map_err(|error| error.to_string())?;
    text(file, bytes.map_err(|error| format!("cannot read {file}: {error}"))?)
}

fn text(file: &str, bytes: Vec<u8>) -> Result<String, String> {
    let text = String::from_utf8(bytes).map_err(|_| format!("{file} is not UTF-8"))?;
    Ok(text.trim().to_owned())
}

/// Makes something of a file's text, or says what is wrong with it without showing it.
pub type Parse<T> = fn(&str) -> Result<T, String>;

/// What a file means, as it is now. When it becomes unreadable, what it meant before holds.
pub struct Watched<T> {
    file: String,
    parse: Parse<T>,
    files: Arc<dyn Files>,
    reporter: Reporter,
    now: Mutex<Now<T>>,
}

struct Now<T> {
    value: Option<Arc<T>>,
    looked: Option<Instant>,
    stamp: Option<Stamp>,
}

/// Time of change, length, inode.
type Stamp = (Duration, u64, u64);

impl<T: Send + Sync + 'static> Watched<T> {
    /// A file that nobody has looked at yet. Trouble with it is the component's.
    pub fn new(file: &str, parse: Parse<T>, context: &Context) -> Watched<T> {
        let now = Mutex::new(Now { value: None, looked: None, stamp: None });
        let (files, reporter) = (context.doors.files.clone(), context.reporter.clone());
        Watched { file: file.to_owned(), parse, files, reporter, now }
    }

    /// Reads it now.
    ///
    /// # Errors
    /// The file cannot be read, or means nothing.
    pub async fn open(&self) -> Result<(), String> {
        self.look(None).await.map(drop)
    }

    /// What it means now; the file is looked at once a second at most.
    ///
    /// # Errors
    /// The file could not be read yet.
    pub async fn get(&self) -> Result<Arc<T>, String> {
        let (value, stamp) = {
            let mut now = self.now();
            let fresh = now.looked.is_some_and(|looked| looked.elapsed() < LOOK_EVERY);
            if let Some(value) = now.value.as_ref().filter(|_| fresh) {
                return Ok(value.clone());
            }
            now.looked = Some(Instant::now());
            (now.value.clone(), now.stamp)
        };
        match (self.look(stamp).await, value) {
            (Ok(Some(new)), _) => {
                self.reporter.ok();
                Ok(new)
            }
            (Ok(None), Some(value)) => Ok(value),
            (Ok(None), None) => Err(format!("cannot read {}", self.file)),
            (Err(error), value) => {
                self.reporter.recoverable(&error);
                tracing::warn!(file = self.file, "{error}; what was in it before holds");
                value.ok_or(error)
            }
        }
    }

    /// Lets the next who asks look at the file; `true`, since it may have changed.
    pub fn look_again(&self) -> bool {
        self.now().looked = None;
        true
    }

    /// What it means, where it has changed.
    async fn look(&self, before: Option<Stamp>) -> Result<Option<Arc<T>>, String> {
        let (files, path) = (self.files.clone(), PathBuf::from(&self.file));
        let looking = tokio::task::spawn_blocking(move || {
            let stamp = |stat: FileStat| (stat.modified, stat.len, stat.inode);
            let now = files.stat(&path).map(stamp)?;
            let bytes = if Some(now) == before { None } else { Some(files.read_small(&path, MOST_BYTES)?) };
            Ok::<_, std::io::Error>((now, bytes))
        });
        let looked = looking.await.map_err(|error| error.to_string())?;
        let (stamp, bytes) = looked.map_err(|error| format!("cannot read {}: {error}", self.file))?;
        let Some(bytes) = bytes else { return Ok(None) };
        let value = text(&self.file, bytes).and_then(|text| (self.parse)(&text));
        let value = Arc::new(value.map_err(|error| format!("{}: {error}", self.file))?);
        let mut now = self.now();
        *now = Now { value: Some(value.clone()), looked: Some(Instant::now()), stamp: Some(stamp) };
        Ok(Some(value))
    }

    fn now(&self) -> MutexGuard<'_, Now<T>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::State;
    use crate::testing::World;

    fn number(text: &str) -> Result<u32, String> {
        text.parse().map_err(|_| "not a number".to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_is_read_again_when_it_changes_and_holds_when_it_breaks() {
        let world = World::new();
        world.files.put("/n", "1\n");
        let watched = Watched::new("/n", number, &world.context("auth"));
        assert_eq!(watched.open().await, Ok(()));
        world.files.put("/n", "22\n");
        assert_eq!(watched.get().await.map(|n| *n), Ok(1), "not within a second");
        tokio::time::advance(LOOK_EVERY).await;
        assert_eq!(watched.get().await.map(|n| *n), Ok(22));
        tokio::time::advance(LOOK_EVERY).await;
        world.files.put("/n", "s3cr3t");
        assert_eq!(watched.get().await.map(|n| *n), Ok(22));
        let status = world.health.all().remove(0);
        assert_eq!(status.state, State::Recoverable);
        assert_eq!(&*status.error.unwrap().0, "/n: not a number");
        tokio::time::advance(LOOK_EVERY).await;
        world.files.put("/n", "333");
        assert_eq!(watched.get().await.map(|n| *n), Ok(333));
        assert_eq!(world.health.all().remove(0).state, State::Ok);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_never_readable_is_an_error() {
        let world = World::new();
        let watched = Watched::new("/none", number, &world.context("auth"));
        assert!(watched.open().await.unwrap_err().starts_with("cannot read /none: "));
        assert!(watched.get().await.is_err());
        world.files.put("/none", "4");
        tokio::time::advance(LOOK_EVERY).await;
        assert_eq!(watched.get().await.map(|n| *n), Ok(4));
    }
}
