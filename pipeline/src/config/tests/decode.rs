//! Trees to typed config: what fits, and what the messages say.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use serde::Deserialize;

use crate::config::testing::{decode, decode_block};
use crate::config::{
    Block, ByteSize, GoDuration, Headers, NoSettings, Opaque, Problem, PromDuration, Settings, StringList, Tagged,
    Text, TextOr,
};

#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
struct Everything {
    endpoint: String,
    port: u16,
    ratio: f64,
    on: bool,
    timeout: GoDuration,
    interval: PromDuration,
    size: ByteSize,
    maybe: Option<i32>,
    names: Vec<String>,
    one_or_more: StringList,
    labels: BTreeMap<String, String>,
    loose: Text,
    password: Opaque,
    headers: Headers,
    mode: Mode,
    queue: Block<Queue>,
    rules: Vec<Rule>,
    operators: Vec<Tagged<Operator>>,
    #[serde(rename = "~client")]
    client: Client,
}

impl Default for Everything {
    fn default() -> Everything {
        Everything {
            endpoint: "localhost:1".to_owned(),
            port: 1,
            ratio: 0.5,
            on: true,
            timeout: GoDuration::from_secs(5),
            interval: PromDuration::from_secs(60),
            size: ByteSize(1),
            maybe: Some(7),
            names: vec!["n".to_owned()],
            one_or_more: StringList::default(),
            labels: BTreeMap::new(),
            loose: Text::default(),
            password: Opaque::default(),
            headers: Headers::default(),
            mode: Mode::Basic,
            queue: Block::off(),
            rules: Vec::new(),
            operators: Vec::new(),
            client: Client::default(),
        }
    }
}

impl Settings for Everything {
    const REMOVED: &'static [(&'static str, &'static str)] = &[("old_timeout", "use \"timeout\"")];

    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.ratio > 1.0 {
            problems.push(Problem::at("ratio", format!("is {}, the most is 1", self.ratio)));
        }
        if self.client.compression == "none" && self.on {
            problems.push(Problem::at("compression", "cannot be none while \"on\" is true"));
        }
        for (n, rule) in self.rules.iter().enumerate().filter(|(_, r)| r.key.is_empty()) {
            problems.push(Problem::at(format!("rules.{n}.key"), format!("must not be empty (value {:?})", rule.value)));
        }
        if self.endpoint.is_empty() {
            problems.push(Problem::at("endpoint", "must be set"));
        }
        problems
    }
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Mode {
    Basic,
    Detailed,
    #[serde(alias = "off")]
    None,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
struct Queue {
    size: usize,
    storage: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Rule {
    key: String,
    #[serde(default)]
    value: Option<String>,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Operator {
    Noop,
    JsonParser(Parser),
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
struct Parser {
    parse_from: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Client {
    compression: String,
    #[serde(rename = "~tls")]
    tls: Tls,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Tls {
    insecure: bool,
}

#[allow(clippy::needless_pass_by_value, reason = "reads better at the call")]
fn reads<T: PartialEq + Debug>(yaml: &str, part: impl Fn(Everything) -> T, expect: T) {
    match decode::<Everything>(yaml) {
        Ok(config) => assert_eq!(part(config), expect, "for {yaml:?}"),
        Err(errors) => panic!("{yaml:?} fails:\n{errors}"),
    }
}

/// Compares the messages alone: without source lines, and without the count.
fn says(yaml: &str, expect: &[&str]) {
    let errors = decode::<Everything>(yaml).expect_err(yaml);
    let lines: Vec<&str> = errors
        .lines()
        .filter(|l| !l.contains(" | ") && !l.trim().is_empty())
        .map(|l| l.trim_start_matches("test.yaml:").trim())
        .collect();
    assert_eq!(lines[..lines.len() - 1], *expect, "for {yaml:?}:\n{errors}");
}

#[test]
fn values_arrive_in_their_types() {
    reads("endpoint: a:1", |c| c.endpoint, "a:1".to_owned());
    reads("port: 0x10", |c| c.port, 16);
    reads("port: 1e3", |c| c.port, 1000);
    reads("ratio: 1", |c| c.ratio, 1.0);
    reads("on: false", |c| c.on, false);
    reads("timeout: 1.5h", |c| c.timeout.get(), Duration::from_secs(5400));
    reads("timeout: 2h45m0.5s", |c| c.timeout.get(), Duration::from_millis(9_900_500));
    reads("timeout: 1000000000", |c| c.timeout.get(), Duration::from_secs(1));
    reads("timeout: 0", |c| c.timeout.get(), Duration::ZERO);
    reads("interval: 1d12h", |c| c.interval.get(), Duration::from_secs(36 * 3600));
    reads("size: 1.5KiB", |c| c.size, ByteSize(1536));
    reads("size: 20971520", |c| c.size, ByteSize(20_971_520));
    reads("names: [a, b]", |c| c.names, vec!["a".to_owned(), "b".to_owned()]);
    reads("names: a, b,c", |c| c.names, vec!["a".to_owned(), "b".to_owned(), "c".to_owned()]);
    reads("names: ''", |c| c.names, vec![]);
    reads("one_or_more: a", |c| c.one_or_more.0, vec!["a".to_owned()]);
    reads(
        "labels: {a: b, c: }",
        |c| c.labels.into_iter().map(|(k, v)| k + &v).collect(),
        vec!["ab".to_owned(), "c".to_owned()],
    );
    reads("loose: 0x10", |c| c.loose.0, "0x10".to_owned());
    reads("password: x", |c| c.password.0, "x".to_owned());
    reads("headers: {A: b}", |c| c.headers.0, vec![("A".to_owned(), Opaque("b".to_owned()))]);
    reads("headers: [{name: A, value: b}]", |c| c.headers.0, vec![("A".to_owned(), Opaque("b".to_owned()))]);
    reads("mode: detailed", |c| c.mode, Mode::Detailed);
    reads("mode: off", |c| c.mode, Mode::None);
    reads("rules: [{key: a}]", |c| c.rules.len(), 1);
}

#[test]
fn null_leaves_the_default() {
    reads("", |c| c.endpoint, "localhost:1".to_owned());
    reads(
        "endpoint:\nport: ~\non:\ntimeout:\nsize:\nnames:\nmode:",
        |c| (c.endpoint, c.port, c.on, c.names.len()),
        ("localhost:1".to_owned(), 1, true, 1),
    );
    reads("labels:\nheaders:\nrules:\ninsecure:", |c| c.labels.len() + c.headers.len() + c.rules.len(), 0);
    reads("maybe:", |c| c.maybe, None);
    reads("{}", |c| c.maybe, Some(7));
}

#[test]
fn a_block_is_off_when_absent_and_on_when_there() {
    reads("{}", |c| c.queue.into_option(), None);
    reads("queue:", |c| c.queue.into_option(), Some(Queue::default()));
    reads("queue: {}", |c| c.queue.into_option(), Some(Queue::default()));
    reads("queue: {size: 4}", |c| c.queue.into_option().map(|q| q.size), Some(4));
    reads("queue: {enabled: true, size: 4}", |c| c.queue.into_option().map(|q| q.size), Some(4));
    reads("queue: {enabled: false, size: 4}", |c| c.queue.into_option(), None);
    says("queue: {enabled: 1}", &["1:18: error: 'settings::queue::enabled' takes true or false, not the number 1"]);
    says(
        "queue: {sizes: 4}",
        &[
            "1:9: error: 'settings::queue' has invalid keys: sizes",
            "= did you mean `size`?",
            "= valid keys: size, storage, enabled",
        ],
    );
}

#[test]
fn a_squashed_struct_reads_its_keys_from_the_same_map() {
    reads(
        "{insecure: true, compression: gzip}",
        |c| (c.client.tls.insecure, c.client.compression),
        (true, "gzip".to_owned()),
    );
    says("insecur: true", &["1:1: error: 'settings' has invalid keys: insecur", "= did you mean `insecure`?"]);
    says("insecure: 1", &["1:11: error: 'settings::insecure' takes true or false, not the number 1"]);
    says("~client: {}", &["1:1: error: 'settings' has invalid keys: ~client"]);
}

#[test]
fn a_tagged_map_says_what_it_is() {
    let operators = |c: Everything| c.operators.into_iter().map(|o| o.0).collect::<Vec<_>>();
    reads(
        "operators: [{type: noop}, {type: json_parser, parse_from: body}]",
        operators,
        vec![Operator::Noop, Operator::JsonParser(Parser { parse_from: "body".to_owned() })],
    );
    says(
        "operators: [{type: jsonparser}, {parse_from: x}, {type: json_parser, parsefrom: body}, {type: noop, x: 1}]",
        &[
            "1:20: error: 'settings::operators[0]::type' is \"jsonparser\"; did you mean `json_parser`? \
         (valid values: \"noop\", \"json_parser\")",
            "1:33: error: 'settings::operators[1]' needs \"type\"",
            "1:70: error: 'settings::operators[2]' has invalid keys: parsefrom",
            "= did you mean `parse_from`?",
            "= valid keys: parse_from, type",
            "1:101: error: 'settings::operators[3]' has invalid keys: x",
            "= valid keys: type",
        ],
    );
}

#[test]
fn nothing_is_coerced_and_the_message_says_what_to_write() {
    for (yaml, expect) in [
        (
            "port: \"4317\"",
            "1:7: error: 'settings::port' takes a whole number, not the text \"4317\"; write 4317 without quotes",
        ),
        ("port: 70000", "1:7: error: 'settings::port' is 70000, the most is 65535"),
        ("port: -1", "1:7: error: 'settings::port' is -1, the least is 0"),
        ("port: 1.5", "1:7: error: 'settings::port' takes a whole number, not the number 1.5"),
        (
            "endpoint: 4317",
            "1:11: error: 'settings::endpoint' takes text, not the number 4317; write \"4317\" in quotes",
        ),
        (
            "endpoint: true",
            "1:11: error: 'settings::endpoint' takes text, not the boolean true; write \"true\" in quotes",
        ),
        ("endpoint: [a]", "1:1: error: 'settings::endpoint' takes text, not a list"),
        ("on: yes", "1:5: error: 'settings::on' takes true or false, not the text \"yes\"; write true"),
        ("on: 0", "1:5: error: 'settings::on' takes true or false, not the number 0"),
        ("ratio: a", "1:8: error: 'settings::ratio' takes a number, not the text \"a\""),
        ("labels: a", "1:9: error: 'settings::labels' takes a map, not the text \"a\""),
        ("names: 5", "1:8: error: 'settings::names' takes a list, not the number 5"),
        ("names: [5]", "1:9: error: 'settings::names[0]' takes text, not the number 5; write \"5\" in quotes"),
        ("queue: 5", "1:8: error: 'settings::queue' takes a map, not the number 5"),
        (
            "headers: 5",
            "1:10: error: 'settings::headers' takes a map of names and values, or a list of maps with name and value",
        ),
        ("rules: [{value: a}]", "1:9: error: 'settings::rules[0]' needs \"key\""),
        (
            "mode: details",
            "1:7: error: 'settings::mode' is \"details\"; did you mean `detailed`? (valid values: \"basic\", \"detailed\", \"none\", \"off\")",
        ),
        (
            "timeout: 5d",
            "1:10: error: 'settings::timeout' has the unknown unit \"d\" in the duration \"5d\"; units are ns, us, ms, s, m, h: write 120h",
        ),
        (
            "timeout: \"30\"",
            "1:10: error: 'settings::timeout' has no unit in the duration \"30\"; write 30s, or another of ns, us, ms, s, m, h",
        ),
        (
            "timeout: soon",
            "1:10: error: 'settings::timeout' is \"soon\", which is no duration; a duration looks like 300ms, 1.5s or 2h45m",
        ),
        ("timeout: -5s", "1:10: error: 'settings::timeout' is the negative duration \"-5s\"; write 5s"),
        ("timeout: -5", "1:10: error: 'settings::timeout' is -5, a negative duration; the least is 0"),
        ("timeout: true", "1:10: error: 'settings::timeout' takes a duration, such as 300ms, 1.5s or 2h45m"),
        ("interval: 15", "1:11: error: 'settings::interval' is \"15\", which is no Prometheus duration; write 15s"),
        (
            "interval: 1m1h",
            "1:11: error: 'settings::interval' is \"1m1h\", which is no Prometheus duration; a duration looks like 15s, 1h30m or 7d (units y, w, d, h, m, s, ms, largest first)",
        ),
        (
            "size: 5 bananas",
            "1:7: error: 'settings::size' has the unknown unit \"bananas\"; units are B, kB, KiB, MB, MiB, GB, GiB",
        ),
        ("size: -1", "1:7: error: 'settings::size' is -1, the least is 0"),
        ("[a]", "1:1: error: 'settings' takes a map, not a list"),
    ] {
        says(yaml, &[expect]);
    }
}

#[test]
fn all_problems_are_told_at_once_in_the_order_of_the_file() {
    says(
        "port: x\nendpiont: a\nratio: 2\nold_timeout: 5s\nrules:\n  - {key: '', value: 3}\n  - {kye: a}\nmode: loud\n\
         compression: none\nendpoint: 5\n",
        &[
            "1:7: error: 'settings::port' takes a whole number, not the text \"x\"",
            "2:1: error: 'settings' has invalid keys: endpiont",
            "= did you mean `endpoint`?",
            "3:8: error: 'settings::ratio': is 2, the most is 1",
            "4:1: error: 'settings' has invalid keys: old_timeout",
            "= use \"timeout\"",
            "6:11: error: 'settings::rules[0]::key': must not be empty (value None)",
            "6:22: error: 'settings::rules[0]::value' takes text, not the number 3; write \"3\" in quotes",
            "7:5: error: 'settings::rules[1]' needs \"key\"",
            "7:6: error: 'settings::rules[1]' has invalid keys: kye",
            "= did you mean `key`?",
            "= valid keys: key, value",
            "8:7: error: 'settings::mode' is \"loud\" (valid values: \"basic\", \"detailed\", \"none\", \"off\")",
            "9:14: error: 'settings::compression': cannot be none while \"on\" is true",
            "10:11: error: 'settings::endpoint' takes text, not the number 5; write \"5\" in quotes",
        ],
    );
}

#[test]
fn the_source_line_is_shown_with_a_caret_and_without_secrets() {
    assert_eq!(
        decode::<Everything>("# a comment\nendpoint:   4317   # a port").expect_err("a number"),
        "test.yaml:2:13: error: 'settings::endpoint' takes text, not the number 4317; write \"4317\" in quotes\n\
         \x20   2 | endpoint:   4317   # a port\n\
         \x20     |             ^^^^\n\n1 error\n"
    );
    for yaml in
        ["password: 271828", "headers: {X: 271828}", "headers: [{name: a, value: 271828}]", "pasword_or_token: 271828"]
    {
        let errors = decode::<Everything>(yaml).expect_err(yaml);
        assert!(errors.contains("[REDACTED]") && !errors.contains("271828"), "{errors}");
    }
    assert_eq!(format!("{:?}", Opaque("x".to_owned())), "[REDACTED]");
}

#[test]
fn text_or_a_map_takes_scalars_as_they_are_written_and_maps_strictly() {
    #[derive(Clone, Debug, Default, Deserialize, PartialEq)]
    #[serde(default)]
    struct From {
        from_file: String,
    }

    #[derive(Clone, Debug, Deserialize)]
    struct Block {
        id: TextOr<From>,
    }

    let id = |yaml: &str| decode_block::<Block>(yaml).map(|b| b.id);
    for (yaml, text) in [("id: x", "x"), ("id: 0123", "0123"), ("id: 12e5", "12e5"), ("id: true", "true")] {
        assert_eq!(id(yaml), Ok(TextOr::Text(text.to_owned())));
    }
    assert_eq!(id("id: {from_file: /a}"), Ok(TextOr::Map(From { from_file: "/a".to_owned() })));
    assert!(id("id: {from_fil: /a}").unwrap_err().contains("'settings::id' has invalid keys: from_fil"));
    assert!(id("id: [a]").unwrap_err().contains("'settings::id' takes text"));
}

#[test]
fn a_component_without_settings_takes_none() {
    assert_eq!(decode::<NoSettings>(""), Ok(NoSettings {}));
    assert!(decode::<NoSettings>("a: 1").expect_err("a key").contains("= it has no settings"));
}

#[test]
fn a_map_at_the_top_takes_every_key() {
    assert_eq!(decode_block::<BTreeMap<String, u8>>("{a: 1}"), Ok(BTreeMap::from([("a".to_owned(), 1)])));
}
