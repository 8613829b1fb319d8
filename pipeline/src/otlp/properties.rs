//! The wire layer against prost: every operation on bytes equals decoding, changing objects and encoding.

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use proptest::prelude::*;
use prost::Message;

use super::arbitrary::Source;
use super::edit::{self, Attributes, Change, Level, Rewrite, When};
use super::view::{self, View};
use super::{WireError, canonical, check, count, filter, json, split, text};
use crate::batch::{Edited, Signal};

/// An item with all that belongs to it. Of a metric each point is an item, in a metric of its own; a metric without
/// points is one too.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    resource: Option<Resource>,
    resource_url: String,
    scope: Option<InstrumentationScope>,
    scope_url: String,
    item: Item,
}

#[derive(Clone, Debug, PartialEq)]
enum Item {
    Span(Span),
    Log(LogRecord),
    Metric(Metric),
}

fn rows(signal: Signal, request: &[u8]) -> Vec<Row> {
    decode(signal, request).expect("prost reads it")
}

fn decode(signal: Signal, request: &[u8]) -> Result<Vec<Row>, prost::DecodeError> {
    let mut out = Vec::new();
    macro_rules! each {
        ($request:ty, $groups:ident, $scopes:ident, $items:ident, $each:expr) => {
            for group in <$request>::decode(request)?.$groups {
                for scope in group.$scopes {
                    for item in scope.$items.into_iter().flat_map($each) {
                        out.push(Row {
                            resource: group.resource.clone(),
                            resource_url: group.schema_url.clone(),
                            scope: scope.scope.clone(),
                            scope_url: scope.schema_url.clone(),
                            item,
                        });
                    }
                }
            }
        };
    }
    match signal {
        Signal::Traces => each!(ExportTraceServiceRequest, resource_spans, scope_spans, spans, |s| [Item::Span(s)]),
        Signal::Logs => each!(ExportLogsServiceRequest, resource_logs, scope_logs, log_records, |l| [Item::Log(l)]),
        Signal::Metrics => each!(ExportMetricsServiceRequest, resource_metrics, scope_metrics, metrics, single_points),
    }
    Ok(out)
}

fn single_points(mut metric: Metric) -> Vec<Item> {
    macro_rules! points {
        ($kind:ident, $data:ident) => {{
            let points = std::mem::take(&mut $data.data_points);
            let with = |point| {
                let mut data = $data.clone();
                data.data_points = vec![point];
                Item::Metric(Metric { data: Some(Data::$kind(data)), ..metric.clone() })
            };
            points.into_iter().map(with).collect()
        }};
    }
    let items: Vec<Item> = match metric.data.take() {
        None => Vec::new(),
        Some(Data::Gauge(mut data)) => points!(Gauge, data),
        Some(Data::Sum(mut data)) => points!(Sum, data),
        Some(Data::Histogram(mut data)) => points!(Histogram, data),
        Some(Data::ExponentialHistogram(mut data)) => points!(ExponentialHistogram, data),
        Some(Data::Summary(mut data)) => points!(Summary, data),
    };
    if items.is_empty() { vec![Item::Metric(metric)] } else { items }
}

impl Row {
    /// 1, or 0 for a metric without points.
    fn items(&self) -> usize {
        usize::from(!matches!(&self.item, Item::Metric(metric) if metric.data.is_none()))
    }

    fn attributes(&mut self, level: Level, edit: impl Fn(&mut Vec<KeyValue>)) {
        match (level, &mut self.item) {
            (Level::Resource, _) => edit_in(&mut self.resource, |resource| &mut resource.attributes, edit),
            (Level::Scope, _) => edit_in(&mut self.scope, |scope| &mut scope.attributes, edit),
            (Level::Item, Item::Span(span)) => edit(&mut span.attributes),
            (Level::Item, Item::Log(log)) => edit(&mut log.attributes),
            (Level::Event, Item::Span(span)) => span.events.iter_mut().for_each(|event| edit(&mut event.attributes)),
            (Level::Link, Item::Span(span)) => span.links.iter_mut().for_each(|link| edit(&mut link.attributes)),
            (Level::Exemplar, Item::Metric(Metric { data: Some(data), .. })) => {
                let exemplars = match data {
                    Data::Gauge(data) => &mut data.data_points[0].exemplars,
                    Data::Sum(data) => &mut data.data_points[0].exemplars,
                    Data::Histogram(data) => &mut data.data_points[0].exemplars,
                    Data::ExponentialHistogram(data) => &mut data.data_points[0].exemplars,
                    Data::Summary(_) => return,
                };
                exemplars.iter_mut().for_each(|exemplar| edit(&mut exemplar.filtered_attributes));
            }
            (Level::Point, Item::Metric(Metric { data: Some(data), .. })) => match data {
                Data::Gauge(data) => edit(&mut data.data_points[0].attributes),
                Data::Sum(data) => edit(&mut data.data_points[0].attributes),
                Data::Histogram(data) => edit(&mut data.data_points[0].attributes),
                Data::ExponentialHistogram(data) => edit(&mut data.data_points[0].attributes),
                Data::Summary(data) => edit(&mut data.data_points[0].attributes),
            },
            _ => {}
        }
    }

    fn time(&self) -> u64 {
        match &self.item {
            Item::Span(span) => span.start_time_unix_nano,
            Item::Log(log) => log.time_unix_nano,
            Item::Metric(metric) => match &metric.data {
                None => 0,
                Some(Data::Gauge(data)) => data.data_points[0].time_unix_nano,
                Some(Data::Sum(data)) => data.data_points[0].time_unix_nano,
                Some(Data::Histogram(data)) => data.data_points[0].time_unix_nano,
                Some(Data::ExponentialHistogram(data)) => data.data_points[0].time_unix_nano,
                Some(Data::Summary(data)) => data.data_points[0].time_unix_nano,
            },
        }
    }
}

fn edit_in<T: Default>(
    message: &mut Option<T>,
    attributes: impl Fn(&mut T) -> &mut Vec<KeyValue>,
    edit: impl Fn(&mut Vec<KeyValue>),
) {
    let was_there = message.is_some();
    let mut new = message.take().unwrap_or_default();
    edit(attributes(&mut new));
    let is_there = was_there || !attributes(&mut new).is_empty();
    *message = is_there.then_some(new);
}

/// What an edit does, and the same on objects.
#[derive(Clone, Debug)]
enum Step {
    Write(When, String, AnyValue),
    Copy(When, String, String),
    Delete(String),
    KeepTexts,
    /// Puts stars in the place of texts, takes numbers away, and keeps the rest.
    Rewrite,
}

fn steps(source: &mut Source<'_>) -> Vec<Step> {
    const KEYS: &[&str] = &["", "a", "key", "new", "service.name", "äöü"];
    let key = |s: &mut Source<'_>| KEYS[s.below(KEYS.len())].to_owned();
    (0..=source.below(4))
        .map(|_| {
            let when = [When::Absent, When::Present, When::Always][source.below(3)];
            match source.below(7) {
                6 => Step::Rewrite,
                0 => Step::KeepTexts,
                1 => Step::Copy(when, key(source), key(source)),
                2 => Step::Delete(key(source)),
                _ => Step::Write(when, key(source), source.value(1)),
            }
        })
        .collect()
}

fn on_wire(steps: &[Step], attributes: &mut Attributes<'_>) -> Result<(), WireError> {
    for step in steps {
        match step {
            Step::Write(when, key, value) => {
                attributes.write(*when, key, view::AnyValue::view(&value.encode_to_vec())?)?;
            }
            Step::Copy(when, from, to) => {
                attributes.copy(from, to, *when)?;
            }
            Step::Delete(key) => {
                attributes.delete(key)?;
            }
            Step::KeepTexts => {
                attributes.retain(|attribute| attribute.value.as_text().is_some())?;
            }
            Step::Rewrite => attributes.rewrite(|key, attribute, value| {
                let attribute = view::KeyValue::view(attribute)?;
                assert_eq!(key, attribute.key.as_bytes());
                Ok(match attribute.value {
                    view::AnyValue::Text(_) => {
                        value.value(view::AnyValue::Text("****"));
                        Rewrite::Value
                    }
                    view::AnyValue::Int(_) => Rewrite::Delete,
                    _ => Rewrite::Keep,
                })
            })?,
        }
    }
    Ok(())
}

fn on_objects(steps: &[Step], attributes: &mut Vec<KeyValue>) {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    let write = |attributes: &mut Vec<KeyValue>, when, key: &str, value: AnyValue| {
        let first = attributes.iter().position(|attribute| attribute.key == key);
        let new = KeyValue { key: key.to_owned(), value: Some(value), key_strindex: 0 };
        match (first, when) {
            (None, When::Absent | When::Always) => attributes.push(new),
            (Some(first), When::Present | When::Always) => {
                attributes[first] = new;
                let mut i = 0;
                attributes.retain(|attribute| {
                    i += 1;
                    i <= first + 1 || attribute.key != key
                });
            }
            _ => {}
        }
    };
    for step in steps {
        match step {
            Step::Write(when, key, value) => write(attributes, *when, key, value.clone()),
            Step::Copy(when, from, to) => {
                if let Some(found) = attributes.iter().rfind(|attribute| attribute.key == *from) {
                    let value = found.value.clone().unwrap_or_default();
                    write(attributes, *when, to, value);
                }
            }
            Step::Delete(key) => attributes.retain(|attribute| attribute.key != *key),
            Step::Rewrite => {
                let value = |attribute: &KeyValue| attribute.value.as_ref().and_then(|v| v.value.clone());
                attributes.retain(|attribute| !matches!(value(attribute), Some(Value::IntValue(_))));
                for attribute in attributes.iter_mut() {
                    if matches!(value(attribute), Some(Value::StringValue(_))) {
                        let stars = AnyValue { value: Some(Value::StringValue("****".to_owned())) };
                        *attribute = KeyValue { key: attribute.key.clone(), value: Some(stars), key_strindex: 0 };
                    }
                }
            }
            Step::KeepTexts => attributes
                .retain(|attribute| matches!(attribute.value, Some(AnyValue { value: Some(Value::StringValue(_)) }))),
        }
    }
}

fn signals() -> impl Strategy<Value = Signal> {
    prop::sample::select(&Signal::ALL[..])
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..2500)
}

/// A request written in a strange way, and the same as the door makes it.
fn requests(signal: Signal, source: &mut Source<'_>) -> (Bytes, Bytes) {
    let strange = Bytes::from(source.strange_request(signal));
    let joined = canonical(signal, &strange).expect("it is a request").unwrap_or_else(|| strange.clone());
    (strange, joined)
}

/// `PROPTEST_CASES`, or enough for every day.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_some() { default } else { ProptestConfig { cases: 64, ..default } }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_check_takes_what_prost_takes_and_counts(signal in signals(), bytes in bytes()) {
        let request = Source(&bytes).strange_request(signal);
        let items: usize = rows(signal, &request).iter().map(Row::items).sum();
        prop_assert_eq!(check::full(signal, &request).map(|checked| checked.items), Ok(items));
        prop_assert_eq!(check::envelope(signal, &request).map(|_| ()), Ok(()));
        prop_assert_eq!(count::items(signal, &request), Ok(items));
    }

    #[test]
    fn the_check_refuses_what_prost_refuses(signal in signals(), bytes in bytes(), mutations in prop::collection::vec(any::<(u16, u8)>(), 1..4)) {
        let mut request = Source(&bytes).strange_request(signal);
        for (at, what) in mutations {
            if request.is_empty() {
                break;
            }
            let at = usize::from(at) % request.len();
            match what % 4 {
                0 => request.truncate(at),
                1 => request[at] ^= 1 << (what >> 5),
                2 => request[at] = what,
                _ => request.insert(at, what),
            }
        }
        let ours = check::full(signal, &request);
        if ours != Err(WireError::IdLength) {
            prop_assert_eq!(ours.is_ok(), decode(signal, &request).is_ok(), "{:?}", ours);
        }
        if let Ok(checked) = ours {
            prop_assert_eq!(count::items(signal, &request), Ok(checked.items));
        }
    }

    #[test]
    fn joining_changes_nothing_but_the_form(signal in signals(), bytes in bytes()) {
        let (strange, joined) = requests(signal, &mut Source(&bytes));
        prop_assert_eq!(rows(signal, &strange), rows(signal, &joined));
        prop_assert_eq!(check::full(signal, &joined).map(|checked| checked.needs_joining), Ok(false));
    }

    #[test]
    fn split_then_merge_is_the_same(signal in signals(), bytes in bytes(), max in 0usize..12, by_bytes: bool) {
        let (request, _) = requests(signal, &mut Source(&bytes));
        let parts = if by_bytes {
            split::by_bytes(signal, &request, max * 100).unwrap()
        } else {
            split::by_items(signal, &request, max).unwrap()
        };
        let mut merged = Vec::new();
        for (part, items) in &parts {
            prop_assert_eq!(count::items(signal, part), Ok(*items));
            let fits = if by_bytes { part.len() <= max * 100 || *items <= 1 } else { *items <= max.max(1) };
            prop_assert!(fits, "{} items in {} bytes", items, part.len());
            merged.extend_from_slice(part);
        }
        prop_assert_eq!(rows(signal, &merged), rows(signal, &request));
    }

    #[test]
    fn edited_attributes_are_those_of_edited_objects(signal in signals(), bytes in bytes(), level in 0usize..7) {
        const LEVELS: [Level; 7] = [
            Level::Resource, Level::Scope, Level::Item, Level::Point, Level::Event, Level::Link, Level::Exemplar,
        ];
        let level = LEVELS[level];
        let mut source = Source(&bytes);
        let steps = steps(&mut source);
        let (_, request) = requests(signal, &mut source);
        let edited = edit::attributes(signal, &request, level, &mut |a| on_wire(&steps, a)).unwrap();
        let mut expected = rows(signal, &request);
        expected.iter_mut().for_each(|row| row.attributes(level, |attributes| on_objects(&steps, attributes)));
        let edited = edited.unwrap_or_else(|| request.clone());
        let mut actual = rows(signal, &edited);
        // An empty resource is none.
        actual.iter_mut().chain(&mut expected).for_each(|row| {
            row.resource = row.resource.take().filter(|r| *r != Resource::default());
            row.scope = row.scope.take().filter(|s| *s != InstrumentationScope::default());
        });
        prop_assert_eq!(actual, expected);
        prop_assert_eq!(count::items(signal, &edited), count::items(signal, &request));
    }

    #[test]
    fn filtered_items_are_those_of_filtered_objects(signal in signals(), bytes in bytes(), bit in 0u32..3) {
        let (request, joined) = requests(signal, &mut Source(&bytes));
        let keep_time = |time: u64| time >> bit & 1 == 0;
        let before = rows(signal, &request);
        let (edited, expected): (_, Vec<Row>) = match signal {
            Signal::Metrics if bit == 0 => (
                filter::metrics(&request, |_, name, _| Ok(name.len() % 2 == 0)).unwrap(),
                before.iter().filter(|row| matches!(&row.item, Item::Metric(m) if m.name.len() % 2 == 0)).cloned().collect(),
            ),
            Signal::Metrics => (
                filter::points(&joined, |_, point| {
                    // The time is field 3 of all kinds of points.
                    Ok(keep_time(view::SummaryPoint::view(point).or_else(|_| {
                        let mut time = 0;
                        for field in super::wire::Fields::new(point) {
                            let field = field?;
                            if field.number == 3 { time = field.value.fixed64()?; }
                        }
                        Ok(view::SummaryPoint { time, ..Default::default() })
                    })?.time))
                }).unwrap(),
                before.iter().filter(|row| row.items() == 1 && keep_time(row.time())).cloned().collect(),
            ),
            _ => (
                filter::items(signal, &request, |_, item| Ok(keep_time(match signal {
                    Signal::Traces => view::Span::view(item)?.start,
                    _ => view::LogRecord::view(item)?.time,
                }))).unwrap(),
                before.iter().filter(|row| keep_time(row.time())).cloned().collect(),
            ),
        };
        let Edited { bytes: after, items_removed, .. } = edited.unwrap_or_else(|| request.clone().into());
        prop_assert_eq!(rows(signal, &after), expected);
        prop_assert_eq!(count::items(signal, &after).unwrap() + items_removed, count::items(signal, &request).unwrap());
        prop_assert!(!after.is_empty() || count::items(signal, &after) == Ok(0));
        prop_assert_eq!(filter::items(signal, &after, |_, _| Ok(true)), Ok(None), "no empty envelopes are left");
    }

    #[test]
    fn rewritten_items_are_those_of_rewritten_objects(signal in signals(), bytes in bytes()) {
        let (request, _) = requests(signal, &mut Source(&bytes));
        let mut n = 0;
        let edited = edit::items(signal, &request, |_, item, out| {
            n += 1;
            match n % 3 {
                0 => {
                    out.raw(item);
                    Ok(Change::Keep)
                }
                1 => {
                    out.raw(item);
                    Ok(Change::Replace)
                }
                _ => {
                    out.bytes(super::fields::scope_group::ITEMS, item);
                    out.bytes(super::fields::scope_group::ITEMS, item);
                    Ok(Change::Split)
                }
            }
        }).unwrap();
        if let Some(edited) = edited {
            let items = count::items(signal, &request).unwrap();
            prop_assert_eq!(count::items(signal, &edited.bytes), Ok(items + edited.items_added - edited.items_removed));
            prop_assert!(rows(signal, &edited.bytes).len() >= rows(signal, &request).len());
        }
    }

    #[test]
    fn json_and_back_is_the_same(signal in signals(), bytes in bytes()) {
        let (request, _) = requests(signal, &mut Source(&bytes));
        let text = json::from_proto(signal, &request).unwrap();
        let back = Bytes::from(json::to_proto(signal, &text).unwrap());
        prop_assert_eq!(rows(signal, &back), rows(signal, &request));
        prop_assert_eq!(json::from_proto(signal, &back), Ok(text));
    }

    #[test]
    fn text_and_back_is_the_same(signal in signals(), bytes in bytes()) {
        let (strange, _) = requests(signal, &mut Source(&bytes));
        let printed = text::print(signal, &strange).unwrap();
        let back = text::parse(signal, &printed).unwrap();
        prop_assert_eq!(rows(signal, &back), rows(signal, &strange));
        prop_assert_eq!(text::print(signal, &back).unwrap(), printed);
        let again = text::parse(signal, &text::print(signal, &back).unwrap()).unwrap();
        prop_assert_eq!(&again, &back);
        // Prost writes integer points' values before their exemplars, as if they were doubles.
        if signal != Signal::Metrics {
            let plain = Bytes::from(Source(&bytes).request(signal));
            prop_assert_eq!(text::parse(signal, &text::print(signal, &plain).unwrap()).unwrap(), plain);
        }
    }
}
