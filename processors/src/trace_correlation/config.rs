//! The config of `trace_correlation`, and what is made of it.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use pipeline::Signal;
use pipeline::config::{ByteSize, GoDuration, Problem, Settings, StringList};
use serde::Deserialize;

use super::exemplars::Rules;
use super::ids::len_bit;

/// The config of `trace_correlation`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Config {
    /// How long a batch is held at most for what it lacks; 0 for not at all.
    pub wait: GoDuration,
    /// The signals whose batches are held.
    pub hold: Vec<Held>,
    /// How long a trace is remembered after something of it has come.
    pub keep: GoDuration,
    /// What all that is remembered and held may take.
    pub max_bytes: ByteSize,
    /// Names of spans that are roots although they have a parent, which is somebody else's.
    pub root_spans: StringList,
    /// Whether log records without a trace get one from their fields, their text or their request.
    pub log_ids: bool,
    /// Attributes of log records: for each the attributes of the trace to take it from, the first that is there.
    pub log_attributes: BTreeMap<String, StringList>,
    /// Attributes of spans: for each what it is.
    pub span_attributes: BTreeMap<String, SpanFact>,
    /// Which spans explain which histograms.
    pub exemplars: Vec<Exemplar>,
    /// The form of worker ids.
    pub worker_id: WorkerId,
    /// Attributes that are worker ids.
    pub worker_id_keys: StringList,
}

/// A signal whose batches can be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// For the root span of each record's trace, and for the trace of each request.
    Logs,
    /// For the log records of their traces, always as long as `wait` says.
    Traces,
}

/// What a span can be told of its log records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpanFact {
    /// How many have the severity of an error or worse.
    ErrorCount,
    /// The message of the last of these.
    LastError,
}

/// The form of worker ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerId {
    /// As they come.
    Unchanged,
    /// As Dynamo's spans and log lines have them.
    Decimal,
    /// As the metrics of Dynamo's components have them.
    Hex,
}

/// A histogram and the spans that explain it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Exemplar {
    /// The histogram's name; required.
    pub metric: String,
    /// The name of the spans; required.
    pub span: String,
    /// The attribute of the span that is the observation, or `duration`: its own, in seconds; required.
    pub value: String,
    /// What the attribute is multiplied with, to have the histogram's unit.
    pub scale: Scale,
}

/// A number that is 1 by default.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Scale(pub f64);

impl Default for Scale {
    fn default() -> Scale {
        Scale(1.0)
    }
}

impl Default for Config {
    fn default() -> Config {
        let list = |names: &[&str]| StringList(names.iter().map(|name| (*name).to_owned()).collect());
        let attribute = |name: &str, sources: &[&str]| (name.to_owned(), list(sources));
        Config {
            wait: GoDuration::from_secs(2),
            hold: vec![Held::Logs],
            keep: GoDuration::from_secs(300),
            max_bytes: ByteSize(64 << 20),
            root_spans: list(&["http-request"]),
            log_ids: true,
            log_attributes: BTreeMap::from([
                attribute("trace.service", &["service.name"]),
                attribute("trace.model", &MODEL),
                attribute("trace.component", &["dynamo.component", "component"]),
                attribute("trace.worker_id", &["decode_worker_id", "worker_id", "instance_id"]),
            ]),
            span_attributes: BTreeMap::from([
                ("log.error_count".to_owned(), SpanFact::ErrorCount),
                ("log.last_error".to_owned(), SpanFact::LastError),
            ]),
            exemplars: dynamo_exemplars(),
            worker_id: WorkerId::Decimal,
            worker_id_keys: list(&[
                "worker_id",
                "instance_id",
                "prefill_worker_id",
                "decode_worker_id",
                "router_worker_id",
                "router_id",
            ]),
        }
    }
}

/// What Dynamo's `http-request` span measures, and the frontend's histograms that count it.
fn dynamo_exemplars() -> Vec<Exemplar> {
    let rule = |metric: &str, value: &str, scale: f64| Exemplar {
        metric: format!("dynamo_frontend_{metric}"),
        span: "http-request".to_owned(),
        value: value.to_owned(),
        scale: Scale(scale),
    };
    vec![
        rule("request_duration_seconds", "duration", 1.0),
        rule("time_to_first_token_seconds", "ttft_ms", 0.001),
        rule("inter_token_latency_seconds", "avg_itl_ms", 0.001),
        rule("input_sequence_tokens", "input_tokens", 1.0),
        rule("output_sequence_tokens", "output_tokens", 1.0),
    ]
}

/// Attributes that name the model a request is for.
const MODEL: [&str; 2] = ["model", "gen_ai.request.model"];

/// The least memory with which a correlation can work.
const LEAST_BYTES: u64 = 64 << 10;
/// The most attributes for log records.
const MOST_LOG_ATTRIBUTES: usize = 32;

impl Settings for Config {
    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut wrong = |path: String, message: String| problems.push(Problem::at(path, message));
        if self.keep.get() < self.wait.get() || self.keep.get().is_zero() {
            wrong("keep".to_owned(), "must be greater than zero and not less than wait".to_owned());
        }
        if self.max_bytes.0 < LEAST_BYTES {
            wrong("max_bytes".to_owned(), "must be at least 64KiB".to_owned());
        }
        if self.log_attributes.len() > MOST_LOG_ATTRIBUTES {
            let message = format!("has {} entries, the most is {MOST_LOG_ATTRIBUTES}", self.log_attributes.len());
            wrong("log_attributes".to_owned(), message);
        }
        for (name, sources) in &self.log_attributes {
            if sources.is_empty() {
                wrong(format!("log_attributes.{name}"), "must name at least one attribute of the trace".to_owned());
            }
        }
        for (number, rule) in self.exemplars.iter().enumerate() {
            for (key, value) in [("metric", &rule.metric), ("span", &rule.span), ("value", &rule.value)] {
                if value.is_empty() {
                    wrong(format!("exemplars.{number}"), format!("needs {key}"));
                }
            }
            if self.exemplars[..number].iter().any(|other| other.metric == rule.metric) {
                wrong(format!("exemplars.{number}.metric"), format!("{} has a rule above", rule.metric));
            }
        }
        problems
    }
}

/// A config as it is used.
pub struct Choice {
    /// How long batches of this pipeline's signal are held; zero for not at all.
    pub wait: Duration,
    /// See [`Config::log_ids`].
    pub log_ids: bool,
    /// The lengths of the log records' attributes, as bits.
    pub log_attribute_lens: u64,
    /// Names of the log records' attributes.
    pub log_attributes: Vec<String>,
    /// Names and meanings of the spans' attributes.
    pub span_attributes: Vec<(String, SpanFact)>,
    /// See [`Config::root_spans`].
    pub root_spans: Vec<String>,
    /// For exemplars.
    pub rules: Rules,
    /// See [`Config::worker_id`].
    pub worker_id: WorkerId,
    /// See [`Config::worker_id_keys`].
    pub worker_id_keys: Vec<String>,
    sources: HashMap<String, Vec<Source>>,
}

/// What an attribute of a trace is a source of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// For what.
    pub target: Target,
    /// Its place among the sources, the first is 0.
    pub place: u16,
}

/// See [`Source`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A log record's attribute, by its number.
    LogAttribute(usize),
    /// The model of exemplars.
    Model,
}

impl Choice {
    /// The config for a pipeline of that signal.
    pub fn new(config: Config, signal: Signal) -> Choice {
        let mut sources: HashMap<String, Vec<Source>> = HashMap::new();
        let mut add = |key: &str, target, place: usize| {
            let place = u16::try_from(place).unwrap_or(u16::MAX);
            sources.entry(key.to_owned()).or_default().push(Source { target, place });
        };
        for (number, keys) in config.log_attributes.values().enumerate() {
            keys.iter().enumerate().for_each(|(place, key)| add(key, Target::LogAttribute(number), place));
        }
        MODEL.iter().enumerate().for_each(|(place, key)| add(key, Target::Model, place));
        let is_held = config.hold.iter().any(|held| match held {
            Held::Logs => signal == Signal::Logs,
            Held::Traces => signal == Signal::Traces,
        });
        Choice {
            wait: if is_held { config.wait.get() } else { Duration::ZERO },
            log_ids: config.log_ids,
            log_attribute_lens: config.log_attributes.keys().fold(0, |bits, name| bits | len_bit(name.len())),
            log_attributes: config.log_attributes.into_keys().collect(),
            span_attributes: config.span_attributes.into_iter().collect(),
            root_spans: config.root_spans.0,
            rules: Rules::new(config.exemplars),
            worker_id: config.worker_id,
            worker_id_keys: config.worker_id_keys.0,
            sources,
        }
    }

    /// What an attribute of a trace is for.
    pub fn sources(&self, key: &str) -> &[Source] {
        self.sources.get(key).map_or(&[], Vec::as_slice)
    }

    /// Whether log records are to have something of their root span.
    pub fn wants_roots(&self) -> bool {
        !self.log_attributes.is_empty()
    }
}
