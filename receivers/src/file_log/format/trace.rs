//! Rows of Dynamo's trace files, `dynamo.request.trace.v1` and `dynamo.fpm.trace.v1`: each an object, alone or in the
//! envelope `{"timestamp":…,"event":{…}}` of the compressed files.

use pipeline::json::{Members, Raw};
use pipeline::otlp::write::Scalar;
use smallvec::SmallVec;

use super::jsonl::number_of;
use super::record::Record;
use super::severity::Severity;
use crate::file_log::facts::Facts;

/// How deep facts stand: `fpm.scheduled_requests.sum_prefill_tokens`.
const DEPTH: usize = 3;

/// What is read of a row before it is written.
#[derive(Default)]
struct Row<'a> {
    schema: Option<&'a str>,
    millis: Option<u64>,
    event: Option<&'a str>,
    facts: SmallVec<[(&'static str, Raw<'a>); 24]>,
}

/// Writes what a row says into the record: attributes, times, severity. Not the body. `None`, and of no use, when it is no
/// row of a trace file.
pub fn write(line: &str, taken: &Facts, observed: u64, record: &mut Record<'_>) -> Option<()> {
    let mut row = Row::default();
    row.read(line)?;
    let schema = row.schema?;
    record.times(row.millis.and_then(|ms| ms.checked_mul(1_000_000)), observed);
    let failed = row.event == Some("tool_error");
    record.severity(if failed { Severity::ERROR } else { Severity::INFO }, "");
    record.attribute("schema", Scalar::Text(schema));
    for (key, value) in row.facts {
        if taken.has(key) {
            continue;
        }
        let id = key.ends_with("worker_id") || key.ends_with("dp_rank");
        match value {
            Raw::Str(text) => record.attribute(key, Scalar::Text(&text.text())),
            Raw::Number(number) if id => record.attribute(key, Scalar::Text(number)),
            Raw::Number(number) => record.attribute(key, number_of(number)),
            Raw::Bool(value) => record.attribute(key, Scalar::Bool(value)),
            Raw::Null | Raw::Nested(_) => {}
        }
    }
    Some(())
}

impl<'a> Row<'a> {
    /// Reads the envelope or the row. `None` when it is no JSON or no row.
    fn read(&mut self, line: &'a str) -> Option<()> {
        let mut event = None;
        for member in Members::of(line) {
            let (key, value) = member.ok()?;
            match (key.raw, value) {
                ("event", Raw::Nested(inside)) => event = Some(inside),
                _ => self.take("", key.raw, value, DEPTH)?,
            }
        }
        if let (Some(event), None) = (event, self.schema) {
            self.object("", event, DEPTH)?;
        }
        self.schema.filter(|schema| schema.starts_with("dynamo.") && schema.contains(".trace.")).map(|_| ())
    }

    fn object(&mut self, path: &str, text: &'a str, depth: usize) -> Option<()> {
        for member in Members::of(text) {
            let (key, value) = member.ok()?;
            self.take(path, key.raw, value, depth)?;
        }
        Some(())
    }

    fn take(&mut self, path: &str, key: &'a str, value: Raw<'a>, depth: usize) -> Option<()> {
        match (path, key, value) {
            ("", "schema", Raw::Str(text)) => self.schema = self.schema.or(Some(text.raw)),
            ("", "event_time_unix_ms" | "observed_at_unix_ms", Raw::Number(number)) => {
                self.millis = self.millis.or_else(|| number.parse().ok());
            }
            (_, _, Raw::Nested(inside)) => {
                if depth > 0
                    && inside.starts_with('{')
                    && let Some(path) = inner(path, key)
                {
                    self.object(path, inside, depth - 1)?;
                }
            }
            (path, key, value) => {
                if let ("", "event_type", Raw::Str(text)) = (path, key, value) {
                    self.event = Some(text.raw);
                }
                if let Some(name) = attribute(path, key)
                    && self.facts.iter().all(|(k, _)| *k != name)
                {
                    self.facts.push((name, value));
                }
            }
        }
        Some(())
    }
}

/// The objects that are looked into, by where they stand.
fn inner(path: &str, key: &str) -> Option<&'static str> {
    Some(match (path, key) {
        ("", "agent_context") => "agent_context",
        ("", "request") => "request",
        ("request", "worker") => "worker",
        ("request", "finish_reason_metadata") => "finish",
        ("", "tool") => "tool",
        ("", "payload") => "payload",
        ("", "source") => "source",
        ("", "fpm") => "fpm",
        ("fpm", "scheduled_requests") => "scheduled",
        ("fpm", "queued_requests") => "queued",
        _ => return None,
    })
}

/// The attribute that a field becomes. Those that lines of Dynamo's log have too have the same names.
fn attribute(path: &str, key: &str) -> Option<&'static str> {
    const NAMES: &[(&str, &[&str])] = &[
        ("", &["event_type", "event_source", "capture_mode"]),
        (
            "request",
            &[
                "request_id",
                "x_request_id",
                "model",
                "input_tokens",
                "output_tokens",
                "cached_tokens",
                "prefill_wait_time_ms",
                "prefill_time_ms",
                "ttft_ms",
                "total_time_ms",
                "avg_itl_ms",
                "kv_hit_rate",
                "kv_transfer_estimated_latency_ms",
                "queue_depth",
            ],
        ),
        ("worker", &["prefill_worker_id", "prefill_dp_rank", "decode_worker_id", "decode_dp_rank"]),
        ("finish", &["finish_reason", "backend_finish_reason"]),
        (
            "tool",
            &["tool_call_id", "tool_class", "status", "duration_ms", "output_tokens", "output_bytes", "error_type"],
        ),
        ("payload", &["request_id", "endpoint", "model", "payload_complete", "payload_drop_reason"]),
        ("source", &["namespace", "component", "producer_id"]),
        ("fpm", &["worker_id", "dp_rank", "counter_id", "wall_time"]),
    ];
    if let Some((_, names)) = NAMES.iter().find(|(p, _)| *p == path) {
        return names.iter().find(|name| **name == key).copied();
    }
    Some(match (path, key) {
        ("agent_context", "session_id") => "dynamo.session.id",
        ("agent_context", "parent_session_id") => "dynamo.session.parent_id",
        ("scheduled", "num_prefill_requests") => "scheduled.num_prefill_requests",
        ("scheduled", "sum_prefill_tokens") => "scheduled.sum_prefill_tokens",
        ("scheduled", "sum_prefill_kv_tokens") => "scheduled.sum_prefill_kv_tokens",
        ("scheduled", "num_decode_requests") => "scheduled.num_decode_requests",
        ("scheduled", "sum_decode_kv_tokens") => "scheduled.sum_decode_kv_tokens",
        ("queued", "num_prefill_requests") => "queued.num_prefill_requests",
        ("queued", "sum_prefill_tokens") => "queued.sum_prefill_tokens",
        ("queued", "num_decode_requests") => "queued.num_decode_requests",
        ("queued", "sum_decode_kv_tokens") => "queued.sum_decode_kv_tokens",
        _ => return None,
    })
}
