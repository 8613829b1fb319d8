//! What must hold for the wire layer whatever bytes come in, one function for each entry point. The fuzz targets and a
//! test of the workspace share it. The first byte chooses the signal and the arguments, the rest is the request.
#![allow(dead_code, reason = "each fuzz target uses one of them")]

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use pipeline::Signal;
use pipeline::otlp::edit::{self, Attributes, Change, Level, Rewrite, When};
use pipeline::otlp::view::{self, AnyValue, KeyValues, resources};
use pipeline::otlp::{WireError, canonical, check, count, filter, json, split, text};
use prost::Message;

/// A fuzz target: panics when what must hold does not.
pub type Target = fn(&[u8]);

/// All entry points by name.
pub const ALL: &[(&str, Target)] = &[
    ("check", check),
    ("split", split),
    ("edit", edit),
    ("filter", filter),
    ("json", json),
    ("text", text),
    ("views", views),
];

fn request(data: &[u8]) -> (Signal, usize, Bytes) {
    let (first, rest) = data.split_first().unwrap_or((&0, &[]));
    (Signal::ALL[usize::from(first % 3)], usize::from(first / 3), Bytes::copy_from_slice(rest))
}

/// Whether prost reads it.
fn is_read(signal: Signal, bytes: &[u8]) -> bool {
    match signal {
        Signal::Traces => ExportTraceServiceRequest::decode(bytes).is_ok(),
        Signal::Metrics => ExportMetricsServiceRequest::decode(bytes).is_ok(),
        Signal::Logs => ExportLogsServiceRequest::decode(bytes).is_ok(),
    }
}

/// What prost reads, written again: a form that says whether two requests hold the same.
fn content(signal: Signal, bytes: &[u8]) -> Vec<u8> {
    match signal {
        Signal::Traces => ExportTraceServiceRequest::decode(bytes).expect("it is a request").encode_to_vec(),
        Signal::Metrics => ExportMetricsServiceRequest::decode(bytes).expect("it is a request").encode_to_vec(),
        Signal::Logs => ExportLogsServiceRequest::decode(bytes).expect("it is a request").encode_to_vec(),
    }
}

/// The check takes what prost takes and refuses what it refuses, but for the length of ids; joining changes nothing.
pub fn check(data: &[u8]) {
    let (signal, _, request) = request(data);
    let full = check::full(signal, &request);
    if full != Err(WireError::IdLength) {
        assert_eq!(full.is_ok(), is_read(signal, &request), "{full:?}");
    }
    if let Ok(checked) = full {
        assert_eq!(count::items(signal, &request), Ok(checked.items));
        assert!(check::envelope(signal, &request).is_ok());
        if let Some(joined) = canonical(signal, &request).expect("it passed the check") {
            assert_eq!(content(signal, &joined), content(signal, &request));
            assert_eq!(check::full(signal, &joined).map(|checked| checked.needs_joining), Ok(false));
        }
    }
}

/// The parts hold all items, each part no more than it may.
pub fn split(data: &[u8]) {
    let (signal, max, request) = request(data);
    let items = count::items(signal, &request);
    let is_ok = check::full(signal, &request).is_ok();
    for (by_bytes, parts) in
        [(false, split::by_items(signal, &request, max)), (true, split::by_bytes(signal, &request, max * 8))]
    {
        let Ok(parts) = parts else {
            assert!(!is_ok);
            continue;
        };
        assert_eq!(Ok(parts.iter().map(|(_, items)| items).sum()), items);
        for (part, items) in parts {
            let fits = if by_bytes { part.len() <= max * 8 || items <= 1 } else { items <= max.max(1) };
            assert!(fits, "{items} items in {} bytes", part.len());
            assert_eq!(count::items(signal, &part), Ok(items));
            assert!(!is_ok || check::full(signal, &part).is_ok());
        }
    }
}

/// Edits keep a request a request and its number of items.
pub fn edit(data: &[u8]) {
    let (signal, choice, request) = request(data);
    let change = &mut |a: &mut Attributes<'_>| {
        a.upsert("new", "value")?;
        a.copy("a", "b", When::Always)?;
        a.update("service.name", AnyValue::Int(5))?;
        a.delete("k")?;
        a.insert("k", "v")?;
        a.retain(|attribute| attribute.value != AnyValue::Empty)?;
        a.rewrite(|key, _, value| {
            value.value(AnyValue::Text("value"));
            Ok(if key == b"new" { Rewrite::Value } else { Rewrite::Keep })
        })?;
        a.iter()?.try_for_each(|attribute| attribute.map(drop))
    };
    let level = Level::all(signal)[choice % Level::all(signal).len()];
    let checked = check::full(signal, &request);
    let joined = match checked {
        Ok(_) => canonical(signal, &request).expect("it passed the check").unwrap_or_else(|| request.clone()),
        Err(_) => request.clone(),
    };
    match edit::attributes(signal, &joined, level, change) {
        Ok(Some(edited)) if checked.is_ok() => {
            assert!(check::full(signal, &edited).is_ok());
            assert_eq!(count::items(signal, &edited), count::items(signal, &joined));
            assert_eq!(edit::attributes(signal, &edited, level, &mut |_| Ok(())), Ok(None));
        }
        Ok(_) => {}
        Err(_) => assert!(checked.is_err()),
    }
    let mut n = choice;
    let edited = edit::items(signal, &request, |_, item, out| {
        n += 1;
        out.fields_except(item, |number| number == 1)?;
        Ok([Change::Keep, Change::Drop, Change::Replace][n % 3])
    });
    if let (Ok(_), Ok(Some(edited))) = (checked, edited) {
        assert!(check::full(signal, &edited.bytes).is_ok());
        let items = count::items(signal, &request).expect("it passed the check");
        assert_eq!(count::items(signal, &edited.bytes), Ok(items - edited.items_removed + edited.items_added));
    }
}

/// What a filter takes away is counted, and nothing empty is left.
pub fn filter(data: &[u8]) {
    let (signal, choice, request) = request(data);
    let is_ok = check::full(signal, &request).is_ok();
    let mut n = choice;
    let mut keep = || {
        n += 1;
        Ok(n % 3 > 0)
    };
    let edited = match choice % 3 {
        0 if signal == Signal::Metrics => filter::points(&request, |_, _| keep()),
        1 if signal == Signal::Metrics => filter::metrics(&request, |_, name, _| Ok(name.len() % 2 == 0)),
        _ => filter::items(signal, &request, |_, _| keep()),
    };
    if let Ok(Some(edited)) = edited {
        // A metric that stays is not looked into, and may be malformed where the door did not check it.
        if let Ok(items) = count::items(signal, &request) {
            assert_eq!(count::items(signal, &edited.bytes), Ok(items - edited.items_removed));
        }
        assert!(!is_ok || check::full(signal, &edited.bytes).is_ok());
        assert_eq!(filter::items(signal, &edited.bytes, |_, _| Ok(true)), Ok(None));
    }
}

/// JSON that is read passes the check and comes back the same; so does a request.
pub fn json(data: &[u8]) {
    let (signal, _, request) = request(data);
    if let Ok(read) = json::to_proto(signal, &request) {
        let read = Bytes::from(read);
        let written = json::from_proto(signal, &read).expect("what is read passes the check");
        assert_eq!(json::to_proto(signal, &written).map(|again| content(signal, &again)), Ok(content(signal, &read)));
    }
    if let Ok(written) = json::from_proto(signal, &request) {
        // Text nests less deep than protobuf.
        if let Ok(again) = json::to_proto(signal, &written) {
            assert_eq!(json::from_proto(signal, &again.into()), Ok(written));
        }
    }
}

/// Text that is read passes the check and comes back the same; so does a request.
pub fn text(data: &[u8]) {
    let (signal, _, request) = request(data);
    let written = std::str::from_utf8(&request).ok().and_then(|written| text::parse(signal, written).ok());
    for request in written.into_iter().chain([request]) {
        if let Ok(printed) = text::print(signal, &request) {
            let again = text::parse(signal, &printed).unwrap_or_else(|error| panic!("{error}\n{printed}"));
            assert_eq!(text::print(signal, &again), Ok(printed));
            assert_eq!(content(signal, &again), content(signal, &request));
        }
    }
}

/// Everything can be looked at.
pub fn views(data: &[u8]) {
    let (signal, _, request) = request(data);
    let looked_at = look(signal, &request);
    assert!(looked_at.is_ok() || check::full(signal, &request).is_err(), "{looked_at:?}");
}

fn look(signal: Signal, request: &[u8]) -> Result<(), WireError> {
    for group in resources(request) {
        let group = group?;
        group.schema_url()?;
        attributes(group.attributes(), 0)?;
        for scope in group.scopes() {
            let scope = scope?;
            scope.name_and_version()?;
            scope.schema_url()?;
            attributes(scope.attributes(), 0)?;
            match signal {
                Signal::Traces => scope.items::<view::Span<'_>>().try_for_each(|span| look_at_span(&span?))?,
                Signal::Metrics => scope.items::<view::Metric<'_>>().try_for_each(|metric| look_at_metric(&metric?))?,
                Signal::Logs => scope.items::<view::LogRecord<'_>>().try_for_each(|log| look_at_log(&log?))?,
            }
        }
    }
    Ok(())
}

#[allow(clippy::needless_pass_by_value, reason = "an iterator is used up")]
fn attributes(all: KeyValues<'_>, depth: usize) -> Result<(), WireError> {
    for attribute in all.clone() {
        let attribute = attribute?;
        value(attribute.value, depth)?;
        assert!(all.clone().find(attribute.key)?.is_some());
    }
    Ok(())
}

fn value(any: AnyValue<'_>, depth: usize) -> Result<(), WireError> {
    if depth < 100 {
        any.elements().try_for_each(|element| value(element?, depth + 1))?;
        attributes(any.entries(), depth + 1)?;
    }
    Ok(())
}

fn look_at_span(span: &view::Span<'_>) -> Result<(), WireError> {
    span.trace_id()?;
    span.span_id()?;
    span.parent_span_id()?;
    attributes(span.attributes(), 0)?;
    span.events().try_for_each(|event| attributes(event?.attributes(), 0))?;
    span.links().try_for_each(|link| attributes(link?.attributes(), 0))
}

fn look_at_log(log: &view::LogRecord<'_>) -> Result<(), WireError> {
    log.trace_id()?;
    log.span_id()?;
    value(log.body, 0)?;
    attributes(log.attributes(), 0)
}

fn look_at_metric(metric: &view::Metric<'_>) -> Result<(), WireError> {
    attributes(metric.metadata(), 0)?;
    match metric.kind {
        view::MetricKind::Empty => Ok(()),
        view::MetricKind::Gauge | view::MetricKind::Sum => {
            metric.points::<view::NumberPoint<'_>>().try_for_each(|point| {
                let point = point?;
                point.exemplars().try_for_each(|exemplar| look_at_exemplar(&exemplar?))?;
                attributes(point.attributes(), 0)
            })
        }
        view::MetricKind::Histogram => metric.points::<view::HistogramPoint<'_>>().try_for_each(|point| {
            let point = point?;
            point.bucket_counts().try_for_each(|count| count.map(drop))?;
            point.explicit_bounds().try_for_each(|bound| bound.map(drop))?;
            point.exemplars().try_for_each(|exemplar| look_at_exemplar(&exemplar?))?;
            attributes(point.attributes(), 0)
        }),
        view::MetricKind::ExponentialHistogram => metric.points::<view::ExponentialPoint<'_>>().try_for_each(|point| {
            let point = point?;
            point.positive.counts().try_for_each(|count| count.map(drop))?;
            point.negative.counts().try_for_each(|count| count.map(drop))?;
            point.exemplars().try_for_each(|exemplar| look_at_exemplar(&exemplar?))?;
            attributes(point.attributes(), 0)
        }),
        view::MetricKind::Summary => metric.points::<view::SummaryPoint<'_>>().try_for_each(|point| {
            let point = point?;
            point.quantiles().try_for_each(|quantile| quantile.map(drop))?;
            attributes(point.attributes(), 0)
        }),
    }
}

fn look_at_exemplar(exemplar: &view::Exemplar<'_>) -> Result<(), WireError> {
    exemplar.trace_id()?;
    exemplar.span_id()?;
    attributes(exemplar.filtered_attributes(), 0)
}
