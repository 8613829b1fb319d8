//! Killed with -9 again and again, at random moments and under load: whatever was acknowledged arrives.

use std::collections::{HashMap, HashSet};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric, number_data_point,
};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

use crate::support::process::Process;
use crate::support::{eventually, free_port, http};

/// Processes that are killed.
const ROUNDS: u64 = 200;

const CONFIG: &str = "
receivers:
  otlp: {protocols: {http: {endpoint: '${env:OTLP}'}}}
extensions:
  file_storage: {directory: '${env:FOLDER}', create_directory: true, segment_size: 20000}
exporters:
  otlp_http:
    endpoint: 'http://${env:FAR}'
    compression: none
    retry_on_failure: {initial_interval: 20ms, max_interval: 100ms, max_elapsed_time: 0}
    sending_queue: {storage: file_storage, queue_size: 100000}
service:
  telemetry: {metrics: {level: none}}
  extensions: [file_storage]
  pipelines:
    traces: {receivers: [otlp], exporters: [otlp_http]}
    metrics: {receivers: [otlp], exporters: [otlp_http]}
    logs: {receivers: [otlp], exporters: [otlp_http]}
";

#[test]
fn what_was_acknowledged_survives_two_hundred_kills() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("config.yaml");
    std::fs::write(&config, CONFIG).expect("the folder is writable");
    let far = Far::start();
    let door = format!("127.0.0.1:{}", free_port());
    let load = Load::start(&door);
    let mut random = 1_u64;
    for _ in 0..ROUNDS {
        let process = start(&config, folder.path(), &door, &far.address);
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        wait(Duration::from_millis(5 + (random >> 33) % 80));
        process.signal("KILL");
        drop(process);
    }
    let acknowledged = load.stop();
    far.be_kind();
    let mut last = start(&config, folder.path(), &door, &far.address);
    let arrived = eventually(Duration::from_secs(60), "everything that was acknowledged arrives", || {
        let arrived = far.arrived();
        let missing = acknowledged.iter().filter(|id| !arrived.contains_key(*id)).count();
        if missing == 0 { Ok(arrived) } else { Err(format!("{missing} of {} are missing", acknowledged.len())) }
    });
    assert!(last.terminate(Duration::from_secs(15)).success());
    assert!(acknowledged.len() as u64 > ROUNDS, "only {} requests were acknowledged", acknowledged.len());
    // What was under way at a kill may come again: a batch for each consumer, a few that a kill kept from being noted.
    let again: u64 = arrived.values().map(|times| times - 1).sum();
    assert!(again <= ROUNDS * 3 * 20, "{again} of {} came more than once", arrived.len());
}

fn start(config: &Path, folder: &Path, door: &str, far: &str) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slipring"));
    command.arg("run").arg("--config").arg(config).current_dir(folder);
    command.env("OTLP", door).env("FAR", far).env("FOLDER", folder.join("queues"));
    command.env("SLIPRING_DATA_DIR", folder.join("data"));
    let mut process = Process::start("slipring", &mut command, &folder.join("slipring.out"));
    eventually(Duration::from_secs(20), "slipring listens", || {
        assert!(process.is_running(), "slipring ended: {}", process.printed());
        TcpStream::connect(door).map_err(|error| error.to_string())
    });
    process
}

/// Lets real time pass.
#[allow(clippy::disallowed_methods, reason = "a process with a real clock is killed at a random moment")]
pub fn wait(time: Duration) {
    std::thread::sleep(time);
}

/// Senders that note what was acknowledged.
pub struct Load {
    stop: Arc<AtomicBool>,
    /// Requests that were not, since the first that was.
    failed: Arc<AtomicU64>,
    senders: Vec<std::thread::JoinHandle<HashSet<String>>>,
}

impl Load {
    /// One sender for each signal.
    pub fn start(door: &str) -> Load {
        let (stop, failed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let sender = |kind: char| {
            let (stop, failed, door) = (stop.clone(), failed.clone(), door.to_owned());
            std::thread::spawn(move || {
                let mut acknowledged = HashSet::new();
                for n in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let id = format!("{kind}{n}");
                    let (path, body) = request(&id);
                    let headers = ["Content-Type: application/x-protobuf"];
                    match http::post(&door, path, &headers, &body) {
                        Ok((200, _)) => _ = acknowledged.insert(id),
                        // Nobody is there just now.
                        _ => {
                            failed.fetch_add(u64::from(!acknowledged.is_empty()), Ordering::Relaxed);
                            wait(Duration::from_millis(2));
                        }
                    }
                }
                acknowledged
            })
        };
        Load { senders: ['t', 'm', 'l'].map(sender).into(), stop, failed }
    }

    /// How many requests were not acknowledged.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// What was acknowledged.
    pub fn stop(self) -> HashSet<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.senders.into_iter().flat_map(|sender| sender.join().expect("the sender ends")).collect()
    }
}

/// A request with one item of that name.
pub fn request(id: &str) -> (&'static str, Vec<u8>) {
    let name = id.to_owned();
    match id.as_bytes()[0] {
        b't' => {
            let span = Span { name, trace_id: vec![1; 16], span_id: vec![2; 8], ..Span::default() };
            let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
            let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
            ("/v1/traces", ExportTraceServiceRequest { resource_spans }.encode_to_vec())
        }
        b'm' => {
            let value = Some(number_data_point::Value::AsInt(1));
            let point =
                NumberDataPoint { time_unix_nano: 1_767_225_600_000_000_000, value, ..NumberDataPoint::default() };
            let data = metric::Data::Gauge(Gauge { data_points: vec![point] });
            let metrics = vec![Metric { name, data: Some(data), ..Metric::default() }];
            let scope_metrics = vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }];
            let resource_metrics = vec![ResourceMetrics { scope_metrics, ..ResourceMetrics::default() }];
            ("/v1/metrics", ExportMetricsServiceRequest { resource_metrics }.encode_to_vec())
        }
        _ => {
            let body = Some(AnyValue { value: Some(any_value::Value::StringValue(name)) });
            let log_records = vec![LogRecord { body, ..LogRecord::default() }];
            let scope_logs = vec![ScopeLogs { log_records, ..ScopeLogs::default() }];
            let resource_logs = vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }];
            ("/v1/logs", ExportLogsServiceRequest { resource_logs }.encode_to_vec())
        }
    }
}

/// The names in a request.
fn names(path: &str, body: &[u8]) -> Vec<String> {
    match path {
        "/v1/traces" => {
            let request = ExportTraceServiceRequest::decode(body).expect("spans");
            let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
            scopes.flat_map(|scope| scope.spans).map(|span| span.name).collect()
        }
        "/v1/metrics" => {
            let request = ExportMetricsServiceRequest::decode(body).expect("metrics");
            let scopes = request.resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
            scopes.flat_map(|scope| scope.metrics).map(|metric| metric.name).collect()
        }
        _ => {
            let request = ExportLogsServiceRequest::decode(body).expect("log records");
            let scopes = request.resource_logs.into_iter().flat_map(|resource| resource.scope_logs);
            let bodies = scopes.flat_map(|scope| scope.log_records).filter_map(|record| record.body?.value);
            bodies
                .map(|value| if let any_value::Value::StringValue(text) = value { text } else { String::new() })
                .collect()
        }
    }
}

/// A far side that counts how often each name came; every fourth request it refuses for now or hangs up on.
pub struct Far {
    /// `host:port` for OTLP over HTTP.
    pub address: String,
    arrived: Arc<Mutex<HashMap<String, u64>>>,
    kind: Arc<AtomicBool>,
}

impl Far {
    /// Starts one on a free port.
    pub fn start() -> Far {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let address = listener.local_addr().expect("it listens").to_string();
        let (arrived, kind) = (Arc::<Mutex<HashMap<String, u64>>>::default(), Arc::new(AtomicBool::new(false)));
        let (known, is_kind, served) = (arrived.clone(), kind.clone(), Arc::new(AtomicU64::new(0)));
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (known, is_kind, served) = (known.clone(), is_kind.clone(), served.clone());
                std::thread::spawn(move || {
                    let mut connection = connection;
                    while let Some((path, body)) = read(&mut connection) {
                        let n = served.fetch_add(1, Ordering::Relaxed);
                        let status = match n % 8 {
                            3 if !is_kind.load(Ordering::Relaxed) => "503 Service Unavailable",
                            7 if !is_kind.load(Ordering::Relaxed) => return,
                            _ => {
                                let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
                                names(&path, &body).into_iter().for_each(|name| *known.entry(name).or_default() += 1);
                                "200 OK"
                            }
                        };
                        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
                        if connection.write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Far { address, arrived, kind }
    }

    /// Takes everything from now on.
    pub fn be_kind(&self) {
        self.kind.store(true, Ordering::Relaxed);
    }

    /// How often each name came.
    pub fn arrived(&self) -> HashMap<String, u64> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The path and body of the next request of a connection.
fn read(connection: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut piece = [0; 16 << 10];
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break end + 4;
        }
        match connection.read(&mut piece) {
            Ok(n) if n > 0 => bytes.extend_from_slice(&piece[..n]),
            _ => return None,
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    let path = text.split(' ').nth(1)?.to_owned();
    let len = text.lines().find_map(|line| line.strip_prefix("content-length: "))?.trim().parse::<usize>().ok()?;
    let mut body = bytes.split_off(head);
    while body.len() < len {
        match connection.read(&mut piece) {
            Ok(n) if n > 0 => body.extend_from_slice(&piece[..n]),
            _ => return None,
        }
    }
    Some((path, body))
}
