//! From a command line's configs to a plan: read, merge, expand, decode every component, check the pipelines.

use std::collections::{BTreeMap, HashSet};

use super::ComponentId;
use super::check;
use super::decode::{self, Body, Notes, Reference};
use super::expand::expand;
use super::hints;
use super::nearest::nearest;
use super::pipelines::{Ids, Known, NO_PIPELINE, pipelines};
use super::prints::prints;
use super::report::{Diagnostic, Report, Rule};
use super::retired;
use super::service::Service;
use super::source::{Inputs, Surroundings, read};
use super::tree::{At, Map, Node};
use crate::batch::Signal;
use crate::plan::{BuildExtension, Plan};
use crate::registry::{Entry, Registry};
use crate::telemetry::Kind;

/// The keys of a config.
const SECTIONS: &[&str] = &["receivers", "processors", "exporters", "connectors", "extensions", "service"];

static NO_SECTIONS: Map = Map::empty();

/// What became of a config.
pub struct Loaded {
    /// What to build; `None` when there are errors.
    pub plan: Option<Plan>,
    /// All errors and warnings.
    pub report: Report,
    /// The merged and expanded config.
    pub tree: Node,
    /// Ids of the nodes in it that hold secrets.
    pub secrets: HashSet<u32>,
}

/// Reads a config as a whole. Components that no pipeline uses are decoded and checked as well.
pub fn load(inputs: &Inputs, registry: &Registry, surroundings: &Surroundings) -> Loaded {
    let mut report = Report::default();
    let mut tree = read(inputs, surroundings, &mut report);
    expand(&mut tree, surroundings, &mut report);
    of_tree(tree, report, registry, surroundings)
}

/// Reads a config that has been merged and expanded before, such as the [`Loaded::tree`] of another with a change in it.
/// `report` brings the texts that it came from.
pub fn of_tree(mut tree: Node, mut report: Report, registry: &Registry, surroundings: &Surroundings) -> Loaded {
    tree.number();
    let mut notes = Notes::default();
    let plan = if report.errors() == 0 || !tree.as_map().is_none_or(Map::is_empty) {
        plan(&tree, registry, surroundings, &mut notes)
    } else {
        None
    };
    report.secret_places = tree.places(&notes.secrets);
    notes.diagnostics.into_iter().for_each(|d| report.push(d));
    report.sort();
    let plan = plan.filter(|_| report.errors() == 0);
    Loaded { plan, report, tree, secrets: notes.secrets }
}

fn plan(tree: &Node, registry: &Registry, surroundings: &Surroundings, notes: &mut Notes) -> Option<Plan> {
    let mut unknown = decode::unknown_keys(tree, "config", SECTIONS);
    hints::at_the_top(&mut unknown, registry);
    notes.diagnostics.extend(unknown);
    if tree.as_map().is_none_or(Map::is_empty) {
        let message = "the config is empty: service must have at least one pipeline";
        notes.diagnostics.push(
            Diagnostic::error(tree.at, message)
                .rule(Rule::Source)
                .help("one that works to begin with: slipring run --config builtin:quickstart"),
        );
        return None;
    }
    let receivers = section(tree, "receivers", registry.receivers(), registry, notes);
    let processors = section(tree, "processors", registry.processors(), registry, notes);
    let exporters = section(tree, "exporters", registry.exporters(), registry, notes);
    let connectors = section::<()>(tree, "connectors", &[], registry, notes);
    let extensions = section(tree, "extensions", registry.extensions(), registry, notes);

    let entry = tree.as_map().and_then(|m| m.entry("service"));
    let nothing = Node::default();
    let (node, at) = entry.map_or((&nothing, tree.at), |e| (&e.value, e.at));
    let body = Body { path: "service", at, node, removed: &[] };
    let service: Service = check::decoded(&body, notes)?;
    service.note_what_has_no_effect(&body, notes);
    let mut started: Vec<ComponentId> = Vec::new();
    for (n, id) in service.extensions.iter().enumerate() {
        let configured = ComponentId::parse(id).ok().filter(|id| extensions.unknown || extensions.named.contains(id));
        if let Some(id) = configured {
            if !started.contains(&id) {
                started.push(id);
            }
        } else {
            let at = check::locate(&body, &format!("extensions.{n}"), notes).at();
            let message = format!("service::extensions: references extension {id:?} which is not configured");
            let names: Vec<String> = extensions.named.iter().map(ToString::to_string).collect();
            let help = match nearest(id, names.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "add it under extensions".to_owned(),
            };
            notes.diagnostics.push(Diagnostic::error(at, message).rule(Rule::Reference).help(help));
        }
    }
    let known = Known {
        receivers: receivers.known(),
        processors: processors.known(),
        exporters: exporters.known(),
        connectors: &connectors.named,
    };
    let pipelines = pipelines(&service, &body, &known, notes);
    if tree.as_map().is_some_and(|root| root.entry("pipelines").is_some()) {
        // They are there, in a wrong place, which has been said.
        notes.diagnostics.retain(|d| d.message != NO_PIPELINE);
    }
    let used = |of: fn(&crate::plan::Pipeline) -> &Vec<ComponentId>| -> HashSet<&ComponentId> {
        pipelines.iter().flat_map(of).collect()
    };
    let (in_receivers, in_processors, in_exporters) =
        (used(|p| &p.receivers), used(|p| &p.processors), used(|p| &p.exporters));
    let in_extensions = started.iter().collect();
    let order = helpers_first(&started, &extensions.references, notes);
    notes.diagnostics.extend(references(&receivers, &in_receivers, &extensions, &service));
    notes.diagnostics.extend(references(&processors, &in_processors, &extensions, &service));
    notes.diagnostics.extend(references(&exporters, &in_exporters, &extensions, &service));
    notes.diagnostics.extend(references(&extensions, &in_extensions, &extensions, &service));
    let prints = prints(tree, |kind, id| match kind {
        Kind::Receiver => receivers.refers(id),
        Kind::Processor => processors.refers(id),
        Kind::Exporter => exporters.refers(id),
        Kind::Extension => extensions.refers(id),
    });
    Some(Plan {
        prints,
        receivers: receivers.only(&in_receivers),
        processors: processors.only(&in_processors),
        exporters: exporters.only(&in_exporters),
        extensions: extensions.in_order(&order),
        telemetry: service.telemetry(),
        shutdown_timeout: service.shutdown_timeout.get(),
        data_dir: service.data_dir.unwrap_or_else(|| surroundings.data_dir.clone()),
        pipelines,
    })
}

/// What components refer to is configured and started. What no pipeline uses may name what is not there: it is only said.
fn references<B>(
    section: &Section<B>,
    used: &HashSet<&ComponentId>,
    known: &Section<BuildExtension>,
    service: &Service,
) -> Vec<Diagnostic> {
    let started = |id: &ComponentId| service.extensions.iter().any(|e| ComponentId::parse(e).is_ok_and(|e| e == *id));
    let mut found = Vec::new();
    for (user, reference) in section.references.iter().flat_map(|(id, all)| all.iter().map(move |r| (id, r))) {
        let Reference { at, path, id } = reference;
        let message = if known.unknown {
            continue;
        } else if !known.named.contains(id) {
            format!("'{path}': there is no extension {id}")
        } else if !started(id) {
            format!("'{path}': the extension {id} is not started: add it to service::extensions")
        } else {
            continue;
        };
        let is_used = used.contains(user);
        found.push(if is_used { Diagnostic::error(*at, message) } else { Diagnostic::warning(*at, message) });
    }
    found
}

/// Extensions in the order in which they are built and started: those that others refer to come before them.
fn helpers_first(
    started: &[ComponentId],
    references: &BTreeMap<ComponentId, Vec<Reference>>,
    notes: &mut Notes,
) -> Vec<ComponentId> {
    fn visit<'a>(
        id: &'a ComponentId,
        all: &'a BTreeMap<ComponentId, Vec<Reference>>,
        above: &mut Vec<&'a ComponentId>,
        order: &mut Vec<ComponentId>,
        notes: &mut Notes,
    ) {
        above.push(id);
        for Reference { at, path, id: helper } in all.get(id).into_iter().flatten() {
            if above.contains(&helper) {
                let message = format!("'{path}': {helper} needs {id} itself, so neither can be first");
                notes.diagnostics.push(Diagnostic::error(*at, message));
            } else if !order.contains(helper) {
                visit(helper, all, above, order, notes);
            }
        }
        above.pop();
        order.push(id.clone());
    }
    let mut order = Vec::new();
    for id in started {
        if !order.contains(id) {
            visit(id, references, &mut Vec::new(), &mut order, notes);
        }
    }
    order.retain(|id| started.contains(id));
    order
}

/// The components of one section.
struct Section<B> {
    /// All ids that are written there, whatever became of them.
    named: HashSet<ComponentId>,
    /// What could be decoded.
    built: BTreeMap<ComponentId, (&'static [Signal], B)>,
    /// The extensions that they name.
    references: BTreeMap<ComponentId, Vec<Reference>>,
    /// Whether what is written there is not known, so that nothing can be said about references to it.
    unknown: bool,
}

impl<B> Section<B> {
    /// The extensions that a component refers to.
    fn refers(&self, id: &ComponentId) -> &[Reference] {
        self.references.get(id).map_or(&[], Vec::as_slice)
    }

    /// The ids, each with its signals where its type is known.
    fn known(&self) -> Option<Ids<'_>> {
        let ids = self.named.iter().map(|id| (id, self.built.get(id).map(|(signals, _)| *signals)));
        (!self.unknown).then(|| ids.collect())
    }

    fn only(self, used: &HashSet<&ComponentId>) -> BTreeMap<ComponentId, B> {
        self.built.into_iter().filter(|(id, _)| used.contains(id)).map(|(id, (_, build))| (id, build)).collect()
    }

    fn in_order(mut self, ids: &[ComponentId]) -> Vec<(ComponentId, B)> {
        ids.iter().filter_map(|id| self.built.remove_entry(id)).map(|(id, (_, build))| (id, build)).collect()
    }
}

fn section<B>(
    tree: &Node,
    kind: &'static str,
    entries: &[Entry<B>],
    registry: &Registry,
    notes: &mut Notes,
) -> Section<B> {
    let mut out =
        Section { named: HashSet::new(), built: BTreeMap::new(), references: BTreeMap::new(), unknown: false };
    let root = tree.as_map().unwrap_or(&NO_SECTIONS);
    let Some(written) = root.entry(kind) else {
        out.unknown = root.entries().iter().any(|e| nearest(&e.key, SECTIONS.iter().copied()) == Some(kind));
        return out;
    };
    let Some(map) = written.value.as_map() else {
        out.unknown = !written.value.is_null() || written.value.broken;
        if !written.value.is_null() && !written.value.broken {
            let message = format!("'{kind}' takes a map of components, not {}", written.value.describe());
            notes.diagnostics.push(Diagnostic::error(written.at, message));
        }
        return out;
    };
    let mut first_at: BTreeMap<ComponentId, At> = BTreeMap::new();
    for written in map.entries() {
        let id = match ComponentId::parse(&written.key) {
            Ok(id) => id,
            Err(message) => {
                let mut diagnostic = Diagnostic::error(written.at, format!("'{kind}' {message}"));
                let (kind, name) = written.key.split_once('/').unwrap_or((&written.key, ""));
                if let Some(near) = nearest(kind.trim(), entries.iter().map(Entry::name)) {
                    diagnostic = diagnostic.help(format!("did you mean `{}`?", ComponentId::new(near, name.trim())));
                }
                notes.diagnostics.push(diagnostic);
                continue;
            }
        };
        if let Some(first) = first_at.insert(id.clone(), written.at) {
            let message = format!("'{kind}' duplicate name {:?}", id.to_string());
            notes.diagnostics.push(Diagnostic::error(written.at, message).also(first, "first given at"));
            continue;
        }
        out.named.insert(id.clone());
        let Some(entry) = entries.iter().find(|e| e.types.contains(&id.kind.as_str())) else {
            notes.diagnostics.push(unknown_type(kind, &id, written.at, entries, registry));
            continue;
        };
        if entry.name() != id.kind {
            let now = ComponentId::new(entry.name(), &id.name);
            let message = format!("'{kind}' {:?} is a deprecated alias of {:?}", id.kind, entry.name());
            notes.diagnostics.push(
                Diagnostic::warning(written.at, message)
                    .rule(Rule::Deprecated)
                    .help(format!("write `{now}`, here and in the pipelines")),
            );
        }
        let path = format!("{kind}::{id}");
        let body = Body { path: &path, at: written.at, node: &written.value, removed: &[] };
        let mut own = Notes::default();
        if let Some(build) = entry.configure(&body, &mut own).filter(|_| !written.value.broken) {
            out.built.insert(id.clone(), (entry.signals, build));
        }
        out.references.insert(id, own.references);
        hints::in_a_body(&mut own.diagnostics, entry.described.shape);
        notes.diagnostics.append(&mut own.diagnostics);
        notes.secrets.extend(own.secrets);
        notes.bad.extend(own.bad);
    }
    out
}

fn unknown_type<B>(kind: &str, id: &ComponentId, at: At, entries: &[Entry<B>], registry: &Registry) -> Diagnostic {
    let names: Vec<&str> = entries.iter().map(Entry::name).collect();
    let list = names.join(" ");
    let name = &id.kind;
    let message = format!("'{kind}' unknown type: {name:?} for id: {:?} (valid values: [{list}])", id.to_string());
    let diagnostic = Diagnostic::error(at, message).rule(Rule::UnknownComponent);
    let elsewhere = hints::kinds(registry, name);
    let all = entries.iter().flat_map(|e| e.types.iter().copied());
    match (retired::advice(kind, name), nearest(name, all)) {
        (Some(advice), _) => diagnostic.help(advice),
        (None, _) if !elsewhere.is_empty() => {
            let sections: Vec<String> = elsewhere.iter().map(|kind| format!("`{kind}`")).collect();
            diagnostic.help(format!("`{name}` stands under {}, not under `{kind}`", sections.join(" and ")))
        }
        (None, Some(near)) => diagnostic.help(format!("did you mean `{}`?", ComponentId::new(near, &id.name))),
        (None, None) if entries.is_empty() => diagnostic.help(format!("this build has no {kind}")),
        (None, None) => diagnostic,
    }
}
