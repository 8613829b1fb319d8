//! Where the values of the labels come from, and which of them are added.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pipeline::config::{ComponentId, TextOr};
use pipeline::doors::Files;
use tokio::sync::watch;

use super::{Config, FromFile, Label};

/// The largest file that a value is read from.
const MOST: usize = 64 << 10;

/// The labels to add, sorted by name, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(Vec<(Box<str>, Box<str>)>);

impl Labels {
    /// The labels with Dynamo's rules: automatic ones only with namespace and component, and before custom ones.
    fn new(value: impl Fn(&Label) -> String, config: &Config) -> Labels {
        let mut labels: Vec<_> = auto(&value, config)
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .chain(config.labels.iter().map(|(name, label)| (name.clone(), value(label))))
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name.into_boxed_str(), value.into_boxed_str()))
            .collect();
        // Stable: of two with one name, the automatic one stays first and is kept.
        labels.sort_by(|a, b| a.0.cmp(&b.0));
        labels.dedup_by(|later, first| later.0 == first.0);
        Labels(labels)
    }

    /// Whether there is nothing to add.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }
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

/// Reads the files again and again until nobody wants the labels any more.
pub async fn follow(mut sources: Sources, every: Duration, publish: watch::Sender<Arc<Labels>>, id: ComponentId) {
    let mut was_readable = true;
    loop {
        tokio::select! {
            () = publish.closed() => return,
            () = tokio::time::sleep(every) => {}
        }
        let read = sources.read();
        match &read {
            Err(error) if was_readable => tracing::warn!(component = %id, "cannot read {error}; its last value stays"),
            Ok(()) if !was_readable => tracing::info!(component = %id, "all label files can be read again"),
            _ => {}
        }
        was_readable = read.is_ok();
        let labels = sources.labels();
        publish.send_if_modified(|current| {
            let is_new = **current != labels;
            if is_new {
                tracing::info!(component = %id, "labels changed with their files");
                *current = Arc::new(labels);
            }
            is_new
        });
    }
}
