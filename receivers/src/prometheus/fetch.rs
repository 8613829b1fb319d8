//! One request to a target: headers as Prometheus sends them, gzip, limits, and which format the answer is in.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use pipeline::buffers::Buffers;
use pipeline::component::{Context, Error};
use pipeline::net::compress::{self, Coding};
use pipeline::net::http::{Request, SendError};
use pipeline::net::origin::parse_url;

use super::agent::{Agent, NoAnswer};
use super::config::Job;
use super::exposition::Format;

/// A body that can be parsed.
#[derive(Debug)]
pub struct Body {
    /// Uncompressed.
    pub bytes: Bytes,
    /// How to read it.
    pub format: Format,
}

/// Why there is no body.
#[derive(Debug, PartialEq, Eq)]
pub enum Failed {
    /// Any reason but the next.
    Reason(String),
    /// It has more bytes than the limit allows.
    TooLarge(usize),
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failed::Reason(reason) => f.write_str(reason),
            Failed::TooLarge(most) => {
                write!(f, "the body is larger than {most} bytes; body_size_limit sets how much it may have")
            }
        }
    }
}

/// Asks the targets of one job.
pub struct Fetcher {
    agent: Agent,
    headers: HeaderMap,
    fallback: Option<Format>,
    /// The most bytes that are read, compressed or not.
    most: usize,
    /// Whether `most` itself is too many (`body_size_limit`).
    strict: bool,
    /// For bodies.
    buffers: Buffers,
}

impl Fetcher {
    /// The fetcher of a job.
    ///
    /// # Errors
    /// What is wrong with certificates or proxies.
    pub fn new(job: &Job, context: &Context, buffers: &Buffers) -> Result<Fetcher, Error> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::try_from(&job.accept)?);
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(if job.compression { "gzip" } else { "identity" }));
        Ok(Fetcher {
            agent: Agent::new(&job.http, context)?,
            headers,
            fallback: job.fallback,
            most: job.most_body_bytes,
            strict: job.body_size_limit > 0,
            buffers: buffers.clone(),
        })
    }

    /// Asks once.
    ///
    /// # Errors
    /// Why there is nothing to parse.
    pub async fn fetch(&self, url: &str, timeout: Duration) -> Result<Body, Failed> {
        let mut request = Request::get(parse_url(url).map_err(Failed::Reason)?);
        request.headers = self.request_headers(timeout).map_err(Failed::Reason)?;
        request.timeout = Some(timeout);
        request.most_answer_bytes = self.most;
        request.buffers = self.buffers.clone();
        let response = self.agent.send(request).await.map_err(|error| match error {
            NoAnswer::Send(SendError::TooLarge { .. }) => Failed::TooLarge(self.most),
            other => Failed::Reason(other.to_string()),
        })?;
        if response.status == StatusCode::UNAUTHORIZED {
            self.agent.forget_token();
        }
        if response.status != StatusCode::OK {
            let reason = response.status.canonical_reason().unwrap_or_default();
            return Err(Failed::Reason(format!("the target answered {} {reason}", response.status.as_u16())));
        }
        let gzip = response.headers.get(CONTENT_ENCODING).is_some_and(|coding| coding == "gzip");
        let bytes = if gzip {
            let unpacked = compress::decompress(Coding::Gzip, &response.body, self.most);
            Bytes::from(unpacked.map_err(|error| match error {
                compress::Error::TooLarge { .. } => Failed::TooLarge(self.most),
                other => Failed::Reason(format!("the body is not gzip: {other}")),
            })?)
        } else {
            response.body
        };
        if self.strict && bytes.len() >= self.most {
            return Err(Failed::TooLarge(self.most));
        }
        if bytes.is_empty() {
            return Ok(Body { bytes, format: Format::Text });
        }
        let format = self.format(response.headers.get(CONTENT_TYPE)).map_err(Failed::Reason)?;
        Ok(Body { bytes, format })
    }

    fn request_headers(&self, timeout: Duration) -> Result<HeaderMap, String> {
        let mut headers = self.headers.clone();
        let seconds = HeaderValue::try_from(timeout.as_secs_f64().to_string()).map_err(|e| e.to_string())?;
        headers.insert(HeaderName::from_static("x-prometheus-scrape-timeout-seconds"), seconds);
        Ok(headers)
    }

    /// The format that the content type says, or the fallback.
    fn format(&self, header: Option<&HeaderValue>) -> Result<Format, String> {
        let written = header.and_then(|value| value.to_str().ok()).unwrap_or_default();
        match media_type(written).as_deref() {
            Some("application/openmetrics-text") => return Ok(Format::OpenMetrics),
            Some("text/plain") => return Ok(Format::Text),
            Some("application/vnd.google.protobuf") => return Ok(Format::Protobuf),
            _ => {}
        }
        let what =
            if written.is_empty() { "no content type".to_owned() } else { format!("the content type {written:?}") };
        self.fallback.ok_or_else(|| format!("the body has {what}, and there is no fallback_scrape_protocol"))
    }
}

/// The media type in lower case, if the whole header is well-formed.
fn media_type(header: &str) -> Option<String> {
    let is_token = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&b))
    };
    let mut pieces = header.split(';').map(str::trim);
    let kind = pieces.next()?.to_ascii_lowercase();
    let (main, sub) = kind.split_once('/')?;
    let params = pieces.filter(|piece| !piece.is_empty()).all(|piece| {
        piece.split_once('=').is_some_and(|(name, value)| {
            let quoted = value.len() >= 2 && value.starts_with('"') && value.ends_with('"');
            is_token(name.trim()) && (quoted || is_token(value.trim()))
        })
    });
    (is_token(main) && is_token(sub) && params).then_some(kind)
}

#[cfg(test)]
mod tests {
    use super::media_type;

    #[test]
    fn a_content_type_is_read_as_go_reads_it() {
        for (header, expected) in [
            ("text/plain; charset=utf-8", Some("text/plain")),
            ("Text/PLAIN;version=0.0.4 ; charset=utf-8;", Some("text/plain")),
            ("application/openmetrics-text; version=1.0.0; charset=\"utf-8\"", Some("application/openmetrics-text")),
            ("text/plain; charset", None),
            ("text", None),
            ("", None),
            ("text/pl ain", None),
        ] {
            assert_eq!(media_type(header).as_deref(), expected, "{header:?}");
        }
    }
}
