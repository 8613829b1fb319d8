//! Types, help texts and units of metrics, as remote write 1.0 sends them: apart from the series.

use std::collections::HashSet;

use pipeline::otlp::WireError;
use pipeline::otlp::view::{AnyValue, Metric, MetricKind};
use pipeline::otlp::write::Writer;

/// `prompb.WriteRequest`, and the fields of `prompb.MetricMetadata`.
const METADATA: u32 = 3;
mod fields {
    pub const TYPE: u32 = 1;
    pub const NAME: u32 = 2;
    pub const HELP: u32 = 4;
    pub const UNIT: u32 = 5;
}

/// Entries for one request, each metric once.
#[derive(Default)]
pub struct MetadataEntries {
    bytes: Writer,
    seen: HashSet<String>,
}

impl MetadataEntries {
    /// Adds what a metric says of itself; `name` is what it is called in Prometheus.
    ///
    /// # Errors
    /// When the metric's own metadata is malformed.
    pub fn add(&mut self, name: &str, metric: &Metric<'_>) -> Result<(), WireError> {
        if self.seen.contains(name) {
            return Ok(());
        }
        let said = metric.metadata().find("prometheus.type")?.and_then(AnyValue::as_text);
        self.seen.insert(name.to_owned());
        self.bytes.message(METADATA, |w| {
            w.varint(fields::TYPE, said.map_or_else(|| of_kind(metric), of_word));
            w.text(fields::NAME, name);
            w.text_unless_empty(fields::HELP, metric.description);
            w.text_unless_empty(fields::UNIT, metric.unit);
        });
        Ok(())
    }

    /// The serialized `WriteRequest` of them, unless there are none.
    pub fn into_request(self) -> Option<Vec<u8>> {
        (!self.bytes.is_empty()).then(|| self.bytes.into_vec())
    }
}

/// `prompb.MetricMetadata.MetricType` of what our scraper noted.
fn of_word(word: &str) -> u64 {
    match word {
        "counter" => 1,
        "gauge" => 2,
        "histogram" => 3,
        "gaugehistogram" => 4,
        "summary" => 5,
        "info" => 6,
        "stateset" => 7,
        _ => 0,
    }
}

fn of_kind(metric: &Metric<'_>) -> u64 {
    of_word(match metric.kind {
        MetricKind::Sum if metric.is_monotonic => "counter",
        MetricKind::Gauge | MetricKind::Sum => "gauge",
        MetricKind::Histogram | MetricKind::ExponentialHistogram => "histogram",
        MetricKind::Summary => "summary",
        MetricKind::Empty => "",
    })
}
