//! An exposition endpoint: the latest point of every series, for whoever scrapes it. Series that get no points for a while
//! go, and there is a bound to what is kept.

mod config;
mod convert;
mod escape;
mod format;
pub(crate) mod fuzz;
mod open_metrics;
mod protobuf;
mod store;
mod text;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::header::{ACCEPT, ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use pipeline::delivery;
use pipeline::net::body::Chunks;
use pipeline::net::compress::{Coding, Level, compress};
use pipeline::net::config::header_map;
use pipeline::net::http::{Admission, Handler, Incoming, ServerOptions, serve};
use pipeline::{Batch, BoxFuture, Context, Error, Exported, Exporter, ExporterFactory, Receipt, Signal};
use tokio_util::sync::CancellationToken;

pub use config::Config;
use format::Format;
use store::{Limits, Store};

use crate::translation::Translation;

/// `prometheus`.
pub struct Factory;

impl ExporterFactory for Factory {
    const TYPES: &'static [&'static str] = &["prometheus"];
    const SIGNALS: &'static [Signal] = &[Signal::Metrics];
    const ABOUT: &'static str = "Shows the latest metrics to whoever scrapes them.";
    const README: &'static str = include_str!("README.md");
    type Config = Config;

    fn build(config: Config, context: Context) -> Result<Box<dyn Exporter>, Error> {
        let translation = config.translation();
        let shared = Arc::new(Shared {
            store: context.shared.of(Kept::default).store(&translation),
            limits: config.limits(),
            translation,
            open_metrics: config.enable_open_metrics,
            timestamps: config.send_timestamps,
            headers: header_map(&config.server.response_headers),
        });
        let options = config.server.options(&context.doors.files)?;
        let admission = config.server.admission(&context)?;
        Ok(Box::new(Exposition {
            shared,
            options,
            admission,
            endpoint: config.server.endpoint,
            context,
            stop: CancellationToken::new(),
        }))
    }

    fn delivery() -> delivery::Settings {
        delivery::Settings::direct()
    }
}

/// What outlives an exporter that a reload changes.
#[derive(Default)]
struct Kept {
    latest: Mutex<Option<(Translation, Arc<Mutex<Store>>)>>,
}

impl Kept {
    /// The series of the exporter before, where they are named and labelled as these will be; else none yet.
    fn store(&self, translation: &Translation) -> Arc<Mutex<Store>> {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, store)) = latest.as_ref().filter(|(named, _)| named == translation) {
            return store.clone();
        }
        let store = Arc::<Mutex<Store>>::default();
        *latest = Some((translation.clone(), store.clone()));
        store
    }
}

/// The exporter.
struct Exposition {
    shared: Arc<Shared>,
    options: ServerOptions,
    admission: Admission,
    endpoint: String,
    context: Context,
    stop: CancellationToken,
}

impl Exporter for Exposition {
    fn start(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            let listening = self.context.doors.net.listen(&self.endpoint).await;
            let listener =
                listening.map_err(|error| format!("endpoint: cannot listen on {}: {error}", self.endpoint))?;
            tracing::info!(component = %self.context.id, "metrics at {}/metrics", listener.local_address());
            let (tasks, stop) = (self.context.tasks.clone(), self.stop.clone());
            let handler = self.admission.before(self.shared.clone());
            self.context.spawn(serve(listener, self.options.clone(), handler, tasks, stop));
            Ok(())
        })
    }

    fn export<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Exported> {
        Box::pin(async {
            let dropped = convert::take(&self.shared.translation, batch, &mut self.shared.store())?;
            Ok(Receipt { dropped: dropped.into_counts() })
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.stop.cancel();
        Box::pin(async {})
    }
}

struct Shared {
    store: Arc<Mutex<Store>>,
    limits: Limits,
    translation: Translation,
    open_metrics: bool,
    timestamps: bool,
    headers: HeaderMap,
}

impl Handler for Shared {
    fn handle(self: Arc<Self>, request: Request<Incoming>, _: Arc<str>) -> BoxFuture<'static, Response<Chunks>> {
        let (head, _) = request.into_parts();
        Box::pin(async move {
            let mut answer = self.answer(head.uri.path(), &head.method, &head.headers);
            if head.method == Method::HEAD {
                *answer.body_mut() = Vec::new();
            }
            answer.headers_mut().extend(self.headers.clone());
            answer.map(Chunks::from)
        })
    }
}

impl Shared {
    fn store(&self) -> MutexGuard<'_, Store> {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        store.limit(self.limits);
        store
    }

    fn answer(&self, path: &str, method: &Method, headers: &HeaderMap) -> Response<Vec<u8>> {
        if path != "/metrics" {
            return said(StatusCode::NOT_FOUND, "nothing here; there is /metrics\n");
        }
        if method != Method::GET && method != Method::HEAD {
            let mut answer = said(StatusCode::METHOD_NOT_ALLOWED, "use GET\n");
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        let accept = list(headers, ACCEPT);
        let format = Format::negotiate(&accept, self.open_metrics);
        let body = format.write(&mut self.store(), self.timestamps);
        let mut answer = Response::new(body);
        if format::accepts_gzip(&list(headers, ACCEPT_ENCODING))
            && let Ok(zipped) = compress(Coding::Gzip, Level::default(), answer.body())
        {
            *answer.body_mut() = zipped;
            answer.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if let Ok(kind) = HeaderValue::from_str(&format.content_type()) {
            answer.headers_mut().insert(CONTENT_TYPE, kind);
        }
        answer.headers_mut().insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
        answer
    }
}

/// All values of a header that is a list.
fn list(headers: &HeaderMap, name: http::HeaderName) -> String {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect::<Vec<_>>().join(",")
}

fn said(status: StatusCode, what: &str) -> Response<Vec<u8>> {
    let mut answer = Response::new(what.as_bytes().to_vec());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}
