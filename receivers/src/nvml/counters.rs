//! The file that says which counters dcgm-exporter shows: a line for each, `field, type, help`, and comments.

use std::fmt;

use super::reading::{ALL, Kind, Reading};

/// A counter that is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    /// What it shows.
    pub reading: Reading,
    /// Under which name.
    pub name: String,
    /// As what.
    pub kind: Kind,
    /// With which help text.
    pub help: String,
}

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Counters that can be shown.
    pub counters: Vec<Counter>,
    /// Fields that cannot.
    pub unknown: Vec<String>,
}

/// A line that is none of the format's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    line: usize,
    what: String,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for Malformed {}

/// Fields of the file that are labels of every series already, or that only the library's host engine has.
const LABELS: &str = "label";

/// Reads a file of counters. Fields by their names of before and after DCGM 4.6 are known; those that NVML does not give
/// are answered apart.
///
/// # Errors
/// The first line that is not of the format.
pub fn read(text: &str) -> Result<Counters, Malformed> {
    let mut out = Counters::default();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |what: String| Malformed { line: number + 1, what };
        let mut columns = line.splitn(3, ',').map(str::trim);
        let (Some(name), Some(kind), Some(help)) = (columns.next(), columns.next(), columns.next()) else {
            return Err(wrong(format!("{line:?} needs three columns: field, type, help")));
        };
        let help = help.trim_matches('"').replace("\"\"", "\"");
        let kind = match kind {
            "gauge" => Kind::Gauge,
            "counter" => Kind::Counter,
            LABELS => continue,
            other => return Err(wrong(format!("{other:?} is no type; gauge, counter and label are"))),
        };
        match ALL.iter().find(|known| !name.is_empty() && (known.name == name || known.new_name == name)) {
            Some(known) => out.counters.push(Counter { reading: known.reading, name: name.to_owned(), kind, help }),
            None => out.unknown.push(name.to_owned()),
        }
    }
    Ok(out)
}
