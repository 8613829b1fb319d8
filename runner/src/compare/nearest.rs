//! How near an item is to what is expected, and what differs.

use serde_json::{Map, Value};

use super::{Line, below, expand, value_fits};
use crate::decode::{Item, Kind};
use crate::expected::{Matcher, Pattern};

pub(super) fn describe(matcher: &Matcher) -> String {
    match matcher {
        Matcher::Short(text) | Matcher::Series { text, .. } => shortened(text),
        Matcher::Fields(fields) => {
            let main = |(name, _): &&(String, Matcher)| Kind::ALL.iter().any(|(kind, _)| kind.main_field() == *name);
            let found = fields.iter().find(main).or_else(|| fields.first());
            found.map_or_else(|| "an item".to_owned(), |(name, matcher)| format!("{name} {}", text(matcher)))
        }
        other => text(other),
    }
}

fn shortened(text: &str) -> String {
    const MOST: usize = 120;
    if text.chars().count() <= MOST {
        text.to_owned()
    } else {
        format!("{}…", text.chars().take(MOST).collect::<String>())
    }
}

/// How much of a pattern an item has; what it is called counts most.
pub(super) fn score(pattern: &Pattern, item: &Item) -> u32 {
    fn of(path: &str, fields: &[(String, Matcher)], got: &Map<String, Value>) -> u32 {
        let one = |(name, matcher): &(String, Matcher)| match (matcher, got.get(name)) {
            (Matcher::Fields(fields), Some(Value::Object(map))) => of(&below(path, name), fields, map),
            (matcher, got) if value_fits(&below(path, name), matcher, got, false) => 4,
            (Matcher::Is(Value::String(expected)), Some(Value::String(got))) => alike(expected, got),
            _ => 0,
        };
        fields.iter().map(one).sum()
    }
    match expand(&pattern.matcher, item.kind) {
        Matcher::Fields(fields) => {
            let main = item.kind.main_field();
            let is_main =
                fields.iter().any(|(name, m)| name == main && value_fits(name, m, item.fields.get(main), false));
            of("", &fields, &item.fields) + u32::from(is_main) * 8
        }
        _ => 0,
    }
}

/// 0 to 3 by how much of two texts is the same from the start or the end.
fn alike(a: &str, b: &str) -> u32 {
    let most = a.len().max(b.len()).max(1);
    let start = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    let end = a.bytes().rev().zip(b.bytes().rev()).take_while(|(a, b)| a == b).count();
    u32::try_from(3 * (start + end).min(most) / most).unwrap_or(0)
}

/// Field by field: what is as expected, what is not.
pub(super) fn difference(
    path: &str,
    fields: &[(String, Matcher)],
    got: &Map<String, Value>,
    exact: bool,
    out: &mut Vec<Line>,
) {
    for (name, matcher) in fields {
        let at = below(path, name);
        let value = got.get(name);
        if value_fits(&at, matcher, value, exact) {
            out.push(Line::Same(format!("{at}: {}", value.map_or_else(|| "absent".to_owned(), one_line))));
            continue;
        }
        if let (Matcher::Fields(fields), Some(Value::Object(map))) = (matcher, value) {
            difference(&at, fields, map, exact, out);
            continue;
        }
        out.push(Line::Expected(format!("{at}: {}", text(matcher))));
        if let Some(value) = value {
            out.push(Line::Got(format!("{at}: {}", one_line(value))));
        }
    }
    for (name, value) in got {
        if !fields.iter().any(|(known, _)| known == name) {
            let line = format!("{}: {}", below(path, name), one_line(value));
            out.push(if exact { Line::Got(line) } else { Line::About(line) });
        }
    }
}

/// A matcher as it is written.
pub(super) fn text(matcher: &Matcher) -> String {
    let all = |list: &[Matcher]| list.iter().map(text).collect::<Vec<_>>().join(", ");
    match matcher {
        Matcher::Is(value) => one_line(value),
        Matcher::Fields(fields) => {
            let fields = fields.iter().map(|(name, matcher)| format!("{name}: {}", text(matcher)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
        Matcher::List(list) => format!("[{}]", all(list)),
        Matcher::Regex(regex) => {
            let pattern = regex.as_str();
            let pattern = pattern.strip_prefix("^(?s:").and_then(|p| p.strip_suffix(")$")).unwrap_or(pattern);
            format!("{{regex: {pattern:?}}}")
        }
        Matcher::Has(part) => format!("{{has: {part:?}}}"),
        Matcher::Approx { value, within } => format!("{{approx: {value}, within: {within}}}"),
        Matcher::OneOf(list) => format!("{{one_of: [{}]}}", all(list)),
        Matcher::Any => "{any: true}".to_owned(),
        Matcher::Absent => "{absent: true}".to_owned(),
        Matcher::Short(text) | Matcher::Series { text, .. } => text.clone(),
    }
}

pub(super) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A value in one line.
fn one_line(value: &Value) -> String {
    shortened(&value.to_string())
}

/// An item, a line for each field.
pub(super) fn show(item: &Item) -> Vec<String> {
    let main = item.kind.main_field();
    let mut names: Vec<_> = item.fields.keys().collect();
    names.sort_by_key(|name| (*name != main, *name));
    names.into_iter().map(|name| format!("{name}: {}", one_line(&item.fields[name]))).collect()
}
