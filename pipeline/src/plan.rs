//! A config that has been read, checked and decoded: what the graph is built from. `config` makes it, `graph` uses it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ring::digest;

use crate::batch::Signal;
use crate::component::{Context, Error, Exporter, Extension, Receiver, Stage};
use crate::config::ComponentId;
use crate::delivery;
use crate::telemetry::Kind;

/// Builds a receiver from its decoded config, as often as needed.
pub type BuildReceiver = Arc<dyn Fn(Context) -> Result<Box<dyn Receiver>, Error> + Send + Sync>;
/// Builds a processor from its decoded config, as often as needed.
pub type BuildProcessor = Arc<dyn Fn(Context) -> Result<Stage, Error> + Send + Sync>;
/// Builds an exporter from its decoded config, as often as needed.
pub type BuildExporter = Arc<dyn Fn(Context) -> Result<Box<dyn Exporter>, Error> + Send + Sync>;
/// Builds an extension from its decoded config, as often as needed.
pub type BuildExtension = Arc<dyn Fn(Context) -> Result<Arc<dyn Extension>, Error> + Send + Sync>;

/// An exporter with what stands before it.
#[derive(Clone)]
pub struct PlannedExporter {
    /// Builds one instance; called once for each signal.
    pub build: BuildExporter,
    /// Its `timeout`, `retry_on_failure` and `sending_queue`, defaults filled in.
    pub delivery: delivery::Settings,
}

/// `traces`, `metrics/gpu`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PipelineId {
    /// What flows in it.
    pub signal: Signal,
    /// The part after the slash, or empty.
    pub name: String,
}

impl fmt::Display for PipelineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.signal.name())?;
        if !self.name.is_empty() {
            write!(f, "/{}", self.name)?;
        }
        Ok(())
    }
}

/// One entry of `service.pipelines`; every id in it is in the plan and takes its signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pipeline {
    /// Its id.
    pub id: PipelineId,
    /// At least one, each once.
    pub receivers: Vec<ComponentId>,
    /// In order, each once.
    pub processors: Vec<ComponentId>,
    /// At least one, each once.
    pub exporters: Vec<ComponentId>,
}

/// What a component is built from, in short: two that have the same are the same. It is not to be shown: whoever can guess
/// a secret could verify the guess.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Print([u8; 32]);

impl Print {
    /// Of anything that is bytes.
    pub fn of(bytes: &[u8]) -> Print {
        let mut print = [0; 32];
        print.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
        Print(print)
    }
}

impl AsRef<[u8]> for Print {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Print {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Print")
    }
}

/// Everything the graph needs to know.
pub struct Plan {
    /// Receivers that a pipeline uses.
    pub receivers: BTreeMap<ComponentId, BuildReceiver>,
    /// Processors that a pipeline uses.
    pub processors: BTreeMap<ComponentId, BuildProcessor>,
    /// Exporters that a pipeline uses.
    pub exporters: BTreeMap<ComponentId, PlannedExporter>,
    /// Extensions that the service starts, in the order of their start.
    pub extensions: Vec<(ComponentId, BuildExtension)>,
    /// At least one.
    pub pipelines: Vec<Pipeline>,
    /// The component's config with that of the extensions that it refers to; a component without one is never taken for
    /// the same.
    pub prints: BTreeMap<(Kind, ComponentId), Print>,
    /// About ourselves.
    pub telemetry: TelemetryPlan,
    /// How long a stop may take (`service.shutdown_timeout`, ours; default 10 s).
    pub shutdown_timeout: Duration,
    /// Where state is kept (`service.data_dir`, ours).
    pub data_dir: PathBuf,
}

/// `service.telemetry`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TelemetryPlan {
    /// `host:port` of the own-metrics endpoint; `None` when `level: none`.
    pub metrics_address: Option<String>,
    /// The least severe level that is logged.
    pub log_level: LogLevel,
    /// How own logs look.
    pub log_encoding: LogEncoding,
    /// Attributes of `target_info` and of every own log line.
    pub resource: Vec<(String, String)>,
}

impl Default for TelemetryPlan {
    fn default() -> TelemetryPlan {
        TelemetryPlan {
            metrics_address: Some("localhost:8888".to_owned()),
            log_level: LogLevel::Info,
            log_encoding: LogEncoding::Console,
            resource: Vec::new(),
        }
    }
}

/// `service.telemetry.logs.level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// The default.
    Info,
    /// What a person should look at.
    Warn,
    /// What has failed.
    Error,
}

/// `service.telemetry.logs.encoding`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogEncoding {
    /// For a terminal.
    Console,
    /// One object a line.
    Json,
}
