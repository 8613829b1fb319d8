//! Expected items against those that came, with the nearest where none fits.

mod nearest;

use std::collections::BTreeSet;

use pipeline::config::GoDuration;
use pipeline::config::tree::At;
use serde_json::{Map, Value};

use crate::decode::{Item, Kind};
use crate::expected::{Expected, Matcher, Number, Pattern};

use nearest::{describe, difference, plain, score, show};

/// Something that is not as expected.
#[derive(Clone, Debug)]
pub struct Mismatch {
    /// Where the expectation is written.
    pub at: At,
    /// What is wrong, in a sentence.
    pub message: String,
    /// The nearest item, field by field, where one was looked for.
    pub nearest: Vec<Line>,
}

/// A line of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// As expected.
    Same(String),
    /// Expected, and not there.
    Expected(String),
    /// There, and not expected.
    Got(String),
    /// Only to say what the rest is about.
    About(String),
}

/// All that is wrong with what an exporter sent.
pub fn compare(expected: &Expected, items: &[Item]) -> Vec<Mismatch> {
    let mut out = Vec::new();
    let of_signal;
    let items = match expected.signal {
        None => items,
        Some(signal) => {
            of_signal = items.iter().filter(|item| item.kind.signal() == Some(signal)).cloned().collect::<Vec<_>>();
            &of_signal
        }
    };
    let ordered = expected.ordered;
    assigned(&expected.contains, items, &Mode { exact: false, all: false, ordered }, &mut out);
    if let Some(only) = &expected.only {
        assigned(only, items, &Mode { exact: false, all: true, ordered }, &mut out);
    }
    if let Some(equals) = &expected.equals {
        assigned(equals, items, &Mode { exact: true, all: true, ordered }, &mut out);
    }
    for pattern in &expected.absent {
        let found = items.iter().filter(|item| fits(pattern, item, false)).collect::<Vec<_>>();
        if let Some(first) = found.first() {
            let message = format!("{} {} there that should be absent", found.len(), are(found.len()));
            let nearest = show(first).into_iter().map(Line::Got).collect();
            out.push(Mismatch { at: pattern.at, message, nearest });
        }
    }
    for (kind, number) in &expected.count {
        let count = items.iter().filter(|item| kind.is_none_or(|kind| item.kind == kind)).count() as u64;
        if let Some(message) = outside(number, count) {
            let names = Kind::ALL.iter().filter(|(k, _)| kind.is_none_or(|kind| kind == *k));
            let of = names.map(|(_, name)| *name).collect::<Vec<_>>();
            let what = if kind.is_some() { of.join("") } else { "items".to_owned() };
            out.push(Mismatch { at: number.at, message: format!("{message} {what}"), nearest: Vec::new() });
        }
    }
    out
}

/// What a count is and what it should be, if that differs.
pub fn outside(number: &Number, count: u64) -> Option<String> {
    if (number.least..=number.most).contains(&count) {
        return None;
    }
    let wanted = match (number.least, number.most) {
        (least, most) if least == most => format!("{least}"),
        (least, u64::MAX) => format!("at least {least}"),
        (0, most) => format!("at most {most}"),
        (least, most) => format!("{least} to {most}"),
    };
    Some(format!("expected {wanted}, got {count}"))
}

fn are(count: usize) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

struct Mode {
    /// Fields that are not named must not be there.
    exact: bool,
    /// Every item must have been expected.
    all: bool,
    /// The items come in the order of the patterns.
    ordered: bool,
}

/// Gives each pattern an item of its own, as many as possible.
fn assigned(patterns: &[Pattern], items: &[Item], mode: &Mode, out: &mut Vec<Mismatch>) {
    let choices: Vec<Vec<usize>> = patterns
        .iter()
        .map(|pattern| (0..items.len()).filter(|i| fits(pattern, &items[*i], mode.exact)).collect())
        .collect();
    let given = if mode.ordered { in_order(&choices) } else { matched(&choices, items.len()) };
    let taken: BTreeSet<usize> = given.iter().flatten().copied().collect();
    let mut missing_count = 0;
    for (pattern, given) in patterns.iter().zip(&given) {
        if given.is_some() {
            continue;
        }
        missing_count += 1;
        let free = items.iter().enumerate().filter(|(i, _)| !taken.contains(i)).map(|(_, item)| item);
        out.push(missing(pattern, free, items, mode));
    }
    if mode.all {
        let unexpected: Vec<_> = (0..items.len()).filter(|i| !taken.contains(i)).collect();
        // Those that stand in place of what is missing have been shown as the nearest.
        let count = unexpected.len();
        if let Some(first) = unexpected.first().filter(|_| count > missing_count) {
            let at = patterns.first().map_or(At::default(), |pattern| pattern.at);
            let message = format!("{count} more {} there than expected; the first:", are(count));
            out.push(Mismatch { at, message, nearest: show(&items[*first]).into_iter().map(Line::Got).collect() });
        }
    }
}

/// Augmenting paths: the most patterns that can have an item each.
fn matched(choices: &[Vec<usize>], items: usize) -> Vec<Option<usize>> {
    fn place(pattern: usize, choices: &[Vec<usize>], seen: &mut [bool], owner: &mut [Option<usize>]) -> bool {
        for &item in &choices[pattern] {
            if !std::mem::replace(&mut seen[item], true)
                && owner[item].is_none_or(|other| place(other, choices, seen, owner))
            {
                owner[item] = Some(pattern);
                return true;
            }
        }
        false
    }
    let mut owner = vec![None; items];
    for pattern in 0..choices.len() {
        // Most find a free one at once.
        if let Some(&item) = choices[pattern].iter().find(|item| owner[**item].is_none()) {
            owner[item] = Some(pattern);
        } else {
            place(pattern, choices, &mut vec![false; items], &mut owner);
        }
    }
    let mut given = vec![None; choices.len()];
    for (item, pattern) in owner.into_iter().enumerate() {
        if let Some(pattern) = pattern {
            given[pattern] = Some(item);
        }
    }
    given
}

/// The first item behind the one before, for each.
fn in_order(choices: &[Vec<usize>]) -> Vec<Option<usize>> {
    let mut from = 0;
    let next = |choices: &Vec<usize>| {
        let found = choices.iter().copied().find(|item| *item >= from);
        from = found.map_or(from, |item| item + 1);
        found
    };
    choices.iter().map(next).collect()
}

fn missing<'a>(pattern: &Pattern, free: impl Iterator<Item = &'a Item>, items: &'a [Item], mode: &Mode) -> Mismatch {
    let what = describe(&pattern.matcher);
    let anywhere = mode.ordered && items.iter().any(|item| fits(pattern, item, mode.exact));
    if anywhere {
        let message = format!("{what} is there, but not behind what is expected before it");
        return Mismatch { at: pattern.at, message, nearest: Vec::new() };
    }
    let nearest = free.map(|item| (score(pattern, item), item)).max_by_key(|(score, _)| *score);
    let Some((_, nearest)) = nearest else {
        let message = format!("{what} is not there; nothing is left that came");
        return Mismatch { at: pattern.at, message, nearest: Vec::new() };
    };
    let mut lines = Vec::new();
    let matcher = expand(&pattern.matcher, nearest.kind);
    if let Matcher::Fields(fields) = &matcher {
        difference("", fields, &nearest.fields, mode.exact, &mut lines);
    }
    Mismatch { at: pattern.at, message: format!("{what} is not there; the nearest:"), nearest: lines }
}

/// Whether an item is what a pattern says.
fn fits(pattern: &Pattern, item: &Item, exact: bool) -> bool {
    match expand(&pattern.matcher, item.kind) {
        Matcher::Fields(fields) => map_fits("", &fields, &item.fields, exact),
        _ => false,
    }
}

/// A short form in full, for an item of that kind.
fn expand(matcher: &Matcher, kind: Kind) -> Matcher {
    let main = |text: &str| vec![(kind.main_field().to_owned(), Matcher::Is(text.into()))];
    match matcher {
        Matcher::Short(text) => Matcher::Fields(main(text)),
        Matcher::Series { text, name, labels, rest } => {
            if !matches!(kind, Kind::Sample | Kind::Point) {
                return Matcher::Fields(main(text));
            }
            let mut fields = Vec::new();
            if !name.is_empty() {
                fields.push(("metric".to_owned(), Matcher::Is(name.clone().into())));
            }
            if !labels.is_empty() {
                fields.push((kind.labels_field().to_owned(), Matcher::Fields(labels.clone())));
            }
            fields.extend(rest.iter().cloned());
            Matcher::Fields(fields)
        }
        Matcher::Fields(fields) => {
            // A series in one line beside other fields.
            let line = fields.iter().find_map(|(name, matcher)| match matcher {
                Matcher::Is(Value::String(text)) if name == "sample" => Some(text),
                _ => None,
            });
            let Some(line) = line else { return matcher.clone() };
            let mut all: Vec<_> = fields.iter().filter(|(name, _)| name != "sample").cloned().collect();
            if let Matcher::Fields(more) = expand(&crate::expected::short_form(line), kind) {
                all.extend(more);
            }
            Matcher::Fields(all)
        }
        other => other.clone(),
    }
}

fn map_fits(path: &str, fields: &[(String, Matcher)], got: &Map<String, Value>, exact: bool) -> bool {
    let named = fields.iter().all(|(name, matcher)| value_fits(&below(path, name), matcher, got.get(name), exact));
    named && (!exact || got.keys().all(|key| fields.iter().any(|(name, _)| name == key)))
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn value_fits(path: &str, matcher: &Matcher, got: Option<&Value>, exact: bool) -> bool {
    match (matcher, got) {
        (Matcher::Absent, got) => got.is_none(),
        (Matcher::Is(Value::Null), None) => true,
        (_, None) => false,
        (Matcher::Any, Some(_)) => true,
        (Matcher::Is(expected), Some(got)) => same(path, expected, got),
        (Matcher::Fields(fields), Some(Value::Object(map))) => map_fits(path, fields, map, exact),
        (Matcher::List(list), Some(Value::Array(got))) => {
            list.len() == got.len() && list.iter().zip(got).all(|(m, got)| value_fits(path, m, Some(got), exact))
        }
        (Matcher::Regex(regex), Some(got)) => regex.is_match(&plain(got)),
        (Matcher::Has(part), Some(got)) => plain(got).contains(part),
        (Matcher::Approx { value, within }, Some(got)) => {
            got.as_f64().is_some_and(|got| (got - value).abs() <= *within)
        }
        (Matcher::OneOf(all), Some(got)) => all.iter().any(|one| value_fits(path, one, Some(got), exact)),
        _ => false,
    }
}

fn same(path: &str, expected: &Value, got: &Value) -> bool {
    if expected == got {
        return true;
    }
    match (expected, got) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        // Numbers and booleans are text where text is meant: a label's value.
        (Value::Bool(expected), Value::String(text)) => text == if *expected { "true" } else { "false" },
        (Value::Number(expected), Value::String(text)) => {
            text.parse().is_ok_and(|number: serde_json::Number| number == *expected)
        }
        // Times of one length are the same however they are written.
        (Value::String(a), Value::String(b)) if is_time(path) => {
            let (sign_a, a) = signed(a);
            let (sign_b, b) = signed(b);
            sign_a == sign_b && matches!((GoDuration::parse(a), GoDuration::parse(b)), (Ok(a), Ok(b)) if a == b)
        }
        _ => false,
    }
}

fn is_time(path: &str) -> bool {
    matches!(path.rsplit('.').next(), Some("time" | "start" | "end" | "observed"))
}

fn signed(text: &str) -> (bool, &str) {
    text.strip_prefix('-').map_or((false, text), |rest| (true, rest))
}

#[cfg(test)]
mod tests {
    use pipeline::config::{Settings, Written, read_whole};
    use serde::Deserialize;
    use serde_json::json;

    use super::*;
    use crate::expected::expected;

    #[derive(Clone, Debug, Default, Deserialize)]
    #[serde(default)]
    struct Text {
        expect: Written,
    }

    impl Settings for Text {}

    /// What is wrong with these items, by an expectation in YAML.
    fn messages(expectation: &str, items: &[Item]) -> Vec<String> {
        let document = read_whole::<Text>("test", "test", &format!("expect: {expectation}"));
        let mut report = document.report;
        let node = document.value.unwrap().expect.node(&document.tree).clone();
        let all = expected(node.at, &node, &mut report);
        assert_eq!(report.errors(), 0, "{}", report.render(pipeline::config::report::Style::Plain));
        all.iter().flat_map(|expected| compare(expected, items)).map(|mismatch| mismatch.message).collect()
    }

    fn item(kind: Kind, fields: Value) -> Item {
        let Value::Object(fields) = fields else { panic!("fields are a map") };
        Item { kind, fields }
    }

    fn sample(name: &str, pod: &str, value: f64, time: &str) -> Item {
        let fields = json!({"metric": name, "labels": {"pod": pod}, "value": value, "time": time});
        item(Kind::Sample, fields)
    }

    fn spans() -> [Item; 3] {
        let span = |name: &str, status: u64| json!({"span": name, "attributes": {"status": status, "path": "/v1/x"}});
        let log = json!({"body": "a line"});
        [item(Kind::Span, span("a", 200)), item(Kind::Span, span("b", 500)), item(Kind::Log, log)]
    }

    #[test]
    fn parts_of_items_are_enough_where_they_are_contained() {
        for good in [
            "[a, b, a line]",
            "{contains: [{span: a, attributes: {status: 200}}]}",
            "{contains: [{span: {regex: '[ab]'}, attributes: {path: {has: v1}, status: {approx: 499, within: 2}}}]}",
            "{contains: [{span: a, attributes: {other: {absent: true}, path: {any: true}}}]}",
            "{contains: [{span: {one_of: [x, b]}}]}",
            "{absent: [c], count: 3, traces: {only: [b, a]}}",
            "{count: {spans: 2, logs: {least: 1}}, ordered: true, contains: [a, b]}",
            "{traces: {equals: [{span: a, attributes: {status: 200, path: /v1/x}}, {span: b, attributes: {path: /v1/x, status: 500}}]}}",
        ] {
            assert_eq!(messages(good, &spans()), [""; 0], "{good}");
        }
        for (bad, words) in [
            ("[c]", "c is not there; the nearest:"),
            ("[a, a]", "a is not there; the nearest:"),
            ("{traces: {only: [a]}}", "1 more is there than expected"),
            ("{traces: {equals: [a, b]}}", "a is not there"),
            ("{absent: [b]}", "1 is there that should be absent"),
            ("{count: 4}", "expected 4, got 3 items"),
            ("{count: {spans: {most: 1}}}", "expected at most 1, got 2 spans"),
            ("{ordered: true, contains: [b, a]}", "a is there, but not behind what is expected before it"),
            ("[{span: {regex: a.}}]", "span {regex: \"a.\"} is not there"),
            ("[{span: a, attributes: {path: {absent: true}}}]", "is not there"),
        ] {
            let messages = messages(bad, &spans());
            assert!(messages.iter().any(|message| message.contains(words)), "{bad}: {messages:?}");
        }
    }

    #[test]
    fn each_expectation_takes_an_item_of_its_own_whatever_their_order() {
        let items = [sample("x", "a", 1.0, "1s"), sample("x", "b", 1.0, "1s")];
        // The first could have either, the second only one.
        assert_eq!(messages("['x 1', 'x{pod=\"a\"}']", &items), [""; 0]);
        assert_eq!(messages("['x{pod=~\"a|b\"}', 'x{pod=\"a\"}', 'x{pod=\"b\"}']", &items).len(), 1);
    }

    #[test]
    fn series_stand_in_one_line_and_times_in_any_form() {
        let items = [sample("up", "a", 1.0, "90s")];
        for good in ["up", "'up{pod=\"a\"} 1'", "'up 1 @90s'", "'up 1 @1m30s'", "{sample: up 1, labels: {pod: a}}"] {
            assert_eq!(messages(&format!("[{good}]"), &items), [""; 0], "{good}");
        }
        for bad in
            ["'up{pod=\"b\"}'", "up 0", "'up 1 @-90s'", "'up{other=\"x\"} 1'", "{sample: up 1, labels: {pod: b}}"]
        {
            assert_eq!(messages(&format!("[{bad}]"), &items).len(), 1, "{bad}");
        }
        assert_eq!(messages("['up{other=\"\"} 1']", &items), [""; 0]);
    }

    #[test]
    fn the_nearest_is_the_one_that_has_most_of_what_is_expected() {
        let document = read_whole::<Text>("test", "test", "expect: ['x{pod=\"b\"} 2']");
        let node = document.value.unwrap().expect.node(&document.tree).clone();
        let expected = expected(node.at, &node, &mut document.report.clone());
        let items = [sample("y", "b", 2.0, "1s"), sample("x", "b", 3.0, "1s"), sample("x", "a", 2.0, "1s")];
        let found = compare(&expected[0], &items[..2]);
        assert_eq!(
            found[0].nearest[..4],
            [
                Line::Same("metric: \"x\"".to_owned()),
                Line::Same("labels: {\"pod\":\"b\"}".to_owned()),
                Line::Expected("value: 2.0".to_owned()),
                Line::Got("value: 3.0".to_owned()),
            ]
        );
    }
}
