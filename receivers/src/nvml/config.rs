//! The settings.

use std::time::Duration;

use pipeline::config::{GoDuration, Problem, Settings};
use serde::Deserialize;

/// Settings of `nvml`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a key of the config")]
pub struct Config {
    /// Between two readings.
    pub collection_interval: GoDuration,
    /// Whose names the metrics get.
    pub names: Names,
    /// Which of DCGM's names, where both exist.
    pub dcgm_names: DcgmNames,
    /// The label with the host's name.
    pub hostname_label: HostnameLabel,
    /// The host's name; empty asks the kernel.
    pub hostname: String,
    /// A file of counters as dcgm-exporter reads it; empty takes all that there are.
    pub metrics_file: String,
    /// Whether power and utilisation are also taken from the driver's own sample buffers.
    pub sample_buffers: bool,
    /// Whether processes on the GPUs are listed.
    pub processes: bool,
    /// The driver's library.
    pub library: String,
    /// The kubelet's socket of pod resources; empty asks no kubelet.
    pub kubelet_socket: String,
    /// Whether series get the labels that Dynamo gives the processes on a GPU, and its operator their pods.
    pub dynamo: bool,
    /// Where to ask for pods.
    pub kubernetes: Kubernetes,
}

/// `kubernetes`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Kubernetes {
    /// The node whose pods are asked for; empty is the host's name.
    pub node: String,
    /// The API server; empty is the one of the cluster that this runs in.
    pub api_server: String,
    /// A file that says where the API server is and who we are.
    pub kubeconfig_file: String,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            collection_interval: GoDuration::from_secs(5),
            names: Names::Dcgm,
            dcgm_names: DcgmNames::Classic,
            hostname_label: HostnameLabel::Capital,
            hostname: String::new(),
            metrics_file: String::new(),
            sample_buffers: false,
            processes: true,
            library: "libnvidia-ml.so.1".to_owned(),
            kubelet_socket: "/var/lib/kubelet/pod-resources/kubelet.sock".to_owned(),
            dynamo: false,
            kubernetes: Kubernetes::default(),
        }
    }
}

/// `names`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Names {
    /// dcgm-exporter's.
    Dcgm,
    /// OpenTelemetry's.
    Semconv,
    /// One metric of each.
    Both,
}

impl Names {
    /// Whether dcgm-exporter's names are in use.
    pub fn has_dcgm(self) -> bool {
        self != Names::Semconv
    }

    /// Whether OpenTelemetry's names are in use.
    pub fn has_semconv(self) -> bool {
        self != Names::Dcgm
    }
}

/// `dcgm_names`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum DcgmNames {
    /// Those of all versions.
    #[serde(rename = "classic")]
    Classic,
    /// Those that DCGM 4.6 brought.
    #[serde(rename = "4.6")]
    New,
}

/// `hostname_label`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum HostnameLabel {
    /// As dcgm-exporter wrote it until May 2026, and dashboards ask for it.
    #[serde(rename = "Hostname")]
    Capital,
    /// As it writes it since.
    #[serde(rename = "hostname")]
    Small,
    /// Both, with the same value.
    #[serde(rename = "both")]
    Both,
}

impl Settings for Config {
    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.collection_interval.get() < Duration::from_millis(10) {
            problems.push(Problem::at("collection_interval", "the least is 10ms"));
        }
        if self.library.is_empty() {
            problems.push(Problem::at("library", "is empty; the driver's library is libnvidia-ml.so.1"));
        }
        if self.kubernetes != Kubernetes::default() && !self.dynamo {
            problems.push(Problem::at("kubernetes", "is asked for Dynamo's labels only: add dynamo: true"));
        }
        if !self.kubernetes.api_server.is_empty() && !self.kubernetes.kubeconfig_file.is_empty() {
            problems.push(Problem::at("kubernetes", "takes an api_server or a kubeconfig_file, not both"));
        }
        problems
    }
}
