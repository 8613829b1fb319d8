//! `/status`: the state of the process, of each pipeline and of each component, as JSON in the form of the collector's
//! health check.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode, request};
use serde_json::{Map, Value, json};

use super::{Health, Page, State, Status};
use crate::calendar::rfc3339;
use crate::plan::{Pipeline, PipelineId};

impl Health {
    /// Everything, or one pipeline (`traces/a`) alone; `None` where there is no such pipeline.
    pub fn json(&self, pipeline: Option<&str>) -> Option<Value> {
        let (all, pipelines) = (self.all(), self.pipelines());
        if let Some(name) = pipeline {
            let found = pipelines.iter().find(|pipeline| pipeline.id.to_string() == name)?;
            return Some(group(&of_pipeline(&all, found)));
        }
        let mut components = Map::new();
        let extensions: Vec<&Status> = all.iter().filter(|status| status.who.kind == super::Kind::Extension).collect();
        if !extensions.is_empty() {
            components.insert("extensions".to_owned(), group(&extensions));
        }
        for pipeline in &pipelines {
            components.insert(format!("pipeline:{}", pipeline.id), group(&of_pipeline(&all, pipeline)));
        }
        let (state, since) = self.process();
        let mut whole = shown(state, since, None);
        whole.insert("start_time".to_owned(), rfc3339(self.begun()).into());
        whole.insert("components".to_owned(), components.into());
        Some(whole.into())
    }

    /// The status of an answer that tells the state of the process: 200 while it is ready.
    pub fn http_status(&self) -> StatusCode {
        match self.process().0 {
            State::Ok | State::Recoverable | State::Permanent => StatusCode::OK,
            State::Starting | State::Stopping | State::Stopped => StatusCode::SERVICE_UNAVAILABLE,
            State::Fatal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The page.
    pub fn page(&self) -> Arc<dyn Page> {
        let health = self.clone();
        Arc::new(move |request: &request::Parts| health.answer(request.uri.query()))
    }

    /// The answer to a request with that query.
    pub fn answer(&self, query: Option<&str>) -> Response<Bytes> {
        let wanted = query.unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("pipeline="));
        let wanted = wanted.map(|name| percent_encoding::percent_decode_str(name).decode_utf8_lossy());
        let (status, body) = match self.json(wanted.as_deref()) {
            Some(body) => (self.http_status(), body),
            None => {
                let names: Vec<_> = self.pipelines().iter().map(|pipeline| pipeline.id.to_string()).collect();
                (StatusCode::NOT_FOUND, json!({ "error": "there is no such pipeline", "pipelines": names }))
            }
        };
        let mut answer = Response::new(Bytes::from(format!("{body:#}\n")));
        *answer.status_mut() = status;
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        answer
    }
}

fn of_pipeline<'a>(all: &'a [Status], pipeline: &Pipeline) -> Vec<&'a Status> {
    let PipelineId { signal, .. } = pipeline.id;
    let member = |status: &&Status| {
        let ids = match status.who.kind {
            super::Kind::Receiver => &pipeline.receivers,
            super::Kind::Processor => &pipeline.processors,
            super::Kind::Exporter => &pipeline.exporters,
            super::Kind::Extension => return false,
        };
        ids.contains(&status.who.id) && status.who.signal.is_none_or(|own| own == signal)
    };
    all.iter().filter(member).collect()
}

/// Components together: they are as the worst of them is.
fn group(members: &[&Status]) -> Value {
    let components: Map<String, Value> = members
        .iter()
        .map(|status| {
            let error = status.error.as_ref().map(|(text, at)| (&**text, *at));
            (format!("{}:{}", status.who.kind, status.who.id), shown(status.state, status.since, error).into())
        })
        .collect();
    let worst = members.iter().max_by_key(|status| status.state.weight());
    let (state, since) = worst.map_or((State::Ok, Duration::ZERO), |status| (status.state, status.since));
    let mut whole = shown(state, since, None);
    whole.insert("components".to_owned(), components.into());
    whole.into()
}

fn shown(state: State, since: Duration, error: Option<(&str, Duration)>) -> Map<String, Value> {
    let mut out = Map::new();
    out.insert("healthy".to_owned(), state.is_healthy().into());
    out.insert("status".to_owned(), state.name().into());
    out.insert("status_time".to_owned(), rfc3339(since).into());
    if let Some((text, at)) = error {
        // The collector's word for the error of now; ours for one that is over.
        let key = if state.is_healthy() { "last_error" } else { "error" };
        out.insert(key.to_owned(), text.into());
        out.insert(format!("{key}_time"), rfc3339(at).into());
    }
    out
}

impl State {
    /// Whether all is well.
    pub const fn is_healthy(self) -> bool {
        matches!(self, State::Ok | State::Starting | State::Stopping | State::Stopped)
    }

    /// The greatest is what a group is.
    const fn weight(self) -> u8 {
        match self {
            State::Stopped => 1,
            State::Ok => 0,
            State::Stopping => 2,
            State::Starting => 3,
            State::Recoverable => 4,
            State::Permanent => 5,
            State::Fatal => 6,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Signal;
    use crate::config::ComponentId;
    use crate::doors::Clock;
    use crate::telemetry::Kind;

    fn id(kind: &str) -> ComponentId {
        ComponentId::new(kind, "")
    }

    #[tokio::test(start_paused = true)]
    async fn a_pipeline_is_as_its_worst_component_is_and_errors_that_are_over_are_told_apart() {
        let health = Health::new(Clock::starting_at(Duration::from_secs(1_767_225_600)));
        health.describe(vec![Pipeline {
            id: PipelineId { signal: Signal::Traces, name: "a".to_owned() },
            receivers: vec![id("otlp")],
            processors: vec![],
            exporters: vec![id("debug")],
        }]);
        let receiver = health.reporter(Kind::Receiver, &id("otlp"), None);
        let exporter = health.reporter(Kind::Exporter, &id("debug"), Some(Signal::Traces));
        health.reporter(Kind::Exporter, &id("debug"), Some(Signal::Logs)).fatal("another's");
        health.reporter(Kind::Extension, &id("zpages"), None).ok();
        receiver.ok();
        exporter.recoverable("refused");
        let status = |pointer: &str| health.json(None).unwrap().pointer(pointer).cloned().unwrap_or_default();
        assert_eq!(health.http_status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(status("/status"), "StatusStarting");
        health.process_is(State::Ok);
        assert_eq!(status("/components/pipeline:traces~1a/status"), "StatusRecoverableError");
        assert_eq!(status("/components/pipeline:traces~1a/components/exporter:debug/error"), "refused");
        assert_eq!(status("/components/extensions/components/extension:zpages/healthy"), true);
        exporter.ok();
        assert_eq!(status("/components/pipeline:traces~1a/status"), "StatusOK");
        assert_eq!(status("/components/pipeline:traces~1a/components/exporter:debug/last_error"), "refused");
        assert_eq!(health.answer(None).status(), StatusCode::OK);
        let one = health.answer(Some("pipeline=traces%2Fa&verbose"));
        assert!(one.body().starts_with(b"{\n  \"components\": {\n    \"exporter:debug\""), "{:?}", one.body());
        assert_eq!(health.answer(Some("pipeline=logs")).status(), StatusCode::NOT_FOUND);
    }
}
