//! The receiver's config: the collector's, and how thoroughly requests are checked.

use std::collections::HashSet;

use pipeline::Signal;
use pipeline::config::{Block, ByteSize, Problem, Settings};
use pipeline::net::config::{GrpcServerConfig, HttpServerConfig};
use serde::Deserialize;

/// `otlp:`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The protocols that are spoken; at least one.
    pub protocols: Protocols,
    /// How thoroughly requests are checked (ours).
    pub validation: Validation,
    /// The most bytes of requests that are read and not yet answered (ours). More wait for a moment and are refused
    /// for now.
    pub max_in_flight_bytes: ByteSize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            protocols: Protocols::default(),
            validation: Validation::default(),
            max_in_flight_bytes: ByteSize(128 << 20),
        }
    }
}

/// `protocols:`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Protocols {
    /// OTLP/gRPC, at `localhost:4317`.
    pub grpc: Block<GrpcServerConfig>,
    /// OTLP/HTTP, at `localhost:4318`.
    pub http: Block<HttpConfig>,
}

/// `protocols.http:`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct HttpConfig {
    /// The server.
    #[serde(rename = "~server")]
    pub server: HttpServerConfig,
    /// Where traces are sent to.
    pub traces_url_path: String,
    /// Where metrics are sent to.
    pub metrics_url_path: String,
    /// Where logs are sent to.
    pub logs_url_path: String,
}

impl Default for HttpConfig {
    fn default() -> HttpConfig {
        HttpConfig {
            server: HttpServerConfig::default(),
            traces_url_path: "/v1/traces".to_owned(),
            metrics_url_path: "/v1/metrics".to_owned(),
            logs_url_path: "/v1/logs".to_owned(),
        }
    }
}

impl HttpConfig {
    /// The path of each signal, with or without the slash that the collector lets one leave out.
    pub fn paths(&self) -> [(Signal, String); 3] {
        [
            (Signal::Traces, &self.traces_url_path),
            (Signal::Metrics, &self.metrics_url_path),
            (Signal::Logs, &self.logs_url_path),
        ]
        .map(|(signal, path)| (signal, format!("/{}", path.trim_start_matches('/'))))
    }
}

/// How thoroughly requests are checked before they are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Validation {
    /// Everything, down to each attribute: nothing malformed gets in.
    #[default]
    Full,
    /// Resources, scopes and the borders of items. What is malformed inside an item is found by who looks into it.
    Envelope,
}

impl Settings for Config {
    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if let Some(grpc) = self.protocols.grpc.as_ref() {
            problems.extend(grpc.check("protocols.grpc"));
        }
        if let Some(http) = self.protocols.http.as_ref() {
            problems.extend(http.server.check("protocols.http"));
            let mut seen = HashSet::new();
            for (signal, path) in http.paths() {
                let key = format!("protocols.http.{signal}_url_path");
                if path == "/" || path.contains(['?', '#', ' ']) {
                    problems.push(Problem::at(key, format!("{path:?} is not a path such as /v1/{signal}")));
                } else if !seen.insert(path.clone()) {
                    problems.push(Problem::at(key, format!("{path:?} is already another signal's path")));
                }
            }
        }
        if !self.protocols.grpc.is_on() && !self.protocols.http.is_on() {
            problems.push(Problem::at("protocols", "must specify at least one protocol: grpc, http or both"));
        }
        problems
    }
}
