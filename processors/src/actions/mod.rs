//! The attribute actions that the `resource` and `attributes` processors share: their config and its checks.
//! [`run`] compiles and applies them.

mod run;
#[cfg(test)]
mod tests;

use pipeline::config::{Problem, re2};
use serde::Deserialize;

pub use run::Actions;

use crate::value::Value;

/// One action, as the config writes it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Action {
    /// The attribute to act on.
    pub key: String,
    /// What to do: `insert`, `update`, `upsert`, `delete`, `hash`, `extract` or `convert`, in any letter case.
    pub action: String,
    /// For insert, update and upsert: the value itself.
    pub value: Value,
    /// For insert, update and upsert: the attribute whose value is taken; nothing happens without it.
    pub from_attribute: String,
    /// For insert, update and upsert: `metadata.<header>`, `client.address` or a bare header name.
    pub from_context: String,
    /// For extract: a regular expression whose named groups become attributes; for delete and hash: matches keys.
    pub pattern: String,
    /// For convert: `int`, `double` or `string`.
    pub converted_type: String,
}

/// What an action does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Insert,
    Update,
    Upsert,
    Delete,
    Hash,
    Extract,
    Convert,
}

impl Verb {
    const ALL: [(&'static str, Verb); 7] = [
        ("insert", Verb::Insert),
        ("update", Verb::Update),
        ("upsert", Verb::Upsert),
        ("delete", Verb::Delete),
        ("hash", Verb::Hash),
        ("extract", Verb::Extract),
        ("convert", Verb::Convert),
    ];

    fn of(action: &Action) -> Option<Verb> {
        Verb::ALL.into_iter().find(|(name, _)| action.action.eq_ignore_ascii_case(name)).map(|(_, verb)| verb)
    }

    fn writes(self) -> bool {
        matches!(self, Verb::Insert | Verb::Update | Verb::Upsert)
    }
}

/// Everything wrong with a list of actions that stands under `path`.
pub fn check(actions: &[Action], path: &str, problems: &mut Vec<Problem>) {
    if actions.is_empty() {
        problems.push(Problem::at(path, "must have at least one action"));
    }
    for (i, action) in actions.iter().enumerate() {
        check_one(action, &format!("{path}.{i}"), problems);
    }
}

fn check_one(action: &Action, path: &str, problems: &mut Vec<Problem>) {
    let mut wrong = |field: &str, message: String| {
        let path = if field.is_empty() { path.to_owned() } else { format!("{path}.{field}") };
        problems.push(Problem::at(path, message));
    };
    let Some(verb) = Verb::of(action) else {
        let known = Verb::ALL.map(|(name, _)| name).join(", ");
        if action.action.is_empty() {
            wrong("", format!("needs an action: {known}"));
        } else {
            wrong("action", format!("is {:?}, use one of {known}", action.action));
        }
        return;
    };
    let name = action.action.to_ascii_lowercase();
    let takes_pattern = matches!(verb, Verb::Delete | Verb::Hash | Verb::Extract);
    if action.key.is_empty() {
        match verb {
            Verb::Delete | Verb::Hash if !action.pattern.is_empty() => {}
            Verb::Delete | Verb::Hash => wrong("", format!("needs a key or a pattern to {name}")),
            _ => wrong("", format!("needs a key: the attribute to {name}")),
        }
    }
    let sources = [
        ("value", !action.value.is_null()),
        ("from_attribute", !action.from_attribute.is_empty()),
        ("from_context", !action.from_context.is_empty()),
    ];
    let given: Vec<_> = sources.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect();
    match (verb.writes(), given.as_slice()) {
        (true, []) => wrong("", format!("needs a value, a from_attribute or a from_context to {name}")),
        (true, [_]) | (false, []) => {}
        (true, several) => wrong("", format!("takes one of {}, not {}", several.join(", "), several.len())),
        (false, some) => some
            .iter()
            .for_each(|field| wrong(field, format!("does not go with {name}, only with insert, update and upsert"))),
    }
    if !takes_pattern && !action.pattern.is_empty() {
        wrong("pattern", format!("does not go with {name}, only with extract, delete and hash"));
    }
    if verb != Verb::Convert && !action.converted_type.is_empty() {
        wrong("converted_type", format!("does not go with {name}, only with convert"));
    }
    if takes_pattern
        && !action.pattern.is_empty()
        && let Some(message) = check_pattern(verb, &action.pattern)
    {
        wrong("pattern", message);
    }
    match (verb, action.converted_type.as_str()) {
        (Verb::Extract, _) if action.pattern.is_empty() => {
            wrong("", "needs a pattern to extract: a regular expression with named groups".to_owned());
        }
        (Verb::Convert, "") => wrong("", "needs a converted_type: int, double or string".to_owned()),
        (Verb::Convert, to) if !["int", "double", "string"].contains(&to) => {
            wrong("converted_type", format!("is {to:?}, use int, double or string"));
        }
        _ => {}
    }
}

fn check_pattern(verb: Verb, pattern: &str) -> Option<String> {
    let regex = match re2::regex(pattern) {
        Ok(regex) => regex,
        Err(why) => return Some(why),
    };
    let mut groups = regex.capture_names().skip(1).peekable();
    if verb != Verb::Extract {
        None
    } else if groups.peek().is_none() {
        Some(format!("is {pattern:?}, which has no named group: write (?P<attribute>…) around what to extract"))
    } else if groups.any(|name| name.is_none()) {
        Some(format!(
            "is {pattern:?}, which has a group without a name: write (?P<attribute>…), or (?:…) for a plain group"
        ))
    } else {
        None
    }
}
