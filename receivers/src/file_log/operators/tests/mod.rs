//! Operators, one behaviour each: a config, a line, and the record that comes out.

mod parsers;

use pipeline::config::{Problem, Settings, testing};
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
    let entry = Entry::new(Value::text(line), file, Map::default(), NOW);
    let (mut held, mut seen) = (Held::default(), Seen::default());
    let mut around = Around { held: &mut held, place: Position::START, now: Instant::now(), of_path: &[] };
    steps.run(entry, &mut around, &mut seen);
    (seen.entries.pop().unwrap_or_else(|| "dropped".to_owned()), seen.troubles)
}

/// What comes out.
#[derive(Default)]
struct Seen {
    entries: Vec<String>,
    gone: Vec<Gone>,
    troubles: Vec<String>,
}

impl Out for Seen {
    fn entry(&mut self, entry: &Entry<'_>) {
        self.entries.push(show(entry));
    }

    fn gone(&mut self, why: Gone, _: &Entry<'_>) {
        self.gone.push(why);
    }

    fn trouble(&mut self, t: Trouble<'_>) {
        self.troubles.push(format!("{} {}: {}", t.operator, t.loud, t.why));
    }
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
    if let Some(name) = &entry.scope_name {
        add("@scope", name.to_string());
    }
    for (name, id) in [("@trace", entry.trace_id.map(|i| i.to_vec())), ("@span", entry.span_id.map(|i| i.to_vec()))] {
        if let Some(id) = id {
            add(name, id.iter().map(|b| format!("{b:02x}")).collect());
        }
    }
    out
}

pub fn json_text(value: &Value<'_>) -> String {
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
fn pairs_and_values_with_commas_become_maps() {
    check(
        "operators: [{ type: key_value_parser, parse_to: body, scope_name: { parse_from: body.logger } }]",
        "level=info logger='a b'",
        r#"body={level:"info",logger:"a b"} @scope=a b"#,
    );
    check(
        "operators: [{ type: csv_parser, header: 'id,severity, message', severity: { parse_from: attributes.severity } }]",
        r#"1,warn,"a, b""#,
        r#"body="1,warn,\"a, b\"" id="1" severity="warn" message="a, b" @severity=13:warn"#,
    );
    check(
        r"
operators:
  - { type: add, field: attributes.names, value: a;b }
  - { type: csv_parser, header_attribute: names, header_delimiter: ';', delimiter: '|', parse_to: body }
  - { type: remove, field: attributes.names }
",
        "1|2",
        r#"body={a:"1",b:"2"}"#,
    );
}

#[test]
fn retain_flatten_and_replace_change_what_is_there() {
    let line = r#"{"a":{"b":{"c":1,"d":2}},"e":"\u001b[31mred\u001b[0m 7"}"#;
    check(
        "
operators:
  - { type: json_parser, parse_to: body, parse_ints: true }
  - { type: add, field: attributes.x, value: 1 }
  - { type: flatten, field: body.a.b }
  - { type: flatten, field: body.a }
  - { type: regex_replace, field: body.e, regex_name: ansi_control_sequences }
  - { type: regex_replace, field: body.e, regex: '(r)ed (\\d)', replace_with: '$2$1' }
  - { type: retain, fields: [body.c, body.e] }
",
        line,
        r#"body={c:1,e:"7r"} x=1"#,
    );
}

#[test]
fn a_filter_drops_what_it_is_told_to_or_a_part_of_it() {
    let yaml = "operators: [{ type: filter, expr: 'body contains \"debug\"' }]";
    assert_eq!(run(yaml, "a debug line").0, "dropped");
    check(yaml, "another", r#"body="another""#);
    let steps = steps("operators: [{ type: filter, expr: 'true', drop_ratio: 0.25 }]");
    let (mut held, mut seen) = (Held::default(), Seen::default());
    let mut around = Around { held: &mut held, place: Position::START, now: Instant::now(), of_path: &[] };
    for _ in 0..1000 {
        let entry = Entry::new(Value::text("x"), Map::default(), Map::default(), NOW);
        steps.run(entry, &mut around, &mut seen);
    }
    assert!((240..=260).contains(&seen.gone.len()), "{}", seen.gone.len());
    assert!(seen.gone.iter().all(|why| *why == Gone::Filtered));
}

#[test]
fn entries_take_the_way_of_the_first_route_that_holds() {
    let yaml = r#"
operators:
  - type: router
    routes:
      - { expr: 'body startsWith "{"', output: json, attributes: { kind: json } }
      - { expr: 'body startsWith "-"', output: end }
    default: words
  - { type: json_parser, id: json, parse_ints: true, output: end }
  - { type: regex_parser, id: words, regex: '^(?P<first>\w+)' }
  - { type: noop, id: end }
"#;
    check(yaml, r#"{"n":1}"#, r#"body="{\"n\":1}" kind="json" n=1"#);
    check(yaml, "two words", r#"body="two words" first="two""#);
    check(yaml, "- x", r#"body="- x""#);
    let lost = "operators: [{ type: router, routes: [{ expr: 'false', output: end }] }, { type: noop, id: end }]";
    assert_eq!(run(lost, "x").0, "dropped");
}

#[test]
fn entries_are_put_together_by_their_first_or_last_one() {
    let combine = |yaml: &str, lines: &[&str]| {
        let steps = steps(&format!("operators: [{{ type: recombine, combine_field: body, {yaml} }}]"));
        let (mut held, mut seen) = (Held::default(), Seen::default());
        for (i, line) in lines.iter().enumerate() {
            let mut attributes = Map::default();
            attributes.set("n", Value::Int(i64::try_from(i).unwrap()));
            let entry = Entry::new(Value::text(*line), attributes, Map::default(), NOW);
            let place = Position { offset: i as u64, ..Position::START };
            let mut around = Around { held: &mut held, place, now: Instant::now(), of_path: &[] };
            steps.run(entry, &mut around, &mut seen);
        }
        (seen.entries, held.first().map(|p| p.offset))
    };
    let first = r#"is_first_entry: body startsWith "-""#;
    assert_eq!(
        combine(first, &["a", "-b", "c", "-d", "-e"]),
        (vec![r#"body="a" n=0"#.into(), r#"body="-b\nc" n=1"#.into(), r#"body="-d" n=3"#.into()], Some(4))
    );
    let last = r#"is_last_entry: body endsWith ".", combine_with: " ", overwrite_with: newest"#;
    assert_eq!(
        combine(last, &["a", "b.", "c.", "d"]),
        (vec![r#"body="a b." n=1"#.into(), r#"body="c." n=2"#.into()], Some(3))
    );
    let few = r#"is_last_entry: body == ".", max_unmatched_batch_size: 2"#;
    assert_eq!(combine(few, &["a", "b", "c"]).0, [r#"body="a\nb" n=0"#]);
    let sources = r#"is_last_entry: body endsWith ".", source_identifier: body, max_sources: 2"#;
    assert_eq!(combine(sources, &["a", "b", "c", "a"]).0, [r#"body="a" n=0"#, r#"body="b" n=1"#]);
    let bytes = r#"is_last_entry: body endsWith ".", max_log_size: 3"#;
    assert_eq!(combine(bytes, &["ab", "cd", "e"]), (vec![r#"body="ab\ncd" n=0"#.into()], Some(2)));
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
    if: now() > 3
    timestamp: { parse_from: attributes.t, layout: '%Q', location: Europe/Berln }
    severity: { mapping: { bad: x } }
  - { type: json_parser, output: nowhere }
  - { type: noop, id: json_parser }
  - { type: noop, id: back, output: back }
  - { type: regex_parser, id: a, regex: '(x' }
  - { type: regex_parser, id: a, regex: 'x' }
  - { type: add, field: attributes.x, value: EXPR(body -) }
  - { type: router, id: r, routes: [{ expr: 'true', output: back, attributes: { x: 'EXPR(now())' } }] }
  - { type: move, from: message, to: body }
  - { type: remove }
  - { type: recombine }
  - { type: syslog_parser }
"#,
    );
    for want in [
        "`now` is not understood",
        "unknown directive %Q",
        "\"Europe/Berln\" is no time zone",
        "is no severity",
        "needs \"parse_from\"",
        "the id \"a\" is taken",
        "there is no operator \"nowhere\"; there are json_parser1, json_parser2, json_parser, back, a",
        "is not a regular expression",
        "has no named group",
        "it ends too soon at character 7",
        "routes[0]::attributes::x",
        "is \"message\", which is no field",
        "needs \"field\"",
        "needs either \"is_first_entry\" or \"is_last_entry\"",
        "syslog_parser",
    ] {
        assert!(errors.contains(want), "{want} is not in:\n{errors}");
    }
}

#[test]
fn arrays_uris_and_syslog_are_parsed() {
    check(
        "operators: [{type: json_array_parser, parse_to: attributes.list}]",
        r#"[1,"a",2.5,true,null,{"b":1},[2]]"#,
        r#"body="[1,\"a\",2.5,true,null,{\"b\":1},[2]]" list=List([Int(1), Text("a"), Double(2.5), Bool(true), Null, Text("{\"b\":1}"), Text("[2]")])"#,
    );
    check(
        "operators: [{type: json_array_parser, header: 'n, word', severity: {parse_from: attributes.word}}]",
        r#"[1,"info"]"#,
        r#"body="[1,\"info\"]" n=1 word="info" @severity=9:info"#,
    );
    check(
        "operators: [{type: uri_parser, parse_to: body}]",
        "/a?b=c",
        r#"body={path:"/a",query:{b:List([Text("c")])}}"#,
    );
    check(
        "operators: [{type: syslog_parser, protocol: rfc3164}, {type: move, from: attributes.message, to: body}]",
        "<11>Jan  1 06:30:00 host app: it broke",
        r#"body="it broke" priority=11 facility=1 facility_text="user" hostname="host" appname="app" @time=1767249000000000000 @severity=17:err"#,
    );
    let (_, troubles) = run("operators: [{type: json_array_parser, header: a}]", "[1,2]");
    assert_eq!(troubles, ["json_array_parser true: it has 2 values for 1 names"]);
    let (_, troubles) = run("operators: [{type: json_array_parser, parse_to: body}]", "{}");
    assert_eq!(troubles, ["json_array_parser true: it is no JSON array: an array should start here at byte 0"]);
    let (_, troubles) = run("operators: [{type: uri_parser}]", "none");
    assert!(troubles[0].starts_with("uri_parser true: it is no URI: it begins neither"), "{troubles:?}");
}

#[test]
fn lists_get_keys_and_texts_lose_quotes() {
    check(
        "operators: [{type: json_array_parser, parse_to: body}, {type: assign_keys, field: body, keys: [a, b]}]",
        r#"[1,"x"]"#,
        r#"body={a:1,b:"x"}"#,
    );
    check("operators: [{type: unquote, field: body}, {type: sanitize_utf8}]", r#""a\tb""#, r#"body="a\tb""#);
    for (operator, why) in [
        ("{type: assign_keys, field: body, keys: [a]}", "assign_keys true: body is text, not a list"),
        ("{type: unquote, field: body}", "unquote true: body does not stand in quotes as Go writes them"),
        ("{type: sanitize_utf8, field: attributes.none}", "sanitize_utf8 true: there is no attributes.none"),
    ] {
        assert_eq!(run(&format!("operators: [{operator}]"), "x").1, [why]);
    }
    let (entry, _) = {
        let mut held = Held::default();
        let mut seen = Seen::default();
        let mut around = Around { held: &mut held, place: Position::START, now: Instant::now(), of_path: &[] };
        let bytes = Value::Bytes(b"a\xff".as_slice().into());
        let entry = Entry::new(bytes, Map::default(), Map::default(), NOW);
        steps("operators: [{type: sanitize_utf8}]").run(entry, &mut around, &mut seen);
        (seen.entries.remove(0), seen.troubles)
    };
    assert_eq!(entry, "body=\"a\u{fffd}\"");
}

#[test]
fn settings_of_the_rarer_operators_that_cannot_work_say_what_would() {
    for (operator, why) in [
        ("{type: json_array_parser}", "attributes are no list"),
        ("{type: syslog_parser}", "needs \"protocol\""),
        ("{type: syslog_parser, protocol: rfc1}", "rfc3164"),
        ("{type: syslog_parser, protocol: rfc3164, location: Nowhere}", "is no time zone"),
        (
            "{type: syslog_parser, protocol: rfc5424, enable_octet_counting: true, non_transparent_framing_trailer: LF}",
            "leave one out",
        ),
        ("{type: assign_keys, field: body}", "needs \"keys\""),
        ("{type: assign_keys, keys: [a]}", "needs \"field\""),
        ("{type: unquote}", "needs \"field\""),
    ] {
        let errors = errors(&format!("operators: [{operator}]"));
        assert!(errors.contains(why), "{operator}: {errors}");
    }
}
