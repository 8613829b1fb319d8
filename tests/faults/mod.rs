//! The fault kit: far sides that refuse, hang, reset, trickle and talk nonsense before every exporter, and disks that are
//! full, read-only or somebody else's. Nothing that was taken is lost, and whatever is dropped has its reason.

mod disks;
#[allow(clippy::disallowed_methods, reason = "the far side is a server with a real clock and tasks of its own")]
pub mod far;

use std::path::Path;
use std::time::Duration;

use far::{Far, Fault, PASSING, Partial};

use crate::killed::request;
use crate::support::process::Slipring;
use crate::support::{eventually, free_port, http};

/// An exporter before a far side.
struct Bench {
    slipring: Slipring,
    far: Far,
    otlp: String,
    signal: &'static str,
    sent: usize,
}

impl Bench {
    /// `exporters` are their ids and bodies, where `${env:FAR}` is the far side.
    fn start(folder: &Path, signal: &'static str, exporters: &[&str]) -> Bench {
        let names: Vec<_> = exporters.iter().filter_map(|exporter| exporter.split(':').next()).collect();
        let (names, exporters) = (names.join(", "), exporters.join("\n  "));
        let config = format!(
            "receivers:\n  otlp: {{protocols: {{http: {{endpoint: '${{env:OTLP}}'}}}}}}\nexporters:\n  {exporters}\n\
             service:\n  pipelines:\n    {signal}: {{receivers: [otlp], exporters: [{names}]}}\n"
        );
        let path = folder.join("config.yaml");
        std::fs::write(&path, config).expect("the folder is writable");
        let (far, otlp) = (Far::start(), format!("127.0.0.1:{}", free_port()));
        let slipring = Slipring::start(&path, folder, &[("OTLP", otlp.clone()), ("FAR", far.address.clone())]);
        Bench { slipring, far, otlp, signal, sent: 0 }
    }

    /// Sends one item, which is taken.
    fn send(&mut self) {
        self.sent += 1;
        let id = format!("{}{}", &self.signal[..1], self.sent);
        let (path, body) = request(&id);
        let answer = http::post(&self.otlp, path, &["Content-Type: application/x-protobuf"], &body);
        assert_eq!(answer.as_ref().map(|(status, _)| *status), Ok(200), "{answer:?}");
    }

    fn count(&self, name: &str) -> f64 {
        self.slipring.own_metrics().sum(name, &[("kind", "exporter")])
    }

    fn delivered(&self, items: f64) {
        eventually(Duration::from_secs(30), "what was taken is delivered", || {
            match self.count("slipring_delivered_items_total") {
                delivered if delivered == items => Ok(()),
                delivered => Err(format!("{delivered} of {items}")),
            }
        });
    }
}

/// Short times, so that a try ends soon.
const TIMES: &str =
    "timeout: 1s, retry_on_failure: {initial_interval: 50ms, max_interval: 100ms, randomization_factor: 0}";

fn gets_over_everything(signal: &'static str, exporter: &str, partial: Partial, reason: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut bench = Bench::start(folder.path(), signal, &[&exporter.replace("TIMES", TIMES)]);
    for (n, fault) in PASSING.into_iter().enumerate() {
        bench.far.does(fault);
        bench.send();
        bench.far.wait_for_a_try();
        assert_eq!(bench.count("slipring_delivered_items_total"), n as f64, "{fault:?}");
        if matches!(fault, Fault::TooManyFor(_) | Fault::TooManyUntil(_)) {
            let waited = bench.far.between_two_requests();
            assert!(waited >= Duration::from_millis(950), "{fault:?}: came again after {waited:?}");
        }
        bench.far.does(Fault::Kind);
        bench.delivered(n as f64 + 1.0);
    }
    assert_eq!(bench.count("slipring_dropped_items_total"), 0.0);
    bench.far.does(Fault::Partial(partial));
    bench.send();
    eventually(Duration::from_secs(20), "the drop is in the ledger", || {
        let dropped = bench.slipring.own_metrics().sum("slipring_dropped_items_total", &[("reason", reason)]);
        if dropped == 1.0 { Ok(()) } else { Err(bench.slipring.process.printed()) }
    });
    let ((_, drops), own) = (
        http::get(&bench.slipring.metrics, "/api/v1/drops").expect("the ledger answers"),
        bench.slipring.own_metrics(),
    );
    assert!(drops.contains(reason), "{drops}");
    for name in ["slipring_in_flight_items", "slipring_unaccounted_items"] {
        assert_eq!(own.sum(name, &[]), 0.0, "{name}");
    }
    bench.slipring.stop();
}

#[test]
fn otlp_http_gets_over_every_fault() {
    let exporter = "otlp_http: {endpoint: 'http://${env:FAR}', compression: none, TIMES}";
    gets_over_everything("traces", exporter, Partial::Otlp, "partial_success");
}

#[test]
fn otlp_grpc_gets_over_every_fault() {
    let exporter = "otlp_grpc: {endpoint: '${env:FAR}', tls: {insecure: true}, compression: none, TIMES}";
    gets_over_everything("traces", exporter, Partial::Otlp, "partial_success");
}

#[test]
fn remote_write_gets_over_every_fault() {
    let exporter = "prometheus_remote_write: {endpoint: 'http://${env:FAR}/api/v1/write', TIMES, \
                    sending_queue: {batch: {flush_timeout: 10ms, min_size: 1}}}";
    gets_over_everything("metrics", exporter, Partial::RemoteWrite, "http_400");
}

#[test]
fn loki_gets_over_every_fault() {
    let exporter = "loki: {endpoint: 'http://${env:FAR}/loki/api/v1/push', TIMES, \
                    sending_queue: {batch: {flush_timeout: 10ms, min_size: 1}}}";
    gets_over_everything("logs", exporter, Partial::Loki, "too_far_behind");
}

#[test]
fn a_dead_destination_does_not_slow_another() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dead = Far::start();
    dead.does(Fault::Hang);
    let living = "otlp_http: {endpoint: 'http://${env:FAR}', compression: none}";
    let other = format!("otlp_http/dead: {{endpoint: 'http://{}', compression: none}}", dead.address);
    let mut bench = Bench::start(folder.path(), "logs", &[living, &other]);
    for _ in 0..50 {
        bench.send();
    }
    eventually(Duration::from_secs(10), "the living one has everything", || {
        let own = bench.slipring.own_metrics();
        let delivered = own.sum("slipring_delivered_items_total", &[("component", "otlp_http")]);
        if delivered == 50.0 { Ok(()) } else { Err(delivered.to_string()) }
    });
    let own = bench.slipring.own_metrics();
    assert_eq!(own.sum("slipring_in_flight_items", &[("component", "otlp_http/dead")]), 50.0);
}
