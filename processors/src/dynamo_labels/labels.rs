//! Where the values of the labels come from, and which of them are added.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use pipeline::component::Context;
use pipeline::config::TextOr;
use pipeline::doors::Files;
use pipeline::otlp::fields::key_value;
use pipeline::otlp::write::{Scalar, Writer};
use tokio::time::Instant;

use super::{Config, FromFile, Label};

/// The largest file that a value is read from.
const MOST: usize = 64 << 10;

/// The labels to add, sorted by name, each once: its name, and the whole attribute as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(Vec<(Box<str>, Box<[u8]>)>);

impl Labels {
    /// The labels with Dynamo's rules: automatic ones only with namespace and component, and before custom ones.
    fn new(value: impl Fn(&Label) -> String, config: &Config) -> Labels {
        let mut labels: Vec<_> = auto(&value, config)
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .chain(config.labels.iter().map(|(name, label)| (name.clone(), value(label))))
            .filter(|(_, value)| !value.is_empty())
            .collect();
        // Stable: of two with one name, the automatic one stays first and is kept.
        labels.sort_by(|a, b| a.0.cmp(&b.0));
        labels.dedup_by(|later, first| later.0 == first.0);
        Labels(labels.into_iter().map(|(name, value)| (name.as_str().into(), attribute(&name, &value))).collect())
    }

    /// Whether there is nothing to add.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and attributes.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(name, attribute)| (&**name, &**attribute))
    }
}

/// A `KeyValue` message.
fn attribute(key: &str, value: &str) -> Box<[u8]> {
    let mut out = Writer::new();
    out.text(key_value::KEY, key);
    out.any_value(key_value::VALUE, Scalar::Text(value));
    out.into_vec().into()
}

/// The names of the automatic labels.
const AUTO: [&str; 6] = ["dynamo_namespace", "dynamo_component", "dynamo_endpoint", "worker_id", "model", "model_name"];

/// The automatic labels, empty ones included; none without namespace and component.
fn auto(value: &impl Fn(&Label) -> String, config: &Config) -> Vec<(&'static str, String)> {
    let (namespace, component) = (value(&config.namespace), value(&config.component));
    if namespace.is_empty() || component.is_empty() {
        return Vec::new();
    }
    let model = value(&config.model);
    let values = [namespace, component, value(&config.endpoint), value(&config.worker_id), model.clone(), model];
    AUTO.into_iter().zip(values).collect()
}

/// The config with what its files said last.
pub struct Sources {
    config: Config,
    files: Arc<dyn Files>,
    /// Each file once, with its value.
    read: Vec<(PathBuf, String)>,
}

/// A file that cannot be read.
#[derive(Debug)]
pub struct Unreadable(PathBuf, io::Error);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the label file {}: {}", self.0.display(), self.1)
    }
}

impl Sources {
    /// Nothing is read yet.
    pub fn new(config: &Config, files: Arc<dyn Files>) -> Sources {
        let keys = [&config.namespace, &config.component, &config.endpoint, &config.worker_id, &config.model];
        let mut paths: Vec<_> = keys.into_iter().chain(config.labels.values()).filter_map(path_of).collect();
        paths.sort();
        paths.dedup();
        let read = paths.into_iter().map(|path| (path.to_owned(), String::new())).collect();
        Sources { config: config.clone(), files, read }
    }

    /// Whether any value comes from a file.
    pub fn has_files(&self) -> bool {
        !self.read.is_empty()
    }

    /// Reads all files; a file that cannot be read keeps its value.
    ///
    /// # Errors
    /// The first file that cannot be read.
    pub fn read(&mut self) -> Result<(), Unreadable> {
        let mut failed = Ok(());
        for (path, value) in &mut self.read {
            match read_text(&*self.files, path) {
                Ok(text) => *value = text,
                Err(error) => failed = failed.and(Err(Unreadable(path.clone(), error))),
            }
        }
        failed
    }

    /// The labels as the files are now.
    pub fn labels(&self) -> Labels {
        Labels::new(|label| self.value(label), &self.config)
    }

    fn value(&self, label: &Label) -> String {
        match label {
            TextOr::Text(text) => text.clone(),
            TextOr::Map(FromFile { from_file }) => {
                self.read.iter().find(|(path, _)| path == from_file).map_or(String::new(), |(_, text)| text.clone())
            }
        }
    }

    /// What the config says in vain, as far as that shows now.
    pub fn said_in_vain(&self) -> Vec<String> {
        let auto = auto(&|label| self.value(label), &self.config);
        let Config { namespace, component, worker_id, model, labels, .. } = &self.config;
        if auto.is_empty() && [namespace, component, worker_id, model].iter().any(|l| !self.value(l).is_empty()) {
            return vec!["automatic labels are added only with both namespace and component".to_owned()];
        }
        let is_taken = |name: &str| auto.iter().any(|(n, value)| *n == name && !value.is_empty());
        let in_vain = |name| format!("{name} is added automatically: its value in labels is not used");
        labels.keys().filter(|name| is_taken(name)).map(in_vain).collect()
    }
}

fn path_of(label: &Label) -> Option<&Path> {
    match label {
        TextOr::Map(FromFile { from_file }) => Some(from_file),
        TextOr::Text(_) => None,
    }
}

fn read_text(files: &dyn Files, path: &Path) -> io::Result<String> {
    let bytes = files.read_small(path, MOST)?;
    let text = String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "is not UTF-8"))?;
    Ok(text.trim().to_owned())
}

/// The labels as they are now. Their files are read again by short tasks that the batches start: nothing is left running,
/// and no batch waits for a file.
pub struct Current {
    labels: RwLock<Arc<Labels>>,
    files: Option<Following>,
    context: Context,
}

struct Following {
    every: Duration,
    next: Mutex<Instant>,
    sources: Mutex<Sources>,
    was_readable: AtomicBool,
}

impl Current {
    /// The labels of sources that were read.
    pub fn new(sources: Sources, every: Duration, context: Context) -> Arc<Current> {
        let labels = RwLock::new(Arc::new(sources.labels()));
        let files = sources.has_files().then(|| Following {
            every,
            next: Mutex::new(Instant::now() + every),
            sources: Mutex::new(sources),
            was_readable: AtomicBool::new(true),
        });
        Arc::new(Current { labels, files, context })
    }

    /// The labels; where it is time to look at their files again, a task does so.
    pub fn labels(self: &Arc<Current>) -> Arc<Labels> {
        if let Some(following) = &self.files
            && following.is_time()
        {
            let current = self.clone();
            self.context.spawn(async move { current.read_again() });
        }
        self.labels.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn read_again(&self) {
        let (Some(following), id) = (&self.files, &self.context.id) else { return };
        let mut sources = following.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let read = sources.read();
        match (&read, following.was_readable.swap(read.is_ok(), Ordering::Relaxed)) {
            (Err(error), true) => tracing::warn!(component = %id, "cannot read {error}; its last value stays"),
            (Ok(()), false) => tracing::info!(component = %id, "all label files can be read again"),
            _ => {}
        }
        let new = sources.labels();
        let mut labels = self.labels.write().unwrap_or_else(PoisonError::into_inner);
        if **labels != new {
            tracing::info!(component = %id, "labels changed with their files");
            *labels = Arc::new(new);
        }
    }
}

impl Following {
    /// Whether the files are to be read again; true once for each interval.
    fn is_time(&self) -> bool {
        let now = Instant::now();
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let is_time = now >= *next;
        if is_time {
            *next = now + self.every;
        }
        is_time
    }
}
