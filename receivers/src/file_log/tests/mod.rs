//! The receiver on a file system in memory, with a paused clock: what is written to files, and the records that come out.

mod compressed;
mod files;
mod house;
mod journal;
mod lines;
mod presets;
mod real;
mod refusals;
mod restarts;
mod rotation;
mod together;
mod torture;
mod window;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pipeline::component::{Error, Life, Outputs};
use pipeline::config::testing;
use pipeline::extensions::Extensions;
use pipeline::otlp::view::{AnyValue, LogRecord, resources};
use pipeline::registry::ReceiverFactory;
use pipeline::testing::{Sink, VirtualFiles, World};
use pipeline::{Batch, Context};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{Config, Factory};

/// Longer than a poll interval and what happens in it.
const A_POLL: Duration = Duration::from_millis(250);

/// A world with files, and a sink for records.
struct Rig {
    world: World,
    files: VirtualFiles,
    sink: Sink,
    settings: String,
    extensions: Extensions,
}

/// A receiver that runs.
struct Running {
    stop: CancellationToken,
    task: JoinHandle<Result<(), Error>>,
}

impl Rig {
    /// A world in which receivers read `/logs/*.log` from the beginning, with these settings more.
    fn new(settings: &str) -> Rig {
        let world = World::new();
        let files = world.files.clone();
        let mut settings = settings.to_owned();
        for (key, default) in [("include", "[/logs/*.log]"), ("start_at", "beginning")] {
            if !settings.contains(&format!("{key}:")) {
                settings += &format!("\n{key}: {default}");
            }
        }
        Rig { world, files, sink: Sink::new(), settings, extensions: Extensions::new() }
    }

    fn context(&self) -> Context {
        let extensions = self.extensions.clone();
        Context { data_dir: PathBuf::from("/data"), extensions, ..self.world.context("file_log") }
    }

    /// Starts a receiver and waits until it has looked.
    async fn start(&self) -> Running {
        self.start_into(self.sink.outputs()).await
    }

    async fn start_into(&self, outputs: Outputs) -> Running {
        let config: Config = testing::decode(&self.settings).unwrap_or_else(|e| panic!("{e}"));
        let receiver = Factory::build(config, self.context()).unwrap();
        let (stop, ready) = (CancellationToken::new(), Arc::new(Notify::new()));
        let task = self.world.tasks.spawn(receiver.run(outputs, Life::new(stop.clone(), ready.clone())));
        ready.notified().await;
        Running { stop, task }
    }

    /// The lines that were taken since the last time.
    fn lines(&self) -> Vec<String> {
        bodies(&self.sink.take())
    }

    /// The lines that come within some polls.
    async fn lines_after(&self, polls: u32) -> Vec<String> {
        sleep(A_POLL * polls).await;
        self.lines()
    }
}

impl Running {
    /// Stops in order.
    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }

    /// Ends without warning, as by kill -9.
    async fn kill(self) {
        self.task.abort();
        _ = self.task.await;
        // A step that was under way ends by itself, as one that the kill came just after.
        sleep(Duration::from_millis(1)).await;
    }
}

fn for_each_record(batches: &[Batch], mut each: impl FnMut(&str, LogRecord<'_>)) {
    for part in batches.iter().flat_map(Batch::parts) {
        for scope in resources(part).flat_map(|r| r.unwrap().scopes()).map(Result::unwrap) {
            let (name, _) = scope.name_and_version().unwrap();
            scope.items::<LogRecord<'_>>().for_each(|record| each(name, record.unwrap()));
        }
    }
}

fn bodies(batches: &[Batch]) -> Vec<String> {
    let mut out = Vec::new();
    for_each_record(batches, |_, record| out.push(show(record.body)));
    out
}

fn show(value: AnyValue<'_>) -> String {
    match value {
        AnyValue::Text(text) => text.to_owned(),
        AnyValue::Bytes(bytes) => format!("bytes {bytes:?}"),
        AnyValue::Int(v) => v.to_string(),
        other => format!("{other:?}"),
    }
}

/// The attributes of a record as text, in the order they stand.
fn attributes(record: LogRecord<'_>) -> Vec<String> {
    let show = |kv: Result<pipeline::otlp::view::KeyValue<'_>, _>| {
        let kv = kv.unwrap();
        format!("{}={}", kv.key, show(kv.value))
    };
    record.attributes().map(show).collect()
}

fn numbered(from: usize, to: usize) -> String {
    (from..=to).map(|i| format!("line {i}\n")).collect()
}

fn lines(from: usize, to: usize) -> Vec<String> {
    (from..=to).map(|i| format!("line {i}")).collect()
}
