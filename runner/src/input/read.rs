//! Inputs as they are written in a test file: each entry in the language of its receiver.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use pipeline::Signal;
use pipeline::config::report::{Diagnostic, Report};
use pipeline::config::tree::{At, Node};
use pipeline::config::{GoDuration, Text, Written};
use pipeline::net::origin::{Origin, parse_url};
use pipeline::otlp::{json, text};
use serde::Deserialize;

use super::{Answer, Body, Change, Http, Input, Otlp, Over, What, with_now, with_now_json};
use crate::decode::json_signal;
use crate::driver::Driver;
use crate::expected;
use crate::suite::{Case, PageText, Reader, part, signal};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct When {
    at: GoDuration,
    every: GoDuration,
    times: Option<u32>,
}

impl When {
    fn all(&self) -> impl Iterator<Item = Duration> {
        let (at, every) = (self.at.get(), self.every.get());
        (0..self.times.unwrap_or(1)).map(move |n| at + every * n)
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct OtlpText {
    #[serde(rename = "~when")]
    when: When,
    traces: Option<String>,
    metrics: Option<String>,
    logs: Option<String>,
    json: Written,
    file: String,
    signal: String,
    over: Over,
    path: Option<String>,
    headers: BTreeMap<String, Text>,
    answer: Option<Text>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct HttpText {
    #[serde(rename = "~when")]
    when: When,
    url: String,
    method: Option<String>,
    headers: BTreeMap<String, Text>,
    body: String,
    file: String,
    answer: Option<Text>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct PageOf {
    at: GoDuration,
    target: String,
    text: Option<String>,
    file: String,
    status: Option<u16>,
    content_type: Option<String>,
    down: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct LinesText {
    #[serde(rename = "~when")]
    when: When,
    path: String,
    lines: Vec<Text>,
    text: String,
    file: String,
    rename: String,
    copy_truncate: String,
    truncate: bool,
    remove: bool,
    end: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct DriverText {
    at: GoDuration,
    driver: String,
    script: String,
    file: String,
}

/// The languages, with the keys by which an entry speaks them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Language {
    Otlp,
    Page,
    File,
    Stdin,
    Driver,
    Http,
}

/// Reads what comes in by a receiver.
pub(crate) fn read(reader: &Reader<'_>, id: &str, at: At, node: &Node, case: &mut Case, report: &mut Report) {
    for entry in node.as_list().unwrap_or(std::slice::from_ref(node)) {
        let place = if entry.as_map().is_some() { entry.at } else { at };
        match language(reader, id, entry) {
            Some(Language::Otlp) => otlp(reader, id, place, entry, case, report),
            Some(Language::Page) => page(reader, place, entry, case, report),
            Some(Language::File) => lines(reader, place, entry, false, case, report),
            Some(Language::Stdin) => lines(reader, place, entry, true, case, report),
            Some(Language::Driver) => driver(reader, id, place, entry, case, report),
            Some(Language::Http) => http(reader, place, entry, case, report),
            None => report.push(
                Diagnostic::error(place, format!("nothing is known of what comes in by {id}"))
                    .help("say it by what is outside: url (a request to it), target (a page that it asks for), path (a file that it reads)"),
            ),
        }
    }
}

/// What an entry speaks: by what it names outside, else by the receiver's type.
fn language(reader: &Reader<'_>, id: &str, entry: &Node) -> Option<Language> {
    let has = |key: &str| entry.as_map().is_some_and(|map| map.value(key).is_some());
    let by_type = match reader.receiver_type(id) {
        Some("otlp") => Some(Language::Otlp),
        Some("prometheus") => Some(Language::Page),
        Some("file_log") => Some(Language::File),
        Some("stdin_log") => Some(Language::Stdin),
        Some("nvml") => Some(Language::Driver),
        _ => None,
    };
    match by_type {
        _ if has("url") => Some(Language::Http),
        _ if has("target") => Some(Language::Page),
        None if has("path") => Some(Language::File),
        by_type => by_type,
    }
}

fn otlp(reader: &Reader<'_>, id: &str, at: At, node: &Node, case: &mut Case, report: &mut Report) {
    let Some(text) = part::<OtlpText>("inputs", at, node, report) else { return };
    let place = |key: &str| node.as_map().and_then(|map| map.value(key)).map_or(at, |node| node.at);
    let mut bodies = Vec::new();
    for (signal, written) in
        [(Signal::Traces, &text.traces), (Signal::Metrics, &text.metrics), (Signal::Logs, &text.logs)]
    {
        if let Some(written) = written {
            match text::parse(signal, &with_now(written, 1)) {
                Ok(_) => bodies.push((signal, Body::Text(written.clone()))),
                Err(error) => {
                    report.push(Diagnostic::error(place(signal.name()), format!("the text form of {signal}: {error}")));
                }
            }
        }
    }
    if let Some(json) = node.as_map().and_then(|map| map.value("json")) {
        let json = json.as_text().map_or_else(|| expected::value(json).to_string(), str::to_owned);
        bodies.extend(of_json(&json, place("json"), report));
    }
    if !text.file.is_empty()
        && let Some(contents) = reader.contents(&text.file, place("file"), report)
    {
        let named = signal(&text.signal);
        let string = String::from_utf8(contents.to_vec());
        match (string, named) {
            (Ok(json), _) if json_signal(&json).is_some() => bodies.extend(of_json(&json, place("file"), report)),
            (Ok(form), Some(signal)) if text::parse(signal, &with_now(&form, 1)).is_ok() => {
                bodies.push((signal, Body::Text(form)));
            }
            (_, Some(signal)) => bodies.push((signal, Body::Proto(contents))),
            _ => report.push(
                Diagnostic::error(place("file"), format!("{} is not OTLP JSON", text.file))
                    .help("for protobuf and for the text form add signal: traces, metrics or logs"),
            ),
        }
    }
    if bodies.is_empty() && report.errors() == 0 {
        report.push(
            Diagnostic::error(at, "nothing comes in here").help("give traces, metrics or logs, or json, or a file"),
        );
    }
    for (signal, body) in bodies {
        let otlp = Otlp {
            receiver: id.to_owned(),
            signal,
            body,
            over: text.over,
            path: text.path.clone(),
            headers: headers(&text.headers),
            answer: answer(text.answer.as_ref()),
        };
        let inputs = text.when.all().map(|when| Input { at: when, what: What::Otlp(otlp.clone()), place: at });
        case.inputs.extend(inputs);
    }
}

fn of_json(json: &str, at: At, report: &mut Report) -> Option<(Signal, Body)> {
    let Some(signal) = json_signal(json).or_else(|| first_signal(json)) else {
        report.push(
            Diagnostic::error(at, "this is no OTLP request in JSON")
                .help("it begins with resourceSpans, resourceMetrics or resourceLogs"),
        );
        return None;
    };
    match json::to_proto(signal, with_now_json(json, 1).as_bytes()) {
        Ok(_) => Some((signal, Body::Json(json.to_owned()))),
        Err(error) => {
            report.push(Diagnostic::error(at, format!("the OTLP JSON: {error}")));
            None
        }
    }
}

fn first_signal(json: &str) -> Option<Signal> {
    let value: serde_json::Value = serde_json::from_str(json).ok()?;
    let has = |key: &str| value.get(key).is_some();
    let keys =
        [("resourceSpans", Signal::Traces), ("resourceMetrics", Signal::Metrics), ("resourceLogs", Signal::Logs)];
    keys.into_iter().find(|(key, _)| has(key)).map(|(_, signal)| signal)
}

fn headers(written: &BTreeMap<String, Text>) -> BTreeMap<String, String> {
    written.iter().map(|(name, value)| (name.clone(), value.0.clone())).collect()
}

fn answer(written: Option<&Text>) -> Answer {
    match written.map(|text| text.0.as_str()) {
        None | Some("taken" | "ok") => Answer::Taken,
        Some("refused") => Answer::Refused,
        Some("any") => Answer::Any,
        Some(code) => Answer::Code(code.to_owned()),
    }
}

fn http(reader: &Reader<'_>, at: At, node: &Node, case: &mut Case, report: &mut Report) {
    let Some(text) = part::<HttpText>("inputs", at, node, report) else { return };
    if let Err(error) = parse_url(&text.url) {
        report.push(Diagnostic::error(at, error));
    }
    let body = if text.file.is_empty() {
        Some(Bytes::from(text.body.clone()))
    } else {
        reader.contents(&text.file, at, report)
    };
    let Some(body) = body else { return };
    let http = Http {
        method: text.method.clone().unwrap_or_else(|| "POST".to_owned()),
        url: text.url.clone(),
        headers: headers(&text.headers),
        body,
        answer: answer(text.answer.as_ref()),
    };
    let inputs = text.when.all().map(|when| Input { at: when, what: What::Http(http.clone()), place: at });
    case.inputs.extend(inputs);
}

fn page(reader: &Reader<'_>, at: At, node: &Node, case: &mut Case, report: &mut Report) {
    let Some(text) = part::<PageOf>("inputs", at, node, report) else { return };
    let url = if text.target.contains("://") { text.target.clone() } else { format!("http://{}", text.target) };
    let url = match parse_url(&url) {
        Ok(url) => url,
        Err(error) => {
            let message = if text.target.is_empty() { "a target is needed".to_owned() } else { error };
            report.push(Diagnostic::error(at, message).help("target: localhost:8000, or a whole URL"));
            return;
        }
    };
    let Ok(origin) = Origin::of(&url) else { return };
    let path = match url.path_and_query().map(http::uri::PathAndQuery::as_str) {
        None | Some("/") if !text.target.ends_with('/') => "/metrics",
        path => path.unwrap_or("/"),
    };
    let body = match (&text.text, text.file.is_empty()) {
        (Some(text), _) => Some(Bytes::from(text.clone())),
        (None, false) => reader.contents(&text.file, at, report),
        (None, true) if text.down || text.status.is_some() => Some(Bytes::new()),
        (None, true) => {
            report
                .push(Diagnostic::error(at, "nothing is served here").help("give text or file, status, or down: true"));
            None
        }
    };
    let Some(body) = body else { return };
    let kind = text.content_type.unwrap_or_else(|| guessed_type(&body).to_owned());
    case.pages.push(PageText {
        from: text.at.get(),
        address: origin.address(),
        path: path.to_owned(),
        status: (!text.down).then_some(text.status.unwrap_or(200)),
        content_type: kind,
        body,
    });
}

fn guessed_type(body: &[u8]) -> &'static str {
    match body.trim_ascii() {
        body if body.ends_with(b"# EOF") => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        [b'{' | b'[', ..] => "application/json",
        _ => "text/plain; version=0.0.4; charset=utf-8",
    }
}

fn lines(reader: &Reader<'_>, at: At, node: &Node, stdin: bool, case: &mut Case, report: &mut Report) {
    let Some(text) = part::<LinesText>("inputs", at, node, report) else { return };
    let path = PathBuf::from(&text.path);
    if !stdin && text.path.is_empty() {
        report.push(Diagnostic::error(at, "a path is needed").help("path: /var/log/app.log"));
        return;
    }
    let mut written: Vec<u8> = text.lines.iter().flat_map(|line| [line.0.as_bytes(), b"\n"].concat()).collect();
    written.extend_from_slice(text.text.as_bytes());
    if !text.file.is_empty() {
        written.extend_from_slice(&reader.contents(&text.file, at, report).unwrap_or_default());
    }
    let file = |change: Change| What::File { path: path.clone(), change };
    let mut all = Vec::new();
    if !text.rename.is_empty() {
        all.push(file(Change::Rename(PathBuf::from(&text.rename))));
    }
    if !text.copy_truncate.is_empty() {
        all.push(file(Change::CopyTruncate(PathBuf::from(&text.copy_truncate))));
    }
    if text.truncate {
        all.push(file(Change::Truncate));
    }
    if !written.is_empty() {
        let written = Bytes::from(written);
        all.push(if stdin { What::Stdin(written) } else { file(Change::Append(written)) });
    }
    if text.remove {
        all.push(file(Change::Remove));
    }
    if text.end {
        all.push(What::EndOfStdin);
    }
    if all.is_empty() && report.errors() == 0 {
        let help = "give lines, text or file; or rename, copy_truncate, truncate, remove";
        report.push(Diagnostic::error(at, "nothing happens here").help(help));
    }
    for when in text.when.all() {
        case.inputs.extend(all.iter().map(|what| Input { at: when, what: what.clone(), place: at }));
    }
}

/// A GPU driver and what it plays.
fn driver(reader: &Reader<'_>, id: &str, at: At, node: &Node, case: &mut Case, report: &mut Report) {
    let Some(text) = part::<DriverText>("inputs", at, node, report) else { return };
    let script = if text.file.is_empty() {
        text.script
    } else {
        let contents = reader.contents(&text.file, at, report).unwrap_or_default();
        String::from_utf8_lossy(&contents).into_owned()
    };
    if case.driver.is_none() {
        let path = reader.path(&text.driver);
        let copied = if text.driver.is_empty() {
            Err("a driver is needed: the path of a library that plays scripts".to_owned())
        } else {
            Driver::copied(&path).map_err(|error| format!("cannot take the driver {}: {error}", path.display()))
        };
        match copied {
            Ok(driver) => {
                case.setting.sets.push(format!("receivers.{id}.library={}", driver.library().display()));
                case.driver = Some(driver);
            }
            Err(error) => return report.push(Diagnostic::error(at, error)),
        }
    }
    case.inputs.push(Input { at: text.at.get(), what: What::Script(script), place: at });
}
