//! Scrapes Prometheus targets: finds them, asks them, and hands on what they expose as OTLP metrics, with the names and
//! labels that Prometheus itself would have stored.
//!
//! A body goes through `exposition` (what it says), `cache` (which series that is, and OTLP of it) and out; `config`,
//! `discovery`, `target` and `jobs` say who is asked, `scraper` when, `fetch` and `agent` how, and `status` how it went.

mod agent;
pub mod cache;
pub mod config;
pub mod discovery;
mod estate;
pub mod exposition;
mod failures;
mod fetch;
mod jobs;
mod scraper;
pub mod status;
pub mod target;

#[cfg(test)]
mod mutations;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use pipeline::batch::Signal;
use pipeline::buffers::Buffers;
use pipeline::component::{BoxFuture, Context, Ending, Error, Life, Outputs, Receiver};
use pipeline::registry::ReceiverFactory;
use pipeline::relabel::{self, labels};
use tokio::task::JoinSet;

pub use config::Config;

use self::config::Job;
use self::discovery::Mechanisms;
use self::estate::Estate;
use self::fetch::Fetcher;
use self::jobs::Runner;
use self::status::Targets;

/// Builds `prometheus`.
pub struct Factory;

impl ReceiverFactory for Factory {
    const TYPES: &'static [&'static str] = &["prometheus"];
    const SIGNALS: &'static [Signal] = &[Signal::Metrics];
    const ABOUT: &'static str = "Scrapes Prometheus targets, with Prometheus' own scrape configs.";
    const README: &'static str = include_str!("README.md");
    type Config = Config;

    fn build(config: Config, context: Context) -> Result<Box<dyn Receiver>, Error> {
        Ok(Box::new(Prometheus::new(&config, context)?))
    }
}

/// The receiver.
pub struct Prometheus {
    jobs: Vec<(Arc<Job>, Arc<Fetcher>, Mechanisms)>,
    context: Context,
    targets: Targets,
    buffers: Buffers,
}

impl Prometheus {
    /// A receiver that asks nobody yet.
    ///
    /// # Errors
    /// What is wrong with the config, with files that it names, or with certificates.
    pub fn new(config: &Config, context: Context) -> Result<Prometheus, Error> {
        let (jobs, _) = config.with_files(&*context.doors.files)?.jobs();
        let buffers = Buffers::default();
        let jobs = jobs.into_iter().map(|job| {
            let named = |error: Error| format!("job {:?}: {error}", job.name);
            let fetcher = Fetcher::new(&job, &context, &buffers).map_err(named)?;
            let mechanisms = Mechanisms::new(&job, &context).map_err(named)?;
            Ok((Arc::new(job), Arc::new(fetcher), mechanisms))
        });
        let jobs = jobs.collect::<Result<_, Error>>()?;
        Ok(Prometheus { jobs, context, targets: Targets::default(), buffers })
    }

    /// What can be asked about its targets while it runs.
    pub fn targets(&self) -> Targets {
        self.targets.clone()
    }
}

impl Receiver for Prometheus {
    fn run(self: Box<Self>, next: Outputs, life: Life) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let id = self.context.id.to_string();
            let _shown = status::show(&self.context.pages, self.context.doors.clock, &id, &self.targets);
            let Some(next) = next.signal(Signal::Metrics).cloned() else {
                life.ready();
                life.stopped().await;
                return Ok(());
            };
            let estate = Estate::of(&self.context.pages, &id);
            let mut running = JoinSet::new();
            for (job, fetcher, mechanisms) in self.jobs {
                let (context, targets) = (self.context.clone(), self.targets.clone());
                let shared = (self.buffers.clone(), estate.clone());
                let runner = Runner::new(job, fetcher, context, next.clone(), targets, shared);
                running.spawn(runner.run(mechanisms, life.clone()));
            }
            life.ready();
            tokio::select! {
                () = life.stopped() => {}
                () = estate.settle(&next) => life.stopped().await,
            }
            let mut left = Vec::new();
            while let Some(ended) = running.join_next().await {
                left.extend(ended.unwrap_or_default());
            }
            left.extend(estate.finish(life.ending(), &next).await);
            if life.ending() == Ending::Replaced {
                estate::leave(&self.context.pages, &id, left);
            }
            Ok(())
        })
    }
}
