//! From a plan to components that are joined and have opened nothing: all errors at once. What is the same in a graph that
//! runs already is taken from there, with its state.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::parts::{ExporterPart, ExtensionPart, Origin, Parts, ReceiverPart, Slot};
use super::report::Reloaded;
use super::supervise;
use super::switch::Switch;
use super::witness::Witness;
use super::{Failure, Graph, Surroundings, Turn};
use crate::batch::Signal;
use crate::component::{Context, Error, Exporter, Receiver, Stage};
use crate::config::ComponentId;
use crate::delivery::{Delivery, Storage};
use crate::doors::{Doors, Owner};
use crate::extensions::Extensions;
use crate::plan::{Pipeline, Plan, PlannedExporter, Print};
use crate::shared::Shared;
use crate::telemetry::{Drops, Kind, ProcessorCounts, Reporter};

impl Graph {
    /// Builds every component that a pipeline uses and joins them; opens nothing.
    ///
    /// # Errors
    /// Everything that could not be built.
    pub fn build(plan: &Plan, surroundings: &Surroundings) -> Result<Graph, Vec<Failure>> {
        Graph::build_beside(plan, &plan.data_dir, surroundings, &TaskTracker::new(), &Parts::default())
    }

    /// The same, with what is unchanged of a graph that runs.
    pub(super) fn build_beside(
        plan: &Plan,
        data_dir: &Path,
        surroundings: &Surroundings,
        tasks: &TaskTracker,
        before: &Parts,
    ) -> Result<Graph, Vec<Failure>> {
        let mut builder = Builder {
            plan,
            data_dir,
            surroundings,
            before,
            tasks: tasks.clone(),
            extensions: Extensions::new(),
            kept: BTreeSet::new(),
            parts: Parts::default(),
            turns: Vec::new(),
            instances: BTreeMap::new(),
            reporters: Vec::new(),
            failures: Vec::new(),
            witness: None,
        };
        builder.extensions();
        builder.exporters();
        let stages: Vec<_> = plan.pipelines.iter().map(|pipeline| builder.stages(pipeline)).collect();
        builder.receivers();
        if builder.failures.is_empty() {
            builder.join(stages);
        }
        let Builder { parts, turns, instances, reporters, failures, .. } = builder;
        if !failures.is_empty() {
            reporters.iter().for_each(Reporter::gone);
            return Err(failures);
        }
        Ok(Graph {
            reloaded: Reloaded::between(before, &parts),
            parts,
            turns,
            instances,
            surroundings: surroundings.clone(),
            tasks: tasks.clone(),
            shutdown_timeout: plan.shutdown_timeout,
            pipelines: plan.pipelines.clone(),
        })
    }
}

pub(super) struct Builder<'a> {
    pub(super) plan: &'a Plan,
    data_dir: &'a Path,
    pub(super) surroundings: &'a Surroundings,
    pub(super) before: &'a Parts,
    tasks: TaskTracker,
    extensions: Extensions,
    /// Extensions that are the same as before.
    kept: BTreeSet<ComponentId>,
    pub(super) parts: Parts,
    /// What is to be turned when the new graph takes over.
    pub(super) turns: Vec<Turn>,
    /// Receivers that are to be started.
    instances: BTreeMap<ComponentId, Box<dyn Receiver>>,
    /// Those of components that were not there before.
    reporters: Vec<Reporter>,
    pub(super) failures: Vec<Failure>,
    /// Of the component that was given a context last.
    witness: Option<Arc<Witness>>,
}

/// A processor that is built but not joined.
pub(super) struct BuiltStage {
    pub(super) id: ComponentId,
    pub(super) counts: ProcessorCounts,
    /// What there is to join: new, or as it was before.
    pub(super) stage: Option<(Stage, Origin)>,
    pub(super) reporter: Reporter,
}

impl Builder<'_> {
    fn print(&self, kind: Kind, id: &ComponentId) -> Option<Print> {
        self.plan.prints.get(&(kind, id.clone())).copied()
    }

    /// What a component is given, and a witness of what it reads while it is built.
    fn context(
        &mut self,
        kind: Kind,
        id: &ComponentId,
        pipeline: &str,
        signal: Option<Signal>,
    ) -> (Context, Arc<Witness>) {
        let Surroundings { doors, meter, pages, health } = self.surroundings;
        let doors = doors.of(&Owner { kind, id: id.clone() });
        let witness = Witness::of(doors.files.clone());
        self.witness = Some(witness.clone());
        let reporter = health.reporter(kind, id, signal.filter(|_| kind == Kind::Exporter));
        if !self.before.has(kind, id, signal) {
            self.reporters.push(reporter.clone());
        }
        let context = Context {
            id: id.clone(),
            pipeline: pipeline.into(),
            signal,
            meter: meter.clone(),
            drops: Drops::new(meter, id).of(kind),
            doors: Doors { files: witness.clone(), ..doors },
            pages: pages.clone(),
            shared: Shared::default(),
            data_dir: self.data_dir.to_owned(),
            extensions: self.extensions.for_one(),
            health: health.clone(),
            reporter,
            tasks: self.tasks.clone(),
        };
        (context, witness)
    }

    /// The component that was given a context last cannot be built.
    fn fails(&mut self, kind: Kind, id: &ComponentId, message: impl fmt::Display) {
        let mut failure = Failure::new(kind, id, message);
        self.witness.iter().for_each(|witness| witness.tell(&mut failure.read));
        self.failures.push(failure);
    }

    fn extensions(&mut self) {
        for (id, build) in &self.plan.extensions {
            let print = self.print(Kind::Extension, id);
            if let Some(same) = self.before.extensions.iter().find(|e| e.id == *id && e.origin.is(print, &self.kept)) {
                self.kept.insert(id.clone());
                self.extensions.add(id.clone(), same.slot.instance());
                self.parts.extensions.push(same.clone());
                continue;
            }
            let (context, witness) = self.context(Kind::Extension, id, "", None);
            let context = Context { tasks: TaskTracker::new(), ..context };
            let extensions = context.extensions.clone();
            match build(context.clone()) {
                Ok(extension) => {
                    witness.is_over();
                    self.extensions.add(id.clone(), extension.clone());
                    self.parts.extensions.push(Arc::new(ExtensionPart {
                        id: id.clone(),
                        origin: Origin { print, witness, extensions },
                        slot: Slot::new(extension),
                        build: build.clone(),
                        reporter: context.reporter.clone(),
                        tasks: context.tasks.clone(),
                        context,
                    }));
                }
                Err(error) => self.fails(Kind::Extension, id, error),
            }
        }
    }

    fn exporters(&mut self) {
        for pipeline in &self.plan.pipelines {
            let signal = pipeline.id.signal;
            for id in &pipeline.exporters {
                let key = (id.clone(), signal);
                let Some(planned) = self.plan.exporters.get(id).filter(|_| !self.parts.exporters.contains_key(&key))
                else {
                    continue;
                };
                let print = self.print(Kind::Exporter, id);
                let shared = self.before.exporters_shared.get(id).cloned().unwrap_or_default();
                self.parts.exporters_shared.entry(id.clone()).or_insert(shared);
                let before = self.before.exporters.get(&key);
                let part = match before.filter(|before| before.origin.is(print, &self.kept)) {
                    Some(same) => Ok(same.clone()),
                    None => self.exporter(planned, id, signal, print, before).map(Arc::new),
                };
                match part {
                    Ok(part) => drop(self.parts.exporters.insert(key, part)),
                    Err(error) => self.fails(Kind::Exporter, id, error),
                }
            }
        }
    }

    fn exporter(
        &mut self,
        planned: &PlannedExporter,
        id: &ComponentId,
        signal: Signal,
        print: Option<Print>,
        before: Option<&Arc<ExporterPart>>,
    ) -> Result<ExporterPart, Error> {
        let (context, witness) = self.context(Kind::Exporter, id, "", Some(signal));
        let shared = self.parts.exporters_shared.get(id).cloned().unwrap_or_default();
        let context = Context { shared, ..context };
        let extensions = context.extensions.clone();
        let exporter: Arc<dyn Exporter> = (planned.build)(context.clone())?.into();
        witness.is_over();
        let slot = Arc::new(Slot::new(exporter));
        let settings = planned.delivery.clone();
        let meter = &self.surroundings.meter;
        let delivery = Delivery::new(settings, id.clone(), signal, slot.clone(), meter);
        delivery.report_to(context.reporter.clone());
        if let Some(storage) = self.storage(id, planned, signal)? {
            delivery.store_in(storage);
        }
        let delivery = match before {
            Some(before) => delivery.after(&before.delivery),
            None => delivery,
        };
        Ok(ExporterPart {
            id: id.clone(),
            signal,
            origin: Origin { print, witness, extensions },
            slot,
            delivery,
            build: planned.build.clone(),
            reporter: context.reporter.clone(),
            context,
            closed: CancellationToken::new(),
        })
    }

    /// Where the exporter's queue is on disk, if it is to be.
    fn storage(&self, id: &ComponentId, planned: &PlannedExporter, signal: Signal) -> Result<Option<Storage>, Error> {
        let Some(name) = &planned.delivery.queue.storage else { return Ok(None) };
        let extension = self.extensions.find(name).map_err(|error| format!("sending_queue.storage: {error}"))?;
        let storage = extension.storage().ok_or_else(|| format!("sending_queue.storage: '{name}' stores nothing"))?;
        Ok(Some(Storage {
            files: self.surroundings.doors.files.clone(),
            clock: self.surroundings.doors.clock,
            journal: storage.journal(self.data_dir, id, signal),
            max_bytes: storage.most_bytes(),
        }))
    }

    fn stages(&mut self, pipeline: &Pipeline) -> Vec<BuiltStage> {
        let mut stages = Vec::new();
        for id in &pipeline.processors {
            let print = self.print(Kind::Processor, id);
            let before = self.before.stages.get(&(pipeline.id.clone(), id.clone()));
            if let Some(same) = before.filter(|before| before.origin.is(print, &self.kept)) {
                self.shared(id, print);
                let (counts, reporter) = (same.counts.clone(), same.reporter.clone());
                stages.push(BuiltStage { id: id.clone(), counts, stage: None, reporter });
            } else {
                stages.extend(self.stage(pipeline, id));
            }
        }
        stages
    }

    /// Builds a processor; a failure is noted.
    pub(super) fn stage(&mut self, pipeline: &Pipeline, id: &ComponentId) -> Option<BuiltStage> {
        let build = self.plan.processors.get(id)?;
        let print = self.print(Kind::Processor, id);
        let name = pipeline.id.to_string();
        let (context, witness) = self.context(Kind::Processor, id, &name, Some(pipeline.id.signal));
        let context = Context { shared: self.shared(id, print), ..context };
        let (drops, reporter, extensions) =
            (context.drops.clone(), context.reporter.clone(), context.extensions.clone());
        match build(context) {
            Ok(stage) => {
                witness.is_over();
                let counts = ProcessorCounts::new(&self.surroundings.meter, id, pipeline.id.signal);
                if matches!(stage, Stage::Holding(_)) {
                    drops.takes_from(counts.flow.in_flight.clone());
                }
                Some(BuiltStage {
                    id: id.clone(),
                    counts,
                    stage: Some((stage, Origin { print, witness, extensions })),
                    reporter,
                })
            }
            Err(error) => {
                let message = format!("{error} (pipeline {name})");
                self.fails(Kind::Processor, id, message);
                None
            }
        }
    }

    /// What the instances of a processor share: with those before, where the processor is the same.
    fn shared(&mut self, id: &ComponentId, print: Option<Print>) -> Shared {
        let before = self.before.shared.get(id).filter(|_| {
            let mut instances = self.before.stages.iter().filter(|((_, stage), _)| stage == id);
            instances.all(|(_, stage)| stage.origin.is(print, &self.kept))
        });
        self.parts.shared.entry(id.clone()).or_insert_with(|| before.cloned().unwrap_or_default()).clone()
    }

    fn receivers(&mut self) {
        for (id, build) in &self.plan.receivers {
            if !self.plan.pipelines.iter().any(|p| p.receivers.contains(id)) {
                continue;
            }
            let print = self.print(Kind::Receiver, id);
            if let Some(same) = self.before.receivers.get(id).filter(|before| before.origin.is(print, &self.kept)) {
                self.parts.receivers.insert(id.clone(), same.clone());
                continue;
            }
            let (context, witness) = self.context(Kind::Receiver, id, "", None);
            let extensions = context.extensions.clone();
            match build(context.clone()) {
                Ok(receiver) => {
                    witness.is_over();
                    self.instances.insert(id.clone(), receiver);
                    let part = ReceiverPart {
                        id: id.clone(),
                        origin: Origin { print, witness, extensions },
                        switches: Signal::ALL.map(|_| Switch::to(None)),
                        outputs: crate::component::Outputs::none(),
                        build: build.clone(),
                        context,
                        panics: supervise::panics(&self.surroundings.meter, id),
                    };
                    self.parts.receivers.insert(id.clone(), Arc::new(part));
                }
                Err(error) => self.fails(Kind::Receiver, id, error),
            }
        }
    }
}

impl Parts {
    /// Whether there is such a component.
    fn has(&self, kind: Kind, id: &ComponentId, signal: Option<Signal>) -> bool {
        match kind {
            Kind::Receiver => self.receivers.contains_key(id),
            Kind::Processor => self.stages.keys().any(|(_, stage)| stage == id),
            Kind::Exporter => self.exporters.keys().any(|(exporter, s)| exporter == id && Some(*s) == signal),
            Kind::Extension => self.extensions.iter().any(|extension| extension.id == *id),
        }
    }
}
