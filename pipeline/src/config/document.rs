//! Documents that are not the config itself, such as lists of targets that somebody else writes: YAML or JSON to a typed
//! value, strictly.

use serde::de::DeserializeOwned;

use super::decode::{Body, Notes, decode};
use super::parse::parse;
use super::report::{Diagnostic, Report, Severity, Style};
use super::tree::Node;
use super::{Settings, check};

/// Reads a document. An empty one is `T`'s default.
///
/// # Errors
/// Everything that is wrong with it, in one text.
pub fn read_document<T: DeserializeOwned + Default>(contents: &[u8]) -> Result<T, String> {
    let text = std::str::from_utf8(contents).map_err(|_| "it is not UTF-8".to_owned())?;
    let joined = |messages: Vec<&str>| messages.join("; ");
    let mut node = parse(text, 0).map_err(|all| joined(all.iter().map(|d| d.message.as_str()).collect()))?;
    if node.is_null() {
        return Ok(T::default());
    }
    node.number();
    let mut notes = Notes::default();
    let value = decode(&Body { path: "document", at: node.at, node: &node, removed: &[] }, &mut notes);
    let errors = notes.diagnostics.iter().filter(|d| d.severity == Severity::Error);
    let errors = joined(errors.map(|d| d.message.as_str()).collect());
    if errors.is_empty() { value.ok_or_else(|| "it cannot be read".to_owned()) } else { Err(errors) }
}

/// Reads a config in a language of its own, such as a `prometheus.yml`, and checks it. Nothing is expanded in it.
///
/// # Errors
/// Everything that is wrong with it, as a person reads it: each with the file's name, line and column. `root` is what the
/// whole is called in messages.
pub fn read_settings<C: Settings>(name: &str, root: &str, contents: &[u8]) -> Result<C, String> {
    let text = std::str::from_utf8(contents).map_err(|_| format!("{name} is not UTF-8 text"))?;
    let mut report = Report::default();
    let parsed = parse(text, report.sources.add(name, text));
    let render = |mut report: Report, problems: Vec<Diagnostic>| {
        problems.into_iter().filter(|d| d.severity == Severity::Error).for_each(|d| report.push(d));
        report.sort();
        report.render(Style::Plain)
    };
    let mut node = match parsed {
        Ok(node) => node,
        Err(problems) => return Err(render(report, problems)),
    };
    node.number();
    let mut notes = Notes::default();
    let config = check::decoded::<C>(&Body { path: root, at: node.at, node: &node, removed: &[] }, &mut notes);
    report.secret_places = node.places(&notes.secrets);
    match config {
        Some(config) if notes.diagnostics.iter().all(|d| d.severity != Severity::Error) => Ok(config),
        _ => Err(render(report, notes.diagnostics)),
    }
}

/// A text as the value that YAML reads it as, in JSON.
pub fn yaml_value(text: &str) -> Option<serde_json::Value> {
    parse(text, 0).ok().map(|node| super::print::plain_json(&node))
}

/// Lets `decode` read a text as a component's body. What the component's own check says does not count.
///
/// # Errors
/// The first that is wrong with the text or its keys and values.
pub(crate) fn read_body(
    text: &str,
    removed: &'static [(&'static str, &'static str)],
    decode: impl FnOnce(&Body<'_>, &mut Notes) -> Option<String>,
) -> Result<String, String> {
    let first = |all: &[Diagnostic]| all.first().map_or_else(String::new, |d| d.message.clone());
    let mut node = parse(text, 0).map_err(|problems| first(&problems))?;
    node.number();
    let mut notes = Notes::default();
    let value = decode(&Body { path: "body", at: node.at, node: &node, removed }, &mut notes);
    // A check's words stand behind a colon.
    notes.diagnostics.retain(|d| d.severity == Severity::Error && !d.message.contains("': "));
    match value {
        Some(value) if notes.diagnostics.is_empty() => Ok(value),
        _ => Err(first(&notes.diagnostics)),
    }
}

/// A document that was read with the places of what is in it.
pub struct Document<C> {
    /// What it says; `None` when nothing usable is left.
    pub value: Option<C>,
    /// What is written in it.
    pub tree: Node,
    /// What is wrong with it; whoever reads on in the tree adds to it.
    pub report: Report,
}

/// Reads a document and checks it, and keeps what is written in it for what is not decoded. Nothing is expanded.
pub fn read_whole<C: Settings>(name: &str, root: &str, text: &str) -> Document<C> {
    let mut report = Report::default();
    let source = report.sources.add(name, text);
    let mut tree = match parse(text, source) {
        Ok(tree) => tree,
        Err(problems) => {
            problems.into_iter().for_each(|problem| report.push(problem));
            return Document { value: None, tree: Node::default(), report };
        }
    };
    tree.number();
    let mut notes = Notes::default();
    let value = check::decoded::<C>(&Body { path: root, at: tree.at, node: &tree, removed: &[] }, &mut notes);
    notes.diagnostics.into_iter().for_each(|problem| report.push(problem));
    report.sort();
    Document { value, tree, report }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::super::{Problem, Written};
    use super::*;

    #[derive(Clone, Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Ports {
        ports: Vec<u16>,
    }

    impl Settings for Ports {
        fn check(&self) -> Vec<Problem> {
            let zeros = self.ports.iter().enumerate().filter(|(_, port)| **port == 0);
            zeros.map(|(i, _)| Problem::at(format!("ports.{i}"), "0 is no port")).collect()
        }
    }

    #[test]
    fn a_config_of_its_own_is_checked_and_its_problems_have_places() {
        let read = |text: &str| read_settings::<Ports>("ports.yml", "ports.yml", text.as_bytes());
        assert_eq!(read("ports: [1, 2]").unwrap().ports, [1, 2]);
        assert_eq!(read("").unwrap(), Ports::default());
        let error = read("ports:\n- 1\n- 0\nport: 1\n").unwrap_err();
        for part in ["ports.yml:3:", "0 is no port", "ports.yml:4:", "did you mean `ports`"] {
            assert!(error.contains(part), "{error}");
        }
        assert!(read("ports: [").unwrap_err().contains("ports.yml:"));
    }

    #[derive(Clone, Debug, Default, Deserialize)]
    #[serde(default)]
    struct Free {
        free: Written,
        absent: Written,
    }

    impl Settings for Free {}

    #[test]
    fn what_is_not_decoded_keeps_its_places() {
        let read = read_whole::<Free>("free.yaml", "free", "free:\n  a: [1]\nother: 1\n");
        let value = read.value.unwrap();
        let list = value.free.node(&read.tree).as_map().unwrap().value("a").unwrap();
        assert_eq!((list.at.line, list.at.column), (2, 6));
        assert!(value.free.is_there() && !value.absent.is_there());
        assert!(value.absent.node(&read.tree).is_null());
        assert!(read.report.render(Style::Plain).contains("free.yaml:3:1"), "{}", read.report.render(Style::Plain));
    }

    #[test]
    fn yaml_and_json_are_read_and_what_is_wrong_is_said() {
        assert_eq!(read_document(b"[1, 2]"), Ok(vec![1, 2]));
        assert_eq!(read_document(b"- 1\n- 2\n"), Ok(vec![1, 2]));
        assert_eq!(read_document(b"# nothing yet\n"), Ok(Vec::<i64>::new()));
        assert!(read_document::<Vec<i64>>(b"[1, a]").unwrap_err().contains("'document[1]'"));
        assert!(read_document::<Vec<i64>>(b"[1").is_err());
        assert!(read_document::<Vec<i64>>(b"\xff").is_err());
    }
}
