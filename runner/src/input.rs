//! What comes in, in each receiver's own language: OTLP requests, expositions of targets, lines of files, standard input;
//! and plain HTTP requests and files for receivers that are not known here.

mod read;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use pipeline::Signal;
use pipeline::config::GoDuration;
use pipeline::config::tree::At;
use pipeline::otlp::{json, text};
use serde::Deserialize;

pub(crate) use read::read;

/// One thing that comes in.
#[derive(Clone, Debug)]
pub struct Input {
    /// When, since the start.
    pub at: Duration,
    /// What.
    pub what: What,
    /// Where it stands in the test file.
    pub place: At,
}

/// What comes in.
#[derive(Clone, Debug)]
pub enum What {
    /// An OTLP request.
    Otlp(Otlp),
    /// Any HTTP request.
    Http(Http),
    /// Something happens to a file.
    File {
        /// Its path.
        path: PathBuf,
        /// What happens.
        change: Change,
    },
    /// Bytes on standard input.
    Stdin(Bytes),
    /// The end of standard input.
    EndOfStdin,
    /// What the GPU driver plays from then on.
    Script(String),
}

/// An OTLP request to a receiver.
#[derive(Clone, Debug)]
pub struct Otlp {
    /// The receiver's id.
    pub receiver: String,
    /// What it is of.
    pub signal: Signal,
    /// The request.
    pub body: Body,
    /// How it is sent.
    pub over: Over,
    /// The path, where it is not the usual one.
    pub path: Option<String>,
    /// Further headers.
    pub headers: BTreeMap<String, String>,
    /// What the receiver should answer.
    pub answer: Answer,
}

/// A request of any kind.
#[derive(Clone, Debug)]
pub struct Http {
    /// Its method.
    pub method: String,
    /// Where to.
    pub url: String,
    /// Its headers.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: Bytes,
    /// What the receiver should answer.
    pub answer: Answer,
}

/// What a request holds.
#[derive(Clone, Debug)]
pub enum Body {
    /// The text form; `now` in it is a time.
    Text(String),
    /// JSON.
    Json(String),
    /// Protobuf.
    Proto(Bytes),
}

/// How an OTLP request is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Over {
    /// By gRPC where the receiver has it, else by HTTP.
    #[default]
    Any,
    /// By gRPC.
    Grpc,
    /// By HTTP, in protobuf.
    Http,
    /// By HTTP, in JSON.
    Json,
}

/// What a receiver should answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// That it took the request.
    Taken,
    /// That it did not.
    Refused,
    /// Anything.
    Any,
    /// This HTTP status, or this gRPC code by name.
    Code(String),
}

/// What happens to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// This is written at its end.
    Append(Bytes),
    /// It gets another name.
    Rename(PathBuf),
    /// It is copied, and then emptied.
    CopyTruncate(PathBuf),
    /// It is emptied.
    Truncate,
    /// It is removed.
    Remove,
}

impl Otlp {
    /// The serialized request, sent at that time (nanoseconds since 1970).
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn proto(&self, now: u64) -> Result<Bytes, String> {
        match &self.body {
            Body::Text(form) => text::parse(self.signal, &with_now(form, now)).map_err(|error| error.to_string()),
            Body::Json(form) => json::to_proto(self.signal, with_now_json(form, now).as_bytes())
                .map(Bytes::from)
                .map_err(|error| error.to_string()),
            Body::Proto(bytes) => Ok(bytes.clone()),
        }
    }

    /// The request in JSON.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn json(&self, now: u64) -> Result<Bytes, String> {
        match &self.body {
            Body::Json(form) => Ok(Bytes::from(with_now_json(form, now))),
            _ => json::from_proto(self.signal, &self.proto(now)?).map(Bytes::from).map_err(|error| error.to_string()),
        }
    }
}

/// `=now`, `=now-5s`, `=now+1ms` in the text form become times.
fn with_now(text: &str, now: u64) -> String {
    replaced(text, "=now", |c| c.is_whitespace() || c == ')', |time| format!("={time}"), now)
}

/// `"now-5s"` in JSON.
fn with_now_json(text: &str, now: u64) -> String {
    replaced(text, "\"now", |c| c == '"', |time| format!("\"{time}"), now)
}

fn replaced(text: &str, mark: &str, ends: impl Fn(char) -> bool, write: impl Fn(u64) -> String, now: u64) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(start) = rest.find(mark) {
        let (before, behind) = (&rest[..start], &rest[start + mark.len()..]);
        let end = behind.find(&ends).unwrap_or(behind.len());
        let offset = match behind[..end].split_at_checked(1) {
            None => Some(0),
            Some(("+", by)) => GoDuration::parse(by).ok().map(|by| i128::try_from(by.get().as_nanos()).unwrap_or(0)),
            Some(("-", by)) => GoDuration::parse(by).ok().map(|by| -i128::try_from(by.get().as_nanos()).unwrap_or(0)),
            Some(_) => None,
        };
        out.push_str(before);
        match offset {
            Some(offset) => {
                let time = (i128::from(now) + offset).max(1);
                out.push_str(&write(u64::try_from(time).unwrap_or(u64::MAX)));
                rest = &behind[end..];
            }
            None => {
                out.push_str(mark);
                rest = behind;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn now_is_a_time_and_moves_with_what_is_added() {
        let now = 10_000_000_000;
        assert_eq!(
            with_now("span a start=now-2s end=now {k=nowhere}", now),
            "span a start=8000000000 end=10000000000 {k=nowhere}"
        );
        assert_eq!(with_now("event (time=now+1ms)", now), "event (time=10001000000)");
        assert_eq!(
            with_now_json(r#"{"t":"now-1s","x":"now and then"}"#, now),
            r#"{"t":"9000000000","x":"now and then"}"#
        );
    }
}
