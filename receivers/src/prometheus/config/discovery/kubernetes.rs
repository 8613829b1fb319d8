//! `kubernetes_sd_configs`.

use std::collections::HashSet;
use std::path::Path;

use pipeline::config::{Problem, Text};
use pipeline::net::origin::parse_url;
use serde::Deserialize;

use crate::prometheus::config::http::{HttpConfig, below};

/// Objects of one kind that a Kubernetes API server knows.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct KubernetesDiscovery {
    /// Which objects become targets.
    pub role: Text,
    /// The API server; by default the one of the cluster that we run in.
    pub api_server: String,
    /// A file that says where the API server is and who we are.
    pub kubeconfig_file: String,
    /// Where to look; everywhere by default.
    pub namespaces: Namespaces,
    /// Which objects to ask for.
    pub selectors: Vec<Selector>,
    /// What targets are told of objects around them.
    pub attach_metadata: AttachMetadata,
    /// How an `api_server` is asked.
    #[serde(rename = "~http")]
    pub http: HttpConfig,
}

/// `namespaces`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Namespaces {
    /// The namespace that we run in.
    pub own_namespace: bool,
    /// These.
    pub names: Vec<Text>,
}

/// Which objects of a kind are asked for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Selector {
    /// The kind.
    pub role: Text,
    /// By labels, as `kubectl -l` has it.
    pub label: String,
    /// By fields, as `kubectl --field-selector` has it.
    pub field: String,
}

/// `attach_metadata`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct AttachMetadata {
    /// Labels and annotations of the node that a target runs on.
    pub node: bool,
    /// Labels and annotations of its namespace.
    pub namespace: bool,
}

/// A kind of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Pods, one target for each port of a container.
    Pod,
    /// Services, one target for each port.
    Service,
    /// What services lead to.
    Endpoints,
    /// The same in its present form.
    EndpointSlice,
    /// Nodes, by their kubelets.
    Node,
    /// Ingresses, one target for each path.
    Ingress,
}

impl Role {
    const ALL: [Role; 6] = [Role::Pod, Role::Service, Role::Endpoints, Role::EndpointSlice, Role::Node, Role::Ingress];

    /// Its name in the config and in labels.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Pod => "pod",
            Role::Service => "service",
            Role::Endpoints => "endpoints",
            Role::EndpointSlice => "endpointslice",
            Role::Node => "node",
            Role::Ingress => "ingress",
        }
    }

    fn parse(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.name() == name)
    }

    /// The kinds of objects that are asked for in that role, and may be selected.
    pub const fn kinds(self) -> &'static [Role] {
        match self {
            Role::Pod => &[Role::Pod],
            Role::Service => &[Role::Service],
            Role::Endpoints => &[Role::Pod, Role::Service, Role::Endpoints],
            Role::EndpointSlice => &[Role::Pod, Role::Service, Role::EndpointSlice],
            Role::Node => &[Role::Node],
            Role::Ingress => &[Role::Ingress],
        }
    }
}

impl KubernetesDiscovery {
    /// The role, if there is one of that name.
    pub fn known_role(&self) -> Option<Role> {
        Role::parse(&self.role)
    }

    /// How objects of a kind are selected.
    pub fn selector(&self, kind: Role) -> Option<&Selector> {
        self.selectors.iter().find(|selector| &*selector.role == kind.name())
    }

    /// Takes relative paths of files as below `folder`.
    pub(super) fn below(&mut self, folder: &Path) {
        below(&mut self.kubeconfig_file, folder);
        self.http.below(folder);
    }

    /// Everything wrong with it.
    pub(super) fn check(&self, path: &str, problems: &mut Vec<Problem>) {
        let mut problem = |key: &str, message: &str| {
            let dot = if key.is_empty() { "" } else { "." };
            problems.push(Problem::at(format!("{path}{dot}{key}"), message));
        };
        if !cfg!(feature = "kubernetes") {
            problem("", "this build has no kubernetes_sd_configs; build it with the feature kubernetes");
        }
        let roles = "pod, service, endpoints, endpointslice, node and ingress";
        match self.known_role() {
            None if self.role.is_empty() => problem("", &format!("kubernetes_sd_configs needs a role: {roles}")),
            None => problem("role", &format!("{:?} is not a role, there are {roles}", &*self.role)),
            Some(role) => self.check_selectors(role, &mut problem),
        }
        let (server, file) = (!self.api_server.is_empty(), !self.kubeconfig_file.is_empty());
        let own_client = self.http != HttpConfig::default();
        if server && file {
            problem("kubeconfig_file", "give api_server or kubeconfig_file, not both");
        }
        if file && own_client {
            problem(
                "kubeconfig_file",
                "a kubeconfig_file says how the API server is asked; remove credentials and TLS",
            );
        } else if !server && own_client {
            problem("", "credentials and TLS need an api_server");
        }
        if self.namespaces.own_namespace && (server || file) {
            problem("namespaces.own_namespace", "own_namespace is that of the pod; it needs no api_server and no file");
        }
        if server && let Err(message) = parse_url(&self.api_server) {
            problem("api_server", &message);
        }
        self.http.check(path, problems);
    }

    fn check_selectors(&self, role: Role, problem: &mut impl FnMut(&str, &str)) {
        let mut seen = HashSet::new();
        for (i, selector) in self.selectors.iter().enumerate() {
            if !role.kinds().iter().any(|kind| kind.name() == &*selector.role) {
                let kinds: Vec<_> = role.kinds().iter().map(|kind| kind.name()).collect();
                let message = format!("the role {} takes selectors of {}", role.name(), kinds.join(", "));
                problem(&format!("selectors.{i}"), &message);
            } else if !seen.insert(&*selector.role) {
                problem(&format!("selectors.{i}"), &format!("there are several selectors of {}", &*selector.role));
            }
        }
    }
}
