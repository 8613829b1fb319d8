//! Timings of the processors alone, in nanoseconds an item, on one core.

use std::time::{Duration, Instant};

use bytes::Bytes;
use pipeline::component::{Processor, Stage};
use pipeline::config::testing::decode;
use pipeline::otlp::fields::{
    histogram_point, log_record, metric, number_point, request, resource, resource_group, scope_group,
};
use pipeline::otlp::write::{Scalar, Writer};
use pipeline::registry::ProcessorFactory;
use pipeline::testing::World;
use pipeline::{Batch, Signal};
use processors::{attributes, dynamo_labels, filter, redaction, resource as resource_processor};

use crate::{Options, payload};

/// Runs every case, or those whose names have `--only TEXT` in them, for a while and prints a table.
///
/// # Errors
/// When a case's config or its build fails.
pub fn run(options: &Options) -> Result<(), String> {
    let time = Duration::from_millis(options.number("milliseconds", 500) as u64);
    let spans = batch(Signal::Traces, payload::traces(1000, 1))?;
    let points = batch(Signal::Metrics, gauges(100, 100))?;
    let scraped = batch(Signal::Metrics, histograms(100, 10))?;
    let (lines, prompts) = (batch(Signal::Logs, json_lines(1000, ""))?, batch(Signal::Logs, json_lines(1000, PROMPT))?);
    let insert = "[{key: deployment.environment.name, value: production, action: upsert}]";
    let span_actions = "[{key: url.full, action: delete}, {key: team, value: shop, action: insert}]";
    let post = "{match_type: strict, span_names: ['POST /api/v1/checkout']}";
    let prefix = |name: &str| format!("{{match_type: prefix, metric_names: ['{name}']}}");
    let cases = [
        case::<resource_processor::Factory>("resource: upsert", &spans, &format!("attributes: {insert}"))?,
        case::<attributes::Factory>("attributes: delete and insert", &spans, &format!("actions: {span_actions}"))?,
        case::<attributes::Factory>(
            "attributes: the same with include",
            &spans,
            &format!("{{include: {post}, actions: {span_actions}}}"),
        )?,
        case::<attributes::Factory>("attributes: hash", &spans, "actions: [{key: enduser.id, action: hash}]")?,
        case::<redaction::Factory>("redaction: gen_ai, spans without", &spans, "preset: gen_ai")?,
        case::<redaction::Factory>("redaction: gen_ai, points without", &points, "preset: gen_ai")?,
        case::<redaction::Factory>("redaction: gen_ai, lines without", &lines, "preset: gen_ai")?,
        case::<redaction::Factory>("redaction: gen_ai, lines with prompts", &prompts, "preset: gen_ai")?,
        case::<redaction::Factory>(
            "redaction: blocked key, spans without",
            &spans,
            "{allow_all_keys: true, blocked_key_patterns: ['(?i)authorization']}",
        )?,
        case::<redaction::Factory>(
            "redaction: blocked value, spans without",
            &spans,
            "{allow_all_keys: true, blocked_values: ['sk-[A-Za-z0-9]{16,}']}",
        )?,
        case::<redaction::Factory>(
            "redaction: blocked value, in every span",
            &spans,
            "{allow_all_keys: true, blocked_values: ['cart=[0-9]+']}",
        )?,
        case::<redaction::Factory>("redaction: one allowed key", &spans, "allowed_keys: [url.full]")?,
        case::<dynamo_labels::Factory>(
            "dynamo_labels: six labels",
            &points,
            "{namespace: dynamo, component: backend, worker_id: 7e5, model: m}",
        )?,
        case::<filter::Factory>(
            "filter: half by prefix",
            &points,
            &format!("metrics: {{include: {}}}", prefix("vllm:")),
        )?,
        case::<filter::Factory>(
            "filter: half by regexp",
            &points,
            "metrics: {include: {match_type: regexp, metric_names: ['^vllm:.*']}}",
        )?,
        case::<filter::Factory>("filter: all stay", &points, &format!("metrics: {{include: {}}}", prefix("")))?,
        case::<filter::Factory>(
            "filter: half per sample",
            &scraped,
            &format!("metrics: {{per_sample: true, include: {}}}", prefix("vllm:")),
        )?,
        case::<filter::Factory>(
            "filter: without sums, per sample",
            &scraped,
            "metrics: {per_sample: true, exclude: {match_type: regexp, metric_names: ['_sum$']}}",
        )?,
        case::<filter::Factory>(
            "filter: buckets only, per sample",
            &scraped,
            "metrics: {per_sample: true, include: {match_type: regexp, metric_names: ['_bucket$']}}",
        )?,
    ];
    println!("| processor | items | ns an item | bytes in | bytes out |\n| --- | --- | --- | --- | --- |");
    let only = options.text("only", "");
    for case in cases.iter().filter(|case| case.name.contains(only)) {
        let (nanoseconds, out) = case.measure(time)?;
        let (name, items, bytes) = (case.name, case.batch.items(), case.batch.byte_len());
        println!("| {name} | {items} | {nanoseconds:.1} | {bytes} | {} |", out.byte_len());
    }
    Ok(())
}

const PROMPT: &str = r#","prompt":"Why is the sky blue, and why is it red in the evening?""#;

/// Log records whose bodies are lines as Dynamo writes them, with some attributes that were taken from them.
fn json_lines(count: usize, more: &str) -> Bytes {
    let mut w = Writer::new();
    w.message(request::RESOURCES, |w| {
        w.message(resource_group::SCOPES, |w| {
            for n in 0..count {
                let line = format!(
                    r#"{{"time":"2026-11-20T15:31:26.726627Z","level":"INFO","file":"/opt/dynamo/lib/runtime/src/logging.rs","line":636,"target":"request_span","message":"SPAN_CLOSED","method":"POST","parent_id":"00f067aa0ba902b7","request_id":"600382ba-491c-4c33-a404-{n:012}","span_id":"bb984f8a387a4d39","span_name":"http-request","time.busy_us":354,"time.duration_us":45054,"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","uri":"/v1/chat/completions","version":"HTTP/1.1","x_request_id":"tp-001"{more}}}"#
                );
                w.message(scope_group::ITEMS, |w| {
                    w.fixed64(log_record::TIME, 1_795_000_000_000_000_000);
                    w.any_value(log_record::BODY, Scalar::Text(&line));
                    for (key, value) in [
                        ("target", "request_span"),
                        ("message", "SPAN_CLOSED"),
                        ("method", "POST"),
                        ("uri", "/v1/chat/completions"),
                        ("x_request_id", "tp-001"),
                    ] {
                        w.attribute(log_record::ATTRIBUTES, key, Scalar::Text(value));
                    }
                });
            }
        });
    });
    w.into_bytes()
}

struct Case {
    name: &'static str,
    batch: Batch,
    processor: Box<dyn Processor>,
}

fn case<F: ProcessorFactory>(name: &'static str, batch: &Batch, config: &str) -> Result<Case, String> {
    let context = World::new().context_for(F::TYPES[0], batch.signal());
    match F::build(decode::<F::Config>(config)?, context) {
        Ok(Stage::Plain(processor)) => Ok(Case { name, batch: batch.clone(), processor }),
        Ok(_) => Err(format!("{name} is not an ordinary processor")),
        Err(error) => Err(error.to_string()),
    }
}

impl Case {
    fn measure(&self, time: Duration) -> Result<(f64, Batch), String> {
        let run = || self.processor.process(self.batch.clone()).map_err(|refused| refused.to_string());
        let mut out = run()?;
        let nanoseconds = per_item(time, self.batch.items(), || {
            out = std::hint::black_box(run()?);
            Ok(())
        })?;
        Ok((nanoseconds, out))
    }
}

/// Runs something for a while that works on so many items: the nanoseconds of one.
///
/// # Errors
/// Its own.
pub fn per_item(time: Duration, items: usize, mut run: impl FnMut() -> Result<(), String>) -> Result<f64, String> {
    run()?;
    let mut rounds = 0u32;
    let (start, before) = (Instant::now(), on_cpu());
    while start.elapsed() < time {
        run()?;
        rounds += 1;
    }
    let spent = match (before, on_cpu()) {
        (Some(before), Some(after)) if after > before => (after - before) as f64,
        _ => start.elapsed().as_secs_f64() * 1e9,
    };
    Ok(spent / f64::from(rounds) / items as f64)
}

/// Nanoseconds that this thread has had a core, so that a machine with other work gives the same numbers.
fn on_cpu() -> Option<u64> {
    std::fs::read_to_string("/proc/thread-self/schedstat").ok()?.split(' ').next()?.parse().ok()
}

pub fn batch(signal: Signal, request: Bytes) -> Result<Batch, String> {
    Batch::new(signal, request).map_err(|error| error.to_string())
}

/// Metrics of the names that vLLM and Python give theirs, half of each, in ten resources.
fn metrics(metrics: usize, mut data: impl FnMut(&mut Writer)) -> Bytes {
    let mut w = Writer::new();
    for group in 0..10 {
        w.message(request::RESOURCES, |w| {
            w.message(resource_group::RESOURCE, |w| {
                w.attribute(resource::ATTRIBUTES, "service.name", Scalar::Text("dynamo"));
            });
            w.message(resource_group::SCOPES, |w| {
                for i in 0..metrics / 10 {
                    w.message(scope_group::ITEMS, |w| {
                        let prefix = if i % 2 == 0 { "vllm:time_to_first_token" } else { "python_gc_objects" };
                        w.text(metric::NAME, &format!("{prefix}_{group}_{i}_seconds"));
                        w.text(metric::DESCRIPTION, "How long it took until the first token was there.");
                        data(w);
                    });
                }
            });
        });
    }
    w.into_bytes()
}

fn labels(w: &mut Writer, number: u32, n: usize) {
    w.attribute(number, "model_name", Scalar::Text("Qwen/Qwen3-0.6B"));
    w.attribute(number, "engine", Scalar::Text("0"));
    w.attribute(number, "finished_reason", Scalar::Text(&format!("reason-{n}")));
}

pub fn gauges(count: usize, points: usize) -> Bytes {
    metrics(count, |w| {
        w.message(metric::GAUGE, |w| {
            for n in 0..points {
                w.message(metric::POINTS, |w| {
                    w.fixed64(number_point::TIME, 1_795_000_000_000_000_000);
                    w.double(number_point::AS_DOUBLE, n as f64);
                    labels(w, number_point::ATTRIBUTES, n);
                });
            }
        });
    })
}

pub fn histograms(count: usize, points: usize) -> Bytes {
    metrics(count, |w| {
        w.message(metric::HISTOGRAM, |w| {
            for n in 0..points {
                w.message(metric::POINTS, |w| {
                    w.fixed64(histogram_point::TIME, 1_795_000_000_000_000_000);
                    w.fixed64(histogram_point::COUNT, 190);
                    w.double(histogram_point::SUM, 9.5);
                    w.packed_fixed64(histogram_point::BUCKET_COUNTS, (0..20u32).map(u64::from));
                    w.packed_fixed64(
                        histogram_point::EXPLICIT_BOUNDS,
                        (0..19u32).map(|i| (f64::from(i) / 8.0).to_bits()),
                    );
                    labels(w, histogram_point::ATTRIBUTES, n);
                });
            }
            w.varint(metric::TEMPORALITY, 2);
        });
    })
}
