//! What the text form looks like, and its errors; that nothing gets lost is a property tested beside the others.

use super::{parse, print};
use crate::batch::Signal;

/// Text that is printed as it was written.
fn same(signal: Signal, text: &str) {
    let text = text.trim_start_matches('\n');
    let request = parse(signal, text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(print(signal, &request).unwrap(), text);
}

fn error(signal: Signal, text: &str) -> String {
    parse(signal, text).unwrap_err().to_string()
}

#[test]
fn what_is_printed_is_what_was_written() {
    same(
        Signal::Traces,
        r#"
resource dropped=1 entity_refs=[(type="service" id_keys=["service.name"])] {service.name="dynamo"} url="https://r"
  scope dynamo.http version="1.6.1" {a=1} url="https://s"
    span http-request trace=4bf92f3577b34da6a3ce929d0e0e4736 id=1 state="a=b" parent=ff kind=server start=1760000000s end=1760000001500ms dropped_events_count=2 status=error("boom") flags=1 {http.status=200 "a key"=0.5 b=true c=x"00ff" d=[1 "2" none []] e={f=-1 g} h}
      event "a retry" time=1us dropped=3 {attempt=1}
      link trace=5 span=6 state="x" flags=1
    span status=unset
    span "none" status=(message="odd" code=ok)
  scope none
resource none
  scope
"#,
    );
    same(
        Signal::Logs,
        r#"
resource
  scope none
    log time=1760000000s sev=info level="INFO" "it \"works\"" dropped=1 flags=1 trace=7 span=8 observed=5 event="e" {k="v"}
    log sev=77 body={a=1 b=[true 2.0 none x"00ff"]}
    log body=none
    log
"#,
    );
    same(
        Signal::Metrics,
        r#"
resource none
  scope none
    metric requests_total about="All of them" unit="1" metadata={type="counter"} sum cumulative monotonic
      point start=1s time=5s 12 flags=1 {a="b"}
      point 12.0
      point nan
      point -inf
        exemplar time=4s 0.7 span=2 trace=1 {x=1}
    metric latency histogram delta
      point time=5s count=3 sum=1.5 counts=[1 2] bounds=[0.5 1e300] min=0.0 max=-0.0
    metric e exponential aggregation_temporality=7
      point count=3 scale=-2 zero=1 positive=(offset=-1 counts=[1 300]) negative=() threshold=0.1
    metric s summary
      point quantiles=[(quantile=0.5 value=1.0)]
    metric g gauge
    metric ""
"#,
    );
}

#[test]
fn the_examples_of_the_documentation_are_requests() {
    let shown: String = include_str!("mod.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//! "))
        .fold(String::new(), |text, line| text + line + "\n");
    let examples = shown.split("```text").filter(|block| block.starts_with("\nresource"));
    let signals = [Signal::Traces, Signal::Logs, Signal::Metrics];
    let items: Vec<_> = std::iter::zip(signals, examples)
        .map(|(signal, example)| {
            let example = example.split("```").next().unwrap_or_default();
            let request = parse(signal, example).unwrap_or_else(|error| panic!("{error}\n{example}"));
            crate::otlp::count::items(signal, &request).unwrap()
        })
        .collect();
    assert_eq!(items, [1, 2, 2]);
}

#[test]
fn unknown_fields_are_kept_in_hexadecimal() {
    same(
        Signal::Metrics,
        "request ?e03e01\nresource ?e03e02 group?e03e03\n  scope none group?e03e04\n    metric a ?e03e05 sum data?e03e06\n      \
         point ?e03e07 {(key=\"k\" ?e03e08) a=(string_value=\"x\" ?e03e09)}\n",
    );
}

#[test]
fn what_is_usual_may_be_left_out() {
    let long = "resource none\n  scope none\n    span a kind=client {k=1}\n";
    for short in
        ["span a kind=client {k=1}", "# a comment\n\n   span a {k=1, } kind=CLIENT\n", "span \"a\" kind=3 {\"k\"=1}"]
    {
        let request = parse(Signal::Traces, short).unwrap();
        assert_eq!(print(Signal::Traces, &request).unwrap(), long);
    }
    assert_eq!(parse(Signal::Logs, "").unwrap(), "");
}

#[test]
fn errors_have_their_place() {
    let check = |text, expected| assert_eq!(error(Signal::Traces, text), expected, "{text}");
    check(
        "\n  spam x",
        "spam is no keyword; there are request, resource, scope, span, event, link, log, metric, point, exemplar at line 2 column 3",
    );
    check("log \"x\"", "expected span and not log at line 1 column 1");
    check(
        "span a kind=up",
        "up is not one of unspecified, internal, server, client, producer, consumer, nor a number at line 1 column 13",
    );
    check("span a {k=}", "expected a value at line 1 column 11");
    check("span a {k=1", "expected a word at line 1 column 12");
    check("span ä", "expected a word at line 1 column 6");
    check("span \"ä\" x", "expected name=value at line 1 column 10");
    check("span a \"text\"", "there is no text here; fields are name=value at line 1 column 8");
    check("span a trace=zz", "expected up to 32 hexadecimal digits at line 1 column 14");
    check("span a start=5m", "expected nanoseconds, or an integer with s, ms or us at line 1 column 14");
    check("span a ?0a", "these digits are not one protobuf field at line 1 column 9");
    check("resource none {a=1}", "there is no resource, so it has no fields at line 1 column 15");
    check("event e", "event needs a span before it at line 1 column 1");
    check("scope s color=1", "scope has no field color; it has name, version, attributes, dropped at line 1 column 9");
    check(
        &format!("span a {{k={}", "[".repeat(1000)),
        "values are nested too deep, the most is 48 levels at line 1 column 59",
    );
    assert_eq!(
        error(Signal::Metrics, "metric a\npoint 5"),
        "a point needs a metric of some kind before it at line 2 column 1"
    );
    assert_eq!(
        error(Signal::Metrics, "metric a delta"),
        "a metric with that needs a kind: gauge, sum, histogram, exponential or summary at line 1 column 15"
    );
}
