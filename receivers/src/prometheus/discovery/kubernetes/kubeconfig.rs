//! A kubeconfig: the cluster and the user of its current context. Users that need a program to log in are refused.

use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use pipeline::config::{Opaque, Text, read_document};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::prometheus::config::{Authorization, BasicAuth, HttpConfig, ProxyConfig, TlsConfig};

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Kubeconfig {
    api_version: Option<IgnoredAny>,
    kind: Option<IgnoredAny>,
    preferences: Option<IgnoredAny>,
    extensions: Option<IgnoredAny>,
    clusters: Vec<NamedCluster>,
    contexts: Vec<NamedContext>,
    users: Vec<NamedUser>,
    #[serde(rename = "current-context")]
    current_context: Text,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NamedCluster {
    name: Text,
    cluster: Cluster,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Cluster {
    server: String,
    certificate_authority: String,
    certificate_authority_data: String,
    insecure_skip_tls_verify: bool,
    tls_server_name: String,
    proxy_url: Opaque,
    disable_compression: Option<IgnoredAny>,
    extensions: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NamedContext {
    name: Text,
    context: InContext,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct InContext {
    cluster: Text,
    user: Text,
    namespace: Option<IgnoredAny>,
    extensions: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NamedUser {
    name: Text,
    user: User,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct User {
    client_certificate: String,
    client_certificate_data: String,
    client_key: String,
    client_key_data: Opaque,
    token: Opaque,
    #[serde(rename = "tokenFile")]
    token_file: String,
    username: Text,
    password: Opaque,
    exec: Option<IgnoredAny>,
    auth_provider: Option<IgnoredAny>,
    #[serde(rename = "as")]
    impersonate: Option<IgnoredAny>,
    as_uid: Option<IgnoredAny>,
    as_groups: Option<IgnoredAny>,
    as_user_extra: Option<IgnoredAny>,
    extensions: Option<IgnoredAny>,
}

/// The API server's URL and how it is asked. Relative paths are below `folder`.
///
/// # Errors
/// What is missing, or not available.
pub(super) fn read(contents: &[u8], folder: &Path) -> Result<(String, HttpConfig), String> {
    let config: Kubeconfig = read_document(contents)?;
    let current = &config.current_context;
    let context = config.contexts.iter().find(|context| context.name == *current);
    let context = &context.ok_or_else(|| format!("there is no context {:?}, the current-context", &**current))?.context;
    let cluster = config.clusters.iter().find(|cluster| cluster.name == context.cluster);
    let cluster = &cluster.ok_or_else(|| format!("there is no cluster {:?}", &*context.cluster))?.cluster;
    let nobody = User::default();
    let user = config.users.iter().find(|user| user.name == context.user).map_or(&nobody, |user| &user.user);
    if user.exec.is_some() || user.auth_provider.is_some() {
        return Err(
            "its user logs in by a program (exec, auth-provider), which is not available; use a token".to_owned()
        );
    }
    if user.impersonate.is_some() {
        return Err("its user speaks as another (as), which is not available".to_owned());
    }
    let mut http = HttpConfig {
        tls_config: tls(cluster, user)?,
        proxy: ProxyConfig { proxy_url: cluster.proxy_url.clone(), ..ProxyConfig::default() },
        ..HttpConfig::default()
    };
    if !user.token.0.is_empty() || !user.token_file.is_empty() {
        let file = user.token_file.clone();
        let token = if file.is_empty() { user.token.clone() } else { Opaque::default() };
        http.authorization =
            Some(Authorization { credentials: token, credentials_file: file, ..Authorization::default() });
    } else if !user.username.is_empty() {
        http.basic_auth = Some(BasicAuth {
            username: user.username.clone(),
            password: user.password.clone(),
            ..BasicAuth::default()
        });
    }
    http.below(folder);
    Ok((cluster.server.clone(), http))
}

fn tls(cluster: &Cluster, user: &User) -> Result<TlsConfig, String> {
    let decoded = |data: &str, key: &str| {
        let bytes = BASE64_STANDARD.decode(data.trim()).map_err(|_| format!("{key} is not base64"))?;
        String::from_utf8(bytes).map(Opaque).map_err(|_| format!("{key} is not PEM"))
    };
    let mut tls = TlsConfig {
        ca: decoded(&cluster.certificate_authority_data, "certificate-authority-data")?,
        cert: decoded(&user.client_certificate_data, "client-certificate-data")?,
        key: decoded(&user.client_key_data.0, "client-key-data")?,
        server_name: cluster.tls_server_name.clone(),
        insecure_skip_verify: cluster.insecure_skip_tls_verify,
        ..TlsConfig::default()
    };
    // What stands in the file itself goes before what it points to.
    for (given, file, to) in [
        (&tls.ca, &cluster.certificate_authority, &mut tls.ca_file),
        (&tls.cert, &user.client_certificate, &mut tls.cert_file),
        (&tls.key, &user.client_key, &mut tls.key_file),
    ] {
        if given.0.is_empty() {
            to.clone_from(file);
        }
    }
    Ok(tls)
}
