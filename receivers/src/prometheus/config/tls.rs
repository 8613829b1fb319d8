//! `tls_config` of an HTTP client config.

use std::path::{Path, PathBuf};

use pipeline::config::{Opaque, Problem};
use pipeline::net::config::{TlsClientConfig, TlsCommon};
use serde::Deserialize;

use super::http::below;

/// `tls_config`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename = "ScrapeTls")]
pub struct TlsConfig {
    /// Certificates that sign the target's, PEM.
    pub ca: Opaque,
    /// A file with them.
    pub ca_file: String,
    /// Our certificate, PEM.
    pub cert: Opaque,
    /// A file with it.
    pub cert_file: String,
    /// Our private key, PEM.
    pub key: Opaque,
    /// A file with it.
    pub key_file: String,
    /// The name to ask for and to check, instead of the target's host.
    pub server_name: String,
    /// Believe any certificate.
    pub insecure_skip_verify: bool,
    /// `TLS12` or `TLS13`; what is older means `TLS12`.
    pub min_version: String,
    /// `TLS12` or `TLS13`.
    pub max_version: String,
}

impl TlsConfig {
    pub(super) fn check(&self, path: &str, problems: &mut Vec<Problem>) {
        for (key, version) in [("min_version", &self.min_version), ("max_version", &self.max_version)] {
            let is_old = key == "min_version" && matches!(version.as_str(), "TLS10" | "TLS11");
            if tls_version(version).is_none() && !is_old {
                let message = format!("{version:?} is not available, there are TLS12 and TLS13");
                problems.push(Problem::at(format!("{path}.{key}"), message));
            }
        }
        for problem in self.client().check(path) {
            let key = problem.path.strip_suffix("_pem").unwrap_or(&problem.path).to_owned();
            problems.push(Problem { path: key, message: problem.message.replace("_pem", "") });
        }
    }

    /// Takes relative paths of files as below `folder`.
    pub(super) fn below(&mut self, folder: &Path) {
        [&mut self.ca_file, &mut self.cert_file, &mut self.key_file].into_iter().for_each(|file| below(file, folder));
    }

    /// The files that it names, which may change.
    pub fn files(&self) -> Vec<PathBuf> {
        let all = [&self.ca_file, &self.cert_file, &self.key_file];
        all.into_iter().filter(|file| !file.is_empty()).map(PathBuf::from).collect()
    }

    /// The same in the words of our client.
    pub fn client(&self) -> TlsClientConfig {
        let version = |text: &str| tls_version(text).unwrap_or_default().to_owned();
        let common = TlsCommon {
            ca_pem: self.ca.clone(),
            ca_file: self.ca_file.clone(),
            cert_pem: self.cert.clone(),
            cert_file: self.cert_file.clone(),
            key_pem: self.key.clone(),
            key_file: self.key_file.clone(),
            min_version: version(&self.min_version),
            max_version: version(&self.max_version),
            ..TlsCommon::default()
        };
        TlsClientConfig {
            common,
            insecure: false,
            insecure_skip_verify: self.insecure_skip_verify,
            server_name_override: self.server_name.clone(),
        }
    }
}

fn tls_version(text: &str) -> Option<&'static str> {
    match text {
        "" => Some(""),
        "TLS12" => Some("1.2"),
        "TLS13" => Some("1.3"),
        _ => None,
    }
}
