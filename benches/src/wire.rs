//! Times the operations of the wire layer on one thread, in nanoseconds per item:
//! `cargo run --release -p benches -- wire --only check`.
#![allow(clippy::print_stdout, reason = "it prints its results")]

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use pipeline::Signal;
use pipeline::otlp::edit::{self, Level};
use pipeline::otlp::fields::{
    histogram_point, log_record, metric, number_point, request, resource, resource_group, scope, scope_group, span,
    status,
};
use pipeline::otlp::view::{Span, View, resources};
use pipeline::otlp::write::{Scalar, Writer};
use pipeline::otlp::{check, count, filter, split};

const ITEMS: usize = 1000;
const START: u64 = 1_760_000_000_000_000_000;

/// Times everything whose name contains `only`.
pub fn run(only: &str) {
    let traces = traces(ITEMS, 10);
    let metrics = metrics(ITEMS, 10);
    let logs = logs(ITEMS, 10);
    for (signal, payload) in [(Signal::Traces, &traces), (Signal::Metrics, &metrics), (Signal::Logs, &logs)] {
        println!("{signal}: {ITEMS} items of {} bytes", payload.len() / ITEMS);
    }
    let time = |name: &str, operation: &mut dyn FnMut()| {
        if name.contains(only) {
            println!("{name:<44} {:>8.1} ns/item", measure(operation) / ITEMS as f64);
        }
    };

    for (signal, payload) in [(Signal::Traces, &traces), (Signal::Metrics, &metrics), (Signal::Logs, &logs)] {
        let add_resource = &mut |a: &mut edit::Attributes<'_>| a.insert("cluster", "eu-1").map(drop);
        let change_item = &mut |a: &mut edit::Attributes<'_>| {
            a.delete("http.target")?;
            a.insert("deployment.environment", "production").map(drop)
        };
        time(&format!("{signal} copy"), &mut || keep(payload.to_vec()));
        time(&format!("{signal} count"), &mut || keep(count::items(signal, payload)));
        time(&format!("{signal} check envelope"), &mut || keep(check::envelope(signal, payload)));
        time(&format!("{signal} check full"), &mut || keep(check::full(signal, payload)));
        time(&format!("{signal} insert resource attribute"), &mut || {
            keep(edit::attributes(signal, payload, Level::Resource, add_resource));
        });
        time(&format!("{signal} delete and insert item attribute"), &mut || {
            keep(edit::attributes(signal, payload, Level::items(signal), change_item));
        });
        time(&format!("{signal} split to 300 items"), &mut || keep(split::by_items(signal, payload, 300)));
        time(&format!("{signal} split to 64 KiB"), &mut || {
            keep(split::by_bytes(signal, payload, 64 << 10));
        });
    }

    time("traces scan trace ids", &mut || {
        let mut sum = 0u64;
        for group in resources(&traces).flatten() {
            for scope in group.scopes().flatten() {
                for span in scope.items::<&[u8]>().flatten() {
                    sum = sum.wrapping_add(trace_id(span));
                }
            }
        }
        black_box(sum);
    });
    time("traces view every span", &mut || {
        for group in resources(&traces).flatten() {
            for scope in group.scopes().flatten() {
                scope.items::<Span<'_>>().flatten().for_each(keep);
            }
        }
    });
    time("metrics drop half by name prefix", &mut || {
        keep(filter::metrics(&metrics, |_, name, _| Ok(name.starts_with("dynamo_"))));
    });
    time("traces drop half of the spans", &mut || {
        keep(filter::items(Signal::Traces, &traces, |_, span| Ok(Span::view(span)?.kind == 2)));
    });
    let eighths: Vec<Bytes> = (0..8).map(|_| self::traces(ITEMS / 8, 1)).collect();
    time("traces merge 8 requests", &mut || {
        let mut out = Vec::with_capacity(eighths.iter().map(Bytes::len).sum());
        eighths.iter().for_each(|part| out.extend_from_slice(part));
        black_box(out);
    });
}

/// Makes sure that a result is computed.
fn keep<T>(result: T) {
    let _ = black_box(result);
}

/// The fastest tenth of 200 runs of about 3 ms, in nanoseconds per call; short, so that some fall between what else the
/// machine does.
#[allow(clippy::disallowed_methods, reason = "this measures the wall clock")]
fn measure(operation: &mut dyn FnMut()) -> f64 {
    let timed = |operation: &mut dyn FnMut(), times: u32| {
        let start = Instant::now();
        (0..times).for_each(|_| operation());
        start.elapsed().as_secs_f64() * 1e9 / f64::from(times)
    };
    let once = timed(operation, 10);
    let times = (3e6 / once).clamp(1.0, 1e6) as u32;
    let mut runs: Vec<f64> = (0..200).map(|_| timed(operation, times)).collect();
    runs.sort_by(f64::total_cmp);
    runs[runs.len() / 10]
}

/// The first eight bytes of the trace id, which nearly everyone writes first.
fn trace_id(span: &[u8]) -> u64 {
    match span {
        [0x0a, 16, id @ ..] if id.len() >= 16 => {
            u64::from_le_bytes([id[0], id[1], id[2], id[3], id[4], id[5], id[6], id[7]])
        }
        _ => Span::view(span).map_or(0, |span| span.trace_id_bytes.first().copied().map_or(0, u64::from)),
    }
}

fn envelopes(resources: usize, mut items: impl FnMut(&mut Writer, usize)) -> Bytes {
    let mut w = Writer::new();
    for r in 0..resources {
        w.message(request::RESOURCES, |w| {
            w.message(resource_group::RESOURCE, |w| {
                w.attribute(resource::ATTRIBUTES, "service.name", "dynamo-frontend");
                w.attribute(resource::ATTRIBUTES, "service.instance.id", &*format!("frontend-7d9c4b5f6-{r:05}"));
                w.attribute(resource::ATTRIBUTES, "k8s.namespace.name", "inference");
                for i in 0..7 {
                    w.attribute(resource::ATTRIBUTES, &format!("resource.attribute.{i}"), &*format!("value of {i}"));
                }
            });
            w.message(resource_group::SCOPES, |w| {
                w.message(scope_group::SCOPE, |w| {
                    w.text(scope::NAME, "dynamo.http.service");
                    w.text(scope::VERSION, "1.6.1");
                });
                items(w, r);
            });
        });
    }
    w.into_bytes()
}

/// Bytes that look random.
fn noise(seed: usize) -> [u8; 16] {
    let mut state = seed as u64 ^ 0x9e37_79b9_7f4a_7c15;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state ^ state >> 29).to_le_bytes()
    };
    let (a, b) = (next(), next());
    std::array::from_fn(|i| if i < 8 { a[i] } else { b[i - 8] })
}

/// Spans of about 530 bytes with 11 attributes.
pub fn traces(items: usize, resources: usize) -> Bytes {
    envelopes(resources, |w, r| {
        for i in 0..items / resources {
            let n = r * items / resources + i;
            let time = START + n as u64 * 1_000_003;
            w.message(scope_group::ITEMS, |w| {
                w.bytes(span::TRACE_ID, &noise(n / 8));
                w.bytes(span::SPAN_ID, &noise(n)[..8]);
                w.bytes(span::PARENT_SPAN_ID, &noise(n / 8)[8..]);
                w.text(span::NAME, "POST /v1/chat/completions");
                w.varint(span::KIND, 2 + (n as u64 & 1));
                w.fixed64(span::START, time);
                w.fixed64(span::END, time + 20_000_000);
                let a = span::ATTRIBUTES;
                w.attribute(a, "http.request.method", "POST");
                w.attribute(a, "http.target", &*format!("/v1/chat/completions?request={n}"));
                w.attribute(a, "http.response.status_code", Scalar::Int(200));
                w.attribute(a, "server.address", "frontend.inference.svc.cluster.local");
                w.attribute(a, "server.port", Scalar::Int(8000));
                w.attribute(a, "user_agent.original", "OpenAI/Python 1.99.1");
                w.attribute(a, "gen_ai.request.model", "Qwen/Qwen3-0.6B");
                w.attribute(a, "gen_ai.usage.input_tokens", Scalar::Int(n as i64 * 7));
                w.attribute(a, "gen_ai.request.temperature", Scalar::Double(0.7));
                w.attribute(a, "dynamo.stream", Scalar::Bool(true));
                w.attribute(a, "x_request_id", &*format!("{:032x}", n as u128 * 77_777_777_777_777));
                w.message(span::STATUS, |w| w.varint(status::CODE, 1));
                w.fixed32(span::FLAGS, 1);
            });
        }
    })
}

/// Data points of about 200 bytes in metrics of ten points each; every fourth metric is a histogram.
pub fn metrics(items: usize, resources: usize) -> Bytes {
    envelopes(resources, |w, r| {
        for m in 0..items / resources / 10 {
            w.message(scope_group::ITEMS, |w| {
                let family = if m % 2 == 0 { "dynamo_frontend" } else { "python_gc" };
                w.text(metric::NAME, &format!("{family}_requests_{m}_total"));
                w.text(metric::DESCRIPTION, "Total number of requests processed");
                let histogram = m % 4 == 3;
                w.message(if histogram { metric::HISTOGRAM } else { metric::SUM }, |w| {
                    for i in 0..10 {
                        w.message(metric::POINTS, |w| point(w, histogram, r * 1000 + m * 10 + i));
                    }
                    w.varint(metric::TEMPORALITY, 2);
                    if !histogram {
                        w.varint(metric::IS_MONOTONIC, 1);
                    }
                });
            });
        }
    })
}

fn point(w: &mut Writer, histogram: bool, n: usize) {
    let labels = |w: &mut Writer, number| {
        w.attribute(number, "dynamo_namespace", "inference");
        w.attribute(number, "dynamo_component", "backend");
        w.attribute(number, "dynamo_endpoint", "generate");
        w.attribute(number, "model", "Qwen/Qwen3-0.6B");
        w.attribute(number, "worker_id", &*format!("{n:016x}"));
    };
    w.fixed64(2, START);
    w.fixed64(3, START + n as u64);
    if histogram {
        w.fixed64(histogram_point::COUNT, 10);
        w.double(histogram_point::SUM, 1.5);
        w.packed_fixed64(histogram_point::BUCKET_COUNTS, [1, 2, 3, 4].into_iter());
        w.packed_fixed64(histogram_point::EXPLICIT_BOUNDS, [0.1f64, 0.5, 1.0].map(f64::to_bits).into_iter());
        labels(w, histogram_point::ATTRIBUTES);
    } else {
        w.double(number_point::AS_DOUBLE, n as f64);
        labels(w, number_point::ATTRIBUTES);
    }
}

/// Log records of about 380 bytes.
pub fn logs(items: usize, resources: usize) -> Bytes {
    envelopes(resources, |w, r| {
        for i in 0..items / resources {
            let n = r * items / resources + i;
            w.message(scope_group::ITEMS, |w| {
                w.fixed64(log_record::TIME, START + n as u64);
                w.varint(log_record::SEVERITY_NUMBER, 9);
                w.text(log_record::SEVERITY_TEXT, "INFO");
                let body =
                    format!("request {n} completed: model=Qwen/Qwen3-0.6B endpoint=chat_completions status=success");
                w.any_value(log_record::BODY, &*body);
                let a = log_record::ATTRIBUTES;
                w.attribute(a, "http.target", "/v1/chat/completions");
                w.attribute(a, "code.namespace", "dynamo_llm::http::service::openai");
                w.attribute(a, "code.lineno", Scalar::Int(1217));
                w.attribute(a, "x_request_id", &*format!("{:032x}", n as u128 * 77_777_777_777_777));
                w.attribute(a, "elapsed_ms", Scalar::Int(n as i64));
                w.bytes(log_record::TRACE_ID, &noise(n / 8));
                w.bytes(log_record::SPAN_ID, &noise(n)[..8]);
                w.fixed64(log_record::OBSERVED_TIME, START + n as u64);
            });
        }
    })
}
