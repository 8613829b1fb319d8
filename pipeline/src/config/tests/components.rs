//! A registry of small components with configs like the real ones, and the surroundings of a config.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;

use crate::batch::Signal;
use crate::component::{Context, Error, Exporter, Receiver, Stage};
use crate::config::{Block, Headers, Inputs, NoSettings, Opaque, Problem, Settings, Surroundings};
use crate::delivery;
use crate::registry::{ExporterFactory, ProcessorFactory, ReceiverFactory, Registry};

/// What these tests give a config beside itself.
pub(super) fn surroundings() -> Surroundings {
    let variables = [
        ("HOST", "collector"),
        ("PORT", "4317"),
        ("ZEROS", "0123"),
        ("QUOTED", "\"quoted\""),
        ("YES", "true"),
        ("EMPTY", ""),
        ("DOLLARS", "a$$b"),
        ("NESTED", "${env:HOST}"),
        ("LOOP", "x${env:LOOP}"),
        ("SELF", "${env:SELF}"),
        ("WHICH", "HOST"),
        ("MAP", "{a: 1, b: [2]}"),
        ("LIST", "[a, b]"),
        ("ODD", "[not yaml"),
        ("DEEP", &format!("{}{{a: '${{env:DEEPER}}'}}{}", "[".repeat(50), "]".repeat(50))),
        ("DEEPER", &format!("{}{}", "[".repeat(50), "]".repeat(50))),
        ("BIG", &"x".repeat(600_000)),
        ("TOKEN", "s3cr3t"),
        ("WHOLE", "exporters: {debug: {}}"),
    ];
    let files: BTreeMap<&str, &[u8]> = BTreeMap::from([
        ("token", b"s3cr3t\n".as_slice()),
        ("number", b"42\n"),
        ("endpoint.yaml", b"# comment\nendpoint: host:1\ncompresion: gzip\n"),
        ("again.yaml", b"a: ${file:again.yaml}\n"),
        ("latin1", b"caf\xe9"),
        ("base.yaml", b"receivers:\n  otlp:\nexporters:\n  debug:\nservice:\n  pipelines:\n    logs:\n      receivers: [otlp]\n      exporters: [debug]\n"),
    ]);
    let files: BTreeMap<String, Vec<u8>> = files.into_iter().map(|(k, v)| (k.to_owned(), v.to_vec())).collect();
    Surroundings {
        read_file: Arc::new(move |path| {
            let found = files.get(path.to_str().unwrap_or_default()).cloned();
            found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such file"))
        }),
        variables: variables.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
        data_dir: PathBuf::from("/state"),
    }
}

/// The inputs of one config given as `--config yaml:`, and further command line parts.
pub(super) fn inputs(configs: &[&str], sets: &[&str]) -> Inputs {
    let owned = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
    Inputs { configs: owned(configs), sets: owned(sets), builtin: &[("tiny", "exporters: {debug: }")] }
}

pub(super) fn registry() -> Registry {
    let mut registry = Registry::new();
    registry.receiver::<Otlp>().receiver::<FileLog>();
    registry.processor::<Batch>().processor::<Attributes>();
    registry.exporter::<OtlpGrpc>().exporter::<RemoteWrite>().exporter::<DebugExporter>();
    registry
}

fn never<T>() -> Result<T, Error> {
    Err("these components are not built".into())
}

struct Otlp;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct OtlpConfig {
    protocols: Protocols,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Protocols {
    grpc: Block<Server>,
    http: Block<Server>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Server {
    endpoint: String,
    max_recv_msg_size_mib: u32,
    include_metadata: bool,
}

impl Settings for OtlpConfig {}

impl ReceiverFactory for Otlp {
    const TYPES: &'static [&'static str] = &["otlp"];
    const SIGNALS: &'static [Signal] = &Signal::ALL;
    const ABOUT: &'static str = "takes OTLP";
    type Config = OtlpConfig;

    fn build(_: OtlpConfig, _: Context) -> Result<Box<dyn Receiver>, Error> {
        never()
    }
}

struct FileLog;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct FileLogConfig {
    include: Vec<String>,
    poll_interval: crate::config::GoDuration,
}

impl Settings for FileLogConfig {
    fn check(&self) -> Vec<Problem> {
        match self.include.is_empty() {
            true => vec![Problem::at("include", "names no file; give at least one pattern")],
            false => Vec::new(),
        }
    }
}

impl ReceiverFactory for FileLog {
    const TYPES: &'static [&'static str] = &["file_log", "filelog"];
    const SIGNALS: &'static [Signal] = &[Signal::Logs];
    const ABOUT: &'static str = "tails files";
    type Config = FileLogConfig;

    fn build(_: FileLogConfig, _: Context) -> Result<Box<dyn Receiver>, Error> {
        never()
    }
}

struct Batch;

impl ProcessorFactory for Batch {
    const TYPES: &'static [&'static str] = &["batch"];
    const SIGNALS: &'static [Signal] = &Signal::ALL;
    const ABOUT: &'static str = "makes small batches larger";
    type Config = NoSettings;

    fn build(_: NoSettings, _: Context) -> Result<Stage, Error> {
        never()
    }
}

struct Attributes;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct AttributesConfig {
    actions: Vec<Action>,
}

#[derive(Clone, Debug, Deserialize)]
struct Action {
    key: String,
    #[serde(default)]
    value: Option<serde_json::Value>,
    action: ActionKind,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum ActionKind {
    Insert,
    Update,
    Upsert,
    Delete,
}

impl Settings for AttributesConfig {
    fn check(&self) -> Vec<Problem> {
        let without_value = |a: &Action| a.action != ActionKind::Delete && a.value.is_none();
        let numbered = self.actions.iter().enumerate().filter(|(_, a)| without_value(a));
        numbered.map(|(n, a)| Problem::at(format!("actions.{n}"), format!("{:?} needs a value", a.key))).collect()
    }
}

impl ProcessorFactory for Attributes {
    const TYPES: &'static [&'static str] = &["attributes"];
    const SIGNALS: &'static [Signal] = &Signal::ALL;
    const ABOUT: &'static str = "changes attributes";
    type Config = AttributesConfig;

    fn build(_: AttributesConfig, _: Context) -> Result<Stage, Error> {
        never()
    }
}

struct OtlpGrpc;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ClientConfig {
    endpoint: String,
    headers: Headers,
    compression: Option<String>,
    tls: Tls,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Tls {
    insecure: bool,
    key_pem: Opaque,
}

impl Settings for ClientConfig {
    const REMOVED: &'static [(&'static str, &'static str)] = &[("idle_conn_timeout", "write it in `keepalive`")];

    fn check(&self) -> Vec<Problem> {
        match self.endpoint.is_empty() {
            true => vec![Problem::at("endpoint", "must be set, such as host:4317")],
            false => Vec::new(),
        }
    }
}

impl ExporterFactory for OtlpGrpc {
    const TYPES: &'static [&'static str] = &["otlp_grpc", "otlp"];
    const SIGNALS: &'static [Signal] = &Signal::ALL;
    const ABOUT: &'static str = "sends OTLP";
    type Config = ClientConfig;

    fn build(_: ClientConfig, _: Context) -> Result<Box<dyn Exporter>, Error> {
        never()
    }
}

struct RemoteWrite;

impl ExporterFactory for RemoteWrite {
    const TYPES: &'static [&'static str] = &["prometheus_remote_write", "prometheusremotewrite"];
    const SIGNALS: &'static [Signal] = &[Signal::Metrics];
    const ABOUT: &'static str = "writes to Prometheus";
    type Config = ClientConfig;

    fn build(_: ClientConfig, _: Context) -> Result<Box<dyn Exporter>, Error> {
        never()
    }
}

struct DebugExporter;

#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
struct DebugConfig {
    verbosity: Verbosity,
}

impl Default for DebugConfig {
    fn default() -> DebugConfig {
        DebugConfig { verbosity: Verbosity::Basic }
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Verbosity {
    Basic,
    Normal,
    Detailed,
}

impl Settings for DebugConfig {}

impl ExporterFactory for DebugExporter {
    const TYPES: &'static [&'static str] = &["debug"];
    const SIGNALS: &'static [Signal] = &Signal::ALL;
    const ABOUT: &'static str = "prints";
    type Config = DebugConfig;

    fn build(_: DebugConfig, _: Context) -> Result<Box<dyn Exporter>, Error> {
        never()
    }

    fn delivery() -> delivery::Settings {
        delivery::Settings::direct()
    }
}
