//! Reading a body: which series each sample is, and what is too much or too odd to be taken.

use pipeline::otlp::fields::exemplar;
use pipeline::otlp::write::{Scalar, Writer};

use super::families::Piece;
use super::store::{EXPLICIT, KNOWN, REPEATED};
use super::texts::Known;
use super::{Cache, Counts, ExtraSample, Histograms, OwnedExemplar};
use crate::prometheus::exposition::{Entry, Format, Kind, Parser, Sample, help_text};
use crate::prometheus::labels::{Labels, METRIC_NAME, Text};
use crate::prometheus::relabel;

/// Samples with timestamps further ahead are dropped, as Prometheus does.
const MOST_AHEAD_MS: i64 = 10 * 60 * 1000;

/// A sample's value and time.
#[derive(Clone, Copy)]
pub(super) struct Given {
    /// The value, or which native histogram it is.
    pub value: f64,
    /// What tells it from another value.
    pub bits: u64,
    /// The explicit timestamp in milliseconds since 1970.
    pub timestamp: Option<i64>,
}

/// A series as a body names it.
pub(super) struct Exposed<'t, 'a> {
    /// What it is known by.
    pub text: &'t [u8],
    /// Its name.
    pub name: Text<'a>,
    /// Its family.
    pub family: u32,
    /// What it is to that.
    pub piece: Piece,
}

impl Histograms {
    /// Whether a classic histogram is one sample.
    #[inline]
    const fn counts_once(self) -> bool {
        self.custom_buckets && !self.always_classic
    }
}

impl Cache {
    /// Reads all entries.
    ///
    /// # Errors
    /// Why the scrape fails as a whole.
    pub(super) fn read_entries(&mut self, body: &[u8], format: Format, counts: &mut Counts) -> Result<(), String> {
        let mut parser = Parser::new(body, format);
        while let Some(entry) = parser.next_like(self.texts.expected()) {
            match entry.map_err(|error| error.to_string())? {
                Entry::Sample(sample) => self.text_sample(&parser, &sample, counts)?,
                Entry::Type { family, kind } => self.families.set_kind(family, kind, self.iteration),
                Entry::Help { family, text } => {
                    self.families.set_help(family, &help_text(text, format), self.iteration);
                }
                Entry::Unit { family, unit } => self.families.set_unit(family, unit, self.iteration),
            }
        }
        Ok(())
    }

    /// Checks the number of samples, once all are counted.
    pub(super) fn check_samples(&self, counts: &Counts) -> Result<(), String> {
        let limit = self.rules.limits.samples;
        if limit > 0 && counts.kept > limit {
            return Err(format!("the scrape has {} samples, sample_limit is {limit}", counts.kept));
        }
        Ok(())
    }

    #[inline]
    fn text_sample(&mut self, parser: &Parser<'_>, sample: &Sample<'_>, counts: &mut Counts) -> Result<(), String> {
        let known = if sample.expected { Some(self.texts.take_expected()) } else { self.texts.find(sample.series) };
        let known = match known {
            Some(known) => known,
            None => {
                let name = parser.name();
                let (family, piece) = self.families.of_sample(&name);
                let exposed = Exposed { text: sample.series, name, family, piece };
                self.learn(exposed, parser.labels())?
            }
        };
        let given = Given { value: sample.value, bits: sample.value.to_bits(), timestamp: sample.timestamp };
        let taken = self.take(known, given, counts);
        if sample.exemplar
            && let (Some(number), Some(of)) = (taken, parser.exemplar())
        {
            self.exemplar(number, of.value, of.timestamp, parser.exemplar_labels());
        }
        Ok(())
    }

    /// Takes a sample of a series. Answers the series, if it is the first sample of it in this body.
    #[inline]
    pub(super) fn take(&mut self, known: Known, given: Given, counts: &mut Counts) -> Option<u32> {
        let Known::Series(number) = known else {
            counts.scraped += 1;
            return None;
        };
        let series = &mut self.store.series[number as usize];
        let again = series.seen == self.iteration;
        // What becomes a native histogram is one sample of one series.
        if !(self.rules.histograms.counts_once() && matches!(series.piece, Piece::Bucket | Piece::Sum)) {
            counts.scraped += 1;
            counts.kept += 1;
            counts.added += usize::from(series.flags & KNOWN == 0 && !again);
        }
        if series.piece == Piece::Created {
            self.began(number, given.value);
        }
        match given.timestamp.filter(|_| self.rules.honor_timestamps) {
            None if again => counts.duplicates += 1,
            None => {
                let series = &mut self.store.series[number as usize];
                series.value = given.value;
                series.seen = self.iteration;
                series.flags &= !(EXPLICIT | REPEATED);
            }
            Some(ms) => self.explicit_sample(number, ms, given, counts),
        }
        (!again).then_some(number)
    }

    /// A `_created` series says when the samples it is about began.
    #[cold]
    fn began(&mut self, series: u32, seconds: f64) {
        if let Some(&point) = self.store.begins.get(&series) {
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a float saturates, below 0 is 0"
            )]
            self.moment.starts.insert(point, (seconds * 1e9) as u64);
        }
    }

    /// A sample with a timestamp of its own: only newer ones than before are handed on.
    fn explicit_sample(&mut self, number: u32, ms: i64, given: Given, counts: &mut Counts) {
        if ms > self.moment.at_ms + MOST_AHEAD_MS {
            counts.out_of_bounds += 1;
            return;
        }
        let before = self.moment.explicit.get(&number).copied();
        let series = &mut self.store.series[number as usize];
        let again = series.seen == self.iteration;
        match before {
            Some((last, _)) if ms < last => {
                counts.out_of_order += 1;
                return;
            }
            Some((last, bits)) if ms == last => {
                if bits != given.bits {
                    counts.duplicates += 1;
                }
                if !again {
                    series.seen = self.iteration;
                    series.flags |= EXPLICIT | REPEATED;
                }
                return;
            }
            _ => {}
        }
        if again && series.flags & EXPLICIT == 0 {
            counts.duplicates += 1;
            return;
        }
        if again && series.flags & REPEATED == 0 {
            let earlier = before.map_or(self.moment.at_ms, |(ms, _)| ms);
            self.moment.extras.push(ExtraSample { series: number, ms: earlier, value: series.value });
        }
        series.value = given.value;
        series.seen = self.iteration;
        series.flags = series.flags & !REPEATED | EXPLICIT;
        self.moment.explicit.insert(number, (ms, given.bits));
    }

    /// A text that was not seen before: its labels are joined with the target's, relabelled and checked.
    pub(super) fn learn<'a>(
        &mut self,
        exposed: Exposed<'_, 'a>,
        labels: impl Iterator<Item = (Text<'a>, Text<'a>)>,
    ) -> Result<Known, String> {
        let Exposed { text, name, family, piece } = exposed;
        let named = (METRIC_NAME.into(), name);
        let mut labels = Labels::scraped(std::iter::once(named).chain(labels).map(borrowed));
        let bound = self.convert(&mut labels, family, piece)?;
        labels.add_target(&self.target, self.rules.honor_labels);
        if !relabel::apply(&self.rules.metric_relabel, &mut labels) || labels.is_empty() {
            self.texts.insert(text, Known::Dropped);
            return Ok(Known::Dropped);
        }
        self.check(&mut labels)?;
        for (name, value) in &self.rules.external_labels {
            labels.set(name.as_str(), value.as_str());
        }
        if let Some(bound) = bound {
            let name = format!("{}{}", labels.value(METRIC_NAME), piece.suffix());
            labels.set(METRIC_NAME, name);
            labels.set("le", bound);
        }
        labels.sort();
        let known = Known::Series(self.store.series(&labels, family, piece, &self.families));
        self.texts.insert(text, known);
        Ok(known)
    }

    /// Where classic histograms become one sample with custom buckets, rules and limits see that sample: its pieces are
    /// called by the family's name and have no `le`. Answers the `le` that was taken away.
    fn convert(&self, labels: &mut Labels<'_>, family: u32, piece: Piece) -> Result<Option<String>, String> {
        let is_histogram = self.families.family(family).is_some_and(|family| family.kind == Kind::Histogram);
        let is_piece = matches!(piece, Piece::Bucket | Piece::Sum | Piece::Count);
        if !(self.rules.histograms.counts_once() && is_histogram && is_piece) {
            return Ok(None);
        }
        labels.sort();
        if let Some(twice) = labels.repeated() {
            return Err(format!("label {twice} is there twice in a series of metric {}", labels.value(METRIC_NAME)));
        }
        let bound = labels.value("le").to_owned();
        let name = labels.value(METRIC_NAME);
        let base = name.strip_suffix(piece.suffix()).unwrap_or(name).to_owned();
        labels.set(METRIC_NAME, base);
        labels.remove("le");
        Ok(Some(bound))
    }

    /// What makes a scrape fail as a whole.
    fn check(&self, labels: &mut Labels<'_>) -> Result<(), String> {
        labels.sort();
        let name = labels.value(METRIC_NAME);
        if name.is_empty() {
            return Err("metric relabelling leaves a series without a name".to_owned());
        }
        if !self.rules.names.metric(name) {
            return Err(format!("{name:?} cannot be a metric name under metric_name_validation_scheme legacy"));
        }
        if let Some(bad) = labels.iter().map(|(n, _)| n).find(|n| !self.rules.names.label(n)) {
            return Err(format!("{bad:?} cannot be a label name (metric {name})"));
        }
        if let Some(twice) = labels.repeated() {
            return Err(format!("label {twice} is there twice in a series of metric {name}"));
        }
        let limits = &self.rules.limits;
        let exceeds = |value: usize, limit: usize| limit > 0 && value > limit;
        if exceeds(labels.len(), limits.labels) {
            let (has, limit) = (labels.len(), limits.labels);
            return Err(format!("metric {name} has {has} labels, label_limit is {limit}"));
        }
        for (label, value) in labels.iter() {
            if exceeds(label.len(), limits.label_name_length) {
                let (has, limit) = (label.len(), limits.label_name_length);
                return Err(format!(
                    "a label of metric {name} has a name of {has} bytes, label_name_length_limit is {limit}"
                ));
            }
            if exceeds(value.len(), limits.label_value_length) {
                let (has, limit) = (value.len(), limits.label_value_length);
                return Err(format!(
                    "label {label} of metric {name} has {has} bytes, label_value_length_limit is {limit}"
                ));
            }
        }
        Ok(())
    }

    /// An exemplar of a series' sample.
    pub(super) fn exemplar<'a>(
        &mut self,
        series: u32,
        value: f64,
        ms: Option<i64>,
        labels: impl Iterator<Item = (Text<'a>, Text<'a>)>,
    ) {
        let mut w = Writer::new();
        for (name, value) in labels {
            match (&*name, hex(&value)) {
                ("trace_id", Some(id)) if id.len() == 16 => w.bytes(exemplar::TRACE_ID, &id),
                ("span_id", Some(id)) if id.len() == 8 => w.bytes(exemplar::SPAN_ID, &id),
                _ => w.attribute(exemplar::FILTERED_ATTRIBUTES, &name, Scalar::Text(&value)),
            }
        }
        self.moment.exemplars.push(OwnedExemplar { series, value, ms, fields: w.into_vec() });
    }
}

/// The same for a shorter time, so that the target's labels can stand beside it.
fn borrowed<'s, 'a: 's>(pair: (Text<'a>, Text<'a>)) -> (Text<'s>, Text<'s>) {
    pair
}

/// The bytes of a hexadecimal id.
fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0 && !digits.is_empty())?;
    Some(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}
