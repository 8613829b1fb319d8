//! The checks of `service.pipelines`, and the pipelines that pass them.

use std::collections::{BTreeMap, HashSet};

use super::ComponentId;
use super::check;
use super::decode::{self, Body, Notes};
use super::nearest::nearest;
use super::report::{Diagnostic, Rule};
use super::service::{PipelineConfig, Service};
use super::tree::At;
use crate::batch::Signal;
use crate::plan::{Pipeline, PipelineId};

/// What is said of a service without pipelines.
pub const NO_PIPELINE: &str = "service must have at least one pipeline";

/// The keys of a pipeline.
const KINDS: &[&str] = &["receivers", "processors", "exporters"];

/// Ids of one kind, with the signals of those whose type is known.
pub type Ids<'a> = BTreeMap<&'a ComponentId, Option<&'static [Signal]>>;

/// What a pipeline can refer to; `None` where that is not known because the section could not be read.
pub struct Known<'a> {
    /// Under `receivers`.
    pub receivers: Option<Ids<'a>>,
    /// Under `processors`.
    pub processors: Option<Ids<'a>>,
    /// Under `exporters`.
    pub exporters: Option<Ids<'a>>,
    /// Under `connectors`.
    pub connectors: &'a HashSet<ComponentId>,
}

/// The pipelines of a service; what is wrong with them is noted.
pub fn pipelines(service: &Service, body: &Body<'_>, known: &Known<'_>, notes: &mut Notes) -> Vec<Pipeline> {
    if service.pipelines.is_empty() {
        if !body.node.any(&|node| node.broken || notes.bad.contains(&node.id)) {
            notes.diagnostics.push(
                Diagnostic::error(check::locate(body, "pipelines", notes).at(), NO_PIPELINE)
                    .help("such as service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}"),
            );
        }
        return Vec::new();
    }
    let mut seen: BTreeMap<PipelineId, At> = BTreeMap::new();
    let mut out = Vec::new();
    for (key, config) in &service.pipelines {
        let at = check::locate(body, &format!("pipelines.{key}"), notes).at();
        let id = match pipeline_id(key) {
            Ok(id) => id,
            Err((message, help)) => {
                let diagnostic = Diagnostic::error(at, format!("service::pipelines: {message}"));
                notes.diagnostics.push(diagnostic.help(help));
                continue;
            }
        };
        if let Some(first) = seen.insert(id.clone(), at) {
            let message = format!("service::pipelines: duplicate name {:?}", id.to_string());
            notes.diagnostics.push(Diagnostic::error(at, message).also(first, "first given at"));
            continue;
        }
        let mut check = Check { key, id: &id, at, body, known, notes };
        let pipeline = check.pipeline(config);
        out.push(pipeline);
    }
    out
}

fn pipeline_id(key: &str) -> Result<PipelineId, (String, String)> {
    let works = || "a pipeline is called traces, metrics or logs, or one of these with /name".to_owned();
    let id = ComponentId::parse(key).map_err(|message| (message, works()))?;
    match Signal::from_name(&id.kind) {
        Some(signal) => Ok(PipelineId { signal, name: id.name }),
        None if id.kind == "profiles" => {
            Err((format!("unknown signal {:?}", id.kind), "profiles are not supported yet".to_owned()))
        }
        None => {
            let help = match nearest(&id.kind, Signal::ALL.map(Signal::name)) {
                Some(near) => format!("did you mean `{}`?", ComponentId::new(near, &id.name)),
                None => works(),
            };
            Err((format!("unknown signal {:?}", id.kind), help))
        }
    }
}

/// The check of one pipeline.
struct Check<'a, 'n> {
    key: &'a str,
    id: &'a PipelineId,
    at: At,
    body: &'a Body<'a>,
    known: &'a Known<'a>,
    notes: &'n mut Notes,
}

impl Check<'_, '_> {
    fn pipeline(&mut self, config: &PipelineConfig) -> Pipeline {
        let known = self.known;
        let receivers = self.references("receiver", &config.receivers, known.receivers.as_ref());
        let processors = self.references("processor", &config.processors, known.processors.as_ref());
        let exporters = self.references("exporter", &config.exporters, known.exporters.as_ref());
        for (kind, list) in [("receiver", &config.receivers), ("exporter", &config.exporters)] {
            if list.is_empty() && !self.is_unknown(kind) {
                self.wrong(self.at, &format!("must have at least one {kind}"), None);
            }
        }
        let mut seen = HashSet::new();
        for (n, processor) in config.processors.iter().enumerate().filter(|(_, p)| !seen.insert(p.trim())) {
            let at = self.place("processor", n);
            let help = "each processor has one instance in a pipeline: give the second one a name, such as batch/2";
            self.wrong(at, &format!("references processor {processor:?} multiple times"), Some(help.to_owned()));
        }
        Pipeline { id: self.id.clone(), receivers, processors, exporters }
    }

    /// Whether the list is empty only because of something that has been reported.
    fn is_unknown(&self, kind: &str) -> bool {
        let list = check::locate(self.body, &format!("pipelines.{}.{kind}s", self.key), self.notes);
        let pipelines = self.body.node.as_map().and_then(|m| m.value("pipelines")?.as_map());
        let pipeline = pipelines.and_then(|m| m.value(self.key));
        match list.place {
            check::Place::Broken => true,
            check::Place::Written(_) => {
                let list = pipeline.and_then(|p| p.as_map()?.value(&format!("{kind}s")));
                list.is_some_and(|l| !l.is_null() && l.as_list().is_none_or(|l| !l.is_empty()))
            }
            check::Place::Missing(_) => pipeline.is_some_and(|p| {
                p.as_map().is_none() && !p.is_null() || !decode::unknown_keys(p, "", KINDS).is_empty()
            }),
        }
    }

    /// The ids of one kind, each once.
    fn references(&mut self, kind: &str, list: &[String], known: Option<&Ids<'_>>) -> Vec<ComponentId> {
        let mut out: Vec<ComponentId> = Vec::new();
        for (n, text) in list.iter().enumerate() {
            let at = self.place(kind, n);
            let id = match ComponentId::parse(text) {
                Ok(id) => id,
                Err(message) => {
                    self.wrong(at, &message, None);
                    continue;
                }
            };
            let Some(known) = known else { continue };
            match known.get(&id) {
                Some(Some(signals)) if !signals.contains(&self.id.signal) => {
                    let names: Vec<&str> = signals.iter().map(|s| s.name()).collect();
                    let help = format!("`{}` is for pipelines of {}", id.kind, names.join(" and "));
                    self.wrong(at, &format!("{kind} {text:?}: telemetry type is not supported"), Some(help));
                }
                None if !self.known.connectors.contains(&id) => {
                    let help = self.advice(kind, &id, known);
                    self.wrong(at, &format!("references {kind} {text:?} which is not configured"), Some(help));
                }
                _ => {}
            }
            if !out.contains(&id) {
                out.push(id);
            }
        }
        out
    }

    /// What may have been meant by an id that is not configured.
    fn advice(&self, kind: &str, id: &ComponentId, known: &Ids<'_>) -> String {
        let others = [
            ("receiver", &self.known.receivers),
            ("processor", &self.known.processors),
            ("exporter", &self.known.exporters),
        ];
        if let Some((other, _)) = others
            .into_iter()
            .find(|(other, ids)| *other != kind && ids.as_ref().is_some_and(|ids| ids.contains_key(id)))
        {
            return format!("`{id}` is configured under {other}s");
        }
        let names: Vec<String> = known.keys().map(ToString::to_string).collect();
        match nearest(&id.to_string(), names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None if names.is_empty() => format!("add it under {kind}s"),
            None => format!("add it under {kind}s; there are: {}", names.join(", ")),
        }
    }

    fn place(&self, kind: &str, index: usize) -> At {
        check::locate(self.body, &format!("pipelines.{}.{kind}s.{index}", self.key), self.notes).at()
    }

    fn wrong(&mut self, at: At, message: &str, help: Option<String>) {
        let mut diagnostic = Diagnostic::error(at, format!("service::pipelines::{}: {message}", self.id));
        diagnostic.rule = Rule::Reference;
        diagnostic.help.extend(help);
        self.notes.diagnostics.push(diagnostic);
    }
}
