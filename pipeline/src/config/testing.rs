//! A door to the decoder for the tests of components: what a config of theirs becomes, and what its errors say.

use serde::de::DeserializeOwned;

use super::decode::{Body, Notes, decode as decode_body};
use super::parse::parse;
use super::report::{Report, Severity, Style};
use super::tree::{At, Node};
use super::{Settings, check};

/// A component's body, decoded and checked as the product would do it.
///
/// # Errors
/// The errors as the user sees them. The body is called `settings`, the file `test.yaml`.
pub fn decode<C: Settings>(yaml: &str) -> Result<C, String> {
    let (mut report, node) = read(yaml)?;
    let mut notes = Notes::default();
    let config = decode_body::<C>(&body(&node, C::REMOVED), &mut notes);
    if let Some(config) = &config {
        check::settings(config, &body(&node, &[]), &mut notes);
    }
    answer(&mut report, notes, config)
}

/// Like [`decode`] for any decodable type, such as a shared block.
///
/// # Errors
/// The errors as the user sees them.
pub fn decode_block<T: DeserializeOwned>(yaml: &str) -> Result<T, String> {
    let (mut report, node) = read(yaml)?;
    let mut notes = Notes::default();
    let value = decode_body::<T>(&body(&node, &[]), &mut notes);
    answer(&mut report, notes, value)
}

fn read(yaml: &str) -> Result<(Report, Node), String> {
    let mut report = Report::default();
    let source = report.sources.add("test.yaml", yaml);
    match parse(yaml, source) {
        Ok(mut node) => {
            node.number();
            Ok((report, node))
        }
        Err(problems) => {
            problems.into_iter().for_each(|p| report.push(p));
            Err(report.render(Style::Plain))
        }
    }
}

fn body<'a>(node: &'a Node, removed: &'static [(&'static str, &'static str)]) -> Body<'a> {
    Body { path: "settings", at: At { width: 1, ..node.at }, node, removed }
}

fn answer<T>(report: &mut Report, notes: Notes, value: Option<T>) -> Result<T, String> {
    notes.diagnostics.into_iter().filter(|d| d.severity == Severity::Error).for_each(|d| report.push(d));
    report.sort();
    match value {
        Some(value) if report.errors() == 0 => Ok(value),
        _ => Err(report.render(Style::Plain)),
    }
}
