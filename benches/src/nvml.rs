//! The nvml receiver alone, on eight GPUs of the fake driver that have every reading: CPU time of a pass and memory added.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fake_nvml::FakeDriver;
use pipeline::component::Life;
use pipeline::config::testing::decode;
use pipeline::registry::ReceiverFactory;
use pipeline::testing::{Sink, World};
use receivers::nvml::Factory;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::Options;
use crate::process::Usage;

const GPUS: usize = 8;
/// Passes before the first measurement.
const WARM: usize = 20;

/// Runs it.
pub fn run(options: &Options) -> Result<(), String> {
    let passes = options.number("passes", 500);
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let driver = FakeDriver::playing(folder.path(), &script()).map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.map_err(|error| error.to_string())?.block_on(measure(driver.library(), passes))
}

async fn measure(library: &Path, passes: usize) -> Result<(), String> {
    for (what, settings) in
        [("dcgm names", "names: dcgm"), ("both schemes, sample buffers", "{names: both, sample_buffers: true}")]
    {
        let (world, sink, stop) = (World::new(), Sink::new(), CancellationToken::new());
        let settings = settings.trim_matches(['{', '}']);
        let library = library.display();
        let yaml = format!("{{library: {library}, kubelet_socket: '', collection_interval: 10ms, {settings}}}");
        let receiver = Factory::build(decode(&yaml)?, world.context("nvml")).map_err(|error| error.to_string())?;
        let before = Usage::own()?;
        let running = receiver.run(sink.outputs(), Life::new(stop.clone(), Arc::new(Notify::new())));
        let running = world.tasks.spawn(running);
        let mut items = pass(&sink, WARM).await;
        let (from, start) = (Usage::own()?, Instant::now());
        let mut done = 0;
        while done < passes {
            items = pass(&sink, 1).await;
            done += 1;
        }
        let (to, took) = (Usage::own()?, start.elapsed());
        stop.cancel();
        let _ = running.await;
        println!(
            "{what:<30} {:.2} ms CPU a pass, {items} points, {:.1} ms a pass in all, {:.1} MiB added",
            (to.cpu_seconds - from.cpu_seconds) * 1000.0 / done as f64,
            took.as_secs_f64() * 1000.0 / done as f64,
            to.rss_mib - before.rss_mib,
        );
    }
    Ok(())
}

/// Waits for so many batches more; answers the points of the last.
async fn pass(sink: &Sink, count: usize) -> usize {
    let mut seen = 0;
    let mut items = 0;
    while seen < count {
        let batches = sink.take();
        items = batches.last().map_or(items, pipeline::Batch::items);
        seen += batches.len();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    items
}

/// Eight GPUs with all that the fake driver knows, four processes each.
fn script() -> String {
    let one = include_str!("../../receivers/src/nvml/tests/golden/two_gpus.script");
    let first = one.split("[gpu]").nth(1).unwrap_or_default().replace("fan_0 = unsupported", "fan_0 = 40");
    let mut out = "driver = 580.105.08\n".to_owned();
    for gpu in 0..GPUS {
        let more = "processes = 1:4096:10,2:4096:20,3:4096:30,4:4096:40\nfield_197 = 1\nfield_198 = 2\n";
        let first = first.replacen("uuid = GPU-1", &format!("uuid = GPU-{gpu}"), 1);
        out += &format!("[gpu]{first}{more}");
    }
    out
}
