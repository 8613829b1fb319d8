//! The running process takes on another config: on SIGHUP, when a file of it changes, on `POST /-/reload`. One that is
//! wrong, or does not start, changes nothing, and it is said why.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Response, StatusCode, request};
use pipeline::BoxFuture;
use pipeline::config::report::Style;
use pipeline::config::{Format, Loaded, Portrait, Redact, SealingKey, print};
use pipeline::doors::Clock;
use pipeline::telemetry::{Meter, Page};
use prometheus::IntGauge;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

/// Somebody wants a reload.
pub struct Wish {
    /// Who.
    pub why: &'static str,
    /// Told what came of it.
    answer: Option<oneshot::Sender<Outcome>>,
}

/// What came of a reload: what has changed, or what is wrong.
pub type Outcome = Result<String, String>;

impl Wish {
    /// Of one who does not wait.
    pub fn of(why: &'static str) -> Wish {
        Wish { why, answer: None }
    }

    /// Says what came of it.
    pub fn answer(self, outcome: &Outcome) {
        if let Some(answer) = self.answer {
            let _ = answer.send(outcome.clone());
        }
    }
}

/// Wants a reload, and waits until it is done.
pub async fn wish(wishes: &mpsc::Sender<Wish>, why: &'static str) -> Outcome {
    let (answer, outcome) = oneshot::channel();
    let stopping = || "the process is stopping".to_owned();
    wishes.send(Wish { why, answer: Some(answer) }).await.map_err(|_| stopping())?;
    outcome.await.unwrap_or_else(|_| Err(stopping()))
}

/// `/-/reload`, as Prometheus has it.
pub struct ReloadPage {
    /// Where wishes go; nowhere unless `--web.enable-lifecycle` is given.
    pub wishes: Option<mpsc::Sender<Wish>>,
}

impl Page for ReloadPage {
    fn show(&self, _: &request::Parts) -> Response<Bytes> {
        if self.wishes.is_none() {
            let why = "Lifecycle API is not enabled: start with --web.enable-lifecycle, or send SIGHUP\n";
            return said(StatusCode::FORBIDDEN, why);
        }
        let mut answer = said(StatusCode::METHOD_NOT_ALLOWED, "Only POST or PUT requests allowed\n");
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("POST, PUT"));
        answer
    }

    fn answer<'a>(&'a self, request: &'a request::Parts) -> BoxFuture<'a, Response<Bytes>> {
        Box::pin(async move {
            match &self.wishes {
                Some(wishes) if [Method::POST, Method::PUT].contains(&request.method) => {
                    match wish(wishes, "POST /-/reload").await {
                        Ok(changes) => said(StatusCode::OK, &format!("{changes}\n")),
                        Err(problems) => {
                            let problems = format!("failed to reload config: {problems}\n");
                            said(StatusCode::INTERNAL_SERVER_ERROR, &problems)
                        }
                    }
                }
                _ => self.show(request),
            }
        })
    }
}

fn said(status: StatusCode, text: &str) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from(text.to_owned()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

/// `/api/v1/status/config`: the config that runs, without its secrets. Clone is another handle on it.
#[derive(Clone)]
pub struct ConfigPage {
    key: Arc<SealingKey>,
    text: Arc<Mutex<Bytes>>,
}

impl ConfigPage {
    /// Shows nothing yet.
    pub fn new(key: SealingKey) -> ConfigPage {
        ConfigPage { key: Arc::new(key), text: Arc::default() }
    }

    /// Shows that config from now on.
    pub fn set(&self, loaded: &Loaded) {
        let yaml = print(&loaded.tree, Format::Yaml, Redact::Secrets(&loaded.secrets));
        let portrait = Portrait::of(loaded, &self.key);
        let answer = json!({"status": "success", "data": {"yaml": yaml, "slipring": portrait}});
        *self.text.lock().unwrap_or_else(PoisonError::into_inner) = Bytes::from(answer.to_string());
    }
}

impl Page for ConfigPage {
    fn show(&self, _: &request::Parts) -> Response<Bytes> {
        let mut answer = Response::new(self.text.lock().unwrap_or_else(PoisonError::into_inner).clone());
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        answer
    }
}

/// How reloads went, as own metrics.
pub struct Record {
    successful: IntGauge,
    at: IntGauge,
    clock: Clock,
}

impl Record {
    pub fn new(meter: &Meter, clock: Clock) -> Record {
        let gauge = |name: &str, help: &str| meter.gauge(name, help, &[]);
        Record {
            successful: gauge(
                "slipring_config_last_reload_successful",
                "Whether the last config that was to be loaded is the one that runs.",
            ),
            at: gauge(
                "slipring_config_last_reload_success_timestamp_seconds",
                "When the config that runs was loaded, in seconds since 1970.",
            ),
            clock,
        }
    }

    /// A config runs from now on.
    pub fn loaded(&self) {
        self.successful.set(1);
        self.at.set(i64::try_from(self.clock.now().as_secs()).unwrap_or(i64::MAX));
    }

    /// A config was not taken on.
    pub fn failed(&self) {
        self.successful.set(0);
    }
}

/// What is wrong with a config, as text.
pub fn problems(loaded: &Loaded) -> String {
    loaded.report.render(Style::Plain).trim_end().to_owned()
}
