//! Which of the files that were found are read: in each group, the first ones by an order.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pipeline::config::{Problem, re2};
use pipeline::doors::FileStat;
use regex::Regex;

use super::config::{self, SortType};
use super::format::zone::Zone;
use super::operators::{Layout, Value, Zones};

/// An order, and how many of its first files are read.
#[derive(Debug)]
pub struct Order {
    regex: Option<Regex>,
    group_by: Option<Regex>,
    top_n: usize,
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    by: By,
    ascending: bool,
}

#[derive(Debug)]
enum By {
    Number(String),
    Text(String),
    Time(String, Layout),
    Modified,
}

/// A path, and what is there.
type File = (PathBuf, FileStat);

/// What is compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Number(i128),
    Text(String),
}

impl Order {
    /// Compiles the settings.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn new(config: &config::Ordering) -> Result<Order, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut regex = |text: &str, key: &str| {
            let regex = (!text.is_empty()).then(|| re2::regex(text));
            regex?.map_err(|why| problems.push(Problem::at(format!("ordering_criteria.{key}"), why))).ok()
        };
        let (pattern, group_by) = (regex(&config.regex, "regex"), regex(&config.group_by, "group_by"));
        let mut rules = Vec::new();
        if config.sort_by.is_empty() {
            problems.push(Problem::at("ordering_criteria", "needs \"sort_by\""));
        }
        for (i, sort) in config.sort_by.iter().enumerate() {
            let path = format!("ordering_criteria.sort_by.{i}");
            let named = pattern.iter().flat_map(|p| p.capture_names().flatten()).any(|name| name == sort.regex_key);
            if sort.sort_type != SortType::Mtime && !named {
                let message = format!("{:?} is no named group of `regex`, such as (?P<number>\\d+)", sort.regex_key);
                problems.push(Problem::at(format!("{path}.regex_key"), message));
            }
            let zone = Zone::named(&sort.location);
            let zone =
                zone.map_err(|why| problems.push(Problem::at(format!("{path}.location"), why))).unwrap_or_default();
            let key = sort.regex_key.clone();
            let by = match sort.sort_type {
                SortType::None => Err(("sort_type", "must be numeric, alphabetical, timestamp or mtime".to_owned())),
                SortType::Numeric => Ok(By::Number(key)),
                SortType::Alphabetical => Ok(By::Text(key)),
                SortType::Mtime => Ok(By::Modified),
                SortType::Timestamp => match Layout::strptime(&sort.format) {
                    Ok(layout) => Ok(By::Time(key, layout.in_zones(Zones { of_times: zone, named: Vec::new() }))),
                    Err(error) => Err(("format", error.to_string())),
                },
            };
            match by {
                Ok(by) => rules.push(Rule { by, ascending: sort.ascending }),
                Err((key, why)) => problems.push(Problem::at(format!("{path}.{key}"), why)),
            }
        }
        let top_n = config.top_n.max(1);
        if problems.is_empty() { Ok(Order { regex: pattern, group_by, top_n, rules }) } else { Err(problems) }
    }

    /// Those of the files that are read. A file whose path does not match, or gives nothing to compare, is not.
    pub fn choose(&self, files: Vec<File>) -> Vec<File> {
        let mut groups: BTreeMap<String, Vec<(Vec<Key>, File)>> = BTreeMap::new();
        for (path, stat) in files {
            let Some(keys) = self.keys(&path, &stat) else { continue };
            let group = self.group_by.as_ref().map_or(String::new(), |g| group_of(g, &path.to_string_lossy()));
            groups.entry(group).or_default().push((keys, (path, stat)));
        }
        let mut chosen = Vec::new();
        for mut group in groups.into_values() {
            group.sort_by(|(a, _), (b, _)| self.compare(a, b));
            chosen.extend(group.into_iter().take(self.top_n).map(|(_, file)| file));
        }
        chosen
    }

    fn keys(&self, path: &Path, stat: &FileStat) -> Option<Vec<Key>> {
        let path = path.to_string_lossy();
        let found = match &self.regex {
            Some(regex) => Some(regex.captures(&path)?),
            None => None,
        };
        let named = |name: &str| found.as_ref()?.name(name).map(|part| part.as_str());
        let key = |rule: &Rule| match &rule.by {
            By::Number(name) => named(name)?.parse().ok().map(Key::Number),
            By::Text(name) => named(name).map(|text| Key::Text(text.to_owned())),
            By::Time(name, layout) => layout.read(&Value::text(named(name)?), 0).map(|t| Key::Number(t.into())),
            By::Modified => i128::try_from(stat.modified.as_nanos()).ok().map(Key::Number),
        };
        self.rules.iter().map(key).collect()
    }

    fn compare(&self, a: &[Key], b: &[Key]) -> Ordering {
        let each = self.rules.iter().zip(a.iter().zip(b));
        let each = each.map(|(rule, (a, b))| if rule.ascending { a.cmp(b) } else { b.cmp(a) });
        each.fold(Ordering::Equal, Ordering::then)
    }
}

/// The group of a path: what the named groups match, else the whole match.
fn group_of(regex: &Regex, path: &str) -> String {
    let Some(found) = regex.captures(path) else { return String::new() };
    let named: Vec<_> = regex.capture_names().flatten().filter_map(|name| Some(found.name(name)?.as_str())).collect();
    if named.is_empty() { found[0].to_owned() } else { named.join("\0") }
}
