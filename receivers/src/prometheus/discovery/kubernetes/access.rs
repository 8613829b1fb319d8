//! Where the API server is, and who we are for it: the cluster that we run in, a kubeconfig, or what the config says.

use std::path::Path;

use pipeline::component::Context;
use pipeline::net::origin::parse_url;

use super::kubeconfig;
use crate::prometheus::agent::Agent;
use crate::prometheus::config::{Authorization, HttpConfig, KubernetesDiscovery, TlsConfig};

/// Where a pod finds what it needs to speak to its API server.
const OWN_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
const OWN_CA: &str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";
const OWN_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
const MOST_NAMESPACE_BYTES: usize = 1 << 10;
const MOST_KUBECONFIG_BYTES: usize = 4 << 20;

/// How an API server is asked.
pub(super) struct Access {
    /// Its URL, without a slash at the end.
    pub server: String,
    /// Who asks.
    pub agent: Agent,
    /// The namespace that we run in.
    pub own_namespace: Option<String>,
}

impl Access {
    /// Finds out. Reads files.
    ///
    /// # Errors
    /// What is missing, and what would help.
    pub(super) fn find(
        config: &KubernetesDiscovery,
        context: &Context,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Access, String> {
        let mut own_namespace = None;
        let (server, http) = if !config.api_server.is_empty() {
            (config.api_server.clone(), config.http.clone())
        } else if !config.kubeconfig_file.is_empty() {
            let file = Path::new(&config.kubeconfig_file);
            let contents = context.doors.files.read_small(file, MOST_KUBECONFIG_BYTES);
            let contents = contents.map_err(|error| format!("cannot read {}: {error}", file.display()))?;
            let folder = file.parent().unwrap_or(Path::new(""));
            kubeconfig::read(&contents, folder).map_err(|error| format!("{}: {error}", file.display()))?
        } else {
            if config.namespaces.own_namespace {
                let read = context.doors.files.read_small(Path::new(OWN_NAMESPACE), MOST_NAMESPACE_BYTES);
                let read = read.map_err(|error| format!("cannot read {OWN_NAMESPACE}: {error}"))?;
                own_namespace = Some(String::from_utf8_lossy(&read).trim().to_owned());
            }
            own_cluster(variable)?
        };
        parse_url(&server).map_err(|error| format!("the API server's URL: {error}"))?;
        let agent = Agent::new(&http, context).map_err(|error| error.to_string())?;
        Ok(Access { server: server.trim_end_matches('/').to_owned(), agent, own_namespace })
    }
}

fn own_cluster(variable: impl Fn(&str) -> Option<String>) -> Result<(String, HttpConfig), String> {
    let (Some(host), Some(port)) = (variable("KUBERNETES_SERVICE_HOST"), variable("KUBERNETES_SERVICE_PORT")) else {
        let message =
            "this is no pod of a cluster (KUBERNETES_SERVICE_HOST is not set); set api_server or kubeconfig_file";
        return Err(message.to_owned());
    };
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let http = HttpConfig {
        authorization: Some(Authorization { credentials_file: OWN_TOKEN.to_owned(), ..Authorization::default() }),
        tls_config: TlsConfig { ca_file: OWN_CA.to_owned(), ..TlsConfig::default() },
        ..HttpConfig::default()
    };
    Ok((format!("https://{host}:{port}"), http))
}
