//! View of log records.

use super::super::fields::log_record;
use super::super::wire::{Field, Fields, WireError};
use super::{AnyValue, KeyValue, KeyValues, View, id};

/// `LogRecord`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogRecord<'a> {
    /// The whole message.
    pub raw: &'a [u8],
    /// Nanoseconds since 1970; 0 when unknown, as Dynamo sends it. See [`LogRecord::time_or_observed`].
    pub time: u64,
    /// Nanoseconds since 1970.
    pub observed_time: u64,
    /// 1 to 24, 0 when unknown.
    pub severity_number: u32,
    /// The severity as the source named it.
    pub severity_text: &'a str,
    /// The message.
    pub body: AnyValue<'a>,
    /// W3C trace flags.
    pub flags: u32,
    /// 16 bytes, or empty.
    pub trace_id_bytes: &'a [u8],
    /// 8 bytes, or empty.
    pub span_id_bytes: &'a [u8],
    /// The event's name, or empty.
    pub event_name: &'a str,
}

impl<'a> View<'a> for LogRecord<'a> {
    fn view(raw: &'a [u8]) -> Result<Self, WireError> {
        let mut out = LogRecord::empty(raw);
        for field in Fields::new(raw) {
            out.take(field?)?;
        }
        Ok(out)
    }
}

impl<'a> LogRecord<'a> {
    /// The record and its attributes, which are appended, in one pass.
    ///
    /// # Errors
    /// When the record or an attribute is malformed.
    pub fn with_attributes(raw: &'a [u8], attributes: &mut Vec<KeyValue<'a>>) -> Result<Self, WireError> {
        let mut out = LogRecord::empty(raw);
        for field in Fields::new(raw) {
            let field = field?;
            if field.number == log_record::ATTRIBUTES {
                attributes.push(KeyValue::view(field.value.bytes()?)?);
            } else {
                out.take(field)?;
            }
        }
        Ok(out)
    }

    /// The record up to its body, and each of the attributes until there to `take`, as it stands. What is behind is not read:
    /// for batches of which it is known what stands there, see [`Known::shown_last`](crate::Known::shown_last).
    ///
    /// # Errors
    /// When the record is malformed until there, and what `take` says.
    pub fn until_body(
        raw: &'a [u8],
        mut take: impl FnMut(&'a [u8]) -> Result<(), WireError>,
    ) -> Result<Self, WireError> {
        let mut out = LogRecord::empty(raw);
        for field in Fields::new(raw) {
            let field = field?;
            if field.number == log_record::ATTRIBUTES {
                take(field.value.bytes()?)?;
                continue;
            }
            out.take(field)?;
            if field.number == log_record::BODY {
                break;
            }
        }
        Ok(out)
    }

    /// Nothing of that message.
    #[inline]
    fn empty(raw: &'a [u8]) -> LogRecord<'a> {
        LogRecord {
            raw,
            time: 0,
            observed_time: 0,
            severity_number: 0,
            severity_text: "",
            body: AnyValue::Empty,
            flags: 0,
            trace_id_bytes: &[],
            span_id_bytes: &[],
            event_name: "",
        }
    }

    #[inline]
    fn take(&mut self, field: Field<'a>) -> Result<(), WireError> {
        match field.number {
            log_record::TIME => self.time = field.value.fixed64()?,
            log_record::OBSERVED_TIME => self.observed_time = field.value.fixed64()?,
            log_record::SEVERITY_NUMBER => self.severity_number = field.value.uint32()?,
            log_record::SEVERITY_TEXT => self.severity_text = field.value.text()?,
            log_record::BODY => self.body = AnyValue::view(field.value.bytes()?)?,
            log_record::FLAGS => self.flags = field.value.fixed32()?,
            log_record::TRACE_ID => self.trace_id_bytes = field.value.bytes()?,
            log_record::SPAN_ID => self.span_id_bytes = field.value.bytes()?,
            log_record::EVENT_NAME => self.event_name = field.value.text()?,
            _ => {}
        }
        Ok(())
    }

    /// Its attributes.
    pub fn attributes(&self) -> KeyValues<'a> {
        KeyValues::new(self.raw, log_record::ATTRIBUTES)
    }

    /// When it happened, or else when it was seen: nanoseconds since 1970, 0 when neither is known.
    pub fn time_or_observed(&self) -> u64 {
        if self.time == 0 { self.observed_time } else { self.time }
    }

    /// The trace id, unless absent or all zero.
    ///
    /// # Errors
    /// When it has another length than 16.
    pub fn trace_id(&self) -> Result<Option<[u8; 16]>, WireError> {
        id(self.trace_id_bytes)
    }

    /// The span id, unless absent or all zero.
    ///
    /// # Errors
    /// When it has another length than 8.
    pub fn span_id(&self) -> Result<Option<[u8; 8]>, WireError> {
        id(self.span_id_bytes)
    }
}
