//! Finds targets: each mechanism of a job is a task that says what it has found whenever that changes. What becomes of it
//! is the business of `jobs`.

pub mod dns;
pub mod documents;
mod files;
mod http;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;

#[cfg(all(test, feature = "kubernetes"))]
mod mutations;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pipeline::component::{Context, Error};
use prometheus::IntCounter;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::config::{Group, Job};

/// Names and values, each name once.
pub type LabelSet = Vec<(String, String)>;

/// Targets that were found together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// What is known of each; `__address__` says where it is.
    pub targets: Vec<LabelSet>,
    /// What is known of all; a target's own labels win.
    pub common: LabelSet,
}

impl Found {
    /// What a list says, with labels that say where the list came from.
    pub fn listed(group: &Group, source: &[(&str, &str)]) -> Found {
        let targets = group.targets.iter().map(|target| vec![("__address__".to_owned(), target.0.clone())]);
        let labels = group.labels.iter().filter(|(name, _)| source.iter().all(|(source, _)| source != name));
        let labels = labels.map(|(name, value)| (name.clone(), value.0.clone()));
        let source = source.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Found { targets: targets.collect(), common: labels.chain(source).collect() }
    }
}

/// Where something was found: the mechanism's place in the job, and the mechanism's own name of the place.
pub type Source = (usize, String);

/// What the mechanisms of a job have found. Clone is another handle on the same.
#[derive(Clone, Default)]
pub struct Finds {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    found: Mutex<BTreeMap<Source, Arc<Found>>>,
    errors: Mutex<BTreeMap<usize, (&'static str, String)>>,
    changed: Notify,
}

impl Finds {
    /// Everything.
    pub fn all(&self) -> Vec<(Source, Arc<Found>)> {
        self.found().iter().map(|(source, found)| (source.clone(), found.clone())).collect()
    }

    /// Waits until there is something new since this was asked last.
    pub async fn changed(&self) {
        self.shared.changed.notified().await;
    }

    /// Which mechanisms fail now, and why.
    pub fn errors(&self) -> Vec<(&'static str, String)> {
        self.errors_of().values().cloned().collect()
    }

    fn found(&self) -> MutexGuard<'_, BTreeMap<Source, Arc<Found>>> {
        self.shared.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn errors_of(&self) -> MutexGuard<'_, BTreeMap<usize, (&'static str, String)>> {
        self.shared.errors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How one mechanism says what it finds.
#[derive(Clone)]
pub struct Finder {
    finds: Finds,
    place: usize,
    job: Arc<str>,
    mechanism: &'static str,
    failures: IntCounter,
}

impl Finder {
    /// Sets what is found at one of its places.
    pub fn put(&self, place: &str, found: Found) {
        let source = (self.place, place.to_owned());
        let mut all = self.finds.found();
        if all.get(&source).is_none_or(|before| **before != found) {
            all.insert(source, Arc::new(found));
            self.finds.shared.changed.notify_one();
        }
    }

    /// There is nothing at that place any more.
    pub fn forget(&self, place: &str) {
        if self.finds.found().remove(&(self.place, place.to_owned())).is_some() {
            self.finds.shared.changed.notify_one();
        }
    }

    /// Sets everything that the mechanism finds.
    pub fn put_all(&self, all: BTreeMap<String, Found>) {
        let gone: Vec<_> = {
            let found = self.finds.found();
            let own = found.keys().filter(|(place, name)| *place == self.place && !all.contains_key(name));
            own.map(|(_, name)| name.clone()).collect()
        };
        gone.iter().for_each(|name| self.forget(name));
        all.into_iter().for_each(|(name, found)| self.put(&name, found));
    }

    /// Something went wrong; what was found before stays. Logged when it is news.
    pub fn failed(&self, error: &str) {
        self.failures.inc();
        let before = self.finds.errors_of().insert(self.place, (self.mechanism, error.to_owned()));
        if before.is_none_or(|(_, before)| before != error) {
            tracing::error!(job = &*self.job, mechanism = self.mechanism, "targets not found: {error}");
        }
    }

    /// All is well.
    pub fn succeeded(&self) {
        if self.finds.errors_of().remove(&self.place).is_some() {
            tracing::info!(job = &*self.job, mechanism = self.mechanism, "targets are found again");
        }
    }
}

/// A mechanism, ready to run for ever.
type Mechanism = (&'static str, Box<dyn FnOnce(Finder) -> pipeline::component::BoxFuture<'static, ()> + Send>);

/// The mechanisms of a job.
pub struct Mechanisms {
    fixed: Vec<Group>,
    moving: Vec<Mechanism>,
}

impl Mechanisms {
    /// Mechanisms that have not looked yet.
    ///
    /// # Errors
    /// What is wrong with certificates, or with who we are for an API server.
    pub fn new(job: &Job, context: &Context) -> Result<Mechanisms, Error> {
        let mut moving: Vec<Mechanism> = Vec::new();
        for config in job.discovery.file_sd_configs.iter().cloned() {
            let doors = context.doors.files.clone();
            moving.push(("file_sd", Box::new(move |finder| Box::pin(files::run(config, doors, finder)))));
        }
        for config in &job.discovery.http_sd_configs {
            let asked = http::Endpoint::new(config, context)?;
            moving.push(("http_sd", Box::new(move |finder| Box::pin(asked.run(finder)))));
        }
        for config in job.discovery.dns_sd_configs.iter().cloned() {
            let doors = context.doors.clone();
            moving.push(("dns_sd", Box::new(move |finder| Box::pin(dns::run(config, doors, finder)))));
        }
        #[cfg(feature = "kubernetes")]
        for config in &job.discovery.kubernetes_sd_configs {
            let cluster = kubernetes::Cluster::new(config, context)?;
            moving.push(("kubernetes_sd", Box::new(move |finder| Box::pin(cluster.run(finder)))));
        }
        Ok(Mechanisms { fixed: job.discovery.static_configs.clone(), moving })
    }

    /// Lets them look; they end when the answer is dropped.
    pub fn start(self, job: &str, context: &Context, finds: &Finds) -> JoinSet<()> {
        let finder = |place: usize, mechanism: &'static str| {
            let labels = &[("receiver", &*context.id.to_string()), ("scraper", job), ("mechanism", mechanism)];
            let help = "Times that targets could not be looked for.";
            let failures = context.meter.counter("slipring_discovery_failures_total", help, labels);
            Finder { finds: finds.clone(), place, job: job.into(), mechanism, failures }
        };
        if !self.fixed.is_empty() {
            let fixed = finder(0, "static");
            for (i, group) in self.fixed.iter().enumerate() {
                fixed.put(&format!("{i:08}"), Found::listed(group, &[]));
            }
        }
        let mut running = JoinSet::new();
        for (i, (name, run)) in self.moving.into_iter().enumerate() {
            running.spawn(run(finder(i + 1, name)));
        }
        running
    }
}
