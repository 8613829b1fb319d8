//! A test file: what is in it, read strictly, with everything wrong in it at its place.

mod parts;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use pipeline::config::decode::{Body, Notes, decode};
use pipeline::config::report::{Diagnostic, Report};
use pipeline::config::tree::{At, Map, Node};
use pipeline::config::{GoDuration, Settings, StringList, Text, Written, read_whole};
use pipeline::{Registry, Signal};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::decode::parse_rfc3339;
use crate::driver::Driver;
use crate::expected::{self, Expected, Number};
use crate::input::{self, Input};
use crate::own_metrics::Assertion;
use crate::watch::Watch;
use crate::world::{Effect, Page};

use parts::{dropped, fault};

/// When tests start where they do not say: 2026-01-01T00:00:00Z.
pub const START: Duration = Duration::from_secs(1_767_225_600);
/// No file that a test names is larger.
const MOST_BYTES: usize = 64 << 20;

/// What a test file says.
pub struct Suite {
    /// Its path, as it was given.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
    /// What is wrong with it, and its text for messages.
    pub report: Report,
    /// Its tests.
    pub cases: Vec<Case>,
}

/// One test.
#[derive(Debug)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub at: At,
    /// What is given to it.
    pub setting: Setting,
    /// When it starts, since 1970.
    pub start: Duration,
    /// What is on the disk when it starts.
    pub files: BTreeMap<PathBuf, Bytes>,
    /// What comes in, in the order of time.
    pub inputs: Vec<Input>,
    /// What is served outside.
    pub pages: Vec<PageText>,
    /// What goes wrong, by exporter, and where that is written.
    pub faults: Vec<(String, At, FaultText)>,
    /// The GPU driver that plays a script, where the test has one.
    pub driver: Option<Driver>,
    /// When the process is killed.
    pub kills: Vec<Duration>,
    /// When it reads another config.
    pub reloads: Vec<(Duration, Setting, At)>,
    /// How long it runs; by itself as long as the inputs need.
    pub run: Option<Duration>,
    /// What is expected of exporters.
    pub expected: Vec<(String, Expected)>,
    /// The whole of the drop ledger, where it is given: component (empty for any) and reason.
    pub dropped: Option<Vec<(String, String, Number)>>,
    /// What is expected of own metrics.
    pub assertions: Vec<Assertion>,
    /// The ids that it speaks of, for the check against the config: `receivers` or `exporters`, id, place.
    pub ids: Vec<(&'static str, String, At)>,
}

/// A config with what is laid over it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Setting {
    /// Paths of configs, from where the process stands.
    pub configs: Vec<String>,
    /// Variables.
    pub variables: BTreeMap<String, String>,
    /// `--set`s.
    pub sets: Vec<String>,
}

/// A page as the test file says it.
#[derive(Clone, Debug)]
pub struct PageText {
    /// From when.
    pub from: Duration,
    /// `host:port`.
    pub address: String,
    /// Its path.
    pub path: String,
    /// The status; `None` when nobody listens.
    pub status: Option<u16>,
    /// Its content type.
    pub content_type: String,
    /// Its body.
    pub body: Bytes,
}

impl Case {
    /// Whether it expects anything beside what every test does.
    pub fn says_what_it_expects(&self) -> bool {
        !self.expected.is_empty() || self.dropped.is_some() || !self.assertions.is_empty()
    }
}

impl PageText {
    /// A page that nobody has asked for yet.
    pub fn page(&self) -> Page {
        Page {
            from: self.from,
            address: self.address.clone(),
            path: self.path.clone(),
            status: self.status,
            content_type: self.content_type.clone(),
            body: self.body.clone(),
            served: false.into(),
        }
    }
}

/// A fault as the test file says it.
#[derive(Clone, Debug)]
pub struct FaultText {
    /// From when.
    pub from: Duration,
    /// Until when.
    pub until: Duration,
    /// For how many requests.
    pub times: usize,
    /// What.
    pub effect: Effect,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct FileText {
    config: Option<StringList>,
    env: BTreeMap<String, Text>,
    set: Vec<String>,
    start: Option<String>,
    files: Written,
    tests: Written,
}

impl Settings for FileText {}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct CaseText {
    name: String,
    env: BTreeMap<String, Text>,
    set: Vec<String>,
    start: Option<String>,
    files: Written,
    inputs: Written,
    faults: Written,
    kill: Written,
    reload: Written,
    #[serde(rename = "for")]
    run: Option<GoDuration>,
    expect: Written,
    dropped: Written,
    assert: Written,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ReloadText {
    at: GoDuration,
    config: StringList,
    env: BTreeMap<String, Text>,
    set: Vec<String>,
}

/// Reads test files.
pub struct Reader<'a> {
    /// The components there are.
    pub registry: &'a Registry,
    /// Through which files are read.
    watch: &'a Watch,
    /// The folder of the file.
    folder: PathBuf,
}

impl<'a> Reader<'a> {
    /// Reads a file's text.
    pub fn read(registry: &'a Registry, watch: &'a Watch, path: &Path, text: &str) -> Suite {
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        let reader = Reader { registry, watch, folder };
        let document = read_whole::<FileText>(&path.display().to_string(), "test file", text);
        let (tree, mut report) = (document.tree, document.report);
        let mut suite =
            Suite { path: path.to_owned(), text: text.to_owned(), report: Report::default(), cases: vec![] };
        if let Some(file) = document.value {
            let setting = Setting {
                configs: reader.configs(path, file.config.as_ref()),
                variables: plain(&file.env),
                sets: file.set.clone(),
            };
            let start = file.start.as_ref().map_or(START, |text| start(text, tree.at, &mut report));
            let files = reader.files(file.files.node(&tree), &mut report);
            let list = file.tests.node(&tree);
            if list.as_list().is_none_or(<[Node]>::is_empty) && report.errors() == 0 {
                report.push(Diagnostic::error(tree.at, "there are no tests in it").help("add tests: [{name: …}]"));
            }
            for node in list.as_list().unwrap_or_default() {
                let around = Around { setting: &setting, start, files: &files };
                suite.cases.extend(reader.case(node, &tree, &around, &mut report));
            }
            let mut names = BTreeMap::new();
            for case in &suite.cases {
                if let Some(first) = names.insert(case.name.clone(), case.at) {
                    let message = format!("two tests are called {:?}", case.name);
                    report.push(Diagnostic::error(case.at, message).also(first, "the first"));
                }
            }
        }
        report.sort();
        Suite { report, ..suite }
    }

    /// Where configs are: named from the test file's folder; without any, the one that the file stands beside.
    fn configs(&self, path: &Path, written: Option<&StringList>) -> Vec<String> {
        let Some(written) = written else {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let name = name.replace(".test.yaml", ".yaml").replace(".test.yml", ".yml");
            return vec![self.folder.join(name).display().to_string()];
        };
        written.iter().map(|name| self.config(name)).collect()
    }

    fn config(&self, name: &str) -> String {
        let has_scheme = ["builtin:", "env:", "yaml:"].iter().any(|scheme| name.starts_with(scheme));
        if has_scheme { name.to_owned() } else { self.folder.join(name).display().to_string() }
    }

    fn case(&self, node: &Node, tree: &Node, around: &Around<'_>, report: &mut Report) -> Option<Case> {
        let text: CaseText = part("tests", node.at, node, report)?;
        if text.name.is_empty() {
            report.push(Diagnostic::error(node.at, "a test needs a name"));
        }
        let place = |key: &str| node.as_map().and_then(|map| map.entry(key)).map_or(node.at, |entry| entry.at);
        let mut setting = around.setting.clone();
        setting.variables.extend(plain(&text.env));
        setting.sets.extend(text.set.clone());
        let mut files = around.files.clone();
        files.extend(self.files(text.files.node(tree), report));
        let begins = text.start.as_ref().map_or(around.start, |text| start(text, place("start"), report));
        let mut case = Case {
            name: text.name.clone(),
            at: node.at,
            setting,
            start: begins,
            files,
            inputs: Vec::new(),
            pages: Vec::new(),
            faults: Vec::new(),
            driver: None,
            kills: Vec::new(),
            reloads: Vec::new(),
            run: text.run.map(GoDuration::get),
            expected: Vec::new(),
            dropped: None,
            assertions: Vec::new(),
            ids: Vec::new(),
        };
        for entry in entries(text.inputs.node(tree), place("inputs"), "receivers", report) {
            case.ids.push(("receivers", entry.key.clone(), entry.at));
            input::read(self, &entry.key, entry.at, &entry.value, &mut case, report);
        }
        case.inputs.sort_by_key(|input| input.at);
        for entry in entries(text.faults.node(tree), place("faults"), "exporters", report) {
            case.ids.push(("exporters", entry.key.clone(), entry.at));
            let several = entry.value.as_list().unwrap_or(std::slice::from_ref(&entry.value));
            for node in several {
                if let Some(fault) = fault(entry.at, node, report) {
                    case.faults.push((entry.key.clone(), entry.at, fault));
                }
            }
        }
        for entry in entries(text.expect.node(tree), place("expect"), "exporters", report) {
            case.ids.push(("exporters", entry.key.clone(), entry.at));
            let all = expected::expected(entry.at, &entry.value, report).into_iter();
            case.expected.extend(all.map(|expected| (entry.key.clone(), expected)));
        }
        let kill = text.kill.node(tree);
        for node in kill.as_list().unwrap_or(std::slice::from_ref(kill)).iter().filter(|node| !node.is_null()) {
            case.kills.extend(duration(node, report));
        }
        case.kills.sort_unstable();
        let reload = text.reload.node(tree);
        for node in reload.as_list().unwrap_or(std::slice::from_ref(reload)).iter().filter(|node| !node.is_null()) {
            case.reloads.extend(self.reload(node, &case.setting, report));
        }
        case.reloads.sort_by_key(|(at, ..)| *at);
        if text.dropped.is_there() {
            case.dropped = Some(dropped(text.dropped.node(tree), place("dropped"), report));
        }
        let assert = text.assert.node(tree);
        for node in assert.as_list().unwrap_or(std::slice::from_ref(assert)).iter().filter(|node| !node.is_null()) {
            match Assertion::parse(node.as_text().unwrap_or_default(), node.at) {
                Ok(assertion) => case.assertions.push(assertion),
                Err(error) => report.push(
                    Diagnostic::error(node.at, error)
                        .help("such as: otelcol_exporter_sent_spans_total{exporter=\"otlp_grpc\"} >= 1"),
                ),
            }
        }
        Some(case)
    }

    fn reload(&self, node: &Node, around: &Setting, report: &mut Report) -> Option<(Duration, Setting, At)> {
        let text: ReloadText = part("reload", node.at, node, report)?;
        let mut setting = around.clone();
        if !text.config.is_empty() {
            setting.configs = text.config.iter().map(|name| self.config(name)).collect();
        }
        setting.variables.extend(plain(&text.env));
        setting.sets.extend(text.set);
        Some((text.at.get(), setting, node.at))
    }

    /// Files of the disk: text, or where it is found.
    fn files(&self, node: &Node, report: &mut Report) -> BTreeMap<PathBuf, Bytes> {
        #[derive(Clone, Debug, Default, Deserialize)]
        #[serde(default)]
        struct Elsewhere {
            file: String,
        }
        let mut out = BTreeMap::new();
        for entry in node.as_map().map_or(&[][..], Map::entries) {
            let contents = match &entry.value {
                node if node.as_map().is_some() => part::<Elsewhere>("files", entry.at, node, report)
                    .and_then(|elsewhere| self.contents(&elsewhere.file, node.at, report)),
                node => Some(Bytes::from(node.scalar_text())),
            };
            out.extend(contents.map(|contents| (PathBuf::from(&entry.key), contents)));
        }
        out
    }

    /// A file of the machine, from the test file's folder.
    pub fn contents(&self, name: &str, at: At, report: &mut Report) -> Option<Bytes> {
        let path = self.folder.join(name);
        match self.watch.read(&path, MOST_BYTES) {
            Ok(contents) => Some(Bytes::from(contents)),
            Err(error) => {
                report.push(Diagnostic::error(at, format!("cannot read {}: {error}", path.display())));
                None
            }
        }
    }

    /// The path of a file that is named from the test file's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The present name of a receiver's type.
    pub fn receiver_type(&self, id: &str) -> Option<&'static str> {
        let kind = id.split('/').next().unwrap_or(id).trim();
        self.registry.receivers().iter().find(|entry| entry.types.contains(&kind)).map(pipeline::registry::Entry::name)
    }
}

struct Around<'a> {
    setting: &'a Setting,
    start: Duration,
    files: &'a BTreeMap<PathBuf, Bytes>,
}

/// Decodes a part of the file.
pub fn part<T: DeserializeOwned>(path: &str, at: At, node: &Node, report: &mut Report) -> Option<T> {
    let mut notes = Notes::default();
    let value = decode(&Body { path, at, node, removed: &[] }, &mut notes);
    notes.diagnostics.into_iter().for_each(|problem| report.push(problem));
    value
}

fn plain(variables: &BTreeMap<String, Text>) -> BTreeMap<String, String> {
    variables.iter().map(|(name, value)| (name.clone(), value.0.clone())).collect()
}

/// The entries of a map whose keys are ids.
fn entries<'n>(node: &'n Node, at: At, of: &str, report: &mut Report) -> &'n [pipeline::config::tree::Entry] {
    match node.as_map() {
        Some(map) => map.entries(),
        None => {
            if !node.is_null() {
                report.push(Diagnostic::error(at, format!("takes a map by the ids of {of}, not {}", node.describe())));
            }
            &[]
        }
    }
}

fn start(text: &str, at: At, report: &mut Report) -> Duration {
    parse_rfc3339(text).map_or_else(
        || {
            let message = format!("{text:?} is no time");
            report.push(Diagnostic::error(at, message).help("write it as 2026-01-01T00:00:00Z"));
            START
        },
        Duration::from_nanos,
    )
}

fn duration(node: &Node, report: &mut Report) -> Option<Duration> {
    match GoDuration::parse(&node.scalar_text()) {
        Ok(duration) => Some(duration.get()),
        Err(error) => {
            report.push(Diagnostic::error(node.at, format!("the time {error}")));
            None
        }
    }
}

/// The signal of that name.
pub fn signal(name: &str) -> Option<Signal> {
    Signal::ALL.into_iter().find(|signal| signal.name() == name)
}
