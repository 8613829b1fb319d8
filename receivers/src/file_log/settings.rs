//! The settings as the parts of the receiver use them: globs read, sizes and times as numbers, patterns and operators
//! compiled.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pipeline::config::{Problem, Text};
use pipeline::doors::{FileStat, Files, Glob};

use super::config::{self, Config, Format, IncludeFile, OnTruncate, StartAt};
use super::contents::Contents;
use super::encoding::{Encoding, KNOWN};
use super::facts::Facts;
use super::header::Header;
use super::lines::{Cutter, Ends};
use super::operators::{Field, Root, Steps, has_expressions};
use super::order::Order;
use super::recorder::Recorder;

/// What the receiver was told.
#[derive(Debug)]
pub struct Settings {
    /// Files to read.
    pub include: Vec<Glob>,
    /// The folders above all that `include` may match.
    pub roots: Vec<PathBuf>,
    /// Files to leave alone.
    pub exclude: Vec<Glob>,
    /// Leaves older ones alone.
    pub exclude_older_than: Option<Duration>,
    /// Which of those that are left are read.
    pub order: Option<Order>,
    /// Where to begin at the first start.
    pub start_at: StartAt,
    /// How many bytes tell files apart.
    pub fingerprint_size: usize,
    /// Where reading buffers begin.
    pub buffer_size: usize,
    /// Lines at the start that are no records.
    pub header: Option<Header>,
    /// How bytes become records.
    pub lines: Lines,
    /// How many files stay open between reads.
    pub most_open: usize,
    /// What a shorter file means.
    pub on_truncate: OnTruncate,
    /// Whether files are removed when everything has arrived.
    pub delete_after_read: bool,
    /// Whether a file is read only while nobody has it for himself.
    pub acquire_fs_lock: bool,
    /// Whether what was read may leave the page cache.
    pub file_cache_advise: bool,
    compression: Compression,
    include_file: IncludeFile,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compression {
    No,
    Gzip,
    ByName,
}

/// How bytes become records: what every receiver of lines has.
#[derive(Debug)]
pub struct Lines {
    /// How bytes become lines.
    pub cutter: Cutter,
    /// When a line without an end is taken.
    pub flush_after: Option<Duration>,
    /// How lines become records.
    pub recorder: Recorder,
    /// Attributes of every record.
    attributes: Vec<(String, String)>,
}

impl Lines {
    /// Compiles settings; `scope` names the receiver.
    ///
    /// # Errors
    /// Everything that cannot be compiled.
    pub fn new(config: &config::Lines, include: IncludeFile, scope: &'static str) -> Result<Lines, Vec<Problem>> {
        let mut problems = Vec::new();
        let encoding = Encoding::from_name(&config.encoding).unwrap_or_else(|| {
            problems.push(Problem::at("encoding", format!("is not known; encodings are {KNOWN}")));
            Encoding::Utf8
        });
        let ends = Ends::new(config.multiline.as_ref(), encoding).unwrap_or_else(|(key, why)| {
            let path = if key.is_empty() { "multiline".to_owned() } else { format!("multiline.{key}") };
            problems.push(Problem::at(path, why));
            Ends::Newline
        });
        let steps = steps(config).map_err(|p| problems.extend(p)).ok();
        let Some(steps) = steps.filter(|_| problems.is_empty()) else { return Err(problems) };
        let most = usize::try_from(config.max_log_size.get()).unwrap_or(usize::MAX);
        Ok(Lines {
            cutter: Cutter { most, oversize: config.oversize(), ends, encoding },
            flush_after: some(config.force_flush_period.get()),
            recorder: Recorder::new(config, include, steps, scope),
            attributes: texts(&config.attributes).map(|(k, v)| (k.clone(), v.to_owned())).collect(),
        })
    }

    /// The attributes of every record.
    pub fn attributes(&self) -> impl Iterator<Item = (Cow<'static, str>, String)> {
        self.attributes.iter().map(|(k, v)| (Cow::Owned(k.clone()), v.clone()))
    }
}

fn some(duration: Duration) -> Option<Duration> {
    (!duration.is_zero()).then_some(duration)
}

impl Settings {
    /// Compiles a config; `scope` names the receiver.
    ///
    /// # Errors
    /// Everything that cannot be compiled.
    pub fn new(config: &Config, scope: &'static str) -> Result<Settings, Vec<Problem>> {
        let mut problems = Vec::new();
        let include = globs("include", &config.include, &mut problems);
        let exclude = globs("exclude", &config.exclude, &mut problems);
        let lines = Lines::new(&config.lines, config.include_file, scope).map_err(|p| problems.extend(p)).ok();
        let encoding = lines.as_ref().map_or(Encoding::Utf8, |lines| lines.cutter.encoding);
        let mut take = |result: Result<_, Vec<Problem>>| result.map_err(|p| problems.extend(p)).ok();
        let order = config.ordering_criteria.as_ref().and_then(|order| take(Order::new(order)));
        let mut take = |result: Result<_, Vec<Problem>>| result.map_err(|p| problems.extend(p)).ok();
        let header = config.header.as_ref().and_then(|header| take(Header::new(header, encoding)));
        let Some(lines) = lines.filter(|_| problems.is_empty()) else { return Err(problems) };
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        Ok(Settings {
            include,
            roots: config.include.iter().map(|glob| root(glob)).collect(),
            exclude,
            exclude_older_than: some(config.exclude_older_than.get()),
            order,
            start_at: config.start_at,
            fingerprint_size: size(config.fingerprint_size.get()),
            buffer_size: size(config.initial_buffer_size.get()).max(1 << 10),
            header,
            lines,
            most_open: (config.max_concurrent_files / 2).max(1),
            on_truncate: config.on_truncate,
            delete_after_read: config.delete_after_read,
            acquire_fs_lock: config.acquire_fs_lock,
            file_cache_advise: config.file_cache_advise,
            compression: match (config.compression.as_deref(), config.lines.format) {
                (Some("gzip"), _) => Compression::Gzip,
                (Some("auto"), _) | (None, Some(Format::DynamoTrace)) => Compression::ByName,
                _ => Compression::No,
            },
            include_file: config.include_file,
        })
    }

    /// Opens a file.
    ///
    /// # Errors
    /// The operating system's.
    pub fn open(&self, path: &Path, files: &dyn Files) -> std::io::Result<Contents> {
        let gzip = match self.compression {
            Compression::No => false,
            Compression::Gzip => true,
            Compression::ByName => path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gz")),
        };
        Ok(Contents::of(files.open(path)?, gzip))
    }

    /// What every record of a file shares. What cannot be found out is left out.
    pub fn facts_of(&self, path: &Path, stat: &FileStat, files: &dyn Files) -> Facts {
        let include = &self.include_file;
        let mut pairs: Vec<(Cow<'static, str>, String)> = Vec::new();
        let mut add = |wanted: bool, key: &'static str, value: &dyn Fn() -> Option<String>| {
            if let Some(value) = wanted.then(value).flatten() {
                pairs.push((Cow::Borrowed(key), value));
            }
        };
        let name = |path: &Path| Some(path.file_name()?.to_string_lossy().into_owned());
        let resolved = || files.resolve(path).ok();
        add(include.include_file_name, "log.file.name", &|| name(path));
        add(include.include_file_path, "log.file.path", &|| Some(path.display().to_string()));
        add(include.include_file_name_resolved, "log.file.name_resolved", &|| name(&resolved()?));
        add(include.include_file_path_resolved, "log.file.path_resolved", &|| Some(resolved()?.display().to_string()));
        add(include.include_file_owner_name, "log.file.owner.name", &|| name_of(stat.owner, "/etc/passwd", files));
        add(include.include_file_owner_group_name, "log.file.owner.group.name", &|| {
            name_of(stat.group, "/etc/group", files)
        });
        add(include.include_file_permissions, "log.file.permissions", &|| Some(format!("{:04o}", stat.permissions)));
        pairs.extend(self.lines.attributes());
        self.lines.recorder.facts_of_path(Facts::new(pairs), path, resolved)
    }
}

fn globs(key: &str, texts: &[String], problems: &mut Vec<Problem>) -> Vec<Glob> {
    let glob = |(i, text): (usize, &String)| {
        Glob::new(text).map_err(|e| problems.push(Problem::at(format!("{key}.{i}"), e.to_string()))).ok()
    };
    texts.iter().enumerate().filter_map(glob).collect()
}

/// The folder of a glob that all its matches are below.
fn root(glob: &str) -> PathBuf {
    let plain = &glob[..glob.find(['*', '?', '[', '{', '\\']).unwrap_or(glob.len())];
    let folder = plain.rsplit_once('/').map_or("", |(folder, _)| folder);
    PathBuf::from(match folder {
        "" if plain.starts_with('/') => "/",
        "" => ".",
        folder => folder,
    })
}

/// Those that are no expressions.
fn texts(all: &BTreeMap<String, Text>) -> impl Iterator<Item = (&String, &str)> {
    all.iter().map(|(k, v)| (k, &**v)).filter(|(_, v)| !has_expressions(v))
}

/// The operators, behind what sets attributes to the values of expressions.
fn steps(config: &config::Lines) -> Result<Steps, Vec<Problem>> {
    let mut added = Vec::new();
    let mut problems = Vec::new();
    for (root, key, values) in
        [(Root::Attributes, "attributes", &config.attributes), (Root::Resource, "resource", &config.resource)]
    {
        for (name, text) in values.iter().filter(|(_, value)| has_expressions(value)) {
            let path = format!("{key}.{name}");
            if config.format.is_some() {
                problems.push(Problem::at(&*path, "is an expression, which goes with `operators`, not with `format`"));
            }
            added.push((Field::root(root).below(name), text.0.clone(), path));
        }
    }
    let steps = Steps::with_added(&config.operators, &added);
    if problems.is_empty() { steps } else { Err(problems) }
}

/// The name of a user or group; its number where the system knows no name.
fn name_of(id: u32, database: &str, files: &dyn Files) -> Option<String> {
    const MOST: usize = 1 << 20;
    let id = id.to_string();
    let text = files.read_small(Path::new(database), MOST).ok().and_then(|b| String::from_utf8(b).ok());
    let line = text.as_deref().and_then(|t| t.lines().find(|l| l.split(':').nth(2) == Some(&*id)));
    Some(line.and_then(|l| l.split(':').next()).map_or(id.clone(), str::to_owned))
}
