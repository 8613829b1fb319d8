//! Configs of tests, read once for all tests that share them, without the machine's variables and files.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use pipeline::Registry;
use pipeline::config::report::{Diagnostic, Report, Rule};
use pipeline::config::tree::{At, Node};
use pipeline::config::{ComponentId, Inputs, Surroundings, load};
use pipeline::plan::Plan;

use crate::suite::{Case, Setting};
use crate::watch::Watch;

/// No config is larger.
const MOST_BYTES: usize = 16 << 20;
/// Where a config keeps its state in a test, if it does not say.
pub const DATA_DIR: &str = "/var/lib/slipring";

/// A config that is ready to run.
pub struct Prepared {
    /// What to build.
    pub plan: Plan,
    /// The merged and expanded config.
    pub tree: Arc<Node>,
    /// The texts it was read from, for places.
    pub report: Arc<Report>,
}

/// Configs by what they are read from.
pub struct Configs<'a> {
    registry: &'a Registry,
    builtin: &'static [(&'static str, &'static str)],
    watch: &'a Watch,
    known: HashMap<Key, Result<Arc<Prepared>, Arc<Report>>>,
}

/// What a config is read from: its setting, and the files that it may name.
type Key = (Setting, Vec<(PathBuf, Bytes)>);

impl<'a> Configs<'a> {
    /// None yet.
    pub fn new(
        registry: &'a Registry,
        builtin: &'static [(&'static str, &'static str)],
        watch: &'a Watch,
    ) -> Configs<'a> {
        Configs { registry, builtin, watch, known: HashMap::new() }
    }

    /// The config of a setting.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn get(&mut self, setting: &Setting, files: &BTreeMap<PathBuf, Bytes>) -> Result<Arc<Prepared>, Arc<Report>> {
        let files: Vec<_> = files.iter().map(|(path, contents)| (path.clone(), contents.clone())).collect();
        let (registry, builtin, watch) = (self.registry, self.builtin, self.watch);
        let key = (setting.clone(), files);
        let config = self.known.entry(key);
        config.or_insert_with_key(|(setting, files)| read(registry, builtin, watch, setting, files)).clone()
    }
}

fn read(
    registry: &Registry,
    builtin: &'static [(&'static str, &'static str)],
    watch: &Watch,
    setting: &Setting,
    files: &[(PathBuf, Bytes)],
) -> Result<Arc<Prepared>, Arc<Report>> {
    let inputs = Inputs { configs: setting.configs.clone(), sets: setting.sets.clone(), builtin };
    let named: HashSet<PathBuf> =
        setting.configs.iter().map(|c| PathBuf::from(c.trim_start_matches("file:"))).collect();
    let files: HashMap<PathBuf, Bytes> = files.iter().cloned().collect();
    let watch = watch.clone();
    let read_file = move |path: &Path| match files.get(path) {
        Some(contents) => Ok(contents.to_vec()),
        None if named.contains(path) => watch.read(path, MOST_BYTES),
        None => Err(io::Error::new(io::ErrorKind::NotFound, "a test has only the files that it names under `files`")),
    };
    let surroundings = Surroundings {
        read_file: Arc::new(read_file),
        variables: setting.variables.clone(),
        data_dir: PathBuf::from(DATA_DIR),
    };
    let loaded = load(&inputs, registry, &surroundings);
    match loaded.plan {
        Some(plan) => {
            let (tree, report) = (Arc::new(loaded.tree), Arc::new(loaded.report));
            Ok(Arc::new(Prepared { plan, tree, report }))
        }
        None => Err(Arc::new(loaded.report)),
    }
}

/// Every id that a test speaks of is in one of its configs and in a pipeline.
pub fn check_ids(case: &Case, prepared: &[Arc<Prepared>], report: &mut Report) {
    for (kind, id, at) in &case.ids {
        let Ok(parsed) = ComponentId::parse(id) else {
            report.push(Diagnostic::error(*at, format!("{id:?} is no id")));
            continue;
        };
        let is_used = |prepared: &Arc<Prepared>| match *kind {
            "receivers" => prepared.plan.receivers.contains_key(&parsed),
            _ => prepared.plan.exporters.contains_key(&parsed),
        };
        if !prepared.iter().any(is_used) {
            let known: Vec<_> = prepared.iter().flat_map(|prepared| ids(&prepared.tree, kind)).collect();
            report.push(unknown(kind, id, *at, &known));
        }
    }
}

fn unknown(kind: &str, id: &str, at: At, known: &[String]) -> Diagnostic {
    if known.iter().any(|known| known == id) {
        return Diagnostic::error(at, format!("no pipeline uses {id}, though {kind} has it")).rule(Rule::Reference);
    }
    let diagnostic = Diagnostic::error(at, format!("the config has no {id} in its {kind}")).rule(Rule::Reference);
    match pipeline::config::nearest(id, known.iter().map(String::as_str)) {
        Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
        None => diagnostic.help(format!("it has: {}", known.join(", "))),
    }
}

/// The ids that a section of a config has.
pub fn ids(tree: &Node, kind: &str) -> Vec<String> {
    let section = tree.as_map().and_then(|map| map.value(kind)?.as_map());
    section.map_or_else(Vec::new, |map| map.entries().iter().map(|entry| entry.key.clone()).collect())
}
