//! `slipring explain`: what a component or a key of it is, in text for a terminal.

use std::fmt::Write as _;

use pipeline::Registry;
use pipeline::config::docs::{Book, Row, Step, plain, ways, written};
use pipeline::config::shape::{Kind, Shape};
use pipeline::config::{nearest, retired};

use crate::catalogue::{Item, items};

/// The answer to a question such as `otlp`, `receivers.otlp.protocols.grpc` or nothing.
///
/// # Errors
/// That there is no such thing, with what there is.
pub fn explain(registry: &Registry, question: Option<&str>) -> Result<String, String> {
    let book = Book::of(registry);
    let items = items(registry, &book);
    let Some(question) = question else { return Ok(list(&items)) };
    let question = question.replace("::", ".");
    let mut steps: Vec<&str> = question.split('.').filter(|step| !step.is_empty()).collect();
    let sections = ["receivers", "processors", "exporters", "extensions"];
    let section = steps.first().copied().filter(|first| sections.contains(first));
    if section.is_some() {
        steps.remove(0);
    }
    let asked: Vec<&Item<'_>> = items.iter().filter(|item| section.is_none_or(|s| s == item.section)).collect();
    let Some((name, path)) = steps.split_first() else {
        return Ok(list_of(&asked));
    };
    let name = name.split('/').next().unwrap_or_default();
    let is_it = |item: &&&Item<'_>| item.types.contains(&name) || item.types.is_empty() && item.section == name;
    let found: Vec<&&Item<'_>> = asked.iter().filter(is_it).collect();
    if found.is_empty() {
        return Err(unknown(name, section, &items));
    }
    let mut answers = Vec::new();
    let mut failures = Vec::new();
    for item in found {
        let mut out = String::new();
        if item.types.first().is_some_and(|now| *now != name) {
            let _ = writeln!(out, "{name} is an older name of {}.\n", item.name());
        }
        match key(item, path) {
            Ok(text) => answers.push(out + &text),
            Err(failure) => failures.push(failure),
        }
    }
    if answers.is_empty() { Err(failures.join("\n")) } else { Ok(answers.join("\n")) }
}

fn list(items: &[Item<'_>]) -> String {
    let mut out = list_of(&items.iter().collect::<Vec<_>>());
    out.push_str("\nslipring explain COMPONENT[.KEY…] says more, such as: slipring explain otlp_grpc.sending_queue\n");
    out
}

fn list_of(items: &[&Item<'_>]) -> String {
    let mut out = String::new();
    let width = items.iter().map(|item| item.name().len()).max().unwrap_or_default();
    let mut section = "";
    for item in items {
        if item.section != section {
            section = item.section;
            let _ = writeln!(out, "{}{section}", if out.is_empty() { "" } else { "\n" });
        }
        let older = match item.types {
            [_, older @ ..] if !older.is_empty() => format!(" (also {})", older.join(", ")),
            _ => String::new(),
        };
        let _ = writeln!(out, "  {:width$}  {}{older}", item.name(), item.about);
    }
    out
}

fn unknown(name: &str, section: Option<&str>, items: &[Item<'_>]) -> String {
    let mut out = format!("there is no component {name:?}");
    let kinds = ["receivers", "processors", "exporters", "extensions", "connectors"];
    let asked = kinds.into_iter().filter(|kind| section.is_none_or(|s| s == *kind));
    let advice: Vec<String> =
        asked.filter_map(|kind| Some(format!("{kind}: {}", retired::advice(kind, name)?))).collect();
    let names = items.iter().flat_map(|item| item.types.iter().copied().chain([item.section]));
    let users: Vec<String> = items.iter().filter(|i| i.shape.step(name).is_some()).map(Item::path).collect();
    if !advice.is_empty() {
        let _ = write!(out, "\n  = {}", advice.join("\n  = "));
    } else if let Some(near) = nearest(name, names) {
        let _ = write!(out, "\n  = did you mean `{near}`?");
    }
    if let Some(first) = users.first() {
        let _ = write!(out, "\n  = it is a key of {}: slipring explain {first}.{name}", users.join(", "));
    }
    out.push_str("\n  = slipring explain lists what there is\n");
    out
}

/// A component, or what a path of keys in it leads to.
fn key(item: &Item<'_>, path: &[&str]) -> Result<String, String> {
    if path.is_empty() {
        return Ok(component(item));
    }
    let ways = ways(&item.shape);
    let named = |way: &[Step]| -> Vec<&'static str> {
        way.iter()
            .filter_map(|step| match step {
                Step::Key(name, _) | Step::Tag(name) => Some(*name),
                Step::Element | Step::Value => None,
            })
            .collect()
    };
    let wanted: Vec<&str> =
        path.iter().copied().map(|step| step.trim_end_matches("[]")).filter(|s| *s != "*").collect();
    let found = ways.iter().find(|(way, _)| named(way) == wanted);
    if let Some((way, shape)) = found {
        return Ok(one(item, way, shape));
    }
    if let Some((removed, advice)) = item.removed.iter().find(|(key, _)| wanted.last() == Some(key)) {
        return Ok(format!("{}: the key {removed} is gone: {advice}\n", item.path()));
    }
    let mut out = format!("{} has no key {:?}", item.path(), wanted.join("."));
    let last = wanted.last().copied().unwrap_or_default();
    let above = &wanted[..wanted.len().saturating_sub(1)];
    let beside = ways.iter().filter(|(way, _)| named(way).split_last().is_some_and(|(_, w)| w == above));
    let beside: Vec<&str> = beside.filter_map(|(way, _)| named(way).last().copied()).collect();
    let elsewhere: Vec<String> = ways
        .iter()
        .filter(|(way, _)| matches!(way.last(), Some(Step::Key(n, _)) if *n == last))
        .map(|(way, _)| written(way))
        .collect();
    if let Some(near) = nearest(last, beside.iter().copied()) {
        let _ = write!(out, "\n  = did you mean `{near}`?");
    } else if let Some(first) = elsewhere.first() {
        let _ = write!(out, "\n  = did you mean `{first}`?");
    }
    if !beside.is_empty() {
        let mut beside = beside;
        beside.dedup();
        let _ = write!(out, "\n  = keys there: {}", beside.join(", "));
    }
    out.push('\n');
    Err(out)
}

fn component(item: &Item<'_>) -> String {
    let mut out = String::new();
    let signals: Vec<&str> = item.signals.iter().map(|s| s.name()).collect();
    let of = if signals.is_empty() { String::new() } else { format!(" for {}", signals.join(", ")) };
    let _ = writeln!(out, "{}{of}, {}", item.path(), item.stability.to_lowercase());
    if let [_, older @ ..] = item.types
        && !older.is_empty()
    {
        let _ = writeln!(out, "older names: {}", older.join(", "));
    }
    let about = if item.words.readme.about.is_empty() { item.about } else { &item.words.readme.about };
    let _ = writeln!(out, "\n{about}\n\nkeys:");
    keys(&mut out, item, &mut Vec::new(), &item.shape);
    if let Some(example) = item.words.readme.example {
        let _ = writeln!(out, "\nexample:\n{}", indented(example));
    }
    out
}

/// The keys of the next level.
fn keys(out: &mut String, item: &Item<'_>, way: &mut Vec<Step>, shape: &Shape) {
    let lines: Vec<[String; 3]> = below(shape)
        .into_iter()
        .filter_map(|(step, shape)| {
            way.push(step);
            let row = item.words.row(way).cloned();
            way.pop();
            let name = match step {
                Step::Key(name, _) | Step::Tag(name) => name,
                Step::Element | Step::Value => return None,
            };
            let default = row.as_ref().map(default_of).unwrap_or_default();
            let about = row.map(|row| row.about()).unwrap_or_default();
            Some([name.to_owned(), format!("{shape}{default}"), about])
        })
        .collect();
    let width = |n: usize| lines.iter().map(|line| line[n].chars().count()).max().unwrap_or_default().min(40);
    let (first, second) = (width(0), width(1));
    for [name, what, about] in &lines {
        let _ = writeln!(out, "{}", format!("  {name:first$}  {what:second$}  {about}").trim_end());
    }
}

/// The keys or tags of a shape, of a list's elements where it is a list.
fn below(shape: &Shape) -> Vec<(Step, &Shape)> {
    match &shape.kind {
        Kind::Block(block) => block.keys.iter().map(|k| (Step::Key(k.name, k.of), &k.shape)).collect(),
        Kind::Tagged(tags) => tags.iter().map(|(tag, shape)| (Step::Tag(tag), shape)).collect(),
        Kind::TextOr(inner) => below(inner),
        _ => Vec::new(),
    }
}

fn default_of(row: &Row) -> String {
    match row.default.as_str() {
        "" => String::new(),
        "needed" => ", needed".to_owned(),
        default => format!(", default {}", plain(default).replace('`', "")),
    }
}

/// One key.
fn one(item: &Item<'_>, way: &[Step], shape: &Shape) -> String {
    let mut out = String::new();
    let row = item.words.row(way);
    let default = row.map(default_of).unwrap_or_default();
    let _ = writeln!(out, "{}.{}: {shape}{default}", item.path(), written(way));
    if let Some(row) = row.filter(|row| !row.text.is_empty()) {
        let _ = writeln!(out, "\n  {}", row.about());
    }
    if let Kind::Words(words) = &shape.kind {
        let _ = writeln!(out, "\none of: {}", words.join(", "));
    }
    let mut way = way.to_vec();
    let mut inner = shape;
    loop {
        match &inner.kind {
            Kind::List(element) => {
                way.push(Step::Element);
                inner = element;
            }
            Kind::Map(value) => {
                way.push(Step::Value);
                inner = value;
            }
            _ => break,
        }
    }
    if !below(inner).is_empty() {
        let what = if matches!(inner.kind, Kind::Tagged(_)) { "types" } else { "keys" };
        let _ = writeln!(out, "\n{what}:");
        keys(&mut out, item, &mut way, inner);
    }
    let _ = writeln!(out, "\nexample:\n{}", indented(&example(item, &way, inner, row)));
    out
}

/// A config with the key in its place.
fn example(item: &Item<'_>, way: &[Step], shape: &Shape, row: Option<&Row>) -> String {
    let mut lines = vec![format!("{}:", item.section)];
    if let Some(name) = item.types.first() {
        lines.push(format!("{name}:"));
    }
    let mut dash = false;
    let mut depth = 0;
    let mut text = String::new();
    let mut put = |line: &str, depth: &mut usize, dash: &mut bool| {
        let mark = if std::mem::take(dash) { "- " } else { "" };
        let _ = writeln!(text, "{}{mark}{line}", "  ".repeat(*depth));
        *depth += if mark.is_empty() { 1 } else { 2 };
    };
    for line in lines {
        put(&line, &mut depth, &mut dash);
    }
    let value = sample(shape, row);
    let ends_in_list = matches!(way.last(), Some(Step::Element));
    for (n, step) in way.iter().enumerate() {
        let last = n + 1 == way.len() || n + 2 == way.len() && ends_in_list;
        match step {
            Step::Key(name, _)
                if last && ends_in_list && shape.block().is_none() && !matches!(shape.kind, Kind::Tagged(_)) =>
            {
                let value = if value.starts_with('[') { value.clone() } else { format!("[{value}]") };
                put(&format!("{name}: {value}"), &mut depth, &mut dash);
                break;
            }
            Step::Key(name, _) if last && !ends_in_list => {
                put(format!("{name}: {value}").trim_end(), &mut depth, &mut dash);
            }
            Step::Key(name, _) => put(&format!("{name}:"), &mut depth, &mut dash),
            Step::Value if n + 1 == way.len() => put(format!("name: {value}").trim_end(), &mut depth, &mut dash),
            Step::Value => put("name:", &mut depth, &mut dash),
            Step::Tag(tag) => {
                put(&format!("type: {tag}"), &mut depth, &mut dash);
                depth -= 1;
            }
            Step::Element => dash = true,
        }
    }
    text
}

/// A value that would be taken.
fn sample(shape: &Shape, row: Option<&Row>) -> String {
    if let Some(value) = row.and_then(Row::default_value).filter(|v| !v.is_empty()) {
        return value.to_owned();
    }
    match &shape.kind {
        Kind::Bool => "true".to_owned(),
        Kind::Integer(..) | Kind::Number => "1".to_owned(),
        Kind::Secret => "${env:SECRET}".to_owned(),
        Kind::Duration | Kind::PromDuration => "10s".to_owned(),
        Kind::Size => "1MiB".to_owned(),
        Kind::Headers => "{X-Name: \"${env:SECRET}\"}".to_owned(),
        Kind::Words(words) => words.first().copied().unwrap_or_default().to_owned(),
        Kind::Block(_) | Kind::Tagged(_) => String::new(),
        Kind::List(inner) => format!("[{}]", sample(inner, None)),
        Kind::Map(inner) => format!("{{name: {}}}", sample(inner, None)),
        Kind::Text | Kind::Scalar | Kind::TextOr(_) | Kind::Other(_) => "…".to_owned(),
    }
}

fn indented(text: &str) -> String {
    text.lines()
        .map(|line| if line.is_empty() { String::new() } else { format!("  {line}") })
        .collect::<Vec<_>>()
        .join("\n")
}
