//! Operators, one behaviour each: a config, a line, and the record that comes out.

use pipeline::config::{Settings, testing};
use serde::Deserialize;

use super::*;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Body {
    operators: Vec<Operator>,
}

impl Settings for Body {
    fn check(&self) -> Vec<Problem> {
        Steps::build(&self.operators).err().unwrap_or_default()
    }
}

/// 2026-01-02T00:00:00Z.
const NOW: u64 = 1_767_312_000_000_000_000;

fn steps(yaml: &str) -> Steps {
    let body: Body = testing::decode(yaml).unwrap_or_else(|e| panic!("{e}"));
    Steps::build(&body.operators).unwrap()
}

/// The entry as one line of text, and what the operators complained about.
fn run(yaml: &str, line: &str) -> (String, Vec<String>) {
    let steps = steps(yaml);
    let mut file = Map::default();
    file.set("log.file.name", Value::text("a.log"));
    let mut entry = Entry::new(Value::text(line), file, Map::default());
    let mut troubles = Vec::new();
    let goes_on = steps.run(&mut entry, NOW, |t| troubles.push(format!("{} {}: {}", t.operator, t.loud, t.why)));
    (if goes_on { show(&entry) } else { "dropped".to_owned() }, troubles)
}

fn show(entry: &Entry<'_>) -> String {
    let mut out = format!("body={}", json_text(entry.body()));
    let mut add = |name: &str, text: String| out += &format!(" {name}={text}");
    for (key, value) in entry.attributes().iter().filter(|(k, _)| *k != "log.file.name") {
        add(key, json_text(value));
    }
    for (key, value) in entry.resource().iter() {
        add(&format!("resource.{key}"), json_text(value));
    }
    if let Some(time) = entry.time {
        add("@time", time.to_string());
    }
    if entry.severity.0 > 0 || !entry.severity_text.is_empty() {
        add("@severity", format!("{}:{}", entry.severity.0, entry.severity_text));
    }
    for (name, id) in [("@trace", entry.trace_id.map(|i| i.to_vec())), ("@span", entry.span_id.map(|i| i.to_vec()))] {
        if let Some(id) = id {
            add(name, id.iter().map(|b| format!("{b:02x}")).collect());
        }
    }
    out
}

fn json_text(value: &Value<'_>) -> String {
    match value {
        Value::Text(text) => format!("{text:?}"),
        Value::Int(v) => v.to_string(),
        Value::Double(v) => format!("{v:?}"),
        Value::Map(map) => {
            let members: Vec<_> = map.iter().map(|(k, v)| format!("{k}:{}", json_text(v))).collect();
            format!("{{{}}}", members.join(","))
        }
        other => format!("{other:?}"),
    }
}

fn check(yaml: &str, line: &str, want: &str) {
    let (entry, troubles) = run(yaml, line);
    assert_eq!(entry, want);
    assert_eq!(troubles, [""; 0]);
}

/// The errors that a config gives.
fn errors(yaml: &str) -> String {
    testing::decode::<Body>(yaml).unwrap_err()
}

#[test]
fn json_parser_writes_to_the_attributes_and_reads_time_severity_and_trace_from_there() {
    check(
        r#"
operators:
  - type: json_parser
    timestamp: { parse_from: attributes.time, layout: '%Y-%m-%dT%H:%M:%S.%fZ' }
    severity: { parse_from: attributes.level }
    trace: {}
"#,
        r#"{"time":"2026-11-20T15:31:26.681620Z","level":"Warning","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"bb984f8a387a4d39","n":1}"#,
        r#"body="{\"time\":\"2026-11-20T15:31:26.681620Z\",\"level\":\"Warning\",\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\",\"span_id\":\"bb984f8a387a4d39\",\"n\":1}" time="2026-11-20T15:31:26.681620Z" level="Warning" trace_id="4bf92f3577b34da6a3ce929d0e0e4736" span_id="bb984f8a387a4d39" n=1.0 @time=1795188686681620000 @severity=13:Warning @trace=4bf92f3577b34da6a3ce929d0e0e4736 @span=bb984f8a387a4d39"#,
    );
}

#[test]
fn a_trace_block_looks_where_the_parser_wrote() {
    let line = r#"{"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"}"#;
    let found = "@trace=4bf92f3577b34da6a3ce929d0e0e4736";
    for (block, taken) in [
        ("trace:", true),
        ("trace: {}\n    parse_to: body", true),
        ("trace: {}\n    parse_to: attributes.deep", true),
        ("trace: { trace_id: { parse_from: attributes.trace_id } }", true),
        ("trace: { trace_id: { parse_from: body.trace_id } }", false),
        ("trace: { enabled: false }", false),
    ] {
        let (entry, troubles) = run(&format!("operators:\n  - type: json_parser\n    {block}\n"), line);
        assert_eq!((entry.contains(found), troubles.len()), (taken, 0), "{block}: {entry}");
    }
}

#[test]
fn decimal_span_ids_are_no_trace_context_and_no_error() {
    check(
        "operators: [{ type: json_parser, trace: {} }]",
        r#"{"span_id":"549755813889"}"#,
        r#"body="{\"span_id\":\"549755813889\"}" span_id="549755813889""#,
    );
}

#[test]
fn parse_ints_keeps_whole_numbers_whole() {
    check(
        "operators: [{ type: json_parser, parse_ints: true, parse_to: body }]",
        r#"{"a":1,"b":1.5}"#,
        "body={a:1,b:1.5}",
    );
}

#[test]
fn the_body_setting_makes_a_parsed_field_the_body() {
    check(
        "operators: [{ type: json_parser, body: attributes.message }]",
        r#"{"message":"hi"}"#,
        r#"body="hi" message="hi""#,
    );
}

#[test]
fn regex_parser_takes_named_groups() {
    check(
        r"
operators:
  - type: regex_parser
    regex: '^(?P<time>\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}) (?P<sev>[A-Z]*) (?P<msg>.*?)(?P<tail>!)?$'
    timestamp: { parse_from: attributes.time, layout: '%Y-%m-%d %H:%M:%S' }
    severity: { parse_from: attributes.sev, overwrite_text: true }
",
        "2023-06-19 05:20:50 ERR This is bad",
        r#"body="2023-06-19 05:20:50 ERR This is bad" time="2023-06-19 05:20:50" sev="ERR" msg="This is bad" tail="" @time=1687152050000000000 @severity=17:ERROR"#,
    );
}

#[test]
fn a_parser_reads_what_another_wrote() {
    check(
        r"
operators:
  - { type: regex_parser, regex: '^(?P<head>\S+) (?P<json>.*)$' }
  - { type: json_parser, parse_from: attributes.json, parse_to: resource }
  - { type: remove, field: attributes.json }
",
        r#"x {"pod":"p-0"}"#,
        r#"body="x {\"pod\":\"p-0\"}" head="x" resource.pod="p-0""#,
    );
}

#[test]
fn standalone_parsers_read_one_thing_each() {
    check(
        "
operators:
  - { type: json_parser, parse_to: body, parse_ints: true }
  - { type: time_parser, parse_from: body.ts, layout_type: epoch, layout: ms }
  - { type: severity_parser, parse_from: body.code, preset: none, mapping: { error: 5xx, warn: [4xx, { min: 300, max: 310 }, odd] } }
  - { type: trace_parser }
",
        r#"{"ts":1136214245123,"code":404,"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"}"#,
        r#"body={ts:1136214245123,code:404,trace_id:"4bf92f3577b34da6a3ce929d0e0e4736"} @time=1136214245123000000 @severity=13:404 @trace=4bf92f3577b34da6a3ce929d0e0e4736"#,
    );
}

#[test]
fn add_copy_move_and_remove_change_fields() {
    check(
        r#"
operators:
  - { type: json_parser, parse_ints: true }
  - { type: add, field: attributes.env, value: { name: prod, size: 3 } }
  - { type: copy, from: attributes.a, to: 'resource["k8s.pod"]' }
  - { type: move, from: attributes.message, to: body }
  - { type: remove, id: second, field: attributes.a }
"#,
        r#"{"message":"hi","a":7}"#,
        r#"body="hi" env={name:"prod",size:3} resource.k8s.pod=7"#,
    );
}

#[test]
fn what_fails_goes_on_or_is_dropped_as_on_error_says() {
    for (on_error, goes_on, loud) in
        [("send", true, true), ("send_quiet", true, false), ("drop", false, true), ("drop_quiet", false, false)]
    {
        let (entry, troubles) =
            run(&format!("operators: [{{ type: json_parser, id: j, on_error: {on_error} }}]"), "plain");
        assert_eq!(entry, if goes_on { r#"body="plain""# } else { "dropped" });
        assert_eq!(troubles, [format!("j {loud}: it is no JSON: a value should start here at byte 0")]);
    }
}

#[test]
fn an_operator_works_only_on_entries_for_which_its_condition_holds() {
    let yaml = r#"
operators:
  - { type: json_parser, if: 'body matches "^{"', parse_ints: true }
  - { type: add, if: attributes.n > 1, field: attributes.many, value: 1 }
"#;
    let (entry, troubles) = run(yaml, "plain");
    assert_eq!((entry.as_str(), troubles.len()), (r#"body="plain""#, 1));
    check(yaml, r#"{"n":2}"#, r#"body="{\"n\":2}" n=2 many=1"#);
    let (entry, troubles) = run(yaml, r#"{"n":"x"}"#);
    assert_eq!(entry, r#"body="{\"n\":\"x\"}" n="x""#);
    assert_eq!(troubles, ["add true: text and a number have no order"]);
}

#[test]
fn every_operator_says_why_it_could_not_work() {
    for (operator, line, why) in [
        ("type: json_parser, parse_from: attributes.x", "", "there is no attributes.x"),
        ("type: json_parser", "[1]", "it is a list, not a JSON object"),
        ("type: regex_parser, regex: '(?P<a>x)'", "y", "it does not match the regular expression"),
        ("type: time_parser, parse_from: body, layout: '%Y'", "x", "body states no time in the layout"),
        ("type: severity_parser, parse_from: attributes", "x", "attributes is a map, which states no severity"),
        ("type: move, from: attributes.x, to: body", "x", "there is no attributes.x"),
        ("type: copy, from: body, to: attributes", "x", "attributes cannot be text, only a map"),
        ("type: remove, field: resource.x", "x", "there is no resource.x"),
    ] {
        let (_, troubles) = run(&format!("operators: [{{ {operator} }}]"), line);
        assert!(troubles.len() == 1 && troubles[0].ends_with(why), "{operator}: {troubles:?}");
    }
}

#[test]
fn a_time_that_cannot_be_read_does_not_keep_the_severity_from_being_read() {
    let (entry, troubles) = run(
        "operators: [{ type: json_parser, timestamp: { parse_from: attributes.t, layout: '%Y' }, severity: { parse_from: attributes.l } }]",
        r#"{"l":"info"}"#,
    );
    assert!(entry.ends_with("@severity=9:info"), "{entry}");
    assert_eq!(troubles, ["json_parser true: there is no attributes.t"]);
}

#[test]
fn everything_wrong_with_operators_is_said_at_once() {
    let errors = errors(
        r#"
operators:
  - type: json_parser
    if: len(body) > 3
    timestamp: { parse_from: attributes.t, layout: '%Q', location: Europe/Berlin }
    severity: { mapping: { bad: x } }
  - { type: json_parser, output: nowhere }
  - { type: regex_parser, id: a, regex: '(x' }
  - { type: regex_parser, id: b, regex: 'x' }
  - { type: add, field: attributes.x, value: EXPR(body) }
  - { type: move, from: message, to: body }
  - { type: remove }
  - { type: recombine }
"#,
    );
    for want in [
        "`len` is not understood",
        "unknown directive %Q",
        "only UTC is carried out",
        "is no severity",
        "needs \"parse_from\"",
        "the id \"json_parser\" is taken",
        "entries go to the next operator, which is \"a\"",
        "is not a regular expression",
        "has no named group",
        "use `copy`",
        "is \"message\", which is no field",
        "needs \"field\"",
        "recombine",
        "regex_parser",
    ] {
        assert!(errors.contains(want), "{want} is not in:\n{errors}");
    }
}
