//! The actions one by one, on the attributes of a resource.

use pipeline::Signal;

use crate::resource::{Config, Factory};
use crate::testing::{from, logs, problems, processor, read_logs, resource, scope, show};

/// Runs actions (a YAML list in flow style) over attributes (a YAML map) and compares what comes out.
#[track_caller]
fn check(actions: &str, attributes: &str, expected: &str) {
    let processor = processor::<Factory>(&format!("attributes: {actions}"), Signal::Logs);
    let batch = logs(resource(attributes), scope("s", ""), vec![Default::default()]);
    let batch = from(batch, "10.0.0.7:4711", &[("tenant", "a"), ("x-other", "z"), ("tenant", "b")]);
    let out = read_logs(&processor.process(batch).unwrap());
    assert_eq!(show(&out.resource_logs[0].resource.as_ref().unwrap().attributes), expected);
}

#[test]
fn insert_leaves_what_is_there() {
    check("[{key: a, value: 1, action: insert}]", "{b: x}", r#"b="x" a=1"#);
    check("[{key: a, value: 1, action: insert}]", "{a: x}", r#"a="x""#);
    check("[{key: a, value: 1, action: insert}]", "{}", "a=1");
}

#[test]
fn update_changes_only_what_is_there() {
    check("[{key: a, value: true, action: update}]", "{b: x}", r#"b="x""#);
    check("[{key: a, value: true, action: update}]", "{a: x, b: y}", r#"a=true b="y""#);
}

#[test]
fn upsert_does_either() {
    check("[{key: a, value: 1.5, action: upsert}]", "{b: x}", r#"b="x" a=1.5"#);
    check("[{key: a, value: 1.5, action: UPSERT}]", "{a: x, b: y}", r#"a=1.5 b="y""#);
}

#[test]
fn values_keep_the_type_that_yaml_gives_them() {
    check("[{key: a, value: '1', action: insert}]", "{}", r#"a="1""#);
    check("[{key: a, value: [1, x, [true]], action: insert}]", "{}", r#"a=[1 "x" [true]]"#);
    check("[{key: a, value: {k: {n: 1}}, action: insert}]", "{}", "a={k={n=1}}");
    check("[{key: a, value: '', action: insert}]", "{}", r#"a="""#);
}

#[test]
fn values_come_from_other_attributes() {
    check("[{key: a, from_attribute: b, action: insert}]", "{b: [1, 2]}", "b=[1 2] a=[1 2]");
    check("[{key: a, from_attribute: c, action: upsert}]", "{a: 1}", "a=1");
    check("[{key: a, from_attribute: b, action: update}]", "{a: 1, b: 2}", "a=2 b=2");
    check("[{key: a, value: 7, action: insert}, {key: b, from_attribute: a, action: insert}]", "{}", "a=7 b=7");
}

#[test]
fn values_come_from_the_sender() {
    check("[{key: a, from_context: metadata.Tenant, action: insert}]", "{}", r#"a="a;b""#);
    check("[{key: a, from_context: X-Other, action: insert}]", "{}", r#"a="z""#);
    check("[{key: a, from_context: client.address, action: insert}]", "{}", r#"a="10.0.0.7""#);
    check("[{key: a, from_context: metadata.none, action: upsert}]", "{a: 1}", "a=1");
    check("[{key: a, from_context: auth.user, action: upsert}]", "{a: 1}", "a=1");
}

#[test]
fn delete_takes_a_key_and_a_pattern() {
    check("[{key: a, action: delete}]", "{a: 1, b: 2}", "b=2");
    check("[{key: a, pattern: '^x\\.', action: delete}]", "{x.1: 1, a: 1, b: 2, x.2: 3}", "b=2");
    check("[{pattern: b, action: delete}]", "{abc: 1}", "");
}

#[test]
fn hash_is_sha_256_in_hexadecimal() {
    // Compared with `printf foo | sha256sum` and the same over 8 bytes, little endian.
    check(
        "[{key: a, action: hash}]",
        "{a: foo}",
        r#"a="2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae""#,
    );
    check(
        "[{pattern: '^.$', action: hash}]",
        "{i: 1, d: 1.5, b: true, e: '', l: [1], long: x}",
        "i=\"7c9fa136d4413fa6173637e883b6998d32e1d675f88cddff9dcbcf331820f4b8\" \
         d=\"e163f8cb0f7067a7fc78ca859a77f849aea3214f38fb75b884e4a16be725c905\" \
         b=\"4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a\" e=\"\" l=\"\" long=\"x\"",
    );
}

#[test]
fn extract_writes_the_named_groups() {
    let action = r"[{key: url, pattern: '^(?P<scheme>[a-z]+)://(?P<host>[^/:]+)(?::(?P<port>\d+))?', action: extract}]";
    check(action, "{url: 'http://a.b:80/x', host: old}", r#"url="http://a.b:80/x" host="a.b" scheme="http" port="80""#);
    check(action, "{url: 'http://a.b'}", r#"url="http://a.b" scheme="http" host="a.b" port="""#);
    check(action, "{url: nothing}", r#"url="nothing""#);
    check(action, "{url: 5}", "url=5");
}

#[test]
fn convert_changes_the_type_where_it_can() {
    let to = |to: &str| format!("[{{key: a, converted_type: {to}, action: convert}}]");
    for (kind, from, expected) in [
        ("int", "'42'", "42"),
        ("int", "' 42'", r#"" 42""#),
        ("int", "4.9", "4"),
        ("int", "true", "1"),
        ("int", "[1]", "[1]"),
        ("double", "'1e3'", "1000.0"),
        ("double", "'1e999'", r#""1e999""#),
        ("double", "inf", "inf"),
        ("double", "'1_000'", r#""1_000""#),
        ("double", "7", "7.0"),
        ("double", "false", "0.0"),
        ("double", "x", r#""x""#),
        ("string", "7", r#""7""#),
        ("string", "1.0", r#""1""#),
        ("string", "true", r#""true""#),
        ("string", "{b: [1, x], a: 2}", r#""{\"a\":2,\"b\":[1,\"x\"]}""#),
    ] {
        check(&to(kind), &format!("{{a: {from}}}"), &format!("a={expected}"));
    }
    check(&to("int"), "{b: '1'}", r#"b="1""#);
}

#[test]
fn everything_wrong_is_said_at_once() {
    let yaml = "
attributes:
  - {key: a, action: insert}
  - {key: a, value: 1, from_attribute: b, action: upsert}
  - {value: 1, action: insert}
  - {action: delete}
  - {key: a, value: 1, action: delete}
  - {key: a, action: extract}
  - {key: a, pattern: '(x)', action: extract}
  - {key: a, pattern: 'x', action: extract}
  - {key: a, pattern: '(', action: hash}
  - {key: a, action: convert}
  - {key: a, action: convert, converted_type: number}
  - {key: a, value: 1, pattern: x, converted_type: int, action: update}
  - {key: a, value: 1, action: add}
  - {key: a, value: 1}
";
    let all = "insert, update, upsert, delete, hash, extract, convert";
    assert_eq!(
        problems::<Config>(yaml),
        [
            "'::attributes[0]': needs a value, a from_attribute or a from_context to insert",
            "'::attributes[1]': takes one of value, from_attribute, not 2",
            "'::attributes[2]': needs a key: the attribute to insert",
            "'::attributes[3]': needs a key or a pattern to delete",
            "'::attributes[4]::value': does not go with delete, only with insert, update and upsert",
            "'::attributes[5]': needs a pattern to extract: a regular expression with named groups",
            "'::attributes[6]::pattern': is \"(x)\", which has a group without a name: write (?P<attribute>…), or (?:…) \
             for a plain group",
            "'::attributes[7]::pattern': is \"x\", which has no named group: write (?P<attribute>…) around what to extract",
            "'::attributes[8]::pattern': \"(\" is not a regular expression: unclosed group",
            "'::attributes[9]': needs a converted_type: int, double or string",
            "'::attributes[10]::converted_type': is \"number\", use int, double or string",
            "'::attributes[11]::pattern': does not go with update, only with extract, delete and hash",
            "'::attributes[11]::converted_type': does not go with update, only with convert",
            &format!("'::attributes[12]::action': is \"add\", use one of {all}"),
            &format!("'::attributes[13]': needs an action: {all}"),
        ]
    );
    assert_eq!(problems::<Config>("{}"), ["'::attributes': must have at least one action"]);
}
