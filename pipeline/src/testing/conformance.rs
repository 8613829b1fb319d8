//! What every component must do, whatever it does: the conformance kit. Each function panics with what is wrong.
//!
//! Run under paused time (`#[tokio::test(start_paused = true)]`), with a config that is written as in the component's
//! README. A receiver is fed, and an exporter's far side made, by a function of the test.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::{Answer, ScriptedExporter, Sink, World, assert_conserved, batch};
use crate::batch::{Batch, Signal};
use crate::component::{Consumer, Context, Exporter, Life, Processor, Receiver, Refused, Stage};
use crate::config::ComponentId;
use crate::config::testing::{decode, decode_exporter};
use crate::delivery;
use crate::plan::{Pipeline, PipelineId, Plan, PlannedExporter, TelemetryPlan};
use crate::registry::{ExporterFactory, ExtensionFactory, ProcessorFactory, ReceiverFactory};

/// The longest that starting, stopping or one answer may take, in virtual time.
const PATIENCE: Duration = Duration::from_secs(60);

/// A processor: builds from its config, more than once beside itself; answers every batch once; its item counts are
/// exact, and what it takes away is in the drop ledger; it survives a next that refuses, and bytes that are not OTLP;
/// closing twice is harmless, and nothing it held is lost.
pub async fn processor<F: ProcessorFactory>(yaml: &str) {
    describes_itself(F::TYPES, F::SIGNALS, F::ABOUT);
    let config: F::Config = decode(yaml).unwrap_or_else(|errors| panic!("the config does not decode:\n{errors}"));
    for &signal in F::SIGNALS {
        let world = World::new();
        let build = || {
            let context = world.context_for(F::TYPES[0], signal);
            F::build(config.clone(), context).unwrap_or_else(|e| panic!("it does not build for {signal}: {e}"))
        };
        match (build(), build()) {
            (Stage::Plain(processor), Stage::Plain(_)) => plain(&*processor, signal),
            (Stage::Holding(hold), Stage::Holding(_)) => holding(hold, signal).await,
            (Stage::Batching(_), Stage::Batching(_)) => {}
            _ => panic!("it builds a different kind of stage the second time"),
        }
        in_a_graph::<F>(&config, signal).await;
    }
}

fn describes_itself(types: &[&str], signals: &[Signal], about: &str) {
    assert!(!signals.is_empty(), "SIGNALS names at least one");
    is_described(types, about);
}

fn is_described(types: &[&str], about: &str) {
    assert!(!types.is_empty(), "TYPES names at least one");
    for name in types {
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        assert!(name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(is_name), "a type named {name}");
    }
    assert!(about.ends_with('.') && !about.contains('\n'), "ABOUT is one sentence: {about:?}");
}

/// Batches of all shapes: one item, some, several requests, with metadata.
fn shapes(signal: Signal) -> Vec<Batch> {
    let mut several = batch(signal, ["d", "e"]);
    several.append(batch(signal, ["f"]));
    vec![batch(signal, ["a"]), batch(signal, ["b", "c"]), several]
}

/// Bytes that are not OTLP: a truncated envelope, and a leaf that is no message.
fn malformed(signal: Signal) -> Vec<Batch> {
    let leaf = Bytes::from_static(b"\x0a\x09\x12\x07\x12\x05\xff\xff\xff\xff\xff");
    [Bytes::from_static(b"\x0a\x7f\x01"), leaf].map(|bytes| Batch::counted(signal, bytes, 1)).into()
}

fn plain(processor: &dyn Processor, signal: Signal) {
    for batch in shapes(signal) {
        if let Ok(out) = processor.process(batch) {
            assert_eq!(out.signal(), signal, "the signal changed");
            counted_exactly(&out);
        }
    }
    for batch in malformed(signal) {
        let retried = matches!(processor.process(batch), Err(Refused::Retry { .. }));
        assert!(!retried, "bytes that are not OTLP will not be better the next time: reject them");
    }
    let _ = processor.process(Batch::empty(signal));
}

fn counted_exactly(batch: &Batch) {
    let there = Batch::new(batch.signal(), batch.to_bytes()).map(|b| b.items());
    assert_eq!(there, Ok(batch.items()), "the batch says it has so many items");
}

async fn holding(hold: crate::component::BuildHolding, signal: Signal) {
    let sink = Sink::new();
    sink.then(Err(Refused::retry("queue_full", "full"))).then(Err(Refused::reject("http_400", "bad")));
    let stage = hold(sink.consumer());
    for batch in shapes(signal).into_iter().chain(malformed(signal)) {
        let answer = timeout(PATIENCE, stage.consume(batch)).await;
        assert!(answer.is_ok(), "a batch got no answer");
    }
    for time in ["first", "second"] {
        assert!(timeout(PATIENCE, stage.close()).await.is_ok(), "it does not close the {time} time");
    }
    // A stage that does not look inside hands on what is malformed, too.
    let is_otlp = |batch: &&Batch| Batch::new(batch.signal(), batch.to_bytes()).is_ok();
    sink.batches().iter().filter(is_otlp).for_each(counted_exactly);
}

/// The whole way through a graph, where the frame counts at the edges.
async fn in_a_graph<F: ProcessorFactory>(config: &F::Config, signal: Signal) {
    let world = World::new();
    let far = ScriptedExporter::new();
    let sources = Sink::new();
    let (config, id) = (config.clone(), ComponentId::new(F::TYPES[0], "conformance"));
    let mut plan = plan(signal, &far, &sources);
    plan.processors.insert(id.clone(), Arc::new(move |context| F::build(config.clone(), context)));
    plan.pipelines[0].processors.push(id);
    far.then(Answer::retry("http_503")).then(Answer::reject("http_400"));
    let running = match crate::graph::Running::start(&plan, &world.surroundings()).await {
        Ok(running) => running,
        Err(errors) => panic!("it does not start: {errors:?}"),
    };
    tokio::time::sleep(PATIENCE).await;
    let report = running.stop(Instant::now() + PATIENCE).await;
    assert!(report.unfinished.is_empty(), "it does not stop: {report:?}");
    assert_eq!(sources.waiting(), 0, "every batch has its answer");
    assert_conserved(&world.meter);
}

/// One pipeline: a receiver that hands on all shapes and then waits, and a scripted exporter that answers itself.
fn plan(signal: Signal, far: &ScriptedExporter, done: &Sink) -> Plan {
    let (source, sink) = (ComponentId::new("source", ""), ComponentId::new("far", ""));
    let far = far.clone();
    let build = move |_: Context| -> Result<Box<dyn Exporter>, crate::Error> { Ok(Box::new(far.clone())) };
    let exporter = PlannedExporter { build: Arc::new(build), delivery: delivery::Settings::direct() };
    let done = done.clone();
    let receiver = move |_: Context| -> Result<Box<dyn Receiver>, crate::Error> {
        Ok(Box::new(Source { signal, answers: done.clone() }))
    };
    Plan {
        receivers: BTreeMap::from([(source.clone(), Arc::new(receiver) as crate::plan::BuildReceiver)]),
        processors: BTreeMap::new(),
        exporters: BTreeMap::from([(sink.clone(), exporter)]),
        extensions: Vec::new(),
        pipelines: vec![Pipeline {
            id: PipelineId { signal, name: String::new() },
            receivers: vec![source],
            processors: Vec::new(),
            exporters: vec![sink],
        }],
        prints: BTreeMap::new(),
        telemetry: TelemetryPlan::default(),
        shutdown_timeout: PATIENCE,
        data_dir: "/var/lib/slipring".into(),
    }
}

struct Source {
    signal: Signal,
    answers: Sink,
}

impl Receiver for Source {
    fn run(
        self: Box<Self>,
        next: crate::Outputs,
        life: Life,
    ) -> crate::BoxFuture<'static, Result<(), crate::component::Error>> {
        Box::pin(async move {
            life.ready();
            let next = next.signal(self.signal).ok_or("no pipeline")?;
            for batch in shapes(self.signal).into_iter().chain(malformed(self.signal)) {
                let items = batch.clone();
                if next.consume(batch).await.is_ok() {
                    let _ = self.answers.consume(items).await;
                }
            }
            life.stopped().await;
            Ok(())
        })
    }
}

/// A receiver: is ready within a minute, hands on what `feed` brings, goes on when it is refused, stops when it is told
/// to but not before its batches in flight are answered, and can be started again in the same world.
///
/// `feed` brings at least one item in by the receiver's own door, in the world it is given. It is called several times and
/// must not care about the answer.
pub async fn receiver<F: ReceiverFactory>(yaml: &str, feed: impl AsyncFn(&World)) {
    describes_itself(F::TYPES, F::SIGNALS, F::ABOUT);
    let config: F::Config = decode(yaml).unwrap_or_else(|errors| panic!("the config does not decode:\n{errors}"));
    let world = World::new();
    let start = async |sink: &Sink| -> RunningReceiver {
        let receiver = F::build(config.clone(), world.context(F::TYPES[0])).unwrap_or_else(|e| panic!("no build: {e}"));
        RunningReceiver::start(&world, receiver, sink).await
    };

    let refusing = Sink::new();
    refusing.then(Err(Refused::reject("http_400", "bad")));
    refusing.always(Err(Refused::retry("queue_full", "full")));
    let running = start(&refusing).await;
    feed(&world).await;
    patiently("nothing came that could be refused", async {
        while refusing.refused().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    refusing.always(Ok(()));
    feed(&world).await;
    patiently("after a refusal nothing comes any more", refusing.wait_for_items(1)).await;
    running.stop().await;

    let holding = Sink::new();
    holding.hold();
    let running = start(&holding).await;
    let held = async {
        while holding.waiting() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let feeding = async {
        feed(&world).await;
        std::future::pending::<()>().await;
    };
    patiently("nothing came after a restart", async {
        tokio::select! {
            () = held => {}
            () = feeding => {}
        }
    })
    .await;
    // Whoever fed may have gone away with its request; what is in flight then is only what outlives that.
    running.stop_while_held(&holding).await;
    holding.batches().iter().chain(&refusing.batches()).for_each(counted_exactly);
}

struct RunningReceiver {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<Result<(), String>>,
}

impl RunningReceiver {
    async fn start(world: &World, receiver: Box<dyn Receiver>, sink: &Sink) -> RunningReceiver {
        let (stop, ready) = (CancellationToken::new(), Arc::new(Notify::new()));
        let running = receiver.run(sink.outputs(), Life::new(stop.clone(), ready.clone()));
        let task = world.tasks.spawn(async move { running.await.map_err(|e| e.to_string()) });
        patiently("it never says that it is ready", ready.notified()).await;
        RunningReceiver { stop, task }
    }

    async fn stop(self) {
        self.stop.cancel();
        let ended = patiently("it does not stop", self.task).await;
        assert_eq!(ended.unwrap_or_else(|panic| panic!("{panic}")), Ok(()), "a stop is not an error");
    }

    async fn stop_while_held(self, sink: &Sink) {
        self.stop.cancel();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        if sink.waiting() > 0 {
            assert!(!self.task.is_finished(), "it ended before its batch in flight was answered");
        }
        sink.release();
        self.stop().await;
    }
}

async fn patiently<T>(otherwise: &str, wait: impl Future<Output = T>) -> T {
    match timeout(PATIENCE, wait).await {
        Ok(value) => value,
        Err(_) => panic!("{otherwise}"),
    }
}

/// An exporter: builds from its config, more than once beside itself; delivers to the far side that `far` makes in the
/// world it is given; drops at most what is there; says "retry" or delivers where there is no far side; never says
/// "retry" about bytes that are not OTLP; can be given up in the middle of an attempt; closing twice is harmless.
pub async fn exporter<F: ExporterFactory>(yaml: &str, far: impl AsyncFn(&World)) {
    describes_itself(F::TYPES, F::SIGNALS, F::ABOUT);
    let (config, settings) =
        decode_exporter::<F>(yaml).unwrap_or_else(|errors| panic!("the config does not decode:\n{errors}"));
    assert_eq!(settings.check(), [], "delivery's settings");
    for &signal in F::SIGNALS {
        let world = World::new();
        let build = || {
            let context = world.context_for(F::TYPES[0], signal);
            F::build(config.clone(), context).unwrap_or_else(|e| panic!("it does not build for {signal}: {e}"))
        };
        let (exporter, _beside) = (build(), build());
        let started = patiently("it does not start", exporter.start()).await;
        assert!(started.is_ok(), "it does not start: {started:?}");
        let lonely = patiently("no answer without a far side", exporter.export(&batch(signal, ["a"]))).await;
        assert!(!matches!(lonely, Err(Refused::Reject { .. })), "without a far side: {lonely:?}");
        far(&world).await;
        for batch in shapes(signal) {
            let attempt = patiently("no answer", exporter.export(&batch)).await;
            let receipt = attempt.unwrap_or_else(|refused| panic!("{batch:?} was refused: {refused}"));
            let dropped: usize = receipt.dropped.iter().map(|(_, items)| items).sum();
            assert!(dropped <= batch.items(), "dropped {dropped} of {batch:?}");
        }
        for batch in malformed(signal) {
            let attempt = patiently("no answer to bytes that are not OTLP", exporter.export(&batch)).await;
            assert!(!matches!(attempt, Err(Refused::Retry { .. })), "{batch:?} will not be better: {attempt:?}");
        }
        let interrupted = batch(signal, ["x"]);
        let _ = timeout(Duration::ZERO, exporter.export(&interrupted)).await;
        let after = patiently("no answer after one was given up", exporter.export(&batch(signal, ["y"]))).await;
        assert!(after.is_ok(), "after an attempt was given up: {after:?}");
        for time in ["first", "second"] {
            patiently(&format!("it does not close the {time} time"), exporter.close()).await;
        }
    }
}

/// An extension: builds from its config, more than once beside itself; starts; closes twice, after which none of its
/// tasks is left; and can be started again in the same world, so that it has let go of what it held.
pub async fn extension<F: ExtensionFactory>(yaml: &str) {
    is_described(F::TYPES, F::ABOUT);
    let config: F::Config = decode(yaml).unwrap_or_else(|errors| panic!("the config does not decode:\n{errors}"));
    let world = World::new();
    let build = || {
        let tasks = tokio_util::task::TaskTracker::new();
        let context = Context { tasks: tasks.clone(), ..world.context(F::TYPES[0]) };
        (F::build(config.clone(), context).unwrap_or_else(|e| panic!("it does not build: {e}")), tasks)
    };
    for (extension, tasks) in [build(), build()] {
        let started = patiently("it does not start", extension.start()).await;
        assert!(started.is_ok(), "it does not start: {started:?}");
        for time in ["first", "second"] {
            patiently(&format!("it does not close the {time} time"), extension.close()).await;
        }
        tasks.close();
        patiently("it has left a task behind", tasks.wait()).await;
    }
}
