//! The targets of all receivers of the process, on the pages of the own-metrics endpoint.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Response, StatusCode, request};
use percent_encoding::percent_decode_str;
use pipeline::doors::Clock;
use pipeline::telemetry::{PageGuard, Pages};

use super::{JobStatus, Targets, html, json};

/// Where the page for people is.
const PAGE: &str = "/targets";
/// Where the page for programs is.
const API: &str = "/api/v1/targets";

/// Every receiver that shows its targets, and the pages as long as there is one.
#[derive(Default)]
struct Board {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    receivers: Vec<(String, Targets)>,
    guards: Vec<PageGuard>,
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All jobs with their receivers, by name.
    fn jobs(&self) -> Vec<(String, JobStatus)> {
        let receivers = self.lock().receivers.clone();
        let mut jobs: Vec<(String, JobStatus)> = receivers
            .iter()
            .flat_map(|(id, targets)| targets.jobs().into_iter().map(move |job| (id.clone(), job)))
            .collect();
        jobs.sort_by(|(a_id, a), (b_id, b)| (&a.job, a_id).cmp(&(&b.job, b_id)));
        jobs
    }
}

/// Shows a receiver's targets as long as the answer lives.
#[must_use = "the targets are shown as long as this lives"]
pub struct Shown {
    board: Arc<Board>,
    targets: Targets,
}

/// Puts the targets of a receiver on the pages.
pub fn show(pages: &Pages, clock: Clock, id: &str, targets: &Targets) -> Shown {
    let board: Arc<Board> = pages.common();
    let mut state = board.lock();
    state.receivers.push((id.to_owned(), targets.clone()));
    if state.guards.is_empty() {
        let (page, api) = (Arc::downgrade(&board), Arc::downgrade(&board));
        let page = move |request: &request::Parts| {
            let jobs = page.upgrade().map(|board| board.jobs()).unwrap_or_default();
            answer(request, "text/html; charset=utf-8", || html::page(&jobs, &Asked::of(request), clock.now()))
        };
        let api = move |request: &request::Parts| {
            let jobs = api.upgrade().map(|board| board.jobs()).unwrap_or_default();
            answer(request, "application/json", || json::document(&jobs, &Asked::of(request)))
        };
        state.guards = vec![pages.add(PAGE, Arc::new(page)), pages.add(API, Arc::new(api))];
    }
    drop(state);
    Shown { board, targets: targets.clone() }
}

impl Drop for Shown {
    fn drop(&mut self) {
        let mut state = self.board.lock();
        state.receivers.retain(|(_, targets)| !targets.is(&self.targets));
        let guards = if state.receivers.is_empty() { std::mem::take(&mut state.guards) } else { Vec::new() };
        drop(state);
        drop(guards);
    }
}

/// What a request asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Those that are scraped.
    pub active: bool,
    /// Those that relabelling drops.
    pub dropped: bool,
    /// Only those whose last scrape failed.
    pub unhealthy: bool,
    /// Only those of this job.
    pub pool: Option<String>,
}

impl Asked {
    fn of(request: &request::Parts) -> Asked {
        let mut asked = Asked { active: true, dropped: true, unhealthy: false, pool: None };
        let query = request.uri.query().unwrap_or_default();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let value = percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy().into_owned();
            match name {
                "state" => {
                    let state = value.to_lowercase();
                    let any = matches!(state.as_str(), "" | "any");
                    (asked.active, asked.dropped) = (any || state == "active", any || state == "dropped");
                }
                "health" => asked.unhealthy = value == "down",
                "scrapePool" if !value.is_empty() => asked.pool = Some(value),
                _ => {}
            }
        }
        asked
    }

    /// Whether a job is asked for.
    pub fn wants(&self, job: &str) -> bool {
        self.pool.as_deref().is_none_or(|pool| pool == job)
    }
}

fn answer(request: &request::Parts, kind: &'static str, body: impl FnOnce() -> String) -> Response<Bytes> {
    let is_read = matches!(request.method, Method::GET | Method::HEAD);
    let mut response = Response::new(Bytes::from(if is_read { body() } else { "use GET\n".to_owned() }));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(if is_read { kind } else { "text/plain; charset=utf-8" }));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if !is_read {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    }
    response
}
