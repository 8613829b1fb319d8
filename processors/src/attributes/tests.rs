//! The attributes of items, for every kind of item; matches and actions have tests of their own.

use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    Sum, Summary, SummaryDataPoint, metric::Data,
};
use opentelemetry_proto::tonic::trace::v1::{Span, span};
use pipeline::Signal;

use super::{Config, Factory};
use crate::testing::{
    attributes, from, logs, metrics, problems, processor, read_logs, read_metrics, read_spans, resource, scope, show,
    spans,
};

const CHANGE: &str = "actions: [{key: a, action: delete}, {key: z, value: 1, action: insert}]";

#[test]
fn spans_change_and_their_events_do_not() {
    let event = span::Event { attributes: attributes("{a: 1}"), ..span::Event::default() };
    let span = Span { attributes: attributes("{a: 1, b: 2}"), events: vec![event.clone()], ..Span::default() };
    let batch = spans(resource("{a: 1}"), scope("s", ""), vec![span.clone(), span]);
    let out = read_spans(&processor::<Factory>(CHANGE, Signal::Traces).process(batch).unwrap());
    let group = &out.resource_spans[0];
    assert_eq!(show(&group.resource.as_ref().unwrap().attributes), "a=1");
    for span in &group.scope_spans[0].spans {
        assert_eq!(show(&span.attributes), "b=2 z=1");
        assert_eq!(span.events, std::slice::from_ref(&event));
    }
}

#[test]
fn log_records_change() {
    let record = LogRecord { attributes: attributes("{a: 1, b: 2}"), ..LogRecord::default() };
    let batch = logs(resource("{}"), scope("s", ""), vec![record, LogRecord::default()]);
    let batch = from(batch, "[::1]:5", &[("tenant", "t")]);
    let change = "actions: [{key: a, action: delete}, {key: z, from_context: client.address, action: insert}]";
    let out = read_logs(&processor::<Factory>(change, Signal::Logs).process(batch).unwrap());
    let records = &out.resource_logs[0].scope_logs[0].log_records;
    assert_eq!(records.iter().map(|r| show(&r.attributes)).collect::<Vec<_>>(), [r#"b=2 z="::1""#, r#"z="::1""#]);
}

#[test]
fn the_data_points_of_every_kind_of_metric_change() {
    let a = || attributes("{a: 1, b: 2}");
    let number = || vec![NumberDataPoint { attributes: a(), ..Default::default() }];
    let kinds = [
        Data::Gauge(Gauge { data_points: number() }),
        Data::Sum(Sum { data_points: number(), ..Sum::default() }),
        Data::Histogram(Histogram {
            data_points: vec![HistogramDataPoint { attributes: a(), ..Default::default() }],
            ..Histogram::default()
        }),
        Data::ExponentialHistogram(ExponentialHistogram {
            data_points: vec![ExponentialHistogramDataPoint { attributes: a(), ..Default::default() }],
            ..ExponentialHistogram::default()
        }),
        Data::Summary(Summary { data_points: vec![SummaryDataPoint { attributes: a(), ..Default::default() }] }),
    ];
    let all = kinds.into_iter().map(|data| Metric { data: Some(data), ..Metric::default() }).collect();
    let batch = metrics(resource("{}"), scope("s", ""), all);
    let out = processor::<Factory>(CHANGE, Signal::Metrics).process(batch).unwrap();
    assert_eq!(out.items(), 5);
    for metric in &read_metrics(&out).resource_metrics[0].scope_metrics[0].metrics {
        let attributes = match metric.data.as_ref().unwrap() {
            Data::Gauge(d) => &d.data_points[0].attributes,
            Data::Sum(d) => &d.data_points[0].attributes,
            Data::Histogram(d) => &d.data_points[0].attributes,
            Data::ExponentialHistogram(d) => &d.data_points[0].attributes,
            Data::Summary(d) => &d.data_points[0].attributes,
        };
        assert_eq!(show(attributes), "b=2 z=1");
    }
}

#[test]
fn an_action_is_required() {
    assert_eq!(
        problems::<Config>("include: {match_type: strict, services: [a]}"),
        ["'::actions': must have at least one action"]
    );
}

#[tokio::test(start_paused = true)]
async fn it_conforms() {
    pipeline::testing::conformance::processor::<Factory>(
        "actions: [{key: a, value: 1, action: upsert}, {pattern: b, action: hash}]",
    )
    .await;
}
