//! Reads Prometheus' text format, simply: for own metrics and for what peers expose in tests.

use std::collections::BTreeMap;

/// One sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

/// All samples of an exposition.
#[derive(Clone, Debug, Default)]
pub struct Samples(pub Vec<Sample>);

impl Samples {
    /// Reads text without timestamps, exemplars and quoted names.
    pub fn parse(text: &str) -> Samples {
        Samples(text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(sample).collect())
    }

    /// The sum of all samples of `name` whose labels include `labels`.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let with = |s: &&Sample| labels.iter().all(|(k, v)| s.labels.get(*k).is_some_and(|have| have == v));
        self.0.iter().filter(|s| s.name == name).filter(with).map(|s| s.value).sum()
    }
}

fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value in {line:?}"));
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    Sample {
        name: name.to_owned(),
        labels: labels_of(labels),
        value: value.parse().unwrap_or_else(|_| panic!("no number in {line:?}")),
    }
}

fn labels_of(text: &str) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let mut rest = text.trim_end_matches('}');
    while let Some((name, after)) = rest.split_once("=\"") {
        let mut value = String::new();
        let mut characters = after.char_indices();
        let mut end = after.len();
        while let Some((at, character)) = characters.next() {
            match character {
                '\\' => match characters.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, escaped)) => value.push(escaped),
                    None => {}
                },
                '"' => {
                    end = at + 1;
                    break;
                }
                _ => value.push(character),
            }
        }
        labels.insert(name.trim_start_matches([',', ' ']).to_owned(), value);
        rest = &after[end..];
    }
    labels
}
