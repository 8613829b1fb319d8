//! Graphs of scripted components: who gets what, in which order things start and stop.

use std::collections::BTreeMap;
use std::sync::Mutex;

use tokio::time::timeout;

use super::*;
use crate::batch::{Batch, Signal};
use crate::component::{
    BoxFuture, Context, Error, Exporter, Extension, Life, Outcome, Outputs, Processor, Reason, Receiver, Refused, Stage,
};
use crate::delivery::{self, BatchSettings, Lost, QueueSettings};
use crate::plan::{Pipeline, PipelineId, PlannedExporter, Print, TelemetryPlan};
use crate::testing::{Answer, ScriptedExporter, World, assert_conserved, batch, count, logs, names};

mod extensions;
mod reload;

/// What happened, in order.
#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    fn note(&self, what: impl fmt::Display) {
        self.0.lock().unwrap().push(what.to_string());
    }

    fn read(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    fn times(&self, what: &str) -> usize {
        self.read().iter().filter(|line| *line == what).count()
    }
}

/// A plan that is made line by line, with the far sides of its exporters.
struct Planned {
    world: World,
    diary: Diary,
    plan: Plan,
    far: BTreeMap<String, ScriptedExporter>,
    near: BTreeMap<String, mpsc::Sender<Asked>>,
    /// The other ends of `near`, for whatever instance has the receiver's name.
    asked: BTreeMap<String, Arc<tokio::sync::Mutex<mpsc::Receiver<Asked>>>>,
}

type Asked = (Batch, tokio::sync::oneshot::Sender<Outcome>);

fn id(text: &str) -> ComponentId {
    let (kind, name) = text.split_once('/').unwrap_or((text, ""));
    ComponentId::new(kind, name)
}

fn ids(text: &str) -> Vec<ComponentId> {
    text.split_whitespace().map(id).collect()
}

impl Planned {
    fn new() -> Planned {
        let plan = Plan {
            receivers: BTreeMap::new(),
            processors: BTreeMap::new(),
            exporters: BTreeMap::new(),
            extensions: Vec::new(),
            pipelines: Vec::new(),
            prints: BTreeMap::new(),
            telemetry: TelemetryPlan::default(),
            shutdown_timeout: Duration::from_secs(10),
            data_dir: "/var/lib/slipring".into(),
        };
        let (far, near, asked) = Default::default();
        Planned { world: World::new(), diary: Diary::default(), plan, far, near, asked }
    }

    /// A plan from the beginning, for the same world.
    fn next(&self) -> Planned {
        let Planned { world, diary, far, near, asked, .. } = self;
        let (world, diary) = (world.clone(), diary.clone());
        Planned { world, diary, far: far.clone(), near: near.clone(), asked: asked.clone(), ..Planned::new() }
    }

    /// The component's config is another one.
    fn changed(mut self, kind: Kind, name: &str, version: u32) -> Planned {
        self.plan.prints.insert((kind, id(name)), Print::of(format!("{name} {version}").as_bytes()));
        self
    }

    fn pipeline(mut self, name: &str, receivers: &str, processors: &str, exporters: &str) -> Planned {
        let (signal, name) = name.split_once('/').unwrap_or((name, ""));
        let id = PipelineId { signal: Signal::from_name(signal).unwrap(), name: name.to_owned() };
        let (receivers, processors, exporters) = (ids(receivers), ids(processors), ids(exporters));
        self.plan.pipelines.push(Pipeline { id, receivers, processors, exporters });
        self
    }

    /// A receiver that hands on what the test gives it.
    fn receiver(mut self, name: &str) -> Planned {
        if !self.near.contains_key(name) {
            let (sender, batches) = mpsc::channel::<Asked>(8);
            self.near.insert(name.to_owned(), sender);
            self.asked.insert(name.to_owned(), Arc::new(tokio::sync::Mutex::new(batches)));
        }
        let batches = self.asked[name].clone();
        let diary = self.diary.clone();
        self.receiver_by(name, move |context| {
            diary.note(format!("build {}", context.id));
            Ok(Box::new(Source { id: context.id, batches: batches.clone(), diary: diary.clone() }))
        })
    }

    fn receiver_by(
        mut self,
        name: &str,
        build: impl Fn(Context) -> Result<Box<dyn Receiver>, Error> + Send + Sync + 'static,
    ) -> Planned {
        self.plan.receivers.insert(id(name), Arc::new(build));
        self.changed(Kind::Receiver, name, 0)
    }

    /// A receiver that does what `run` does.
    fn receiver_that<F>(self, name: &str, run: fn(Outputs, Life) -> F) -> Planned
    where
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        self.receiver_by(name, move |_| Ok(Box::new(Running(Box::new(move |o, l| Box::pin(run(o, l)))))))
    }

    fn processor(mut self, name: &str, build: fn(&Diary, &Context) -> Result<Stage, Error>) -> Planned {
        let diary = self.diary.clone();
        self.plan.processors.insert(id(name), Arc::new(move |context| build(&diary, &context)));
        self.changed(Kind::Processor, name, 0)
    }

    fn exporter(self, name: &str) -> Planned {
        self.exporter_with(name, delivery::Settings::default())
    }

    fn exporter_with(mut self, name: &str, delivery: delivery::Settings) -> Planned {
        let far = self.far.entry(name.to_owned()).or_default().clone();
        let diary = self.diary.clone();
        let build = move |context: Context| -> Result<Box<dyn Exporter>, Error> {
            diary.note(format!("build {} {}", context.id, context.signal.unwrap()));
            Ok(Box::new(Noted { id: context.id, far: far.clone(), diary: diary.clone() }))
        };
        self.plan.exporters.insert(id(name), PlannedExporter { build: Arc::new(build), delivery });
        self.changed(Kind::Exporter, name, 0)
    }

    fn exporter_that_fails(mut self, name: &str, words: &'static str) -> Planned {
        let build = move |_| -> Result<Box<dyn Exporter>, Error> { Err(words.into()) };
        let delivery = delivery::Settings::default();
        self.plan.exporters.insert(id(name), PlannedExporter { build: Arc::new(build), delivery });
        self
    }

    async fn start(&self) -> Result<super::Running, Vec<String>> {
        let started = super::Running::start(&self.plan, &self.world.surroundings()).await;
        started.map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }

    /// Gives a receiver a batch and answers what it got for it.
    async fn send(&self, receiver: &str, batch: Batch) -> Outcome {
        let (answer, outcome) = tokio::sync::oneshot::channel();
        self.near[receiver].send((batch, answer)).await.unwrap();
        outcome.await.unwrap()
    }

    fn delivered(&self, exporter: &str) -> Vec<String> {
        self.far[exporter].delivered().iter().map(|b| names(b).join(" ")).collect()
    }

    fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        count(&self.world.meter, name, labels)
    }
}

struct Source {
    id: ComponentId,
    batches: Arc<tokio::sync::Mutex<mpsc::Receiver<Asked>>>,
    diary: Diary,
}

impl Receiver for Source {
    fn run(self: Box<Self>, next: Outputs, life: Life) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            self.diary.note(format!("run {}", self.id));
            life.ready();
            let mut batches = self.batches.lock().await;
            loop {
                tokio::select! {
                    Some((batch, answer)) = batches.recv() => {
                        let next = next.signal(batch.signal()).cloned();
                        let _ = answer.send(next.unwrap().consume(batch).await);
                    }
                    () = life.stopped() => break,
                }
            }
            self.diary.note(format!("end {}", self.id));
            Ok(())
        })
    }
}

type Run = Box<dyn FnOnce(Outputs, Life) -> BoxFuture<'static, Result<(), Error>> + Send>;

struct Running(Run);

impl Receiver for Running {
    fn run(self: Box<Self>, next: Outputs, life: Life) -> BoxFuture<'static, Result<(), Error>> {
        (self.0)(next, life)
    }
}

/// A scripted exporter that writes its end into the diary.
struct Noted {
    id: ComponentId,
    far: ScriptedExporter,
    diary: Diary,
}

impl Exporter for Noted {
    fn start(&self) -> BoxFuture<'_, Result<(), Error>> {
        self.diary.note(format!("start {}", self.id));
        let taken = self.id.to_string().ends_with("taken");
        Box::pin(async move { if taken { Err("port 9090 is taken".into()) } else { Ok(()) } })
    }

    fn export<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, crate::component::Exported> {
        self.far.export(batch)
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.diary.note(format!("close {}", self.id));
        self.far.close()
    }
}

/// A processor that is a function.
struct Function(fn(Batch) -> Result<Batch, Refused>);

impl Processor for Function {
    fn process(&self, batch: Batch) -> Result<Batch, Refused> {
        (self.0)(batch)
    }
}

fn plain(function: fn(Batch) -> Result<Batch, Refused>) -> Result<Stage, Error> {
    Ok(Stage::Plain(Box::new(Function(function))))
}

/// A processor that holds everything until it is closed.
struct Holder {
    held: Mutex<Vec<Batch>>,
    next: Arc<dyn Consumer>,
    diary: Diary,
    context: Context,
}

impl Consumer for Holder {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Outcome> {
        self.held.lock().unwrap().push(batch);
        Box::pin(async { Ok(()) })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.diary.note(format!("close {}", self.context.id));
            let held = std::mem::take(&mut *self.held.lock().unwrap());
            for batch in held {
                if names(&batch) == ["unwanted"] {
                    self.context.drops.record(batch.signal(), batch.items(), &Reason::new("unwanted", "as it says"));
                } else {
                    let _ = self.next.consume(batch).await;
                }
            }
            self.next.close().await;
        })
    }
}

fn holding(diary: &Diary, context: &Context) -> Result<Stage, Error> {
    let (diary, context) = (diary.clone(), context.clone());
    Ok(Stage::Holding(Box::new(move |next| Arc::new(Holder { held: Mutex::default(), next, diary, context }))))
}

async fn stop(running: super::Running) -> StopReport {
    running.stop(Instant::now() + Duration::from_secs(10)).await
}

async fn stop_cleanly(running: super::Running) {
    let report = stop(running).await;
    assert!(report.is_clean(), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn batches_go_from_receivers_through_processors_to_exporters_and_are_counted_at_every_edge() {
    let planned = Planned::new()
        .receiver("in")
        .processor("twice", |_, _| {
            plain(|mut batch| {
                batch.append(batch.clone());
                Ok(batch)
            })
        })
        .processor("half", |_, _| {
            plain(|batch| {
                let half = batch.parts()[0].clone();
                Ok(Batch::counted(batch.signal(), half, batch.items() / 2))
            })
        })
        .exporter("out")
        .pipeline("logs", "in", "twice half", "out");
    let running = planned.start().await.unwrap();
    assert_eq!(planned.send("in", logs(["a", "b"])).await, Ok(()));
    stop_cleanly(running).await;
    assert_eq!(planned.delivered("out"), ["a b"]);
    assert_eq!(planned.count("otelcol_receiver_accepted_log_records_total", &[("receiver", "in")]), 2);
    let items = |processor, what: &str| {
        planned.count(&format!("otelcol_processor_{what}_items_total"), &[("processor", processor)])
    };
    assert_eq!((items("twice", "incoming"), items("twice", "outgoing")), (2, 4));
    assert_eq!((items("half", "incoming"), items("half", "outgoing")), (4, 2));
    assert_eq!(planned.count("otelcol_exporter_sent_log_records_total", &[("exporter", "out")]), 2);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_feeds_every_pipeline_that_names_it_each_signal_for_itself() {
    let planned = Planned::new()
        .receiver("in")
        .exporter("a")
        .exporter("b")
        .pipeline("logs/1", "in", "", "a")
        .pipeline("logs/2", "in", "", "b")
        .pipeline("traces", "in", "", "a b");
    let running = planned.start().await.unwrap();
    assert_eq!(planned.send("in", logs(["l"])).await, Ok(()));
    assert_eq!(planned.send("in", batch(Signal::Traces, ["s"])).await, Ok(()));
    stop_cleanly(running).await;
    for exporter in ["a", "b"] {
        let mut delivered = planned.delivered(exporter);
        delivered.sort();
        assert_eq!(delivered, ["l", "s"]);
    }
    assert_conserved(&planned.world.meter);
}

#[tokio::test(start_paused = true)]
async fn the_worst_answer_of_all_branches_is_the_answer() {
    let direct = delivery::Settings::direct;
    let planned = Planned::new()
        .receiver("in")
        .exporter_with("a", direct())
        .exporter_with("b", direct())
        .exporter_with("c", direct())
        .pipeline("logs", "in", "", "a b c");
    planned.far["b"].then(Answer::reject("http_400")).then(Answer::reject("http_400"));
    planned.far["c"].then(Answer::retry("http_503"));
    let running = planned.start().await.unwrap();
    assert_eq!(planned.send("in", logs(["1"])).await, Err(Refused::retry("http_503", "try again")));
    assert_eq!(planned.send("in", logs(["1"])).await, Err(Refused::reject("http_400", "never")));
    assert_eq!(planned.send("in", logs(["2"])).await, Ok(()));
    stop_cleanly(running).await;
    assert_eq!(planned.delivered("a"), ["1", "1", "2"]);
    assert_eq!(planned.count("otelcol_receiver_refused_log_records_total", &[]), 2);
    assert_conserved(&planned.world.meter);
}

#[tokio::test(start_paused = true)]
async fn exporters_are_shared_by_pipelines_and_processors_are_not() {
    let planned = Planned::new()
        .receiver("in")
        .processor("p", |diary, context| {
            diary.note(format!("build {} for {}", context.id, context.pipeline));
            plain(Ok)
        })
        .exporter("out")
        .pipeline("logs/1", "in", "p", "out")
        .pipeline("logs/2", "in", "p", "out")
        .pipeline("metrics", "in", "p", "out");
    let running = planned.start().await.unwrap();
    let built: Vec<_> = planned.diary.read().into_iter().filter(|l| l.starts_with("build")).collect();
    let expected = [
        "build out logs",
        "build out metrics",
        "build p for logs/1",
        "build p for logs/2",
        "build p for metrics",
        "build in",
    ];
    assert_eq!(built, expected);
    stop_cleanly(running).await;
}

#[tokio::test(start_paused = true)]
async fn everything_that_cannot_be_built_is_named_at_once() {
    let planned = Planned::new()
        .receiver_by("in/bad", |_| Err("no such file".into()))
        .processor("p", |_, _| Err("cannot read a.txt".into()))
        .exporter_that_fails("out/1", "cannot read ca.pem")
        .exporter_that_fails("out/2", "cannot read key.pem")
        .pipeline("logs", "in/bad", "p", "out/1 out/2");
    let errors = planned.start().await.err().unwrap();
    let expected = [
        "exporter out/1: cannot read ca.pem",
        "exporter out/2: cannot read key.pem",
        "processor p: cannot read a.txt (pipeline logs)",
        "receiver in/bad: no such file",
    ];
    assert_eq!(errors, expected);
}

#[tokio::test(start_paused = true)]
async fn receivers_that_cannot_start_are_all_named_and_the_others_are_stopped() {
    let planned = Planned::new()
        .receiver("in")
        .receiver_that("bad/1", |_, _| async { Err("port 4317 is taken".into()) })
        .receiver_that("bad/2", |_, _| async { std::panic::resume_unwind(Box::new("oh")) })
        .exporter("out")
        .pipeline("logs", "in bad/1 bad/2", "", "out");
    let errors = planned.start().await.err().unwrap();
    assert_eq!(errors, ["receiver bad/1: port 4317 is taken", "receiver bad/2: it has a bug: it panicked: oh"]);
    assert_eq!((planned.diary.times("end in"), planned.diary.times("close out")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_exporter_that_cannot_start_is_named_before_anything_reaches_it() {
    let planned =
        Planned::new().receiver("in").exporter("out").exporter("out/taken").pipeline("logs", "in", "", "out out/taken");
    assert_eq!(planned.start().await.err().unwrap(), ["exporter out/taken: port 9090 is taken"]);
    assert_eq!((planned.diary.times("run in"), planned.diary.times("close out")), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_start_waits_until_every_receiver_is_ready() {
    let planned = Planned::new()
        .receiver_that("slow", |_, life| async move {
            tokio::time::sleep(Duration::from_secs(25)).await;
            life.ready();
            life.stopped().await;
            Ok(())
        })
        .exporter("out")
        .pipeline("logs", "slow", "", "out");
    let begun = Instant::now();
    let running = planned.start().await.unwrap();
    assert_eq!(begun.elapsed(), Duration::from_secs(25));
    stop_cleanly(running).await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_goes_from_the_near_end_to_the_far_end_and_closes_everything_once() {
    let planned = Planned::new()
        .receiver("in")
        .processor("hold", holding)
        .exporter("out")
        .pipeline("logs/1", "in", "hold", "out")
        .pipeline("logs/2", "in", "", "out");
    planned.far["out"].always(Answer::Deliver.after(Duration::from_secs(1)));
    let running = planned.start().await.unwrap();
    assert_eq!(planned.send("in", logs(["a"])).await, Ok(()));
    assert_eq!(planned.count("slipring_in_flight_items", &[("component", "hold")]), 1);
    stop_cleanly(running).await;
    assert_conserved(&planned.world.meter);
    assert_eq!(planned.delivered("out"), ["a", "a"]);
    assert_eq!(
        planned.diary.read(),
        ["build out logs", "build in", "start out", "run in", "end in", "close hold", "close out"]
    );
    let items = |what: &str| planned.count(&format!("otelcol_processor_{what}_items_total"), &[("processor", "hold")]);
    assert_eq!((items("incoming"), items("outgoing")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn processors_that_hold_data_close_in_their_order_and_what_they_drop_is_accounted_for() {
    let planned = Planned::new()
        .receiver("in")
        .processor("hold/1", holding)
        .processor("p", |_, _| plain(Ok))
        .processor("hold/2", holding)
        .exporter("out")
        .pipeline("logs", "in", "hold/1 p hold/2", "out");
    let running = planned.start().await.unwrap();
    assert_eq!(planned.send("in", logs(["a"])).await, Ok(()));
    assert_eq!(planned.send("in", logs(["unwanted"])).await, Ok(()));
    stop_cleanly(running).await;
    let closed: Vec<_> = planned.diary.read().into_iter().filter(|l| l.starts_with("close")).collect();
    assert_eq!(closed, ["close hold/1", "close hold/2", "close out"]);
    assert_eq!(planned.delivered("out"), ["a"]);
    assert_eq!(planned.count("slipring_in_flight_items", &[("kind", "processor")]), 0);
    assert_conserved(&planned.world.meter);
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_and_who_does_not_end_is_reported() {
    let planned = Planned::new()
        .receiver("in")
        .receiver_that("stuck", |_, life| async move {
            life.ready();
            std::future::pending().await
        })
        .exporter("dead")
        .pipeline("logs", "in stuck", "", "dead");
    planned.far["dead"].always(Answer::Hang);
    let running = planned.start().await.unwrap();
    assert_eq!(planned.send("in", logs(["a", "b"])).await, Ok(()));
    let begun = Instant::now();
    let report = stop(running).await;
    assert_eq!(begun.elapsed(), Duration::from_secs(10));
    assert_eq!(report.lost, [Lost { exporter: id("dead"), signal: Signal::Logs, items: 2 }]);
    assert_eq!(report.unfinished, ["receiver stuck"]);
    assert_eq!((report.lost_items(), report.is_clean()), (2, false));
    assert_eq!(planned.world.dropped("dead"), [("logs".to_owned(), "shutdown".to_owned(), 2)]);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_panics_is_started_again_and_the_process_lives() {
    let planned = Planned::new()
        .receiver("in")
        .processor("p", |_, _| plain(Ok))
        .exporter("out")
        .pipeline("logs", "in", "p", "out");
    let mut running = planned.start().await.unwrap();
    // The receiver panics when it is given a signal that none of its pipelines takes.
    let (answer, outcome) = tokio::sync::oneshot::channel();
    planned.near["in"].send((batch(Signal::Traces, ["s"]), answer)).await.unwrap();
    assert!(outcome.await.is_err());
    let begun = Instant::now();
    assert_eq!(planned.send("in", logs(["a"])).await, Ok(()));
    assert_eq!(begun.elapsed(), Duration::from_secs(1));
    assert_eq!((planned.diary.times("build in"), planned.diary.times("run in")), (2, 2));
    assert_eq!(planned.count("slipring_component_panics_total", &[("component", "in")]), 1);
    let failed = timeout(Duration::from_secs(1), running.ended()).await;
    assert!(failed.is_err());
    stop_cleanly(running).await;
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_fails_later_is_reported_and_the_others_go_on() {
    let planned = Planned::new()
        .receiver("in")
        .receiver_that("bad", |_, life| async move {
            life.ready();
            tokio::time::sleep(Duration::from_secs(5)).await;
            Err("the device is gone".into())
        })
        .receiver_that("done", |_, life| async move {
            life.ready();
            Ok(())
        })
        .exporter("out")
        .pipeline("logs", "in bad done", "", "out");
    let mut running = planned.start().await.unwrap();
    assert_eq!(running.ended().await.unwrap().to_string(), "receiver bad: the device is gone");
    assert_eq!(planned.send("in", logs(["a"])).await, Ok(()));
    stop_cleanly(running).await;
}

#[tokio::test(start_paused = true)]
async fn when_all_receivers_have_ended_nothing_more_will_come() {
    let planned = Planned::new()
        .receiver_that("soon", |_, life| async move {
            life.ready();
            tokio::time::sleep(Duration::from_secs(5)).await;
            Ok(())
        })
        .receiver_that("late", |_, life| async move {
            life.ready();
            tokio::time::sleep(Duration::from_secs(9)).await;
            Ok(())
        })
        .exporter("out")
        .pipeline("logs", "soon late", "", "out");
    let mut running = planned.start().await.unwrap();
    let begun = Instant::now();
    assert!(running.ended().await.is_none());
    assert_eq!(begun.elapsed(), Duration::from_secs(9));
    stop_cleanly(running).await;
}

#[tokio::test(start_paused = true)]
async fn a_processor_that_panics_or_refuses_costs_its_batch_and_nothing_else() {
    let planned = Planned::new()
        .receiver("in")
        .processor("p", |_, _| {
            plain(|batch| match names(&batch)[0].as_str() {
                "panic" => std::panic::resume_unwind(Box::new("oh")),
                "full" => Err(Refused::retry("memory_limit", "over the limit")),
                "drop" => Ok(Batch::empty(batch.signal())),
                _ => Ok(batch),
            })
        })
        .exporter("out")
        .pipeline("logs", "in", "p", "out");
    let running = planned.start().await.unwrap();
    assert_eq!(planned.send("in", logs(["panic"])).await.unwrap_err().reason().code, "panic");
    assert_eq!(planned.send("in", logs(["full"])).await, Err(Refused::retry("memory_limit", "over the limit")));
    assert_eq!(planned.send("in", logs(["drop"])).await, Ok(()));
    assert_eq!(planned.send("in", logs(["a"])).await, Ok(()));
    stop_cleanly(running).await;
    assert_eq!(planned.delivered("out"), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn the_batch_processor_batches_in_delivery_and_its_receiver_does_not_wait() {
    let planned = Planned::new()
        .receiver("in")
        .processor("batch", |_, _| Ok(Stage::Batching(BatchSettings { min_size: 3, ..BatchSettings::default() })))
        .exporter("a")
        .exporter_with("b", delivery::Settings::direct())
        .pipeline("logs", "in", "batch", "a b");
    let running = planned.start().await.unwrap();
    let begun = Instant::now();
    for body in 1..=4 {
        assert_eq!(planned.send("in", logs([body])).await, Ok(()));
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    stop_cleanly(running).await;
    for exporter in ["a", "b"] {
        assert_eq!(planned.delivered(exporter), ["1 2 3", "4"]);
    }
    assert_eq!(planned.count("otelcol_processor_incoming_items_total", &[("processor", "batch")]), 4);
    assert_eq!(planned.count("otelcol_processor_batch_batch_send_size", &[("processor", "batch")]), 4);
}

#[tokio::test(start_paused = true)]
async fn a_receivers_counts_may_tell_its_transports_apart() {
    let planned = Planned::new()
        .receiver_that("otlp", |next, life| async move {
            life.ready();
            for transport in ["grpc", "http"] {
                let next = next.over(transport).signal(Signal::Logs).cloned();
                next.unwrap().consume(logs(["a"])).await.unwrap();
            }
            Ok(())
        })
        .exporter("out")
        .pipeline("logs", "otlp", "", "out");
    let running = planned.start().await.unwrap();
    stop_cleanly(running).await;
    for transport in ["grpc", "http"] {
        assert_eq!(planned.count("otelcol_receiver_accepted_log_records_total", &[("transport", transport)]), 1);
    }
    assert_conserved(&planned.world.meter);
}

#[tokio::test(start_paused = true)]
async fn a_graph_can_be_built_beside_the_one_that_runs() {
    let planned = Planned::new().receiver("in").exporter("out").pipeline("logs", "in", "", "out");
    let old = planned.start().await.unwrap();
    let new = Graph::build(&planned.plan, &planned.world.surroundings()).ok().unwrap();
    assert_eq!(planned.send("in", logs(["a"])).await, Ok(()));
    stop_cleanly(old).await;
    let new = new.start().await.ok().unwrap();
    assert_eq!(planned.send("in", logs(["b"])).await, Ok(()));
    stop_cleanly(new).await;
    assert_eq!(planned.delivered("out"), ["a", "b"]);
    assert_conserved(&planned.world.meter);
}

#[tokio::test(start_paused = true)]
async fn the_instances_of_a_processor_share_a_slot_that_no_other_has() {
    fn note(diary: &Diary, context: &Context) -> Result<Stage, Error> {
        let first = context.shared.of(|| context.pipeline.to_string());
        diary.note(format!("{} in {} has {first}", context.id, context.pipeline));
        plain(Ok)
    }
    let planned = Planned::new()
        .receiver("in")
        .processor("one", note)
        .processor("other", note)
        .exporter("out")
        .pipeline("logs", "in", "one", "out")
        .pipeline("metrics", "in", "other", "out")
        .pipeline("traces", "in", "one other", "out");
    stop_cleanly(planned.start().await.unwrap()).await;
    for said in ["one in logs has logs", "other in metrics has metrics", "one in traces has logs"] {
        assert_eq!(planned.diary.times(said), 1, "{said}");
    }
    assert_eq!(planned.diary.times("other in traces has metrics"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_yes_from_memory_is_known_before_everything_that_hands_on() {
    fn early(diary: &Diary, context: &Context) -> Result<Stage, Error> {
        let (diary, context) = (diary.clone(), context.clone());
        Ok(Stage::Holding(Box::new(move |next| {
            diary.note(format!("{} {}", context.id, next.answers_from_memory()));
            Arc::new(Holder { held: Mutex::default(), next, diary, context })
        })))
    }
    let cases = [("memory", true), ("waits", false), ("direct", false), ("stores", false), ("memory waits", false)];
    for (exporters, expected) in cases {
        let waiting = QueueSettings { wait_for_result: true, ..QueueSettings::default() };
        let storing = QueueSettings { storage: Some(id("file_storage")), ..QueueSettings::default() };
        let mut planned = Planned::new()
            .receiver("in")
            .processor("early", early)
            .processor("plain", |_, _| plain(Ok))
            .exporter("memory")
            .exporter_with("waits", delivery::Settings { queue: waiting, ..delivery::Settings::default() })
            .exporter_with("stores", delivery::Settings { queue: storing, ..delivery::Settings::default() })
            .exporter_with("direct", delivery::Settings::direct())
            .pipeline("logs", "in", "early plain", exporters);
        planned
            .plan
            .extensions
            .push((id("file_storage"), Arc::new(|_| Ok(Arc::new(delivery::FileStorage::default())))));
        stop_cleanly(planned.start().await.unwrap()).await;
        assert_eq!(planned.diary.times(&format!("early {expected}")), 1, "{exporters}");
    }
}
