//! Settings of what cuts a text into fields, and of what puts lines together.

use pipeline::config::{ByteSize, GoDuration};
use serde::Deserialize;

use super::super::field::{Field, Root};
use super::{Common, Parser};

/// `key_value_parser`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct KeyValue {
    #[serde(rename = "~common")]
    /// What every operator has.
    pub common: Common,
    #[serde(rename = "~parser")]
    /// What every parser has.
    pub parser: Parser,
    /// Between a key and its value.
    pub delimiter: String,
    /// Between pairs; white space of any length by default.
    pub pair_delimiter: String,
}

impl Default for KeyValue {
    fn default() -> KeyValue {
        KeyValue {
            common: Common::default(),
            parser: Parser::default(),
            delimiter: "=".to_owned(),
            pair_delimiter: String::new(),
        }
    }
}

/// `csv_parser`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct Csv {
    #[serde(rename = "~common")]
    /// What every operator has.
    pub common: Common,
    #[serde(rename = "~parser")]
    /// What every parser has.
    pub parser: Parser,
    /// The names of the values.
    pub header: String,
    /// Instead of `header`: the attribute that holds it.
    pub header_attribute: String,
    /// Between values: one character.
    pub delimiter: String,
    /// Between names, where it is another one.
    pub header_delimiter: String,
    /// Quotes may stand inside of values.
    pub lazy_quotes: bool,
    /// Quotes are characters like others.
    pub ignore_quotes: bool,
}

impl Default for Csv {
    fn default() -> Csv {
        Csv {
            common: Common::default(),
            parser: Parser::default(),
            header: String::new(),
            header_attribute: String::new(),
            delimiter: ",".to_owned(),
            header_delimiter: String::new(),
            lazy_quotes: false,
            ignore_quotes: false,
        }
    }
}

/// `container`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct Container {
    #[serde(rename = "~common")]
    /// What every operator has.
    pub common: Common,
    #[serde(rename = "~parser")]
    /// What every parser has; where it writes, the runtime's facts go.
    pub parser: Parser,
    /// The runtime; found out for each line by default.
    pub format: Option<Runtime>,
    /// Whether namespace, pod and container are read from the path.
    pub add_metadata_from_filepath: bool,
    /// The longest line that is made of parts; 0 for 1 MiB.
    pub max_log_size: ByteSize,
}

impl Default for Container {
    fn default() -> Container {
        Container {
            common: Common::default(),
            parser: Parser::default(),
            format: None,
            add_metadata_from_filepath: true,
            max_log_size: ByteSize(0),
        }
    }
}

/// Container runtimes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Runtime {
    /// JSON lines.
    Docker,
    /// Time, stream, tag and text.
    Crio,
    /// Time, stream, tag and text.
    Containerd,
}

/// `recombine`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct Recombine {
    #[serde(rename = "~common")]
    /// What every operator has.
    pub common: Common,
    /// The text that is put together; required.
    pub combine_field: Option<Field>,
    /// What is put between the texts.
    pub combine_with: String,
    /// Which entries begin a new one; this or `is_last_entry`.
    pub is_first_entry: String,
    /// Which entries end one.
    pub is_last_entry: String,
    /// The most entries in one; 0 for any number.
    pub max_batch_size: usize,
    /// The most where none has begun or ended it; 0 for any number.
    pub max_unmatched_batch_size: usize,
    /// Which of the entries gives everything else.
    pub overwrite_with: Overwrite,
    /// How long one waits for more; 0 for ever.
    pub force_flush_period: GoDuration,
    /// What tells apart entries that belong to different ones, besides their file.
    pub source_identifier: Field,
    /// The most that are put together at once for one file.
    pub max_sources: usize,
    /// The longest text, about; 0 for 1 MiB.
    pub max_log_size: ByteSize,
}

impl Default for Recombine {
    fn default() -> Recombine {
        Recombine {
            common: Common::default(),
            combine_field: None,
            combine_with: "\n".to_owned(),
            is_first_entry: String::new(),
            is_last_entry: String::new(),
            max_batch_size: 1000,
            max_unmatched_batch_size: 100,
            overwrite_with: Overwrite::Oldest,
            force_flush_period: GoDuration::from_secs(5),
            source_identifier: Field::root(Root::Attributes).below("log.file.path"),
            max_sources: 1000,
            max_log_size: ByteSize(0),
        }
    }
}

/// Which of several entries gives everything but the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overwrite {
    /// The last.
    Newest,
    /// The first.
    Oldest,
}

/// `json_array_parser`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct JsonArray {
    #[serde(rename = "~common")]
    /// What every operator has.
    pub common: Common,
    #[serde(rename = "~parser")]
    /// What every parser has.
    pub parser: Parser,
    /// Names of the values, with commas between them.
    pub header: String,
}

/// `uri_parser`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Uri {
    #[serde(rename = "~common")]
    /// What every operator has.
    pub common: Common,
    #[serde(rename = "~parser")]
    /// What every parser has.
    pub parser: Parser,
}

/// `syslog_parser`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Syslog {
    #[serde(rename = "~common")]
    /// What every operator has.
    pub common: Common,
    #[serde(rename = "~parser")]
    /// What every parser has.
    pub parser: Parser,
    /// Which of the two messages are; required.
    pub protocol: Option<Protocol>,
    /// The zone of times of RFC 3164.
    pub location: Option<String>,
    /// Whether the priority may be missing.
    pub allow_skip_pri_header: bool,
    /// Whether the length of a message stands in front of it.
    pub enable_octet_counting: bool,
    /// What stands behind a message.
    pub non_transparent_framing_trailer: Option<Trailer>,
    /// With the length in front of it: how long a message may be; 0 for any length.
    pub max_octets: usize,
}

/// `otelcol`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Otelcol {
    #[serde(rename = "~common")]
    /// What every operator has.
    pub common: Common,
    #[serde(rename = "~parser")]
    /// What every parser has.
    pub parser: Parser,
    /// How the lines are written.
    pub format: SelfLog,
}

/// `format` of `otelcol`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SelfLog {
    /// Found out for each line.
    #[default]
    Auto,
    /// A JSON object.
    Json,
    /// Words, and then perhaps a JSON object.
    Console,
}

/// `protocol` of `syslog_parser`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// What was usual before.
    Rfc3164,
    /// The standard.
    Rfc5424,
}

/// `non_transparent_framing_trailer` of `syslog_parser`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Trailer {
    /// A newline.
    #[serde(rename = "LF")]
    Lf,
    /// A byte of 0.
    #[serde(rename = "NUL")]
    Nul,
}
