//! Requests that are refused before or by a pipeline, which only this door sees as requests.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pipeline::net::grpc::{Code, Status};
use pipeline::telemetry::{Drops, Meter};
use pipeline::{Context, Reason, Signal};
use tokio::time::Instant;

const NAME: &str = "slipring_otlp_refused_requests_total";
const HELP: &str = "OTLP requests that were answered with an error, by transport and gRPC code.";
/// How often one transport's refusals are logged at most.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// Counts refused requests by code, and logs at most one a minute with its reason. Those that no pipeline has seen are in
/// the drop ledger, too.
pub(super) struct Refusals {
    meter: Meter,
    drops: Drops,
    component: String,
    transport: &'static str,
    logged: Mutex<Option<Instant>>,
}

impl Refusals {
    pub(super) fn new(context: &Context, transport: &'static str) -> Refusals {
        let component = context.id.to_string();
        Refusals {
            meter: context.meter.clone(),
            drops: context.drops.clone(),
            component,
            transport,
            logged: Mutex::default(),
        }
    }

    /// Remembers a request for that signal that was refused before it was read: nobody knows what was in it.
    pub(super) fn unread(&self, signal: Signal, status: &Status, peer: &str) {
        let code = match status.code {
            Code::ResourceExhausted => "too_large",
            Code::Unavailable => "no_room",
            Code::DeadlineExceeded => "too_slow",
            Code::Unauthenticated | Code::PermissionDenied => "not_admitted",
            _ => "unreadable",
        };
        let message = format!("a request from {peer} over {}: {}", self.transport, status.message);
        self.drops.refused_unread(signal, &Reason::new(code, message));
    }

    pub(super) fn count(&self, status: &Status, peer: &str) {
        let code = status.code.name();
        let labels = [("receiver", self.component.as_str()), ("transport", self.transport), ("code", code)];
        self.meter.counter(NAME, HELP, &labels).inc();
        if self.may_log() {
            let (component, transport) = (self.component.as_str(), self.transport);
            tracing::warn!(component, transport, peer, code, "refused a request: {}", status.message);
        }
    }

    fn may_log(&self) -> bool {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let due = logged.is_none_or(|at| at.elapsed() >= LOG_EVERY);
        if due {
            *logged = Some(Instant::now());
        }
        due
    }
}
