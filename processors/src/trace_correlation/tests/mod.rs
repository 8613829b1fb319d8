//! trace_correlation in pipelines of all three signals, whose far sides are sinks.

mod any;
mod capture;
mod exemplars;
mod holding;
mod logs;
mod spans;

use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;
use pipeline::component::{BoxFuture, Consumer, Context, Outcome, Stage};
use pipeline::config::testing::decode;
use pipeline::registry::ProcessorFactory;
use pipeline::testing::{Sink, World, count};
use pipeline::{Batch, Signal};

use super::{Config, Factory};
use crate::testing::{any, attributes, read_logs, read_spans, resource, scope, show};
use crate::value::Value;

/// Three pipelines that share a correlation.
struct Setup {
    world: World,
    sinks: [Sink; 3],
    stages: [Arc<dyn Consumer>; 3],
}

impl Setup {
    fn new(yaml: &str) -> Setup {
        Setup::before(yaml, |sink| sink.consumer())
    }

    /// The same where everything behind answers from memory.
    fn from_memory(yaml: &str) -> Setup {
        Setup::before(yaml, |sink| Arc::new(Memory(sink.clone())))
    }

    fn before(yaml: &str, next: impl Fn(&Sink) -> Arc<dyn Consumer>) -> Setup {
        let (world, sinks) = (World::new(), [(); 3].map(|()| Sink::new()));
        let config: Config = decode(yaml).unwrap();
        let context = world.context("trace_correlation");
        let stages = Signal::ALL.map(|signal| {
            let context = Context { signal: Some(signal), ..context.clone() };
            let Ok(Stage::Holding(make)) = Factory::build(config.clone(), context) else { panic!("it holds") };
            make(next(&sinks[signal.index()]))
        });
        Setup { world, sinks, stages }
    }

    async fn send(&self, batch: Batch) -> Outcome {
        self.stages[batch.signal().index()].consume(batch).await
    }

    fn sink(&self, signal: Signal) -> &Sink {
        &self.sinks[signal.index()]
    }

    /// The log records that came out since the last call, as `body trace span [attributes]`.
    fn logs(&self) -> Vec<String> {
        let records = self.sink(Signal::Logs).take().into_iter().flat_map(|batch| {
            let request = read_logs(&batch);
            let scopes = request.resource_logs.into_iter().flat_map(|group| group.scope_logs);
            scopes.flat_map(|scope| scope.log_records).collect::<Vec<_>>()
        });
        records.map(|record| show_record(&record)).collect()
    }

    /// The spans that came out since the last call, as `name [attributes]`.
    fn spans(&self) -> Vec<String> {
        let spans = self.sink(Signal::Traces).take().into_iter().flat_map(|batch| {
            let request = read_spans(&batch);
            let scopes = request.resource_spans.into_iter().flat_map(|group| group.scope_spans);
            scopes.flat_map(|scope| scope.spans).collect::<Vec<_>>()
        });
        spans.map(|span| format!("{} [{}]", span.name, show(&span.attributes))).collect()
    }

    fn count(&self, what: &str) -> u64 {
        count(&self.world.meter, &format!("slipring_trace_correlation_{what}_total"), &[])
    }

    fn lookups(&self, signal: Signal) -> (u64, u64) {
        let of = |what: &str| {
            let name = format!("slipring_trace_correlation_{what}_total");
            count(&self.world.meter, &name, &[("signal", signal.name())])
        };
        (of("hits"), of("misses"))
    }

    fn held(&self, what: &str) -> u64 {
        count(&self.world.meter, "slipring_trace_correlation_held_bytes", &[("what", what)])
    }
}

/// A sink whose yes means no more than that it has the batch in memory.
struct Memory(Sink);

impl Consumer for Memory {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Outcome> {
        self.0.consume(batch)
    }

    fn answers_from_memory(&self) -> bool {
        true
    }
}

fn trace(number: u8) -> Vec<u8> {
    vec![number; 16]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn show_record(record: &LogRecord) -> String {
    let body = record.body.as_ref().map(crate::testing::show_value).unwrap_or_default();
    let ids = [&record.trace_id, &record.span_id].map(|id| match id.first() {
        Some(first) if id.iter().all(|byte| byte == first) => format!("{first}"),
        Some(_) => hex(id),
        None => "-".to_owned(),
    });
    let flags = if record.flags == 0 { String::new() } else { format!(" flags={}", record.flags) };
    format!("{body} {} {}{flags} [{}]", ids[0], ids[1], show(&record.attributes))
}

fn record(body: &str, trace_id: Vec<u8>, yaml: &str) -> LogRecord {
    let body = Some(any(&Value::Text(body.to_owned())));
    LogRecord { body, trace_id, attributes: attributes(yaml), ..LogRecord::default() }
}

/// An error of a span.
fn error(body: &str, trace_id: Vec<u8>, span: u8, time: u64) -> LogRecord {
    let span_id = vec![span; 8];
    LogRecord { span_id, severity_number: 17, time_unix_nano: time, ..record(body, trace_id, "{}") }
}

fn logs(records: impl IntoIterator<Item = LogRecord>) -> Batch {
    crate::testing::logs(resource("{}"), scope("", ""), records.into_iter().collect())
}

/// A span; parent 0 is none.
fn span(name: &str, number: u8, (id, parent): (u8, u8), attributes: Vec<KeyValue>) -> Span {
    let parent_span_id = if parent == 0 { Vec::new() } else { vec![parent; 8] };
    Span {
        name: name.to_owned(),
        trace_id: trace(number),
        span_id: vec![id; 8],
        parent_span_id,
        attributes,
        ..Span::default()
    }
}

fn spans(service: &str, spans: impl IntoIterator<Item = Span>) -> Batch {
    crate::testing::spans(resource(&format!("{{service.name: {service}}}")), scope("", ""), spans.into_iter().collect())
}

/// The root span of a trace, of Dynamo's frontend.
fn root(number: u8, yaml: &str) -> Batch {
    spans("frontend", [span("http-request", number, (1, 0), attributes(yaml))])
}

#[tokio::test(start_paused = true)]
async fn it_conforms() {
    pipeline::testing::conformance::processor::<Factory>("{}").await;
    pipeline::testing::conformance::processor::<Factory>("{wait: 0s, hold: [logs, traces], worker_id: hex}").await;
    pipeline::testing::conformance::processor::<Factory>(
        "{wait: 100ms, hold: [traces], max_bytes: 64KiB, log_attributes: {}, span_attributes: {}, exemplars: []}",
    )
    .await;
}

#[test]
fn a_config_that_cannot_work_is_refused() {
    let check = |yaml: &str, expected: &[&str]| {
        assert_eq!(crate::testing::problems::<Config>(yaml), expected, "{yaml}");
    };
    check("{keep: 1s}", &["'::keep': must be greater than zero and not less than wait"]);
    check("{max_bytes: 1KiB}", &["'::max_bytes': must be at least 64KiB"]);
    check("{log_attributes: {a: []}}", &["'::log_attributes::a': must name at least one attribute of the trace"]);
    check(
        "{exemplars: [{metric: m, span: s, value: v}, {metric: m, span: s, value: w}, {metric: n}]}",
        &[
            "'::exemplars[1]::metric': m has a rule above",
            "'::exemplars[2]': needs span",
            "'::exemplars[2]': needs value",
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_which_nothing_is_known_keeps_its_bytes() {
    for signal in Signal::ALL {
        let setup = Setup::new("{wait: 0s}");
        let batch = pipeline::testing::batch(signal, ["a", "b"]);
        setup.send(batch.clone()).await.unwrap();
        assert_eq!(setup.sink(signal).batches()[0].parts(), batch.parts());
    }
}
