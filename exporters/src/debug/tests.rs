//! What is shown, and where.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Summary, SummaryDataPoint, metric, number_data_point, summary_data_point,
};
use pipeline::config::testing::{decode, decode_exporter};
use pipeline::delivery;
use pipeline::otlp::fields::{log_record, resource_group, scope_group, span};
use pipeline::otlp::write::{Scalar, Writer};
use pipeline::plan::TelemetryPlan;
use pipeline::telemetry::logs;
use pipeline::testing::{World, conformance};
use pipeline::{Batch, Exporter, ExporterFactory, Receipt, Signal};
use prost::Message;

use super::{Config, Factory, lines};

fn exporter(world: &World, yaml: &str) -> Box<dyn Exporter> {
    Factory::build(decode::<Config>(yaml).unwrap(), world.context_for("debug", Signal::Logs)).unwrap()
}

/// A batch with one item that `write` writes.
fn batch(signal: Signal, write: impl FnOnce(&mut Writer)) -> Batch {
    let mut w = Writer::new();
    w.message(1, |w| w.message(resource_group::SCOPES, |w| w.message(scope_group::ITEMS, write)));
    Batch::new(signal, w.into_bytes()).unwrap()
}

fn hello() -> Batch {
    batch(Signal::Logs, |w| {
        w.text(log_record::SEVERITY_TEXT, "INFO");
        w.any_value(log_record::BODY, Scalar::Text("hello"));
        w.bytes(log_record::TRACE_ID, &[0xab; 16]);
        w.attribute(log_record::ATTRIBUTES, "k", Scalar::Int(7));
    })
}

const TO_FILE: &str = "use_internal_logger: false\noutput_paths: [/out, stderr]";

fn shown(world: &World) -> String {
    String::from_utf8(world.files.contents("/out")).unwrap()
}

#[tokio::test]
async fn basic_is_a_line_a_batch() {
    let world = World::new();
    let exporter = exporter(&world, TO_FILE);
    assert_eq!(exporter.export(&hello()).await, Ok(Receipt::default()));
    exporter.export(&hello()).await.unwrap();
    assert_eq!(shown(&world), "logs: resources=1 log_records=1\n".repeat(2));
    assert_eq!(String::from_utf8(world.files.contents("/dev/stderr")).unwrap(), shown(&world));
}

#[tokio::test]
async fn normal_is_a_line_an_item_too() {
    let world = World::new();
    exporter(&world, &format!("verbosity: normal\n{TO_FILE}")).export(&hello()).await.unwrap();
    let id = "ab".repeat(16);
    assert_eq!(shown(&world), format!("logs: resources=1 log_records=1\nINFO hello trace_id={id} k=7\n"));
}

#[tokio::test]
async fn detailed_is_everything_in_the_frames_text_form() {
    let world = World::new();
    exporter(&world, &format!("verbosity: detailed\n{TO_FILE}")).export(&hello()).await.unwrap();
    let (header, shown) = shown(&world).split_once('\n').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    assert_eq!(header, "logs: resources=1 log_records=1");
    assert_eq!(shown, pipeline::otlp::text::print(Signal::Logs, &hello().to_bytes()).unwrap());
}

#[test]
fn spans_show_their_name_and_ids() {
    let batch = batch(Signal::Traces, |w| {
        w.bytes(span::TRACE_ID, &[0xab; 16]);
        w.bytes(span::SPAN_ID, &[1; 8]);
        w.text(span::NAME, "GET /");
        w.attribute(span::ATTRIBUTES, "status", Scalar::Int(200));
    });
    let expected = format!("GET / {} {} status=200", "ab".repeat(16), "01".repeat(8));
    assert_eq!(lines::items(&batch).unwrap(), [expected]);
    assert_eq!(lines::summary(&batch).unwrap(), "traces: resources=1 spans=1");
}

#[test]
fn points_show_their_values() {
    let number = |value, flags| NumberDataPoint { value, flags, ..NumberDataPoint::default() };
    let int = number_data_point::Value::AsInt(-3);
    let double = number_data_point::Value::AsDouble(0.5);
    let data = [
        metric::Data::Gauge(Gauge {
            data_points: vec![number(Some(int), 0), number(Some(double), 0), number(None, 1)],
        }),
        metric::Data::Histogram(Histogram {
            data_points: vec![HistogramDataPoint {
                count: 3,
                sum: Some(4.5),
                bucket_counts: vec![1, 2],
                explicit_bounds: vec![10.0],
                ..HistogramDataPoint::default()
            }],
            ..Histogram::default()
        }),
        metric::Data::ExponentialHistogram(ExponentialHistogram {
            data_points: vec![ExponentialHistogramDataPoint { count: 3, scale: 2, ..Default::default() }],
            ..ExponentialHistogram::default()
        }),
        metric::Data::Summary(Summary {
            data_points: vec![SummaryDataPoint {
                count: 3,
                sum: 4.5,
                quantile_values: vec![summary_data_point::ValueAtQuantile { quantile: 0.9, value: 2.0 }],
                ..SummaryDataPoint::default()
            }],
        }),
    ];
    let metrics = data.map(|data| Metric { name: "m".to_owned(), data: Some(data), ..Metric::default() }).to_vec();
    let scope_metrics = vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }];
    let resource_metrics = vec![ResourceMetrics { scope_metrics, ..ResourceMetrics::default() }];
    let request = ExportMetricsServiceRequest { resource_metrics };
    let batch = Batch::new(Signal::Metrics, Bytes::from(request.encode_to_vec())).unwrap();
    assert_eq!(
        lines::items(&batch).unwrap(),
        [
            "m{} -3",
            "m{} 0.5",
            "m{} (no recorded value)",
            "m{} count=3 sum=4.5 le10=1",
            "m{} count=3 scale=2 zero=0",
            "m{} count=3 sum=4.5 q0.9=2",
        ]
    );
    assert_eq!(lines::summary(&batch).unwrap(), "metrics: resources=1 metrics=4 metric_points=6");
}

/// What our own log takes in.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn by_default_it_goes_into_our_own_log() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = logs::subscriber(&TelemetryPlan::default(), move || writer.clone());
    let world = World::new();
    {
        let _guard = tracing::subscriber::set_default(subscriber);
        exporter(&world, "verbosity: normal").export(&hello()).await.unwrap();
    }
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<_> = text.lines().map(|line| line.split_once(": ").unwrap().1).collect();
    let id = "ab".repeat(16);
    assert_eq!(
        lines,
        [
            "logs: resources=1 log_records=1 exporter=debug".to_owned(),
            format!("INFO hello trace_id={id} k=7 exporter=debug"),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn only_some_batches_of_a_second_are_shown() {
    let world = World::new();
    let exporter = exporter(&world, &format!("sampling_initial: 1\nsampling_thereafter: 3\n{TO_FILE}"));
    for _ in 0..7 {
        assert_eq!(exporter.export(&hello()).await, Ok(Receipt::default()));
    }
    assert_eq!(shown(&world).lines().count(), 3);
}

#[tokio::test]
async fn what_cannot_be_written_or_read_is_refused() {
    let world = World::new();
    world.files.fail("/out", std::io::ErrorKind::PermissionDenied);
    let refused = exporter(&world, TO_FILE).export(&hello()).await.unwrap_err();
    assert_eq!(refused.reason().code, "output");
    let malformed = Batch::counted(Signal::Logs, Bytes::from_static(&[10, 200]), 1);
    assert_eq!(exporter(&world, "").export(&malformed).await.unwrap_err().reason().code, "malformed");
}

#[tokio::test(start_paused = true)]
async fn it_does_what_every_exporter_does() {
    conformance::exporter::<Factory>(
        "{verbosity: normal, use_internal_logger: false, output_paths: [/out]}",
        async |_| {},
    )
    .await;
}

#[test]
fn delivery_is_direct_and_a_config_that_cannot_work_says_what_would() {
    let (_, delivery) = decode_exporter::<Factory>("{}").unwrap();
    assert_eq!(delivery, delivery::Settings::direct());
    let refused = |yaml: &str, expected: &str| {
        let error = decode::<Config>(yaml).unwrap_err();
        assert!(error.contains(expected), "{error}");
    };
    refused("verbosity: loud", "detailed");
    refused("{use_internal_logger: false, output_paths: []}", "name stdout, stderr or a file");
    refused("output_paths: ['']", "name stdout, stderr or a file");
}
