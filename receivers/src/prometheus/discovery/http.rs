//! `http_sd_configs`: an endpoint that lists groups of targets as JSON is asked once in a while.

use std::collections::BTreeMap;

use ::http::header::{ACCEPT, CONTENT_TYPE};
use ::http::{HeaderName, HeaderValue, StatusCode};
use pipeline::component::{Context, Error};
use pipeline::net::http::Request;
use pipeline::net::origin::parse_url;
use tokio::time::{MissedTickBehavior, interval};

use super::documents::read_json;
use super::{Finder, Found};
use crate::prometheus::agent::Agent;
use crate::prometheus::config::HttpDiscovery;

/// The longest list of targets.
const MOST_ANSWER_BYTES: usize = 64 << 20;

/// What is asked, and how.
pub(super) struct Endpoint {
    config: HttpDiscovery,
    agent: Agent,
}

impl Endpoint {
    /// # Errors
    /// What is wrong with certificates or proxies.
    pub(super) fn new(config: &HttpDiscovery, context: &Context) -> Result<Endpoint, Error> {
        Ok(Endpoint { config: config.clone(), agent: Agent::new(&config.http, context)? })
    }

    pub(super) async fn run(self, finder: Finder) {
        let mut ticks = interval(self.config.refresh_interval.get());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match self.ask().await {
                Ok(found) => {
                    finder.put_all(found);
                    finder.succeeded();
                }
                Err(error) => finder.failed(&error),
            }
        }
    }

    async fn ask(&self) -> Result<BTreeMap<String, Found>, String> {
        let every = self.config.refresh_interval.get();
        let mut request = Request::get(parse_url(&self.config.url)?);
        request.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let seconds = HeaderValue::try_from(every.as_secs_f64().to_string()).map_err(|error| error.to_string())?;
        request.headers.insert(HeaderName::from_static("x-prometheus-refresh-interval-seconds"), seconds);
        request.timeout = Some(every);
        request.most_answer_bytes = MOST_ANSWER_BYTES;
        let response = self.agent.send(request).await.map_err(|error| error.to_string())?;
        if response.status == StatusCode::UNAUTHORIZED {
            self.agent.forget_token();
        }
        if response.status != StatusCode::OK {
            return Err(format!("the endpoint answered {}", response.status));
        }
        let kind = response.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !is_json(kind) {
            return Err(format!("the answer has the content type {kind:?}, it must be application/json"));
        }
        let body = response.decoded(MOST_ANSWER_BYTES).map_err(|error| error.to_string())?;
        let groups = read_json(&body).map_err(|error| format!("the answer is no list of targets: {error}"))?;
        let place = |i: usize| format!("{}:{i:08}", self.config.url);
        let found = |group| Found::listed(group, &[("__meta_url", &self.config.url)]);
        Ok(groups.iter().enumerate().map(|(i, group)| (place(i), found(group))).collect())
    }
}

/// Whether a content type says JSON in UTF-8, and nothing more.
fn is_json(kind: &str) -> bool {
    let (media, parameter) = kind.split_once(';').unwrap_or((kind, ""));
    let charset = parameter.trim().to_ascii_lowercase();
    media.trim().eq_ignore_ascii_case("application/json")
        && matches!(charset.as_str(), "" | "charset=utf-8" | "charset=\"utf-8\"")
}
