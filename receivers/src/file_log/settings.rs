//! The settings as the parts of the receiver use them: globs read, sizes and times as numbers, operators compiled.

use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

use pipeline::config::Problem;
use pipeline::doors::{FileStat, Files, Glob};

use super::config::{Config, Encoding, IncludeFile, OnTruncate, StartAt};
use super::lines::Cutter;
use super::operators::Steps;
use super::recorder::{Attributes, Recorder};

/// What the receiver was told.
#[derive(Debug)]
pub struct Settings {
    /// Files to read.
    pub include: Vec<Glob>,
    /// Files to leave alone.
    pub exclude: Vec<Glob>,
    /// Leaves older ones alone.
    pub exclude_older_than: Option<Duration>,
    /// Where to begin at the first start.
    pub start_at: StartAt,
    /// How many bytes tell files apart.
    pub fingerprint_size: usize,
    /// Where reading buffers begin.
    pub buffer_size: usize,
    /// How bytes become lines.
    pub cutter: Cutter,
    /// When a line without an end is taken.
    pub flush_after: Option<Duration>,
    /// How many files stay open between reads.
    pub most_open: usize,
    /// What a shorter file means.
    pub on_truncate: OnTruncate,
    /// How lines become records.
    pub recorder: Recorder,
    include_file: IncludeFile,
    attributes: Vec<(String, String)>,
}

impl Settings {
    /// Compiles a config.
    ///
    /// # Errors
    /// What [`Config`]'s check would have said.
    pub fn new(config: &Config) -> Result<Settings, Vec<Problem>> {
        let steps = Steps::build(&config.operators)?;
        let globs = |texts: &[String]| -> Result<Vec<Glob>, Vec<Problem>> {
            let glob = |text: &String| Glob::new(text).map_err(|e| vec![Problem::at("", format!("{text}: {e}"))]);
            texts.iter().map(glob).collect()
        };
        let some = |duration: Duration| (!duration.is_zero()).then_some(duration);
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        Ok(Settings {
            include: globs(&config.include)?,
            exclude: globs(&config.exclude)?,
            exclude_older_than: some(config.exclude_older_than.get()),
            start_at: config.start_at,
            fingerprint_size: size(config.fingerprint_size.get()),
            buffer_size: size(config.initial_buffer_size.get()).max(1 << 10),
            cutter: Cutter {
                most: size(config.max_log_size.get()),
                oversize: config.max_log_size_behavior,
                at_newlines: Encoding::from_name(&config.encoding) != Some(Encoding::Nop),
            },
            flush_after: some(config.force_flush_period.get()),
            most_open: (config.max_concurrent_files / 2).max(1),
            on_truncate: config.on_truncate,
            recorder: Recorder::new(config, steps),
            include_file: config.include_file,
            attributes: config.attributes.iter().map(|(k, v)| (k.clone(), v.0.clone())).collect(),
        })
    }

    /// The attributes of every record of a file. What cannot be found out is left out.
    pub fn attributes_of(&self, path: &Path, stat: &FileStat, files: &dyn Files) -> Attributes {
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
        pairs.extend(self.attributes.iter().map(|(k, v)| (Cow::Owned(k.clone()), v.clone())));
        Attributes::new(pairs)
    }
}

/// The name of a user or group; its number where the system knows no name.
fn name_of(id: u32, database: &str, files: &dyn Files) -> Option<String> {
    const MOST: usize = 1 << 20;
    let id = id.to_string();
    let text = files.read_small(Path::new(database), MOST).ok().and_then(|b| String::from_utf8(b).ok());
    let line = text.as_deref().and_then(|t| t.lines().find(|l| l.split(':').nth(2) == Some(&*id)));
    Some(line.and_then(|l| l.split(':').next()).map_or(id.clone(), str::to_owned))
}
