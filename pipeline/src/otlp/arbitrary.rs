//! Makes OTLP requests out of random bytes: objects, and the many ways in which protobuf can write the same.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric,
    NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint, exemplar, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;

use super::schema::{Cardinality, Kind, Type};
use super::wire::{Fields, VARINT, Value as Wire, write_varint};
use super::write::Writer;
use crate::batch::Signal;

/// Choices out of bytes; zeros when they are used up, which makes everything small.
pub(crate) struct Source<'a>(pub(crate) &'a [u8]);

impl Source<'_> {
    pub(crate) fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    /// One of `n` choices.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        usize::from(self.byte()) % n
    }

    /// True in one of `n` cases.
    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }

    fn number(&mut self) -> u64 {
        match self.below(6) {
            0 => 0,
            1 => u64::from(self.byte()),
            2 => u64::from(self.byte()) << 8 | u64::from(self.byte()),
            3 => 1_760_000_000_000_000_000 + u64::from(self.byte()),
            4 => u64::MAX - u64::from(self.byte()),
            _ => u64::from(self.byte()) << 32,
        }
    }

    fn small(&mut self) -> u32 {
        u32::from(self.byte()) * u32::from(self.byte() & 1)
    }

    fn double(&mut self) -> f64 {
        match self.below(7) {
            0 => 0.0,
            1 => f64::from(self.byte()),
            2 => -0.1 * f64::from(self.byte()),
            3 => f64::INFINITY,
            4 => f64::MIN_POSITIVE * f64::from(self.byte()),
            5 => 1e300 * f64::from(self.byte()),
            _ => -0.0,
        }
    }

    fn text(&mut self) -> String {
        const WORDS: &[&str] = &[
            "",
            "a",
            "b",
            "key",
            "service.name",
            "äöü",
            "🦀",
            "x\"y\\z\n\t",
            "1",
            "-",
            "http.status_code",
            "\u{0}\u{7f}",
        ];
        let word = WORDS[self.below(WORDS.len())];
        if self.one_in(20) { word.repeat(usize::from(self.byte())) } else { word.to_owned() }
    }

    fn id(&mut self, len: usize) -> Vec<u8> {
        match self.below(3) {
            0 => Vec::new(),
            1 => vec![self.byte(); len],
            _ => vec![0; len],
        }
    }

    fn bytes(&mut self) -> Vec<u8> {
        (0..self.below(5)).map(|_| self.byte()).collect()
    }

    fn many<T>(&mut self, most: usize, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(most + 1)).map(|_| make(self)).collect()
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (!self.one_in(4)).then(|| make(self))
    }

    pub(crate) fn value(&mut self, depth: usize) -> AnyValue {
        let value = match self.below(if depth == 0 { 7 } else { 9 }) {
            0 => return AnyValue { value: None },
            1 => Value::BoolValue(self.one_in(2)),
            2 => Value::IntValue(self.number().cast_signed()),
            3 => Value::DoubleValue(self.double()),
            4 => Value::BytesValue(self.bytes()),
            5 => Value::StringValue(String::new()),
            6 => Value::StringValue(self.text()),
            7 => Value::ArrayValue(ArrayValue { values: self.many(3, |s| s.value(depth - 1)) }),
            _ => Value::KvlistValue(KeyValueList { values: self.many(3, |s| s.attribute(depth - 1)) }),
        };
        AnyValue { value: Some(value) }
    }

    fn attribute(&mut self, depth: usize) -> KeyValue {
        KeyValue { key: self.text(), value: self.maybe(|s| s.value(depth)), key_strindex: 0 }
    }

    fn attributes(&mut self) -> Vec<KeyValue> {
        self.many(4, |s| s.attribute(2))
    }

    fn resource(&mut self) -> Option<Resource> {
        let entity = |s: &mut Self| EntityRef {
            schema_url: s.text(),
            r#type: s.text(),
            id_keys: s.many(2, Self::text),
            description_keys: s.many(2, Self::text),
        };
        self.maybe(|s| Resource {
            attributes: s.attributes(),
            dropped_attributes_count: s.small(),
            entity_refs: s.many(1, entity),
        })
    }

    fn scope(&mut self) -> Option<InstrumentationScope> {
        self.maybe(|s| InstrumentationScope {
            name: s.text(),
            version: s.text(),
            attributes: s.attributes(),
            dropped_attributes_count: s.small(),
        })
    }

    fn span(&mut self) -> Span {
        let event = |s: &mut Self| Event {
            time_unix_nano: s.number(),
            name: s.text(),
            attributes: s.attributes(),
            dropped_attributes_count: s.small(),
        };
        let link = |s: &mut Self| Link {
            trace_id: s.id(16),
            span_id: s.id(8),
            trace_state: s.text(),
            attributes: s.attributes(),
            dropped_attributes_count: s.small(),
            flags: s.small(),
        };
        Span {
            trace_id: self.id(16),
            span_id: self.id(8),
            trace_state: self.text(),
            parent_span_id: self.id(8),
            flags: self.small(),
            name: self.text(),
            kind: self.below(7).try_into().unwrap(),
            start_time_unix_nano: self.number(),
            end_time_unix_nano: self.number(),
            attributes: self.attributes(),
            dropped_attributes_count: self.small(),
            events: self.many(2, event),
            dropped_events_count: self.small(),
            links: self.many(2, link),
            dropped_links_count: self.small(),
            status: self.maybe(|s| Status { message: s.text(), code: s.below(4).try_into().unwrap() }),
        }
    }

    fn log(&mut self) -> LogRecord {
        LogRecord {
            time_unix_nano: self.number(),
            observed_time_unix_nano: self.number(),
            severity_number: self.below(26).try_into().unwrap(),
            severity_text: self.text(),
            body: self.maybe(|s| s.value(2)),
            attributes: self.attributes(),
            dropped_attributes_count: self.small(),
            flags: self.small(),
            trace_id: self.id(16),
            span_id: self.id(8),
            event_name: self.text(),
        }
    }

    fn exemplar(&mut self) -> Exemplar {
        let value = match self.below(3) {
            0 => None,
            1 => Some(exemplar::Value::AsDouble(self.double())),
            _ => Some(exemplar::Value::AsInt(self.number().cast_signed())),
        };
        Exemplar {
            filtered_attributes: self.attributes(),
            time_unix_nano: self.number(),
            span_id: self.id(8),
            trace_id: self.id(16),
            value,
        }
    }

    fn number_point(&mut self) -> NumberDataPoint {
        let value = match self.below(3) {
            0 => None,
            1 => Some(number_data_point::Value::AsDouble(self.double())),
            _ => Some(number_data_point::Value::AsInt(self.number().cast_signed())),
        };
        NumberDataPoint {
            attributes: self.attributes(),
            start_time_unix_nano: self.number(),
            time_unix_nano: self.number(),
            exemplars: self.many(1, Self::exemplar),
            flags: self.small(),
            value,
        }
    }

    fn histogram_point(&mut self) -> HistogramDataPoint {
        HistogramDataPoint {
            attributes: self.attributes(),
            start_time_unix_nano: self.number(),
            time_unix_nano: self.number(),
            count: self.number(),
            sum: self.maybe(Self::double),
            bucket_counts: self.many(4, Self::number),
            explicit_bounds: self.many(4, Self::double),
            exemplars: self.many(1, Self::exemplar),
            flags: self.small(),
            min: self.maybe(Self::double),
            max: self.maybe(Self::double),
        }
    }

    fn exponential_point(&mut self) -> ExponentialHistogramDataPoint {
        let buckets =
            |s: &mut Self| Buckets { offset: i32::from(s.byte()) - 128, bucket_counts: s.many(4, Self::number) };
        ExponentialHistogramDataPoint {
            attributes: self.attributes(),
            start_time_unix_nano: self.number(),
            time_unix_nano: self.number(),
            count: self.number(),
            sum: self.maybe(Self::double),
            scale: i32::from(self.byte()) - 128,
            zero_count: self.number(),
            positive: self.maybe(buckets),
            negative: self.maybe(buckets),
            flags: self.small(),
            exemplars: self.many(1, Self::exemplar),
            min: self.maybe(Self::double),
            max: self.maybe(Self::double),
            zero_threshold: self.double(),
        }
    }

    fn summary_point(&mut self) -> SummaryDataPoint {
        SummaryDataPoint {
            attributes: self.attributes(),
            start_time_unix_nano: self.number(),
            time_unix_nano: self.number(),
            count: self.number(),
            sum: self.double(),
            quantile_values: self.many(2, |s| ValueAtQuantile { quantile: s.double(), value: s.double() }),
            flags: self.small(),
        }
    }

    fn metric(&mut self) -> Metric {
        let aggregation_temporality = self.below(4).try_into().unwrap();
        let data = match self.below(6) {
            0 => None,
            1 => Some(Data::Gauge(Gauge { data_points: self.many(3, Self::number_point) })),
            2 => Some(Data::Sum(Sum {
                data_points: self.many(3, Self::number_point),
                aggregation_temporality,
                is_monotonic: self.one_in(2),
            })),
            3 => Some(Data::Histogram(Histogram {
                data_points: self.many(3, Self::histogram_point),
                aggregation_temporality,
            })),
            4 => Some(Data::ExponentialHistogram(ExponentialHistogram {
                data_points: self.many(3, Self::exponential_point),
                aggregation_temporality,
            })),
            _ => Some(Data::Summary(Summary { data_points: self.many(3, Self::summary_point) })),
        };
        Metric { name: self.text(), description: self.text(), unit: self.text(), metadata: self.attributes(), data }
    }

    /// A request as prost writes it.
    pub(crate) fn request(&mut self, signal: Signal) -> Vec<u8> {
        match signal {
            Signal::Traces => {
                let scope =
                    |s: &mut Self| ScopeSpans { scope: s.scope(), spans: s.many(3, Self::span), schema_url: s.text() };
                let group = |s: &mut Self| ResourceSpans {
                    resource: s.resource(),
                    scope_spans: s.many(2, scope),
                    schema_url: s.text(),
                };
                ExportTraceServiceRequest { resource_spans: self.many(3, group) }.encode_to_vec()
            }
            Signal::Metrics => {
                let scope = |s: &mut Self| ScopeMetrics {
                    scope: s.scope(),
                    metrics: s.many(3, Self::metric),
                    schema_url: s.text(),
                };
                let group = |s: &mut Self| ResourceMetrics {
                    resource: s.resource(),
                    scope_metrics: s.many(2, scope),
                    schema_url: s.text(),
                };
                ExportMetricsServiceRequest { resource_metrics: self.many(3, group) }.encode_to_vec()
            }
            Signal::Logs => {
                let scope = |s: &mut Self| ScopeLogs {
                    scope: s.scope(),
                    log_records: s.many(3, Self::log),
                    schema_url: s.text(),
                };
                let group = |s: &mut Self| ResourceLogs {
                    resource: s.resource(),
                    scope_logs: s.many(2, scope),
                    schema_url: s.text(),
                };
                ExportLogsServiceRequest { resource_logs: self.many(3, group) }.encode_to_vec()
            }
        }
    }

    /// A request written as strangely as protobuf allows: fields in any order and twice, messages in pieces, numbers
    /// unpacked, lengths too long, unknown fields and groups.
    pub(crate) fn strange_request(&mut self, signal: Signal) -> Vec<u8> {
        let request = self.request(signal);
        if self.one_in(4) { request } else { self.strange(Type::request(signal), &request) }
    }

    fn strange(&mut self, message: Type, bytes: &[u8]) -> Vec<u8> {
        let mut fields: Vec<Vec<u8>> = Vec::new();
        for field in Fields::new(bytes) {
            let field = field.unwrap();
            let known = message.field(field.number).unwrap();
            match (known.kind, known.cardinality, field.value) {
                (Kind::Message(inner), cardinality, Wire::Len(inside)) => {
                    let inside = self.strange(inner, inside);
                    if cardinality == Cardinality::Many || !self.one_in(8) {
                        fields.push(self.long_field(field.number, &inside));
                    } else {
                        // In two pieces, cut between two fields.
                        let cut = Fields::new(&inside).take(self.below(4)).map(|f| f.unwrap().raw.len()).sum();
                        fields.push(self.long_field(field.number, &inside[..cut]));
                        fields.push(self.long_field(field.number, &inside[cut..]));
                    }
                }
                (Kind::Fixed64 | Kind::Double | Kind::Uint64, Cardinality::Many, Wire::Len(packed))
                    if self.one_in(2) =>
                {
                    let mut rest = packed;
                    while !rest.is_empty() {
                        let mut w = Writer::new();
                        if known.kind == Kind::Uint64 {
                            let mut at = 0;
                            w.varint(field.number, super::wire::read_varint(rest, &mut at).unwrap());
                            rest = &rest[at..];
                        } else {
                            let (number, behind) = rest.split_first_chunk().unwrap();
                            w.fixed64(field.number, u64::from_le_bytes(*number));
                            rest = behind;
                        }
                        fields.push(w.into_vec());
                    }
                }
                (_, _, Wire::Len(inside)) => fields.push(self.long_field(field.number, inside)),
                _ => fields.push(field.raw.to_vec()),
            }
        }
        if self.one_in(6) && !fields.is_empty() {
            let twice = fields[self.below(fields.len())].clone();
            fields.push(twice);
        }
        if self.one_in(6) {
            let unknown = self.unknown();
            fields.push(unknown);
        }
        if self.one_in(3) {
            for i in (1..fields.len()).rev() {
                fields.swap(i, self.below(i + 1));
            }
        }
        fields.concat()
    }

    /// A field with its key and length perhaps longer than they need to be.
    fn long_field(&mut self, number: u32, inside: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for value in [u64::from(number << 3 | 2), inside.len() as u64] {
            write_varint(&mut out, value);
            if self.one_in(30) {
                *out.last_mut().unwrap() |= 0x80;
                out.extend([0x80, 0]);
            }
        }
        out.extend_from_slice(inside);
        out
    }

    fn unknown(&mut self) -> Vec<u8> {
        let number = [17, 99, 1000, (1 << 29) - 1][self.below(4)];
        let mut w = Writer::new();
        match self.below(5) {
            0 => w.varint(number, self.number()),
            1 => w.fixed32(number, 7),
            2 => w.fixed64(number, 7),
            3 => w.bytes(number, &[0xff; 3]),
            _ => {
                let mut out = Vec::new();
                write_varint(&mut out, u64::from(number << 3 | 3));
                write_varint(&mut out, u64::from(5u32 << 3 | VARINT));
                out.push(1);
                write_varint(&mut out, u64::from(number << 3 | 4));
                return out;
            }
        }
        w.into_vec()
    }
}
