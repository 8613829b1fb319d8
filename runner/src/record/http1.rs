//! Reads the answers that a receiver got on an HTTP/1 connection, from the bytes of both directions.

use std::time::Duration;

use bytes::Bytes;
use pipeline::net::compress::{self, Coding};

use super::capture::{Event, Exchange, Incoming};

/// The most bytes that a compressed answer may become.
const MOST_BYTES: usize = 64 << 20;

/// The head of a message: its first line, and its headers with lower-case names.
struct Head<'a> {
    first: &'a str,
    headers: Vec<(String, &'a str)>,
}

impl Head<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }
}

/// Each complete answer as a page.
///
/// # Errors
/// What is not HTTP/1.
pub(super) fn pages(exchange: &Exchange) -> Result<Vec<Event>, String> {
    let mut out = Vec::new();
    let (mut asked, mut got) = (0, 0);
    while let Some((request, request_head)) = head(&exchange.written, asked)? {
        asked = request_head;
        asked += body_len(&request, &exchange.written[asked..]).map_or(0, |(_, len)| len);
        let Some((response, body_start)) = head(&exchange.read, got)? else { break };
        let Some((body, len)) = body_len(&response, &exchange.read[body_start..]) else { break };
        got = body_start + len;
        let path = request.first.split(' ').nth(1).unwrap_or("/").to_owned();
        let status = response.first.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        let body = match response.header("content-encoding").map(Coding::from_name) {
            None | Some(Ok(None)) => Bytes::from(body),
            Some(Ok(Some(coding))) => {
                Bytes::from(compress::decompress(coding, &body, MOST_BYTES).map_err(|error| error.to_string())?)
            }
            Some(Err(error)) => return Err(error.to_string()),
        };
        out.push(Event {
            at: time_of(&exchange.marks, got),
            receiver: exchange.receiver.clone(),
            what: Incoming::Page {
                address: exchange.address.clone(),
                path,
                status,
                content_type: response.header("content-type").unwrap_or_default().to_owned(),
                body,
            },
        });
    }
    Ok(out)
}

/// The head at a place, and where its body begins; `None` where it is not complete.
fn head(bytes: &[u8], from: usize) -> Result<Option<(Head<'_>, usize)>, String> {
    let rest = bytes.get(from..).unwrap_or_default();
    let Some(end) = rest.windows(4).position(|window| window == b"\r\n\r\n") else {
        let begins = rest.is_empty() || rest.iter().take(4).all(|b| b.is_ascii_uppercase() || b"/1.0 ".contains(b));
        return if begins { Ok(None) } else { Err("only HTTP/1 without TLS is recorded".to_owned()) };
    };
    let text = std::str::from_utf8(&rest[..end]).map_err(|_| "only HTTP/1 without TLS is recorded".to_owned())?;
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or_default();
    if !first.contains("HTTP/1.") {
        return Err("only HTTP/1 without TLS is recorded".to_owned());
    }
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim())).collect();
    Ok(Some((Head { first, headers }, from + end + 4)))
}

/// The body behind a head, and how many bytes it took; `None` where it is not complete.
fn body_len(head: &Head<'_>, rest: &[u8]) -> Option<(Vec<u8>, usize)> {
    if head.header("transfer-encoding").is_some_and(|value| value.contains("chunked")) {
        let (mut body, mut at) = (Vec::new(), 0);
        loop {
            let line = rest[at..].windows(2).position(|window| window == b"\r\n")?;
            let size = std::str::from_utf8(&rest[at..at + line]).ok()?;
            let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
            at += line + 2;
            body.extend_from_slice(rest.get(at..at.checked_add(size)?)?);
            at += size + 2;
            if size == 0 {
                return Some((body, at.min(rest.len())));
            }
        }
    }
    match head.header("content-length").map(str::parse::<usize>) {
        Some(Ok(len)) => Some((rest.get(..len)?.to_vec(), len)),
        _ if head.first.starts_with("HTTP/") => Some((rest.to_vec(), rest.len())),
        _ => Some((Vec::new(), 0)),
    }
}

/// When the byte before a place came.
fn time_of(marks: &[(usize, Duration)], place: usize) -> Duration {
    let mark = marks.iter().find(|(end, _)| *end >= place).or(marks.last());
    mark.map_or(Duration::ZERO, |(_, time)| *time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_with_their_paths_and_times() {
        let exchange = Exchange {
            receiver: "prometheus".to_owned(),
            address: "localhost:8000".to_owned(),
            written: b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\nGET /other?x=y HTTP/1.1\r\n\r\n".to_vec(),
            read: b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nup 1\n\
                    HTTP/1.1 503 No\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
                .to_vec(),
            marks: vec![(70, Duration::from_secs(1)), (1000, Duration::from_secs(2))],
        };
        let pages = pages(&exchange).unwrap();
        let shown: Vec<_> = pages
            .iter()
            .map(|event| match &event.what {
                Incoming::Page { path, status, body, .. } => {
                    format!("{:?} {path} {status} {:?}", event.at, String::from_utf8_lossy(body))
                }
                other => format!("{other:?}"),
            })
            .collect();
        assert_eq!(shown, ["1s /metrics 200 \"up 1\\n\"", "2s /other?x=y 503 \"abcde\""]);
    }

    #[test]
    fn what_is_not_http_says_so_and_what_is_not_complete_is_left_out() {
        let of = |written: &[u8], read: &[u8]| {
            pages(&Exchange { written: written.to_vec(), read: read.to_vec(), ..Exchange::default() })
        };
        assert!(of(b"\x16\x03\x01\x02\x00\x01", b"").unwrap_err().contains("TLS"));
        assert!(of(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"").is_err());
        assert!(of(b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nup").unwrap().is_empty());
    }
}
