//! `kubernetes_sd_configs`: objects that an API server knows, listed once and then watched. Asked with our own HTTP
//! client; what is read of an object is what becomes a label.

mod access;
mod endpoints;
mod kubeconfig;
mod labels;
pub mod objects;
mod places;
mod store;
mod watch;

#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use pipeline::component::Context;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use self::access::Access;
use self::objects::Kind;
pub(crate) use self::store::Changed;
use self::store::Store;
use self::watch::{Complaints, Watch};
use super::{Finder, Found};
use crate::prometheus::config::{AttachMetadata, KubernetesDiscovery, Role};

/// Changes that wait to be looked at.
const MOST_CHANGES: usize = 256;
/// How long after a change others are waited for, so that a rollout is not worked out pod by pod.
const SETTLE: Duration = Duration::from_millis(200);
/// How often it is tried to find out where the API server is and who we are.
const TRY_AGAIN: Duration = Duration::from_secs(10);

/// The targets of a whole list of objects of a role, as the API server writes it.
///
/// # Errors
/// It is no list.
pub fn found_in(role: Role, list: &[u8]) -> Result<Vec<Found>, String> {
    let kind = Kind::of(role);
    let page = kind.read_page(list)?;
    let mut store = Store::new(role, AttachMetadata { node: true, namespace: true });
    let keys = store.apply(Changed::All(kind, String::new(), page.objects));
    Ok(keys.iter().filter_map(|key| store.found(key)).collect())
}

/// Follows the objects of the config's role, in all namespaces, for ever: for those who need to know of objects, not of
/// targets. `told` hears what goes wrong, and `None` when nothing does any more.
///
/// # Errors
/// A role that is none.
pub(crate) async fn follow(
    config: KubernetesDiscovery,
    context: Context,
    changes: mpsc::Sender<Changed>,
    told: impl Fn(Option<&str>) + Send + Sync + 'static,
) -> Result<(), String> {
    let role = config.known_role().ok_or("kubernetes needs a role")?;
    let access = find_access(&config, &context, |error| told(Some(error))).await;
    let watch = Watch::new(Kind::of(role), String::new(), config.selector(role), access);
    watch.run(changes, Complaints::new(told)).await;
    Ok(())
}

/// Finds out where the API server is and who we are, again and again until that is known.
async fn find_access(config: &KubernetesDiscovery, context: &Context, failed: impl Fn(&str)) -> Arc<Access> {
    loop {
        let (config, context) = (config.clone(), context.clone());
        let finding = tokio::task::spawn_blocking(move || Access::find(&config, &context, |v| std::env::var(v).ok()));
        match finding.await.unwrap_or_else(|error| Err(error.to_string())) {
            Ok(access) => return Arc::new(access),
            Err(error) => failed(&error),
        }
        sleep(TRY_AGAIN).await;
    }
}

/// What is watched, and by whom.
pub(super) struct Cluster {
    config: KubernetesDiscovery,
    role: Role,
    context: Context,
}

impl Cluster {
    /// A cluster that nobody was asked about yet: a config can be checked outside of it.
    ///
    /// # Errors
    /// A role that is none.
    pub(super) fn new(config: &KubernetesDiscovery, context: &Context) -> Result<Cluster, String> {
        let role = config.known_role().ok_or("kubernetes_sd_configs needs a role")?;
        Ok(Cluster { config: config.clone(), role, context: context.clone() })
    }

    pub(super) async fn run(self, finder: Finder) {
        let access = find_access(&self.config, &self.context, |error| finder.failed(error)).await;
        let (changes, mut changed) = mpsc::channel(MOST_CHANGES);
        let told = finder.clone();
        let complaints = Complaints::new(move |error| match error {
            Some(error) => told.failed(error),
            None => told.succeeded(),
        });
        let mut watches = JoinSet::new();
        let mut waiting = HashSet::new();
        for (kind, namespace) in self.watched(&access) {
            let selector = kind.role().and_then(|role| self.config.selector(role));
            waiting.insert((kind, namespace.clone()));
            let watch = Watch::new(kind, namespace, selector, access.clone());
            watches.spawn(watch.run(changes.clone(), complaints.clone()));
        }
        let mut store = Store::new(self.role, self.config.attach_metadata);
        let mut dirty = BTreeSet::new();
        let mut settled = None;
        loop {
            tokio::select! {
                change = changed.recv() => {
                    let Some(change) = change else { return };
                    if let Changed::All(kind, namespace, _) = &change {
                        waiting.remove(&(*kind, namespace.clone()));
                    }
                    dirty.extend(store.apply(change));
                    settled.get_or_insert_with(|| Instant::now() + SETTLE);
                }
                // Until everything was listed once, labels would be missing.
                () = sleep_until(settled.unwrap_or_else(Instant::now)), if settled.is_some() && waiting.is_empty() => {
                    for key in std::mem::take(&mut dirty) {
                        let place = format!("{}/{key}", self.role.name());
                        match store.found(&key) {
                            Some(found) => finder.put(&place, found),
                            None => finder.forget(&place),
                        }
                    }
                    settled = None;
                }
            }
        }
    }

    /// The kinds of objects that are needed, in each namespace; none is all of them.
    fn watched(&self, access: &Access) -> Vec<(Kind, String)> {
        let mut namespaces: Vec<String> = self.config.namespaces.names.iter().map(|name| name.0.clone()).collect();
        if self.config.namespaces.own_namespace {
            namespaces.extend(access.own_namespace.clone());
        }
        namespaces.sort();
        namespaces.dedup();
        if namespaces.is_empty() {
            namespaces.push(String::new());
        }
        let kinds = self.role.kinds().iter().map(|role| Kind::of(*role));
        let mut watched: Vec<_> = kinds
            .flat_map(|kind| {
                let scopes = if kind == Kind::Node { vec![String::new()] } else { namespaces.clone() };
                scopes.into_iter().map(move |namespace| (kind, namespace))
            })
            .collect();
        let attach = self.config.attach_metadata;
        let has_node = matches!(self.role, Role::Pod | Role::Endpoints | Role::EndpointSlice);
        if attach.node && has_node {
            watched.push((Kind::Node, String::new()));
        }
        if attach.namespace && self.role != Role::Node {
            watched.push((Kind::Namespace, String::new()));
        }
        watched
    }
}
