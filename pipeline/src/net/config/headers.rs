//! `headers:` of clients and `response_headers:` of servers as HTTP has them.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::join;
use crate::config::{Headers, Problem};

/// Everything that cannot be a header.
pub fn check_headers(headers: &Headers, path: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, value) in headers.iter() {
        if HeaderName::try_from(name).is_err() {
            problems.push(Problem::at(join(path, name), format!("{name:?} cannot be a header name")));
        }
        if HeaderValue::try_from(value.reveal()).is_err() {
            problems.push(Problem::at(
                join(path, name),
                "the value has characters that a header cannot have, such as a line break at its end",
            ));
        }
    }
    problems
}

/// The headers, values marked sensitive; what cannot be one is left out (see [`check_headers`]).
pub fn header_map(headers: &Headers) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers.iter() {
        if let (Ok(name), Ok(mut value)) = (HeaderName::try_from(name), HeaderValue::try_from(value.reveal())) {
            value.set_sensitive(true);
            map.insert(name, value);
        }
    }
    map
}
