//! What the rules say about a key. Keys come again with every item, so what was found out is remembered.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use pipeline::config::re2;
use pipeline::otlp::WireError;
use regex::RegexSet;

use super::config::Config;
use super::content;
use super::summary;

/// What becomes of an attribute by its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No rule is about it.
    Pass,
    /// It stays as it is, and is counted.
    Ignored,
    /// It is not on the list of keys that stay.
    Delete,
    /// Its value is masked.
    Mask,
    /// Its value is looked at.
    Look,
    /// It holds prompts or completions, unless it is a number or a boolean.
    Content,
    /// It holds the text of a log line, which may quote prompts.
    Line,
}

/// Compiled rules for keys.
#[derive(Debug)]
pub struct Keys {
    allowed: Option<HashSet<Box<str>>>,
    ignored: HashSet<Box<str>>,
    ignored_patterns: RegexSet,
    blocked_patterns: RegexSet,
    drops_content: bool,
    /// What is done where no other rule says anything.
    otherwise: Verdict,
    remembered: Mutex<Vec<Memory>>,
}

impl Keys {
    /// Compiles a config that was checked.
    ///
    /// # Errors
    /// What the check finds too.
    pub fn new(config: &Config) -> Result<Keys, String> {
        let set = |patterns: &[String]| re2::regex_set(patterns).map_err(|(_, why)| why);
        let texts = |keys: &[String]| keys.iter().map(|key| key.as_str().into()).collect::<HashSet<Box<str>>>();
        let looks = !config.blocked_values.is_empty() || !config.allowed_values.is_empty();
        Ok(Keys {
            allowed: config.has_allow_list().then(|| texts(&config.allowed_keys)),
            ignored: texts(&config.ignored_keys),
            ignored_patterns: set(&config.ignored_key_patterns)?,
            blocked_patterns: set(&config.blocked_key_patterns)?,
            drops_content: config.drops_content(),
            otherwise: if looks { Verdict::Look } else { Verdict::Pass },
            remembered: Mutex::default(),
        })
    }

    /// Whether there is nothing to be found out about keys.
    pub fn are_all_the_same(&self) -> Option<Verdict> {
        let no_rule = self.allowed.is_none() && !self.drops_content && !self.has_patterns() && self.ignored.is_empty();
        no_rule.then_some(self.otherwise)
    }

    fn has_patterns(&self) -> bool {
        !self.ignored_patterns.is_empty() || !self.blocked_patterns.is_empty()
    }

    /// Whether values are masked by their keys.
    pub fn block(&self) -> bool {
        !self.blocked_patterns.is_empty()
    }

    /// Whether a key stays, whatever else is said.
    pub fn ignore(&self, key: &str) -> bool {
        (!self.ignored.is_empty() && self.ignored.contains(key))
            || (!self.ignored_patterns.is_empty() && self.ignored_patterns.is_match(key))
    }

    /// What the rules say about a key.
    pub fn find_out(&self, key: &str) -> Verdict {
        if self.ignore(key) {
            return Verdict::Ignored;
        }
        if self.drops_content && content::is_key(key) {
            return Verdict::Content;
        }
        if self.allowed.as_ref().is_some_and(|allowed| !allowed.contains(key) && !summary::is_key(key)) {
            return Verdict::Delete;
        }
        if self.blocked_patterns.is_match(key) {
            return Verdict::Mask;
        }
        if self.drops_content && content::is_line(key) { Verdict::Line } else { self.otherwise }
    }

    /// The same, remembered: for the work on one batch.
    pub fn known(&self) -> Known<'_> {
        let memory = self.remembered.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Known { keys: self, memory: memory.unwrap_or_default() }
    }
}

/// The rules with a memory.
pub struct Known<'k> {
    keys: &'k Keys,
    memory: Memory,
}

/// How many keys are remembered, each in the one place that its bytes give it, so that nobody can make this slow.
const PLACES: usize = 512;
/// Longer keys are not remembered.
const LONGEST: usize = 96;

/// What is known of keys.
#[derive(Debug, Default)]
struct Memory {
    places: Vec<(Box<[u8]>, Option<Verdict>)>,
}

impl Known<'_> {
    /// The rules themselves.
    pub fn keys(&self) -> &Keys {
        self.keys
    }

    /// What the rules say about a key.
    ///
    /// # Errors
    /// When it is not UTF-8.
    #[inline]
    pub fn of(&mut self, key: &[u8]) -> Result<Verdict, WireError> {
        match self.memory.places.get(place(key)) {
            Some((known, Some(verdict))) if **known == *key => Ok(*verdict),
            _ => self.find_out(key),
        }
    }

    #[cold]
    fn find_out(&mut self, key: &[u8]) -> Result<Verdict, WireError> {
        let verdict = self.keys.find_out(std::str::from_utf8(key).map_err(|_| WireError::Utf8)?);
        if key.len() <= LONGEST {
            self.memory.places.resize(PLACES, Default::default());
            self.memory.places[place(key)] = (key.into(), Some(verdict));
        }
        Ok(verdict)
    }
}

impl Drop for Known<'_> {
    fn drop(&mut self) {
        let memory = std::mem::take(&mut self.memory);
        self.keys.remembered.lock().unwrap_or_else(PoisonError::into_inner).push(memory);
    }
}

/// The place of a key, from its length and its first and last bytes.
#[inline]
fn place(key: &[u8]) -> usize {
    let word = |bytes: Option<&[u8; 8]>| bytes.map(|bytes| u64::from_le_bytes(*bytes));
    let (first, last) = match (word(key.first_chunk()), word(key.last_chunk())) {
        (Some(first), Some(last)) => (first, last),
        _ => (key.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)), 0),
    };
    let mixed = (first ^ last.rotate_left(29) ^ key.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 55) as usize % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_out_is_remembered_and_keys_of_the_same_place_are_told_apart() {
        let keys = Keys::new(&Config { allowed_keys: vec!["k7".to_owned()], ..Config::default() }).unwrap();
        for round in 0..2 {
            let mut known = keys.known();
            for n in 0..2000 {
                let key = format!("k{n}");
                let expected = if n == 7 { Verdict::Pass } else { Verdict::Delete };
                assert_eq!(known.of(key.as_bytes()), Ok(expected), "{key} {round}");
            }
            let long = "x".repeat(5000);
            assert_eq!(known.of(long.as_bytes()), Ok(Verdict::Delete));
        }
        let memories = keys.remembered.lock().unwrap();
        assert_eq!(memories.len(), 1);
        assert!(memories[0].places.iter().all(|(key, _)| key.len() <= LONGEST));
    }

    #[test]
    fn a_key_that_is_no_text_is_malformed() {
        let keys = Keys::new(&Config::default()).unwrap();
        assert_eq!(keys.known().of(b"\xff"), Err(WireError::Utf8));
    }
}
