//! Writes a recording as a test file with the payloads beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use pipeline::doors::{Doors, Files};
use pipeline::net::compress::{self, Coding};
use pipeline::{Registry, Signal};
use regex::Regex;
use serde_json::Value;

use super::redact::redacted;
use super::{Event, Events, RecordOptions, capture::Incoming};
use crate::decode::{json_signal, otlp_signal, rfc3339};

/// The most bytes that a compressed request may become.
const MOST_BYTES: usize = 64 << 20;
/// What a receiver reads so soon after everything has started was there before.
const AT_START: Duration = Duration::from_millis(100);

/// Writes it into the folder; answers the test file's path.
///
/// # Errors
/// What cannot be written.
pub(super) fn write(_: &Registry, options: &RecordOptions, events: &Events) -> Result<PathBuf, String> {
    let files = Doors::real().files;
    files
        .create_folder(&options.out, 0o755)
        .map_err(|error| format!("cannot make {}: {error}", options.out.display()))?;
    let mut folder = Folder { files: &*files, options, written: BTreeMap::new() };
    let mut inputs = BTreeMap::<&str, Vec<String>>::new();
    let mut at_start = Vec::new();
    let pages = page_times(&events.events);
    for (i, event) in events.events.iter().enumerate() {
        let at = pages.get(&i).copied().unwrap_or(event.at);
        let fields = match &event.what {
            Incoming::Request { address, method, path, headers, body } => {
                let url = format!("http://{address}{path}");
                folder.request(path, headers, body, method.as_str(), &url)?
            }
            Incoming::Page { address, path, status, content_type, body } => {
                let name = folder.write("page", "txt", body)?;
                vec![
                    ("target", format!("http://{address}{path}").into()),
                    ("file", name.into()),
                    ("status", (*status).into()),
                    ("content_type", content_type.clone().into()),
                ]
            }
            Incoming::Appended { path, bytes, anew: false } if event.at < events.ready + AT_START => {
                at_start.push((path.clone(), folder.write("lines", "log", bytes)?));
                continue;
            }
            Incoming::Appended { path, bytes, anew } => {
                let path = Value::from(path.display().to_string());
                if *anew {
                    let gone = line(at, &[("path", path.clone()), ("remove", true.into())]);
                    inputs.entry(&event.receiver).or_default().push(gone);
                }
                vec![("path", path), ("file", folder.write("lines", "log", bytes)?.into())]
            }
            Incoming::Input(bytes) => vec![("file", folder.write("stdin", "txt", bytes)?.into())],
        };
        inputs.entry(&event.receiver).or_default().push(line(at, &fields));
    }
    let mut out =
        String::from("# Recorded by `slipring record`; what is expected is what the config makes of it here.\n");
    let configs: Vec<Value> =
        options.inputs.configs.iter().map(|name| Value::from(relative(name, &options.out))).collect();
    _ = writeln!(out, "config: {}", Value::from(configs));
    let variables = variables(options, &*files);
    if !variables.is_empty() {
        out.push_str("env:\n");
        variables.iter().for_each(|(name, value)| _ = writeln!(out, "  {name}: {}", Value::from(value.as_str())));
    }
    if !options.inputs.sets.is_empty() {
        _ = writeln!(out, "set: {}", Value::from(options.inputs.sets.clone()));
    }
    let start = u64::try_from(events.start.as_nanos()).unwrap_or(u64::MAX);
    _ = writeln!(out, "start: {}", Value::from(rfc3339(start)));
    out.push_str("tests:\n  - name: recorded\n");
    if !at_start.is_empty() {
        out.push_str("    files:\n");
        for (path, name) in &at_start {
            let (path, name) = (Value::from(path.display().to_string()), Value::from(name.as_str()));
            _ = writeln!(out, "      {path}: {{file: {name}}}");
        }
    }
    if !inputs.is_empty() {
        out.push_str("    inputs:\n");
        for (receiver, lines) in &inputs {
            _ = writeln!(out, "      {receiver}:");
            lines.iter().for_each(|line| _ = writeln!(out, "        - {line}"));
        }
    }
    _ = writeln!(out, "    for: {}s", (options.time + Duration::from_secs(1)).as_secs());
    let path = options.out.join("recording.test.yaml");
    files.replace(&path, out.as_bytes()).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    Ok(path)
}

/// When each page counts from: half-way between the answer before it and its own, so that a scrape at the same time gets
/// it, however long it takes.
fn page_times(events: &[Event]) -> BTreeMap<usize, Duration> {
    let mut before = BTreeMap::<(&str, &str), Duration>::new();
    let mut out = BTreeMap::new();
    for (i, event) in events.iter().enumerate() {
        if let Incoming::Page { address, path, .. } = &event.what {
            let from = before.insert((address, path), event.at).map_or(Duration::ZERO, |last| (last + event.at) / 2);
            out.insert(i, from);
        }
    }
    out
}

/// `{at: 1.5s, …}`
fn line(at: Duration, fields: &[(&str, Value)]) -> String {
    let mut out = format!("{{at: {}ms", at.as_millis());
    fields.iter().for_each(|(name, value)| _ = write!(out, ", {name}: {value}"));
    out.push('}');
    out
}

/// The folder that payloads are written to.
struct Folder<'a> {
    files: &'a dyn Files,
    options: &'a RecordOptions,
    written: BTreeMap<&'static str, usize>,
}

impl Folder<'_> {
    /// Writes a payload; answers its name.
    fn write(&mut self, what: &'static str, ending: &str, contents: &[u8]) -> Result<String, String> {
        let number = self.written.entry(what).or_default();
        *number += 1;
        let name = format!("{what}-{number:04}.{ending}");
        let contents = match std::str::from_utf8(contents) {
            Ok(text) if self.options.redact => redacted(text).into_bytes(),
            _ => contents.to_vec(),
        };
        let path = self.options.out.join(&name);
        self.files.replace(&path, &contents).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        Ok(name)
    }

    fn request(
        &mut self,
        path: &str,
        headers: &HeaderMap,
        body: &Bytes,
        method: &str,
        url: &str,
    ) -> Result<Vec<(&'static str, Value)>, String> {
        let header = |name: &http::HeaderName| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let kind = header(&CONTENT_TYPE).to_owned();
        let grpc = kind.starts_with("application/grpc");
        let coding = if grpc { None } else { Coding::from_name(header(&CONTENT_ENCODING)).ok().flatten() };
        let plain = match coding {
            None => body.clone(),
            Some(coding) => compress::decompress(coding, body, MOST_BYTES).map_or_else(|_| body.clone(), Bytes::from),
        };
        let json = |signal: Signal| {
            if kind.starts_with("application/json") {
                return json_signal(&String::from_utf8_lossy(&plain)).map(|_| plain.to_vec());
            }
            pipeline::otlp::json::from_proto(signal, &plain).ok()
        };
        if let Some(json) = otlp_signal(path).and_then(json) {
            let over = if grpc {
                "grpc"
            } else if kind.starts_with("application/json") {
                "json"
            } else {
                "http"
            };
            let name = self.write("otlp", "json", &json)?;
            let mut fields = vec![("file", Value::from(name)), ("over", over.into())];
            if !grpc && !["/v1/traces", "/v1/metrics", "/v1/logs"].contains(&path) {
                fields.push(("path", path.into()));
            }
            return Ok(fields);
        }
        let name = self.write("request", "bin", &plain)?;
        let mut fields = vec![("url", Value::from(url)), ("method", method.into()), ("file", name.into())];
        if !kind.is_empty() {
            fields.push(("headers", serde_json::json!({"content-type": kind})));
        }
        // Whatever it answered.
        fields.push(("answer", "any".into()));
        Ok(fields)
    }
}

/// The variables that the configs name, with their values; those that sound secret are masked.
fn variables(options: &RecordOptions, files: &dyn Files) -> BTreeMap<String, String> {
    const SECRET: [&str; 6] = ["TOKEN", "SECRET", "PASSWORD", "KEY", "CREDENTIAL", "AUTH"];
    let Ok(reference) = Regex::new(r"\$\{(?:env:)?([A-Za-z_][A-Za-z0-9_]*)") else { return BTreeMap::new() };
    let mut names = BTreeSet::new();
    for config in &options.inputs.configs {
        let contents = files.read_small(Path::new(config.trim_start_matches("file:")), MOST_BYTES).unwrap_or_default();
        let text = if contents.is_empty() { config.clone() } else { String::from_utf8_lossy(&contents).into_owned() };
        names.extend(reference.captures_iter(&text).map(|found| found[1].to_owned()));
    }
    let value = |name: String| {
        let value = std::env::var(&name).ok()?;
        let secret = SECRET.iter().any(|word| name.to_ascii_uppercase().contains(word));
        Some((name, if secret { "***".to_owned() } else { value }))
    };
    names.into_iter().filter_map(value).collect()
}

/// A config's path as it is seen from the folder.
fn relative(config: &str, folder: &Path) -> String {
    if ["builtin:", "env:", "yaml:"].iter().any(|scheme| config.starts_with(scheme)) {
        return config.to_owned();
    }
    let files = Doors::real().files;
    let resolve = |path: &Path| files.resolve(path).ok();
    let config = Path::new(config.trim_start_matches("file:"));
    let (Some(config), Some(folder)) = (resolve(config), resolve(folder)) else { return config.display().to_string() };
    let (to, from): (Vec<Component<'_>>, Vec<Component<'_>>) =
        (config.components().collect(), folder.components().collect());
    let common = to.iter().zip(&from).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n(Component::ParentDir, from.len() - common);
    up.chain(to.into_iter().skip(common)).collect::<PathBuf>().display().to_string()
}
