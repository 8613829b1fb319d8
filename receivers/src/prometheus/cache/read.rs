//! Reading a body: which series each sample is, and what is too much or too odd to be taken.

use pipeline::otlp::fields::exemplar;
use pipeline::otlp::write::{Scalar, Writer};

use super::store::{EXPLICIT, KNOWN, REPEATED};
use super::texts::Known;
use super::{Cache, Counts, ExtraSample, OwnedExemplar};
use crate::prometheus::exposition::{Entry, Format, Parser, Sample, help_text};
use crate::prometheus::labels::{Labels, METRIC_NAME, Text};
use crate::prometheus::relabel;

/// Samples with timestamps further ahead are dropped, as Prometheus does.
const MOST_AHEAD_MS: i64 = 10 * 60 * 1000;
impl Cache {
    /// Reads all entries.
    ///
    /// # Errors
    /// Why the scrape fails as a whole.
    pub(super) fn read_entries(&mut self, body: &[u8], format: Format, counts: &mut Counts) -> Result<(), String> {
        let mut parser = Parser::new(body, format);
        while let Some(entry) = parser.next(self.texts.expected()) {
            match entry.map_err(|error| error.to_string())? {
                Entry::Sample(sample) => self.sample(&parser, &sample, counts)?,
                Entry::Type { family, kind } => self.families.set_kind(family, kind, self.iteration),
                Entry::Help { family, text } => {
                    self.families.set_help(family, &help_text(text, format), self.iteration);
                }
                Entry::Unit { family, unit } => self.families.set_unit(family, unit, self.iteration),
            }
        }
        let limit = self.rules.limits.samples;
        if limit > 0 && counts.kept > limit {
            return Err(format!("the scrape has {} samples, sample_limit is {limit}", counts.kept));
        }
        Ok(())
    }

    #[inline]
    fn sample(&mut self, parser: &Parser<'_>, sample: &Sample<'_>, counts: &mut Counts) -> Result<(), String> {
        counts.scraped += 1;
        let known = if sample.expected { Some(self.texts.take_expected()) } else { self.texts.find(sample.series) };
        let known = match known {
            Some(known) => known,
            None => self.learn(parser, sample)?,
        };
        let Known::Series(number) = known else { return Ok(()) };
        counts.kept += 1;
        let series = &mut self.store.series[number as usize];
        let again = series.seen == self.iteration;
        if series.flags & KNOWN == 0 && !again {
            counts.added += 1;
        }
        match sample.timestamp.filter(|_| self.rules.honor_timestamps) {
            None if again => counts.duplicates += 1,
            None => {
                series.value = sample.value;
                series.seen = self.iteration;
                series.flags &= !(EXPLICIT | REPEATED);
            }
            Some(ms) => self.explicit_sample(number, ms, sample.value, counts),
        }
        if sample.exemplar && !again {
            self.exemplar(number, parser);
        }
        Ok(())
    }

    /// A sample with a timestamp of its own: only newer ones than before are handed on.
    fn explicit_sample(&mut self, number: u32, ms: i64, value: f64, counts: &mut Counts) {
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
                if bits != value.to_bits() {
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
        series.value = value;
        series.seen = self.iteration;
        series.flags = series.flags & !REPEATED | EXPLICIT;
        self.moment.explicit.insert(number, (ms, value.to_bits()));
    }

    /// A text that was not seen before: its labels are read, joined with the target's, relabelled and checked.
    fn learn(&mut self, parser: &Parser<'_>, sample: &Sample<'_>) -> Result<Known, String> {
        let name = parser.name();
        let named: (Text<'_>, Text<'_>) = (METRIC_NAME.into(), name.clone());
        let mut labels = Labels::scraped(std::iter::once(named).chain(parser.labels()));
        labels.add_target(&self.target, self.rules.honor_labels);
        if !relabel::apply(&self.rules.metric_relabel, &mut labels) || labels.is_empty() {
            self.texts.insert(sample.series, Known::Dropped);
            return Ok(Known::Dropped);
        }
        self.check(&mut labels)?;
        for (name, value) in &self.rules.external_labels {
            labels.set(name.as_str(), value.as_str());
        }
        labels.sort();
        let (family, piece) = self.families.of_sample(&name);
        let known = Known::Series(self.store.series(&labels, family, piece, &self.families));
        self.texts.insert(sample.series, known);
        Ok(known)
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

    fn exemplar(&mut self, series: u32, parser: &Parser<'_>) {
        let Some(of) = parser.exemplar() else { return };
        let mut w = Writer::new();
        for (name, value) in parser.exemplar_labels() {
            match (&*name, hex(&value)) {
                ("trace_id", Some(id)) if id.len() == 16 => w.bytes(exemplar::TRACE_ID, &id),
                ("span_id", Some(id)) if id.len() == 8 => w.bytes(exemplar::SPAN_ID, &id),
                _ => w.attribute(exemplar::FILTERED_ATTRIBUTES, &name, Scalar::Text(&value)),
            }
        }
        self.moment.exemplars.push(OwnedExemplar { series, value: of.value, ms: of.timestamp, fields: w.into_vec() });
    }
}

/// The bytes of a hexadecimal id.
fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0 && !digits.is_empty())?;
    Some(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}
