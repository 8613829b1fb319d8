//! Borrowed views of OTLP messages: nothing is copied, nested parts are read when asked for. Views are total: a malformed
//! leaf is an error with a reason, never a panic.
//!
//! A singular message that occurs more than once is merged as protobuf says for resources and scopes, whose parts may
//! come from different writers; inside leaves the last occurrence counts, and [`canonical`](super::canonical) joins
//! them beforehand for requests that have any.

mod common;
mod logs;
mod metrics;
mod traces;

use std::marker::PhantomData;

pub use common::{AnyValue, KeyValue, KeyValues, Numbers, ResourceGroup, ScopeGroup, resources};
pub use logs::LogRecord;
pub use metrics::{
    Buckets, Exemplar, ExponentialPoint, HistogramPoint, Metric, MetricKind, NO_RECORDED_VALUE, Number, NumberPoint,
    QuantileValue, SummaryPoint, Temporality,
};
pub use traces::{Event, Link, Span, Status};

use super::wire::{Fields, WireError};

/// A message read from its bytes.
pub trait View<'a>: Sized {
    /// Reads the scalar fields; nested messages stay as bytes until they are asked for.
    ///
    /// # Errors
    /// When the message is not well-formed at this level.
    fn view(message: &'a [u8]) -> Result<Self, WireError>;
}

/// The occurrences of one repeated message field. Ends after the first error.
#[derive(Clone, Debug)]
pub struct Repeated<'a, T> {
    fields: Fields<'a>,
    number: u32,
    view: PhantomData<fn() -> T>,
}

impl<'a, T> Repeated<'a, T> {
    /// The messages in field `number` of `message`.
    #[inline]
    pub fn new(message: &'a [u8], number: u32) -> Repeated<'a, T> {
        Repeated { fields: Fields::new(message), number, view: PhantomData }
    }
}

impl<'a, T: View<'a>> Iterator for Repeated<'a, T> {
    type Item = Result<T, WireError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        for field in self.fields.by_ref() {
            match field {
                Ok(field) if field.number != self.number => {}
                Ok(field) => return Some(field.value.bytes().and_then(T::view)),
                Err(error) => return Some(Err(error)),
            }
        }
        None
    }
}

/// The raw bytes of a repeated message field.
impl<'a> View<'a> for &'a [u8] {
    #[inline]
    fn view(message: &'a [u8]) -> Result<Self, WireError> {
        Ok(message)
    }
}

/// A trace id: 16 bytes, or none.
pub(crate) fn id<const N: usize>(bytes: &[u8]) -> Result<Option<[u8; N]>, WireError> {
    match bytes.len() {
        0 => Ok(None),
        n if n == N => Ok(bytes.try_into().ok().filter(|id: &[u8; N]| id.iter().any(|b| *b != 0))),
        _ => Err(WireError::IdLength),
    }
}
