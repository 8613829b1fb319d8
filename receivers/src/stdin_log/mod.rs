//! Reads the process' standard input: each line becomes a log record, as with [`file_log`](crate::file_log), whose way from
//! bytes to records it goes. What was read cannot be read again, so a batch that the pipeline refuses keeps what comes after
//! it waiting, and in the end the program that writes it. See the README beside this file.

#[cfg(test)]
mod tests;

use std::io;
use std::time::Duration;

use bytes::Bytes;
use pipeline::Signal;
use pipeline::component::{BoxFuture, Context, Error, Life, Outputs, Reason, Receiver};
use pipeline::config::{GoDuration, Problem, Settings};
use pipeline::registry::ReceiverFactory;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::file_log::feed::{Feed, IncludeFile, LineConfig, LineSettings, Now, Offer, Retry};

/// The scope of every record.
const SCOPE: &str = "slipring/stdin_log";
/// How long a line waits for others to share a batch with.
const COLLECT: Duration = Duration::from_millis(100);

/// The body of a `stdin_log` receiver.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Config {
    /// How bytes become records.
    #[serde(rename = "~lines")]
    pub lines: LineConfig,
    /// How a batch is offered again that the pipeline refuses.
    pub retry_on_failure: Retry,
}

impl Default for Config {
    fn default() -> Config {
        let retry_on_failure = Retry { max_elapsed_time: GoDuration::from_secs(60), ..Retry::default() };
        Config { lines: LineConfig::default(), retry_on_failure }
    }
}

impl Settings for Config {
    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut say = |path: &str, message: &str| problems.push(Problem::at(path, message));
        self.lines.check(&mut say);
        self.retry_on_failure.check(&mut say);
        problems.extend(LineSettings::new(&self.lines, IncludeFile::NOTHING, SCOPE).err().unwrap_or_default());
        problems
    }
}

/// Builds `stdin_log` receivers.
pub struct Factory;

impl ReceiverFactory for Factory {
    const TYPES: &'static [&'static str] = &["stdin_log", "stdin"];
    const SIGNALS: &'static [Signal] = &[Signal::Logs];
    const ABOUT: &'static str = "Reads standard input and makes a log record of each line.";
    const README: &'static str = include_str!("README.md");
    type Config = Config;

    fn build(config: Config, context: Context) -> Result<Box<dyn Receiver>, Error> {
        let lines = LineSettings::new(&config.lines, IncludeFile::NOTHING, SCOPE);
        let lines = lines.map_err(|p| p.iter().map(|p| format!("{}: {}", p.path, p.message)).collect::<String>())?;
        Ok(Box::new(StdinLog { feed: Feed::new(lines, &context), retry: config.retry_on_failure, context }))
    }
}

struct StdinLog {
    feed: Feed,
    retry: Retry,
    context: Context,
}

impl Receiver for StdinLog {
    fn run(self: Box<Self>, next: Outputs, life: Life) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move { (*self).run(next, life).await })
    }
}

impl StdinLog {
    async fn run(mut self, next: Outputs, life: Life) -> Result<(), Error> {
        let Some(next) = next.signal(Signal::Logs).cloned() else {
            life.ready();
            life.stopped().await;
            return Ok(());
        };
        let mut input = self.context.doors.files.input()?;
        life.ready();
        let drops = self.context.drops.clone();
        let offer = Offer { next, retry: self.retry, life: life.clone(), drops };
        let mut over = false;
        while !over {
            over = self.collect(&mut input, &life).await?;
            if over {
                self.feed.end(self.now());
            }
            let batch = self.feed.take();
            if batch.is_empty() {
                continue;
            }
            let offered = batch.clone();
            if !offer.clone().make(batch).await {
                let reason = Reason::new("stopped", "the pipeline refused them until the stop");
                self.context.drops.record_batch(&offered, offered.items(), &reason);
            }
        }
        Ok(())
    }

    /// Takes lines in until there is a batch to hand on. Answers whether it is the last one: the input is at its end, or the
    /// receiver must stop.
    async fn collect(&mut self, input: &mut mpsc::Receiver<io::Result<Bytes>>, life: &Life) -> Result<bool, Error> {
        let mut hand_on: Option<Instant> = None;
        loop {
            let now = self.now();
            self.feed.cut(now);
            if self.feed.is_full() {
                return Ok(false);
            }
            if self.feed.has_records() {
                hand_on.get_or_insert(now.instant + COLLECT);
            }
            let wake = self.feed.due().into_iter().chain(hand_on).min();
            tokio::select! {
                biased;
                piece = input.recv() => match piece {
                    Some(Ok(piece)) => self.feed.push(&piece, self.now().instant),
                    Some(Err(error)) => return Err(format!("cannot read standard input: {error}").into()),
                    None => return Ok(true),
                },
                () = life.stopped() => {
                    while let Ok(Ok(piece)) = input.try_recv() {
                        self.feed.push(&piece, now.instant);
                    }
                    return Ok(true);
                }
                () = sleep_until(wake.unwrap_or(now.instant)), if wake.is_some() => {
                    if hand_on.is_some_and(|at| Instant::now() >= at) {
                        return Ok(false);
                    }
                }
            }
        }
    }

    fn now(&self) -> Now {
        Now { instant: Instant::now(), wall: self.context.doors.clock.now() }
    }
}
