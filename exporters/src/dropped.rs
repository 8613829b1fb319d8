//! Items that an exporter itself cannot send, counted by reason.

use pipeline::Reason;

/// Messages that are kept of each reason code; further ones count under the last of these.
const MOST_MESSAGES: usize = 16;

/// Counts by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    counts: Vec<(Reason, usize)>,
}

impl Dropped {
    /// Counts items for a reason.
    pub fn add(&mut self, code: &'static str, message: &'static str, items: usize) {
        self.add_reason(Reason::new(code, message), items);
    }

    /// Counts items for a reason.
    pub fn add_reason(&mut self, reason: Reason, items: usize) {
        if items == 0 {
            return;
        }
        if let Some((_, count)) = self.counts.iter_mut().find(|(have, _)| *have == reason) {
            *count += items;
            return;
        }
        let mut same = self.counts.iter_mut().filter(|(have, _)| have.code == reason.code);
        match same.nth(MOST_MESSAGES - 1) {
            Some((_, count)) => *count += items,
            None => self.counts.push((reason, items)),
        }
    }

    /// Takes in all counts of another.
    pub fn add_all(&mut self, other: &Dropped) {
        for (reason, items) in &other.counts {
            self.add_reason(reason.clone(), *items);
        }
    }

    /// All items that were counted.
    pub fn items(&self) -> usize {
        self.counts.iter().map(|(_, items)| items).sum()
    }

    /// The counts, for a [`pipeline::Receipt`].
    pub fn into_counts(self) -> Vec<(Reason, usize)> {
        self.counts
    }
}
