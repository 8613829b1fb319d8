//! What a record or span says about its trace and its request: attributes, JSON fields, W3C `traceparent` text. Ids count only
//! in their exact shape; a span id, only beside its trace id.

use std::sync::LazyLock;

use memchr::memmem::{self, Finder};
use pipeline::otlp::WireError;
use pipeline::otlp::hex::from_hex;
use pipeline::otlp::view::AnyValue;

use super::json;

/// A trace's id, never all zero.
pub type TraceId = [u8; 16];
/// A span's id, never all zero.
pub type SpanId = [u8; 8];

/// The longest request id that is looked at: clients choose some of them.
const MOST_REQUEST_ID: usize = 128;

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said<'a> {
    /// The trace.
    pub trace: Option<TraceId>,
    /// The span in it.
    pub span: Option<SpanId>,
    /// W3C trace flags.
    pub flags: Option<u8>,
    /// The id that the server gave the request.
    pub request: Option<&'a str>,
    /// The id that the client gave it.
    pub client_request: Option<&'a str>,
    /// What a person should read.
    pub message: Option<&'a str>,
}

impl<'a> Said<'a> {
    /// Takes in an attribute or field. Of several that say the same thing the first counts.
    #[inline]
    pub fn field(&mut self, key: &str, value: &'a str) {
        // Most keys are none that matters, and comparing each with all that do takes longer than reading them.
        if may_be_known(key.as_bytes()) {
            self.known_field(key, value);
        }
    }

    fn known_field(&mut self, key: &str, value: &'a str) {
        match key {
            "trace_id" | "traceId" | "traceid" | "trace.id" | "otelTraceID" => set(&mut self.trace, || id(value)),
            "span_id" | "spanId" | "spanid" | "span.id" | "otelSpanID" => set(&mut self.span, || id(value)),
            "trace_flags" | "traceFlags" => set(&mut self.flags, || from_hex::<1>(value).map(|[flags]| flags)),
            "traceparent" => self.take_over(traceparent(value)),
            "request_id" | "dynamo.request.id" => set(&mut self.request, || request(value)),
            "x_request_id" | "x-request-id" => set(&mut self.client_request, || request(value)),
            "message" | "msg" => set(&mut self.message, || Some(value)),
            _ => {}
        }
    }

    /// Whether it says which request it is about.
    pub fn has_request(&self) -> bool {
        self.request.is_some() || self.client_request.is_some()
    }

    /// Takes in what a body says that nothing else has said: the members of an object, or a `traceparent` in text.
    ///
    /// # Errors
    /// When the body is malformed.
    pub fn body(&mut self, body: AnyValue<'a>) -> Result<(), WireError> {
        let mut found = Said::default();
        match body {
            AnyValue::Text(text) => found.text(text),
            AnyValue::Map(_) => {
                for entry in body.entries() {
                    let entry = entry?;
                    if let AnyValue::Text(value) = entry.value {
                        found.field(entry.key, value);
                    }
                }
            }
            _ => {}
        }
        self.take_over(found);
        self.request = self.request.or(found.request);
        self.client_request = self.client_request.or(found.client_request);
        self.message = self.message.or(found.message);
        Ok(())
    }

    fn text(&mut self, text: &'a str) {
        let mut found = Said::default();
        let is_object = json::texts(text, may_be_known, |key, value| found.known_field(key, value));
        *self = if is_object { found } else { Said::default() };
        if !is_object {
            self.take_over(text_between_others(text));
        }
    }

    /// Takes over a trace with its span and flags, unless a trace is known.
    fn take_over(&mut self, other: Said<'a>) {
        if self.trace.is_none() && other.trace.is_some() {
            (self.trace, self.span, self.flags) = (other.trace, other.span, other.flags);
        }
    }
}

/// What a record has not said yet and its body may say.
#[derive(Clone, Copy, Debug)]
pub struct Lacks {
    /// A trace.
    pub trace: bool,
    /// A request.
    pub request: bool,
}

impl Lacks {
    /// Whether the body can hold anything that [`Said::body`] finds; most lines of most programs cannot.
    ///
    /// `body` is a serialized `AnyValue`.
    pub fn may_be_in(self, body: &[u8]) -> bool {
        static TRACE: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new("race"));
        static PARENT: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new("00-"));
        static REQUEST: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new("request"));
        (self.trace && (TRACE.find(body).is_some() || PARENT.find(body).is_some()))
            || (self.request && REQUEST.find(body).is_some())
    }
}

/// The lengths of the keys that [`Said::field`] knows, as bits.
const LENS: u64 = 1 << 3 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 17;

/// A length as a bit; the last is for all that are longer.
#[inline(always)]
pub fn len_bit(len: usize) -> u64 {
    1 << len.min(63)
}

/// Whether [`Said::field`] may know a key: it is as long as one that it knows, and ends like one.
#[inline]
pub fn may_be_known(key: &[u8]) -> bool {
    let ends_like = |end: &[u8; 2]| matches!(end, b"id" | b"ID" | b"Id" | b"gs" | b"nt" | b"ge" | b"sg");
    LENS & len_bit(key.len()) != 0 && key.last_chunk().is_some_and(ends_like)
}

#[inline]
fn set<T>(slot: &mut Option<T>, read: impl FnOnce() -> Option<T>) {
    if slot.is_none() {
        *slot = read();
    }
}

/// An id in hexadecimal, of exactly its width and not all zero.
fn id<const N: usize>(text: &str) -> Option<[u8; N]> {
    from_hex(text).filter(|id: &[u8; N]| id.iter().any(|byte| *byte != 0))
}

fn request(text: &str) -> Option<&str> {
    (1..=MOST_REQUEST_ID).contains(&text.len()).then_some(text)
}

/// W3C trace context, version 00 and later ones that begin like it.
fn traceparent(text: &str) -> Said<'static> {
    let parse = || {
        let (version, trace, span, flags) = (text.get(..2)?, text.get(3..35)?, text.get(36..52)?, text.get(53..55)?);
        let dashes = [2, 35, 52].iter().all(|at| text.as_bytes()[*at] == b'-');
        let ends = text.len() == 55 || (version != "00" && text.as_bytes()[55] == b'-');
        if !dashes || !ends || version == "ff" {
            return None;
        }
        from_hex::<1>(version)?;
        let [flags] = from_hex::<1>(flags)?;
        Some(Said { trace: Some(id(trace)?), span: Some(id(span)?), flags: Some(flags), ..Said::default() })
    };
    parse().unwrap_or_default()
}

/// The first `traceparent` of version 00 somewhere in a text.
fn text_between_others(text: &str) -> Said<'static> {
    const LEN: usize = 55;
    let bytes = text.as_bytes();
    let is_part = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'-' || *b == b'_');
    for at in memmem::find_iter(bytes, b"00-") {
        let is_alone =
            !is_part(at.checked_sub(1).and_then(|before| bytes.get(before))) && !is_part(bytes.get(at + LEN));
        if let Some(candidate) = text.get(at..at + LEN).filter(|_| is_alone) {
            let said = traceparent(candidate);
            if said.trace.is_some() {
                return said;
            }
        }
    }
    Said::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    fn said(body: &str) -> Said<'_> {
        let mut said = Said::default();
        if (Lacks { trace: true, request: true }).may_be_in(body.as_bytes()) {
            said.body(AnyValue::Text(body)).unwrap();
        }
        said
    }

    fn context(body: &str) -> (bool, bool, Option<u8>) {
        let said = said(body);
        assert!(said.trace.is_none_or(|trace| Some(trace) == id(TRACE)), "{body}");
        assert!(said.span.is_none_or(|span| Some(span) == id(SPAN)), "{body}");
        (said.trace.is_some(), said.trace.is_some() && said.span.is_some(), said.flags.filter(|_| said.trace.is_some()))
    }

    #[test]
    fn json_fields_are_read_at_the_first_level() {
        let line = format!(r#"{{"level":"INFO","trace_id":"{TRACE}","span_id":"{SPAN}","trace_flags":"01"}}"#);
        assert_eq!(context(&line), (true, true, Some(1)));
        assert_eq!(context(&format!(r#"{{"traceId":"{}"}}"#, TRACE.to_uppercase())), (true, false, None));
        assert_eq!(context(&format!(r#"{{"inner":{{"trace_id":"{TRACE}"}}}}"#)), (false, false, None));
        assert_eq!(context(&format!(r#"{{"message":"\"trace_id\":\"{TRACE}\""}}"#)), (false, false, None));
        assert_eq!(context(&format!(r#"{{"trace_id":"{TRACE}""#)), (false, false, None));
    }

    #[test]
    fn ids_of_another_shape_are_none() {
        for line in [
            r#"{"span_id":"549755813889","parent_id":"274877906946"}"#,
            r#"{"trace_id":"5204668981679048292","span_id":"5497558138891234"}"#,
            r#"{"trace_id":"00000000000000000000000000000000"}"#,
            r#"{"trace_id":"4bf92f3577b34da6a3ce929d0e0e473g"}"#,
            r#"{"trace_id":4}"#,
        ] {
            assert_eq!(said(line).trace, None, "{line}");
        }
    }

    #[test]
    fn a_traceparent_is_found_as_a_field_and_in_text() {
        let parent = format!("00-{TRACE}-{SPAN}-01");
        assert_eq!(context(&format!(r#"{{"traceparent":"{parent}"}}"#)), (true, true, Some(1)));
        assert_eq!(context(&format!("2026-01-00-x calling with traceparent: {parent}, done")), (true, true, Some(1)));
        assert_eq!(context(&parent), (true, true, Some(1)));
        for text in [
            format!("a{parent}"),
            format!("{parent}0"),
            format!("{parent}-00"),
            format!("00-{TRACE}-0000000000000000-01"),
            format!("ff-{TRACE}-{SPAN}-01"),
        ] {
            assert_eq!(context(&text), (false, false, None), "{text}");
        }
        assert_eq!(traceparent(&format!("cc-{TRACE}-{SPAN}-01-more")).flags, Some(1));
        assert_eq!(traceparent(&format!("00-{TRACE}-{SPAN}-01-more")), Said::default());
    }

    #[test]
    fn all_keys_are_known_by_their_bytes() {
        let (id, parent) = ("1".repeat(32), format!("00-{TRACE}-{SPAN}-01"));
        for key in [
            "trace_id",
            "traceId",
            "traceid",
            "trace.id",
            "otelTraceID",
            "span_id",
            "spanId",
            "spanid",
            "span.id",
            "otelSpanID",
            "trace_flags",
            "traceFlags",
            "traceparent",
            "request_id",
            "dynamo.request.id",
            "x_request_id",
            "x-request-id",
            "message",
            "msg",
        ] {
            let mut said = Said::default();
            [id.as_str(), SPAN, "01", &parent].iter().for_each(|value| said.field(key, value));
            assert_ne!(said, Said::default(), "{key}");
            assert!(may_be_known(key.as_bytes()), "{key}");
        }
    }

    #[test]
    fn requests_are_told_apart_by_who_named_them() {
        let found = said(r#"{"request_id":"r-1","x_request_id":"c-1","message":"m","dynamo.request.id":"r-2"}"#);
        assert_eq!((found.request, found.client_request, found.message), (Some("r-1"), Some("c-1"), Some("m")));
        let long = format!(r#"{{"request_id":"{}","x_request_id":""}}"#, "r".repeat(129));
        assert!(!said(&long).has_request());
    }
}
