//! The messages of remote write 1.0, decoded by prost, and a text form to compare them in.

use std::fmt::Write;

use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    pub timeseries: Vec<TimeSeries>,
    #[prost(message, repeated, tag = "3")]
    pub metadata: Vec<MetricMetadata>,
}

#[derive(Clone, PartialEq, Message)]
pub struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    pub labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    pub samples: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    pub exemplars: Vec<Exemplar>,
    #[prost(message, repeated, tag = "4")]
    pub histograms: Vec<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Label {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct Sample {
    #[prost(double, tag = "1")]
    pub value: f64,
    #[prost(int64, tag = "2")]
    pub timestamp: i64,
    /// Only in 2.0.
    #[prost(int64, tag = "3")]
    pub start_timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Exemplar {
    #[prost(message, repeated, tag = "1")]
    pub labels: Vec<Label>,
    #[prost(double, tag = "2")]
    pub value: f64,
    #[prost(int64, tag = "3")]
    pub timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Histogram {
    #[prost(uint64, optional, tag = "1")]
    pub count_int: Option<u64>,
    #[prost(double, tag = "3")]
    pub sum: f64,
    #[prost(sint32, tag = "4")]
    pub schema: i32,
    #[prost(double, tag = "5")]
    pub zero_threshold: f64,
    #[prost(uint64, optional, tag = "6")]
    pub zero_count_int: Option<u64>,
    #[prost(message, repeated, tag = "8")]
    pub negative_spans: Vec<BucketSpan>,
    #[prost(sint64, repeated, tag = "9")]
    pub negative_deltas: Vec<i64>,
    #[prost(message, repeated, tag = "11")]
    pub positive_spans: Vec<BucketSpan>,
    #[prost(sint64, repeated, tag = "12")]
    pub positive_deltas: Vec<i64>,
    #[prost(int32, tag = "14")]
    pub reset_hint: i32,
    #[prost(int64, tag = "15")]
    pub timestamp: i64,
    #[prost(double, repeated, tag = "16")]
    pub custom_values: Vec<f64>,
    #[prost(int64, tag = "17")]
    pub start_timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct BucketSpan {
    #[prost(sint32, tag = "1")]
    pub offset: i32,
    #[prost(uint32, tag = "2")]
    pub length: u32,
}

#[derive(Clone, PartialEq, Message)]
pub struct MetricMetadata {
    #[prost(int32, tag = "1")]
    pub kind: i32,
    #[prost(string, tag = "2")]
    pub metric_family_name: String,
    #[prost(string, tag = "4")]
    pub help: String,
    #[prost(string, tag = "5")]
    pub unit: String,
}

impl WriteRequest {
    /// One line for each series, as they stand: `name{label="value"} value @milliseconds`.
    pub fn lines(&self) -> Vec<String> {
        self.timeseries.iter().map(TimeSeries::line).collect()
    }
}

impl TimeSeries {
    /// The value of a label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|l| l.name == name).map(|l| l.value.as_str())
    }

    fn line(&self) -> String {
        let mut out = self.label("__name__").unwrap_or_default().to_owned();
        write_labels(&mut out, self.labels.iter().filter(|l| l.name != "__name__"));
        for sample in &self.samples {
            match sample.value.to_bits() {
                super::super::points::STALE => out.push_str(" stale"),
                0x7ff8_0000_0000_0001 => out.push_str(" NaN"),
                bits if sample.value.is_nan() => write!(out, " NaN({bits:x})").unwrap(),
                _ => write!(out, " {}", sample.value).unwrap(),
            }
            if sample.start_timestamp != 0 {
                write!(out, " since {}", sample.start_timestamp).unwrap();
            }
            write!(out, " @{}", sample.timestamp).unwrap();
        }
        for h in &self.histograms {
            let span = |s: &BucketSpan| format!("{}+{}", s.offset, s.length);
            let spans = |s: &[BucketSpan]| s.iter().map(span).collect::<Vec<_>>().join(" ");
            write!(
                out,
                " schema={} count={} sum={} zero={} positive=[{}]{:?} negative=[{}]{:?}",
                h.schema,
                h.count_int.unwrap(),
                if h.sum.to_bits() == super::super::points::STALE { "stale".to_owned() } else { h.sum.to_string() },
                h.zero_count_int.unwrap_or_default(),
                spans(&h.positive_spans),
                h.positive_deltas,
                spans(&h.negative_spans),
                h.negative_deltas,
            )
            .unwrap();
            if !h.custom_values.is_empty() {
                write!(out, " bounds={:?}", h.custom_values).unwrap();
            }
            if h.reset_hint == 3 {
                out.push_str(" gauge");
            }
            if h.start_timestamp != 0 {
                write!(out, " since {}", h.start_timestamp).unwrap();
            }
            write!(out, " @{}", h.timestamp).unwrap();
        }
        for exemplar in &self.exemplars {
            out.push_str(" # ");
            write_labels(&mut out, exemplar.labels.iter());
            write!(out, " {} @{}", exemplar.value, exemplar.timestamp).unwrap();
        }
        out
    }
}

fn write_labels<'a>(out: &mut String, labels: impl Iterator<Item = &'a Label>) {
    let labels: Vec<_> = labels.map(|l| format!("{}={:?}", l.name, l.value)).collect();
    if !labels.is_empty() {
        write!(out, "{{{}}}", labels.join(",")).unwrap();
    }
}
