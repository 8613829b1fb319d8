//! Sources, merging, `--set`, and `${…}`, as the merged config prints.

use super::components::{inputs, surroundings};
use crate::config::expand::expand;
use crate::config::print::{Format, Redact, print};
use crate::config::report::{Report, Style};
use crate::config::source::read;

/// The merged and expanded config on one line of JSON, or the messages.
fn merged(configs: &[&str], sets: &[&str]) -> String {
    let mut report = Report::default();
    let mut tree = read(&inputs(configs, sets), &surroundings(), &mut report);
    expand(&mut tree, &surroundings(), &mut report);
    if !report.diagnostics.is_empty() {
        return report.render(Style::Plain);
    }
    let pretty = print(&tree, Format::Json, Redact::Nothing);
    serde_json::from_str::<serde_json::Value>(&pretty).unwrap().to_string()
}

fn value(written: &str) -> String {
    let json = merged(&[&format!("yaml:v: {written}")], &[]);
    json.strip_prefix("{\"v\":").and_then(|s| s.strip_suffix('}')).map_or(json.clone(), str::to_owned)
}

#[test]
fn later_configs_lie_over_earlier_ones() {
    for (configs, expect) in [
        (vec!["yaml:a: 1", "yaml:b: 2"], r#"{"a":1,"b":2}"#),
        (vec!["yaml:a: {x: 1, y: 1}", "yaml:a: {y: 2, z: 2}"], r#"{"a":{"x":1,"y":2,"z":2}}"#),
        (vec!["yaml:a: [1, 2]", "yaml:a: [3]"], r#"{"a":[3]}"#),
        (vec!["yaml:a: {x: 1}", "yaml:a: "], r#"{"a":null}"#),
        (vec!["yaml:a: {x: 1}", "yaml:a: 5"], r#"{"a":5}"#),
        (vec!["yaml:a: 5", "yaml:a: {x: 1}"], r#"{"a":{"x":1}}"#),
        (vec!["yaml:a::b::c: 1", "yaml:a::b::d: 2"], r#"{"a":{"b":{"c":1,"d":2}}}"#),
        (vec!["yaml:{'a::b': 1, a: {c: 2}}"], r#"{"a":{"b":1,"c":2}}"#),
        (vec!["yaml:a: {'b::c': 1}"], r#"{"a":{"b::c":1}}"#),
        (vec!["file:number", "yaml:"], "number:1:1: error: a config is a map, not the number 42"),
        (vec!["env:WHOLE"], r#"{"exporters":{"debug":{}}}"#),
        (vec!["builtin:tiny"], r#"{"exporters":{"debug":null}}"#),
        (vec![], "{}"),
    ] {
        let json = merged(&configs, &[]);
        assert!(json == expect || json.starts_with(&format!("{expect}\n")), "for {configs:?}:\n{json}");
    }
}

#[test]
fn set_is_laid_over_all_configs_and_reads_yaml() {
    for (set, expect) in [
        ("a.b=2", r#"{"a":{"b":2,"c":1}}"#),
        ("a::b=2", r#"{"a":{"b":2,"c":1}}"#),
        ("a.b={x: y}", r#"{"a":{"b":{"x":"y"},"c":1}}"#),
        ("a.b=x=y", r#"{"a":{"b":"x=y","c":1}}"#),
        ("a=", r#"{"a":null}"#),
        ("a.c=${env:PORT}", r#"{"a":{"c":4317}}"#),
    ] {
        assert_eq!(merged(&["yaml:a: {c: 1}"], &[set]), expect, "for {set:?}");
    }
    assert_eq!(
        merged(&["yaml:a: 1"], &["nonsense"]),
        "--set:1:1: error: takes key=value\n    1 | nonsense\n      | ^\n      = such as --set processors.batch.timeout=2s\n\n1 error\n"
    );
    assert_eq!(
        merged(&["yaml:a: 1"], &["a.b=[1, {c: 1, c: 2}]"]),
        "--set:1:16: error: the key \"c\" is given twice in one map\n    1 | a.b=[1, {c: 1, c: 2}]\n      \
         |                ^\n      = first given at: --set:1:10\n\n1 error\n"
    );
}

#[test]
fn expansions_are_typed_as_wholes_and_text_inside_of_text() {
    for (written, expect) in [
        ("${env:PORT}", "4317"),
        ("${PORT}", "4317"),
        ("'${env:PORT}'", "4317"),
        ("${env:ZEROS}", "83"),
        ("${env:YES}", "true"),
        ("${env:QUOTED}", r#""\"quoted\"""#),
        ("${env:EMPTY}", "null"),
        ("${env:HOST}:${env:PORT}", r#""collector:4317""#),
        ("x${env:PORT}", r#""x4317""#),
        ("${env:MAP}", r#"{"a":1,"b":[2]}"#),
        ("x${env:MAP}", r#""x{a: 1, b: [2]}""#),
        ("${env:ODD}", r#""[not yaml""#),
        ("['${env:LIST}', '${env:YES}']", r#"[["a","b"],true]"#),
        ("${env:NOTHING:-5}", "5"),
        ("${env:NOTHING:-}", "\"\""),
        ("'${env:NOTHING:-a: b}'", r#"{"a":"b"}"#),
        ("${env:NOTHING:-http://x:1}", "\"http://x:1\""),
        ("${env:NOTHING:-a:-b}", "\"a:-b\""),
        ("${env:EMPTY:-5}", "null"),
        ("${env:NOTHING:-${env:PORT}}", "4317"),
        ("${env:${env:WHICH}}", "\"collector\""),
        ("${env:NESTED}", "\"collector\""),
        ("x-${env:NESTED}", "\"x-collector\""),
        ("${yaml:[1, 2]}", "[1,2]"),
        ("${file:number}", "42"),
        ("${file:token}", "\"s3cr3t\""),
        ("Bearer ${file:token}", "\"Bearer s3cr3t\""),
        ("${file:endpoint.yaml}", r#"{"compresion":"gzip","endpoint":"host:1"}"#),
    ] {
        assert_eq!(value(written), expect, "for {written:?}");
    }
}

#[test]
fn dollars_are_written_twice() {
    for (written, expect) in [
        ("$$", "\"$\""),
        ("$$1", "\"$1\""),
        ("$1", "\"$1\""),
        ("$HOST", "\"$HOST\""),
        ("$${env:HOST}", "\"${env:HOST}\""),
        ("$$${env:HOST}", "\"$collector\""),
        ("$$$${env:HOST}", "\"$${env:HOST}\""),
        ("$$$$1", "\"$$1\""),
        ("${env:DOLLARS}", "\"a$b\""),
        ("'{$$}'", "\"{$}\""),
        ("'}${env:HOST}'", "\"}collector\""),
        ("'${'", "\"${\""),
        ("'${env:HOST'", "\"${env:HOST\""),
    ] {
        assert_eq!(value(written), expect, "for {written:?}");
    }
}

#[test]
fn what_cannot_be_expanded_says_where_and_what_would_work() {
    for (written, expect) in [
        (
            "a-${env:HOTS}",
            "--config yaml:1:6: warning: the environment variable HOTS is not set, and reads as empty\n    1 | v: a-${env:HOTS}\n      \
             |      ^^^^^^^^^^^\n      = did you mean `HOST`?\n      = write ${env:HOTS:-default} to say what it is when not set\n\n1 warning\n",
        ),
        (
            "${HOST:-x}",
            "--config yaml:1:4: error: scheme \"HOST\" is not supported; there are: file, env, yaml\n    1 | v: ${HOST:-x}\n      \
             |    ^^^^^^^^^^\n      = write ${env:HOST:-x} for a variable with a default\n\n1 error\n",
        ),
        (
            "${env:1x}",
            "--config yaml:1:4: error: environment variable \"1x\" has invalid name\n    1 | v: ${env:1x}\n      \
             |    ^^^^^^^^^\n      = a variable's name has letters, digits and _, and no digit first\n\n1 error\n",
        ),
        (
            "${https://x/y}",
            "--config yaml:1:4: error: the scheme \"https\" is not supported: fetch the text first, and give it as a file, or as env: or yaml:\n    \
             1 | v: ${https://x/y}\n      |    ^^^^^^^^^^^^^^\n\n1 error\n",
        ),
        (
            "${file:nowhere}",
            "--config yaml:1:4: error: cannot read nowhere: no such file\n    1 | v: ${file:nowhere}\n      |    ^^^^^^^^^^^^^^^\n\n1 error\n",
        ),
        (
            "${file:latin1}",
            "--config yaml:1:4: error: cannot read latin1: it is not UTF-8 text: line 1 has the byte 0xe9; save it as UTF-8\n    1 | v: ${file:latin1}\n      |    ^^^^^^^^^^^^^^\n\n1 error\n",
        ),
        (
            "x${file:endpoint.yaml}",
            "--config yaml:1:5: error: ${file:endpoint.yaml} is a map, which cannot stand inside of other text\n    \
             1 | v: x${file:endpoint.yaml}\n      |     ^^^^^^^^^^^^^^^^^^^^^\n\n1 error\n",
        ),
        (
            "${env:SELF}",
            "--config yaml:1:4: error: more than 1000 expansions in one value: does it expand into itself?\n    1 | v: ${env:SELF}\n      \
             |    ^^^^^^^^^^^\n\n1 error\n",
        ),
        (
            "${env:BIG}${env:PORT}${env:BIG}",
            "--config yaml:1:4: error: ${env:BIG} makes the value longer than 1 MiB\n    1 | v: ${env:BIG}${env:PORT}${env:BIG}\n      \
             |    ^^^^^^^^^^\n\n1 error\n",
        ),
    ] {
        assert_eq!(value(written), expect, "for {written:?}");
    }
    assert!(value("${env:LOOP}").contains("does it expand into itself?"));
    assert!(value("${file:again.yaml}").contains("does it expand into itself?"));
}

#[test]
fn nothing_nests_without_end() {
    let path = "a::".repeat(100_000) + "a";
    assert!(merged(&[&format!("yaml:? {path}\n: 1")], &[]).contains("a key path of more than 64 steps"));
    assert!(merged(&[], &[&format!("{}=1", "a.".repeat(100_000) + "a")]).contains("a key path of more than 64 steps"));
    let deep = format!("{}'${{file:again.yaml}}'{}", "[".repeat(60), "]".repeat(60));
    assert!(value(&deep).contains("does it expand into itself?"));
    let deeper = format!("{}'${{env:DEEP}}'{}", "[".repeat(60), "]".repeat(60));
    assert!(value(&deeper).contains("expands to more than 128 levels"));
}

#[test]
fn sources_that_cannot_be_read_are_told() {
    for (config, expect) in [
        ("nowhere.yaml", "nowhere.yaml: error: cannot read the config: no such file"),
        ("env:NOTHING", "env:NOTHING: error: the variable NOTHING is not set"),
        ("http://x", "http://x: error: the scheme \"http\" is not supported"),
        ("s3:x", "s3:x: error: scheme \"s3\" is not supported; there are: file, env, yaml"),
        ("builtin:x", "builtin:x: error: there is no builtin config \"x\"; there are: tiny"),
        ("yaml:[", "--config yaml:"),
        ("latin1", "latin1: error: cannot read the config: it is not UTF-8 text"),
    ] {
        let messages = merged(&[config], &[]);
        assert!(messages.starts_with(expect), "for {config:?}:\n{messages}");
    }
}
