//! What a reload did, and what a stop left behind.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::parts::Parts;
use crate::config::ComponentId;
use crate::delivery::Lost;
use crate::telemetry::Kind;

/// What a reload did. A component that is not named stayed as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Components that were not there before.
    pub added: Vec<(Kind, ComponentId)>,
    /// Components that were built anew, because their config or a file that they read has changed.
    pub changed: Vec<(Kind, ComponentId)>,
    /// Components that are not there any more.
    pub removed: Vec<(Kind, ComponentId)>,
    /// How many stayed as they were.
    pub kept: usize,
}

type Ids = BTreeSet<(Kind, ComponentId)>;

impl Reloaded {
    pub(super) fn between(before: &Parts, after: &Parts) -> Reloaded {
        let (old, new) = (before.ids(), after.ids());
        let built = after.built_anew(before);
        let changed: Ids = old.intersection(&new).filter(|id| built.contains(id)).cloned().collect();
        Reloaded {
            added: new.difference(&old).cloned().collect(),
            removed: old.difference(&new).cloned().collect(),
            kept: old.intersection(&new).count() - changed.len(),
            changed: changed.into_iter().collect(),
        }
    }
}

impl fmt::Display for Reloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, components) in [("added", &self.added), ("changed", &self.changed), ("removed", &self.removed)] {
            if !components.is_empty() {
                let names: Vec<_> = components.iter().map(|(kind, id)| format!("{kind} {id}")).collect();
                write!(f, "{what}: {}; ", names.join(", "))?;
            }
        }
        write!(f, "kept: {}", self.kept)
    }
}

impl Parts {
    fn ids(&self) -> Ids {
        let extensions = self.extensions.iter().map(|part| (Kind::Extension, &part.id));
        let exporters = self.exporters.keys().map(|(id, _)| (Kind::Exporter, id));
        let stages = self.stages.keys().map(|(_, id)| (Kind::Processor, id));
        let receivers = self.receivers.keys().map(|id| (Kind::Receiver, id));
        let all = extensions.chain(exporters).chain(stages).chain(receivers);
        all.map(|(kind, id)| (kind, id.clone())).collect()
    }

    /// The components of which there is an instance that takes the place of one in `before`.
    fn built_anew(&self, before: &Parts) -> Ids {
        let mut ids = Ids::new();
        for part in &self.extensions {
            let old = before.extensions.iter().find(|old| old.id == part.id);
            if old.is_some_and(|old| !Arc::ptr_eq(old, part)) {
                ids.insert((Kind::Extension, part.id.clone()));
            }
        }
        for (key, part) in &self.exporters {
            if before.exporters.get(key).is_some_and(|old| !Arc::ptr_eq(old, part)) {
                ids.insert((Kind::Exporter, key.0.clone()));
            }
        }
        for (key, part) in &self.stages {
            if before.stages.get(key).is_some_and(|old| !Arc::ptr_eq(old, part)) {
                ids.insert((Kind::Processor, key.1.clone()));
            }
        }
        for (id, part) in &self.receivers {
            if before.receivers.get(id).is_some_and(|old| !Arc::ptr_eq(old, part)) {
                ids.insert((Kind::Receiver, id.clone()));
            }
        }
        ids
    }
}

/// What a stop left behind.
#[derive(Debug, Default)]
pub struct StopReport {
    /// Deliveries that could not bring everything out before the deadline.
    pub lost: Vec<Lost>,
    /// Components that had not ended at the deadline.
    pub unfinished: Vec<String>,
}

impl StopReport {
    pub(super) fn new(lost: Vec<Lost>, unfinished: Vec<String>) -> StopReport {
        StopReport { lost: lost.into_iter().filter(|lost| lost.items > 0).collect(), unfinished }
    }

    /// Whether nothing is lost and everything ended in time.
    pub fn is_clean(&self) -> bool {
        self.lost.is_empty() && self.unfinished.is_empty()
    }

    /// Items that were accepted and could not be delivered.
    pub fn lost_items(&self) -> u64 {
        self.lost.iter().map(|lost| lost.items).sum()
    }

    /// Says in the log what it says.
    pub(super) fn tell(&self) {
        for Lost { exporter, signal, items } in &self.lost {
            tracing::error!(component = %exporter, %signal, items, "lost: not delivered before the shutdown deadline");
        }
        for what in &self.unfinished {
            tracing::error!("did not end before the shutdown deadline: {what}");
        }
    }
}
