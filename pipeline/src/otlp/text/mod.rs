//! A text form of requests for people and tests: one line for each envelope and item.
//!
//! ```text
//! resource {service.name="dynamo"}
//!   scope dynamo.http version="1.6.1"
//!     span http-request trace=4bf92f3577b34da6a3ce929d0e0e4736 id=1 kind=server start=1760000000s end=1760000001500ms status=error("boom") {http.status=200}
//!       event retry time=1760000001s {attempt=1}
//!       link trace=5 span=6
//! ```
//! ```text
//! resource {host.name="a"}
//!   scope none
//!     log time=1760000000s sev=info level="INFO" trace=7 "it works" {k="v"}
//!     log body={a=1 b=[true 2.0 none x"00ff"]}
//! ```
//! ```text
//! resource {job="vllm"}
//!   scope none
//!     metric requests_total sum cumulative monotonic unit="1"
//!       point time=5s 12 {a="b"}
//!     metric latency histogram delta
//!       point time=5s count=3 sum=1.5 counts=[1 2] bounds=[0.5] {a="b"}
//!         exemplar time=4s 0.7 trace=1 span=2
//! ```
//!
//! # Grammar
//!
//! ```text
//! line      = keyword part*            blank lines and lines that begin with # are skipped; indentation is free
//! keyword   = request | resource | scope | span | event | link | log | metric | point | exemplar
//! part      = name                     first: of a span, event, scope or metric; a word or text
//!           | none                     first: the resource or scope message is not there at all
//!           | {attribute*}             attributes
//!           | field=value              any field, by its name in the .proto files or its short name
//!           | text                     a log's body
//!           | number                   a number point's or exemplar's value: a double has a point or an exponent
//!           | gauge | sum | histogram | exponential | summary | delta | cumulative | monotonic      of a metric
//!           | ?hex                     an unknown field of the message, key included
//!           | group?hex | data?hex     the same in the resource or scope group, and in a metric's data
//! attribute = key=value | key          a key is a word or text; without a value there is none
//!           | (field=value*)           in full
//! value     = text | integer | double | true | false | x"hex" | [value*] | {attribute*} | none      of any type
//!           | word | hex | time        where the field asks for an enum, an id, a time
//!           | (field=value*)           any message, and of an AnyValue what is not of the forms above
//!           | ok | error | unset | error(text)                                                        of a status
//! text      = a JSON string            double = also inf, -inf, nan, nan(hex bits)
//! time      = nanoseconds, or an integer with s, ms or us
//! ```
//! Short names: `trace`, `span`, `id` (of a span itself), `parent`, `start`, `end`, `time`, `observed`, `state`, `sev`,
//! `level` (the severity text), `event` (a log's event name), `url` (the schema url of the group), `about` (a metric's
//! description), `dropped` (attributes), `counts`, `bounds`, `zero`, `threshold`, `quantiles`. An id may leave out zeros
//! in front. What stands before the first `resource` or `scope` gets one of neither.
//!
//! Requests of the same content print the same. Printing leaves out nothing but the form: parsed again, the request has
//! the same content, and the same bytes if it was written as protobuf's libraries do, fields in the order of their
//! numbers, numbers packed, defaults left out.

mod lex;
mod names;
mod parse;
mod print;
mod value;

use std::fmt;

use bytes::Bytes;

use super::{WireError, canonical};
use crate::batch::Signal;

/// Why text is not a request, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextError {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong there.
    pub what: String,
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at line {} column {}", self.what, self.line, self.column)
    }
}

impl std::error::Error for TextError {}

/// The request that a text says.
///
/// # Errors
/// The first thing that is wrong, with its place.
pub fn parse(signal: Signal, text: &str) -> Result<Bytes, TextError> {
    parse::request(signal, text)
}

/// The text of a request.
///
/// # Errors
/// When the request does not pass [`check::full`](super::check::full).
pub fn print(signal: Signal, request: &Bytes) -> Result<String, WireError> {
    let joined = canonical(signal, request)?;
    print::request(signal, joined.as_ref().unwrap_or(request))
}

#[cfg(test)]
mod tests;
