//! From a plan to components that are joined and have opened nothing: all errors at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio_util::task::TaskTracker;

use super::chain::{Chain, Step};
use super::edge::{Entrance, Exit, ReceiverEdge};
use super::fan_out::fan_out;
use super::supervise::Supervised;
use super::{BuiltExporter, BuiltExtension, Failure, Graph, Held, Surroundings};
use crate::batch::Signal;
use crate::component::{BuildHolding, Consumer, Context, Error, Exporter, Outputs, Processor, Stage};
use crate::config::ComponentId;
use crate::delivery::{BatchSettings, Delivery, Storage};
use crate::doors::Owner;
use crate::extensions::Extensions;
use crate::plan::{Pipeline, Plan, PlannedExporter};
use crate::shared::Shared;
use crate::telemetry::{Drops, Kind, ProcessorCounts};

impl Graph {
    /// Builds every component that a pipeline uses and joins them; opens nothing.
    ///
    /// # Errors
    /// Everything that could not be built.
    pub fn build(plan: &Plan, surroundings: &Surroundings) -> Result<Graph, Vec<Failure>> {
        let mut builder = Builder {
            plan,
            surroundings,
            tasks: TaskTracker::new(),
            extensions: Extensions::new(),
            shared: BTreeMap::new(),
            failures: Vec::new(),
        };
        let extensions = builder.extensions();
        let exporters = builder.exporters();
        let stages: Vec<_> = plan.pipelines.iter().map(|pipeline| builder.stages(pipeline)).collect();
        let receivers = builder.receivers();
        if !builder.failures.is_empty() {
            return Err(builder.failures);
        }
        let mut holding = Vec::new();
        let mut entrances = Vec::new();
        for (pipeline, stages) in plan.pipelines.iter().zip(stages) {
            let (entrance, held) = builder.join(pipeline, stages, &exporters);
            holding.push(held);
            entrances.push(entrance);
        }
        let receivers = receivers.into_iter().map(|(id, build)| builder.connect(id, build, plan, &entrances)).collect();
        let (exporters, deliveries) = exporters
            .into_iter()
            .map(|((id, signal), (exporter, delivery))| {
                let reporter = surroundings.health.reporter(Kind::Exporter, &id, Some(signal));
                (BuiltExporter { id, signal, exporter, reporter }, delivery)
            })
            .unzip();
        let meter = surroundings.meter.clone();
        Ok(Graph { extensions, receivers, holding, deliveries, exporters, tasks: builder.tasks, meter })
    }
}

struct Builder<'a> {
    plan: &'a Plan,
    surroundings: &'a Surroundings,
    tasks: TaskTracker,
    extensions: Extensions,
    /// What the instances of a processor share, by its id.
    shared: BTreeMap<ComponentId, Shared>,
    failures: Vec<Failure>,
}

/// One instance for each id and signal, whatever pipelines share it.
type Exporters = BTreeMap<(ComponentId, Signal), (Arc<dyn Exporter>, Delivery)>;

/// A receiver that is built but not joined to pipelines, and what builds it anew.
type Receiver = (ComponentId, super::supervise::Instance);

/// A processor that is built but not joined.
struct BuiltStage {
    id: ComponentId,
    counts: ProcessorCounts,
    stage: Stage,
}

impl Builder<'_> {
    fn context(&self, kind: Kind, id: &ComponentId, pipeline: &str, signal: Option<Signal>) -> Context {
        let Surroundings { doors, meter, pages, health } = self.surroundings;
        Context {
            id: id.clone(),
            pipeline: pipeline.into(),
            signal,
            meter: meter.clone(),
            drops: Drops::new(meter, id).of(kind),
            doors: doors.of(&Owner { kind, id: id.clone() }),
            pages: pages.clone(),
            shared: Shared::default(),
            data_dir: self.plan.data_dir.clone(),
            extensions: self.extensions.clone(),
            health: health.clone(),
            reporter: health.reporter(kind, id, signal.filter(|_| kind == Kind::Exporter)),
            tasks: self.tasks.clone(),
        }
    }

    fn extensions(&mut self) -> Vec<BuiltExtension> {
        let mut built = Vec::new();
        for (id, build) in &self.plan.extensions {
            let context = Context { tasks: TaskTracker::new(), ..self.context(Kind::Extension, id, "", None) };
            let (tasks, reporter) = (context.tasks.clone(), context.reporter.clone());
            match build(context) {
                Ok(extension) => {
                    self.extensions.add(id.clone(), extension.clone());
                    built.push(BuiltExtension { id: id.clone(), extension, reporter, tasks });
                }
                Err(error) => self.failures.push(Failure::new(Kind::Extension, id, error)),
            }
        }
        built
    }

    fn exporters(&mut self) -> Exporters {
        let mut exporters = Exporters::new();
        for pipeline in &self.plan.pipelines {
            let signal = pipeline.id.signal;
            for id in &pipeline.exporters {
                let key = (id.clone(), signal);
                let Some(planned) = self.plan.exporters.get(id).filter(|_| !exporters.contains_key(&key)) else {
                    continue;
                };
                match (planned.build)(self.context(Kind::Exporter, id, "", Some(signal))) {
                    Ok(exporter) => {
                        let exporter: Arc<dyn Exporter> = exporter.into();
                        let settings = planned.delivery.clone();
                        let meter = &self.surroundings.meter;
                        let delivery = Delivery::new(settings, id.clone(), signal, exporter.clone(), meter);
                        match self.storage(id, planned, signal) {
                            Ok(Some(storage)) => delivery.store_in(storage),
                            Ok(None) => {}
                            Err(error) => self.failures.push(Failure::new(Kind::Exporter, id, error)),
                        }
                        exporters.insert(key, (exporter, delivery));
                    }
                    Err(error) => self.failures.push(Failure::new(Kind::Exporter, id, error)),
                }
            }
        }
        exporters
    }

    /// Where the exporter's queue is on disk, if it is to be.
    fn storage(&self, id: &ComponentId, planned: &PlannedExporter, signal: Signal) -> Result<Option<Storage>, Error> {
        let Some(name) = &planned.delivery.queue.storage else { return Ok(None) };
        let extension = self.extensions.find(name).map_err(|error| format!("sending_queue.storage: {error}"))?;
        let storage = extension.storage().ok_or_else(|| format!("sending_queue.storage: '{name}' stores nothing"))?;
        Ok(Some(Storage {
            files: self.surroundings.doors.files.clone(),
            clock: self.surroundings.doors.clock,
            journal: storage.journal(&self.plan.data_dir, id, signal),
            max_bytes: storage.most_bytes(),
        }))
    }

    fn stages(&mut self, pipeline: &Pipeline) -> Vec<BuiltStage> {
        let mut stages = Vec::new();
        let name = pipeline.id.to_string();
        for id in &pipeline.processors {
            let Some(build) = self.plan.processors.get(id) else { continue };
            let shared = self.shared.entry(id.clone()).or_default().clone();
            let context = Context { shared, ..self.context(Kind::Processor, id, &name, Some(pipeline.id.signal)) };
            let drops = context.drops.clone();
            match build(context) {
                Ok(stage) => {
                    let counts = ProcessorCounts::new(&self.surroundings.meter, id, pipeline.id.signal);
                    if matches!(stage, Stage::Holding(_)) {
                        drops.takes_from(counts.flow.in_flight.clone());
                    }
                    stages.push(BuiltStage { id: id.clone(), counts, stage });
                }
                Err(error) => {
                    let message = format!("{error} (pipeline {name})");
                    self.failures.push(Failure::new(Kind::Processor, id, message));
                }
            }
        }
        stages
    }

    fn receivers(&mut self) -> Vec<Receiver> {
        let mut receivers = Vec::new();
        for (id, build) in &self.plan.receivers {
            if !self.plan.pipelines.iter().any(|p| p.receivers.contains(id)) {
                continue;
            }
            let context = self.context(Kind::Receiver, id, "", None);
            match build(context.clone()) {
                Ok(receiver) => receivers.push((id.clone(), (receiver, build.clone(), context))),
                Err(error) => self.failures.push(Failure::new(Kind::Receiver, id, error)),
            }
        }
        receivers
    }

    /// Joins a pipeline from its far end; answers what takes its batches, and its processors that hold data.
    fn join(&self, pipeline: &Pipeline, stages: Vec<BuiltStage>, exporters: &Exporters) -> (Arc<dyn Consumer>, Held) {
        let batch = batching(&stages);
        let signal = pipeline.id.signal;
        let fronts = pipeline.exporters.iter().filter_map(|id| exporters.get(&(id.clone(), signal)));
        let mut next = fan_out(fronts.map(|(_, delivery)| delivery.front(batch.clone())).collect());
        let mut steps = Vec::new();
        let mut held = Held::new();
        for BuiltStage { id, counts, stage } in stages.into_iter().rev() {
            match stage {
                Stage::Plain(processor) => steps.push(Step::new(counts, Some(processor))),
                Stage::Batching(_) => steps.push(Step::new(counts, None)),
                Stage::Holding(hold) => {
                    next = chain(&mut steps, next);
                    next = holder(hold, counts, next);
                    held.push((id, next.clone()));
                }
            }
        }
        held.reverse();
        (chain(&mut steps, next), held)
    }

    /// Joins a receiver to its pipelines.
    fn connect(
        &self,
        id: ComponentId,
        instance: super::supervise::Instance,
        plan: &Plan,
        entrances: &[Arc<dyn Consumer>],
    ) -> Supervised {
        let mut outputs = Outputs::none();
        for signal in Signal::ALL {
            let takes = |p: &Pipeline| p.id.signal == signal && p.receivers.contains(&id);
            let branches = plan.pipelines.iter().zip(entrances).filter(|(p, _)| takes(p)).map(|(_, e)| e.clone());
            let branches: Vec<_> = branches.collect();
            if !branches.is_empty() {
                let edge = ReceiverEdge::new(&self.surroundings.meter, &id, signal, fan_out(branches));
                outputs = outputs.with(signal, Arc::new(edge));
            }
        }
        Supervised::new(id, instance, outputs, &self.surroundings.meter)
    }
}

/// What the pipeline's `batch` processor asks for; the last where there are several.
fn batching(stages: &[BuiltStage]) -> Option<(ComponentId, BatchSettings)> {
    stages.iter().rev().find_map(|stage| match &stage.stage {
        Stage::Batching(settings) => Some((stage.id.clone(), settings.clone())),
        Stage::Plain(_) | Stage::Holding(_) => None,
    })
}

/// The processors collected so far, last first, before `next`.
fn chain(steps: &mut Vec<Step>, next: Arc<dyn Consumer>) -> Arc<dyn Consumer> {
    if steps.is_empty() {
        return next;
    }
    let mut steps = std::mem::take(steps);
    steps.reverse();
    Arc::new(Chain::new(steps, next))
}

fn holder(hold: BuildHolding, counts: ProcessorCounts, next: Arc<dyn Consumer>) -> Arc<dyn Consumer> {
    let inner = hold(Arc::new(Exit::new(counts.clone(), next)));
    Arc::new(Entrance::new(counts, inner))
}

impl Step {
    fn new(counts: ProcessorCounts, processor: Option<Box<dyn Processor>>) -> Step {
        Step { counts, processor }
    }
}
