//! The exporter's config: the collector's `file`.

use pipeline::config::{Block, GoDuration, Problem, Settings};
use pipeline::net::compress::{Coding, Level};
use serde::Deserialize;

use super::SharedSink;

/// `file`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Where to write to.
    pub path: String,
    /// Start new files now and then, keeping the old ones.
    pub rotation: Block<Rotation>,
    /// How requests are written.
    pub format: Format,
    /// An extension that encodes; refused by `check`.
    pub encoding: String,
    /// Write behind what the file holds instead of emptying it first.
    pub append: bool,
    /// How each request is compressed.
    pub compression: Compression,
    /// The compression's level.
    pub compression_params: CompressionParams,
    /// Accepted and without effect: every batch is written when it comes.
    pub flush_interval: GoDuration,
    /// Make the file's folder.
    pub create_directory: bool,
    /// With these permissions, in octal.
    pub directory_permissions: String,
    /// A file for each value of a resource attribute.
    pub group_by: GroupBy,
    /// The file, shared by the exporter's instances for traces, metrics and logs.
    #[serde(skip)]
    pub sink: SharedSink,
}

/// `format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// A line of OTLP JSON.
    #[default]
    Json,
    /// OTLP protobuf behind its length: four bytes, big endian.
    Proto,
}

/// `compression`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Compression {
    /// None.
    #[default]
    #[serde(rename = "none", alias = "")]
    None,
    /// Zstandard, a frame for each request.
    #[serde(rename = "zstd")]
    Zstd,
}

/// `compression_params`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct CompressionParams {
    /// 0 is the fastest.
    pub level: i32,
}

/// `rotation`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default)]
pub struct Rotation {
    /// A file grows no larger.
    pub max_megabytes: u64,
    /// Old files are removed after so many days; 0 is never.
    pub max_days: u64,
    /// So many old files are kept; 0 is all.
    pub max_backups: usize,
    /// Accepted and without effect: old files have UTC in their names.
    pub localtime: bool,
}

/// `group_by`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct GroupBy {
    /// Whether there are several files.
    pub enabled: bool,
    /// Whose value takes the place of `*` in the path.
    pub resource_attribute: String,
    /// Files that are open at the same time.
    pub max_open_files: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            path: String::new(),
            rotation: Block::off(),
            format: Format::default(),
            encoding: String::new(),
            append: false,
            compression: Compression::default(),
            compression_params: CompressionParams::default(),
            flush_interval: GoDuration::from_secs(1),
            create_directory: false,
            directory_permissions: "0755".to_owned(),
            group_by: GroupBy::default(),
            sink: SharedSink::default(),
        }
    }
}

impl Default for Rotation {
    fn default() -> Rotation {
        Rotation { max_megabytes: 100, max_days: 0, max_backups: 100, localtime: false }
    }
}

impl Default for GroupBy {
    fn default() -> GroupBy {
        GroupBy { enabled: false, resource_attribute: "fileexporter.path_segment".to_owned(), max_open_files: 100 }
    }
}

impl Settings for Config {
    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut wrong = |path: &str, message: &str| problems.push(Problem::at(path, message));
        if self.path.is_empty() {
            wrong("path", "a path is needed, such as /var/log/telemetry.jsonl");
        }
        if !self.encoding.is_empty() {
            wrong("encoding", "encoding extensions are not available, use format: json or proto");
        }
        if self.append && self.rotation.is_on() {
            wrong("append", "append does not go with rotation, which goes on behind what the file holds anyway");
        }
        if self.append && self.compression != Compression::None {
            wrong("append", "append does not go with compression");
        }
        if let Some(rotation) = self.rotation.as_ref()
            && rotation.max_megabytes == 0
        {
            wrong("rotation.max_megabytes", "max_megabytes is 0, the least is 1");
        }
        if self.create_directory && self.permissions().is_none() {
            wrong("directory_permissions", "directory_permissions must be octal digits in quotes, such as \"0755\"");
        }
        if self.compression == Compression::Zstd
            && let Err(message) = self.level()
        {
            wrong("compression_params.level", &message);
        }
        if self.group_by.enabled {
            if self.path.matches('*').count() != 1 {
                wrong("path", "with group_by the path needs one *, in whose place the attribute's value comes");
            }
            if self.rotation.is_on() {
                wrong("rotation", "rotation does not go with group_by");
            }
            if self.group_by.resource_attribute.is_empty() {
                wrong("group_by.resource_attribute", "an attribute's name is needed");
            }
            if self.group_by.max_open_files == 0 {
                wrong("group_by.max_open_files", "max_open_files is 0, the least is 1");
            }
        }
        problems
    }
}

impl Config {
    /// The permissions of folders that are made.
    pub fn permissions(&self) -> Option<u32> {
        u32::from_str_radix(&self.directory_permissions, 8).ok().filter(|bits| *bits <= 0o7777)
    }

    /// The level of zstd.
    ///
    /// # Errors
    /// The levels that there are.
    pub fn level(&self) -> Result<Level, String> {
        Level::of(Coding::Zstd, self.compression_params.level)
    }
}
