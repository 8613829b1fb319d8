//! Sends OTLP over HTTP. The batch's bytes are the body, compressed or not.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderValue, StatusCode, Uri};
use pipeline::delivery;
use pipeline::doors::Clock;
use pipeline::net::body::Chunks;
use pipeline::net::compress::{Coding, Level, compress};
use pipeline::net::config::Compression;
use pipeline::net::grpc::Status;
use pipeline::net::http::{Client, Request, Response};
use pipeline::net::origin::Shown;
use pipeline::net::retry_after;
use pipeline::{Batch, BoxFuture, Context, Error, Exported, Exporter, ExporterFactory, Reason, Refused, Signal};

use crate::http_push::code;
use crate::otlp_requests::{self, MOST_ANSWER, PartialSuccess};
use crate::requests::{Answer, Progress};

mod config;
mod json;

pub use config::{Config, Encoding};

/// Builds the exporter.
pub struct Factory;

impl ExporterFactory for Factory {
    const TYPES: &'static [&'static str] = &["otlp_http", "otlphttp"];
    const SIGNALS: &'static [Signal] = &Signal::ALL;
    const ABOUT: &'static str = "Sends OTLP over HTTP (protobuf or JSON).";
    const README: &'static str = include_str!("README.md");
    type Config = Config;

    fn build(config: Config, context: Context) -> Result<Box<dyn Exporter>, Error> {
        let signal = context.signal.ok_or("an exporter is built for one signal")?;
        let coding = config.client.compression.unwrap_or(Compression::Gzip).coding();
        let level = config.client.compression_params.level;
        Ok(Box::new(OtlpHttp {
            signal,
            url: config.url(signal)?,
            encoding: config.encoding,
            compression: coding.map(|c| Level::of(c, level).map(|level| (c, level))).transpose()?,
            client: config.client.client(&context)?,
            progress: Progress::default(),
            clock: context.doors.clock,
        }))
    }

    fn delivery() -> delivery::Settings {
        delivery::Settings { timeout: Duration::from_secs(30), ..delivery::Settings::default() }
    }
}

struct OtlpHttp {
    signal: Signal,
    url: Uri,
    encoding: Encoding,
    compression: Option<(Coding, Level)>,
    client: Client,
    progress: Progress,
    clock: Clock,
}

impl Exporter for OtlpHttp {
    fn export<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Exported> {
        Box::pin(otlp_requests::export(batch, &self.progress, self))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.client.close();
        Box::pin(async {})
    }
}

impl otlp_requests::Send for OtlpHttp {
    async fn send(&self, parts: &[Bytes], items: usize) -> Answer {
        let request = match self.request(parts) {
            Ok(request) => request,
            Err(reason) => return Answer::Reject(reason),
        };
        match self.client.send(request).await {
            Ok(response) => self.answer(&response, items),
            Err(error) => match error.refused() {
                Refused::Retry { after, reason } => Answer::Retry { after, reason, heavy: false },
                Refused::Reject { reason } => Answer::Reject(reason),
            },
        }
    }
}

impl OtlpHttp {
    fn request(&self, parts: &[Bytes]) -> Result<Request, Reason> {
        let (body, kind) = match self.encoding {
            Encoding::Proto => (parts.iter().cloned().collect::<Chunks>(), "application/x-protobuf"),
            Encoding::Json => (Chunks::from(json::request(self.signal, parts)?), "application/json"),
        };
        let mut request = Request::post(self.url.clone(), body);
        request.headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        if let Some((coding, level)) = self.compression {
            let packed = compress(coding, level, &std::mem::take(&mut request.body).into_bytes());
            let packed = packed.map_err(|e| Reason::new("compress", format!("cannot compress: {e}")))?;
            request.body = Chunks::from(packed);
            request.headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
        }
        request.most_answer_bytes = MOST_ANSWER;
        request.cut_answer = true;
        Ok(request)
    }

    /// By the rules of the OTLP specification: 429, 502, 503 and 504 may be tried again, nothing else.
    fn answer(&self, response: &Response, items: usize) -> Answer {
        let status = response.status;
        let body = response.decoded(MOST_ANSWER).unwrap_or_default();
        if status.is_success() {
            // An answer that cannot be read is still a success.
            let partial = if is_json(response) {
                json::partial_success(&body)
            } else {
                PartialSuccess::from_proto(&body).unwrap_or_default()
            };
            return partial.answer(self.signal, items);
        }
        let said = self.said(response, &body);
        let words = said.as_ref().map_or_else(|| response.excerpt(), |status| status.message.clone());
        let words = if words.is_empty() { "no explanation".to_owned() } else { words };
        let reason = Reason::new(code(status), format!("{} answered {status}: {words}", Shown(&self.url)));
        match status {
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => {
                let after = retry_after::of(&response.headers, self.clock.now());
                let after = after.or_else(|| said?.retry_after).filter(|wait| !wait.is_zero());
                Answer::Retry { after, reason, heavy: false }
            }
            _ => Answer::Reject(reason),
        }
    }

    /// The `google.rpc.Status` of a failure, if it has one.
    fn said(&self, response: &Response, body: &[u8]) -> Option<Status> {
        if body.is_empty() {
            None
        } else if is_json(response) {
            json::status(body)
        } else if content_type(response).eq_ignore_ascii_case("application/x-protobuf") {
            Status::from_proto(body).ok()
        } else {
            None
        }
    }
}

fn is_json(response: &Response) -> bool {
    content_type(response).eq_ignore_ascii_case("application/json")
}

fn content_type(response: &Response) -> &str {
    let kind = response.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests;
