//! Writes what came as what is expected: in place of each `equals` that does not hold, and for tests that expect nothing yet.
//! Every other line of the file stays as it is.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::Finished;
use crate::compare::compare;
use crate::decode::{Item, Kind};
use crate::suite::{Case, Suite};

/// Lines of a file that are replaced.
struct Change {
    /// The first, from 0.
    from: usize,
    /// The one behind the last.
    to: usize,
    lines: Vec<String>,
}

/// The file's new text, where something changes, with how many expectations that are; or what cannot be written.
///
/// # Errors
/// An expectation that does not stand on lines of its own.
pub(crate) fn updated(suite: &Suite, finished: &[Finished]) -> Result<Option<(String, usize)>, String> {
    let lines: Vec<&str> = suite.text.lines().collect();
    let mut changes = Vec::new();
    for one in finished {
        let case = &suite.cases[one.case];
        for (exporter, expected) in &case.expected {
            let items = one.verdict.sent.get(exporter).map(Vec::as_slice).unwrap_or_default();
            let Some(at) = expected.equals_at.filter(|_| !compare(expected, items).is_empty()) else { continue };
            let (row, column) = (at.line as usize - 1, at.column as usize - 1);
            let line = lines.get(row).copied().unwrap_or_default();
            if !line.chars().take(column).all(char::is_whitespace) {
                let place = suite.report.place(at);
                return Err(format!("{place}: cannot write here; put `equals:` on a line of its own"));
            }
            let mut new = vec![format!("{}equals:", " ".repeat(column))];
            if items.is_empty() {
                new = vec![format!("{}equals: []", " ".repeat(column))];
            }
            let of = |item: &&Item| expected.signal.is_none_or(|signal| item.kind.signal() == Some(signal));
            new.extend(written(items.iter().filter(of), column + 2));
            changes.push(Change { from: row, to: end_of(&lines, row, column), lines: new });
        }
        if case.expected.is_empty() && !case.says_what_it_expects() {
            changes.push(whole(&lines, case, one));
        }
    }
    if changes.is_empty() {
        return Ok(None);
    }
    let count = changes.len();
    changes.sort_by_key(|change| change.from);
    let mut out = String::new();
    let mut next = 0;
    for change in changes {
        lines[next..change.from].iter().for_each(|line| _ = writeln!(out, "{line}"));
        change.lines.iter().for_each(|line| _ = writeln!(out, "{line}"));
        next = change.to.max(next);
    }
    lines[next..].iter().for_each(|line| _ = writeln!(out, "{line}"));
    Ok(Some((out, count)))
}

/// The line behind the value of a key that stands at that row and column. Empty lines and comments at its end are not its.
fn end_of(lines: &[&str], row: usize, column: usize) -> usize {
    let mut end = row + 1;
    for (i, line) in lines.iter().enumerate().skip(row + 1) {
        let indent = line.len() - line.trim_start().len();
        let (is_empty, is_comment) = (line.trim().is_empty(), line.trim_start().starts_with('#'));
        // A list may stand as far left as its key.
        let is_inside = indent > column || (indent == column && line.trim_start().starts_with("- "));
        if !is_empty && !is_inside {
            break;
        }
        if !is_empty && !is_comment {
            end = i + 1;
        }
    }
    end
}

/// The whole expectation of a test that has none, at its end.
fn whole(lines: &[&str], case: &Case, one: &Finished) -> Change {
    let (row, column) = (case.at.line as usize - 1, case.at.column as usize - 1);
    // The test's keys stand at the column of its first; what is less far in ends it.
    let mut end = row + 1;
    for (i, line) in lines.iter().enumerate().skip(row + 1) {
        let indent = line.len() - line.trim_start().len();
        if !line.trim().is_empty() && indent < column {
            break;
        }
        if !line.trim().is_empty() && !line.trim_start().starts_with('#') {
            end = i + 1;
        }
    }
    let pad = " ".repeat(column);
    let mut new = vec![format!("{pad}expect:")];
    for (exporter, items) in &one.verdict.sent {
        new.push(format!("{pad}  {}:", scalar(exporter)));
        if items.is_empty() {
            new.push(format!("{pad}    equals: []"));
        } else {
            new.push(format!("{pad}    equals:"));
            new.extend(written(items.iter(), column + 6));
        }
    }
    Change { from: end, to: end, lines: new }
}

/// Items as lines of YAML, indented by so much.
fn written<'a>(items: impl Iterator<Item = &'a Item>, indent: usize) -> Vec<String> {
    let pad = " ".repeat(indent);
    let mut out = Vec::new();
    for item in items {
        if let Some(line) = in_one_line(item) {
            out.push(format!("{pad}- {}", quoted(&line)));
            continue;
        }
        let main = item.kind.main_field();
        let mut names: Vec<_> = item.fields.keys().collect();
        names.sort_by_key(|name| (*name != main, *name == "resource", *name == "scope", *name));
        for (i, name) in names.into_iter().enumerate() {
            let lead = if i == 0 { "- " } else { "  " };
            out.push(format!("{pad}{lead}{}: {}", scalar(name), flow(&item.fields[name])));
        }
    }
    out
}

/// A sample of name, labels, value and time.
fn in_one_line(item: &Item) -> Option<String> {
    let known = ["metric", "labels", "value", "time"];
    if item.kind != Kind::Sample || !item.fields.keys().all(|key| known.contains(&key.as_str())) {
        return None;
    }
    let name = item.fields.get("metric")?.as_str()?;
    let plain = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || "_:".contains(c));
    let empty = Map::new();
    let labels = item.fields.get("labels").and_then(Value::as_object).unwrap_or(&empty);
    // An empty label reads as one that is not there.
    if !plain(name) || labels.iter().any(|(name, value)| !plain(name) || value.as_str().is_none_or(str::is_empty)) {
        return None;
    }
    let mut out = name.to_owned();
    if !labels.is_empty() {
        let pairs: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        _ = write!(out, "{{{}}}", pairs.join(","));
    }
    let value = item.fields.get("value")?;
    _ = write!(out, " {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    if let Some(time) = item.fields.get("time") {
        _ = write!(out, " @{}", time.as_str()?);
    }
    Some(out)
}

/// A value in one line of YAML.
fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        Value::Array(list) => format!("[{}]", list.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let pairs = map.iter().map(|(key, value)| format!("{}: {}", scalar(key), flow(value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// Text as it stands in YAML: in quotes unless it cannot be anything else.
fn scalar(text: &str) -> String {
    let mut letters = text.chars();
    let starts = letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    let is_plain = starts && letters.all(|c| c.is_ascii_alphanumeric() || "_./-".contains(c));
    let words = ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "inf", "nan"];
    if is_plain && !words.contains(&text.to_ascii_lowercase().as_str()) {
        return text.to_owned();
    }
    // What JSON escapes, YAML reads the same.
    Value::from(text).to_string()
}

/// Text in single quotes, which need no escapes for double ones.
fn quoted(text: &str) -> String {
    if text.contains(['\'', '\n', '\t', '\r', '\\']) || text.chars().any(char::is_control) {
        Value::from(text).to_string()
    } else {
        format!("'{text}'")
    }
}
