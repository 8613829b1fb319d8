//! Own logs: one line an event on standard error, as text or JSON, with UTC times in RFC 3339. Our own crates log at the
//! chosen level, libraries from `warn` on.

use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;

use crate::plan::{LogEncoding, LogLevel, TelemetryPlan};

/// The crates that are ours, as targets begin.
const OURS: [&str; 7] = ["slipring", "pipeline", "receivers", "processors", "exporters", "extensions", "runner"];

/// How many warnings and errors are remembered.
const MOST_REMEMBERED: usize = 200;
/// How much of each.
const MOST_REMEMBERED_BYTES: usize = 2048;

/// The latest warnings and errors, oldest first. Like the subscriber they belong to the process.
static REMEMBERED: Mutex<VecDeque<Line>> = Mutex::new(VecDeque::new());

/// A warning or an error that was logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When, as RFC 3339 has it.
    pub time: String,
    /// How bad it is.
    pub level: Level,
    /// The module.
    pub target: String,
    /// What it says, on one line, fields behind it.
    pub text: String,
}

/// The latest warnings and errors, oldest first.
pub fn remembered() -> Vec<Line> {
    REMEMBERED.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
}

fn remember(time: &str, level: Level, target: &str, fields: &Fields) {
    let mut text = OneLine(&fields.message).to_string();
    for (name, value) in &fields.others {
        let _ = match value {
            Value::String(value) => write!(text, " {name}={}", Shown(value)),
            other => write!(text, " {name}={other}"),
        };
    }
    if text.len() > MOST_REMEMBERED_BYTES {
        let end = (0..=MOST_REMEMBERED_BYTES).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or(0));
    }
    let mut all = REMEMBERED.lock().unwrap_or_else(PoisonError::into_inner);
    if all.len() == MOST_REMEMBERED {
        all.pop_front();
    }
    all.push_back(Line { time: time.to_owned(), level, target: target.to_owned(), text });
}

/// Sends own logs to standard error from now on, panics included. Once for a process; later calls change nothing.
pub fn install(plan: &TelemetryPlan) {
    if tracing::subscriber::set_global_default(subscriber(plan, std::io::stderr)).is_err() {
        return;
    }
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let payload = panic.payload();
        let words = payload.downcast_ref::<&str>().copied();
        let words = words.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
        tracing::error!(place, "a bug: panicked: {words}");
    }));
}

/// The subscriber itself, for another place than standard error.
pub fn subscriber<W>(plan: &TelemetryPlan, writer: W) -> impl Subscriber + Send + Sync + use<W>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let level = match plan.log_level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    };
    let libraries = level.min(LevelFilter::WARN);
    let targets = Targets::new().with_default(libraries).with_targets(OURS.map(|target| (target, level)));
    let lines = Lines { encoding: plan.log_encoding, resource: Resource::new(&plan.resource) };
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).event_format(lines);
    tracing_subscriber::registry().with(targets).with(layer)
}

/// Writes each event as one line.
struct Lines {
    encoding: LogEncoding,
    resource: Resource,
}

/// The attributes that every line carries.
struct Resource {
    json: Option<Value>,
    text: String,
}

impl Resource {
    fn new(attributes: &[(String, String)]) -> Resource {
        let object: Map<String, Value> =
            attributes.iter().map(|(name, value)| (name.clone(), Value::from(value.clone()))).collect();
        let mut text = String::new();
        for (name, value) in attributes {
            let _ = write!(text, " {name}={}", Shown(value));
        }
        Resource { json: (!object.is_empty()).then_some(Value::Object(object)), text }
    }
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let (level, target) = (*event.metadata().level(), event.metadata().target());
        if level <= Level::WARN {
            remember(&time, level, target, &fields);
        }
        match self.encoding {
            LogEncoding::Console => self.console(&mut writer, &time, level, target, &fields),
            LogEncoding::Json => self.json(&mut writer, time, level, target, fields),
        }
    }
}

impl Lines {
    fn console(&self, out: &mut Writer<'_>, time: &str, level: Level, target: &str, fields: &Fields) -> fmt::Result {
        write!(out, "{time} {level:<5} {target}: {}", OneLine(&fields.message))?;
        for (name, value) in &fields.others {
            match value {
                Value::String(text) => write!(out, " {name}={}", Shown(text))?,
                other => write!(out, " {name}={other}")?,
            }
        }
        writeln!(out, "{}", self.resource.text)
    }

    fn json(&self, out: &mut Writer<'_>, time: String, level: Level, target: &str, fields: Fields) -> fmt::Result {
        let mut line = Map::new();
        line.insert("level".to_owned(), level.as_str().to_ascii_lowercase().into());
        line.insert("ts".to_owned(), time.into());
        line.insert("target".to_owned(), target.into());
        line.insert("msg".to_owned(), fields.message.into());
        if let Some(resource) = &self.resource.json {
            line.insert("resource".to_owned(), resource.clone());
        }
        for (name, value) in fields.others {
            line.entry(name).or_insert(value);
        }
        writeln!(out, "{}", Value::Object(line))
    }
}

/// What an event says.
#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, Value)>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        self.others.push((field.name(), value));
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            self.put(field, format!("{value:?}").into());
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.put(field, value.into());
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, value.to_string().into());
    }
}

/// A value on a console line: quoted where it would run into the next.
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |c: char| !c.is_whitespace() && !c.is_control() && c != '"' && c != '=';
        if !self.0.is_empty() && self.0.chars().all(plain) { f.write_str(self.0) } else { write!(f, "{:?}", self.0) }
    }
}

/// A message without line breaks or control characters, so that what a peer sent cannot forge a line.
struct OneLine<'a>(&'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if c.is_control() { write!(f, "{}", c.escape_default())? } else { f.write_char(c)? }
        }
        Ok(())
    }
}
