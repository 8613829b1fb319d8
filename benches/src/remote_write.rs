//! The `prometheus_remote_write` exporter alone: OTLP metrics to compressed requests on a socket, in nanoseconds a sample
//! of the one thread that does it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use exporters::prometheus_remote_write::{Config, Factory};
use pipeline::config::testing::decode;
use pipeline::doors::Doors;
use pipeline::testing::World;
use pipeline::{Batch, Context, Exporter, ExporterFactory, Signal};

use crate::Options;
use crate::processors::{batch, gauges, histograms, per_item};
use crate::scrape::scraped;

/// Runs every case for a while and prints a table.
///
/// # Errors
/// When the far side cannot be made, or does not take something.
pub fn run(options: &Options) -> Result<(), String> {
    let time = Duration::from_millis(options.number("milliseconds", 1000) as u64);
    let only = options.text("only", "");
    let address = far_side().map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let version_2 = "protobuf_message: io.prometheus.write.v2.Request";
    let rules = "write_relabel_configs: [{source_labels: [__name__], regex: 'none_.*', action: drop}]";
    let one = "remote_write_queue: {num_consumers: 1}";
    println!("| batch | config | samples | ns a sample |\n| --- | --- | --- | --- |");
    for (what, payload, samples) in [
        ("scraped", scraped(10_000).0.into(), 10_005),
        ("gauges", gauges(100, 100), 10_000),
        ("histograms", histograms(100, 10), 22_000),
    ] {
        let batch = batch(Signal::Metrics, payload)?;
        for (config, yaml) in
            [("1.0", ""), ("1.0, one request at a time", one), ("2.0", version_2), ("1.0 with a rule", rules)]
        {
            if !format!("{what} {config}").contains(only) {
                continue;
            }
            let yaml = format!("endpoint: http://{address}/api/v1/write\nmax_samples_per_send: 2000\n{yaml}");
            let Ok(config_of) = decode::<Config>(&yaml) else { continue };
            let world = World::new();
            let context =
                Context { doors: Doors::real(), ..world.context_for("prometheus_remote_write", Signal::Metrics) };
            let exporter = Factory::build(config_of, context).map_err(|error| error.to_string())?;
            let nanoseconds = per_item(time, samples, || runtime.block_on(export(&*exporter, &batch)))?;
            println!("| {what} | {config} | {samples} | {nanoseconds:.0} |");
        }
    }
    Ok(())
}

async fn export(exporter: &dyn Exporter, batch: &Batch) -> Result<(), String> {
    let receipt = exporter.export(batch).await.map_err(|refused| refused.to_string())?;
    if receipt.dropped.is_empty() { Ok(()) } else { Err(format!("{:?}", receipt.dropped)) }
}

/// Takes everything, in either version.
fn far_side() -> std::io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            std::thread::spawn(move || answer(&connection));
        }
    });
    Ok(address)
}

fn answer(mut connection: &TcpStream) -> std::io::Result<()> {
    let _ = connection.set_nodelay(true);
    let mut reader = BufReader::new(connection);
    let mut body = Vec::new();
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
        let answer = "HTTP/1.1 204 No Content\r\nx-prometheus-remote-write-samples-written: 1000000\r\n\r\n";
        connection.write_all(answer.as_bytes())?;
    }
}
