//! Where configs come from: `--config` and `--set` to trees. Network schemes are not supported, and say so.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::data_dir;
use super::merge::{merge, unfold};
use super::parse::{MOST_BYTES, parse};
use super::report::{Diagnostic, Report, Rule};
use super::tree::{At, Entry, Map, Node, Value};
use crate::doors::Files;

/// What a command line says about the config.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// Each `--config`: a path, `file:path`, `env:NAME`, `yaml:text` or `builtin:name`. Later ones lie over earlier ones.
    pub configs: Vec<String>,
    /// Each `--set`: `key.key=value`, laid over all configs.
    pub sets: Vec<String>,
    /// The configs that `builtin:name` finds.
    pub builtin: &'static [(&'static str, &'static str)],
}

/// Reads a small file as a whole.
pub type ReadFile = Arc<dyn Fn(&Path) -> io::Result<Vec<u8>> + Send + Sync>;

/// What a config may read beside itself.
#[derive(Clone)]
pub struct Surroundings {
    /// Reads a small file as a whole, for `--config`, `file:` and `${file:…}`.
    pub read_file: ReadFile,
    /// Environment variables.
    pub variables: BTreeMap<String, String>,
    /// Where state is kept when the config does not say.
    pub data_dir: PathBuf,
}

impl Surroundings {
    /// The process' own.
    pub fn real(files: Arc<dyn Files>) -> Surroundings {
        let text = |s: std::ffi::OsString| s.to_string_lossy().into_owned();
        let variables: BTreeMap<String, String> = std::env::vars_os().map(|(k, v)| (text(k), text(v))).collect();
        let data_dir = data_dir::default(&variables);
        Surroundings { read_file: Arc::new(move |path| files.read_small(path, MOST_BYTES)), variables, data_dir }
    }

    /// A small text file.
    ///
    /// # Errors
    /// What the operating system says, or that it is no text.
    pub(super) fn read(&self, path: &str) -> Result<String, String> {
        let bytes = (self.read_file)(Path::new(path)).map_err(|error| error.to_string())?;
        text_of(bytes)
    }
}

/// Bytes as text, or what they seem to be instead.
fn text_of(bytes: Vec<u8>) -> Result<String, String> {
    const GZIP: &[u8] = &[0x1f, 0x8b];
    let seems = match bytes.as_slice() {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("it is UTF-16; save it as UTF-8"),
        bytes if bytes.starts_with(GZIP) => Some("it is compressed; unpack it first (gunzip)"),
        bytes if bytes.contains(&0) => Some("it is no text but binary data"),
        _ => None,
    };
    if let Some(seems) = seems {
        return Err(seems.to_owned());
    }
    String::from_utf8(bytes).map(|text| text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)).map_err(
        |error| {
            let (at, bytes) = (error.utf8_error().valid_up_to(), error.as_bytes());
            let line = bytes[..at].split(|b| *b == b'\n').count();
            format!("it is not UTF-8 text: line {line} has the byte 0x{:02x}; save it as UTF-8", bytes[at])
        },
    )
}

/// Reads and merges everything that was given. What could not be read is in the report.
pub fn read(inputs: &Inputs, surroundings: &Surroundings, report: &mut Report) -> Node {
    let mut merged = Node::new(Value::Map(Map::default()), At::default());
    let configs = inputs.configs.iter().map(|uri| config(uri, inputs, surroundings, report)).collect::<Vec<_>>();
    let sets = inputs.sets.iter().map(|set| one_set(set, report)).collect::<Vec<_>>();
    for tree in configs.into_iter().chain(sets) {
        match tree.and_then(|node| unfold(node).map_err(|d| vec![d])) {
            Ok(Node { value: Value::Null, .. }) => {}
            Ok(node) if node.as_map().is_some() => merge(&mut merged, node),
            Ok(node) => report.push(
                Diagnostic::error(node.at, format!("a config is a map, not {}", node.describe()))
                    .rule(Rule::Source)
                    .help("it has the keys receivers, processors, exporters, extensions and service"),
            ),
            Err(problems) => problems.into_iter().for_each(|p| report.push(p)),
        }
    }
    merged
}

/// The scheme of `scheme:rest`, if there is one.
pub(super) fn scheme(uri: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = uri.split_once(':')?;
    let mut letters = scheme.chars();
    let starts = letters.next().is_some_and(|c| c.is_ascii_alphabetic());
    let follows = letters.clone().count() > 0 && letters.all(|c| c.is_ascii_alphanumeric() || "+.-".contains(c));
    (starts && follows).then_some((scheme, rest))
}

fn config(
    uri: &str,
    inputs: &Inputs,
    surroundings: &Surroundings,
    report: &mut Report,
) -> Result<Node, Vec<Diagnostic>> {
    let (scheme, rest) = scheme(uri).unwrap_or(("file", uri));
    let text = match scheme {
        "file" => surroundings.read(rest).map_err(|error| format!("cannot read the config: {error}")),
        "env" => surroundings.variables.get(rest).cloned().ok_or_else(|| format!("the variable {rest} is not set")),
        "yaml" => Ok(rest.to_owned()),
        "builtin" => {
            inputs.builtin.iter().find(|(name, _)| *name == rest).map(|(_, text)| (*text).to_owned()).ok_or_else(|| {
                let names: Vec<&str> = inputs.builtin.iter().map(|(name, _)| *name).collect();
                format!("there is no builtin config {rest:?}; there are: {}", names.join(", "))
            })
        }
        other => Err(unknown_scheme(other)),
    };
    let name = if scheme == "file" { rest } else { uri };
    match text {
        Ok(text) if scheme == "yaml" => parse(&text, report.sources.add("--config yaml", &text)),
        Ok(text) => parse(&text, report.sources.add(name, &text)),
        Err(message) => {
            let at = At { source: report.sources.add(name, ""), ..At::default() };
            Err(vec![Diagnostic::error(at, message).rule(Rule::Source)])
        }
    }
}

/// What to say of a scheme that is not there.
pub(super) fn unknown_scheme(scheme: &str) -> String {
    match scheme {
        "http" | "https" => {
            format!(
                "the scheme {scheme:?} is not supported: fetch the text first, and give it as a file, or as env: or yaml:"
            )
        }
        _ => format!("scheme {scheme:?} is not supported; there are: file, env, yaml"),
    }
}

/// `a.b.c=value`, the value in YAML.
fn one_set(set: &str, report: &mut Report) -> Result<Node, Vec<Diagnostic>> {
    let source = report.sources.add("--set", set);
    let at = At { source, line: 1, column: 1, width: 1 };
    let Some((path, value)) = set.split_once('=').filter(|(path, _)| !path.is_empty()) else {
        let problem = Diagnostic::error(at, "takes key=value").rule(Rule::Source);
        let problem = problem.help("such as --set processors.batch.timeout=2s");
        return Err(vec![problem]);
    };
    let before = u32::try_from(path.chars().count() + 1).unwrap_or(u32::MAX);
    let mut value = parse(value, source).map_err(|mut problems| {
        problems.iter_mut().for_each(|p| shift_at(&mut p.at, before));
        problems.iter_mut().flat_map(|p| &mut p.also).for_each(|(at, _)| shift_at(at, before));
        problems
    })?;
    shift(&mut value, before);
    let key_at = At { width: before - 1, ..at };
    let entry = Entry { key: path.replace('.', "::"), at: key_at, value };
    Ok(Node::new(Value::Map(Map::from_entries([entry])), at))
}

/// Moves the places on a text's first line to the right.
fn shift(node: &mut Node, by: u32) {
    shift_at(&mut node.at, by);
    match &mut node.value {
        Value::List(list) => list.iter_mut().for_each(|n| shift(n, by)),
        Value::Map(map) => map.entries_mut().iter_mut().for_each(|e| {
            shift_at(&mut e.at, by);
            shift(&mut e.value, by);
        }),
        _ => {}
    }
}

fn shift_at(at: &mut At, by: u32) {
    if at.line == 1 {
        at.column = at.column.saturating_add(by);
    }
}
