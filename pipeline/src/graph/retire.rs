//! The way out of what a reload has replaced or taken away: in the background, from the near end, within
//! `shutdown_timeout`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::parts::{ExporterPart, ExtensionPart, Holder, Opens, Parts};
use super::report::StopReport;
use super::switch::OldWay;
use super::{GOODBYE, half_way};
use crate::telemetry::{Kind, Reporter};

/// Everything that is open and has to be closed.
#[derive(Default)]
pub(super) struct Live {
    /// Processors that hold data and are not, or not yet, those of the graph as it should be; in closing order.
    pub(super) held: Vec<Vec<Arc<Holder>>>,
    pub(super) exporters: Vec<Arc<ExporterPart>>,
    pub(super) extensions: Vec<Arc<ExtensionPart>>,
}

/// What goes.
#[derive(Default)]
pub(super) struct Leaving {
    pub(super) ways: Vec<OldWay>,
    pub(super) held: Vec<Vec<Arc<Holder>>>,
    pub(super) exporters: Vec<Arc<ExporterPart>>,
    pub(super) extensions: Vec<Arc<ExtensionPart>>,
    /// Of components that are not there any more.
    pub(super) gone: Vec<Reporter>,
    /// Cancelled when all that went before has handed on what it held, be it to something that goes now.
    pub(super) before: Option<CancellationToken>,
    /// Cancelled when this, too, has.
    pub(super) emptied: CancellationToken,
}

pub(super) fn lock(live: &Mutex<Live>) -> MutexGuard<'_, Live> {
    live.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Parts {
    /// What is here and not there.
    pub(super) fn without(&self, there: &Parts) -> Leaving {
        let stays = |holder: &Arc<Holder>| there.held.iter().flatten().any(|other| Arc::ptr_eq(other, holder));
        let held = self.held.iter().map(|held| held.iter().filter(|h| !stays(h)).cloned().collect::<Vec<_>>());
        let exporters = self.exporters.iter().filter(|(key, part)| {
            let other = there.exporters.get(*key);
            other.is_none_or(|other| !Arc::ptr_eq(other, part))
        });
        let extensions = self.extensions.iter().filter(|part| !there.extensions.iter().any(|e| Arc::ptr_eq(e, part)));
        Leaving {
            held: held.filter(|held| !held.is_empty()).collect(),
            exporters: exporters.map(|(_, part)| part.clone()).collect(),
            extensions: extensions.cloned().collect(),
            gone: self.gone_from(there),
            ..Leaving::default()
        }
    }

    /// The reporters of components that are here and not there.
    fn gone_from(&self, there: &Parts) -> Vec<Reporter> {
        let exporters = self.exporters.iter().filter(|(key, _)| !there.exporters.contains_key(*key));
        let exporters = exporters.map(|(_, part)| &part.reporter);
        let extensions = self.extensions.iter().filter(|part| !there.extensions.iter().any(|e| e.id == part.id));
        let extensions = extensions.map(|part| &part.reporter);
        let receivers = self.receivers.iter().filter(|(id, _)| !there.receivers.contains_key(*id));
        let receivers = receivers.map(|(_, part)| &part.context.reporter);
        let stages = self.stages.iter().filter(|((_, id), _)| !there.stages.keys().any(|(_, other)| other == id));
        let stages = stages.map(|(_, part)| &part.reporter);
        exporters.chain(extensions).chain(receivers).chain(stages).cloned().collect()
    }
}

impl Leaving {
    /// Closes it all from the near end until then.
    pub(super) async fn go(self, live: Arc<Mutex<Live>>, deadline: Instant) {
        let _ = timeout_at(half_way(deadline), join_all(self.ways.iter().map(OldWay::left))).await;
        let mut unfinished = close_in_order(&self.held, half_way(deadline)).await;
        if let Some(before) = &self.before {
            let _ = timeout_at(deadline, before.cancelled()).await;
        }
        self.emptied.cancel();
        let lost = join_all(self.exporters.iter().map(|e| e.delivery.close(deadline))).await;
        let going = Live { held: Vec::new(), exporters: self.exporters, extensions: self.extensions };
        let until = deadline.max(Instant::now() + GOODBYE);
        unfinished.extend(going.close_exporters(until).await);
        unfinished.extend(going.close_extensions(until).await);
        {
            let mut live = lock(&live);
            live.held.retain(|held| !self.held.iter().any(|other| is_same(held, other)));
            live.exporters.retain(|e| !going.exporters.iter().any(|other| Arc::ptr_eq(e, other)));
            live.extensions.retain(|e| !going.extensions.iter().any(|other| Arc::ptr_eq(e, other)));
        }
        going.exporters.iter().for_each(|e| e.closed.cancel());
        self.gone.iter().for_each(Reporter::gone);
        StopReport::new(lost, unfinished).tell();
    }
}

pub(super) fn is_same(held: &[Arc<Holder>], other: &[Arc<Holder>]) -> bool {
    held.len() == other.len() && held.iter().zip(other).all(|(a, b)| Arc::ptr_eq(a, b))
}

impl Live {
    /// Of what opens something.
    pub(super) fn reporters(&self) -> impl Iterator<Item = &Reporter> {
        let extensions = self.extensions.iter().map(|part| &part.reporter);
        self.exporters.iter().map(|part| &part.reporter).chain(extensions)
    }

    /// Closes the exporters that are open; those that did not end until then.
    pub(super) async fn close_exporters(&self, until: Instant) -> Vec<String> {
        join_all(self.exporters.iter().map(|e| e.shut(until))).await.into_iter().flatten().collect()
    }

    /// Closes the extensions that are open, the last first; those that did not end until then.
    pub(super) async fn close_extensions(&self, until: Instant) -> Vec<String> {
        let mut unfinished = Vec::new();
        for extension in self.extensions.iter().rev() {
            unfinished.extend(extension.shut(until).await);
        }
        unfinished
    }
}

/// Closes the processors of each pipeline, one after the other; those that did not end until then.
pub(super) async fn close_in_order(held: &[Vec<Arc<Holder>>], until: Instant) -> Vec<String> {
    let closing = held.iter().map(|held| async move {
        let mut unfinished = Vec::new();
        for holder in held {
            if timeout_at(until, holder.consumer.close()).await.is_err() {
                unfinished.push(format!("{} {}", Kind::Processor, holder.id));
            }
        }
        unfinished
    });
    join_all(closing).await.into_iter().flatten().collect()
}
