//! What the line of an entry is: the body, or the whole record as JSON or logfmt in the shape of the collector's former
//! exporter.

use std::fmt::Write;
use std::ops::Range;

use pipeline::otlp::WireError;
use pipeline::otlp::hex::write_hex;
use pipeline::otlp::view::{AnyValue, KeyValue, LogRecord};

use super::config::Format;
use crate::plain;

/// A record with what stands around it.
pub struct Around<'r, 'a> {
    /// The record.
    pub record: &'r LogRecord<'a>,
    /// Its attributes, without those that are labels.
    pub attributes: &'r [KeyValue<'a>],
    /// The resource's, likewise.
    pub resource: &'r [KeyValue<'a>],
    /// The scope's name and version.
    pub scope: (&'a str, &'a str),
}

impl Around<'_, '_> {
    /// Appends the line.
    ///
    /// # Errors
    /// When a value is malformed or nested too deep.
    pub fn write(&self, out: &mut String, format: Format) -> Result<(), WireError> {
        match format {
            Format::Raw => plain::write_text(out, self.record.body),
            Format::Json => self.write_json(out),
            Format::Logfmt => self.write_logfmt(out),
        }
    }

    fn write_json(&self, out: &mut String) -> Result<(), WireError> {
        let mut object = Object { out, is_empty: true };
        object.out.push('{');
        if self.record.body != AnyValue::Empty {
            plain::write_json(object.key("body"), self.record.body)?;
        }
        for (key, id) in [("traceid", self.record.trace_id_bytes), ("spanid", self.record.span_id_bytes)] {
            if !id.is_empty() {
                let out = object.key(key);
                out.push('"');
                write_hex(out, id);
                out.push('"');
            }
        }
        if !self.record.severity_text.is_empty() {
            plain::write_json_string(object.key("severity"), self.record.severity_text);
        }
        if self.record.flags != 0 {
            write!(object.key("flags"), "{}", self.record.flags).unwrap_or_default();
        }
        for (key, attributes) in [("attributes", self.attributes), ("resources", self.resource)] {
            if !attributes.is_empty() {
                object.key(key).push('{');
                let mut inner = Object { out: &mut *object.out, is_empty: true };
                for attribute in attributes {
                    plain::write_json(inner.key(attribute.key), attribute.value)?;
                }
                object.out.push('}');
            }
        }
        if !self.scope.0.is_empty() {
            object.key("instrumentation_scope").push('{');
            let mut inner = Object { out: &mut *object.out, is_empty: true };
            plain::write_json_string(inner.key("name"), self.scope.0);
            if !self.scope.1.is_empty() {
                plain::write_json_string(inner.key("version"), self.scope.1);
            }
            object.out.push('}');
        }
        object.out.push('}');
        Ok(())
    }

    fn write_logfmt(&self, out: &mut String) -> Result<(), WireError> {
        let mut pairs = Pairs { out, value: String::new(), is_empty: true };
        match self.record.body {
            AnyValue::Empty => {}
            AnyValue::Map(_) => {
                for entry in self.record.body.entries() {
                    let entry = entry?;
                    pairs.add("", entry.key, entry.value)?;
                }
            }
            body => pairs.add("", "msg", body)?,
        }
        for (key, id) in [("traceID", self.record.trace_id_bytes), ("spanID", self.record.span_id_bytes)] {
            if !id.is_empty() {
                let mut hex = String::new();
                write_hex(&mut hex, id);
                pairs.add("", key, AnyValue::Text(&hex))?;
            }
        }
        if !self.record.severity_text.is_empty() {
            pairs.add("", "severity", AnyValue::Text(self.record.severity_text))?;
        }
        for attribute in self.attributes {
            pairs.add("attribute_", attribute.key, attribute.value)?;
        }
        for attribute in self.resource {
            pairs.add("resource_", attribute.key, attribute.value)?;
        }
        if !self.scope.0.is_empty() {
            pairs.add("", "instrumentation_scope_name", AnyValue::Text(self.scope.0))?;
        }
        Ok(())
    }
}

/// A JSON object that is being written.
struct Object<'o> {
    out: &'o mut String,
    is_empty: bool,
}

impl Object<'_> {
    /// Appends a key; the value follows.
    fn key(&mut self, key: &str) -> &mut String {
        if !std::mem::replace(&mut self.is_empty, false) {
            self.out.push(',');
        }
        plain::write_json_string(self.out, key);
        self.out.push(':');
        self.out
    }
}

/// Logfmt pairs that are being written.
struct Pairs<'o> {
    out: &'o mut String,
    value: String,
    is_empty: bool,
}

impl Pairs<'_> {
    fn add(&mut self, prefix: &str, key: &str, value: AnyValue<'_>) -> Result<(), WireError> {
        self.value.clear();
        plain::write_text(&mut self.value, value)?;
        if !std::mem::replace(&mut self.is_empty, false) {
            self.out.push(' ');
        }
        self.out.push_str(prefix);
        self.out.extend(key.chars().map(|c| if c <= ' ' || c == '=' || c == '"' { '_' } else { c }));
        self.out.push('=');
        let is_bare = |c: char| c > ' ' && c != '=' && c != '"' && c != '\\' && !c.is_control();
        if self.value.chars().all(is_bare) {
            self.out.push_str(&self.value);
        } else {
            plain::write_json_string(self.out, &self.value);
        }
        Ok(())
    }
}

/// The pieces of a line of at most so many bytes, cut between characters. An empty line is one piece.
pub fn pieces(line: &[u8], most: usize) -> impl Iterator<Item = Range<usize>> + '_ {
    // The bytes that go on a character are those with the bits 10 in front.
    let is_boundary = |at: &usize| line.get(*at).is_none_or(|byte| byte & 0xc0 != 0x80);
    let mut start = 0;
    let mut is_first = true;
    std::iter::from_fn(move || {
        if start >= line.len() && !std::mem::replace(&mut is_first, false) {
            return None;
        }
        is_first = false;
        let end = line.len().min(start + most);
        let end = (start + 1..=end).rev().find(is_boundary);
        // A limit below one character: the character goes out whole.
        let end = end.or_else(|| (start + 1..=line.len()).find(is_boundary)).unwrap_or(start);
        let piece = start..end;
        start = end;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use pipeline::otlp::fields::log_record;
    use pipeline::otlp::view::View;
    use pipeline::otlp::write::{Scalar, Writer};

    use super::*;

    fn split(line: &str, most: usize) -> Vec<&str> {
        pieces(line.as_bytes(), most).map(|range| &line[range]).collect()
    }

    #[test]
    fn lines_are_split_between_characters() {
        assert_eq!(split("", 4), [""]);
        assert_eq!(split("abcd", 4), ["abcd"]);
        assert_eq!(split("abcde", 2), ["ab", "cd", "e"]);
        assert_eq!(split("aüüb", 2), ["a", "ü", "ü", "b"]);
        assert_eq!(split("üa", 1), ["ü", "a"]);
    }

    fn line(format: Format) -> String {
        let mut w = Writer::new();
        w.any_value(log_record::BODY, Scalar::Text("say \"hi\""));
        w.text(log_record::SEVERITY_TEXT, "INFO");
        w.bytes(log_record::TRACE_ID, &[0xab; 16]);
        w.bytes(log_record::SPAN_ID, &[1; 8]);
        w.attribute(log_record::ATTRIBUTES, "code.line", Scalar::Int(7));
        w.attribute(log_record::ATTRIBUTES, "odd key", Scalar::Text(""));
        let record = LogRecord::view(w.as_slice()).unwrap();
        let attributes: Vec<_> = record.attributes().map(Result::unwrap).collect();
        let mut resource = Writer::new();
        resource.attribute(1, "host.name", Scalar::Text("n 1"));
        let resource: Vec<_> =
            pipeline::otlp::view::KeyValues::new(resource.as_slice(), 1).map(Result::unwrap).collect();
        let around = Around { record: &record, attributes: &attributes, resource: &resource, scope: ("lib", "2") };
        let mut out = String::new();
        around.write(&mut out, format).unwrap();
        out
    }

    #[test]
    fn a_line_is_the_body_or_the_whole_record() {
        let (trace, span) = ("ab".repeat(16), "01".repeat(8));
        assert_eq!(line(Format::Raw), "say \"hi\"");
        assert_eq!(
            line(Format::Json),
            format!(
                "{{\"body\":\"say \\\"hi\\\"\",\"traceid\":\"{trace}\",\"spanid\":\"{span}\",\"severity\":\"INFO\",\
                 \"attributes\":{{\"code.line\":7,\"odd key\":\"\"}},\"resources\":{{\"host.name\":\"n 1\"}},\
                 \"instrumentation_scope\":{{\"name\":\"lib\",\"version\":\"2\"}}}}"
            )
        );
        assert_eq!(
            line(Format::Logfmt),
            format!(
                "msg=\"say \\\"hi\\\"\" traceID={trace} spanID={span} severity=INFO attribute_code.line=7 \
                 attribute_odd_key= resource_host.name=\"n 1\" instrumentation_scope_name=lib"
            )
        );
    }
}
