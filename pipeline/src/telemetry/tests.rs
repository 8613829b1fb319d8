//! The endpoint and the logs as they are seen from outside.

use std::io::Write;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Response, request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::plan::{LogEncoding, LogLevel, TelemetryPlan};
use crate::testing::World;

async fn ask(world: &World, request: &str) -> String {
    let mut stream = world.doors.net.connect("localhost:8888").await.unwrap();
    stream.write_all(format!("{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn endpoint(world: &World) -> Endpoint {
    let (net, pages) = (&*world.doors.net, world.pages.clone());
    Endpoint::start("localhost:8888", net, world.meter.clone(), pages).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn own_metrics_are_shown_in_prometheus_text_format() {
    let world = World::new();
    world.meter.counter("slipring_seen_total", "Seen.", &[]).inc();
    let endpoint = endpoint(&world).await;
    let answer = ask(&world, "GET /metrics").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{answer}");
    assert!(answer.ends_with("\nslipring_seen_total 1\n"), "{answer}");
    endpoint.stop().await;
    assert!(!world.net.is_listening("localhost:8888"));
}

#[tokio::test(start_paused = true)]
async fn pages_are_shown_beside_them_and_unknown_paths_name_what_there_is() {
    let world = World::new();
    let _endpoint = endpoint(&world).await;
    let _page = world.pages.add("/targets", Arc::new(|_: &request::Parts| Response::new(Bytes::from("two up"))));
    assert!(ask(&world, "GET /targets?x=1").await.ends_with("two up"));
    assert!(ask(&world, "GET /").await.ends_with("/metrics\n/api/v1/drops\n/targets\n"));
    let missing = ask(&world, "GET /metric").await;
    assert!(missing.starts_with("HTTP/1.1 404"), "{missing}");
    assert!(missing.ends_with("nothing here; there is /metrics, /api/v1/drops, /targets\n"), "{missing}");
    let post = ask(&world, "POST /metrics").await;
    assert!(post.starts_with("HTTP/1.1 405") && post.contains("allow: GET, HEAD"), "{post}");
}

#[tokio::test(start_paused = true)]
async fn a_port_that_is_taken_is_an_error_that_names_the_key() {
    let world = World::new();
    let _first = endpoint(&world).await;
    let net = &*world.doors.net;
    let error = Endpoint::start("localhost:8888", net, world.meter.clone(), Pages::new()).await.err().unwrap();
    assert_eq!(
        error.to_string(),
        "service.telemetry.metrics: cannot listen on localhost:8888: address in use; \
         set another port in readers, or level: none"
    );
}

/// The lines that `log` makes under that plan, without their times.
fn lines(plan: &TelemetryPlan, log: impl FnOnce()) -> Vec<String> {
    let buffer = Arc::new(Mutex::new(Vec::new()));
    let sink = buffer.clone();
    let subscriber = logs::subscriber(plan, move || Buffer(sink.clone()));
    tracing::subscriber::with_default(subscriber, log);
    let bytes = buffer.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
}

struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn some_logs() {
    tracing::info!(component = "otlp/a", items = 3, words = "two words", "a line\nand another");
    tracing::debug!("not at this level");
    tracing::info!(target: "hyper::proto", "a library's");
    tracing::warn!(target: "hyper::proto", "a library's warning");
}

#[test]
fn console_lines_begin_with_the_time_in_utc_and_cannot_be_forged() {
    let lines = lines(&TelemetryPlan::default(), some_logs);
    let (time, line) = lines[0].split_once(' ').unwrap();
    assert!(time.ends_with('Z') && time.len() == "2026-01-01T00:00:00.000000Z".len(), "{time}");
    let target = module_path!();
    assert_eq!(line, format!("INFO  {target}: a line\\nand another component=otlp/a items=3 words=\"two words\""));
    assert!(lines[1].ends_with("WARN  hyper::proto: a library's warning"), "{}", lines[1]);
    assert_eq!(lines.len(), 2);
}

#[test]
fn json_lines_have_the_collectors_keys_and_the_resource() {
    let plan = TelemetryPlan {
        log_encoding: LogEncoding::Json,
        log_level: LogLevel::Error,
        resource: vec![("service.name".to_owned(), "edge".to_owned())],
        ..TelemetryPlan::default()
    };
    let lines = lines(&plan, || tracing::error!(items = 3, ok = false, "it \"failed\""));
    let mut line: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
    let time = line.as_object_mut().unwrap().remove("ts").unwrap();
    assert!(time.as_str().unwrap().ends_with('Z'), "{time}");
    assert_eq!(
        line,
        serde_json::json!({
            "level": "error", "target": module_path!(), "msg": "it \"failed\"", "items": 3, "ok": false,
            "resource": {"service.name": "edge"}
        })
    );
}
