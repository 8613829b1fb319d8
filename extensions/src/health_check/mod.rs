//! Tells probes whether the process is ready: 200 when it is, 503 while it starts and stops. With `use_v2` also how each
//! component is.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode, request};
use pipeline::calendar::rfc3339;
use pipeline::config::{Block, GoDuration, Problem, Settings};
use pipeline::net::config::HttpServerConfig;
use pipeline::telemetry::{Health, State};
use pipeline::{BoxFuture, Context, Error, Extension, ExtensionFactory};
use serde::Deserialize;
use serde_json::json;

use crate::site::{Site, asks_for, page};

const ENDPOINT: &str = "localhost:13133";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// `health_check`.
pub struct Factory;

/// The collector's config.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The server, at `localhost:13133`.
    #[serde(rename = "~server")]
    pub server: HttpServerConfig,
    /// Where the process' state is.
    pub path: String,
    /// What is answered instead of JSON.
    pub response_body: ResponseBody,
    /// Accepted without effect, as in the collector.
    pub check_collector_pipeline: CheckPipeline,
    /// Ask as the collector's second version does: `http` and `component_health` count instead of the keys above.
    pub use_v2: bool,
    /// The second version's server.
    pub http: Block<HttpConfig>,
    /// The second version's server over gRPC; refused.
    pub grpc: Block<serde_json::Value>,
    /// What of the components' states makes the process unhealthy.
    pub component_health: Block<ComponentHealth>,
}

/// `response_body`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ResponseBody {
    /// When all is well.
    pub healthy: String,
    /// When it is not.
    pub unhealthy: String,
}

/// `check_collector_pipeline`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct CheckPipeline {
    /// Whether it is wanted.
    pub enabled: bool,
    /// How often.
    pub interval: String,
    /// How many failures are too many.
    pub exporter_failure_threshold: i64,
}

impl Default for CheckPipeline {
    fn default() -> CheckPipeline {
        CheckPipeline { enabled: false, interval: "5m".to_owned(), exporter_failure_threshold: 5 }
    }
}

/// `http`, of the second version.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct HttpConfig {
    /// The server, at `localhost:13133`.
    #[serde(rename = "~server")]
    pub server: HttpServerConfig,
    /// Where the states are.
    pub status: StatusConfig,
    /// Where the config would be; refused where it is on.
    pub config: PageConfig,
}

/// `http.status`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct StatusConfig {
    /// Whether it is there.
    pub enabled: bool,
    /// Where.
    pub path: String,
}

impl Default for StatusConfig {
    fn default() -> StatusConfig {
        StatusConfig { enabled: true, path: "/status".to_owned() }
    }
}

/// `http.config`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PageConfig {
    /// Whether it is wanted.
    pub enabled: bool,
    /// Where.
    pub path: String,
}

/// `component_health`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct ComponentHealth {
    /// What will not heal.
    pub include_permanent_errors: bool,
    /// What may heal and has not for `recovery_duration`.
    pub include_recoverable_errors: bool,
    /// How long that may take.
    pub recovery_duration: GoDuration,
}

impl Default for ComponentHealth {
    fn default() -> ComponentHealth {
        ComponentHealth {
            include_permanent_errors: false,
            include_recoverable_errors: false,
            recovery_duration: GoDuration::from_secs(60),
        }
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            server: HttpServerConfig::default(),
            path: "/".to_owned(),
            response_body: ResponseBody::default(),
            check_collector_pipeline: CheckPipeline::default(),
            use_v2: false,
            http: Block::off(),
            grpc: Block::off(),
            component_health: Block::off(),
        }
    }
}

impl Settings for Config {
    fn check(&self) -> Vec<Problem> {
        let mut problems = self.server.check("");
        if !self.path.starts_with('/') {
            problems.push(Problem::at("path", format!("{:?} is no path, it begins with /", self.path)));
        }
        if let Some(http) = self.http.as_ref() {
            problems.extend(http.server.check("http"));
            if !http.status.path.starts_with('/') {
                problems.push(Problem::at("http.status.path", "it is no path, it begins with /"));
            }
            if http.config.enabled {
                let message = "the config is not shown over HTTP, use `slipring print-config`";
                problems.push(Problem::at("http.config.enabled", message));
            }
        }
        if self.use_v2 && self.grpc.is_on() {
            problems.push(Problem::at("grpc", "health checks over gRPC are not available, use http"));
        }
        problems
    }

    fn warnings(&self) -> Vec<Problem> {
        let mut warnings = Vec::new();
        if self.check_collector_pipeline.enabled {
            let message = "has no effect, as in the collector; `/status` tells how each exporter is";
            warnings.push(Problem::at("check_collector_pipeline.enabled", message));
        }
        if !self.use_v2 {
            for (key, given) in [("http", self.http.is_on()), ("component_health", self.component_health.is_on())] {
                if given {
                    warnings.push(Problem::at(key, "has no effect without use_v2: true"));
                }
            }
        }
        warnings
    }
}

impl ExtensionFactory for Factory {
    const TYPES: &'static [&'static str] = &["health_check"];
    const ABOUT: &'static str = "Tells probes whether the process is ready.";
    const README: &'static str = include_str!("README.md");
    type Config = Config;

    fn build(config: Config, context: Context) -> Result<Arc<dyn Extension>, Error> {
        let health = context.health.clone();
        if !config.use_v2 {
            let (path, body) = (config.path, config.response_body);
            let show = move |request: &request::Parts| match asks_for(request, &path) {
                true => simple(&health, &body),
                false => nothing_here(&path),
            };
            return Ok(Arc::new(HealthCheck(Site::new(&config.server, ENDPOINT, Box::new(show), context)?)));
        }
        let http = config.http.into_option().unwrap_or_default();
        let (status, counts) = (http.status, config.component_health.into_option());
        let show = move |request: &request::Parts| {
            if !status.enabled || !asks_for(request, &status.path) {
                return nothing_here(&status.path);
            }
            let mut answer = health.answer(request.uri.query());
            if answer.status() == StatusCode::OK && counts.as_ref().is_some_and(|counts| counts.is_unhealthy(&health)) {
                *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            }
            answer
        };
        Ok(Arc::new(HealthCheck(Site::new(&http.server, ENDPOINT, Box::new(show), context)?)))
    }
}

impl ComponentHealth {
    fn is_unhealthy(&self, health: &Health) -> bool {
        let now = health.clock().now();
        health.all().iter().any(|status| match status.state {
            State::Permanent | State::Fatal => self.include_permanent_errors,
            State::Recoverable => {
                self.include_recoverable_errors && now.saturating_sub(status.since) > self.recovery_duration.get()
            }
            _ => false,
        })
    }
}

/// The answer of the first version.
fn simple(health: &Health, body: &ResponseBody) -> Response<Bytes> {
    let status = health.http_status();
    let is_well = status == StatusCode::OK;
    let given = if is_well { &body.healthy } else { &body.unhealthy };
    if !given.is_empty() {
        return page(status, TEXT, given.clone());
    }
    let text = if is_well {
        let (_, since) = health.process();
        let uptime = health.clock().now().saturating_sub(since);
        json!({ "status": "Server available", "upSince": rfc3339(since), "uptime": in_go(uptime) })
    } else {
        json!({ "status": "Server not available", "upSince": "0001-01-01T00:00:00Z", "uptime": "" })
    };
    page(status, JSON, text.to_string())
}

fn nothing_here(path: &str) -> Response<Bytes> {
    page(StatusCode::NOT_FOUND, TEXT, format!("nothing here; the state is at {path}\n"))
}

/// A time as Go writes it: `1h2m3.5s`.
fn in_go(time: Duration) -> String {
    let (hours, minutes) = (time.as_secs() / 3600, time.as_secs() / 60 % 60);
    let seconds = (time.as_millis() % 60_000) as f64 / 1000.0;
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

struct HealthCheck(Site);

impl Extension for HealthCheck {
    fn start(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.0.start())
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.0.close();
        Box::pin(async {})
    }
}

#[cfg(test)]
mod tests;
