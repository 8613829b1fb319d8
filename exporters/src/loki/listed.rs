//! Which attributes of a record its line shows already, so that they need not be stored beside it once more: members of a
//! line that is a JSON object, of the same name and value.

use memchr::memmem;
use pipeline::json::{Members, Raw};
use pipeline::otlp::view::{AnyValue, KeyValue};

/// So many searches take less than to read a line.
const FEW: usize = 3;
/// Names that are remembered with how to search them.
const MOST_REMEMBERED: usize = 8;

/// Finds what lines show. Remembers how it did, from line to line.
#[derive(Default)]
pub struct Listed {
    marks: Vec<bool>,
    finders: Vec<memmem::Finder<'static>>,
}

impl Listed {
    /// Takes out the attributes that the line shows. Most stand in the order of its members, as they were read from it.
    pub fn take_out(&mut self, line: &str, attributes: &mut Vec<KeyValue<'_>>) {
        if attributes.is_empty() || !line.starts_with('{') {
            return;
        }
        // The line is read from its start to its end; a few names are searched sooner.
        if attributes.len() <= FEW && !attributes.iter().any(|attribute| self.may_be_member(line, attribute.key)) {
            return;
        }
        self.marks.clear();
        self.marks.resize(attributes.len(), false);
        let mut next = 0;
        for member in Members::of(line) {
            let Ok((key, value)) = member else { return };
            let is_key = |attribute: &KeyValue<'_>| attribute.key == key.raw;
            let behind = attributes.get(next..).and_then(|rest| rest.iter().position(is_key).map(|at| next + at));
            let Some(at) = behind.or_else(|| attributes.iter().take(next).position(is_key)) else { continue };
            next = at + 1;
            self.marks[at] |= shows(value, attributes[at].value);
        }
        let mut listed = self.marks.iter();
        attributes.retain(|_| listed.next() != Some(&true));
    }

    fn may_be_member(&mut self, line: &str, key: &str) -> bool {
        let known = self.finders.iter().position(|finder| finder.needle() == key.as_bytes());
        let at = known.unwrap_or_else(|| {
            self.finders.truncate(MOST_REMEMBERED - 1);
            self.finders.push(memmem::Finder::new(key).into_owned());
            self.finders.len() - 1
        });
        self.finders[at].find(line.as_bytes()).is_some()
    }
}

fn shows(member: Raw<'_>, value: AnyValue<'_>) -> bool {
    match (member, value) {
        (Raw::Str(text), AnyValue::Text(value)) if !text.escaped => text.raw == value,
        (Raw::Str(text), AnyValue::Text(value)) => text.text() == value,
        (Raw::Number(number), AnyValue::Text(value)) => number == value,
        (Raw::Number(number), AnyValue::Int(value)) => number.parse() == Ok(value),
        (Raw::Number(number), AnyValue::Double(value)) => number.parse() == Ok(value),
        (Raw::Bool(member), AnyValue::Bool(value)) => member == value,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(line: &str, attributes: &[(&'static str, AnyValue<'static>)]) -> Vec<&'static str> {
        let attribute = |&(key, value): &(&'static str, AnyValue<'static>)| KeyValue { raw: b"", key, value };
        let mut attributes = attributes.iter().map(attribute).collect();
        Listed { marks: vec![true; 3], ..Listed::default() }.take_out(line, &mut attributes);
        attributes.iter().map(|attribute| attribute.key).collect()
    }

    #[test]
    fn what_a_line_shows_with_the_same_value_is_taken_out() {
        let line = r#"{"time":"t","model":"m\u0041","worker_id":42,"ttft_ms":1.5,"n":-3,"ok":true,"none":null,"in":{"deep":"x"}}"#;
        let attributes = [
            ("n", AnyValue::Int(-3)),
            ("model", AnyValue::Text("mA")),
            ("worker_id", AnyValue::Text("42")),
            ("ttft_ms", AnyValue::Double(1.5)),
            ("ok", AnyValue::Bool(true)),
        ];
        assert_eq!(left(line, &attributes), [""; 0]);
        for attribute in [
            ("model", AnyValue::Text("other")),
            ("n", AnyValue::Int(3)),
            ("ok", AnyValue::Text("true")),
            ("none", AnyValue::Text("null")),
            ("deep", AnyValue::Text("x")),
            ("log.file.name", AnyValue::Text("a.log")),
        ] {
            assert_eq!(left(line, &[attribute, attributes[3]]), [attribute.0], "{attribute:?}");
        }
    }

    #[test]
    fn a_line_that_is_no_object_shows_nothing() {
        for line in ["", "model=m", r#"["model","m"]"#, r#"{"model":"m""#, r#"{"model":"m"} and more"#] {
            assert_eq!(left(line, &[("model", AnyValue::Text("m"))]), ["model"], "{line}");
        }
    }
}
