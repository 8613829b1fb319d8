//! One request to a target: headers as Prometheus sends them, credentials, redirects, gzip, limits, and which format the
//! answer is in.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use pipeline::component::{Context, Error};
use pipeline::doors::Files;
use pipeline::net::compress::{self, Coding};
use pipeline::net::http::{Client, ClientOptions, Request, SendError};
use pipeline::net::origin::parse_url;

use super::config::{Credentials, Job, Part};
use super::exposition::Format;

/// Redirects that are followed, as Go's client does.
const MOST_REDIRECTS: usize = 10;
/// The longest secret in a file.
const MOST_SECRET_BYTES: usize = 64 << 10;

const OWN_USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("Slipring/", env!("CARGO_PKG_VERSION")));

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
    client: Client,
    files: Arc<dyn Files>,
    headers: HeaderMap,
    header_files: Vec<(HeaderName, String)>,
    credentials: Credentials,
    redirects: usize,
    fallback: Option<Format>,
    /// The most bytes that are read, compressed or not.
    most: usize,
    /// Whether `most` itself is too many (`body_size_limit`).
    strict: bool,
}

impl Fetcher {
    /// The fetcher of a job.
    ///
    /// # Errors
    /// What is wrong with certificates.
    pub fn new(job: &Job, context: &Context) -> Result<Fetcher, Error> {
        let options = ClientOptions {
            tls: job.http.tls_config.client(),
            offer_http2: job.http.enable_http2,
            ..ClientOptions::default()
        };
        let mut headers = job.http.headers();
        headers.insert(ACCEPT, HeaderValue::try_from(&job.accept)?);
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(if job.compression { "gzip" } else { "identity" }));
        headers.insert(USER_AGENT, OWN_USER_AGENT);
        Ok(Fetcher {
            client: Client::new(options, context)?,
            files: context.doors.files.clone(),
            headers,
            header_files: job.http.header_files(),
            credentials: job.http.credentials(),
            redirects: if job.http.follow_redirects { MOST_REDIRECTS } else { 0 },
            fallback: job.fallback,
            most: job.most_body_bytes,
            strict: job.body_size_limit > 0,
        })
    }

    /// Asks once.
    ///
    /// # Errors
    /// Why there is nothing to parse.
    pub async fn fetch(&self, url: &str, timeout: Duration) -> Result<Body, Failed> {
        let mut request = Request::get(parse_url(url).map_err(Failed::Reason)?);
        request.headers = self.request_headers(timeout).await.map_err(Failed::Reason)?;
        request.timeout = Some(timeout);
        request.redirects = self.redirects;
        request.most_answer_bytes = self.most;
        let response = self.client.send(request).await.map_err(|error| match error {
            SendError::TooLarge { .. } => Failed::TooLarge(self.most),
            other => Failed::Reason(other.to_string()),
        })?;
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

    async fn request_headers(&self, timeout: Duration) -> Result<HeaderMap, String> {
        let mut headers = self.headers.clone();
        let seconds = HeaderValue::try_from(timeout.as_secs_f64().to_string()).map_err(|e| e.to_string())?;
        headers.insert(HeaderName::from_static("x-prometheus-scrape-timeout-seconds"), seconds);
        for (name, file) in &self.header_files {
            headers.append(name, secret(&self.read(file).await?)?);
        }
        let authorization = match &self.credentials {
            Credentials::Absent => return Ok(headers),
            Credentials::Basic(user, password) => {
                let pair = format!("{}:{}", self.part(user).await?, self.part(password).await?);
                format!("Basic {}", BASE64_STANDARD.encode(pair))
            }
            Credentials::Token(word, token) => format!("{word} {}", self.part(token).await?),
        };
        headers.insert(AUTHORIZATION, secret(&authorization)?);
        Ok(headers)
    }

    async fn part(&self, part: &Part) -> Result<String, String> {
        match part {
            Part::Given(text) => Ok(text.0.clone()),
            Part::File(file) => self.read(file).await,
        }
    }

    /// What a file holds now, without blanks around it.
    async fn read(&self, file: &str) -> Result<String, String> {
        let (files, path) = (self.files.clone(), PathBuf::from(file));
        let reading = tokio::task::spawn_blocking(move || files.read_small(&path, MOST_SECRET_BYTES));
        let bytes = reading.await.map_err(|error| error.to_string())?;
        let bytes = bytes.map_err(|error| format!("cannot read {file}: {error}"))?;
        let text = String::from_utf8(bytes).map_err(|_| format!("{file} is not UTF-8"))?;
        Ok(text.trim().to_owned())
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

fn secret(text: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::try_from(text).map_err(|_| "a secret has characters that a header cannot have")?;
    value.set_sensitive(true);
    Ok(value)
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
