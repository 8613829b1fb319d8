//! What parsers do beside their parsing, and the rarer ones.

use super::*;

#[test]
fn what_was_parsed_is_taken_out_where_that_is_asked_for() {
    for (operator, line, want) in [
        (
            "type: json_parser, parse_from: attributes.in, drop_field: true, timestamp: {parse_from: attributes.in, layout: s, layout_type: epoch}",
            "1",
            // The time is read from it before it goes; what fails stays.
            r#"body="1" in="1""#,
        ),
        (
            "type: regex_parser, regex: '(?P<a>.)', parse_from: attributes.in, drop_field: true",
            "x",
            r#"body="x" a="x""#,
        ),
        (
            "type: time_parser, parse_from: attributes.in, layout: s, layout_type: epoch, drop_field: true",
            "7",
            r#"body="7" @time=7000000000"#,
        ),
        (
            "type: severity_parser, parse_from: attributes.in, drop_field: true",
            "warn",
            r#"body="warn" @severity=13:warn"#,
        ),
        ("type: scope_name_parser, parse_from: attributes.in, drop_field: true", "s", r#"body="s" @scope=s"#),
        (
            "type: trace_parser, trace_id: {parse_from: attributes.in}, drop_field: true",
            "4bf92f3577b34da6a3ce929d0e0e4736",
            r#"body="4bf92f3577b34da6a3ce929d0e0e4736" @trace=4bf92f3577b34da6a3ce929d0e0e4736"#,
        ),
        (
            "type: trace_parser, span_id: {parse_from: attributes.in}, drop_field: true",
            "549755813889",
            r#"body="549755813889" in="549755813889""#,
        ),
        ("type: uri_parser, parse_from: attributes.in, drop_field: true, if: 'false'", "/a", r#"body="/a" in="/a""#),
    ] {
        let yaml = format!("operators: [{{type: copy, from: body, to: attributes.in}}, {{{operator}}}]");
        assert_eq!(run(&yaml, line).0, want, "{operator}");
    }
}

#[test]
fn what_would_take_out_everything_or_what_was_parsed_is_an_error() {
    for (operator, why) in [
        ("type: json_parser, drop_field: true", "body, attributes and resource stay"),
        ("type: container, drop_field: true", "body, attributes and resource stay"),
        (
            "type: json_parser, parse_from: attributes.a, parse_to: attributes.a.b, drop_field: true",
            "would take out what was parsed",
        ),
        ("type: json_parser, parse_to: body, body: body.message", "`parse_to` is the body already"),
        (
            "type: time_parser, parse_from: body, layout: '%Z', time_zone_locations: {PDT: America/Nowhere}",
            "time_zone_locations::PDT': \"America/Nowhere\" is no time zone",
        ),
        ("type: otelcol, format: xml", "auto"),
    ] {
        let errors = errors(&format!("operators: [{{{operator}}}]"));
        assert!(errors.contains(why), "{operator}: {errors}");
    }
}

#[test]
fn what_has_no_place_where_it_is_moved_stays() {
    let (entry, troubles) = run("operators: [{type: move, from: body, to: attributes}]", "x");
    assert_eq!(entry, r#"body="x""#);
    assert_eq!(troubles, ["move true: attributes cannot be text, only a map"]);
}

#[test]
fn bytes_that_are_text_are_parsed_and_others_say_so() {
    let read = |bytes: &'static [u8]| {
        let steps = steps("operators: [{type: json_parser, parse_ints: true}]");
        let (mut held, mut seen) = (Held::default(), Seen::default());
        let mut around = Around { held: &mut held, place: Position::START, now: Instant::now(), of_path: &[] };
        let entry = Entry::new(Value::Bytes(bytes.into()), Map::default(), Map::default(), NOW);
        steps.run(entry, &mut around, &mut seen);
        (seen.entries.remove(0).ends_with(" n=1"), seen.troubles)
    };
    assert_eq!(read(b"{\"n\":1}"), (true, vec![]));
    let why = "json_parser true: it is bytes that are no UTF-8, only text can be read".to_owned();
    assert_eq!(read(b"{\"n\":1}\xff"), (false, vec![why]));
}

#[test]
fn a_route_may_add_what_an_expression_says() {
    let yaml = r#"
operators:
  - type: router
    routes:
      - expr: 'true'
        output: end
        attributes: { whole: 'EXPR(len(body))', part: 'in EXPR(body) and EXPR(upper(body))!', plain: 'EXPR(' }
  - { type: noop, id: end }
"#;
    check(yaml, "x", r#"body="x" part="in x and X!" plain="EXPR(" whole=1"#);
}

#[test]
fn abbreviations_of_zones_are_read_as_the_config_says() {
    check(
        "
operators:
  - type: time_parser
    parse_from: body
    layout: '%a %b %d %H:%M:%S %Z %Y'
    location: Asia/Kolkata
    time_zone_locations: { PDT: America/Los_Angeles }
",
        "Wed Aug 20 14:08:48 PDT 2025",
        r#"body="Wed Aug 20 14:08:48 PDT 2025" @time=1755724128000000000"#,
    );
}

#[test]
fn the_own_log_of_a_collector_becomes_what_it_says() {
    check(
        "operators: [{type: otelcol}]",
        r#"{"ts":"2026-07-06T22:56:21Z","level":"warn","msg":"Failed","resource":{"service.name":"agent"},"n":"1"}"#,
        r#"body="Failed" n="1" resource.service.name="agent" @time=1783378581000000000 @severity=13:warn"#,
    );
    check(
        "operators: [{type: otelcol, parse_to: body}]",
        "2026-07-06T22:56:21Z info Started {\"n\": \"1\"}",
        r#"body={n:"1",msg:"Started"} @time=1783378581000000000 @severity=9:info"#,
    );
    let (entry, troubles) = run("operators: [{type: otelcol, format: console}]", "x");
    assert_eq!(entry, r#"body="x""#);
    assert_eq!(troubles, ["otelcol true: it is no line of a collector's own log"]);
}

#[test]
fn a_containers_line_is_read_further_when_its_parts_are_together() {
    let steps = steps(
        r#"
operators:
  - type: container
    add_metadata_from_filepath: false
    severity: { parse_from: body }
    on_error: drop
  - { type: add, field: attributes.after, value: 1 }
"#,
    );
    let (mut held, mut seen) = (Held::default(), Seen::default());
    for line in ["F info", "P wa", "F rn"] {
        let line = format!("2026-01-02T00:00:00Z stdout {line}");
        let mut around = Around { held: &mut held, place: Position::START, now: Instant::now(), of_path: &[] };
        let entry = Entry::new(Value::text(line), Map::default(), Map::default(), NOW);
        steps.run(entry, &mut around, &mut seen);
    }
    let facts = |tag: &str| format!(r#"logtag="{tag}" log.iostream="stdout" after=1 @time=1767312000000000000"#);
    assert_eq!(
        seen.entries,
        [
            format!(r#"body="info" {} @severity=9:info"#, facts("F")),
            format!(r#"body="warn" {} @severity=13:warn"#, facts("P")),
        ]
    );
    assert_eq!(seen.troubles, [""; 0]);
}
