//! What waits to be put together with what comes: parts of a record that stands in several lines. It belongs to the place
//! reached in a file, which has not arrived as long as something before it waits here.

use std::time::Duration;

use tokio::time::Instant;

use super::entry::Entry;
use super::field::Field;
use crate::file_log::progress::Position;

/// How entries are put together.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The text that is put together.
    pub field: Field,
    /// What is put between the texts.
    pub with: String,
    /// Whether everything else comes from the last entry instead of the first.
    pub newest: bool,
    /// The most entries.
    pub most: Option<usize>,
    /// The most entries where none has begun or ended a record.
    pub most_unmatched: Option<usize>,
    /// The longest text in bytes, about: what goes beyond is in it.
    pub most_bytes: usize,
    /// How long a record waits for more.
    pub after: Option<Duration>,
    /// How many records wait at once.
    pub most_sources: usize,
}

/// The longest text where nothing is said.
pub const MOST_BYTES: usize = 1 << 20;

/// An entry's part in a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Whose record.
    pub source: String,
    /// Its text.
    pub text: String,
    /// Whether it begins a record.
    pub first: bool,
    /// Whether it ends one.
    pub last: bool,
}

/// The records of one file that are not whole yet.
#[derive(Clone, Debug, Default)]
pub struct Held {
    groups: Vec<Group>,
}

/// A record that is not whole yet.
#[derive(Clone, Debug)]
pub struct Group {
    /// The step that puts it together.
    pub step: usize,
    source: String,
    entry: Entry<'static>,
    text: String,
    entries: usize,
    matched: bool,
    until: Option<Instant>,
    /// Where its first line stands.
    pub first: Position,
}

impl Held {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Where the first line stands that waits.
    pub fn first(&self) -> Option<Position> {
        self.groups.iter().map(|g| g.first).min_by_key(|p| p.offset)
    }

    /// Whether something has waited for long enough.
    pub fn is_due(&self, now: Instant) -> bool {
        self.groups.iter().any(|g| g.is_due(now))
    }

    /// When something will have waited for long enough.
    pub fn due(&self) -> Option<Instant> {
        self.groups.iter().filter_map(|g| g.until).min()
    }

    /// Everything that waits stands at that place from now on: its own is gone.
    pub fn move_to(&mut self, place: Position) {
        self.groups.iter_mut().for_each(|g| g.first = place);
    }

    /// Takes out what has waited for long enough, or everything.
    pub fn take_due(&mut self, now: Option<Instant>) -> Vec<Group> {
        self.groups.extract_if(.., |g| now.is_none_or(|now| g.is_due(now))).collect()
    }

    /// Whether a record of that source waits at a step.
    pub fn has(&self, step: usize, source: &str) -> bool {
        self.at(step, source).is_some()
    }

    /// Takes a record out.
    pub fn take(&mut self, step: usize, source: &str) -> Option<Group> {
        let at = self.at(step, source)?;
        Some(self.groups.remove(at))
    }

    /// Takes out the record that has waited longest at a step, if as many wait there as may.
    pub fn take_beyond(&mut self, step: usize, rule: &Rule) -> Option<Group> {
        let here = self.groups.iter().filter(|g| g.step == step).count();
        let oldest = self.groups.iter().position(|g| g.step == step)?;
        (here >= rule.most_sources).then(|| self.groups.remove(oldest))
    }

    /// Adds a part to the record of its source. Answers the record if that makes it whole, or as large as it may be.
    pub fn add(
        &mut self,
        step: usize,
        part: Part,
        entry: Entry<'static>,
        rule: &Rule,
        place: Position,
        now: Instant,
    ) -> Option<Group> {
        let at = if let Some(at) = self.at(step, &part.source) {
            let group = &mut self.groups[at];
            group.entries += 1;
            if rule.newest {
                group.entry = entry;
            }
            group.text.push_str(&rule.with);
            group.text.push_str(&part.text);
            at
        } else {
            self.groups.push(Group {
                step,
                source: part.source,
                entry,
                text: part.text,
                entries: 1,
                matched: false,
                until: rule.after.map(|after| now + after),
                first: place,
            });
            self.groups.len() - 1
        };
        let group = &mut self.groups[at];
        group.matched |= part.first || part.last;
        let full = group.text.len() > rule.most_bytes
            || rule.most.is_some_and(|most| group.entries >= most)
            || (!group.matched && rule.most_unmatched.is_some_and(|most| group.entries >= most));
        (part.last || full).then(|| self.groups.remove(at))
    }

    fn at(&self, step: usize, source: &str) -> Option<usize> {
        self.groups.iter().position(|g| g.step == step && g.source == source)
    }
}

impl Group {
    fn is_due(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now >= until)
    }

    /// The entry that it gives, and its whole text.
    pub fn into_parts(self) -> (Entry<'static>, String) {
        (self.entry, self.text)
    }
}
