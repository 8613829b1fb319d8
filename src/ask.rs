//! Asks a running process over its own-metrics port. That speaks plain HTTP, so a request of a few lines is enough.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use pipeline::Error;
use serde_json::Value;

/// How long the answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most bytes of an answer.
const MOST_ANSWER: u64 = 64 << 20;

/// The body of the page at `path` of the process at `url` (`http://host:port`, 8888 where it names no port).
///
/// # Errors
/// Nobody answers there, or something else than 200.
pub fn page(url: &str, path: &str) -> Result<String, Error> {
    let place = url.strip_prefix("http://").ok_or("it must begin with http://, as own metrics are without TLS")?;
    let place = place.trim_end_matches('/');
    let (host, prefix) =
        place.split_once('/').map_or((place, String::new()), |(host, rest)| (host, format!("/{rest}")));
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let address = if has_port { host.to_owned() } else { format!("{host}:8888") };
    let head = format!("GET {prefix}{path} HTTP/1.0\r\nHost: {host}\r\n\r\n");
    let answer = answer(&address, &head)
        .map_err(|error| format!("{error}; is a slipring running there, with service.telemetry.metrics on?"))?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("that is no HTTP server")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status == "200" {
        return Ok(body.to_owned());
    }
    let said = serde_json::from_str::<Value>(body).ok();
    let error = said.as_ref().and_then(|said| said["error"].as_str()).unwrap_or(body.trim());
    Err(format!("it answered {status}: {error}").into())
}

fn answer(address: &str, request: &str) -> std::io::Result<String> {
    let mut last = std::io::Error::other("there is no such host");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(mut stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.write_all(request.as_bytes())?;
                let mut answer = Vec::new();
                stream.take(MOST_ANSWER).read_to_end(&mut answer)?;
                return Ok(String::from_utf8_lossy(&answer).into_owned());
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}
