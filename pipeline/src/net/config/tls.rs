//! `tls:` of clients and servers (`otelcol` configtls).

use serde::Deserialize;

use super::{given, join};
use crate::config::{GoDuration, Opaque, Problem};
use crate::net::tls::{CIPHER_SUITES, CURVES};

/// What clients and servers share.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct TlsCommon {
    /// A PEM file with the certificates that sign the other side's.
    pub ca_file: String,
    /// The same, in the config itself.
    pub ca_pem: Opaque,
    /// Trust the system's certificates beside those.
    pub include_system_ca_certs_pool: bool,
    /// A PEM file with the own certificate and its chain.
    pub cert_file: String,
    /// The same, in the config itself.
    pub cert_pem: Opaque,
    /// A PEM file with the own private key.
    pub key_file: String,
    /// The same, in the config itself.
    pub key_pem: Opaque,
    /// The least TLS version, `1.2` (default) or `1.3`.
    pub min_version: String,
    /// The highest TLS version, `1.2` or `1.3` (default).
    pub max_version: String,
    /// The TLS 1.2 cipher suites to offer, by their IANA names; all good ones if empty.
    pub cipher_suites: Vec<String>,
    /// Accepted and without effect: there are no insecure suites to include.
    pub include_insecure_cipher_suites: bool,
    /// The key exchange groups to offer, in order; all if empty.
    pub curve_preferences: Vec<String>,
    /// How often certificates are read again, at most: when a connection is made after that time. 0 is never.
    pub reload_interval: GoDuration,
    /// Keys in a TPM; refused.
    pub tpm: TpmConfig,
}

/// `tls.tpm`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct TpmConfig {
    /// Whether the key lies in a TPM.
    pub enabled: bool,
    /// The device.
    pub path: String,
    /// Its owner's password.
    pub owner_auth: Opaque,
    /// The key's password.
    pub auth: Opaque,
}

impl TlsCommon {
    /// Whether a certificate and a key are given.
    pub fn has_identity(&self) -> bool {
        !self.cert_file.is_empty() || given(&self.cert_pem)
    }

    /// Whether own certificates of the signing side are given.
    pub fn has_ca(&self) -> bool {
        !self.ca_file.is_empty() || given(&self.ca_pem)
    }

    fn check(&self, path: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut problem = |key: &str, message: String| problems.push(Problem::at(join(path, key), message));
        for (file, pem, name) in [
            (&self.ca_file, &self.ca_pem, "ca"),
            (&self.cert_file, &self.cert_pem, "cert"),
            (&self.key_file, &self.key_pem, "key"),
        ] {
            if !file.is_empty() && given(pem) {
                problem(&format!("{name}_pem"), format!("give {name}_file or {name}_pem, not both"));
            }
        }
        let has_key = !self.key_file.is_empty() || given(&self.key_pem);
        if self.has_identity() && !has_key {
            problem("", "a certificate needs its key: set key_file or key_pem".to_owned());
        }
        if has_key && !self.has_identity() {
            problem("", "a key needs its certificate: set cert_file or cert_pem".to_owned());
        }
        for (key, version) in [("min_version", &self.min_version), ("max_version", &self.max_version)] {
            if !matches!(version.as_str(), "" | "1.2" | "1.3") {
                problem(key, format!("TLS {version:?} is not available, use \"1.2\" or \"1.3\""));
            }
        }
        if self.min_version == "1.3" && self.max_version == "1.2" {
            problem("max_version", "max_version is below min_version".to_owned());
        }
        for (key, names, known) in [
            ("cipher_suites", &self.cipher_suites, CIPHER_SUITES),
            ("curve_preferences", &self.curve_preferences, CURVES),
        ] {
            for (i, name) in names.iter().enumerate().filter(|(_, n)| !known.contains(&n.as_str())) {
                problem(&format!("{key}.{i}"), format!("{name:?} is not available, there are {}", known.join(", ")));
            }
        }
        if self.tpm.enabled {
            problem("tpm.enabled", "keys in a TPM are not supported, use key_file".to_owned());
        }
        problems
    }
}

/// `tls:` of a client.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct TlsClientConfig {
    /// What clients and servers share.
    #[serde(rename = "~common")]
    pub common: TlsCommon,
    /// No TLS at all, for endpoints without a scheme.
    pub insecure: bool,
    /// Believe any certificate.
    pub insecure_skip_verify: bool,
    /// The name to ask for and to check the certificate against, instead of the endpoint's.
    pub server_name_override: String,
}

impl TlsClientConfig {
    /// Everything wrong with it.
    pub fn check(&self, path: &str) -> Vec<Problem> {
        self.common.check(path)
    }
}

/// `tls:` of a server.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct TlsServerConfig {
    /// What clients and servers share.
    #[serde(rename = "~common")]
    pub common: TlsCommon,
    /// A PEM file with the certificates that sign clients'; given, every client needs one.
    pub client_ca_file: String,
    /// Read it again, and with it the other files, when a client connects, once a second at most.
    pub client_ca_file_reload: bool,
}

impl TlsServerConfig {
    /// Everything wrong with it.
    pub fn check(&self, path: &str) -> Vec<Problem> {
        let mut problems = self.common.check(path);
        if !self.common.has_identity() {
            problems.push(Problem::at(path, "a TLS server needs cert_file and key_file (or cert_pem and key_pem)"));
        }
        problems
    }
}
