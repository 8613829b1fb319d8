//! What parsers read out of a field into the record: time, severity, trace context.

use std::borrow::Cow;
use std::collections::HashMap;

use pipeline::config::Problem;

use super::config::{
    LayoutType, Meaning, Preset, Severity as SeverityConfig, Time as TimeConfig, Trace as TraceConfig,
};
use super::entry::Entry;
use super::field::Field;
use super::layout::{Layout, Zones};
use super::value::Value;
use crate::file_log::format::record::{span_id, trace_flags, trace_id};
use crate::file_log::format::severity::Severity;
use crate::file_log::format::zone::Zone;

/// Why an operator could not work on an entry.
pub type Failed = Cow<'static, str>;

/// Reads the time.
#[derive(Clone, Debug)]
pub struct Time {
    from: Field,
    layout: Layout,
}

impl Time {
    /// Checks and compiles the settings that stand at `path`.
    pub fn build(config: &TimeConfig, path: &str, problems: &mut Vec<Problem>) -> Option<Time> {
        let mut zone = |name: &str, key: &str| {
            Zone::named(name)
                .map_err(|why| problems.push(Problem::at(format!("{path}.{key}"), why)))
                .unwrap_or_default()
        };
        let of_times = zone(config.location.as_deref().unwrap_or_default(), "location");
        let named = config.time_zone_locations.iter();
        let named = named.map(|(name, of)| (name.clone(), zone(of, &format!("time_zone_locations.{name}")))).collect();
        let from = required(config.parse_from.as_ref(), path, "parse_from", problems);
        if config.layout.is_empty() {
            let message = "is missing; a layout looks like %Y-%m-%dT%H:%M:%S.%f%z";
            problems.push(Problem::at(format!("{path}.layout"), message));
            return None;
        }
        let layout = match config.layout_type {
            LayoutType::Strptime => Layout::strptime(&config.layout),
            LayoutType::Gotime => Layout::gotime(&config.layout),
            LayoutType::Epoch => Layout::epoch(&config.layout),
        };
        let layout = layout.map_err(|e| problems.push(Problem::at(format!("{path}.layout"), e.to_string()))).ok()?;
        Some(Time { from: from?, layout: layout.in_zones(Zones { of_times, named }) })
    }

    /// Reads it.
    ///
    /// # Errors
    /// When there is no such field, or it states no time in the layout.
    pub fn read(&self, entry: &mut Entry<'_>) -> Result<(), Failed> {
        let value = entry.get(&self.from).ok_or_else(|| missing(&self.from))?;
        let time = self.layout.read(value, entry.observed);
        entry.time = Some(time.ok_or_else(|| format!("{} states no time in the layout", self.from))?);
        Ok(())
    }
}

/// Reads the severity.
#[derive(Clone, Debug)]
pub struct SeverityReader {
    from: Field,
    words: HashMap<String, Severity>,
    ranges: Vec<(i64, i64, Severity)>,
    overwrite_text: bool,
}

impl SeverityReader {
    /// Checks and compiles the settings that stand at `path`.
    pub fn build(config: &SeverityConfig, path: &str, problems: &mut Vec<Problem>) -> Option<SeverityReader> {
        let mut words = preset(config.preset);
        let mut ranges = Vec::new();
        for (name, meanings) in &config.mapping {
            let severity = match name.as_str() {
                "default" => Some(Severity::default()),
                name => Severity::from_name(name),
            };
            let Some(severity) = severity else {
                let message = "is no severity; severities are trace, debug, info, warn, error, fatal, each also with 2, 3 \
                               or 4 behind it, and default";
                problems.push(Problem::at(format!("{path}.mapping.{name}"), message));
                continue;
            };
            for meaning in &meanings.0 {
                match meaning {
                    Meaning::Word(word) => _ = words.insert(word.clone(), severity),
                    Meaning::Range(min, max) => ranges.push((*min, *max, severity)),
                }
            }
        }
        let from = required(config.parse_from.as_ref(), path, "parse_from", problems)?;
        Some(SeverityReader { from, words, ranges, overwrite_text: config.overwrite_text })
    }

    /// Reads it. A word that means nothing leaves the severity unspecified, with the word as its text.
    ///
    /// # Errors
    /// When there is no such field, or it is neither text nor a number.
    pub fn read<'a>(&self, entry: &mut Entry<'a>) -> Result<(), Failed> {
        let text: Cow<'a, str> = match entry.get(&self.from).ok_or_else(|| missing(&self.from))? {
            Value::Text(text) => text.clone(),
            Value::Int(number) => number.to_string().into(),
            Value::Double(number) => number.to_string().into(),
            other => return Err(format!("{} is {}, which states no severity", self.from, other.kind()).into()),
        };
        let severity = self.find(&text);
        entry.severity = severity;
        entry.severity_text = if self.overwrite_text { severity.name().into() } else { text };
        Ok(())
    }

    fn find(&self, text: &str) -> Severity {
        if let Some(severity) = self.words.get(text).or_else(|| self.words.get(&text.to_lowercase())) {
            return *severity;
        }
        let number: Option<i64> = text.parse().ok();
        let within = |&&(min, max, _): &&(i64, i64, Severity)| number.is_some_and(|n| (min..=max).contains(&n));
        self.ranges.iter().find(within).map(|r| r.2).unwrap_or_default()
    }
}

fn preset(preset: Preset) -> HashMap<String, Severity> {
    let mut words = HashMap::new();
    if preset == Preset::None {
        return words;
    }
    for number in 1..=24 {
        let severity = Severity(number);
        let name = severity.name().to_lowercase();
        if preset == Preset::Default {
            for (short, long) in [("warn", "warning"), ("error", "err")] {
                if let Some(degree) = name.strip_prefix(short) {
                    words.insert(format!("{long}{degree}"), severity);
                }
            }
        }
        words.insert(name, severity);
        words.insert(number.to_string(), severity);
    }
    words
}

/// Reads the trace context.
#[derive(Clone, Debug)]
pub struct TraceReader {
    trace_id: Vec<Field>,
    span_id: Vec<Field>,
    trace_flags: Vec<Field>,
    drops: bool,
}

impl TraceReader {
    /// What is not said is looked for below `defaults`, in this order.
    pub fn build(config: &TraceConfig, defaults: &[Field]) -> TraceReader {
        let places = |said: &Option<Field>, key: &str| match said {
            Some(field) => vec![field.clone()],
            None => defaults.iter().map(|d| d.below(key)).collect(),
        };
        TraceReader {
            trace_id: places(&config.trace_id.parse_from, "trace_id"),
            span_id: places(&config.span_id.parse_from, "span_id"),
            trace_flags: places(&config.trace_flags.parse_from, "trace_flags"),
            drops: false,
        }
    }

    /// The same, which takes out what it has read, or not.
    #[must_use]
    pub fn that_drops(self, drops: bool) -> TraceReader {
        TraceReader { drops, ..self }
    }

    /// Where it looks.
    pub fn places(&self) -> impl Iterator<Item = &Field> {
        self.trace_id.iter().chain(&self.span_id).chain(&self.trace_flags)
    }

    /// Reads what is there and is hex of the right length, and takes it out if it is told to. Anything else, such as Dynamo's
    /// decimal span ids, is left where it is and is no error.
    pub fn read(&self, entry: &mut Entry<'_>) {
        entry.trace_id = self.find(entry, &self.trace_id, trace_id);
        entry.span_id = self.find(entry, &self.span_id, span_id);
        entry.trace_flags = self.find(entry, &self.trace_flags, trace_flags);
    }

    fn find<T>(&self, entry: &mut Entry<'_>, places: &[Field], read: fn(&str) -> Option<T>) -> Option<T> {
        let of = |place: &Field| entry.get(place)?.as_text().and_then(read);
        let (place, found) = places.iter().find_map(|place| Some((place, of(place)?)))?;
        if self.drops {
            _ = entry.remove(place);
        }
        Some(found)
    }
}

/// A setting that must be there.
pub fn required<T: Clone>(said: Option<&T>, path: &str, key: &str, problems: &mut Vec<Problem>) -> Option<T> {
    if said.is_none() {
        problems.push(Problem::at(path, format!("needs {key:?}")));
    }
    said.cloned()
}

/// An entry without a field that an operator needs.
pub fn missing(field: &Field) -> Failed {
    format!("there is no {field}").into()
}
