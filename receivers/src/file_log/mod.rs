//! Tails files: each line becomes a log record, and the place in a file moves only when the pipeline has taken what was
//! read before it. See the README beside this file.
//!
//! One task runs the receiver. Everything that blocks (looking, reading, cutting lines, the checkpoint) is done by
//! `Reader`, which the task sends through `spawn_blocking` for one step at a time: a step makes at most as many batches
//! as may still be out, so a slow disk or a huge file never keeps the runtime's threads, and nothing is read while the
//! pipeline refuses, or has as much as it may have. Blocking steps, unlike a thread of its own, need no channels and keep a paused clock still.

mod checkpoint;
mod complaints;
mod config;
mod contents;
mod encoding;
mod facts;
pub(crate) mod feed;
mod fingerprint;
mod format;
pub mod fuzz;
mod gunzip;
mod header;
mod journal;
mod lines;
mod offer;
mod operators;
mod order;
mod progress;
mod read;
mod reader;
mod recorder;
mod send;
mod settings;
mod watch;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pipeline::Signal;
use pipeline::component::{BoxFuture, Context, Error, Life, Outputs, Receiver};
use pipeline::config::{ExtensionId, Problem};
use pipeline::doors::Changes;
use pipeline::registry::ReceiverFactory;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};

use self::complaints::Complaints;
pub use self::config::Config;
use self::config::Retry;
use self::offer::Offer;
use self::reader::{Reader, Step};
use self::send::Out;
use self::settings::Settings;
use self::watch::{Now, Watch};

/// The scope of every record.
const SCOPE: &str = "slipring/file_log";

/// Where changes are heard of, files are looked at so soon after the last look, so that many small changes make one batch; a
/// quarter of `poll_interval` if that is less.
const EARLY: Duration = Duration::from_millis(50);
/// How often the operating system is told which folders to tell of.
const FOLLOW_EVERY: Duration = Duration::from_secs(5);

/// Builds `file_log` receivers.
pub struct Factory;

impl ReceiverFactory for Factory {
    const TYPES: &'static [&'static str] = &["file_log", "filelog"];
    const SIGNALS: &'static [Signal] = &[Signal::Logs];
    const ABOUT: &'static str = "Tails files and makes a log record of each line.";
    const README: &'static str = include_str!("README.md");
    type Config = Config;

    fn build(config: Config, context: Context) -> Result<Box<dyn Receiver>, Error> {
        let settings = Settings::new(&config, SCOPE).map_err(|problems| say(&problems))?;
        Ok(Box::new(FileLog {
            settings: Arc::new(settings),
            offsets: checkpoint::path(&folder(&config, &context)?, &context.id),
            poll: config.poll_interval.get(),
            retry: config.retry_on_failure,
            context,
        }))
    }
}

fn say(problems: &[Problem]) -> String {
    problems.iter().map(|p| format!("{}: {}", p.path, p.message)).collect::<Vec<_>>().join("; ")
}

/// The folder in which the offsets are kept.
fn folder(config: &Config, context: &Context) -> Result<PathBuf, Error> {
    let Some(ExtensionId(id)) = &config.storage else { return Ok(context.data_dir.clone()) };
    let extension = context.extensions.find(id).map_err(|error| format!("storage: {error}"))?;
    let storage = extension.storage().ok_or_else(|| format!("storage: '{id}' stores nothing, use file_storage"))?;
    Ok(storage.folder(&context.data_dir))
}

struct FileLog {
    settings: Arc<Settings>,
    /// Where the offsets are kept.
    offsets: PathBuf,
    poll: Duration,
    retry: Retry,
    context: Context,
}

impl Receiver for FileLog {
    fn run(self: Box<Self>, next: Outputs, life: Life) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move { (*self).run(next, life).await })
    }
}

impl FileLog {
    async fn run(self, next: Outputs, life: Life) -> Result<(), Error> {
        let Some(next) = next.signal(Signal::Logs).cloned() else {
            life.ready();
            life.stopped().await;
            return Ok(());
        };
        let offer = Offer { next, retry: self.retry, life: life.clone(), drops: self.context.drops.clone() };
        let mut reader = self.reader().await?;
        let mut out = Out::new(offer);
        let mut ears = Ears::new(&self.context);
        let (mut look_at, mut looked) = (Instant::now(), Instant::now());
        let mut said_ready = false;
        while !life.is_stopped() {
            let now = self.now();
            let look = now.instant >= look_at;
            if look {
                (look_at, looked) = (now.instant + self.poll, now.instant);
            }
            if look || out.wants_step() {
                let filled;
                (reader, filled) = blocking(reader, self.step(&mut out, look, false)).await?;
                out.send(filled);
            } else if !out.arrived.is_empty() {
                let only = Step { only_note: true, ..self.step(&mut out, false, false) };
                (reader, _) = blocking(reader, only).await?;
            }
            if look {
                ears.follow(&reader, now.instant);
            }
            let soon = looked + EARLY.min(self.poll / 4);
            if !std::mem::replace(&mut said_ready, true) {
                life.ready();
            }
            tokio::select! {
                () = life.stopped() => {}
                heard = out.hear() => heard?,
                () = ears.hear(), if look_at > soon => look_at = soon,
                () = sleep_until(look_at) => {}
            }
        }
        out.answered().await?;
        let (reader, _) = blocking(reader, self.step(&mut out, false, true)).await?;
        if !out.is_empty() {
            // The pipeline has taken over what is still out, and delivers it when no receiver is at work any more.
            self.context.clone().spawn(self.epilogue(reader, out));
        }
        Ok(())
    }

    /// Keeps the places that are reached when all that is out is done with.
    async fn epilogue(self, reader: Reader, mut out: Out) {
        out.settled().await;
        if let Err(error) = blocking(reader.parted(), self.step(&mut out, false, true)).await {
            tracing::error!(receiver = %self.context.id, "cannot keep the last offsets: {error}");
        }
    }

    fn step(&self, out: &mut Out, look: bool, last: bool) -> Step {
        let (taken, arrived) = (std::mem::take(&mut out.taken), std::mem::take(&mut out.arrived));
        let batches = if last { 0 } else { out.room() };
        Step { taken, arrived, only_note: false, look, batches, last, now: self.now() }
    }

    fn now(&self) -> Now {
        Now { instant: Instant::now(), wall: self.context.doors.clock.now() }
    }

    /// Reads the checkpoint.
    async fn reader(&self) -> Result<Reader, Error> {
        let (context, settings, at) = (self.context.clone(), self.settings.clone(), self.offsets.clone());
        let reader = spawn_blocking(move || {
            let Context { id, doors, data_dir, .. } = &context;
            let place = at.display();
            // A `storage` that is new takes over what was kept before there was one.
            let load = || match checkpoint::load(&*doors.files, &at)? {
                None => checkpoint::load(&*doors.files, &checkpoint::path(data_dir, id)),
                known => Ok(known),
            };
            let known = match load() {
                Ok(known) => {
                    let files = known.as_ref().map(VecDeque::len).unwrap_or_default();
                    tracing::info!(receiver = %id, files, "offsets are kept in {place}");
                    known
                }
                Err(error) => {
                    let so = "all files are read from their beginning";
                    tracing::error!(receiver = %id, "cannot read the offsets in {place}: {error}; {so}");
                    Some(VecDeque::new())
                }
            };
            let watch = Watch::new(settings, doors.files.clone(), Complaints::of(id), known);
            Reader::new(watch, at, &context)
        });
        Ok(reader.await?)
    }
}

/// Hears of changes, where the operating system tells of them.
struct Ears {
    changes: Option<Box<dyn Changes>>,
    folders: BTreeSet<PathBuf>,
    followed: Option<Instant>,
}

impl Ears {
    fn new(context: &Context) -> Ears {
        Ears { changes: context.doors.files.changes(), folders: BTreeSet::new(), followed: None }
    }

    /// Follows the folders of the files that are read by now.
    fn follow(&mut self, reader: &Reader, now: Instant) {
        let Some(changes) = &mut self.changes else { return };
        let folders = reader.folders();
        let lately = self.followed.is_some_and(|at| now < at + FOLLOW_EVERY);
        if folders != self.folders || !lately {
            changes.follow(&folders);
            (self.folders, self.followed) = (folders, Some(now));
        }
    }

    /// Ends when something has changed.
    async fn hear(&mut self) {
        match &mut self.changes {
            Some(changes) => changes.changed().await,
            None => std::future::pending().await,
        }
    }
}

/// Runs one step where blocking is allowed.
async fn blocking(mut reader: Reader, step: Step) -> Result<(Reader, Vec<read::Filled>), Error> {
    let done = spawn_blocking(move || {
        let filled = reader.step(step);
        (reader, filled)
    });
    Ok(done.await?)
}
