//! One HTTP/1.0 request a connection: enough to drive peers, and small enough to trust.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// `GET path` at `host:port`: the status and the body as text.
pub fn get(address: &str, path: &str) -> Result<(u16, String), String> {
    request(address, &format!("GET {path} HTTP/1.0\r\nHost: {address}\r\nAccept: */*\r\n\r\n"), &[])
}

/// `POST path` at `host:port` with these headers (`Name: value` lines): the status and the body as text.
pub fn post(address: &str, path: &str, headers: &[&str], body: &[u8]) -> Result<(u16, String), String> {
    let headers: String = headers.iter().flat_map(|header| [header, "\r\n"]).collect();
    let head = format!("POST {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
    request(address, &head, body)
}

/// The same, the answer's head in its own words.
pub fn post_head(address: &str, path: &str, headers: &[&str], body: &[u8]) -> Result<String, String> {
    let headers: String = headers.iter().flat_map(|header| [header, "\r\n"]).collect();
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
    );
    answer(address, &head, body).map(|(head, _)| head)
}

fn request(address: &str, head: &str, body: &[u8]) -> Result<(u16, String), String> {
    let (head, body) = answer(address, head, body)?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or("an answer without a status")?;
    Ok((status, body))
}

fn answer(address: &str, head: &str, body: &[u8]) -> Result<(String, String), String> {
    let ask = || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = ask().map_err(|error| format!("{address}: {error}"))?;
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").ok_or("an answer without an end of its headers")?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((text(&answer[..end]), text(&answer[end + 4..])))
}

/// Percent-encodes a query parameter.
#[cfg(feature = "peers")]
pub fn encode(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}
