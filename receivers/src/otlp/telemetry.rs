//! Requests that are refused before or by a pipeline, which only this door sees as requests.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pipeline::Context;
use pipeline::net::grpc::Status;
use pipeline::telemetry::Meter;
use tokio::time::Instant;

const NAME: &str = "slipring_otlp_refused_requests_total";
const HELP: &str = "OTLP requests that were answered with an error, by transport and gRPC code.";
/// How often one transport's refusals are logged at most.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// Counts refused requests by code, and logs at most one a minute with its reason.
pub(super) struct Refusals {
    meter: Meter,
    component: String,
    transport: &'static str,
    logged: Mutex<Option<Instant>>,
}

impl Refusals {
    pub(super) fn new(context: &Context, transport: &'static str) -> Refusals {
        let component = context.id.to_string();
        Refusals { meter: context.meter.clone(), component, transport, logged: Mutex::default() }
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
