//! YAML to trees: scalars, anchors, merges, duplicates, bounds.

use crate::config::parse::parse;
use crate::config::report::{Report, Style};
use crate::config::tree::{Node, Value};

/// A tree in one line; strings quoted, numbers as their kind.
fn shown(node: &Node) -> String {
    match &node.value {
        Value::Null => "null".to_owned(),
        Value::Bool(b) => b.to_string(),
        Value::Int(n) => format!("{n}i"),
        Value::Float(x) => format!("{x}f"),
        Value::Text(text) => format!("{text:?}"),
        Value::List(list) => format!("[{}]", list.iter().map(shown).collect::<Vec<_>>().join(", ")),
        Value::Map(map) => {
            let entries = map.entries().iter().map(|e| format!("{}: {}", e.key, shown(&e.value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

fn read(yaml: &str) -> String {
    let mut report = Report::default();
    let source = report.sources.add("t.yaml", yaml);
    match parse(yaml, source) {
        Ok(node) => shown(&node),
        Err(problems) => {
            problems.into_iter().for_each(|p| report.push(p));
            report.render(Style::Plain)
        }
    }
}

fn check(yaml: &str, expect: &str) {
    assert_eq!(read(yaml), expect, "for {yaml:?}");
}

#[test]
fn plain_scalars_mean_what_the_collector_reads() {
    for (yaml, expect) in [
        ("", "null"),
        ("~", "null"),
        ("null", "null"),
        ("Null", "null"),
        ("nULL", "\"nULL\""),
        ("true", "true"),
        ("TRUE", "true"),
        ("yes", "\"yes\""),
        ("on", "\"on\""),
        ("12", "12i"),
        ("-12", "-12i"),
        ("+12", "12i"),
        ("1_000", "1000i"),
        ("0x10", "16i"),
        ("0o17", "15i"),
        ("0123", "83i"),
        ("0b101", "5i"),
        ("089", "89f"),
        ("18446744073709551615", "18446744073709551615i"),
        ("18446744073709551616", "18446744073709552000f"),
        ("1.5", "1.5f"),
        (".5", "0.5f"),
        ("1.", "1f"),
        ("1e3", "1000f"),
        (".inf", "inff"),
        ("-.inf", "-inff"),
        ("1.2.3", "\"1.2.3\""),
        ("0x", "\"0x\""),
        ("5s", "\"5s\""),
        ("0.0.0.0:4317", "\"0.0.0.0:4317\""),
        ("2026-01-02", "\"2026-01-02\""),
        ("\"12\"", "\"12\""),
        ("'true'", "\"true\""),
        ("!!str 12", "\"12\""),
        ("!!int \"12\"", "12i"),
        ("|\n  a\n  b\n", "\"a\\nb\\n\""),
        (">-\n  a\n  b\n", "\"a b\""),
    ] {
        check(yaml, expect);
    }
}

#[test]
fn anchors_and_merges_fill_in_what_a_map_does_not_say() {
    check("a: &x {p: 1, q: 2}\nb: *x", "{a: {p: 1i, q: 2i}, b: {p: 1i, q: 2i}}");
    check("a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}", "{a: {p: 1i, q: 2i}, b: {q: 3i, p: 1i}}");
    check("- &x {p: 1}\n- &y {p: 2, q: 3}\n- <<: [*x, *y]", "[{p: 1i}, {p: 2i, q: 3i}, {p: 1i, q: 3i}]");
    check("&k a: *k", "{a: \"a\"}");
    check("a: {'<<': 1}", "{a: {<<: 1i}}");
}

#[test]
fn keys_are_text_whatever_they_look_like() {
    check("1: a\ntrue: b\n~: c", "{1: \"a\", true: \"b\", ~: \"c\"}");
}

#[test]
fn what_is_not_one_document_of_unique_keys_is_refused_with_places() {
    for (yaml, expect) in [
        (
            "a: 1\nb:\n  c: 1\n  c: 2\na: 3",
            "t.yaml:4:3: error: the key \"c\" is given twice in one map\n\
             \x20   4 |   c: 2\n\
             \x20     |   ^\n\
             \x20     = first given at: t.yaml:3:3\n\n\
             t.yaml:5:1: error: the key \"a\" is given twice in one map\n\
             \x20   5 | a: 3\n\
             \x20     | ^\n\
             \x20     = first given at: t.yaml:1:1\n\n\
             2 errors\n",
        ),
        (
            "a: 1\n---\nb: 2",
            "t.yaml:2:1: error: a second YAML document starts here\n\
             \x20   2 | ---\n\
             \x20     | ^^^\n\
             \x20     = one file holds one config: give the others with a --config of their own\n\n\
             1 error\n",
        ),
        (
            "a: &x [*x]",
            "t.yaml:1:8: error: this alias stands inside what it refers to\n\
             \x20   1 | a: &x [*x]\n\
             \x20     |        ^^\n\n\
             1 error\n",
        ),
        (
            "? [a, b]\n: c",
            "t.yaml:1:3: error: a key must be text, not a list or a map\n\
             \x20   1 | ? [a, b]\n\
             \x20     |   ^\n\n\
             1 error\n",
        ),
        (
            "a: {<<: 5}",
            "t.yaml:1:9: error: '<<' takes a map or a list of maps\n\
             \x20   1 | a: {<<: 5}\n\
             \x20     |         ^\n\
             \x20     = such as `<<: *defaults`\n\n\
             1 error\n",
        ),
    ] {
        check(yaml, expect);
    }
}

#[test]
fn little_text_cannot_become_a_large_tree() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..12 {
        let last = n - 1;
        let aliases = vec![format!("*a{last}"); 10].join(", ");
        bomb.push_str(&format!("a{n}: &a{n} [{aliases}]\n"));
    }
    assert!(read(&bomb).contains("aliases counted as often as used"), "{}", read(&bomb));
    assert!(read(&"[".repeat(100)).contains("nested deeper than 64"));
    let nested: String = (0..1000).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
    assert!(read(&nested).contains("nested deeper than 64"));
}
