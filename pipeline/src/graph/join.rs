//! Joins what is built: each pipeline from its far end, then the receivers to their pipelines. What runs already stays as it
//! is; how it is to be turned is noted.

use std::sync::Arc;

use super::build::{Builder, BuiltStage};
use super::chain::{Chain, Step};
use super::edge::{Entrance, Exit, ReceiverEdge};
use super::fan_out::fan_out;
use super::parts::{Front, Holder, ReceiverPart, StagePart, Work};
use super::switch::Switch;
use crate::batch::Signal;
use crate::component::{BuildHolding, Consumer, Outputs, Stage};
use crate::config::ComponentId;
use crate::delivery::BatchSettings;
use crate::plan::{Pipeline, PipelineId};
use crate::telemetry::ProcessorCounts;

impl Builder<'_> {
    /// Joins everything.
    pub(super) fn join(&mut self, stages: Vec<Vec<BuiltStage>>) {
        let plan = self.plan;
        let mut entrances = Vec::new();
        for (pipeline, stages) in plan.pipelines.iter().zip(stages) {
            entrances.push(self.pipeline(pipeline, stages));
        }
        for (id, part) in self.parts.receivers.clone() {
            let outputs = Signal::ALL.map(|signal| {
                let takes = |p: &Pipeline| p.id.signal == signal && p.receivers.contains(&id);
                let pipelines = plan.pipelines.iter().zip(&entrances).filter(|(p, _)| takes(p));
                let branches: Vec<_> = pipelines.map(|(_, entrance)| entrance.clone()).collect();
                (!branches.is_empty()).then(|| fan_out(branches))
            });
            let runs = self.before.receivers.get(&id).is_some_and(|before| Arc::ptr_eq(before, &part));
            if runs {
                self.turns.extend(part.switches.iter().cloned().zip(outputs));
            } else {
                self.parts.receivers.insert(id, Arc::new(self.connect(&part, outputs)));
            }
        }
    }

    /// A new receiver with its edges.
    fn connect(&self, part: &ReceiverPart, next: [Option<Arc<dyn Consumer>>; 3]) -> ReceiverPart {
        let switches = next.map(Switch::to);
        let mut outputs = Outputs::none();
        for (signal, switch) in Signal::ALL.into_iter().zip(&switches) {
            let edge = ReceiverEdge::new(&self.surroundings.meter, &part.id, signal, switch.clone());
            outputs = outputs.with(signal, Arc::new(edge));
        }
        ReceiverPart {
            id: part.id.clone(),
            origin: part.origin.clone(),
            switches,
            outputs,
            build: part.build.clone(),
            context: part.context.clone(),
            panics: part.panics.clone(),
        }
    }

    /// What takes a pipeline's batches.
    fn pipeline(&mut self, pipeline: &Pipeline, stages: Vec<BuiltStage>) -> Arc<dyn Consumer> {
        let batch = self.batching(pipeline, &stages);
        let mut next = fan_out(self.fronts(pipeline, batch.as_ref()));
        let mut steps = Vec::new();
        let mut held = Vec::new();
        for stage in stages.into_iter().rev() {
            let id = stage.id.clone();
            let Some(part) = self.part(pipeline, stage, &mut steps, &mut next) else { continue };
            match &part.work {
                Work::Plain(processor) => {
                    steps.push(Step { counts: part.counts.clone(), processor: Some(processor.clone()) });
                }
                Work::Batching(_) => steps.push(Step { counts: part.counts.clone(), processor: None }),
                Work::Holding(holder) => {
                    next = holder.consumer.clone();
                    held.push(holder.clone());
                }
            }
            self.parts.stages.insert((pipeline.id.clone(), id), part);
        }
        held.reverse();
        self.parts.held.push(held);
        chain(&mut steps, next)
    }

    /// A stage at its place. Before one that holds data, the processors behind it, collected in `steps`, become `next`.
    fn part(
        &mut self,
        pipeline: &Pipeline,
        built: BuiltStage,
        steps: &mut Vec<Step>,
        next: &mut Arc<dyn Consumer>,
    ) -> Option<Arc<StagePart>> {
        let BuiltStage { id, counts, stage, reporter } = built;
        let (stage, origin) = match stage {
            Some(new) => new,
            None => {
                let same = self.before.stages.get(&(pipeline.id.clone(), id.clone()))?.clone();
                let Work::Holding(holder) = &same.work else { return Some(same) };
                *next = chain(steps, next.clone());
                if holder.early == next.answers_from_memory() {
                    self.turns.push((holder.exit.clone(), Some(next.clone())));
                    return Some(same);
                }
                // It was told another thing about what is behind it.
                self.stage(pipeline, &id)?.stage?
            }
        };
        let work = match stage {
            Stage::Plain(processor) => Work::Plain(processor.into()),
            Stage::Batching(settings) => Work::Batching(settings),
            Stage::Holding(hold) => {
                *next = chain(steps, next.clone());
                Work::Holding(Arc::new(holder(id, hold, &counts, next.clone())))
            }
        };
        Some(Arc::new(StagePart { origin, reporter, counts, work }))
    }

    /// What the pipeline's `batch` processor asks for; the last where there are several.
    fn batching(&self, pipeline: &Pipeline, stages: &[BuiltStage]) -> Option<(ComponentId, BatchSettings)> {
        stages.iter().rev().find_map(|built| {
            let settings = match &built.stage {
                Some((Stage::Batching(settings), _)) => settings,
                Some(_) => return None,
                None => match &self.before.stages.get(&(pipeline.id.clone(), built.id.clone()))?.work {
                    Work::Batching(settings) => settings,
                    Work::Plain(_) | Work::Holding(_) => return None,
                },
            };
            Some((built.id.clone(), settings.clone()))
        })
    }

    /// The pipeline's ways into its exporters' deliveries: those that there are, where nothing about them changes.
    fn fronts(&mut self, pipeline: &Pipeline, batch: Option<&(ComponentId, BatchSettings)>) -> Vec<Arc<dyn Consumer>> {
        let mut consumers = Vec::new();
        for id in &pipeline.exporters {
            let Some(exporter) = self.parts.exporters.get(&(id.clone(), pipeline.id.signal)) else { continue };
            let key: (PipelineId, ComponentId) = (pipeline.id.clone(), id.clone());
            let same = self.before.fronts.get(&key);
            let same = same.filter(|front| Arc::ptr_eq(&front.exporter, exporter) && front.batch.as_ref() == batch);
            let front = same.cloned().unwrap_or_else(|| {
                let consumer = exporter.delivery.front(batch.cloned());
                Arc::new(Front { exporter: exporter.clone(), batch: batch.cloned(), consumer })
            });
            consumers.push(front.consumer.clone());
            self.parts.fronts.insert(key, front);
        }
        consumers
    }
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

fn holder(id: ComponentId, hold: BuildHolding, counts: &ProcessorCounts, next: Arc<dyn Consumer>) -> Holder {
    let early = next.answers_from_memory();
    let exit = Switch::to(Some(next));
    let inner = hold(Arc::new(Exit::new(counts.clone(), exit.clone())));
    Holder { id, consumer: Arc::new(Entrance::new(counts.clone(), inner)), exit, early }
}
