//! Metric families: what `# TYPE`, `# HELP` and `# UNIT` said, and to which family a sample belongs by its name.

use std::collections::HashMap;

use super::index::NONE;
use crate::prometheus::exposition::Kind;

/// What a sample is to its family, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Piece {
    /// It has the family's own name.
    Whole,
    /// `_bucket`
    Bucket,
    /// `_sum`
    Sum,
    /// `_count`
    Count,
    /// `_total`
    Total,
    /// `_created`
    Created,
    /// `_info`
    Info,
    /// `_gsum`
    GaugeSum,
    /// `_gcount`
    GaugeCount,
    /// A native histogram, which has the family's own name.
    Native,
}

impl Piece {
    /// Those that are more than the family's name.
    const SUFFIXED: [Piece; 8] = [
        Piece::Bucket,
        Piece::Sum,
        Piece::Count,
        Piece::Total,
        Piece::Created,
        Piece::Info,
        Piece::GaugeSum,
        Piece::GaugeCount,
    ];

    /// What stands behind the family's name.
    pub(super) const fn suffix(self) -> &'static str {
        match self {
            Piece::Whole | Piece::Native => "",
            Piece::Bucket => "_bucket",
            Piece::Sum => "_sum",
            Piece::Count => "_count",
            Piece::Total => "_total",
            Piece::Created => "_created",
            Piece::Info => "_info",
            Piece::GaugeSum => "_gsum",
            Piece::GaugeCount => "_gcount",
        }
    }

    const fn belongs_to(self, kind: Kind) -> bool {
        match kind {
            Kind::Histogram => matches!(self, Piece::Bucket | Piece::Sum | Piece::Count | Piece::Created),
            // In protobuf these have the names of other histograms.
            Kind::GaugeHistogram => {
                matches!(self, Piece::Bucket | Piece::GaugeSum | Piece::GaugeCount | Piece::Sum | Piece::Count)
            }
            Kind::Summary => matches!(self, Piece::Sum | Piece::Count | Piece::Created),
            Kind::Counter => matches!(self, Piece::Total | Piece::Created),
            Kind::Info => matches!(self, Piece::Info),
            Kind::Unknown | Kind::Gauge | Kind::StateSet => false,
        }
    }
}

/// A family.
#[derive(Clone, Debug, Default)]
pub(super) struct Family {
    /// The name as the body has it.
    pub name: Box<[u8]>,
    /// What `# TYPE` said last.
    pub kind: Kind,
    /// What `# HELP` said last.
    pub help: Box<str>,
    /// What `# UNIT` said last.
    pub unit: Box<str>,
    /// Changes whenever help or unit change.
    pub version: u32,
    /// The iteration that mentioned it last.
    seen: u32,
}

/// All families of one target.
#[derive(Debug, Default)]
pub(super) struct Families {
    list: Vec<Family>,
    by_name: HashMap<Box<[u8]>, u32>,
    /// The family mentioned last: the next one is expected to follow it.
    last: u32,
    /// Whether some family has got another type than its samples were placed by.
    pub retyped: bool,
}

impl Families {
    /// A new body begins.
    pub(super) fn begin(&mut self) {
        self.last = NONE;
    }

    /// The family of that number.
    pub(super) fn family(&self, number: u32) -> Option<&Family> {
        self.list.get(number as usize)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// `# TYPE` was read.
    pub(super) fn set_kind(&mut self, name: &[u8], kind: Kind, iteration: u32) {
        let family = self.mention(name, iteration);
        if family.kind != kind {
            family.kind = kind;
            self.retyped = true;
        }
    }

    /// `# HELP` was read.
    pub(super) fn set_help(&mut self, name: &[u8], help: &str, iteration: u32) {
        let family = self.mention(name, iteration);
        if *family.help != *help {
            family.help = help.into();
            family.version += 1;
        }
    }

    /// `# UNIT` was read.
    pub(super) fn set_unit(&mut self, name: &[u8], unit: &[u8], iteration: u32) {
        let family = self.mention(name, iteration);
        if family.unit.as_bytes() != unit {
            family.unit = String::from_utf8_lossy(unit).into();
            family.version += 1;
        }
    }

    fn mention(&mut self, name: &[u8], iteration: u32) -> &mut Family {
        let number = self.find_or_add(name);
        self.last = number;
        let family = &mut self.list[number as usize];
        family.seen = iteration;
        family
    }

    fn find_or_add(&mut self, name: &[u8]) -> u32 {
        for near in [self.last, self.last.wrapping_add(1)] {
            if self.list.get(near as usize).is_some_and(|family| *family.name == *name) {
                return near;
            }
        }
        if let Some(&number) = self.by_name.get(name) {
            return number;
        }
        let number = u32::try_from(self.list.len()).unwrap_or(NONE);
        self.list.push(Family { name: name.into(), ..Family::default() });
        self.by_name.insert(name.into(), number);
        number
    }

    /// The family of a sample: the one of its own name, else the one whose type has such samples.
    pub(super) fn of_sample(&self, name: &str) -> (u32, Piece) {
        if let Some(&number) = self.by_name.get(name.as_bytes()) {
            return (number, Piece::Whole);
        }
        for piece in Piece::SUFFIXED {
            if let Some(base) = name.strip_suffix(piece.suffix())
                && let Some(&number) = self.by_name.get(base.as_bytes())
                && piece.belongs_to(self.list[number as usize].kind)
            {
                return (number, piece);
            }
        }
        (NONE, Piece::Whole)
    }

    /// The same without the families that the iteration `since` and later ones have not mentioned and that nobody
    /// uses; and the new number of each.
    pub(super) fn rebuilt(&self, since: u32, is_used: impl Fn(u32) -> bool) -> (Families, Vec<u32>) {
        let mut new = Families { last: NONE, retyped: self.retyped, ..Families::default() };
        let mut numbers = vec![NONE; self.list.len()];
        for (old, family) in (0u32..).zip(&self.list) {
            if family.seen >= since || is_used(old) {
                let number = u32::try_from(new.list.len()).unwrap_or(NONE);
                new.by_name.insert(family.name.clone(), number);
                new.list.push(family.clone());
                numbers[old as usize] = number;
            }
        }
        (new, numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_belongs_to_the_family_of_its_own_name_before_any_other() {
        let mut families = Families::default();
        families.begin();
        families.set_kind(b"a", Kind::Histogram, 1);
        assert_eq!(families.of_sample("a_count"), (0, Piece::Count));
        assert_eq!(families.of_sample("a_total"), (NONE, Piece::Whole));
        families.set_kind(b"a_count", Kind::Gauge, 1);
        assert_eq!(families.of_sample("a_count"), (1, Piece::Whole));
        assert_eq!(families.of_sample("a_sum"), (0, Piece::Sum));
        families.set_kind(b"c", Kind::Counter, 1);
        assert_eq!(families.of_sample("c_total"), (2, Piece::Total));
        assert_eq!(families.of_sample("c"), (2, Piece::Whole));
    }

    #[test]
    fn another_type_is_noticed() {
        let mut families = Families::default();
        families.set_kind(b"a", Kind::Gauge, 1);
        families.retyped = false;
        families.set_kind(b"a", Kind::Gauge, 2);
        assert!(!families.retyped);
        families.set_kind(b"a", Kind::Counter, 3);
        assert!(families.retyped);
    }

    #[test]
    fn families_that_nobody_mentions_or_uses_are_left_behind() {
        let mut families = Families::default();
        for (name, iteration) in [("a", 1), ("b", 1), ("c", 2)] {
            families.set_kind(name.as_bytes(), Kind::Gauge, iteration);
        }
        let (new, numbers) = families.rebuilt(2, |number| number == 1);
        assert_eq!(numbers, [NONE, 0, 1]);
        assert_eq!(new.of_sample("b").0, 0);
        assert_eq!(new.of_sample("a").0, NONE);
    }
}
