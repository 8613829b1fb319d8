//! Configs as the collector's users have them, written from the documentation of its components: each loads, runs, and does
//! what it says. `tests/data/collector-configs/NAME.yaml` says in its first lines what goes in and what must come out:
//!
//! - `# sends: traces metrics logs` over OTLP/HTTP, `# sends to: PATH` traces to another path;
//! - `# line: …` a line of a log file; what the far side offers to be scraped is always the same;
//! - `# file: …` and `# file not: …` of the file exporter's file, `# file shop: …` of one below `by-service`;
//! - `# far: …` of what the far side got (request line, headers, decompressed body), `# tempo: …` of its gRPC twin;
//! - `# prom: …` of the exposition page, `# own: …` of own metrics, `# printed: …` of the process' output;
//! - `# env: NAME=VALUE` and `# with: --set …` as a shell would give them.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::standins::tempo::Tempo;
use crate::support::process::Process;
use crate::support::{data, eventually, free_port, http};

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn collector_configs_load_and_behave() {
    let entries = fs::read_dir(data("collector-configs")).expect("there is a collection").flatten();
    let mut configs: Vec<PathBuf> =
        entries.map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "yaml")).collect();
    configs.sort();
    assert!(configs.len() >= 40, "{}", configs.len());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(config) = configs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    Case::read(config).run();
                }
            });
        }
    });
}

/// What a config's first lines say.
struct Case {
    name: String,
    path: PathBuf,
    directives: Vec<(String, String)>,
}

impl Case {
    fn read(path: &Path) -> Case {
        let text = fs::read_to_string(path).expect("a config is text");
        let head = text.lines().map_while(|line| line.strip_prefix("# "));
        let directives = head.filter_map(|line| line.split_once(": ")).map(|(k, v)| (k.to_owned(), v.to_owned()));
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        Case { name, path: path.to_owned(), directives: directives.collect() }
    }

    fn all(&self, key: &str) -> Vec<&str> {
        self.directives.iter().filter(|(k, _)| k == key).map(|(_, v)| v.as_str()).collect()
    }

    fn run(&self) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let far = Far::start();
        let tempo = Tempo::start();
        let address = || format!("127.0.0.1:{}", free_port());
        let (otlp, prom) = (address(), address());
        self.write_files(folder.path(), &far.address);
        let place = |name: &str| folder.path().join(name).display().to_string();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_slipring"));
        command.current_dir(self.path.parent().expect("it is in a folder"));
        command.args(["run", "--config", &self.name]);
        for argument in self.all("with").iter().flat_map(|line| line.split("--").skip(1)) {
            let (option, value) = argument.trim().split_once(' ').expect("an option and its value");
            command.args([&format!("--{option}"), value]);
        }
        let own = address();
        let (host, port) = own.split_once(':').expect("host:port");
        let reader = format!(
            "yaml:service::telemetry::metrics::readers: [{{pull: {{exporter: {{prometheus: {{host: {host}, port: {port}}}}}}}}}]"
        );
        command.args(["--config", &reader]);
        command.envs([
            ("SLIPRING_DATA_DIR", place("state")),
            ("OTLP_HTTP", otlp.clone()),
            ("OTLP_GRPC", address()),
            ("FAR", far.address.clone()),
            ("TEMPO", tempo.address.clone()),
            ("PROM", prom.clone()),
            ("OUT", place("out.json")),
            ("FOLDER", folder.path().display().to_string()),
            ("LOGS", place("logs")),
            ("PODS", place("pods")),
        ]);
        command.envs(self.all("env").iter().filter_map(|pair| pair.split_once('=')));
        let mut process = Process::start(&self.name, &mut command, &folder.path().join("printed"));
        eventually(PATIENCE, &format!("{} is ready", self.name), || {
            assert!(process.is_running(), "{} ended: {}", self.name, process.printed());
            http::get(&own, "/metrics").map(|_| ())
        });
        self.send(&otlp);
        eventually(PATIENCE, &format!("{} does what it says", self.name), || {
            assert!(process.is_running(), "{} ended: {}", self.name, process.printed());
            let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap_or_default();
            self.holds("file", &read("out.json"))?;
            self.holds("file shop", &read("by-service/shop.json"))?;
            self.holds("far", &far.got())?;
            self.holds("tempo", &format!("{:?}", tempo.stored()))?;
            self.holds("printed", &process.printed())?;
            self.holds("prom", &http::get(&prom, "/metrics").map(|(_, body)| body).unwrap_or_default())?;
            self.holds("own", &http::get(&own, "/metrics").map(|(_, body)| body)?)
        });
        let written = fs::read_to_string(folder.path().join("out.json")).unwrap_or_default();
        for text in self.all("file not") {
            assert!(!written.contains(text), "{}: {text} is in\n{written}", self.name);
        }
        let status = process.terminate(PATIENCE);
        assert!(status.success(), "{} ended with {status}", self.name);
        let printed = process.printed();
        assert!(!printed.contains("ERROR"), "{}: {printed}", self.name);
    }

    fn holds(&self, what: &str, have: &str) -> Result<(), String> {
        match self.all(what).into_iter().find(|text| !have.contains(*text)) {
            Some(text) => Err(format!("{what}: no {text} in\n{have}")),
            None => Ok(()),
        }
    }

    fn write_files(&self, folder: &Path, far: &str) {
        let lines: String = self.all("line").iter().map(|line| format!("{line}\n")).collect();
        for name in ["logs/app.log", "pods/shop_shop-7d4b9c_0b9f6d0e-1c2d-4e3f-8a9b-0c1d2e3f4a5b/app/0.log"] {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().expect("it has a folder")).expect("the folder is writable");
            fs::write(path, &lines).expect("the folder is writable");
        }
        fs::write(
            folder.join("targets1.json"),
            format!("[{{\"targets\": [\"{far}\"], \"labels\": {{\"a\": \"b\"}}}}]"),
        )
        .expect("the folder is writable");
    }

    fn send(&self, otlp: &str) {
        let headers = ["Content-Type: application/json", "X-Tenant: acme"];
        let post = |path: &str, body: &str| {
            let (status, answer) = http::post(otlp, path, &headers, body.as_bytes()).expect("OTLP/HTTP answers");
            assert_eq!(status, 200, "{}: {answer}", self.name);
        };
        for signal in self.all("sends").iter().flat_map(|line| line.split_whitespace()) {
            let body = match signal {
                "traces" => TRACES,
                "metrics" => METRICS,
                _ => LOGS,
            };
            post(&format!("/v1/{signal}"), body);
        }
        self.all("sends to").iter().for_each(|path| post(path, TRACES));
    }
}

const TRACES: &str = r#"{"resourceSpans":[{"resource":{"attributes":[
{"key":"service.name","value":{"stringValue":"shop"}},{"key":"host.name","value":{"stringValue":"h1"}}]},
"scopeSpans":[{"scope":{"name":"test"},"spans":[
{"traceId":"4bf92f3577b34da6a3ce929d0e0e4736","spanId":"00f067aa0ba902b7","name":"GET /chat","kind":2,
"startTimeUnixNano":"1767323045000000000","endTimeUnixNano":"1767323046000000000","attributes":[
{"key":"http.route","value":{"stringValue":"/chat"}},{"key":"http.status_code","value":{"intValue":"200"}},
{"key":"user.id","value":{"stringValue":"alice"}},{"key":"db.password","value":{"stringValue":"hunter2"}}]},
{"traceId":"4bf92f3577b34da6a3ce929d0e0e4736","spanId":"00f067aa0ba902b8","name":"healthz","kind":2,
"startTimeUnixNano":"1767323045000000000","endTimeUnixNano":"1767323046000000000"}]}]}]}"#;

const METRICS: &str = r#"{"resourceMetrics":[{"resource":{"attributes":[
{"key":"service.name","value":{"stringValue":"shop"}},{"key":"host.name","value":{"stringValue":"h1"}}]},
"scopeMetrics":[{"scope":{"name":"test"},"metrics":[
{"name":"http.server.requests","unit":"1","sum":{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[
{"asInt":"5","timeUnixNano":"1767323045000000000","attributes":[{"key":"method","value":{"stringValue":"GET"}}]}]}},
{"name":"queue.depth","gauge":{"dataPoints":[{"asDouble":7,"timeUnixNano":"1767323045000000000"}]}},
{"name":"jobs.done","sum":{"aggregationTemporality":1,"isMonotonic":true,"dataPoints":[
{"asInt":"3","startTimeUnixNano":"1767323040000000000","timeUnixNano":"1767323045000000000"}]}}]}]}]}"#;

const LOGS: &str = r#"{"resourceLogs":[{"resource":{"attributes":[
{"key":"service.name","value":{"stringValue":"shop"}},{"key":"host.name","value":{"stringValue":"h1"}}]},
"scopeLogs":[{"scope":{"name":"test"},"logRecords":[
{"timeUnixNano":"1767323045000000000","severityNumber":9,"severityText":"INFO","body":{"stringValue":"user alice logged in"}},
{"timeUnixNano":"1767323046000000000","severityNumber":17,"severityText":"ERROR","body":{"stringValue":"payment failed"}}]}]}]}"#;

const EXPOSITION: &str = "\
# HELP http_requests_total Requests.
# TYPE http_requests_total counter
http_requests_total{code=\"200\",method=\"get\"} 1027
# TYPE go_goroutines gauge
go_goroutines 42
";

/// A far side that takes everything, remembers it as text, and can be scraped and asked for targets.
struct Far {
    address: String,
    got: Arc<Mutex<String>>,
}

impl Far {
    fn start() -> Far {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let address = listener.local_addr().expect("it listens").to_string();
        let got = Arc::new(Mutex::new(String::new()));
        let (own, text) = (address.clone(), got.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (own, text) = (own.clone(), text.clone());
                std::thread::spawn(move || while answer(&stream, &own, &text).is_some() {});
            }
        });
        Far { address, got }
    }

    fn got(&self) -> String {
        self.got.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Takes one request of a connection; `None` at its end.
fn answer(mut stream: &TcpStream, own: &str, got: &Mutex<String>) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let header = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
    };
    let length = header("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    let (kind, page) = match head.split(' ').nth(1) {
        Some("/targets") => ("application/json", format!("[{{\"targets\": [\"{own}\"], \"labels\": {{}}}}]")),
        Some(path) if path.starts_with("/metrics") => ("text/plain; version=0.0.4", EXPOSITION.to_owned()),
        _ => {
            let body = decompressed(&body, header("content-encoding").as_deref());
            let lines: String = head
                .lines()
                .map(|line| match line.split_once(": ") {
                    Some((name, value)) => format!("{}: {value}\n", name.to_ascii_lowercase()),
                    None => format!("{line}\n"),
                })
                .collect();
            let mut got = got.lock().unwrap_or_else(PoisonError::into_inner);
            got.push_str(&lines);
            got.push_str(&String::from_utf8_lossy(&body));
            got.push('\n');
            ("application/x-protobuf", String::new())
        }
    };
    let status = if kind == "application/x-protobuf" && head.contains("/push ") { "204 No Content" } else { "200 OK" };
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", page.len());
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(page.as_bytes()).ok()
}

fn decompressed(body: &[u8], coding: Option<&str>) -> Vec<u8> {
    let mut out = Vec::new();
    match coding {
        Some("gzip") => drop(flate2::read::GzDecoder::new(body).read_to_end(&mut out)),
        Some("snappy") => out = snap::raw::Decoder::new().decompress_vec(body).unwrap_or_default(),
        _ => out = body.to_vec(),
    }
    // Loki's push has protobuf in snappy without a content encoding.
    match coding {
        None => snap::raw::Decoder::new().decompress_vec(&out).unwrap_or(out),
        _ => out,
    }
}
