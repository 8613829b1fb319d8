//! `/api/v1/drops`: the ledger's answer as JSON. Log lines are shown only where a question finds them.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode, request};
use serde::Serialize;

use super::Ledger;
use super::query::{self, Match, Query};
use super::ring::{Dropped, RING_BYTES, What};
use crate::calendar::rfc3339;
use crate::telemetry::Kind;

#[derive(Serialize)]
struct Answer {
    ring: RingState,
    /// Newest first.
    drops: Vec<Entry>,
    /// Further ones that the limit leaves off.
    left_off: usize,
    totals: Vec<Total>,
}

/// How far the answer reaches.
#[derive(Serialize)]
struct RingState {
    now: String,
    /// Everything from then on is here, what floods left out aside.
    reaches_back_to: String,
    bytes: usize,
    most_bytes: usize,
    /// Older entries that were pushed out.
    lost_entries: u64,
}

#[derive(Serialize)]
struct Entry {
    at: String,
    until: String,
    times: usize,
    what: &'static str,
    kind: &'static str,
    component: String,
    signal: &'static str,
    items: usize,
    /// Of how many, where nobody said which.
    of: Option<usize>,
    reason: &'static str,
    message: String,
    on_purpose: bool,
    /// Whether what was asked for is among it, or only may be.
    certain: bool,
    found: Vec<String>,
    trace_ids: Vec<String>,
    series: Vec<String>,
    log_lines: usize,
    /// Items of which nothing else is known.
    unknown_items: usize,
}

/// What was counted since the start.
#[derive(Serialize)]
struct Total {
    what: &'static str,
    kind: &'static str,
    component: String,
    signal: &'static str,
    reason: &'static str,
    items: u64,
    on_purpose: bool,
}

/// Ids and series of one entry that are shown.
const MOST_SHOWN: usize = 20;

/// Answers a request.
pub(in crate::telemetry) fn page(ledger: &Ledger, request: &request::Parts) -> Response<Bytes> {
    let (status, body) = match Query::read(request.uri.query().unwrap_or_default()) {
        Ok(query) => (StatusCode::OK, serde_json::to_vec(&answer(ledger, &query)).unwrap_or_default()),
        Err(error) => (StatusCode::BAD_REQUEST, serde_json::json!({"error": error}).to_string().into_bytes()),
    };
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn answer(ledger: &Ledger, query: &Query) -> Answer {
    let (now, ring) = (ledger.clock.now(), ledger.ring());
    let matching: Vec<_> = ring.entries().into_iter().rev().filter_map(|d| Some((d, query.matches(d, now)?))).collect();
    let left_off = matching.len().saturating_sub(query.limit);
    let drops = matching.into_iter().take(query.limit).map(|(dropped, found)| Entry::new(dropped, found)).collect();
    let totals = ring.totals().into_iter().map(|(key, lane)| Total {
        what: key.what.name(),
        kind: key.kind.map_or("", Kind::name),
        component: key.component.to_string(),
        signal: key.signal.name(),
        reason: key.code,
        items: lane.items,
        on_purpose: lane.on_purpose,
    });
    let (lost_entries, lost_until) = ring.lost();
    Answer {
        ring: RingState {
            now: rfc3339(now),
            reaches_back_to: rfc3339(lost_until.unwrap_or(ledger.began)),
            bytes: ring.bytes(),
            most_bytes: RING_BYTES,
            lost_entries,
        },
        drops,
        left_off,
        totals: totals.collect(),
    }
}

impl Entry {
    fn new(dropped: &Dropped, Match { certain, found }: Match) -> Entry {
        let evidence = &dropped.evidence;
        let series = evidence.series.iter().map(|s| query::shown(evidence, s, s.points.first().map(|p| &**p)));
        let known = !(evidence.traces.is_empty() && evidence.series.is_empty() && evidence.lines.is_empty());
        Entry {
            at: rfc3339(dropped.at),
            until: rfc3339(dropped.until),
            times: dropped.times,
            what: dropped.what.name(),
            kind: dropped.kind.map_or("", Kind::name),
            component: dropped.component.to_string(),
            signal: dropped.signal.name(),
            items: dropped.items,
            of: dropped.of,
            reason: dropped.code,
            message: dropped.message.clone(),
            on_purpose: dropped.on_purpose,
            certain: certain && (dropped.what == What::Dropped || !found.is_empty()),
            found,
            trace_ids: evidence.traces.iter().take(MOST_SHOWN).map(query::hex).collect(),
            series: series.take(MOST_SHOWN).collect(),
            log_lines: evidence.lines.len(),
            unknown_items: if known { evidence.left_out } else { dropped.items },
        }
    }
}
