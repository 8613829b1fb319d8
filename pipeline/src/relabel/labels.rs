//! Labels of one series or target while they are worked on: few, so they are a list. An empty value means "not there",
//! as in Prometheus.

use std::borrow::Cow;

use smallvec::SmallVec;

/// The label that holds the metric name.
pub const METRIC_NAME: &str = "__name__";
/// What conflicting scraped labels are prefixed with.
const EXPORTED: &str = "exported_";

/// A name or value, borrowed where it can be.
pub type Text<'a> = Cow<'a, str>;

/// Labels in any order. Names may repeat only as they were scraped; whatever is set is unique.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels<'a> {
    pairs: SmallVec<[(Text<'a>, Text<'a>); 16]>,
}

impl<'a> Labels<'a> {
    /// None yet.
    pub fn new() -> Labels<'a> {
        Labels::default()
    }

    /// Labels as they were scraped: a name that once has an empty value is not there at all.
    pub fn scraped(pairs: impl Iterator<Item = (Text<'a>, Text<'a>)>) -> Labels<'a> {
        let mut labels = Labels { pairs: pairs.collect() };
        while let Some(empty) = labels.pairs.iter().find(|(_, value)| value.is_empty()) {
            let name = empty.0.clone();
            labels.remove(&name);
        }
        labels
    }

    /// The value of a label, empty if it is not there.
    pub fn value(&self, name: &str) -> &str {
        self.pairs.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }

    /// Sets a label; an empty value removes it.
    pub fn set(&mut self, name: impl Into<Text<'a>>, value: impl Into<Text<'a>>) {
        let (name, value) = (name.into(), value.into());
        self.remove(&name);
        if !value.is_empty() {
            self.pairs.push((name, value));
        }
    }

    /// Sets a label that is not there yet.
    pub fn set_if_absent(&mut self, name: impl Into<Text<'a>>, value: impl Into<Text<'a>>) {
        let name = name.into();
        if self.value(&name).is_empty() {
            self.set(name, value);
        }
    }

    /// Removes a label.
    pub fn remove(&mut self, name: &str) {
        self.pairs.retain(|(n, _)| n != name);
    }

    /// Keeps the labels for whose name and value `keep` answers true.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &str) -> bool) {
        self.pairs.retain(|(name, value)| keep(name, value));
    }

    /// All of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (&**name, &**value))
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Sorts by name.
    pub fn sort(&mut self) {
        self.pairs.sort_by(|a, b| a.0.cmp(&b.0));
    }

    /// A name that is there twice. Needs sorted labels.
    pub fn repeated(&self) -> Option<&str> {
        self.pairs.windows(2).find(|pair| pair[0].0 == pair[1].0).map(|pair| &*pair[0].0)
    }

    /// Adds the labels of the target. Where a scraped label has the same name, it stays (`honor`) or is kept under
    /// `exported_` and its name, prefixed again as often as needed, shortest names first.
    pub fn add_target(&mut self, target: &'a [(String, String)], honor: bool) {
        let mut conflicts: SmallVec<[(&'a str, Text<'a>); 4]> = SmallVec::new();
        for (name, value) in target {
            if honor {
                self.set_if_absent(name.as_str(), value.as_str());
                continue;
            }
            if let Some((_, scraped)) = self.pairs.iter().find(|(n, _)| n == name) {
                conflicts.push((name, scraped.clone()));
            }
            self.set(name.as_str(), value.as_str());
        }
        conflicts.sort_by_key(|(name, _)| name.len());
        for (name, scraped) in conflicts {
            let mut free = format!("{EXPORTED}{name}");
            while !self.value(&free).is_empty() {
                free.insert_str(0, EXPORTED);
            }
            self.set(free, scraped);
        }
    }

    /// The labels as owned text.
    pub fn into_owned(self) -> Vec<(String, String)> {
        self.pairs.into_iter().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
    }
}

impl<'a> FromIterator<(Text<'a>, Text<'a>)> for Labels<'a> {
    fn from_iter<I: IntoIterator<Item = (Text<'a>, Text<'a>)>>(pairs: I) -> Labels<'a> {
        Labels { pairs: pairs.into_iter().collect() }
    }
}

/// Whether names may be any UTF-8 or only what Prometheus 2 took (`metric_name_validation_scheme`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NameRule {
    /// Anything but nothing.
    #[default]
    Utf8,
    /// `[a-zA-Z_][a-zA-Z0-9_]*`, and `:` in metric names.
    Legacy,
}

impl NameRule {
    /// Whether a label may be called so.
    pub fn label(self, name: &str) -> bool {
        match self {
            NameRule::Utf8 => !name.is_empty(),
            NameRule::Legacy => is_legacy(name, |b| b == b'_'),
        }
    }

    /// Whether a metric may be called so.
    pub fn metric(self, name: &str) -> bool {
        match self {
            NameRule::Utf8 => !name.is_empty(),
            NameRule::Legacy => is_legacy(name, |b| matches!(b, b'_' | b':')),
        }
    }
}

fn is_legacy(name: &str, extra: impl Fn(u8) -> bool) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || extra(b))
        && bytes.all(|b| b.is_ascii_alphanumeric() || extra(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels<'a>(pairs: &[(&'a str, &'a str)]) -> Labels<'a> {
        Labels::scraped(pairs.iter().map(|(n, v)| ((*n).into(), (*v).into())))
    }

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
    }

    #[track_caller]
    fn joined(scraped: &[(&str, &str)], target: &[(&str, &str)], honor: bool, expected: &[(&str, &str)]) {
        let target = owned(target);
        let mut got = labels(scraped);
        got.add_target(&target, honor);
        got.sort();
        assert_eq!(got.into_owned(), owned(expected));
    }

    #[test]
    fn a_scraped_label_that_conflicts_is_exported() {
        joined(&[("pod", "a")], &[("pod", "b")], false, &[("exported_pod", "a"), ("pod", "b")]);
        joined(&[("x", "1")], &[("job", "j")], false, &[("job", "j"), ("x", "1")]);
    }

    #[test]
    fn an_exported_name_that_is_taken_is_prefixed_again_shortest_first() {
        joined(
            &[("exported_pod", "old"), ("pod", "a")],
            &[("pod", "b")],
            false,
            &[("exported_exported_pod", "a"), ("exported_pod", "old"), ("pod", "b")],
        );
        joined(
            &[("exported_pod", "2"), ("pod", "1")],
            &[("exported_pod", "y"), ("pod", "x")],
            false,
            &[
                ("exported_exported_exported_pod", "2"),
                ("exported_exported_pod", "1"),
                ("exported_pod", "y"),
                ("pod", "x"),
            ],
        );
    }

    #[test]
    fn honoured_labels_stay_and_the_rest_is_added() {
        joined(&[("pod", "a")], &[("job", "j"), ("pod", "b")], true, &[("job", "j"), ("pod", "a")]);
    }

    #[test]
    fn an_empty_scraped_label_is_not_there() {
        joined(&[("pod", "")], &[("pod", "b")], false, &[("pod", "b")]);
        joined(&[("pod", "")], &[("pod", "b")], true, &[("pod", "b")]);
        assert!(labels(&[("a", "1"), ("a", "")]).is_empty(), "one empty value takes all of that name away");
    }

    #[test]
    fn a_repeated_name_is_found() {
        let mut twice = labels(&[("a", "1"), ("b", "2"), ("a", "1")]);
        twice.sort();
        assert_eq!(twice.repeated(), Some("a"));
        twice.set("a", "3");
        twice.sort();
        assert_eq!(twice.repeated(), None);
    }
}
