//! The operations on examples small enough to read.

use bytes::Bytes;

use super::edit::{self, Change, Level, When};
use super::fields::{self, metric, number_point, request, resource, resource_group, scope, scope_group, span};
use super::view::{self, KeyValue, Metric, ScopeGroup, Span, View, resources};
use super::write::{Scalar, Writer};
use super::{count, filter, split};
use crate::batch::Signal;

/// Resources, their scopes, and the names of their spans.
type Tree = &'static [(&'static str, &'static [(&'static str, &'static [&'static str])])];

fn spans(resources: Tree) -> Bytes {
    let mut w = Writer::new();
    for (name, scopes) in resources {
        w.message(request::RESOURCES, |w| {
            w.message(resource_group::RESOURCE, |w| w.attribute(resource::ATTRIBUTES, "service.name", *name));
            for (name, spans) in *scopes {
                w.message(resource_group::SCOPES, |w| {
                    w.message(scope_group::SCOPE, |w| w.text(scope::NAME, name));
                    for name in *spans {
                        w.message(scope_group::ITEMS, |w| {
                            w.text(span::NAME, name);
                            w.attribute(span::ATTRIBUTES, "k", Scalar::Int(1));
                        });
                    }
                });
            }
        });
    }
    w.into_bytes()
}

/// `service/scope: span span | …`
fn shown(request: &[u8]) -> String {
    let mut out = Vec::new();
    for group in resources(request) {
        let group = group.unwrap();
        let service = group.attributes().find("service.name").unwrap().and_then(view::AnyValue::as_text).unwrap_or("-");
        for scope in group.scopes() {
            let scope = scope.unwrap();
            let names: Vec<_> = scope.items::<Span<'_>>().map(|s| s.unwrap().name).collect();
            out.push(format!("{service}/{}: {}", scope.name_and_version().unwrap().0, names.join(" ")));
        }
    }
    out.join(" | ")
}

fn gauges(metrics: &[(&str, usize)]) -> Bytes {
    let mut w = Writer::new();
    w.message(request::RESOURCES, |w| {
        w.message(resource_group::SCOPES, |w| {
            for (name, points) in metrics {
                w.message(scope_group::ITEMS, |w| {
                    w.text(metric::NAME, name);
                    w.message(metric::GAUGE, |w| {
                        for i in 0..*points {
                            w.message(metric::POINTS, |w| w.fixed64(number_point::AS_INT, i as u64));
                        }
                    });
                });
            }
        });
    });
    w.into_bytes()
}

fn shown_metrics(request: &[u8]) -> String {
    let mut out = Vec::new();
    for group in resources(request) {
        for scope in group.unwrap().scopes() {
            for metric in scope.unwrap().items::<Metric<'_>>() {
                let metric = metric.unwrap();
                let values: Vec<_> =
                    metric.points::<view::NumberPoint<'_>>().map(|p| p.unwrap().value.as_f64().to_string()).collect();
                out.push(format!("{}={}", metric.name, values.join(",")));
            }
        }
    }
    out.join(" ")
}

const TWO: Tree = &[("one", &[("a", &["1", "2", "3"]), ("b", &["4"])]), ("two", &[("a", &["5", "6"])])];

#[test]
fn a_split_repeats_the_envelopes_and_keeps_the_order() {
    let parts = split::by_items(Signal::Traces, &spans(TWO), 2).unwrap();
    let shown: Vec<_> = parts.iter().map(|(part, items)| (shown(part), *items)).collect();
    assert_eq!(
        shown,
        [("one/a: 1 2".to_owned(), 2), ("one/a: 3 | one/b: 4".to_owned(), 2), ("two/a: 5 6".to_owned(), 2)]
    );
}

#[test]
fn a_request_that_fits_is_not_copied() {
    let request = spans(TWO);
    let parts = split::by_items(Signal::Traces, &request, 6).unwrap();
    assert_eq!((parts[0].0.as_ptr(), parts[0].1, parts.len()), (request.as_ptr(), 6, 1));
    let parts = split::by_bytes(Signal::Traces, &request, request.len()).unwrap();
    assert_eq!((parts[0].0.as_ptr(), parts[0].1, parts.len()), (request.as_ptr(), 6, 1));
    assert_eq!(split::by_items(Signal::Traces, &Bytes::new(), 6).unwrap(), []);
}

#[test]
fn a_split_by_bytes_fills_the_parts_and_lets_large_items_go_alone() {
    const LONG: &str =
        "a name that is longer than all others together with their envelopes, which are small here, as it must be";
    let request = spans(&[("one", &[("a", &["1", "2", LONG, "3"])])]);
    let one = spans(&[("one", &[("a", &["1", "2"])])]).len();
    for max in [one, one + 1, one - 1, 0] {
        let parts = split::by_bytes(Signal::Traces, &request, max).unwrap();
        let names: Vec<_> = parts.iter().map(|(part, _)| shown(part)).collect();
        let expected: &[_] = if max < one { &[1, 1, LONG.len(), 1] } else { &[3, LONG.len(), 1] };
        assert_eq!(names.iter().map(|n| n.len() - "one/a: ".len()).collect::<Vec<_>>(), expected, "{max}");
    }
}

#[test]
fn a_metric_is_split_between_its_points() {
    let parts = split::by_items(Signal::Metrics, &gauges(&[("a", 1), ("b", 4), ("c", 1)]), 2).unwrap();
    let shown: Vec<_> = parts.iter().map(|(part, items)| (shown_metrics(part), *items)).collect();
    assert_eq!(shown, [("a=0 b=0".to_owned(), 2), ("b=1,2".to_owned(), 2), ("b=3 c=0".to_owned(), 2)]);
}

#[test]
fn a_huge_envelope_is_not_repeated_for_every_small_item() {
    let mut w = Writer::new();
    w.message(request::RESOURCES, |w| {
        w.message(resource_group::RESOURCE, |w| w.attribute(resource::ATTRIBUTES, "k", &*"x".repeat(1 << 20)));
        w.message(resource_group::SCOPES, |w| (0..20_000).for_each(|_| w.text(scope_group::ITEMS, "")));
    });
    let request = w.into_bytes();
    for parts in
        [split::by_items(Signal::Logs, &request, 1).unwrap(), split::by_bytes(Signal::Logs, &request, 1 << 20).unwrap()]
    {
        assert!(parts.iter().map(|(part, _)| part.len()).sum::<usize>() < 4 * request.len());
        assert_eq!(parts.iter().map(|(_, items)| items).sum::<usize>(), 20_000);
    }
}

#[test]
fn filtered_items_take_their_empty_envelopes_along() {
    let request = spans(TWO);
    let keep = |names: &'static [&'static str]| {
        filter::items(Signal::Traces, &request, move |_, span| Ok(names.contains(&Span::view(span)?.name)))
    };
    let edited = keep(&["2", "6"]).unwrap().unwrap();
    assert_eq!((shown(&edited.bytes), edited.items_removed), ("one/a: 2 | two/a: 6".to_owned(), 4));
    let edited = keep(&["4"]).unwrap().unwrap();
    assert_eq!((shown(&edited.bytes), edited.items_removed), ("one/b: 4".to_owned(), 5));
    let edited = keep(&[]).unwrap().unwrap();
    assert_eq!((edited.bytes.len(), edited.items_removed), (0, 6));
    assert_eq!(keep(&["1", "2", "3", "4", "5", "6"]).unwrap(), None);
}

#[test]
fn metrics_and_points_are_filtered_and_counted_in_points() {
    let request = gauges(&[("a", 3), ("b", 2), ("c", 1)]);
    let edited = filter::metrics(&request, |_, name, _| Ok(name != "a")).unwrap().unwrap();
    assert_eq!((shown_metrics(&edited.bytes), edited.items_removed), ("b=0,1 c=0".to_owned(), 3));
    let edited = filter::points(&request, |place, point| {
        Ok(place.metric.name != "c" && view::NumberPoint::view(point)?.value.as_f64() > 0.0)
    });
    let edited = edited.unwrap().unwrap();
    assert_eq!((shown_metrics(&edited.bytes), edited.items_removed), ("a=1,2 b=1".to_owned(), 3));
}

/// The attributes of every span after an edit, as `k=v`.
fn after(
    keys: &[(&str, i64)],
    edit: impl Fn(&mut edit::Attributes<'_>) -> Result<(), super::WireError>,
) -> Option<String> {
    let mut w = Writer::new();
    w.message(request::RESOURCES, |w| {
        w.message(resource_group::SCOPES, |w| {
            w.message(scope_group::ITEMS, |w| {
                w.text(span::NAME, "s");
                keys.iter().for_each(|(k, v)| w.attribute(span::ATTRIBUTES, k, Scalar::Int(*v)));
                w.varint(span::DROPPED_ATTRIBUTES_COUNT, 7);
            });
        });
    });
    let request = w.into_bytes();
    let edited = edit::attributes(Signal::Traces, &request, Level::Item, &mut |a| edit(a)).unwrap()?;
    assert_eq!(count::items(Signal::Traces, &edited), Ok(1));
    let group = resources(&edited).next().unwrap().unwrap();
    let span = group.scopes().next().unwrap().unwrap().items::<Span<'_>>().next().unwrap().unwrap();
    assert_eq!(span.name, "s");
    let show = |kv: KeyValue<'_>| format!("{}={:?}", kv.key, kv.value).replace("Int(", "").replace(')', "");
    Some(span.attributes().map(|kv| show(kv.unwrap())).collect::<Vec<_>>().join(" "))
}

#[test]
fn attributes_are_written_when_their_condition_holds() {
    let check = |keys, when, key: &str, expected: Option<&str>| {
        let edited = after(keys, |a| a.write(when, key, Scalar::Int(9).into()).map(drop));
        assert_eq!(edited.as_deref(), expected, "{keys:?} {when:?} {key}");
    };
    check(&[("a", 1), ("b", 2)], When::Absent, "a", None);
    check(&[("a", 1), ("b", 2)], When::Absent, "c", Some("a=1 b=2 c=9"));
    check(&[("a", 1), ("b", 2)], When::Present, "a", Some("a=9 b=2"));
    check(&[("a", 1), ("b", 2)], When::Present, "c", None);
    check(&[("a", 1), ("b", 2)], When::Always, "a", Some("a=9 b=2"));
    check(&[("a", 9), ("b", 2)], When::Always, "a", None);
    check(&[("a", 1), ("b", 2), ("a", 3)], When::Always, "a", Some("a=9 b=2"));
    check(&[("a", 9), ("b", 2), ("a", 9)], When::Present, "a", Some("a=9 b=2"));
    check(&[], When::Always, "a", Some("a=9"));
}

#[test]
fn several_attributes_are_inserted_at_once_where_they_are_absent() {
    let ready = |key: &str| {
        let mut w = Writer::new();
        w.text(fields::key_value::KEY, key);
        w.any_value(fields::key_value::VALUE, Scalar::Int(9));
        w.into_vec()
    };
    let check = |keys: &[(&str, i64)], expected: Option<&str>| {
        let (b, c) = (ready("b"), ready("c"));
        let edited = after(keys, |a| a.insert_all([("b", b.as_slice()), ("c", c.as_slice())]));
        assert_eq!(edited.as_deref(), expected, "{keys:?}");
    };
    check(&[("a", 1)], Some("a=1 b=9 c=9"));
    check(&[("c", 3), ("a", 1)], Some("c=3 a=1 b=9"));
    check(&[("c", 3), ("b", 1)], None);
    check(&[], Some("b=9 c=9"));
    // What was written, deleted or inserted before and after counts as it is then.
    let b = ready("b");
    let edited = after(&[("b", 1), ("a", 1)], |a| {
        assert!(a.insert("x", Scalar::Int(5))?);
        assert!(a.delete("b")?);
        a.insert_all([("b", b.as_slice()), ("x", b.as_slice())])?;
        assert!(!a.insert("b", Scalar::Int(6))?);
        assert!(a.update("b", Scalar::Int(7))?);
        a.insert("y", Scalar::Int(8)).map(drop)
    });
    assert_eq!(edited.as_deref(), Some("a=1 x=5 b=7 y=8"));
}

#[test]
fn edits_of_one_message_see_each_other() {
    let edited = after(&[("a", 1), ("b", 2)], |a| {
        assert!(a.insert("c", Scalar::Int(3))?);
        assert!(a.copy("c", "d", When::Always)?);
        assert!(a.delete("c")?);
        assert!(a.copy("a", "e", When::Absent)?);
        assert!(!a.copy("c", "f", When::Absent)?);
        assert_eq!(a.find("d")?, Some(view::AnyValue::Int(3)));
        assert!(a.update("d", Scalar::Int(4))?);
        assert_eq!(a.retain(|kv| kv.key != "b")?, 1);
        assert_eq!(a.iter()?.count(), 3);
        Ok(())
    });
    assert_eq!(edited.as_deref(), Some("a=1 d=4 e=1"));
    assert_eq!(after(&[("a", 1)], |a| a.insert("b", "x").and_then(|_| a.delete("b")).map(drop)), None);
}

#[test]
fn a_missing_resource_or_scope_is_made_for_its_attributes() {
    let mut w = Writer::new();
    w.message(request::RESOURCES, |w| w.message(resource_group::SCOPES, |w| w.text(scope_group::ITEMS, "")));
    let request = w.into_bytes();
    for level in [Level::Resource, Level::Scope] {
        let edit = &mut |a: &mut edit::Attributes<'_>| a.insert("k", "v").map(drop);
        let edited = edit::attributes(Signal::Logs, &request, level, edit).unwrap().unwrap();
        let group = resources(&edited).next().unwrap().unwrap();
        let scope = group.scopes().next().unwrap().unwrap();
        let found = if level == Level::Resource { group.attributes() } else { scope.attributes() }.find("k");
        assert_eq!(found, Ok(Some(view::AnyValue::Text("v"))));
        assert_eq!(count::items(Signal::Logs, &edited), Ok(1));
    }
}

#[test]
fn a_resource_in_several_pieces_is_edited_as_one() {
    let mut w = Writer::new();
    w.message(request::RESOURCES, |w| {
        w.message(resource_group::RESOURCE, |w| w.attribute(resource::ATTRIBUTES, "a", "1"));
        w.message(resource_group::SCOPES, |w| w.text(scope_group::ITEMS, ""));
        w.message(resource_group::RESOURCE, |w| w.attribute(resource::ATTRIBUTES, "b", "2"));
    });
    let edited = edit::attributes(Signal::Logs, &w.into_bytes(), Level::Resource, &mut |a| {
        assert!(!a.insert("a", "x")?);
        assert!(a.update("b", "y")?);
        a.upsert("a", "z")?;
        a.upsert("c", "3")
    });
    let edited = edited.unwrap().unwrap();
    let group = resources(&edited).next().unwrap().unwrap();
    let keys: Vec<_> = group.attributes().map(|a| format!("{:?}", (a.unwrap().key, a.unwrap().value))).collect();
    assert_eq!(keys, [r#"("a", Text("z"))"#, r#"("b", Text("y"))"#, r#"("c", Text("3"))"#]);
}

#[test]
fn whole_items_are_rewritten() {
    let edited = edit::items(Signal::Traces, &spans(TWO), |_, raw, out| match Span::view(raw)?.name {
        "1" | "4" => Ok(Change::Drop),
        "5" => {
            out.fields_except(raw, |number| number == span::NAME)?;
            out.text(span::NAME, "five");
            Ok(Change::Replace)
        }
        _ => Ok(Change::Keep),
    });
    let edited = edited.unwrap().unwrap();
    assert_eq!(shown(&edited.bytes), "one/a: 2 3 | two/a: five 6");
    assert_eq!((edited.items_removed, edited.items_added), (2, 0));
}

#[test]
fn what_is_appended_to_an_item_stands_behind_everything_else() {
    let mut w = Writer::new();
    w.message(request::RESOURCES, |w| {
        w.message(resource_group::SCOPES, |w| {
            w.message(scope_group::ITEMS, |w| w.text(metric::NAME, "m"));
            w.message(scope_group::ITEMS, |w| w.text(metric::NAME, "n"));
        });
    });
    let request = w.into_bytes();
    let edited = edit::items(Signal::Metrics, &request, |_, raw, out| {
        if Metric::view(raw)?.name == "n" {
            return Ok(Change::Keep);
        }
        out.message(metric::GAUGE, |w| w.message(metric::POINTS, |w| w.double(number_point::AS_DOUBLE, 1.0)));
        Ok(Change::Append)
    });
    let edited = edited.unwrap().unwrap();
    assert_eq!((edited.items_removed, edited.items_added), (0, 1));
    assert_eq!(count::items(Signal::Metrics, &edited.bytes), Ok(1));
    assert!(edited.bytes.len() > request.len() + 10 && edited.bytes.ends_with(b"\x0a\x01n"));
}

#[test]
fn a_scope_that_stands_in_front_is_read_without_the_items_behind_it() {
    let mut w = Writer::new();
    w.message(scope_group::SCOPE, |w| w.text(scope::NAME, "a"));
    w.message(scope_group::SCOPE, |w| w.text(scope::VERSION, "1"));
    w.message(scope_group::ITEMS, |w| w.text(span::NAME, "x"));
    w.message(scope_group::SCOPE, |w| w.text(scope::NAME, "b"));
    let group = ScopeGroup { raw: w.as_slice() };
    assert_eq!(group.leading_name_and_version(), Ok(("a", "1")));
    assert_eq!(group.name_and_version(), Ok(("b", "1")));
    assert_eq!(ScopeGroup { raw: &[] }.leading_name_and_version(), Ok(("", "")));
}
