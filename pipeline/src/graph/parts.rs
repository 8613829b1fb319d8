//! The components of a graph, each for itself: what a reload keeps, and what it takes to build one anew.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use prometheus::IntCounter;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Failure;
use super::switch::Switch;
use super::witness::Witness;
use crate::batch::{Batch, Signal};
use crate::component::{BoxFuture, Consumer, Context, Error, Exported, Exporter, Extension, Outputs, Processor};
use crate::config::ComponentId;
use crate::delivery::{BatchSettings, Delivery};
use crate::extensions::Extensions;
use crate::plan::{BuildExporter, BuildExtension, BuildReceiver, PipelineId, Print};
use crate::shared::Shared;
use crate::telemetry::{Kind, ProcessorCounts, Reporter};

/// All components of a graph; clone is another handle on the same ones.
#[derive(Clone, Default)]
pub(super) struct Parts {
    /// In the order of their start.
    pub(super) extensions: Vec<Arc<ExtensionPart>>,
    /// One for each id and signal, whatever pipelines share it.
    pub(super) exporters: BTreeMap<(ComponentId, Signal), Arc<ExporterPart>>,
    /// One for each pipeline and id.
    pub(super) stages: BTreeMap<(PipelineId, ComponentId), Arc<StagePart>>,
    pub(super) receivers: BTreeMap<ComponentId, Arc<ReceiverPart>>,
    /// Where each pipeline hands its batches to each of its exporters.
    pub(super) fronts: BTreeMap<(PipelineId, ComponentId), Arc<Front>>,
    /// The processors that hold data: for each pipeline in the order in which they are closed.
    pub(super) held: Vec<Vec<Arc<Holder>>>,
    /// What the instances of a processor share, by its id.
    pub(super) shared: BTreeMap<ComponentId, Shared>,
    /// What the instances of an exporter share, by its id, be they changed.
    pub(super) exporters_shared: BTreeMap<ComponentId, Shared>,
}

impl Parts {
    /// From what all of them were built.
    pub(super) fn origins(&self) -> impl Iterator<Item = &Origin> {
        let extensions = self.extensions.iter().map(|part| &part.origin);
        let exporters = self.exporters.values().map(|part| &part.origin);
        let stages = self.stages.values().map(|part| &part.origin);
        extensions.chain(exporters).chain(stages).chain(self.receivers.values().map(|part| &part.origin))
    }
}

/// From what a component was built: its config, the files that it read then, the extensions that it asked for.
#[derive(Clone)]
pub(super) struct Origin {
    pub(super) print: Option<Print>,
    pub(super) witness: Arc<Witness>,
    pub(super) extensions: Extensions,
}

impl Origin {
    /// Whether it would be built from the same again, where these extensions are the same.
    pub(super) fn is(&self, print: Option<Print>, kept: &BTreeSet<ComponentId>) -> bool {
        let is_configured_so = self.print.is_some() && self.print == print;
        is_configured_so && self.extensions.found().is_subset(kept) && self.witness.still_holds()
    }
}

pub(super) struct ExtensionPart {
    pub(super) id: ComponentId,
    pub(super) origin: Origin,
    pub(super) slot: Slot<dyn Extension>,
    pub(super) build: BuildExtension,
    pub(super) context: Context,
    pub(super) reporter: Reporter,
    /// Its own tasks: they may live longer than a graph.
    pub(super) tasks: TaskTracker,
}

pub(super) struct ExporterPart {
    pub(super) id: ComponentId,
    pub(super) signal: Signal,
    pub(super) origin: Origin,
    pub(super) slot: Arc<Slot<dyn Exporter>>,
    pub(super) delivery: Delivery,
    pub(super) build: BuildExporter,
    pub(super) context: Context,
    pub(super) reporter: Reporter,
    /// Cancelled when its delivery is closed.
    pub(super) closed: CancellationToken,
}

pub(super) struct StagePart {
    pub(super) origin: Origin,
    pub(super) reporter: Reporter,
    pub(super) counts: ProcessorCounts,
    pub(super) work: Work,
}

/// What a processor does at its place.
pub(super) enum Work {
    Plain(Arc<dyn Processor>),
    /// Delivery does it.
    Batching(BatchSettings),
    Holding(Arc<Holder>),
}

/// A processor that holds data, with its edges.
pub(super) struct Holder {
    pub(super) id: ComponentId,
    pub(super) consumer: Arc<dyn Consumer>,
    pub(super) exit: Arc<Switch>,
    /// What it was told about the answers behind it when it was built.
    pub(super) early: bool,
}

pub(super) struct ReceiverPart {
    pub(super) id: ComponentId,
    pub(super) origin: Origin,
    /// By signal; where no pipeline takes it, the switch leads nowhere.
    pub(super) switches: [Arc<Switch>; 3],
    pub(super) outputs: Outputs,
    pub(super) build: BuildReceiver,
    pub(super) context: Context,
    pub(super) panics: IntCounter,
}

/// A pipeline's way into one delivery.
pub(super) struct Front {
    pub(super) exporter: Arc<ExporterPart>,
    pub(super) batch: Option<(ComponentId, BatchSettings)>,
    pub(super) consumer: Arc<dyn Consumer>,
}

/// One instance, which is replaced only where another of its kind had to leave it a port.
pub(super) struct Slot<T: ?Sized> {
    instance: RwLock<Arc<T>>,
    is_open: AtomicBool,
}

impl<T: ?Sized> Slot<T> {
    pub(super) fn new(instance: Arc<T>) -> Slot<T> {
        Slot { instance: RwLock::new(instance), is_open: AtomicBool::new(false) }
    }

    pub(super) fn instance(&self) -> Arc<T> {
        self.instance.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, instance: Arc<T>) {
        *self.instance.write().unwrap_or_else(PoisonError::into_inner) = instance;
    }

    /// Whether it was open until now: it is to be closed once.
    fn shut(&self) -> bool {
        self.is_open.swap(false, Ordering::AcqRel)
    }
}

impl Exporter for Slot<dyn Exporter> {
    fn export<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Exported> {
        let instance = self.instance();
        Box::pin(async move { instance.export(batch).await })
    }
}

/// What opens something: an exporter, an extension.
pub(super) trait Opens: Send + Sync {
    /// Starts it.
    fn open(&self) -> BoxFuture<'_, Result<(), Error>>;
    /// Closes it, if it is open; what did not end until then.
    fn shut(&self, until: Instant) -> BoxFuture<'_, Option<String>>;
    /// Puts a new instance of itself in its place, which opens nothing yet.
    fn renew(&self) -> Result<(), Error>;
    /// As a failure of this.
    fn failure(&self, error: Error) -> Failure;
    /// Where its state is told.
    fn reporter(&self) -> &Reporter;
    /// Whether that one is to take its place: it has the same name.
    fn is_before(&self, other: &dyn Opens) -> bool {
        self.reporter().is_of_same(other.reporter())
    }
}

impl Opens for ExporterPart {
    fn open(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            self.slot.is_open.store(true, Ordering::Release);
            self.slot.instance().start().await
        })
    }

    fn shut(&self, until: Instant) -> BoxFuture<'_, Option<String>> {
        Box::pin(async move {
            if !self.slot.shut() {
                return None;
            }
            let closed = timeout_at(until, self.slot.instance().close()).await;
            closed.err().map(|_| format!("{} {} ({})", Kind::Exporter, self.id, self.signal))
        })
    }

    fn renew(&self) -> Result<(), Error> {
        self.slot.replace((self.build)(self.context.clone())?.into());
        Ok(())
    }

    fn failure(&self, error: Error) -> Failure {
        Failure::new(Kind::Exporter, &self.id, error)
    }

    fn reporter(&self) -> &Reporter {
        &self.reporter
    }
}

impl Opens for ExtensionPart {
    fn open(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            self.slot.is_open.store(true, Ordering::Release);
            self.slot.instance().start().await
        })
    }

    fn shut(&self, until: Instant) -> BoxFuture<'_, Option<String>> {
        Box::pin(async move {
            if !self.slot.shut() {
                return None;
            }
            let closing = async {
                self.slot.instance().close().await;
                self.tasks.close();
                self.tasks.wait().await;
            };
            let closed = timeout_at(until, closing).await;
            closed.err().map(|_| format!("{} {}", Kind::Extension, self.id))
        })
    }

    fn renew(&self) -> Result<(), Error> {
        let instance = (self.build)(self.context.clone())?;
        self.context.extensions.add(self.id.clone(), instance.clone());
        self.slot.replace(instance);
        Ok(())
    }

    fn failure(&self, error: Error) -> Failure {
        Failure::new(Kind::Extension, &self.id, error)
    }

    fn reporter(&self) -> &Reporter {
        &self.reporter
    }
}
