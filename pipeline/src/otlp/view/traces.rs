//! Views of spans.

use super::super::fields::{event, link, span, status};
use super::super::wire::{Fields, WireError};
use super::{KeyValues, Repeated, View, id};

/// `Span`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Span<'a> {
    /// The whole message.
    pub raw: &'a [u8],
    /// 16 bytes, or empty; see [`Span::trace_id`].
    pub trace_id_bytes: &'a [u8],
    /// 8 bytes, or empty.
    pub span_id_bytes: &'a [u8],
    /// 8 bytes, or empty.
    pub parent_span_id_bytes: &'a [u8],
    /// W3C tracestate.
    pub trace_state: &'a str,
    /// The operation.
    pub name: &'a str,
    /// `SpanKind`: 0 unspecified, 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
    pub kind: u32,
    /// Nanoseconds since 1970.
    pub start: u64,
    /// Nanoseconds since 1970.
    pub end: u64,
    /// W3C trace flags and more.
    pub flags: u32,
    /// Its status.
    pub status: Status<'a>,
}

impl<'a> View<'a> for Span<'a> {
    fn view(raw: &'a [u8]) -> Result<Self, WireError> {
        let mut out = Span { raw, ..Span::default() };
        for field in Fields::new(raw) {
            let field = field?;
            match field.number {
                span::TRACE_ID => out.trace_id_bytes = field.value.bytes()?,
                span::SPAN_ID => out.span_id_bytes = field.value.bytes()?,
                span::PARENT_SPAN_ID => out.parent_span_id_bytes = field.value.bytes()?,
                span::TRACE_STATE => out.trace_state = field.value.text()?,
                span::NAME => out.name = field.value.text()?,
                span::KIND => out.kind = field.value.uint32()?,
                span::START => out.start = field.value.fixed64()?,
                span::END => out.end = field.value.fixed64()?,
                span::FLAGS => out.flags = field.value.fixed32()?,
                span::STATUS => out.status = Status::view(field.value.bytes()?)?,
                _ => {}
            }
        }
        Ok(out)
    }
}

impl<'a> Span<'a> {
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

    /// The parent's span id, unless absent (a root) or all zero.
    ///
    /// # Errors
    /// When it has another length than 8.
    pub fn parent_span_id(&self) -> Result<Option<[u8; 8]>, WireError> {
        id(self.parent_span_id_bytes)
    }

    /// Its attributes.
    pub fn attributes(&self) -> KeyValues<'a> {
        KeyValues::new(self.raw, span::ATTRIBUTES)
    }

    /// Its events.
    pub fn events(&self) -> Repeated<'a, Event<'a>> {
        Repeated::new(self.raw, span::EVENTS)
    }

    /// Its links.
    pub fn links(&self) -> Repeated<'a, Link<'a>> {
        Repeated::new(self.raw, span::LINKS)
    }
}

/// `Status`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Status<'a> {
    /// For a person.
    pub message: &'a str,
    /// 0 unset, 1 ok, 2 error.
    pub code: u32,
}

impl<'a> View<'a> for Status<'a> {
    fn view(raw: &'a [u8]) -> Result<Self, WireError> {
        let mut out = Status::default();
        for field in Fields::new(raw) {
            let field = field?;
            match field.number {
                status::MESSAGE => out.message = field.value.text()?,
                status::CODE => out.code = field.value.uint32()?,
                _ => {}
            }
        }
        Ok(out)
    }
}

/// `Span.Event`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Event<'a> {
    /// The whole message.
    pub raw: &'a [u8],
    /// Nanoseconds since 1970.
    pub time: u64,
    /// Its name.
    pub name: &'a str,
}

impl<'a> View<'a> for Event<'a> {
    fn view(raw: &'a [u8]) -> Result<Self, WireError> {
        let mut out = Event { raw, ..Event::default() };
        for field in Fields::new(raw) {
            let field = field?;
            match field.number {
                event::TIME => out.time = field.value.fixed64()?,
                event::NAME => out.name = field.value.text()?,
                _ => {}
            }
        }
        Ok(out)
    }
}

impl<'a> Event<'a> {
    /// Its attributes.
    pub fn attributes(&self) -> KeyValues<'a> {
        KeyValues::new(self.raw, event::ATTRIBUTES)
    }
}

/// `Span.Link`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Link<'a> {
    /// The whole message.
    pub raw: &'a [u8],
    /// 16 bytes, or empty.
    pub trace_id_bytes: &'a [u8],
    /// 8 bytes, or empty.
    pub span_id_bytes: &'a [u8],
    /// W3C tracestate.
    pub trace_state: &'a str,
    /// W3C trace flags and more.
    pub flags: u32,
}

impl<'a> View<'a> for Link<'a> {
    fn view(raw: &'a [u8]) -> Result<Self, WireError> {
        let mut out = Link { raw, ..Link::default() };
        for field in Fields::new(raw) {
            let field = field?;
            match field.number {
                link::TRACE_ID => out.trace_id_bytes = field.value.bytes()?,
                link::SPAN_ID => out.span_id_bytes = field.value.bytes()?,
                link::TRACE_STATE => out.trace_state = field.value.text()?,
                link::FLAGS => out.flags = field.value.fixed32()?,
                _ => {}
            }
        }
        Ok(out)
    }
}

impl<'a> Link<'a> {
    /// Its attributes.
    pub fn attributes(&self) -> KeyValues<'a> {
        KeyValues::new(self.raw, link::ATTRIBUTES)
    }
}
