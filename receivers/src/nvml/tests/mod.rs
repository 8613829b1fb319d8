//! The receiver with the real wrapper and the fake driver, loaded as the real one is; a paused clock, and a pass for each
//! of its ticks.

mod attribution;
mod dcgm;
mod house;
mod parts;
mod semconv;
mod troubles;

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use fake_nvml::FakeDriver;
use pipeline::batch::{Batch, Signal};
use pipeline::component::{Error, Life};
use pipeline::config::testing;
use pipeline::otlp::view::{AnyValue, LogRecord, Metric, Number, NumberPoint, resources};
use pipeline::registry::ReceiverFactory;
use pipeline::testing::{Sink, World};
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Config, Factory};

/// An L4, as far as every test needs it.
const L4: &str = "
[gpu]
uuid = GPU-c0ffee00-0000-0000-0000-000000000001
name = NVIDIA L4
bus = 00000000:31:00.0
";

/// A world, a driver in a folder of its own, and where the batches go.
struct Rig {
    world: World,
    driver: FakeDriver,
    sink: Sink,
    stop: CancellationToken,
    task: Option<JoinHandle<Result<(), Error>>>,
    _folder: TempDir,
}

impl Rig {
    /// No driver yet, and no receiver.
    fn without_driver() -> Rig {
        let folder = tempfile::tempdir().unwrap();
        let driver = FakeDriver::absent(folder.path());
        let (world, sink) = (World::new(), Sink::new());
        world.files.put("/proc/sys/kernel/hostname", b"node-7\n");
        Rig { world, driver, sink, stop: CancellationToken::new(), task: None, _folder: folder }
    }

    /// A driver that plays `script`, and a receiver with these settings.
    async fn playing(script: &str, settings: &str) -> Rig {
        let mut rig = Rig::without_driver();
        rig.driver.play(&format!("driver = 580.105.08\n{script}")).unwrap();
        rig.driver.install().unwrap();
        rig.start(settings).await;
        rig
    }

    /// Starts a receiver with these settings, which `; ` separates.
    async fn start(&mut self, settings: &str) {
        let mut yaml = format!("library: {}\n", self.driver.library().display());
        settings.split("; ").for_each(|line| writeln!(yaml, "{line}").unwrap());
        let config: Config = testing::decode(&yaml).unwrap_or_else(|e| panic!("{e}"));
        let receiver = Factory::build(config, self.world.context("nvml")).unwrap();
        let ready = Arc::new(Notify::new());
        let life = Life::new(self.stop.clone(), ready.clone());
        self.task = Some(self.world.tasks.spawn(receiver.run(self.sink.outputs(), life)));
        ready.notified().await;
    }

    /// The batch of a pass; the first is 0.
    async fn pass(&self, number: usize) -> Batch {
        let metrics = |batches: &[Batch]| -> Vec<Batch> {
            batches.iter().filter(|batch| batch.signal() == Signal::Metrics).cloned().collect()
        };
        let batches = self.sink.wait_until(|batches| metrics(batches).len() > number).await;
        metrics(&batches)[number].clone()
    }

    /// A pass as the text that a Prometheus would have scraped.
    async fn text(&self, pass: usize) -> String {
        exposition(&self.pass(pass).await)
    }

    /// Those lines of a pass that have the text in them.
    async fn lines(&self, pass: usize, with: &str) -> Vec<String> {
        self.text(pass).await.lines().filter(|line| line.contains(with)).map(str::to_owned).collect()
    }

    async fn stop(mut self) {
        self.stop.cancel();
        let task = self.task.take().unwrap();
        tokio::time::timeout(Duration::from_secs(60), task).await.unwrap().unwrap().unwrap();
    }
}

/// The text form 0.0.4 of a batch, as dcgm-exporter writes it: whole numbers bare, others with six decimals, labels in
/// the order they were given. Ended series have `stale` for a value.
fn exposition(batch: &Batch) -> String {
    let mut out = String::new();
    each_point(batch, |metric, point| {
        let labels: Vec<String> = point.attributes().map(|kv| label(kv.unwrap().key, kv.unwrap().value)).collect();
        let value = match point.value {
            Number::Int(value) => value.to_string(),
            Number::Double(value) => format!("{value:.6}"),
            Number::Empty => "stale".to_owned(),
        };
        writeln!(out, "{}{{{}}} {value}", metric.name, labels.join(",")).unwrap();
    });
    out
}

fn label(key: &str, value: AnyValue<'_>) -> String {
    format!("{key}={:?}", value.as_text().expect("labels are texts"))
}

fn each_point(batch: &Batch, mut each: impl FnMut(&Metric<'_>, &NumberPoint<'_>)) {
    for part in batch.parts() {
        for scope in resources(part).flat_map(|resource| resource.unwrap().scopes()) {
            for metric in scope.unwrap().items::<Metric<'_>>() {
                let metric = metric.unwrap();
                metric.points().for_each(|point| each(&metric, &point.unwrap()));
            }
        }
    }
}

/// The log records of a batch: body, severity, attributes.
fn records(batch: &Batch) -> Vec<String> {
    let mut out = Vec::new();
    for part in batch.parts() {
        for scope in resources(part).flat_map(|resource| resource.unwrap().scopes()) {
            for record in scope.unwrap().items::<LogRecord<'_>>() {
                let record = record.unwrap();
                let attributes: Vec<String> = record
                    .attributes()
                    .map(|kv| {
                        let kv = kv.unwrap();
                        match kv.value {
                            AnyValue::Int(number) => format!("{}={number}", kv.key),
                            value => label(kv.key, value),
                        }
                    })
                    .collect();
                let body = record.body.as_text().unwrap();
                out.push(format!("{} {body} {{{}}}", record.severity_text, attributes.join(",")));
            }
        }
    }
    out
}
