//! The labels that series have beside those of their point: `__name__`, `le`, `quantile`. There are few in a batch next to
//! its series, so each is encoded once and copied from then on.

use pipeline::otlp::bound;

use super::encoded::Form;
use super::hash::Hash;
use super::symbols::Symbol;
use super::timeseries::{Message, Texts};
use crate::translation::labels::METRIC_NAME;

/// A label that a series has beside those of its point: `__name__`, `le` or `quantile`.
#[derive(Default)]
pub struct Own {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: String,
    /// Of 1.0: its number among the pieces, and its bytes.
    piece: (u32, usize),
    /// Of 2.0.
    refs: [Symbol; 2],
}

impl Own {
    /// Encodes another one in its place.
    pub fn set(&mut self, form: Form, texts: &mut Texts, name: &'static str, write: impl FnOnce(&mut String)) {
        self.name = name;
        self.value.clear();
        write(&mut self.value);
        match form {
            Form::Message(Message::V1) => {
                let number = texts.pieces.add_own(name, &self.value);
                self.piece = (number, texts.pieces.own(number).len());
            }
            Form::Message(Message::V2) => {
                self.refs = [texts.symbols.intern(name), texts.symbols.intern(&self.value)];
            }
            Form::Plain => {}
        }
    }

    /// Its number among the pieces of 1.0, and how many bytes it has.
    #[inline]
    pub fn piece(&self) -> (u32, usize) {
        self.piece
    }

    /// As name and value of 2.0.
    #[inline]
    pub fn refs(&self) -> [Symbol; 2] {
        self.refs
    }
}

/// What a series' name has behind that of its metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suffix {
    /// Nothing.
    None,
    /// `_bucket`.
    Bucket,
    /// `_sum`.
    Sum,
    /// `_count`.
    Count,
}

impl Suffix {
    const fn text(self) -> &'static str {
        match self {
            Suffix::None => "",
            Suffix::Bucket => "_bucket",
            Suffix::Sum => "_sum",
            Suffix::Count => "_count",
        }
    }
}

/// The names of a metric's series.
#[derive(Default)]
pub struct Names {
    names: [Own; 4],
    hashes: [u64; 4],
    known: [bool; 4],
}

impl Names {
    /// Another metric begins.
    pub fn forget(&mut self) {
        self.known = [false; 4];
    }

    /// Whether the name with that suffix is there.
    #[inline]
    pub fn has(&self, suffix: Suffix) -> bool {
        self.known[suffix as usize]
    }

    /// Encodes the name with a suffix.
    pub fn set(&mut self, suffix: Suffix, metric: &str, form: Form, (texts, hash): (&mut Texts, Hash)) {
        let at = suffix as usize;
        self.names[at].set(form, texts, METRIC_NAME, |out| {
            out.push_str(metric);
            out.push_str(suffix.text());
        });
        self.hashes[at] = hash.of(stem(&self.names[at].value).as_bytes());
        self.known[at] = true;
    }

    /// The name with a suffix, and a hash that is the same for all series that may be of one point.
    #[inline]
    pub fn of(&self, suffix: Suffix) -> (&Own, u64) {
        (&self.names[suffix as usize], self.hashes[suffix as usize])
    }
}

/// A series' name without what may tell it from the others of its point. A bucket may come as part of a histogram or as
/// a gauge of its own: its samples go the same way.
fn stem(name: &str) -> &str {
    let suffixes = [Suffix::Bucket, Suffix::Sum, Suffix::Count];
    suffixes.iter().find_map(|suffix| name.strip_suffix(suffix.text())).unwrap_or(name)
}

/// `le` and `quantile` of a point's series, by their place. Points mostly have those of the point before.
#[derive(Default)]
pub struct Steps {
    steps: Vec<(u64, Own)>,
    /// Which label it is, and whether it is written as our scraper's.
    of: (&'static str, bool),
}

impl Steps {
    /// Encodes the number at a place, unless that is there already.
    #[inline]
    pub fn set(
        &mut self,
        at: usize,
        (name, scraped): (&'static str, bool),
        number: f64,
        (form, texts): (Form, &mut Texts),
    ) {
        if self.of != (name, scraped) {
            self.steps.clear();
            self.of = (name, scraped);
        }
        if self.steps.get(at).is_some_and(|(bits, _)| *bits == number.to_bits()) {
            return;
        }
        if self.steps.len() <= at {
            self.steps.resize_with(at + 1, Default::default);
        }
        let (bits, own) = &mut self.steps[at];
        *bits = number.to_bits();
        own.set(form, texts, name, |out| {
            if scraped { bound::write_canonical(out, number) } else { bound::write_plain(out, number) }
        });
    }

    /// The label at a place.
    #[inline]
    pub fn of(&self, at: usize) -> &Own {
        &self.steps[at].1
    }
}
