//! What each action does to labels, and what is said about rules that cannot work.

use serde::Deserialize;

use super::config::{Config, compile};
use super::*;
use crate::config::{Problem, Settings, testing};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Rules {
    rules: Vec<Config>,
}

impl Settings for Rules {
    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        compile(&self.rules, NameRule::Utf8, "rules", &mut problems);
        problems
    }
}

fn rules(yaml: &str) -> Vec<Rule> {
    let config: Rules = testing::decode(&format!("rules: {yaml}")).unwrap_or_else(|e| panic!("{e}"));
    let mut problems = Vec::new();
    let rules = compile(&config.rules, NameRule::Utf8, "rules", &mut problems);
    assert_eq!(problems, []);
    rules
}

/// Applies rules to labels written `a=1 b=2`; `None` when they drop them.
fn relabel(yaml: &str, labels: &str) -> Option<String> {
    let pairs = labels.split(' ').filter(|p| !p.is_empty()).map(|p| p.split_once('=').unwrap());
    let mut labels: Labels<'_> = pairs.map(|(n, v)| (n.into(), v.into())).collect();
    apply(&rules(yaml), &mut labels).then(|| {
        labels.sort();
        labels.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(" ")
    })
}

#[track_caller]
fn check(yaml: &str, labels: &str, expected: &str) {
    assert_eq!(relabel(yaml, labels).as_deref(), Some(expected), "{yaml}");
}

#[track_caller]
fn drops(yaml: &str, labels: &str) {
    assert_eq!(relabel(yaml, labels), None, "{yaml}");
}

#[test]
fn replace_sets_what_the_match_gives() {
    check(
        "[{source_labels: [a], target_label: d, regex: 'f(.*)', replacement: 'ch$${1}-ch$${1}'}]",
        "a=foo",
        "a=foo d=choo-choo",
    );
    check(
        "[{source_labels: [a, b], target_label: a, regex: 'f(.*);(.*)r', replacement: 'b$${1}$${2}m'}]",
        "a=foo b=bar",
        "a=boobam b=bar",
    );
    check("[{source_labels: [a], target_label: d, regex: 'x(.*)'}]", "a=foo", "a=foo");
    check("[{source_labels: [a], target_label: d, regex: 'oo'}]", "a=foo", "a=foo");
    check("[{target_label: d, replacement: 1}]", "a=foo", "a=foo d=1");
    check("[{source_labels: [a], regex: '(.*)', target_label: d, separator: '#'}]", "a=foo", "a=foo d=foo");
    check("[{source_labels: [a, x, b], target_label: d}]", "a=1 b=2", "a=1 b=2 d=1;;2");
    check(
        "[{source_labels: [a], target_label: __name__, regex: '(.*)_old', replacement: '$${1}_new'}]",
        "a=x_old",
        "__name__=x_new a=x_old",
    );
}

#[test]
fn an_empty_replacement_removes_the_label() {
    check("[{source_labels: [a], target_label: a, replacement: ''}]", "a=foo b=1", "b=1");
    check("[{source_labels: [b], target_label: a, replacement: ''}]", "a=foo", "");
    check("[{source_labels: [a], target_label: b, regex: 'foo(x)?', replacement: '$1'}]", "a=foo b=1", "a=foo");
}

#[test]
fn a_target_label_may_come_from_the_match() {
    check(
        "[{source_labels: [a], regex: '(.*)-(.*)', target_label: 'x_$${1}', replacement: '$2'}]",
        "a=b-c",
        "a=b-c x_b=c",
    );
    check("[{source_labels: [a], regex: '(.*)', target_label: '$${2}', replacement: 'x'}]", "a=b", "a=b");
}

#[test]
fn keep_and_drop_decide() {
    check("[{source_labels: [a], regex: 'f.*', action: keep}]", "a=foo", "a=foo");
    drops("[{source_labels: [a], regex: 'x.*', action: keep}]", "a=foo");
    drops("[{source_labels: [a], regex: 'foo', action: drop}]", "a=foo");
    check("[{source_labels: [a], regex: 'fo', action: DROP}]", "a=foo", "a=foo");
    check("[{source_labels: [missing], regex: '', action: keep}]", "a=foo", "a=foo");
    drops("[{source_labels: [a, b], regex: 'foo;bar', action: drop}]", "a=foo b=bar");
}

#[test]
fn keepequal_and_dropequal_compare_with_the_target_label() {
    check("[{source_labels: [a], target_label: b, action: keepequal}]", "a=1 b=1", "a=1 b=1");
    drops("[{source_labels: [a], target_label: b, action: keepequal}]", "a=1 b=2");
    drops("[{source_labels: [a], target_label: b, action: dropequal}]", "a=1 b=1");
    check("[{source_labels: [a], target_label: b, action: dropequal}]", "a=1 b=2", "a=1 b=2");
}

#[test]
fn hashmod_shards_as_prometheus_does() {
    check(
        "[{source_labels: [c], target_label: d, separator: ';', action: hashmod, modulus: 1000}]",
        "a=foo b=bar c=baz",
        "a=foo b=bar c=baz d=976",
    );
    check("[{source_labels: [a], target_label: b, action: hashmod, modulus: 1000}]", "a=foo\nbar", "a=foo\nbar b=734");
}

#[test]
fn labelmap_copies_matching_labels() {
    check(
        "[{regex: '(b.*)', action: labelmap, replacement: 'bar_$${1}'}]",
        "a=foo b1=bar b2=baz",
        "a=foo b1=bar b2=baz bar_b1=bar bar_b2=baz",
    );
    check(
        "[{regex: '__meta_(my.*)', action: labelmap}]",
        "__meta_my_a=1 __meta_my_b=2",
        "__meta_my_a=1 __meta_my_b=2 my_a=1 my_b=2",
    );
}

#[test]
fn labeldrop_and_labelkeep_look_at_names() {
    check("[{regex: '(b.*)', action: labeldrop}]", "a=foo b1=bar b2=baz", "a=foo");
    check("[{regex: '(b.*)', action: labelkeep}]", "a=foo b1=bar b2=baz", "b1=bar b2=baz");
}

#[test]
fn case_is_changed() {
    check(
        "[{source_labels: [a], target_label: a, action: lowercase}, {source_labels: [b], target_label: c, action: uppercase}]",
        "a=FoO b=bar",
        "a=foo b=bar c=BAR",
    );
}

#[test]
fn a_rule_sees_what_the_ones_before_it_did() {
    drops(
        "[{source_labels: [a], target_label: b, regex: '(.).*'}, {source_labels: [b], regex: f, action: drop}]",
        "a=foo",
    );
    check("[{source_labels: [__tmp], target_label: x}, {regex: __tmp, action: labeldrop}]", "__tmp=1", "x=1");
}

#[test]
fn rules_that_cannot_work_are_refused_with_what_would() {
    for (rule, part) in [
        ("{action: change}", "\"change\" is not an action, there are replace, keep, drop"),
        ("{action: replace}", "action replace needs a target_label"),
        ("{action: keepequal, source_labels: [a]}", "action keepequal needs a target_label"),
        ("{action: hashmod, target_label: a}", "action hashmod needs a modulus above 0"),
        ("{regex: '(', target_label: a}", "\"(\" is not a regular expression: unclosed group"),
        (
            "{action: labeldrop, regex: a, source_labels: [b]}",
            "action labeldrop has no use for source_labels, it takes only regex",
        ),
        ("{action: dropequal, source_labels: [a], target_label: b, regex: c}", "action dropequal has no use for regex"),
        (
            "{action: lowercase, source_labels: [a], target_label: b, replacement: c}",
            "action lowercase has no use for replacement",
        ),
        ("{action: labelmap, replacement: ''}", "\"\" cannot be a label name"),
    ] {
        let error = testing::decode::<Rules>(&format!("rules:\n- {rule}\n")).unwrap_err();
        assert!(error.contains(part), "{rule}: {error}");
        assert!(error.contains("test.yaml:2:"), "{rule}: {error}");
    }
}

#[test]
fn legacy_names_are_checked_where_they_are_asked_for() {
    let config: Rules = testing::decode_block(
        "rules: [{target_label: 'a.b'}, {target_label: 'x_$${1}'}, {action: labelmap, replacement: 'a-$1'}]",
    )
    .unwrap();
    let mut problems = Vec::new();
    compile(&config.rules, NameRule::Legacy, "r", &mut problems);
    let paths: Vec<_> = problems.iter().map(|p| p.path.as_str()).collect();
    assert_eq!(paths, ["r.0.target_label", "r.2.replacement"]);
}
