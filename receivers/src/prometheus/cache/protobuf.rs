//! Reading a protobuf body: its metrics as the samples that Prometheus makes of them.

use std::hash::{DefaultHasher, Hasher};

use pipeline::otlp::WireError;
use pipeline::otlp::write::Writer;

use super::families::Piece;
use super::read::{Exposed, Given};
use super::{Cache, Counts, native};
use crate::prometheus::exposition::Kind;
use crate::prometheus::exposition::open_metrics_float;
use crate::prometheus::exposition::protobuf::{Data, Exemplar, Families, Family, Histogram, Metric, Summary};
use crate::prometheus::labels::Text;

/// The most bytes that the native histograms of one body take, written with every empty bucket.
const MOST_NATIVE_BYTES: usize = 64 << 20;
/// What no text has inside.
const SEPARATOR: u8 = 0xff;

/// A metric that is being read.
struct Source<'m, 'a> {
    family: &'m Family<'a>,
    number: u32,
    metric: &'m Metric<'a>,
    /// What its series are known by: the family's name and the labels, and behind that what each is.
    text: Vec<u8>,
}

impl Cache {
    /// Reads all metrics.
    ///
    /// # Errors
    /// Why the scrape fails as a whole.
    pub(super) fn read_families(&mut self, body: &[u8], counts: &mut Counts) -> Result<(), String> {
        let mut text = Vec::new();
        for family in Families::new(body) {
            let family = family.map_err(|error| error.to_string())?;
            self.families.set_kind(family.name.as_bytes(), family.kind, self.iteration);
            self.families.set_help(family.name.as_bytes(), family.help, self.iteration);
            self.families.set_unit(family.name.as_bytes(), family.unit.as_bytes(), self.iteration);
            let (number, _) = self.families.of_sample(family.name);
            for metric in family.metrics() {
                let metric = metric.map_err(|error| malformed(&family, error))?;
                write_text(&mut text, &family, &metric);
                let mut source = Source { family: &family, number, metric: &metric, text: std::mem::take(&mut text) };
                self.metric(&mut source, counts)?;
                text = source.text;
            }
        }
        Ok(())
    }

    fn metric(&mut self, of: &mut Source<'_, '_>, counts: &mut Counts) -> Result<(), String> {
        match &of.metric.data {
            Data::Number { value, exemplar, created } => {
                let taken = self.piece(of, Piece::Whole, None, *value, counts)?;
                self.attach(taken, exemplar.as_ref(), *created);
            }
            Data::Summary(summary) => self.summary(of, summary, counts)?,
            Data::Histogram(histogram) => {
                let rules = self.rules.histograms;
                let is_native = rules.native && histogram.is_native();
                if is_native {
                    self.native_histogram(of, histogram, counts)?;
                }
                if !is_native || rules.always_classic && histogram.buckets().next().is_some() {
                    self.classic_histogram(of, histogram, counts)?;
                }
            }
        }
        Ok(())
    }

    #[allow(clippy::cast_precision_loss, reason = "Prometheus' samples are floats")]
    fn summary(&mut self, of: &mut Source<'_, '_>, summary: &Summary<'_>, counts: &mut Counts) -> Result<(), String> {
        let taken = self.piece(of, Piece::Count, None, summary.count as f64, counts)?;
        self.attach(taken, None, summary.created);
        self.piece(of, Piece::Sum, None, summary.sum, counts)?;
        for step in summary.quantiles() {
            let (quantile, value) = step.map_err(|error| malformed(of.family, error))?;
            self.piece(of, Piece::Whole, Some(quantile), value, counts)?;
        }
        Ok(())
    }

    fn classic_histogram(
        &mut self,
        of: &mut Source<'_, '_>,
        histogram: &Histogram<'_>,
        counts: &mut Counts,
    ) -> Result<(), String> {
        let taken = self.piece(of, Piece::Count, None, histogram.total(), counts)?;
        self.attach(taken, None, histogram.created.filter(|_| of.family.kind == Kind::Histogram));
        self.piece(of, Piece::Sum, None, histogram.sum, counts)?;
        for bucket in histogram.buckets() {
            let bucket = bucket.map_err(|error| malformed(of.family, error))?;
            let taken = self.piece(of, Piece::Bucket, Some(bucket.bound), bucket.count, counts)?;
            self.attach(taken, bucket.exemplar.as_ref(), None);
            if bucket.bound == f64::INFINITY {
                return Ok(());
            }
        }
        self.piece(of, Piece::Bucket, Some(f64::INFINITY), histogram.total(), counts).map(drop)
    }

    fn native_histogram(
        &mut self,
        of: &mut Source<'_, '_>,
        histogram: &Histogram<'_>,
        counts: &mut Counts,
    ) -> Result<(), String> {
        let named = |what: String| format!("native histogram {}: {what}", of.family.name);
        let start = self.moment.native_bytes.len();
        let mut w = Writer::onto(std::mem::take(&mut self.moment.native_bytes));
        let written = native::write(histogram, &self.rules.histograms, &mut w);
        self.moment.native_bytes = w.into_vec();
        written.map_err(named)?;
        let end = self.moment.native_bytes.len();
        if end > MOST_NATIVE_BYTES {
            return Err(named(format!("the native histograms of the body take more than {MOST_NATIVE_BYTES} bytes")));
        }
        let mut hasher = DefaultHasher::new();
        hasher.write(&self.moment.native_bytes[start..]);
        let place = |at| u32::try_from(at).unwrap_or(u32::MAX);
        let number = f64::from_bits(self.moment.natives.len() as u64);
        self.moment.natives.push((place(start), place(end)));
        let taken = self.piece_with(of, Piece::Native, None, (number, hasher.finish()), counts)?;
        self.attach(taken, None, histogram.created);
        // Those of its own come first; else those of the classic buckets count. All need a time.
        let mut own = histogram.exemplars().peekable();
        let of_buckets = own.peek().is_none();
        let of_buckets = histogram.buckets().filter(|_| of_buckets).filter_map(|bucket| match bucket {
            Ok(bucket) => bucket.exemplar.map(Ok),
            Err(error) => Some(Err(error)),
        });
        for exemplar in own.chain(of_buckets) {
            let exemplar = exemplar.map_err(|error| malformed(of.family, error))?;
            self.attach(taken.filter(|_| exemplar.timestamp.is_some()), Some(&exemplar), None);
        }
        Ok(())
    }

    /// What belongs to a sample that was just taken.
    fn attach(&mut self, taken: Option<u32>, exemplar: Option<&Exemplar<'_>>, created: Option<u64>) {
        let Some(series) = taken else { return };
        if let Some(of) = exemplar {
            self.exemplar(series, of.value, of.timestamp, texts(&of.labels));
        }
        if let Some(created) = created {
            self.moment.starts.insert(self.store.series[series as usize].point, created);
        }
    }

    /// Takes one sample of a metric. Answers its series, if it is the first sample of it.
    fn piece(
        &mut self,
        of: &mut Source<'_, '_>,
        piece: Piece,
        bound: Option<f64>,
        value: f64,
        counts: &mut Counts,
    ) -> Result<Option<u32>, String> {
        self.piece_with(of, piece, bound, (value, value.to_bits()), counts)
    }

    fn piece_with(
        &mut self,
        of: &mut Source<'_, '_>,
        piece: Piece,
        bound: Option<f64>,
        (value, bits): (f64, u64),
        counts: &mut Counts,
    ) -> Result<Option<u32>, String> {
        let plain = of.text.len();
        of.text.push(piece as u8);
        if let Some(bound) = bound {
            of.text.extend_from_slice(&bound.to_bits().to_le_bytes());
        }
        let text = &of.text;
        let known = if self.texts.is_expected(text) { Some(self.texts.take_expected()) } else { self.texts.find(text) };
        let known = match known {
            Some(known) => known,
            None => {
                let name = format!("{}{}", of.family.name, piece.suffix()).into();
                let label = if of.family.kind == Kind::Summary { "quantile" } else { "le" };
                let bound = bound.map(|bound| (label.into(), open_metrics_float(bound).into()));
                let exposed = Exposed { text, name, family: of.number, piece };
                self.learn(exposed, texts(&of.metric.labels).chain(bound))?
            }
        };
        of.text.truncate(plain);
        Ok(self.take(known, Given { value, bits, timestamp: of.metric.timestamp }, counts))
    }
}

fn texts<'a>(labels: &[(&'a str, &'a str)]) -> impl Iterator<Item = (Text<'a>, Text<'a>)> {
    labels.iter().map(|(name, value)| ((*name).into(), (*value).into()))
}

/// What the series of a metric are known by. It begins as no text of the other formats does.
fn write_text(text: &mut Vec<u8>, family: &Family<'_>, metric: &Metric<'_>) {
    text.clear();
    text.push(SEPARATOR);
    text.extend_from_slice(family.name.as_bytes());
    for (name, value) in &metric.labels {
        for part in [name, value] {
            text.push(SEPARATOR);
            text.extend_from_slice(part.as_bytes());
        }
    }
    text.push(SEPARATOR);
}

fn malformed(family: &Family<'_>, error: WireError) -> String {
    format!("metric family {}: {error}", family.name)
}
