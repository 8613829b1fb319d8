//! Where targets come from. The mechanisms of Prometheus that are not here are known by name and refused.

mod dns;
mod http;
mod kubernetes;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use pipeline::config::{Problem, PromDuration, Text};
use serde::Deserialize;
use serde::de::IgnoredAny;

pub use self::dns::{DnsDiscovery, RecordType};
pub use self::http::HttpDiscovery;
pub use self::kubernetes::{AttachMetadata, KubernetesDiscovery, Namespaces, Role, Selector};
use super::http::below;
use crate::prometheus::labels::NameRule;

/// Targets with common labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Group {
    /// `host:port` each.
    pub targets: Vec<Text>,
    /// Labels of all of them.
    pub labels: BTreeMap<String, Text>,
}

/// Files that list groups, read again when they change.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct FileDiscovery {
    /// Paths; the last part may hold `*`.
    pub files: Vec<String>,
    /// How often they are read in any case.
    pub refresh_interval: PromDuration,
}

impl Default for FileDiscovery {
    fn default() -> FileDiscovery {
        FileDiscovery { files: Vec::new(), refresh_interval: PromDuration(Duration::from_secs(300)) }
    }
}

/// Everything in a scrape config that finds targets.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Discovery {
    /// Targets in the config itself.
    pub static_configs: Vec<Group>,
    /// Targets in files.
    pub file_sd_configs: Vec<FileDiscovery>,
    /// Targets that an HTTP endpoint lists.
    pub http_sd_configs: Vec<HttpDiscovery>,
    /// Targets that DNS knows.
    pub dns_sd_configs: Vec<DnsDiscovery>,
    /// Targets that a Kubernetes API server knows.
    pub kubernetes_sd_configs: Vec<KubernetesDiscovery>,
    /// The rest.
    #[serde(rename = "~others")]
    others: Others,
}

macro_rules! others {
    ($($name:ident),* $(,)?) => {
        /// What is not available.
        #[derive(Clone, Debug, Default, Deserialize)]
        #[serde(default)]
        struct Others {
            $($name: Option<IgnoredAny>,)*
        }

        impl Others {
            fn used(&self) -> Vec<&'static str> {
                let all = [$((stringify!($name), self.$name.is_some()),)*];
                all.into_iter().filter(|(_, used)| *used).map(|(name, _)| name).collect()
            }
        }
    };
}

others! {
    aws_sd_configs, azure_sd_configs, consul_sd_configs, digitalocean_sd_configs, docker_sd_configs,
    dockerswarm_sd_configs, ec2_sd_configs, elasticache_sd_configs, eureka_sd_configs, gce_sd_configs,
    hetzner_sd_configs, ionos_sd_configs, kuma_sd_configs,
    lightsail_sd_configs, linode_sd_configs, marathon_sd_configs, nerve_sd_configs, nomad_sd_configs,
    openstack_sd_configs, outscale_sd_configs, ovhcloud_sd_configs, puppetdb_sd_configs, scaleway_sd_configs,
    serverset_sd_configs, stackit_sd_configs, triton_sd_configs, uyuni_sd_configs, vultr_sd_configs,
}

/// What there is.
const MECHANISMS: &str = "static_configs, file_sd_configs, http_sd_configs, dns_sd_configs and kubernetes_sd_configs";

impl Discovery {
    /// Takes relative paths of files as below `folder`.
    pub(super) fn below(&mut self, folder: &Path) {
        let files = self.file_sd_configs.iter_mut().flat_map(|config| &mut config.files);
        files.for_each(|file| below(file, folder));
        self.http_sd_configs.iter_mut().for_each(|config| config.http.below(folder));
        self.kubernetes_sd_configs.iter_mut().for_each(|config| config.below(folder));
    }

    /// Everything wrong with it. A job without relabelling must have targets that can be scraped as they are.
    pub(super) fn check(&self, path: &str, names: NameRule, relabelled: bool, problems: &mut Vec<Problem>) {
        for name in self.others.used() {
            let message = format!("{name} is not available; there are {MECHANISMS}");
            problems.push(Problem::at(format!("{path}.{name}"), message));
        }
        for (i, group) in self.static_configs.iter().enumerate() {
            let path = format!("{path}.static_configs.{i}");
            for (t, target) in group.targets.iter().enumerate().filter(|(_, t)| t.contains('/') && !relabelled) {
                let message =
                    format!("{:?} is not host:port; scheme and path stand in scheme and metrics_path", &**target);
                problems.push(Problem::at(format!("{path}.targets.{t}"), message));
            }
            for name in group.labels.keys().filter(|name| !names.label(name)) {
                problems.push(Problem::at(format!("{path}.labels.{name}"), format!("{name:?} cannot be a label name")));
            }
        }
        let at = |name: &str, i: usize| format!("{path}.{name}.{i}");
        for (i, files) in self.file_sd_configs.iter().enumerate() {
            files.check(&at("file_sd_configs", i), problems);
        }
        for (i, http) in self.http_sd_configs.iter().enumerate() {
            http.check(&at("http_sd_configs", i), problems);
        }
        for (i, dns) in self.dns_sd_configs.iter().enumerate() {
            dns.check(&at("dns_sd_configs", i), problems);
        }
        for (i, kubernetes) in self.kubernetes_sd_configs.iter().enumerate() {
            kubernetes.check(&at("kubernetes_sd_configs", i), problems);
        }
    }
}

impl FileDiscovery {
    fn check(&self, path: &str, problems: &mut Vec<Problem>) {
        if self.files.is_empty() {
            problems.push(Problem::at(path, "file_sd_configs needs files, such as [targets/*.yaml]"));
        }
        for (f, pattern) in self.files.iter().enumerate().filter(|(_, pattern)| !is_pattern(pattern)) {
            let message = format!("{pattern:?} must end in .json, .yml or .yaml, and only its last part may hold *");
            problems.push(Problem::at(format!("{path}.files.{f}"), message));
        }
        check_refresh(self.refresh_interval, path, problems);
    }
}

fn check_refresh(interval: PromDuration, path: &str, problems: &mut Vec<Problem>) {
    if interval.get().is_zero() {
        problems.push(Problem::at(format!("{path}.refresh_interval"), "refresh_interval must be above 0"));
    }
}

/// Whether a path may name files of configs or targets, with `*` in its last part.
pub(super) fn is_pattern(pattern: &str) -> bool {
    let ends = [".json", ".yml", ".yaml", ".JSON", ".YML", ".YAML"];
    let (folder, file) = pattern.rsplit_once('/').unwrap_or(("", pattern));
    ends.iter().any(|end| file.ends_with(end)) && !folder.contains('*')
}
