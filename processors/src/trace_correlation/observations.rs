//! What spans have measured, for the histograms that count it too.

use std::collections::VecDeque;
use std::mem::size_of;
use std::time::Duration;

use tokio::time::Instant;

use super::ids::{SpanId, TraceId};

/// Exemplars are examples: the newest observations are enough.
const MOST: usize = 4096;

/// The newest observations, in the order they came.
#[derive(Debug, Default)]
pub struct Observations {
    list: VecDeque<Observation>,
    next: u64,
    bytes: usize,
}

/// What one span has measured.
#[derive(Debug)]
pub struct Observation {
    /// Its place among all.
    pub number: u64,
    came: Instant,
    /// The span's trace.
    pub trace: TraceId,
    /// The span.
    pub span: SpanId,
    /// When it ended, in nanoseconds since 1970.
    pub end: u64,
    /// Values by the number of their rule.
    values: Vec<(usize, f64)>,
    /// The series that have it as an exemplar, or were offered it.
    given: Vec<u64>,
}

/// An observation that a series was offered: its number, and the series.
pub type Given = (u64, u64);

impl Observations {
    /// Takes in what a span has measured.
    pub fn add(&mut self, now: Instant, (trace, span): (TraceId, SpanId), end: u64, values: Vec<(usize, f64)>) {
        while self.list.len() >= MOST {
            self.forget_one();
        }
        let new = Observation { number: self.next, came: now, trace, span, end, values, given: Vec::new() };
        self.next += 1;
        self.bytes += new.bytes();
        self.list.push_back(new);
    }

    /// The observations for a rule that a series was not offered yet, with their values.
    pub fn of(&self, rule: usize, series: u64) -> impl Iterator<Item = (&Observation, f64)> {
        self.list.iter().filter(move |observation| !observation.given.contains(&series)).filter_map(
            move |observation| {
                observation.values.iter().find(|(of, _)| *of == rule).map(|(_, value)| (observation, *value))
            },
        )
    }

    /// Remembers what series were offered.
    pub fn give(&mut self, given: &[Given]) {
        let Some(first) = self.list.front().map(|first| first.number) else { return };
        for (number, series) in given {
            let at = number.checked_sub(first).and_then(|at| usize::try_from(at).ok());
            if let Some(observation) = at.and_then(|at| self.list.get_mut(at)) {
                self.bytes += size_of::<u64>();
                observation.given.push(*series);
            }
        }
    }

    /// Forgets what came longer ago than `keep`.
    pub fn forget_before(&mut self, now: Instant, keep: Duration) {
        while self.list.front().is_some_and(|first| first.came + keep <= now) {
            self.forget_one();
        }
    }

    /// Forgets the oldest. Answers whether there was one.
    pub fn forget_one(&mut self) -> bool {
        let first = self.list.pop_front();
        self.bytes -= first.as_ref().map_or(0, Observation::bytes);
        first.is_some()
    }

    /// What they take in memory.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Observation {
    fn bytes(&self) -> usize {
        size_of::<Observation>() + self.values.len() * size_of::<(usize, f64)>() + self.given.len() * size_of::<u64>()
    }
}
