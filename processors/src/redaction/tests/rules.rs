//! The collector's rules: what goes, what is masked, in which order, and what the summary says.

use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, Histogram, HistogramDataPoint, Metric, NumberDataPoint, Sum, metric::Data,
};
use opentelemetry_proto::tonic::trace::v1::{Span, span};
use pipeline::Signal;

use super::super::Factory;
use super::record;
use crate::testing::{attributes, metrics, processor, read_metrics, read_spans, resource, scope, show, spans};

#[test]
fn keys_that_are_on_no_list_go() {
    let check = |config: &str, expected: &str| {
        assert_eq!(record(config, "{id: 5, name: n, secret: s}", ""), expected, "{config}");
    };
    check("{}", "");
    check("allow_all_keys: true", r#"id=5 name="n" secret="s""#);
    check("allowed_keys: [id, name]", r#"id=5 name="n""#);
    check("{allowed_keys: [id], ignored_keys: [secret]}", r#"id=5 secret="s""#);
    check("{allowed_keys: [id], ignored_key_patterns: ['^sec']}", r#"id=5 secret="s""#);
}

#[test]
fn what_is_blocked_in_values_is_masked_and_the_rest_stays() {
    let check = |config: &str, attributes: &str, expected: &str| {
        assert_eq!(record(&format!("{{allow_all_keys: true, {config}}}"), attributes, ""), expected, "{config}");
    };
    let cards = "blocked_values: ['4[0-9]{12}(?:[0-9]{3})?', '5[1-5][0-9]{14}']";
    check(
        cards,
        "{a: 'placed with 4111111111111111 and 5555555555554444 today', b: none}",
        r#"a="placed with **** and **** today" b="none""#,
    );
    check(cards, "{a: 4111111111111111}", "a=4111111111111111");
    check(&format!("redact_all_types: true, {cards}"), "{a: 4111111111111111, b: 5}", r#"a="****" b=5"#);
    // What stands in lists and maps is no less secret.
    check(cards, "{a: [x, {b: '4111111111111111', c: 1}]}", r#"a=["x" {b="****" c=1}]"#);
    check(
        "blocked_values: ['mycompany.com'], allowed_values: ['support@mycompany.com']",
        "{a: support@mycompany.com, b: sales@mycompany.com}",
        r#"a="support@mycompany.com" b="sales@****""#,
    );
    check("blocked_values: ['x*']", "{a: axxb}", r#"a="a****b""#);
}

#[test]
fn values_of_blocked_keys_are_masked_whole() {
    let check = |config: &str, expected: &str| {
        let attributes = "{api_key: 'sk-1 2', my_token: 12, ok: true, other_token: safe}";
        let config = format!("{{allow_all_keys: true, blocked_key_patterns: ['.*token.*', 'api_key'], {config}}}");
        assert_eq!(record(&config, attributes, ""), expected, "{config}");
    };
    check("summary: silent", r#"api_key="****" my_token="****" ok=true other_token="****""#);
    check("allowed_values: ['^safe$']", r#"api_key="****" my_token="****" ok=true other_token="safe""#);
    check("ignored_keys: [my_token]", r#"api_key="****" my_token=12 ok=true other_token="****""#);
}

#[test]
fn hashes_are_those_of_the_collector() {
    let check = |config: &str, expected: &str| {
        let config = format!("{{allow_all_keys: true, blocked_values: ['abc'], {config}}}");
        assert_eq!(record(&config, "{a: x abc}", ""), format!("a={:?}", format!("x {expected}")));
    };
    check("hash_function: md5", "900150983cd24fb0d6963f7d28e17f72");
    check("hash_function: sha1", "a9993e364706816aba3e25717850c26c9cd0d89d");
    check("hash_function: sha3", "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532");
    check(
        "hash_function: hmac-sha256, hmac_key: 0123456789abcdef0123456789abcdef",
        "a60c859a6827c5ea576a48d8d368672fbfe4667c6a927428284a0cb3859cc1d6",
    );
    check(
        "hash_function: hmac-sha512, hmac_key: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "a476d5ddf3b2f1546b307f748aa1091143d94a40114bc9b243b14b7189566d14da6c68f95e412246b3194dd6dcabca9e2a9b013495ff93a883bbf991132642df",
    );
}

#[test]
fn the_summary_says_what_was_done_and_adds_to_an_earlier_one() {
    let check = |summary: &str, expected: &str| {
        let config = format!(
            "{{allowed_keys: [b, c, d], ignored_keys: [i], blocked_values: [secret], allowed_values: [fine], summary: {summary}}}"
        );
        let attributes = "{z: 1, a: 1, b: a secret, c: fine secret, d: 4, i: secret, redaction.redacted.count: 2, \
                          redaction.redacted.keys: 'q,m'}";
        let out = record(&config, attributes, "");
        assert_eq!(out.strip_prefix(r#"b="a ****" c="fine secret" d=4 i="secret" "#), Some(expected), "{out}");
    };
    check("silent", r#"redaction.redacted.count=2 redaction.redacted.keys="q,m""#);
    check(
        "info",
        r#"redaction.redacted.count=4 redaction.redacted.keys="q,m" redaction.masked.count=1 redaction.allowed.count=1 redaction.ignored.count=1"#,
    );
    check(
        "debug",
        r#"redaction.redacted.count=4 redaction.redacted.keys="a,m,q,z" redaction.masked.keys="b" redaction.masked.count=1 redaction.allowed.keys="c" redaction.allowed.count=1 redaction.ignored.count=1"#,
    );
}

#[test]
fn bodies_are_redacted_like_attributes() {
    let check = |config: &str, body: &str, expected: &str| {
        assert_eq!(record(&format!("{{{config}}}"), "{}", body), expected, "{config} {body}");
    };
    let all = "allow_all_keys: true, summary: debug, blocked_values: ['[0-9]{4,}']";
    check(all, "pin 1234", r#"redaction.body.masked.keys="body" redaction.body.masked.count=1 | "pin ****""#);
    check(all, "12345", r#"redaction.body.masked.keys="body" redaction.body.masked.count=1 | "****""#);
    check(all, "fine", r#" | "fine""#);
    check(
        all,
        "{a: {b: ['1234', 5]}, c: 1}",
        r#"redaction.body.masked.keys="a.b.[0]" redaction.body.masked.count=1 | {a={b=["****" 5]} c=1}"#,
    );
    check(all, "[1234]", r#"redaction.body.masked.keys="[0]" redaction.body.masked.count=1 | ["****"]"#);
    check(
        "allowed_keys: [a, b], ignored_keys: [i], blocked_key_patterns: [b], summary: debug",
        "{a: {b: 1, x: 2}, y: 3, i: {z: 1}}",
        r#"redaction.body.redacted.keys="a.x,y" redaction.body.redacted.count=2 redaction.body.masked.keys="a.b" redaction.body.masked.count=1 redaction.body.ignored.count=1 | {a={b="****"} i={z=1}}"#,
    );
}

#[test]
fn values_of_blocked_keys_are_masked_in_lines_of_json_too() {
    let config = "{allow_all_keys: true, ignored_keys: [keep], blocked_key_patterns: [token]}";
    let check = |line: &str, expected: &str| {
        assert_eq!(record(config, "{}", &format!("'{line}'")), format!(" | {expected:?}"), "{line}");
    };
    check(
        r#"{"a":1,"token":"x\"y","b":[{"my_token": 5 , "c":2}]}"#,
        r#"{"a":1,"token":"****","b":[{"my_token": "****" , "c":2}]}"#,
    );
    check(r#"{"keep":{"token":1},"token":{"a":1}}"#, r#"{"keep":{"token":1},"token":"****"}"#);
    check(r#"{"token":"cut off"#, r#"{"token":"****""#);
    check("token: x", "token: x");
}

#[test]
fn what_is_blocked_is_masked_wherever_it_stands_in_a_request_with_much_that_is_not() {
    for (pattern, secret) in [("^sk-[a-z]+$", "sk-abc"), ("[0-9]{6}x", "123456x"), ("(?i)bearer .*", "BEARER x")] {
        let config = format!("{{allow_all_keys: true, blocked_values: ['{pattern}', 'never-there']}}");
        let check = |attributes: &str, body: &str, expected: &str| {
            let [attributes, body] = [attributes, body].map(|text| text.replace("SECRET", secret));
            assert_eq!(record(&config, &attributes, &body), expected, "{pattern}");
        };
        check("{a: fine, b: SECRET}", "fine", r#"a="fine" b="****" | "fine""#);
        check("{a: fine, b: 1}", "SECRET", r#"a="fine" b=1 | "****""#);
        check("{a: [fine, {b: SECRET}]}", "{c: [fine]}", r#"a=["fine" {b="****"}] | {c=["fine"]}"#);
        check("{a: fine}", "{c: [SECRET]}", r#"a="fine" | {c=["****"]}"#);
    }
}

#[test]
fn bodies_that_are_nested_without_end_are_cut() {
    let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
    let out = record("{allow_all_keys: true, blocked_values: [x], summary: info}", "{}", &deep);
    assert!(out.starts_with("redaction.body.redacted.count=1 | ["), "{out}");
    assert!(!out.contains('1') || !out.contains("[1]"), "{out}");
}

#[test]
fn every_message_of_a_trace_that_has_attributes_is_redacted() {
    let secret = || attributes("{a: secret, b: 1}");
    let span = Span {
        attributes: secret(),
        events: vec![span::Event { attributes: secret(), ..Default::default() }],
        links: vec![span::Link { attributes: secret(), ..Default::default() }],
        ..Span::default()
    };
    let mut s = scope("s", "");
    s.attributes = secret();
    let batch = spans(resource("{a: secret, b: 1}"), s, vec![span.clone(), span]);
    let config = "{allowed_keys: [a], blocked_values: [secret]}";
    let out = read_spans(&processor::<Factory>(config, Signal::Traces).process(batch).unwrap());
    let group = &out.resource_spans[0];
    assert_eq!(show(&group.resource.as_ref().unwrap().attributes), r#"a="****""#);
    assert_eq!(show(&group.scope_spans[0].scope.as_ref().unwrap().attributes), r#"a="****""#);
    for span in &group.scope_spans[0].spans {
        assert_eq!(show(&span.attributes), r#"a="****""#);
        assert_eq!(show(&span.events[0].attributes), r#"a="****""#);
        assert_eq!(show(&span.links[0].attributes), r#"a="****""#);
    }
}

#[test]
fn every_message_of_metrics_that_has_attributes_is_redacted() {
    let secret = || attributes("{a: secret, b: 1}");
    let exemplars = || vec![Exemplar { filtered_attributes: secret(), ..Exemplar::default() }];
    let number = NumberDataPoint { attributes: secret(), exemplars: exemplars(), ..Default::default() };
    let histogram = HistogramDataPoint { attributes: secret(), exemplars: exemplars(), ..Default::default() };
    let all = [
        Data::Sum(Sum { data_points: vec![number], ..Sum::default() }),
        Data::Histogram(Histogram { data_points: vec![histogram], ..Histogram::default() }),
    ];
    let all = all.into_iter().map(|data| Metric { data: Some(data), ..Metric::default() }).collect();
    let config = "{allowed_keys: [a], blocked_values: [secret], summary: info}";
    let out =
        processor::<Factory>(config, Signal::Metrics).process(metrics(resource("{}"), scope("s", ""), all)).unwrap();
    assert_eq!(out.items(), 2);
    let expected = r#"a="****" redaction.redacted.count=1 redaction.masked.count=1"#;
    for metric in &read_metrics(&out).resource_metrics[0].scope_metrics[0].metrics {
        let (attributes, exemplars) = match metric.data.as_ref().unwrap() {
            Data::Sum(d) => (&d.data_points[0].attributes, &d.data_points[0].exemplars),
            Data::Histogram(d) => (&d.data_points[0].attributes, &d.data_points[0].exemplars),
            other => panic!("{other:?}"),
        };
        assert_eq!(show(attributes), expected);
        assert_eq!(show(&exemplars[0].filtered_attributes), expected);
    }
}
