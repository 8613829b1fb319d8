//! The page `/gpus` of the own-metrics endpoint: who uses which GPU, and why a label is missing.

use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, request};
use pipeline::telemetry::{PageGuard, Pages};

use super::labels::Identity;
use super::owners::Owner;
use super::users::Users;

const PATH: &str = "/gpus";

/// The page of one receiver.
#[derive(Clone, Default)]
pub struct Page {
    text: Arc<Mutex<String>>,
}

impl Page {
    /// Shows it as long as the guard lives.
    pub fn show(&self, pages: &Pages) -> PageGuard {
        let text = self.text.clone();
        pages.add(
            PATH,
            Arc::new(move |_: &request::Parts| {
                let body = text.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let mut response = Response::new(Bytes::from(body));
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
                response
            }),
        )
    }

    /// What it shows from now on.
    pub fn set(&self, gpus: &[(Identity, Users)]) {
        *self.text.lock().unwrap_or_else(PoisonError::into_inner) = text(gpus);
    }
}

/// A paragraph for each device.
fn text(gpus: &[(Identity, Users)]) -> String {
    let mut out = String::new();
    for (identity, users) in gpus {
        let _ = writeln!(out, "gpu {} {} {}", identity.index, identity.id(), identity.model);
        for owner in &users.owners {
            let _ = writeln!(out, "  {}", labels(owner));
        }
        let reasons =
            [("pod", &users.no_pod), ("Dynamo's labels", &users.no_dynamo), ("labels of the pod", &users.no_labels)];
        for (what, why) in reasons {
            if let Some(why) = why {
                let _ = writeln!(out, "  no {what}: {why}");
            }
        }
    }
    out
}

fn labels(owner: &Owner) -> String {
    owner.dcgm().map(|(name, value)| format!("{name}={value:?}")).collect::<Vec<_>>().join(" ")
}
