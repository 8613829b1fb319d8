//! What the ledger is asked: a trace id, a series selector or a piece of text, and filters; and whether a drop answers it.

use std::time::Duration;

use percent_encoding::percent_decode_str;
use regex::Regex;

use super::evidence::{Evidence, Series, TraceId};
use super::ring::{Dropped, What};

/// A question.
#[derive(Debug, Default)]
pub(super) struct Query {
    pub(super) wanted: Option<Wanted>,
    what: Option<What>,
    kind: Option<String>,
    component: Option<String>,
    signal: Option<String>,
    reason: Option<String>,
    /// No older than so long.
    since: Option<Duration>,
    pub(super) limit: usize,
}

/// What is looked for.
#[derive(Debug)]
pub(super) enum Wanted {
    Trace(TraceId, String),
    Series(Selector),
    Text(String),
}

/// How a drop answers a question.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Match {
    /// Whether what was looked for is among what was dropped; else it may be.
    pub(super) certain: bool,
    /// Where it was found.
    pub(super) found: Vec<String>,
}

/// Entries of an answer, where the question does not say.
const LIMIT: usize = 100;
/// Places in one drop that are shown.
const MOST_FOUND: usize = 5;

impl Query {
    /// Reads the query of a URL: `trace`, `series`, `text` or `q` (any of them), and `what`, `kind`, `component`,
    /// `signal`, `reason`, `since` (seconds back) and `limit`.
    ///
    /// # Errors
    /// What is wrong, for a person.
    pub(super) fn read(query: &str) -> Result<Query, String> {
        let mut out = Query { limit: LIMIT, ..Query::default() };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy().into_owned();
            let number = || value.parse().map_err(|_| format!("{name} is {value:?}, it must be a number"));
            match name {
                "q" => out.wanted = Some(Wanted::guess(&value)?),
                "trace" => {
                    let id = trace_id(&value);
                    let id = id.ok_or_else(|| format!("trace is {value:?}, it must be 32 hexadecimal digits"))?;
                    out.wanted = Some(Wanted::Trace(id, hex(&id)));
                }
                "series" => out.wanted = Some(Wanted::Series(Selector::read(&value)?)),
                "text" => out.wanted = Some(Wanted::Text(value)),
                "what" => {
                    let of = |what: &What| what.name() == value;
                    let what = [What::Dropped, What::Refused].into_iter().find(of);
                    out.what = Some(what.ok_or_else(|| format!("what is {value:?}, it is dropped or refused"))?);
                }
                "kind" => out.kind = Some(value),
                "component" => out.component = Some(value),
                "signal" => out.signal = Some(value),
                "reason" => out.reason = Some(value),
                "since" => out.since = Some(Duration::from_secs(number()?)),
                "limit" => out.limit = usize::try_from(number()?).unwrap_or(usize::MAX),
                _ => {
                    return Err(format!(
                        "{name} is not known; there are q, trace, series, text, what, kind, component, signal, reason, \
                         since, limit"
                    ));
                }
            }
        }
        Ok(out)
    }

    /// How a drop answers it; `None` where it does not.
    pub(super) fn matches(&self, dropped: &Dropped, now: Duration) -> Option<Match> {
        let kind = dropped.kind.map_or("", crate::telemetry::Kind::name);
        let is = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
        let fits = self.what.is_none_or(|what| what == dropped.what)
            && is(&self.kind, kind)
            && is(&self.component, &dropped.component)
            && is(&self.signal, dropped.signal.name())
            && is(&self.reason, dropped.code)
            && self.since.is_none_or(|since| now.saturating_sub(dropped.until) <= since);
        if !fits {
            return None;
        }
        let Some(wanted) = &self.wanted else { return Some(Match { certain: true, found: Vec::new() }) };
        let mut found = wanted.look(dropped)?;
        found.certain &= dropped.of.is_none();
        found.found.truncate(MOST_FOUND);
        Some(found)
    }
}

impl Wanted {
    /// A trace id, a selector, or else text.
    ///
    /// # Errors
    /// Text that ends with `}` and has a `{` but is no selector.
    pub(super) fn guess(text: &str) -> Result<Wanted, String> {
        let text = text.trim();
        if let Some(id) = trace_id(text) {
            Ok(Wanted::Trace(id, hex(&id)))
        } else if !text.starts_with("{\"") && text.ends_with('}') && text.contains('{') {
            Selector::read(text).map(Wanted::Series)
        } else {
            Ok(Wanted::Text(text.to_owned()))
        }
    }

    fn look(&self, dropped: &Dropped) -> Option<Match> {
        let evidence = &dropped.evidence;
        let (mut found, mut certain) = (Vec::new(), false);
        match self {
            Wanted::Trace(id, text) => {
                if evidence.traces.contains(id) {
                    certain = true;
                    found.push(text.clone());
                }
                found.extend(evidence.lines.iter().filter(|line| line.contains(text)).map(ToString::to_string));
                certain |= !found.is_empty();
            }
            Wanted::Series(selector) => {
                for series in &evidence.series {
                    certain |= selector.look(evidence, series, &mut found);
                }
            }
            Wanted::Text(text) => {
                // A line of which only the beginning is kept is found by its whole, too.
                let is_cut = |line: &str| line.len() + 4 > super::evidence::LINE_BYTES && text.starts_with(line);
                let lines = evidence.lines.iter().filter(|line| line.contains(text) || is_cut(line));
                found.extend(lines.map(ToString::to_string));
                let series = evidence.series.iter().flat_map(|series| {
                    series.points.iter().map(|point| shown(evidence, series, Some(point))).collect::<Vec<_>>()
                });
                found.extend(series.filter(|series| series.contains(text)));
                certain = !found.is_empty();
                if dropped.message.contains(text) && found.is_empty() {
                    found.push(dropped.message.clone());
                }
            }
        }
        (!found.is_empty()).then_some(Match { certain, found })
    }
}

/// `name{a="b",c!="d",e=~"f.*",g!~"h"}`, with or without the name.
#[derive(Debug)]
pub(super) struct Selector {
    name: Option<String>,
    matchers: Vec<Matcher>,
}

#[derive(Debug)]
struct Matcher {
    label: String,
    wanted: Value,
    negated: bool,
}

#[derive(Debug)]
enum Value {
    Text(String),
    Pattern(Regex),
}

impl Selector {
    /// # Errors
    /// What is wrong, for a person.
    fn read(text: &str) -> Result<Selector, String> {
        let wrong = |what: &str| format!("{text:?} is no series selector such as name{{label=\"value\"}}: {what}");
        let text = text.trim();
        let Some((name, rest)) = text.split_once('{') else {
            return Ok(Selector { name: Some(plain(text)), matchers: Vec::new() });
        };
        let mut rest = rest.strip_suffix('}').ok_or_else(|| wrong("there is no closing brace"))?.trim();
        let (mut name, mut matchers) = ((!name.trim().is_empty()).then(|| plain(name.trim())), Vec::new());
        while !rest.is_empty() {
            let at = rest.find(['=', '!']).ok_or_else(|| wrong("a label without = or !="))?;
            let label = rest[..at].trim().trim_matches('"');
            let (operator, after) = ["=~", "!~", "!=", "="]
                .into_iter()
                .find_map(|operator| Some((operator, rest[at..].strip_prefix(operator)?)))
                .ok_or_else(|| wrong("the operators are =, !=, =~ and !~"))?;
            let (value, after) = quoted(after.trim_start()).ok_or_else(|| wrong("a value without quotes"))?;
            let wanted = if operator.ends_with('~') {
                let pattern = format!("^(?s:{value})$");
                Value::Pattern(Regex::new(&pattern).map_err(|_| wrong("a pattern that cannot be read"))?)
            } else {
                Value::Text(value.clone())
            };
            if label == "__name__" && operator == "=" {
                name = Some(plain(&value));
            } else {
                matchers.push(Matcher { label: plain(label), wanted, negated: operator.starts_with('!') });
            }
            rest = after.trim_start();
            rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
        }
        Ok(Selector { name, matchers })
    }

    /// Adds what it selects of a metric's series, or may; true where something surely.
    fn look(&self, evidence: &Evidence, series: &Series, found: &mut Vec<String>) -> bool {
        let is_any = series.name.is_empty();
        if !is_any && !self.name.as_ref().is_none_or(|name| is_name(&plain(&series.name), name)) {
            return false;
        }
        let resource = evidence.resources.get(series.resource).map_or(Vec::new(), |labels| pairs(labels));
        let mut certain = false;
        for point in &series.points {
            let labels = [pairs(point), resource.clone()].concat();
            if self.matchers.iter().all(|matcher| matcher.fits(&labels) == Fit::Yes) {
                found.push(shown(evidence, series, Some(point)));
                certain = true;
            }
        }
        // The labels of the other points are not known; those of the resource are.
        if !certain && series.more > 0 && self.matchers.iter().all(|m| m.fits(&resource) != Fit::No) {
            found.push(match series.name.is_empty() {
                true => format!("any series of {}", shown(evidence, series, None)),
                false => format!("{} and {} more series", shown(evidence, series, None), series.more),
            });
        }
        certain
    }
}

#[derive(PartialEq, Eq)]
enum Fit {
    Yes,
    No,
    /// There is no such label.
    Absent,
}

impl Matcher {
    fn fits(&self, labels: &[(String, String)]) -> Fit {
        // As Prometheus' exporters name them.
        let also = match self.label.as_str() {
            "job" => "service_name",
            "instance" => "service_instance_id",
            other => other,
        };
        let found = labels.iter().find(|(label, _)| *label == self.label || label == also);
        match found {
            None if self.matches("") => Fit::Yes,
            None => Fit::Absent,
            Some((_, value)) if self.matches(value) => Fit::Yes,
            Some(_) => Fit::No,
        }
    }

    fn matches(&self, value: &str) -> bool {
        let equal = match &self.wanted {
            Value::Text(text) => text == value,
            Value::Pattern(pattern) => pattern.is_match(value),
        };
        equal != self.negated
    }
}

/// Whether a metric has that name, perhaps with the suffixes that a translation to Prometheus gives it.
fn is_name(name: &str, wanted: &str) -> bool {
    wanted.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
}

/// A name as Prometheus writes it.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == ':' { c } else { '_' }).collect()
}

/// `name{labels}`.
pub(super) fn shown(evidence: &Evidence, series: &Series, point: Option<&str>) -> String {
    let resource = evidence.resources.get(series.resource).map_or("", |labels| labels);
    let labels: Vec<_> = [point.unwrap_or(""), resource].into_iter().filter(|labels| !labels.is_empty()).collect();
    format!("{}{{{}}}", series.name, labels.join(","))
}

/// The labels of `a="b",c="d"`.
fn pairs(labels: &str) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut rest = labels;
    while let Some((name, after)) = rest.split_once('=') {
        let Some((value, after)) = quoted(after) else { break };
        out.push((plain(name), value));
        rest = after.strip_prefix(',').unwrap_or(after);
    }
    out
}

/// A value in quotes, and what stands behind it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut characters = text.strip_prefix('"')?.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((out, &text[at + 2..])),
            '\\' => match characters.next()?.1 {
                'n' => out.push('\n'),
                other => out.push(other),
            },
            other => out.push(other),
        }
    }
    None
}

fn trace_id(text: &str) -> Option<TraceId> {
    let digits: String = text.trim().chars().filter(|c| *c != '-').collect();
    if digits.len() != 32 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(&digits, 16).ok().map(u128::to_be_bytes)
}

/// An id in hexadecimal digits.
pub(super) fn hex(id: &TraceId) -> String {
    format!("{:032x}", u128::from_be_bytes(*id))
}
