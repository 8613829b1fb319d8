//! `delta_to_cumulative`: adds up delta sums and histograms, so that exporters whose far sides know only running totals
//! (Prometheus) can send them. What is cumulative already, gauges and summaries pass as they are.

mod accumulate;
mod exponential;
pub mod fuzz;
mod identity;
mod streams;
#[cfg(test)]
mod tests;

use std::sync::{Mutex, MutexGuard, PoisonError};

use pipeline::Signal;
use pipeline::batch::Batch;
use pipeline::component::{Context, Error, Processor, Reason, Refused, Stage};
use pipeline::config::{GoDuration, Problem, Settings};
use pipeline::otlp::WireError;
use pipeline::otlp::edit::{self, Change};
use pipeline::otlp::fields::metric;
use pipeline::otlp::view::{Metric, MetricKind, Temporality, View};
use pipeline::otlp::write::Writer;
use pipeline::registry::ProcessorFactory;
use pipeline::telemetry::Drops;
use prometheus::IntGauge;
use serde::Deserialize;

use accumulate::Point;
use identity::Identity;
use streams::{Limits, Streams};

/// The config of `delta_to_cumulative`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Config {
    /// A stream without points for so long is forgotten; zero is never.
    pub max_stale: GoDuration,
    /// So many streams at most are added up; points of further ones are dropped.
    pub max_streams: u64,
    /// The same in bytes of their totals (ours).
    pub max_bytes: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            max_stale: GoDuration::from_secs(300),
            // The collector's "no limit", as its documentation writes it.
            max_streams: i64::MAX.cast_unsigned(),
            max_bytes: 256 << 20,
        }
    }
}

impl Settings for Config {
    fn check(&self) -> Vec<Problem> {
        let keys = [("max_streams", self.max_streams == 0), ("max_bytes", self.max_bytes == 0)];
        let zero = keys.into_iter().filter(|(_, zero)| *zero);
        zero.map(|(key, _)| Problem::at(key, format!("{key} is 0, the least is 1"))).collect()
    }
}

/// Makes the processor.
pub struct Factory;

impl ProcessorFactory for Factory {
    const TYPES: &'static [&'static str] = &["delta_to_cumulative", "deltatocumulative"];
    const SIGNALS: &'static [Signal] = &[Signal::Metrics];
    const ABOUT: &'static str = "Adds up delta sums and histograms to cumulative ones.";
    const README: &'static str = include_str!("README.md");
    type Config = Config;

    fn build(config: Config, context: Context) -> Result<Stage, Error> {
        let id = context.id.to_string();
        let labels = [("processor", id.as_str()), ("pipeline", &*context.pipeline)];
        let name = "otelcol_deltatocumulative_streams_tracked";
        let tracked = context.meter.gauge(name, "Streams whose deltas are added up.", &labels);
        let limits = Limits {
            stale: Some(config.max_stale.get()).filter(|stale| !stale.is_zero()),
            streams: usize::try_from(config.max_streams).unwrap_or(usize::MAX),
            bytes: config.max_bytes,
        };
        let streams = Mutex::new(Streams::new(limits));
        Ok(Stage::Plain(Box::new(DeltaToCumulative { streams, tracked, drops: context.drops })))
    }
}

/// The processor.
pub struct DeltaToCumulative {
    streams: Mutex<Streams>,
    tracked: IntGauge,
    drops: Drops,
}

impl Processor for DeltaToCumulative {
    fn process(&self, batch: Batch) -> Result<Batch, Refused> {
        let signal = batch.signal();
        let mut streams = self.streams();
        streams.sweep();
        let mut dropped = [0; Lost::ALL.len()];
        let seeds = streams.seeds();
        let given = batch.clone();
        let out = batch.map_parts(|part| {
            let mut identity = Identity::new(&seeds);
            edit::items(signal, part, |place, raw, out| {
                let metric = Metric::view(raw)?;
                if metric.temporality != Temporality::Delta {
                    return Ok(Change::Keep);
                }
                let of_metric = identity.metric(place, &metric)?;
                let mut add =
                    |streams: &mut Streams, key, point: &Point<'_>, out: &mut Writer| match streams.add(key, point) {
                        Ok(total) => out.message(metric::POINTS, |out| total.write(out, point)),
                        Err(lost) => {
                            dropped[lost as usize] += 1;
                            Ok(())
                        }
                    };
                rewrite(&metric, out, |point, out| add(&mut streams, of_metric.point(point)?, point, out))
            })
        });
        self.tracked.set(i64::try_from(streams.len()).unwrap_or(i64::MAX));
        drop(streams);
        for (lost, items) in Lost::ALL.into_iter().zip(dropped) {
            self.drops.record_batch(&given, items, &lost.reason());
        }
        out.map_err(|error: WireError| error.into())
    }
}

impl DeltaToCumulative {
    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a point could not be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// A later one was added already.
    OutOfOrder,
    /// It begins before the total does.
    OlderStart,
    /// There are too many streams.
    TooMany,
}

impl Lost {
    const ALL: [Lost; 3] = [Lost::OutOfOrder, Lost::OlderStart, Lost::TooMany];

    fn reason(self) -> Reason {
        match self {
            Lost::OutOfOrder => Reason::new("out_of_order", "a delta that ends before one that was added already"),
            Lost::OlderStart => Reason::new("older_start", "a delta that begins before the first of its stream"),
            Lost::TooMany => {
                Reason::new("max_streams", "a delta of a new stream, of which there are max_streams or max_bytes")
            }
        }
    }
}

/// Writes the metric as a cumulative one, its points by `write_point`, which may leave any out.
fn rewrite(
    metric: &Metric<'_>,
    out: &mut Writer,
    mut write_point: impl FnMut(&Point<'_>, &mut Writer) -> Result<(), WireError>,
) -> Result<Change, WireError> {
    let data = match metric.kind {
        MetricKind::Sum => metric::SUM,
        MetricKind::Histogram => metric::HISTOGRAM,
        MetricKind::ExponentialHistogram => metric::EXPONENTIAL_HISTOGRAM,
        MetricKind::Gauge | MetricKind::Summary | MetricKind::Empty => return Ok(Change::Keep),
    };
    out.fields_except(metric.raw, metric::is_data)?;
    let open = out.open(data);
    let before = out.len();
    for point in metric.points() {
        write_point(&Point::view(metric.kind, point?)?, out)?;
    }
    if out.len() == before {
        return Ok(Change::Drop);
    }
    out.fields_except(metric.data, |number| matches!(number, metric::POINTS | metric::TEMPORALITY))?;
    out.varint(metric::TEMPORALITY, CUMULATIVE);
    out.close(open);
    Ok(Change::Replace)
}

/// `AGGREGATION_TEMPORALITY_CUMULATIVE`.
const CUMULATIVE: u64 = 2;
