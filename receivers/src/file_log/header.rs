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

    /// Reads the header of a file as far as it is there. `trouble` hears of operators that could not work on its lines.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&self, file: &Contents, trouble: &mut dyn FnMut(Trouble<'_>)) -> std::io::Result<Read> {
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
            let mut out = Attributes { all: &mut read.attributes, trouble };
            self.steps.run(entry, &mut around, &mut out);
            self.steps.release(None, &mut around, &mut out);
            at += taken;
        }
        read.end = at as u64;
        // A header without an end is cut off there.
        read.whole |= bytes.len() == MOST;
        Ok(read)
    }
}

/// Takes the attributes of entries.
struct Attributes<'m> {
    all: &'m mut Map<'static>,
    trouble: &'m mut dyn FnMut(Trouble<'_>),
}

impl Out for Attributes<'_> {
    fn entry(&mut self, entry: &Entry<'_>) {
        for (key, value) in entry.attributes().iter() {
            self.all.set(key.to_owned(), value.clone().into_owned());
        }
    }

    fn gone(&mut self, _: Gone, _: &Entry<'_>) {}

    fn trouble(&mut self, trouble: Trouble<'_>) {
        (self.trouble)(trouble);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pipeline::config::testing;
    use pipeline::doors::{Clock, Files};
    use pipeline::testing::VirtualFiles;

    use super::*;

    #[test]
    fn what_operators_cannot_read_of_a_header_is_said() {
        let yaml = "include: [/a.log]
start_at: beginning
header: { pattern: '^#', metadata_operators: [{ type: regex_parser, regex: '^# (?P<key>\\w+)$' }] }";
        let config: config::Config = testing::decode(yaml).unwrap();
        let header = Header::new(&config.header.unwrap(), Encoding::Utf8).unwrap();
        let files = VirtualFiles::new(Clock::system());
        files.put("/a.log", "# one\n# t-w-o\nline\n");
        let (file, mut said) = (Contents::of(files.open(Path::new("/a.log")).unwrap(), false), Vec::new());
        let read = header.read(&file, &mut |t| said.push(format!("{}: {}", t.operator, t.why))).unwrap();
        assert_eq!(
            (read.whole, read.end, read.attributes.get("key").and_then(Value::as_text)),
            (true, 14, Some("one"))
        );
        assert_eq!(said, ["regex_parser: it does not match the regular expression"]);
    }
}
