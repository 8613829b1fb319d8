//! Lines at the start of a file that are no records but say something of all of them.

use pipeline::config::{Problem, re2};
use regex::Regex;
use tokio::time::Instant;

use super::config;
use super::config::Oversize;
use super::contents::Contents;
use super::encoding::{Encoding, Text};
use super::lines::{Cutter, Ends, Piece};
use super::operators::{Around, Entry, Gone, Held, Map, Out, Steps, Trouble, Value};
use super::progress::{Position, bytes_at};

/// The longest header.
const MOST: usize = 1 << 20;

/// How headers are read.
#[derive(Debug)]
pub struct Header {
    pattern: Regex,
    steps: Steps,
    cutter: Cutter,
}

/// What a header says.
#[derive(Debug, Default)]
pub struct Read {
    /// Where it ends.
    pub end: u64,
    /// Whether something else follows, so that it is whole.
    pub whole: bool,
    /// The attributes of all records of the file.
    pub attributes: Map<'static>,
}

impl Header {
    /// Compiles the settings.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn new(config: &config::Header, encoding: Encoding) -> Result<Header, Vec<Problem>> {
        let mut problems = Vec::new();
        if config.pattern.is_empty() || config.metadata_operators.is_empty() {
            problems.push(Problem::at("header", "needs \"pattern\" and \"metadata_operators\""));
        }
        let pattern = re2::regex(&config.pattern).map_err(|why| problems.push(Problem::at("header.pattern", why))).ok();
        let steps = Steps::build(&config.metadata_operators).map_err(|all| {
            let path = |problem: &Problem| match problem.path.strip_prefix("operators") {
                Some(rest) => format!("header.metadata_operators{rest}"),
                None => problem.path.clone(),
            };
            problems.extend(all.iter().map(|p| Problem::at(path(p), p.message.clone())));
        });
        match (pattern, steps) {
            (Some(pattern), Ok(steps)) if problems.is_empty() => Ok(Header {
                pattern,
                steps,
                cutter: Cutter { most: MOST, oversize: Oversize::Split, ends: Ends::Newline, encoding },
            }),
            _ => Err(problems),
        }
    }

    /// Reads the header of a file as far as it is there.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&self, file: &Contents) -> std::io::Result<Read> {
        let bytes = bytes_at(file, 0, MOST)?;
        let mut read = Read::default();
        let mut at = 0;
        while at < bytes.len() {
            let Piece::Line { from, to, taken } = self.cutter.next(&bytes[at..], &mut false, false) else { break };
            let Text::Text { text, .. } = self.cutter.encoding.decode(&bytes[at + from..at + to], at == 0) else {
                break;
            };
            if !self.pattern.is_match(&text) {
                read.whole = true;
                break;
            }
            let entry = Entry::new(Value::Text(text), Map::default(), Map::default(), 0);
            let mut held = Held::default();
            let mut around = Around { held: &mut held, place: Position::START, now: Instant::now(), of_path: &[] };
            self.steps.run(entry, &mut around, &mut Attributes(&mut read.attributes));
            self.steps.release(None, &mut around, &mut Attributes(&mut read.attributes));
            at += taken;
        }
        read.end = at as u64;
        // A header without an end is cut off there.
        read.whole |= bytes.len() == MOST;
        Ok(read)
    }
}

/// Takes the attributes of entries.
struct Attributes<'m>(&'m mut Map<'static>);

impl Out for Attributes<'_> {
    fn entry(&mut self, entry: &Entry<'_>) {
        for (key, value) in entry.attributes().iter() {
            self.0.set(key.to_owned(), value.clone().into_owned());
        }
    }

    fn gone(&mut self, _: Gone, _: &Entry<'_>) {}

    fn trouble(&mut self, _: Trouble<'_>) {}
}
