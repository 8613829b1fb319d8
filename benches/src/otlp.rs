//! OTLP traces in, one resource attribute inserted, OTLP out: CPU-seconds of the process per million spans, its memory
//! idle and loaded, and how fast it was ready.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::load::{self, Sent};
use crate::process::Slipring;
use crate::sink::{self, Arrived};
use crate::{Options, payload};

/// Requests that differ, so that nothing is the same bytes twice in a row.
const POOL: usize = 16;

/// Runs the scenario and prints one line for each figure.
pub fn run(options: &Options) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(|error| error.to_string())?.block_on(scenario(options))
}

async fn scenario(options: &Options) -> Result<(), String> {
    let grpc = match options.text("protocol", "grpc") {
        "grpc" => true,
        "http" => false,
        other => return Err(format!("--protocol {other}: grpc or http")),
    };
    let (spans, connections) = (options.number("spans", 1000), options.number("connections", 2));
    let seconds = options.number("seconds", 10) as u64;
    let validation = options.text("validation", "full");
    let arrived = Arc::new(Arrived::default());
    let sink = sink::start(arrived.clone()).await.map_err(|error| error.to_string())?;
    let door = free_address()?;
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let storage = options.text("queue", "memory") == "disk";
    let config = config(grpc, validation, storage, &door, &sink);
    let slipring = Slipring::start(options.text("slipring", "target/release/slipring"), &config, folder.path(), &door)?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let idle = slipring.usage()?;

    let pool: Vec<_> = (0..POOL as u64).map(|seed| payload::traces(spans, seed)).collect();
    let bytes_a_span = pool.iter().map(|p| p.len()).sum::<usize>() as f64 / (POOL * spans) as f64;
    // A first second warms up connections and memory and is not counted.
    drive(grpc, &door, &pool, connections, Duration::from_secs(1)).await;
    // What was accepted in it is delivered before counting begins.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (before, items_before) = (slipring.usage()?, arrived.items.load(Ordering::Relaxed));
    let start = Instant::now();
    let sent = drive(grpc, &door, &pool, connections, Duration::from_secs(seconds)).await;
    let (good, bad) = (sent.good.load(Ordering::Relaxed), sent.bad.load(Ordering::Relaxed));
    let expected = good * spans as u64;
    while arrived.items.load(Ordering::Relaxed) - items_before < expected && start.elapsed().as_secs() < seconds + 10 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let elapsed = start.elapsed().as_secs_f64();
    let (after, items) = (slipring.usage()?, arrived.items.load(Ordering::Relaxed) - items_before);
    let cpu = after.cpu_seconds - before.cpu_seconds;
    println!(
        "scenario        {} validation {validation}, queue {}, {spans} spans of {bytes_a_span:.0} bytes a request, {connections} connections",
        if grpc { "gRPC" } else { "HTTP" },
        if storage { "on disk" } else { "in memory" }
    );
    println!("cpu             {:.3} CPU-seconds per million spans", cpu / items as f64 * 1e6);
    println!("throughput      {:.0} spans/s, {:.1} % of a core", items as f64 / elapsed, cpu / elapsed * 100.0);
    println!("delivered       {items} of {expected} spans, {bad} requests refused");
    println!(
        "memory          idle {:.1} MiB, loaded {:.1} MiB, peak {:.1} MiB",
        idle.rss_mib, after.rss_mib, after.peak_mib
    );
    println!("ready after     {:.0} ms", slipring.ready_after.as_secs_f64() * 1e3);
    if items == expected && bad == 0 { Ok(()) } else { Err("not everything arrived".to_owned()) }
}

async fn drive(grpc: bool, door: &str, pool: &[bytes::Bytes], connections: usize, time: Duration) -> Arc<Sent> {
    let sent = Arc::new(Sent::default());
    let until = Instant::now() + time;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..connections {
        let mut pool = pool.to_vec();
        pool.rotate_left(n * POOL / connections.max(1) % POOL);
        tasks.spawn(load::connection(grpc, door.to_owned(), pool, sent.clone(), until));
    }
    while tasks.join_next().await.is_some() {}
    sent
}

fn config(grpc: bool, validation: &str, storage: bool, door: &str, sink: &str) -> String {
    let (extension, started, queue) = if storage {
        ("extensions: {file_storage: }\n", "  extensions: [file_storage]\n", ", sending_queue: {storage: file_storage}")
    } else {
        ("", "", "")
    };
    let (protocol, exporter) = if grpc { ("grpc", "otlp_grpc") } else { ("http", "otlp_http") };
    format!(
        "receivers:
  otlp: {{validation: {validation}, protocols: {{{protocol}: {{endpoint: '{door}'}}}}}}
processors:
  resource: {{attributes: [{{key: deployment.environment.name, value: production, action: insert}}]}}
exporters:
  {exporter}: {{endpoint: 'http://{sink}', compression: none, tls: {{insecure: true}}{queue}}}
{extension}service:
{started}  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    traces: {{receivers: [otlp], processors: [resource], exporters: [{exporter}]}}
"
    )
}

fn free_address() -> Result<String, String> {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
    listener.map(|address| address.to_string()).map_err(|error| error.to_string())
}
