//! Which parts of a config no test exercises. A component is exercised when items pass it. A rule, which is any element of a
//! list in a component's config, is exercised when some test fails without it: each is taken out in turn, and the tests run
//! again. So coverage here means that a test would notice, not only that something ran.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use pipeline::Registry;
use pipeline::config::report::Report;
use pipeline::config::tree::{At, Map, Node, Value};
use pipeline::config::{Surroundings, of_tree};

use crate::own_metrics::Metrics;
use crate::prepare::{DATA_DIR, Prepared, ids};
use crate::suite::{Case, Suite};
use crate::{Finished, Ready, in_parallel, rehearse};

/// What the tests of one file exercise.
#[derive(Debug, Default)]
pub(crate) struct Coverage {
    /// Parts that a test exercises.
    pub exercised: usize,
    /// Parts that none does: what it is, and where it is written.
    pub missed: Vec<(String, String)>,
}

impl Coverage {
    /// In per cent; all of nothing is 100.
    pub fn per_cent(&self) -> f64 {
        let all = self.exercised + self.missed.len();
        #[allow(clippy::cast_precision_loss, reason = "few")]
        if all == 0 { 100.0 } else { 100.0 * self.exercised as f64 / all as f64 }
    }
}

/// Keys and indices from the root of a config.
type Path = Vec<Step>;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Key(String),
    Index(usize),
}

/// Looks at a suite whose tests have run.
pub(crate) fn coverage(registry: &Registry, suite: &Suite, ready: &[Ready], finished: &[Finished]) -> Coverage {
    let mut out = Coverage::default();
    let mut passed = Metrics::default();
    finished.iter().for_each(|one| passed.merge(&one.verdict.metrics));
    let mut components = BTreeMap::new();
    let mut rules = BTreeMap::new();
    for ready in ready {
        for (kind, section) in [("receiver", "receivers"), ("processor", "processors"), ("exporter", "exporters")] {
            for id in ids(&ready.config.tree, section) {
                let at = place(&ready.config, &[Step::Key(section.to_owned()), Step::Key(id.clone())]);
                components.insert((kind, id), at);
            }
        }
        for (path, at) in found(&ready.config.tree) {
            rules.entry(path).or_insert_with(|| ready.config.report.place(at));
        }
    }
    for ((kind, id), at) in components {
        if passed.items_of(kind, &id) > 0 {
            out.exercised += 1;
        } else {
            out.missed.push((format!("{kind} {id}: nothing passes it"), at));
        }
    }
    // Elements of one list are often noticed by the same test, which is asked first.
    let mut lists = BTreeMap::<Vec<Step>, Vec<(Path, String)>>::new();
    for (path, at) in rules {
        lists.entry(path[..path.len() - 1].to_vec()).or_default().push((path, at));
    }
    let lists: Vec<_> = lists.into_values().collect();
    let noticed = in_parallel(&lists, |list| {
        let mut order: Vec<&Finished> = finished.iter().collect();
        let mut of = |path: &Path| is_noticed(registry, suite, ready, &mut order, path);
        list.iter().map(|(path, _)| of(path)).collect::<Vec<_>>()
    });
    for ((path, at), noticed) in lists.into_iter().flatten().zip(noticed.into_iter().flatten()) {
        match noticed {
            Some(true) => out.exercised += 1,
            Some(false) => out.missed.push((format!("{}: no test fails without it", shown(&path)), at)),
            // Without it the config is none.
            None => {}
        }
    }
    out
}

/// Whether a test fails without what stands at a path; `None` where no config can do without it. The test that does is the
/// first in the order from then on.
fn is_noticed(
    registry: &Registry,
    suite: &Suite,
    ready: &[Ready],
    order: &mut [&Finished],
    path: &Path,
) -> Option<bool> {
    let mut could_run = false;
    for place in 0..order.len() {
        let one = order[place];
        let (case, ready) = (&suite.cases[one.case], &ready[one.case]);
        let Some(mutated) = without(registry, case, &ready.config, path) else { continue };
        could_run = true;
        let before: BTreeSet<_> = one.verdict.mismatches.iter().map(|mismatch| &mismatch.message).collect();
        let verdict = rehearse::run(case, &mutated, &ready.reloads);
        if verdict.mismatches.iter().any(|mismatch| !before.contains(&mismatch.message)) {
            order[..=place].rotate_right(1);
            return Some(true);
        }
    }
    could_run.then_some(false)
}

/// The config without what stands at a path. Where a processor cannot do without it, as with its only rule, it is the config
/// without the processor.
fn without(registry: &Registry, case: &Case, config: &Prepared, path: &[Step]) -> Option<Prepared> {
    let mut tree = Node::clone(&config.tree);
    if !take_out(&mut tree, path) {
        return None;
    }
    if let Some(prepared) = loaded(registry, case, tree) {
        return Some(prepared);
    }
    let [Step::Key(section), Step::Key(id), ..] = path else { return None };
    let mut tree = Node::clone(&config.tree);
    let is_out = section == "processors" && take_out_of_pipelines(&mut tree, id);
    is_out.then(|| loaded(registry, case, tree)).flatten()
}

fn loaded(registry: &Registry, case: &Case, tree: Node) -> Option<Prepared> {
    let files = case.files.clone();
    let read_file = move |path: &std::path::Path| {
        files.get(path).map(|contents| contents.to_vec()).ok_or_else(|| std::io::ErrorKind::NotFound.into())
    };
    let surroundings = Surroundings {
        read_file: Arc::new(read_file),
        variables: case.setting.variables.clone(),
        data_dir: PathBuf::from(DATA_DIR),
    };
    let loaded = of_tree(tree, Report::default(), registry, &surroundings);
    Some(Prepared { plan: loaded.plan?, tree: Arc::new(loaded.tree), report: Arc::new(loaded.report) })
}

/// Takes a processor out of all pipelines; `false` where none has it.
fn take_out_of_pipelines(tree: &mut Node, id: &str) -> bool {
    fn below<'n>(node: &'n mut Node, key: &str) -> Option<&'n mut Node> {
        let Value::Map(map) = &mut node.value else { return None };
        map.entries_mut().iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.value)
    }
    let Some(Value::Map(pipelines)) = below(tree, "service").and_then(|n| below(n, "pipelines")).map(|n| &mut n.value)
    else {
        return false;
    };
    let mut is_out = false;
    for pipeline in pipelines.entries_mut() {
        if let Some(Value::List(list)) = below(&mut pipeline.value, "processors").map(|node| &mut node.value) {
            let before = list.len();
            list.retain(|node| node.scalar_text() != id);
            is_out |= list.len() < before;
        }
    }
    is_out
}

/// Every element of every list below the components' ids, and what stands in pipelines beside others.
fn found(tree: &Node) -> Vec<(Path, At)> {
    let mut out = Vec::new();
    let sections = tree.as_map().map_or(&[][..], Map::entries);
    for section in sections.iter().filter(|s| ["receivers", "processors", "exporters"].contains(&s.key.as_str())) {
        elements(&section.value, &mut vec![Step::Key(section.key.clone())], &mut out);
    }
    out
}

fn elements(node: &Node, path: &mut Path, out: &mut Vec<(Path, At)>) {
    match &node.value {
        Value::List(list) => {
            for (i, element) in list.iter().enumerate() {
                path.push(Step::Index(i));
                out.push((path.clone(), element.at));
                elements(element, path, out);
                path.pop();
            }
        }
        Value::Map(map) => {
            for entry in map.entries() {
                path.push(Step::Key(entry.key.clone()));
                elements(&entry.value, path, out);
                path.pop();
            }
        }
        _ => {}
    }
}

/// Takes out what stands at a path; `false` where nothing does.
fn take_out(node: &mut Node, path: &[Step]) -> bool {
    match (&mut node.value, path) {
        (Value::List(list), [Step::Index(i)]) if *i < list.len() => {
            list.remove(*i);
            true
        }
        (Value::List(list), [Step::Index(i), rest @ ..]) => list.get_mut(*i).is_some_and(|node| take_out(node, rest)),
        (Value::Map(map), [Step::Key(key), rest @ ..]) if !rest.is_empty() => {
            map.entries_mut().iter_mut().find(|entry| entry.key == *key).is_some_and(|e| take_out(&mut e.value, rest))
        }
        _ => false,
    }
}

fn shown(path: &[Step]) -> String {
    let mut out = String::new();
    for step in path {
        match step {
            Step::Key(key) if out.is_empty() => out.push_str(key),
            Step::Key(key) => out.push_str(&format!("::{key}")),
            Step::Index(i) => out.push_str(&format!("[{i}]")),
        }
    }
    out
}

/// Where the key of a map stands.
fn place(prepared: &Prepared, path: &[Step]) -> String {
    let mut node = &*prepared.tree;
    let mut at = At::default();
    for step in path {
        let Step::Key(key) = step else { break };
        let Some(entry) = node.as_map().and_then(|map| map.entry(key)) else { break };
        (node, at) = (&entry.value, entry.at);
    }
    prepared.report.place(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Node {
        Node::new(Value::Text(text.to_owned()), At::default())
    }

    #[test]
    fn elements_of_lists_are_found_and_taken_out_one_by_one() {
        let entry =
            |key: &str, value: Node| pipeline::config::tree::Entry { key: key.to_owned(), at: At::default(), value };
        let list = Node::new(Value::List(vec![text("a"), text("b")]), At::default());
        let filter = Node::new(Value::Map(Map::from_entries([entry("names", list)])), At::default());
        let section = Node::new(Value::Map(Map::from_entries([entry("filter", filter)])), At::default());
        let mut tree = Node::new(Value::Map(Map::from_entries([entry("processors", section)])), At::default());
        let paths: Vec<_> = found(&tree).into_iter().map(|(path, _)| path).collect();
        let names: Vec<_> = paths.iter().map(|path| shown(path)).collect();
        assert_eq!(names, ["processors::filter::names[0]", "processors::filter::names[1]"]);
        assert!(take_out(&mut tree, &paths[1]));
        assert!(!take_out(&mut tree, &paths[1]));
        assert_eq!(found(&tree).len(), 1);
    }
}
