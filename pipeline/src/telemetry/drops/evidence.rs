//! What is kept of dropped items so that they can be found again: trace ids, series, the beginnings of log lines. It is
//! gathered only where something is dropped, and bounded; where there is too much, some of it is kept, evenly spread.

use std::collections::HashSet;
use std::fmt::Write as _;

use crate::batch::{Batch, Signal};
use crate::otlp::view::{
    AnyValue, ExponentialPoint, HistogramPoint, KeyValues, LogRecord, Metric, MetricKind, NumberPoint, ResourceGroup,
    SummaryPoint, View, resources,
};
use crate::otlp::wire::{Fields, WireError};
use crate::otlp::{count, fields};

/// A trace id.
pub(super) type TraceId = [u8; 16];

/// What is known of dropped items.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    pub(super) traces: Vec<TraceId>,
    /// The labels of resources, without braces.
    pub(super) resources: Vec<Box<str>>,
    pub(super) series: Vec<Series>,
    /// The beginnings of log lines.
    pub(super) lines: Vec<Box<str>>,
    /// Items of which nothing is kept.
    pub(super) left_out: usize,
}

/// The series of one metric of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Series {
    /// Which of the resources.
    pub(super) resource: usize,
    pub(super) name: Box<str>,
    /// The labels of its points, without braces.
    pub(super) points: Vec<Box<str>>,
    /// Points whose labels are not kept.
    pub(super) more: usize,
}

/// The most bytes that are kept of a log line.
pub(super) const LINE_BYTES: usize = 256;
/// The most bytes that are kept of the labels of a point or a resource.
const LABELS_BYTES: usize = 512;
/// What a series and a line take, about, in bytes.
const SERIES_ABOUT: usize = 128;
const LINE_ABOUT: usize = 192;
/// What anything kept takes beside its text.
const OVERHEAD: usize = 24;

impl Evidence {
    /// Of a batch, in about so many bytes.
    pub(super) fn of_batch(batch: &Batch, allowance: usize) -> Evidence {
        match batch.signal() {
            Signal::Traces => Evidence::of_spans(batch, allowance),
            Signal::Metrics => Evidence::of_metrics(batch, allowance),
            Signal::Logs => Evidence::of_logs(batch, allowance),
        }
    }

    /// Of a text, such as a line that never became a log record.
    pub(super) fn of_line(line: &str) -> Evidence {
        Evidence { lines: vec![beginning(line, LINE_BYTES).into()], ..Evidence::default() }
    }

    /// Of so many texts, of which these are known, in about so many bytes.
    pub(super) fn of_lines(lines: &[Box<str>], items: usize, allowance: usize) -> Evidence {
        let kept = lines.iter().take((allowance / LINE_ABOUT).max(1));
        let lines: Vec<_> = kept.map(|line| beginning(line, LINE_BYTES).into()).collect();
        Evidence { left_out: items.saturating_sub(lines.len()), lines, ..Evidence::default() }
    }

    /// Of series of which only the labels that all of them have are known.
    pub(super) fn of_source(labels: &str) -> Evidence {
        let labels = beginning(labels, LABELS_BYTES).into();
        let series = Series { resource: 0, name: "".into(), points: Vec::new(), more: 1 };
        Evidence { resources: vec![labels], series: vec![series], ..Evidence::default() }
    }

    fn of_spans(batch: &Batch, allowance: usize) -> Evidence {
        let (mut seen, mut ids) = (HashSet::new(), Vec::new());
        each(batch, |_, span| {
            if let Some(id) = trace_of(span, fields::span::TRACE_ID)
                && ids.last() != Some(&id)
                && seen.insert(id)
            {
                ids.push(id);
            }
        });
        let sample = Sample::of(ids.len(), allowance / size_of::<TraceId>());
        let all = ids.len();
        let traces: Vec<_> = ids.into_iter().enumerate().filter(|(i, _)| sample.has(*i)).map(|(_, id)| id).collect();
        Evidence { left_out: all - traces.len(), traces, ..Evidence::default() }
    }

    fn of_metrics(batch: &Batch, allowance: usize) -> Evidence {
        let mut metrics = 0;
        each(batch, |_, _| metrics += 1);
        let most = (allowance / SERIES_ABOUT).max(1);
        let sample = Sample::of(metrics, most);
        let points = (most / metrics.max(1)).max(1);
        let mut evidence = Evidence::default();
        let (mut index, mut resource) = (0, None);
        each(batch, |group, raw| {
            if sample.has(index) {
                let _ = evidence.metric(group, &mut resource, raw, points);
            } else {
                evidence.left_out += count::points(raw).unwrap_or(1);
            }
            index += 1;
        });
        evidence
    }

    fn of_logs(batch: &Batch, allowance: usize) -> Evidence {
        let sample = Sample::of(batch.items(), (allowance / LINE_ABOUT).max(1));
        let mut evidence = Evidence::default();
        let mut index = 0;
        each(batch, |_, raw| {
            if !(sample.has(index) && evidence.record(raw)) {
                evidence.left_out += 1;
            }
            index += 1;
        });
        evidence
    }

    /// A metric; `resource` is where the last one's resource was and which of ours it is.
    fn metric(
        &mut self,
        group: ResourceGroup<'_>,
        resource: &mut Option<(*const u8, usize)>,
        raw: &[u8],
        most_points: usize,
    ) -> Result<(), WireError> {
        let metric = Metric::view(raw)?;
        let at = group.raw.as_ptr();
        let index = match *resource {
            Some((last, index)) if last == at => index,
            _ => {
                self.resources.push(labels(group.attributes()).into());
                *resource = Some((at, self.resources.len() - 1));
                self.resources.len() - 1
            }
        };
        let mut series = Series { resource: index, name: metric.name.into(), points: Vec::new(), more: 0 };
        for point in metric.points::<&[u8]>() {
            if series.points.len() == most_points {
                series.more += 1;
            } else {
                series.points.push(labels(attributes(metric.kind, point?)?).into());
            }
        }
        self.series.push(series);
        Ok(())
    }

    /// A log record; false where nothing of it says which it was.
    fn record(&mut self, raw: &[u8]) -> bool {
        let Ok(record) = LogRecord::view(raw) else { return false };
        let mut text = String::new();
        value(record.body, &mut text, LINE_BYTES);
        let trace = record.trace_id().ok().flatten();
        if let Some(id) = trace.filter(|id| self.traces.last() != Some(id)) {
            self.traces.push(id);
        }
        let line = beginning(&text, LINE_BYTES);
        if !line.is_empty() {
            self.lines.push(line.into());
        }
        trace.is_some() || !line.is_empty()
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        let texts = |texts: &[Box<str>]| texts.iter().map(|text| text.len() + OVERHEAD).sum::<usize>();
        let series = |s: &Series| s.name.len() + 2 * OVERHEAD + texts(&s.points);
        size_of::<TraceId>() * self.traces.len()
            + texts(&self.resources)
            + texts(&self.lines)
            + self.series.iter().map(series).sum::<usize>()
    }
}

/// Gathers what is dropped item by item, where a component looks at each anyway. It costs a comparison for each item
/// once enough is known.
pub struct Witness {
    signal: Signal,
    evidence: Evidence,
    /// Bytes that may still be gathered; `None` before that was asked for.
    left: Option<usize>,
    resource: Option<(*const u8, usize)>,
}

impl Witness {
    pub(super) fn new(signal: Signal) -> Witness {
        Witness { signal, evidence: Evidence::default(), left: None, resource: None }
    }

    /// That span, metric or log record is dropped. `allowance` is asked how much may be gathered, once.
    pub(super) fn see(&mut self, group: ResourceGroup<'_>, raw: &[u8], allowance: impl FnOnce(Signal) -> usize) {
        let signal = self.signal;
        let left = *self.left.get_or_insert_with(|| allowance(signal));
        if left == 0 {
            self.evidence.left_out += 1;
            return;
        }
        match self.signal {
            Signal::Traces => {
                let id = trace_of(raw, fields::span::TRACE_ID);
                self.evidence.traces.extend(id.filter(|id| self.evidence.traces.last() != Some(id)));
            }
            Signal::Metrics => _ = self.evidence.metric(group, &mut self.resource, raw, 4),
            Signal::Logs => _ = self.evidence.record(raw),
        }
        if self.evidence.bytes() >= left {
            self.left = Some(0);
        }
    }

    pub(super) fn into_evidence(self) -> Evidence {
        self.evidence
    }
}

/// Which of many are kept: evenly spread, from where chance says.
struct Sample {
    every: usize,
    from: usize,
}

impl Sample {
    fn of(all: usize, most: usize) -> Sample {
        let every = all.div_ceil(most.max(1)).max(1);
        let from = if every == 1 { 0 } else { chance() % every };
        Sample { every, from }
    }

    fn has(&self, index: usize) -> bool {
        index % self.every == self.from
    }
}

fn chance() -> usize {
    use std::hash::{BuildHasher, RandomState};
    usize::try_from(RandomState::new().hash_one(0) >> 32).unwrap_or(0)
}

/// Shows every item with its resource. What cannot be read ends it.
fn each(batch: &Batch, mut visit: impl FnMut(ResourceGroup<'_>, &[u8])) {
    for part in batch.parts() {
        for group in resources(part).map_while(Result::ok) {
            for scope in group.scopes().map_while(Result::ok) {
                scope.items::<&[u8]>().map_while(Result::ok).for_each(|item| visit(group, item));
            }
        }
    }
}

fn trace_of(item: &[u8], number: u32) -> Option<TraceId> {
    let field = Fields::new(item).map_while(Result::ok).find(|field| field.number == number)?;
    field.value.bytes().ok()?.try_into().ok()
}

fn attributes(kind: MetricKind, point: &[u8]) -> Result<KeyValues<'_>, WireError> {
    Ok(match kind {
        MetricKind::Histogram => HistogramPoint::view(point)?.attributes(),
        MetricKind::ExponentialHistogram => ExponentialPoint::view(point)?.attributes(),
        MetricKind::Summary => SummaryPoint::view(point)?.attributes(),
        _ => NumberPoint::view(point)?.attributes(),
    })
}

/// `a="b",c="d"`, as far as they can be read and there is room.
fn labels(attributes: KeyValues<'_>) -> String {
    let mut out = String::new();
    for attribute in attributes.map_while(Result::ok) {
        let before = out.len();
        if before > 0 {
            out.push(',');
        }
        out.push_str(attribute.key);
        out.push_str("=\"");
        let mut text = String::new();
        value(attribute.value, &mut text, LABELS_BYTES);
        text.chars().for_each(|c| match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        });
        out.push('"');
        if out.len() > LABELS_BYTES {
            out.truncate(before);
            break;
        }
    }
    out
}

/// A value as text, as far as there is room.
fn value(any: AnyValue<'_>, out: &mut String, most: usize) {
    if out.len() >= most {
        return;
    }
    let _ = match any {
        AnyValue::Text(text) => out.write_str(beginning(text, most)),
        AnyValue::Bool(yes) => write!(out, "{yes}"),
        AnyValue::Int(number) => write!(out, "{number}"),
        AnyValue::Double(number) => write!(out, "{number}"),
        AnyValue::Empty | AnyValue::Bytes(_) => Ok(()),
        AnyValue::Array(_) => {
            for element in any.elements().map_while(Result::ok) {
                value(element, out, most);
                out.push(' ');
            }
            Ok(())
        }
        AnyValue::Map(_) => {
            for entry in any.entries().map_while(Result::ok) {
                let _ = write!(out, "{}=", beginning(entry.key, most));
                value(entry.value, out, most);
                out.push(' ');
            }
            Ok(())
        }
    };
}

/// The first bytes of a text, whole characters.
pub(super) fn beginning(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
