//! The settings of `file_log`: the collector's names and defaults, and `format`, which is ours.

use std::collections::BTreeMap;
use std::time::Duration;

use pipeline::config::{ByteSize, ExtensionId, GoDuration, Problem, Settings, StringList, Text};
use serde::Deserialize;

use super::SCOPE;
use super::operators::Operator;

/// The body of a `file_log` receiver.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Globs of the files to read; required.
    pub include: StringList,
    /// Globs of files to leave alone.
    pub exclude: StringList,
    /// Leaves files alone that were last changed longer ago; 0 for none.
    pub exclude_older_than: GoDuration,
    /// Where to begin in files that are there at the first start. Files that come later are read from their beginning.
    pub start_at: StartAt,
    /// How often the files are looked at.
    pub poll_interval: GoDuration,
    /// How many of its first bytes, and of those before the place reached, tell a file from others.
    pub fingerprint_size: ByteSize,
    /// Where reading buffers begin; they grow to `max_log_size` as needed.
    pub initial_buffer_size: ByteSize,
    /// How bytes become records.
    #[serde(rename = "~lines")]
    pub lines: Lines,
    /// The file's attributes on each record.
    #[serde(rename = "~attributes")]
    pub include_file: IncludeFile,
    /// Twice the number of files that are held open between reads.
    pub max_concurrent_files: usize,
    /// What a shorter file means that begins as before.
    pub on_truncate: OnTruncate,
    /// Whether the files are compressed: `gzip`, `auto` (those whose name ends in `.gz`), or not.
    pub compression: Option<String>,
    /// Lines at the start of a file that are no records.
    pub header: Option<Header>,
    /// Which of the files are read.
    pub ordering_criteria: Option<Ordering>,
    /// Whether files are removed once everything in them has arrived.
    pub delete_after_read: bool,
    /// Whether a file is read only while nobody has it for himself.
    pub acquire_fs_lock: bool,
    /// Whether the operating system is told that what was read may leave its page cache.
    pub file_cache_advise: bool,
    /// The extension in whose folder the offsets are kept, instead of the data directory.
    pub storage: Option<ExtensionId>,
    /// How a batch is offered again that the pipeline refuses.
    pub retry_on_failure: Retry,
    /// Files that have not changed are never opened, whatever this says.
    pub skip_unmodified_files: bool,
    /// Settings that only work as they are.
    #[serde(rename = "~fixed")]
    pub fixed: Fixed,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            include: StringList::default(),
            exclude: StringList::default(),
            exclude_older_than: GoDuration::default(),
            start_at: StartAt::End,
            poll_interval: GoDuration::from_millis(200),
            fingerprint_size: ByteSize(1000),
            initial_buffer_size: ByteSize(16 << 10),
            lines: Lines::default(),
            include_file: IncludeFile::default(),
            max_concurrent_files: 1024,
            on_truncate: OnTruncate::ReadWholeFile,
            compression: None,
            header: None,
            ordering_criteria: None,
            delete_after_read: false,
            acquire_fs_lock: false,
            file_cache_advise: false,
            storage: None,
            retry_on_failure: Retry::default(),
            skip_unmodified_files: false,
            fixed: Fixed::default(),
        }
    }
}

/// How bytes become records: what every receiver of lines has.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Lines {
    /// The longest line, without its end.
    pub max_log_size: ByteSize,
    /// What becomes of longer ones.
    pub max_log_size_behavior: Oversize,
    /// When a last line without an end is taken as it is, after the file's last growth; 0 for never.
    pub force_flush_period: GoDuration,
    /// What the bytes of a line are.
    pub encoding: String,
    /// Whether white space at the start of a line stays. By default it does with `format`, and not without.
    pub preserve_leading_whitespaces: Option<bool>,
    /// Whether white space at the end of a line stays. By default it does with `format`, and not without.
    pub preserve_trailing_whitespaces: Option<bool>,
    /// What begins or ends a record of several lines.
    pub multiline: Option<Multiline>,
    /// Attributes of each record.
    pub attributes: BTreeMap<String, Text>,
    /// Attributes of the resource.
    pub resource: BTreeMap<String, Text>,
    /// What the lines are.
    pub format: Option<Format>,
    /// With `format: dynamo_trace`: keeps what the payloads of requests say: prompts, completions, headers.
    pub keep_payloads: bool,
    /// How lines become records, where `format` does not say it.
    pub operators: Vec<Operator>,
}

impl Default for Lines {
    fn default() -> Lines {
        Lines {
            max_log_size: ByteSize(1 << 20),
            max_log_size_behavior: Oversize::Split,
            force_flush_period: GoDuration::from_millis(500),
            encoding: "utf-8".to_owned(),
            preserve_leading_whitespaces: None,
            preserve_trailing_whitespaces: None,
            multiline: None,
            attributes: BTreeMap::new(),
            resource: BTreeMap::new(),
            format: None,
            keep_payloads: false,
            operators: Vec::new(),
        }
    }
}

impl Lines {
    /// Whether payloads in rows of Dynamo's trace files are masked.
    pub fn masks_payloads(&self) -> bool {
        self.format == Some(Format::DynamoTrace) && !self.keep_payloads
    }

    /// What becomes of lines that are too long: the rest of a row whose payload is masked would show it.
    pub fn oversize(&self) -> Oversize {
        if self.masks_payloads() { Oversize::Truncate } else { self.max_log_size_behavior }
    }

    /// What is wrong with sizes, and with settings that exclude each other.
    pub fn check(&self, say: &mut impl FnMut(&str, &str)) {
        if self.max_log_size.get() == 0 || self.max_log_size.get() > 1 << 30 {
            say("max_log_size", "the least is 1 byte, the most 1GiB");
        }
        if self.format.is_some() && !self.operators.is_empty() {
            say("format", "reads the lines by itself; leave out `format` or `operators`");
        }
        if self.keep_payloads && self.format != Some(Format::DynamoTrace) {
            say("keep_payloads", "is about the rows of `format: dynamo_trace`; other lines are kept whole");
        }
    }
}

/// `start_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartAt {
    /// With the first line.
    Beginning,
    /// With what is written from now on.
    End,
}

/// `max_log_size_behavior`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Oversize {
    /// The rest of the line becomes further records.
    Split,
    /// The rest of the line is left out.
    Truncate,
}

/// `on_truncate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnTruncate {
    /// Nothing is read until the file is longer than what was read of it.
    Ignore,
    /// The file is read from its beginning.
    ReadWholeFile,
    /// Reading goes on at its present end.
    ReadNew,
}

/// `format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// The log lines of NVIDIA Dynamo (`DYN_LOGGING_CONSOLE_FORMAT=jsonl`), with whatever else its processes write.
    DynamoJsonl,
    /// One JSON object a line.
    Json,
    /// What container runtimes write, with lines of any kind in it.
    Container,
    /// Dynamo's trace files: `dynamo.request.trace.v1`, `dynamo.fpm.trace.v1`.
    DynamoTrace,
}

/// `multiline`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Multiline {
    /// What stands where a record begins; this or `line_end_pattern`.
    pub line_start_pattern: String,
    /// What stands where a record ends.
    pub line_end_pattern: String,
    /// Whether it is left out.
    pub omit_pattern: bool,
}

/// `header`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Header {
    /// What lines of the header match; required.
    pub pattern: String,
    /// What makes attributes of all records of the file from them; required.
    pub metadata_operators: Vec<Operator>,
}

/// `ordering_criteria`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Ordering {
    /// What paths match, with a named group for each `regex_key`.
    pub regex: String,
    /// Of each group of files for which this matches the same, some are read.
    pub group_by: String,
    /// How many.
    pub top_n: usize,
    /// In which order.
    pub sort_by: Vec<SortBy>,
}

impl Default for Ordering {
    fn default() -> Ordering {
        Ordering { regex: String::new(), group_by: String::new(), top_n: 1, sort_by: Vec::new() }
    }
}

/// An order of files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct SortBy {
    /// The named group that is compared.
    pub regex_key: String,
    /// As what; required.
    pub sort_type: SortType,
    /// The zone of times that say none; empty for UTC.
    pub location: String,
    /// The layout of times, as `strptime` has it.
    pub format: Text,
    /// Whether the smallest come first; by default the greatest do.
    pub ascending: bool,
}

/// As what parts of paths are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SortType {
    /// Nothing is said.
    #[default]
    None,
    /// Numbers.
    Numeric,
    /// Texts.
    #[serde(alias = "lexicographic")]
    Alphabetical,
    /// Times.
    Timestamp,
    /// Not parts of paths, but when files were changed.
    Mtime,
}

/// The attributes `log.file.*` of each record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a key of the config")]
pub struct IncludeFile {
    /// `log.file.name`.
    pub include_file_name: bool,
    /// `log.file.path`.
    pub include_file_path: bool,
    /// `log.file.name_resolved`.
    pub include_file_name_resolved: bool,
    /// `log.file.path_resolved`.
    pub include_file_path_resolved: bool,
    /// `log.file.owner.name`.
    pub include_file_owner_name: bool,
    /// `log.file.owner.group.name`.
    pub include_file_owner_group_name: bool,
    /// `log.file.permissions`.
    pub include_file_permissions: bool,
    /// `log.file.record_number`, from 1.
    pub include_file_record_number: bool,
    /// `log.file.record_offset`.
    pub include_file_record_offset: bool,
}

impl IncludeFile {
    /// None of them.
    pub const NOTHING: IncludeFile = IncludeFile {
        include_file_name: false,
        include_file_path: false,
        include_file_name_resolved: false,
        include_file_path_resolved: false,
        include_file_owner_name: false,
        include_file_owner_group_name: false,
        include_file_permissions: false,
        include_file_record_number: false,
        include_file_record_offset: false,
    };
}

impl Default for IncludeFile {
    fn default() -> IncludeFile {
        IncludeFile { include_file_name: true, ..IncludeFile::NOTHING }
    }
}

/// `retry_on_failure`. Unlike the collector's, on by default and without end: the file is the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Retry {
    /// Whether a refused batch is offered again; otherwise it is dropped.
    pub enabled: bool,
    /// The first wait; each further one is half as long again.
    pub initial_interval: GoDuration,
    /// The longest wait.
    pub max_interval: GoDuration,
    /// After which a batch is dropped; 0 for never.
    pub max_elapsed_time: GoDuration,
}

impl Retry {
    /// What is wrong with it.
    pub fn check(&self, say: &mut impl FnMut(&str, &str)) {
        if self.enabled && self.initial_interval.is_zero() {
            say("retry_on_failure.initial_interval", "must be more than 0");
        }
    }
}

impl Default for Retry {
    fn default() -> Retry {
        Retry {
            enabled: true,
            initial_interval: GoDuration::from_secs(1),
            max_interval: GoDuration::from_secs(30),
            max_elapsed_time: GoDuration::default(),
        }
    }
}

/// Settings of the collector whose value changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Fixed {
    /// All files are read in turn, whatever this says.
    pub max_batches: u64,
    /// Files that are gone are always remembered, whatever this says.
    pub polls_to_archive: u64,
}

impl Settings for Config {
    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut say = |path: &str, message: &str| problems.push(Problem::at(path, message));
        if self.include.is_empty() {
            say("", "needs \"include\": globs of the files to read, such as [/var/log/dynamo/*.jsonl]");
        }
        for (i, text) in self.include.iter().enumerate() {
            if text.starts_with('~') {
                say(&format!("include.{i}"), "`~` is not expanded; write the folder in full or as ${env:HOME}");
            }
        }
        if self.poll_interval.get() < Duration::from_millis(1) {
            say("poll_interval", "the least is 1ms");
        }
        if self.fingerprint_size.get() < 16 || self.fingerprint_size.get() > 1 << 20 {
            say("fingerprint_size", "the least is 16 bytes, the most 1MiB");
        }
        if self.max_concurrent_files < 2 {
            say("max_concurrent_files", "the least is 2");
        }
        self.lines.check(&mut say);
        self.retry_on_failure.check(&mut say);
        if self.start_at != StartAt::Beginning {
            for (set, key) in [(self.delete_after_read, "delete_after_read"), (self.header.is_some(), "header")] {
                if set {
                    say(key, "needs `start_at: beginning`");
                }
            }
        }
        if !matches!(self.compression.as_deref(), None | Some("" | "gzip" | "auto")) {
            say("compression", "must be gzip or auto, or left out");
        }
        problems.extend(super::settings::Settings::new(self, SCOPE).err().unwrap_or_default());
        problems
    }
}
