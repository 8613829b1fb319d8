//! A door to the decoder for the tests of components: what a config of theirs becomes, and what its errors say.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::decode::{Body, Notes, decode as decode_body};
use super::expand::expand;
use super::parse::parse;
use super::report::{Report, Severity, Style};
use super::tree::{At, Node};
use super::{Settings, Surroundings, check};
use crate::delivery;
use crate::registry::{ExporterFactory, exporter_settings};

/// A component's body, expanded (`$$` is `$`, no variable is set), decoded and checked as the product would do it.
///
/// # Errors
/// The errors as the user sees them. The body is called `settings`, the file `test.yaml`.
pub fn decode<C: Settings>(yaml: &str) -> Result<C, String> {
    let (mut report, node) = read(yaml)?;
    let mut notes = Notes::default();
    let config = check::decoded::<C>(&body(&node), &mut notes);
    answer(&mut report, &node, notes, config)
}

/// Like [`decode`] for any decodable type, such as a shared block.
///
/// # Errors
/// The errors as the user sees them.
pub fn decode_block<T: DeserializeOwned>(yaml: &str) -> Result<T, String> {
    let (mut report, node) = read(yaml)?;
    let mut notes = Notes::default();
    let value = decode_body::<T>(&body(&node), &mut notes);
    answer(&mut report, &node, notes, value)
}

/// An exporter's body: its own config, and delivery's settings with the factory's defaults.
///
/// # Errors
/// The errors as the user sees them.
pub fn decode_exporter<F: ExporterFactory>(yaml: &str) -> Result<(F::Config, delivery::Settings), String> {
    let (mut report, node) = read(yaml)?;
    let mut notes = Notes::default();
    let both = exporter_settings::<F>(&body(&node), &mut notes);
    answer(&mut report, &node, notes, both)
}

/// What is said of a component's body that is no error, as the user sees it.
///
/// # Panics
/// When the body does not decode.
pub fn warnings<C: Settings>(yaml: &str) -> String {
    let (mut report, node) = read(yaml).unwrap_or_else(|errors| panic!("{errors}"));
    let mut notes = Notes::default();
    check::decoded::<C>(&body(&node), &mut notes);
    report.secret_places = node.places(&notes.secrets);
    notes.diagnostics.into_iter().filter(|d| d.severity == Severity::Warning).for_each(|d| report.push(d));
    report.render(Style::Plain)
}

fn read(yaml: &str) -> Result<(Report, Node), String> {
    let mut report = Report::default();
    let source = report.sources.add("test.yaml", yaml);
    match parse(yaml, source) {
        Ok(mut node) => {
            expand(&mut node, &nothing_around(), &mut report);
            node.number();
            Ok((report, node))
        }
        Err(problems) => {
            problems.into_iter().for_each(|p| report.push(p));
            Err(report.render(Style::Plain))
        }
    }
}

/// No variables, no files.
fn nothing_around() -> Surroundings {
    let nowhere = |_: &Path| Err(io::Error::new(io::ErrorKind::NotFound, "no such file"));
    Surroundings { read_file: Arc::new(nowhere), variables: BTreeMap::new(), data_dir: PathBuf::new() }
}

fn body(node: &Node) -> Body<'_> {
    Body { path: "settings", at: At { width: 1, ..node.at }, node, removed: &[] }
}

fn answer<T>(report: &mut Report, node: &Node, notes: Notes, value: Option<T>) -> Result<T, String> {
    report.secret_places = node.places(&notes.secrets);
    notes.diagnostics.into_iter().filter(|d| d.severity == Severity::Error).for_each(|d| report.push(d));
    report.sort();
    match value {
        Some(value) if report.errors() == 0 => Ok(value),
        _ => Err(report.render(Style::Plain)),
    }
}
