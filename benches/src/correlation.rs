//! The trace_correlation processor alone: log records looked up, in nanoseconds a record, on one core.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use pipeline::component::{BoxFuture, Consumer, Context, Outcome, Stage};
use pipeline::config::testing::decode;
use pipeline::otlp::fields::{log_record, request, resource, resource_group, scope_group, span};
use pipeline::otlp::write::{Scalar, Writer};
use pipeline::registry::ProcessorFactory;
use pipeline::testing::World;
use pipeline::{Batch, Signal};
use processors::trace_correlation::Factory;

use crate::Options;
use crate::processors::per_item;

const TRACES: usize = 50;
const RECORDS: usize = 1000;

/// Runs every case, or those whose names have `--only TEXT` in them, for a while and prints a table.
///
/// # Errors
/// When a config or a batch is not taken.
pub fn run(options: &Options) -> Result<(), String> {
    let time = Duration::from_millis(options.number("milliseconds", 500) as u64);
    let cases = [
        ("records with ids, four facts each", Ids::Own, "wait: 0s"),
        ("records with ids, nothing to add", Ids::Own, "{wait: 0s, log_attributes: {}}"),
        ("ids from JSON lines, four facts each", Ids::InLine, "wait: 0s"),
        ("ids by request, four facts each", Ids::ByRequest, "wait: 0s"),
    ];
    println!("| trace_correlation | ns a record | bytes in | bytes out |\n| --- | --- | --- | --- |");
    let only = options.text("only", "");
    for (name, ids, config) in cases.into_iter().filter(|(name, ..)| name.contains(only)) {
        let world = World::new();
        let context = world.context("trace_correlation");
        let stage = |signal| -> Result<(Arc<Last>, Arc<dyn Consumer>), String> {
            let context = Context { signal: Some(signal), ..context.clone() };
            let last = Arc::new(Last::default());
            match Factory::build(decode(config)?, context) {
                Ok(Stage::Holding(make)) => Ok((last.clone(), make(last))),
                Ok(_) => Err("it holds".to_owned()),
                Err(error) => Err(error.to_string()),
            }
        };
        let ((_, traces), (last, logs)) = (stage(Signal::Traces)?, stage(Signal::Logs)?);
        send(&*traces, roots()?)?;
        let batch = records(ids)?;
        let nanoseconds = per_item(time, RECORDS, || send(&*logs, batch.clone()))?;
        println!("| {name} | {nanoseconds:.0} | {} | {} |", batch.byte_len(), last.bytes());
    }
    Ok(())
}

/// Nothing waits here: the answer is there at once.
fn send(stage: &dyn Consumer, batch: Batch) -> Result<(), String> {
    let answer = stage.consume(batch).now_or_never().ok_or("it waits")?;
    answer.map_err(|refused| refused.to_string())
}

/// Keeps the size of the last batch.
#[derive(Default)]
struct Last(std::sync::atomic::AtomicUsize);

impl Last {
    fn bytes(&self) -> usize {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl Consumer for Last {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Outcome> {
        self.0.store(batch.byte_len(), std::sync::atomic::Ordering::Relaxed);
        Box::pin(std::future::ready(Ok(())))
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Ids {
    Own,
    InLine,
    ByRequest,
}

fn trace(number: usize) -> [u8; 16] {
    (number as u128 * 0x9e37_79b9_7f4a_7c15 + 1).to_be_bytes()
}

fn request_id(number: usize) -> String {
    format!("{number:08}-6e04-437b-8230-e878a2da7633")
}

fn batch(signal: Signal, items: impl FnOnce(&mut Writer)) -> Result<Batch, String> {
    let mut w = Writer::new();
    w.message(request::RESOURCES, |w| {
        w.message(resource_group::RESOURCE, |w| {
            w.attribute(resource::ATTRIBUTES, "service.name", Scalar::Text("dynamo-frontend"));
        });
        w.message(resource_group::SCOPES, items);
    });
    Batch::new(signal, w.into_bytes()).map_err(|error| error.to_string())
}

fn roots() -> Result<Batch, String> {
    batch(Signal::Traces, |w| {
        for number in 0..TRACES {
            w.message(scope_group::ITEMS, |w| {
                w.bytes(span::TRACE_ID, &trace(number));
                w.bytes(span::SPAN_ID, &[1; 8]);
                w.text(span::NAME, "http-request");
                for (key, value) in [
                    ("request_id", request_id(number).as_str()),
                    ("model", "TinyLlama/TinyLlama_v1.1"),
                    ("dynamo.component", "frontend"),
                    ("decode_worker_id", "11360150215887396147"),
                ] {
                    w.attribute(span::ATTRIBUTES, key, Scalar::Text(value));
                }
            });
        }
    })
}

/// Lines of Dynamo, of about 490 bytes, as `file_log` reads them with `format: dynamo_jsonl`, or as they come.
fn records(ids: Ids) -> Result<Batch, String> {
    batch(Signal::Logs, |w| {
        for n in 0..RECORDS {
            let (number, request) = (n * 7 % TRACES, request_id(n * 7 % TRACES));
            let hex: String = trace(number).iter().map(|byte| format!("{byte:02x}")).collect();
            let context = if ids == Ids::ByRequest {
                String::new()
            } else {
                format!(r#","span_id":"927ce9536abff9ce","trace_id":"{hex}""#)
            };
            let line = format!(
                r#"{{"time":"2026-11-20T15:31:20.{n:06}Z","level":"INFO","file":"/opt/dynamo/lib/kv-router/src/scheduling/selector/mod.rs","line":327,"target":"dynamo_kv_router::scheduling::selector","message":"Selected worker","disk_blocks":0,"dp_rank":"0","host_pinned_blocks":0,"logit":62.1875,"request_id":"{request}","router_mode":"kv"{context},"span_name":"kv_router.schedule","worker_id":11360150215887396147,"worker_type":"decode","x_request_id":"test-{number}"}}"#
            );
            w.message(scope_group::ITEMS, |w| {
                w.fixed64(log_record::TIME, 1_795_188_680_000_000_000 + n as u64);
                w.varint(log_record::SEVERITY_NUMBER, 9);
                w.text(log_record::SEVERITY_TEXT, "INFO");
                w.any_value(log_record::BODY, Scalar::Text(&line));
                if ids == Ids::Own {
                    w.bytes(log_record::TRACE_ID, &trace(number));
                    w.bytes(log_record::SPAN_ID, &[2; 8]);
                }
                if ids != Ids::InLine {
                    for (key, value) in [
                        ("target", "dynamo_kv_router::scheduling::selector"),
                        ("message", "Selected worker"),
                        ("dp_rank", "0"),
                        ("request_id", &request),
                        ("span_name", "kv_router.schedule"),
                        ("worker_id", "11360150215887396147"),
                        ("x_request_id", &format!("test-{number}")),
                    ] {
                        w.attribute(log_record::ATTRIBUTES, key, Scalar::Text(value));
                    }
                }
            });
        }
    })
}
