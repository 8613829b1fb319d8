//! `${…}` in values, by the collector's rules: inner ones first, whole values typed, `$$` for `$`.

use super::nearest::nearest;
use super::parse::{self, parse};
use super::report::{Diagnostic, Report, Rule};
use super::source::{Surroundings, scheme, unknown_scheme};
use super::tree::{At, Node, Sources, Value};

/// The most `${…}` in one value, those that come out of others included.
const MOST_IN_VALUE: usize = 1_000;
/// The most `${…}` in a whole config.
const MOST_IN_CONFIG: usize = 20_000;
/// The longest text that a value may become, in bytes.
const MOST_TEXT: usize = 1 << 20;
/// The most bytes that all expansions together may bring.
const MOST_BYTES: usize = 32 << 20;
/// The deepest nesting of what comes out.
const MOST_LEVELS: usize = 2 * parse::MOST_DEPTH;
/// The deepest that maps and lists out of `${…}` may hold further ones.
const MOST_DEPTH: usize = 16;

/// Replaces every `${…}` in the tree and turns `$$` into `$`. What fails is in the report, and its node marked broken.
pub fn expand(root: &mut Node, surroundings: &Surroundings, report: &mut Report) {
    let mut expander = Expander { surroundings, report, count: 0, bytes: 0 };
    expander.node(root, 0, 0);
    unescape(root);
}

struct Expander<'a> {
    surroundings: &'a Surroundings,
    report: &'a mut Report,
    count: usize,
    bytes: usize,
}

/// What stands behind a `${…}`.
struct Retrieved {
    node: Node,
    /// The text itself, for text targets and in the middle of other text.
    text: String,
    /// Whether a list or map of it is fit to stand in the middle of other text.
    inline: bool,
    /// Where it comes from, for people.
    origin: String,
}

impl Expander<'_> {
    /// Expands what is `level` steps below the root, the last of them out of `depth` expansions.
    fn node(&mut self, node: &mut Node, level: usize, depth: usize) {
        match &mut node.value {
            Value::List(_) | Value::Map(_) if level > MOST_LEVELS => {
                let message = format!("expands to more than {MOST_LEVELS} levels");
                self.report.push(Diagnostic::error(node.at, message).rule(Rule::Expansion));
                *node = Node { broken: true, ..Node::new(Value::Null, node.at) };
            }
            Value::List(list) => list.iter_mut().for_each(|n| self.node(n, level + 1, depth)),
            Value::Map(map) => map.entries_mut().iter_mut().for_each(|e| self.node(&mut e.value, level + 1, depth)),
            Value::Text(text) if text.contains("${") => {
                let (text, at) = (std::mem::take(text), node.at);
                match self.text(text, at, level, depth) {
                    Ok(value) => *node = value,
                    Err((uri, message, help)) => {
                        let place = place(&self.report.sources, at, &uri);
                        let mut diagnostic = Diagnostic::error(place, message).rule(Rule::Expansion);
                        diagnostic.help.extend(help);
                        self.report.push(diagnostic);
                        *node = Node { broken: true, ..Node::new(Value::Null, at) };
                    }
                }
            }
            _ => {}
        }
    }

    fn text(&mut self, mut text: String, at: At, level: usize, depth: usize) -> Result<Node, Failed> {
        let mut expanded = false;
        let mut origins: Vec<String> = Vec::new();
        for _ in 0..MOST_IN_VALUE {
            let Some(uri) = innermost(&text) else {
                let origin = (!origins.is_empty()).then(|| origins.join(", "));
                return Ok(Node { expanded, origin, ..Node::new(Value::Text(text), at) });
            };
            let uri = uri.to_owned();
            let found = self.retrieve(&uri, at).map_err(|(message, help)| (uri.clone(), message, help))?;
            if !origins.contains(&found.origin) {
                origins.push(found.origin.clone());
            }
            let failed = |message: &str| (uri.clone(), format!("{uri} {message}"), None);
            self.bytes += found.text.len();
            if self.bytes > MOST_BYTES {
                return Err(failed("brings more than 32 MiB together with all others"));
            }
            if uri != text {
                if !found.inline && matches!(found.node.value, Value::List(_) | Value::Map(_)) {
                    let what = format!("is {}, which cannot stand inside of other text", found.node.describe());
                    return Err(failed(&what));
                }
                text = text.replace(&uri, &found.text);
                if text.len() > MOST_TEXT {
                    return Err(failed("makes the value longer than 1 MiB"));
                }
                continue;
            }
            expanded = true;
            match found.node.value {
                Value::Text(whole) => text = whole,
                Value::List(_) | Value::Map(_) if depth >= MOST_DEPTH => {
                    return Err(failed("is nested too deep: does it expand into itself?"));
                }
                _ => {
                    let origin = Some(origins.join(", "));
                    let mut node = Node { raw: Some(found.text), expanded, origin, ..found.node };
                    self.node(&mut node, level, depth + 1);
                    return Ok(node);
                }
            }
        }
        Err((
            text.chars().take(60).collect(),
            format!("more than {MOST_IN_VALUE} expansions in one value: does it expand into itself?"),
            None,
        ))
    }

    fn retrieve(&mut self, uri: &str, at: At) -> Result<Retrieved, (String, Option<String>)> {
        self.count += 1;
        if self.count > MOST_IN_CONFIG {
            return Err((format!("more than {MOST_IN_CONFIG} expansions in one config"), None));
        }
        let inside = &uri[2..uri.len() - 1];
        let (scheme, rest) = match scheme(inside) {
            Some(parts) => parts,
            None if inside.contains(':') => {
                return Err((format!("{uri} has no scheme"), Some(format!("write ${{env:{inside}}} for a variable"))));
            }
            None => ("env", inside),
        };
        if rest.contains('$') {
            return Err((format!("{uri} contains '$', which cannot stand in an expansion"), None));
        }
        match scheme {
            "env" => self.variable(uri, rest, at),
            "file" => {
                let text =
                    self.surroundings.read(rest).map_err(|error| (format!("cannot read {rest}: {error}"), None))?;
                let source = self.report.sources.add(rest, &text);
                Ok(Retrieved { origin: format!("the file {rest}"), ..typed(text, source, None, at) })
            }
            "yaml" => Ok(typed(rest.to_owned(), at.source, Some(at), at)),
            _ if rest.starts_with('-') && is_name(scheme) => {
                Err((unknown_scheme(scheme), Some(format!("write ${{env:{inside}}} for a variable with a default"))))
            }
            _ => Err((unknown_scheme(scheme), None)),
        }
    }

    fn variable(&mut self, uri: &str, rest: &str, at: At) -> Result<Retrieved, (String, Option<String>)> {
        let (name, default) = match rest.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (rest, None),
        };
        if !is_name(name) {
            let help = "a variable's name has letters, digits and _, and no digit first".to_owned();
            return Err((format!("environment variable {name:?} has invalid name"), Some(help)));
        }
        let given = self.surroundings.variables.get(name);
        let origin = |given: bool| match (given, default) {
            (true, _) => format!("the variable {name}"),
            (false, Some(_)) => format!("the default of the variable {name}"),
            (false, None) => format!("the variable {name}, which is not set"),
        };
        let text = match (given, default) {
            (Some(value), _) => value.clone(),
            (None, Some("")) => {
                return Ok(Retrieved {
                    node: Node::new(Value::Text(String::new()), at),
                    text: String::new(),
                    inline: true,
                    origin: origin(false),
                });
            }
            (None, Some(default)) => default.to_owned(),
            (None, None) => {
                let at = place(&self.report.sources, at, uri);
                let names = self.surroundings.variables.keys().map(String::as_str);
                let message = format!("the environment variable {name} is not set, and reads as empty");
                let mut warning = Diagnostic::warning(at, message).rule(Rule::Expansion);
                if let Some(near) = nearest(name, names) {
                    warning = warning.help(format!("did you mean `{near}`?"));
                }
                self.report
                    .push(warning.help(format!("write ${{env:{name}:-default}} to say what it is when not set")));
                String::new()
            }
        };
        let origin = origin(given.is_some());
        Ok(Retrieved { inline: true, origin, ..typed(text, at.source, Some(at), at) })
    }
}

/// A failed `${…}`, what is wrong with it, and what would work.
type Failed = (String, String, Option<String>);

/// The value of a text as YAML. Text stays exactly as it is, and what is no YAML is text. `places` stands for the places
/// inside the text where those mean nothing to a reader.
fn typed(text: String, source: u32, places: Option<At>, at: At) -> Retrieved {
    let mut node = parse(&text, source).unwrap_or_else(|_| Node::new(Value::Text(String::new()), at));
    let scalar = !matches!(node.value, Value::List(_) | Value::Map(_));
    if matches!(node.value, Value::Text(_)) {
        // A file's last line end is hardly part of the password in it.
        let whole = if places.is_none() { text.trim_end_matches(['\r', '\n']) } else { &text };
        node.value = Value::Text(whole.to_owned());
    }
    match places {
        Some(place) => put_at(&mut node, place),
        None if scalar => node.at = at,
        None => {}
    }
    let text = match node.as_text() {
        Some(text) => text.to_owned(),
        None if scalar && places.is_none() => text.trim_end_matches(['\r', '\n']).to_owned(),
        None => text,
    };
    Retrieved { node, text, inline: scalar, origin: "the text itself".to_owned() }
}

fn put_at(node: &mut Node, at: At) {
    node.at = at;
    match &mut node.value {
        Value::List(list) => list.iter_mut().for_each(|n| put_at(n, at)),
        Value::Map(map) => map.entries_mut().iter_mut().for_each(|e| {
            e.at = at;
            put_at(&mut e.value, at);
        }),
        _ => {}
    }
}

fn is_name(name: &str) -> bool {
    let mut letters = name.chars();
    letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && letters.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The first `${…}` that holds no other and is not escaped.
fn innermost(text: &str) -> Option<&str> {
    let mut from = 0;
    while let Some(close) = text[from..].find('}').map(|i| from + i) {
        if let Some(open) = text[from..close].rfind("${").map(|i| from + i) {
            let dollars = text[..open].bytes().rev().take_while(|b| *b == b'$').count();
            if dollars % 2 == 0 {
                return Some(&text[open..=close]);
            }
        }
        from = close + 1;
    }
    None
}

/// The place of a `${…}` in the value at `at`, or the value's where it cannot be found on its line.
fn place(sources: &Sources, at: At, uri: &str) -> At {
    let line = sources.line(at);
    let start = line.char_indices().nth(at.column.saturating_sub(1) as usize).map_or(line.len(), |(i, _)| i);
    let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    match line[start..].find(uri) {
        Some(found) => {
            let before = line[start..start + found].chars().count();
            At { column: at.column + small(before), width: small(uri.chars().count()), ..at }
        }
        None => at,
    }
}

/// `$$` is how a config writes `$`.
fn unescape(node: &mut Node) {
    let once = |text: &mut String| {
        if text.contains("$$") {
            *text = text.replace("$$", "$");
        }
    };
    if let (true, Some(raw)) = (node.expanded, &mut node.raw) {
        once(raw);
    }
    match &mut node.value {
        Value::Text(text) => once(text),
        Value::List(list) => list.iter_mut().for_each(unescape),
        Value::Map(map) => map.entries_mut().iter_mut().for_each(|e| unescape(&mut e.value)),
        _ => {}
    }
}
