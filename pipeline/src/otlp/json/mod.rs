//! OTLP JSON in and out, without objects in between: what is read is written as protobuf at once, and the other way.
//!
//! Read as the OTLP specification says: ids in hexadecimal of any case, 64-bit numbers as strings or numbers, enums as
//! numbers, bytes in base64, fields in lowerCamelCase, unknown fields ignored, `null` for absent. Also taken, as the
//! collector does: names of enum values and field names in snake_case. Refused: a field that occurs twice, two fields of
//! which only one may be there, ids of another length.

mod read;
mod write;

use std::fmt;

use bytes::Bytes;

use super::schema::Type;
use super::{WireError, canonical};
use crate::batch::Signal;

/// Why text is not an OTLP request, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// From 1.
    pub line: usize,
    /// From 1, in bytes; 0 before the first.
    pub column: usize,
    /// What is wrong there.
    pub what: String,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at line {} column {}", self.what, self.line, self.column)
    }
}

impl std::error::Error for JsonError {}

/// The serialized export request that a JSON text says. Its nesting is bounded, and so is its memory: by the text's
/// length and a part of it.
///
/// # Errors
/// The first thing that is wrong, with its place.
pub fn to_proto(signal: Signal, text: &[u8]) -> Result<Vec<u8>, JsonError> {
    read::request(Type::request(signal), text)
}

/// The JSON text of a serialized export request: the same for the same content, on one line. Unknown fields are left
/// out, for they have no names.
///
/// # Errors
/// When the request does not pass [`check::full`](super::check::full).
pub fn from_proto(signal: Signal, request: &Bytes) -> Result<Vec<u8>, WireError> {
    let joined = canonical(signal, request)?;
    let request = joined.as_ref().unwrap_or(request);
    let mut out = Vec::with_capacity(request.len() * 2);
    write::object(Type::request(signal), request, &mut out)?;
    Ok(out)
}

#[cfg(test)]
mod tests;
