//! A file of JSON lines read to its end and pushed to a null Loki, protobuf in snappy: CPU-seconds of the whole process per
//! million lines, and its memory. The lines are those of a recorded run of Dynamo, again and again, with the same values or
//! with fresh ones.
#![allow(clippy::print_stdout, reason = "it prints its results")]

use std::convert::Infallible;
use std::hash::{Hash, Hasher};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use pipeline::net::compress::{Coding, decompress};
use pipeline::otlp::wire::{Fields, Value};
use tokio::net::TcpListener;

use crate::Options;
use crate::process::Slipring;

/// What arrived.
#[derive(Default)]
struct Arrived {
    entries: AtomicU64,
    pushes: AtomicU64,
    bytes: AtomicU64,
}

/// Runs the scenario and prints one line for each figure.
pub fn run(options: &Options) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(|error| error.to_string())?.block_on(scenario(options))
}

async fn scenario(options: &Options) -> Result<(), String> {
    let lines = options.number("lines", 1_000_000) as u64;
    let reading = match options.text("read", "dynamo_jsonl") {
        "plain" => String::new(),
        "operators" => "operators: [{type: json_parser, timestamp: {parse_from: attributes.time, \
                        layout: '%Y-%m-%dT%H:%M:%S.%fZ'}, severity: {parse_from: attributes.level}, trace: {}}]"
            .to_owned(),
        format => format!("format: {format}"),
    };
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = folder.path().join("dynamo.jsonl");
    let fresh = options.text("values", "recorded") == "fresh";
    let bytes =
        write_lines(&file, lines, fresh).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    let arrived = Arc::new(Arrived::default());
    let sink = listen(arrived.clone()).await.map_err(|error| error.to_string())?;
    let config = format!(
        "receivers:
  file_log: {{include: ['{}'], start_at: beginning, resource: {{service.name: frontend}}, {reading}}}
exporters:
  loki: {{endpoint: 'http://{sink}/loki/api/v1/push'}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    logs: {{receivers: [file_log], exporters: [loki]}}
",
        file.display()
    );
    let start = Instant::now();
    // It has no door of its own; the sink's is open.
    let slipring = Slipring::start(options.text("slipring", "target/release/slipring"), &config, folder.path(), &sink)?;
    while arrived.entries.load(Ordering::Relaxed) < lines && start.elapsed() < Duration::from_secs(300) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (elapsed, usage) = (start.elapsed().as_secs_f64(), slipring.usage()?);
    let entries = arrived.entries.load(Ordering::Relaxed);
    let (pushes, pushed) = (arrived.pushes.load(Ordering::Relaxed), arrived.bytes.load(Ordering::Relaxed));
    println!(
        "scenario        {lines} lines of {} bytes, read as {}",
        bytes / lines,
        options.text("read", "dynamo_jsonl")
    );
    println!("cpu             {:.3} CPU-seconds per million lines", usage.cpu_seconds / entries as f64 * 1e6);
    println!("throughput      {:.0} lines/s", entries as f64 / elapsed);
    println!("delivered       {entries} of {lines} lines, {pushes} pushes of {} bytes", pushed / pushes.max(1));
    println!("memory          loaded {:.1} MiB, peak {:.1} MiB", usage.rss_mib, usage.peak_mib);
    if entries == lines { Ok(()) } else { Err("not everything arrived".to_owned()) }
}

/// What the processes of a run of Dynamo logged.
pub fn recorded() -> std::io::Result<Vec<String>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/dynamo-1.6.1");
    ["frontend", "worker1", "worker2"]
        .iter()
        .map(|name| std::fs::read_to_string(folder.join(format!("{name}.stderr.jsonl"))))
        .collect()
}

/// Writes so many recorded lines, with other ids and times taken each time around if these are to be fresh. Answers their
/// bytes.
fn write_lines(path: &Path, lines: u64, fresh: bool) -> std::io::Result<u64> {
    let texts = recorded()?;
    let all: Vec<&str> = texts.iter().flat_map(|text| text.lines()).collect();
    let mut file = BufWriter::new(std::fs::File::create(path)?);
    let (mut written, mut bytes) = (0, 0);
    for round in 0.. {
        for line in &all {
            if written == lines {
                file.flush()?;
                return Ok(bytes);
            }
            let line = if fresh { freshened(line, round) } else { (*line).to_owned() };
            file.write_all(line.as_bytes())?;
            file.write_all(b"\n")?;
            (written, bytes) = (written + 1, bytes + line.len() as u64 + 1);
        }
    }
    Ok(bytes)
}

/// The line with other ids, the same for the same, and with other numbers of microseconds, some of them longer or shorter.
fn freshened(line: &str, round: u64) -> String {
    let mut is_time = false;
    let piece = |piece: &str| {
        let is_id = matches!(piece.len(), 16 | 32 | 36) && piece.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
        let was_time = std::mem::replace(&mut is_time, piece.ends_with("_us"));
        match piece.strip_prefix(':').map(|rest| rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count())) {
            _ if is_id => {
                let digit = |(i, c): (usize, char)| {
                    if c == '-' {
                        c
                    } else {
                        char::from(b"0123456789abcdef"[(hash(piece, round, i / 16) >> (i % 16 * 4) & 15) as usize])
                    }
                };
                piece.chars().enumerate().map(digit).collect()
            }
            Some((digits, rest)) if was_time && !digits.is_empty() => {
                let random = hash(line, round, digits.len());
                let most = 10u64.pow(u32::try_from(digits.len()).unwrap_or(1).min(9) + u32::from(random >> 60 == 0));
                format!(":{}{rest}", random % most)
            }
            _ => piece.to_owned(),
        }
    };
    line.split('"').map(piece).collect::<Vec<_>>().join("\"")
}

fn hash(text: &str, round: u64, part: usize) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    (text, round, part).hash(&mut hasher);
    hasher.finish()
}

async fn listen(arrived: Arc<Arrived>) -> std::io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let arrived = arrived.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| take(arrived.clone(), request));
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Ok(address)
}

async fn take(arrived: Arc<Arrived>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut body = request.into_body();
    let mut whole = BytesMut::new();
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(data) = frame.into_data() {
            whole.extend_from_slice(&data);
        }
    }
    let message = decompress(Coding::Snappy, &whole, 64 << 20).unwrap_or_default();
    // A push has streams in field 1, a stream its entries in field 2.
    let streams = Fields::new(&message).flatten().filter_map(|field| match (field.number, field.value) {
        (1, Value::Len(stream)) => Some(stream),
        _ => None,
    });
    let entries = streams.map(|s| Fields::new(s).flatten().filter(|field| field.number == 2).count() as u64).sum();
    arrived.entries.fetch_add(entries, Ordering::Relaxed);
    arrived.pushes.fetch_add(1, Ordering::Relaxed);
    arrived.bytes.fetch_add(whole.len() as u64, Ordering::Relaxed);
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = hyper::StatusCode::NO_CONTENT;
    Ok(response)
}
