//! What answers to requests mean, in either version of remote write.

use http::{HeaderMap, StatusCode};
use pipeline::Reason;
use pipeline::net::http::Response;

use super::timeseries::Request;
use crate::dropped::Dropped;
use crate::http_push::Pusher;
use crate::requests::Answer;

/// What Prometheus 2.40 to 2.x says, as a 500, to a request with native histograms where the feature is off.
const NATIVE_DISABLED: &str = "native histograms are disabled";

const SAMPLES_WRITTEN: &str = "x-prometheus-remote-write-samples-written";
const HISTOGRAMS_WRITTEN: &str = "x-prometheus-remote-write-histograms-written";
const EXEMPLARS_WRITTEN: &str = "x-prometheus-remote-write-exemplars-written";

/// The answer to a request of 1.0.
pub fn of_1(pusher: &Pusher, response: &Response) -> Answer {
    match pusher.answer(response) {
        Answer::Reject(reason) if reason.code == "http_400" => Answer::Spoiled(reason),
        Answer::Retry { reason, .. } if reason.message.contains(NATIVE_DISABLED) => Answer::Spoiled(Reason::new(
            "native_histograms_disabled",
            format!("{reason}; set send_native_histograms: false, or enable the feature there"),
        )),
        answer => answer,
    }
}

/// The answer to a request of 2.0; `repeats` says whether a series is in it twice.
///
/// # Errors
/// Why the far side does not take 2.0 at all.
pub fn of_2(
    pusher: &Pusher,
    response: &Response,
    request: &Request,
    repeats: impl FnOnce() -> bool,
) -> Result<Answer, Reason> {
    if response.status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
        return Err(pusher.reason(response));
    }
    let sent = request.samples + request.histograms;
    let written = written(&response.headers);
    let missing = |written: usize| sent.saturating_sub(written).min(request.items);
    match written {
        None if response.status.is_success() => {
            let message = format!("it answered {} without saying what it has written", response.status);
            Err(Reason::new("not_version_2", message))
        }
        Some(written) if response.status.is_success() => {
            let mut dropped = Dropped::default();
            let message = format!("the far side answered {} but wrote {written} of {sent} samples", response.status);
            dropped.add_reason(Reason::new("not_written", message), missing(written));
            Ok(Answer::Taken(dropped))
        }
        // What it complains of, exemplars perhaps, is no sample.
        Some(written) if response.status == StatusCode::BAD_REQUEST && written >= sent => {
            Ok(Answer::Taken(Dropped::default()))
        }
        // It has stored the rest. Samples of a series that has later ones by now would be refused if they came again, so
        // that the search for what spoils the request would find the wrong ones.
        Some(written) if response.status == StatusCode::BAD_REQUEST && written > 0 && repeats() => {
            let mut dropped = Dropped::default();
            dropped.add_reason(pusher.reason(response), missing(written));
            Ok(Answer::Taken(dropped))
        }
        _ => Ok(of_1(pusher, response)),
    }
}

/// Samples and histograms that were written, where the far side says so.
fn written(headers: &HeaderMap) -> Option<usize> {
    let number = |name| headers.get(name).and_then(|value| value.to_str().ok()?.trim().parse::<usize>().ok());
    let (samples, histograms) = (number(SAMPLES_WRITTEN), number(HISTOGRAMS_WRITTEN));
    if samples.is_none() && histograms.is_none() && number(EXEMPLARS_WRITTEN).is_none() {
        return None;
    }
    Some(samples.unwrap_or(0).saturating_add(histograms.unwrap_or(0)))
}
