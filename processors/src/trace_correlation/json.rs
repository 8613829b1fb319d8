//! The members of a JSON object at its first level, read in place. Values inside others are skipped, not looked at.

use pipeline::json::quote_or_backslash;

/// A value as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Text between its quotes, escapes as they stand.
    Text(&'a str),
    /// A number, `true`, `false` or `null` as it stands.
    Word(&'a str),
    /// An object or array.
    Nested,
}

/// Shows each member of the object that `text` is. Answers whether it is one, closed and with nothing behind it; what was
/// shown of another text means nothing. Words are not checked: this reads what programs log, and does not validate it.
pub fn members<'a>(text: &'a str, mut show: impl FnMut(&'a str, Value<'a>)) -> bool {
    let mut rest = Rest { text, at: 0 };
    rest.object(&mut show).is_some() && rest.peek().is_none()
}

struct Rest<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Rest<'a> {
    #[inline]
    fn object(&mut self, show: &mut impl FnMut(&'a str, Value<'a>)) -> Option<()> {
        self.take(b'{')?;
        if self.peek()? == b'}' {
            return self.take(b'}');
        }
        loop {
            let key = self.string()?;
            self.take(b':')?;
            let value = self.value()?;
            show(key, value);
            match self.peek()? {
                b',' => self.at += 1,
                _ => return self.take(b'}'),
            }
        }
    }

    #[inline]
    fn value(&mut self) -> Option<Value<'a>> {
        match self.peek()? {
            b'"' => self.string().map(Value::Text),
            b'{' | b'[' => self.nested().map(|()| Value::Nested),
            _ => {
                let bytes = &self.text.as_bytes()[self.at..];
                let len = bytes.iter().position(|b| matches!(b, b',' | b'}' | b']') || b.is_ascii_whitespace())?;
                let word = self.text.get(self.at..self.at + len).filter(|word| !word.is_empty())?;
                self.at += len;
                Some(Value::Word(word))
            }
        }
    }

    /// Over an object or array, however deep.
    fn nested(&mut self) -> Option<()> {
        let mut depth = 0usize;
        loop {
            let bytes = &self.text.as_bytes()[self.at..];
            self.at += bytes.iter().position(|b| matches!(b, b'"' | b'{' | b'[' | b'}' | b']'))?;
            match self.text.as_bytes()[self.at] {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                _ => depth -= 1,
            }
            self.at += 1;
            if depth == 0 {
                return Some(());
            }
        }
    }

    #[inline]
    fn string(&mut self) -> Option<&'a str> {
        self.take(b'"')?;
        let start = self.at;
        loop {
            self.at = quote_or_backslash(self.text.as_bytes(), self.at)?;
            if self.text.as_bytes()[self.at] == b'"' {
                self.at += 1;
                return self.text.get(start..self.at - 1);
            }
            self.at += 2;
            if self.at > self.text.len() {
                return None;
            }
        }
    }

    /// The next byte that is no white space.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(&byte) = bytes.get(self.at) {
            // One comparison for what stands in all but a few places.
            if byte > b' ' || !byte.is_ascii_whitespace() {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    #[inline]
    fn take(&mut self, byte: u8) -> Option<()> {
        // Most texts have no white space.
        if self.text.as_bytes().get(self.at) == Some(&byte) || self.peek()? == byte {
            self.at += 1;
            return Some(());
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&[(&str, Value<'_>)]>) {
        let mut seen = Vec::new();
        let is_object = members(text, |key, value| seen.push((key, value)));
        assert_eq!(is_object.then_some(seen.as_slice()), expected, "{text}");
    }

    #[test]
    fn the_first_level_of_an_object_is_read_and_nothing_else() {
        use Value::{Nested, Text, Word};
        check("{}", Some(&[]));
        check(
            r#" {"a" : "x\"y" , "b":1.5,"c":null} "#,
            Some(&[("a", Text(r#"x\"y"#)), ("b", Word("1.5")), ("c", Word("null"))]),
        );
        check(
            r#"{"a":{"b":"}","c":["{",{"d":1}]},"e":[],"f":"z"}"#,
            Some(&[("a", Nested), ("e", Nested), ("f", Text("z"))]),
        );
        check("{\"ü\":\"ö\\\\\"}", Some(&[("ü", Text("ö\\\\"))]));
    }

    #[test]
    fn what_is_no_object_is_said_to_be_none() {
        for text in [
            "",
            "x",
            "[1]",
            "{",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":1",
            "{\"a\":1,}",
            "{\"a\":[1}",
            "{\"a\\",
            "{} x",
            "{\"a\":[[]",
            "{\"a\":,\"b\":1}",
        ] {
            check(text, None);
        }
    }

    proptest::proptest! {
        #[test]
        fn it_finds_what_a_whole_reader_finds(
            texts in proptest::collection::btree_map(".{0,6}", ".{0,12}", 0..6),
            inner in "[\\[\\]{}\",:a ]{0,12}",
        ) {
            let mut object: serde_json::Map<_, _> = texts.into_iter().map(|(key, text)| (key, text.into())).collect();
            object.insert("nested".to_owned(), serde_json::json!([{"a": inner}, [inner, 1.5, null]]));
            let text = serde_json::Value::Object(object.clone()).to_string();
            let mut seen = serde_json::Map::new();
            let read = |raw: &str| serde_json::from_str::<String>(&format!("\"{raw}\"")).unwrap();
            assert!(members(&text, |key, value| {
                let value = if let Value::Text(value) = value { read(value).into() } else { object["nested"].clone() };
                seen.insert(read(key), value);
            }));
            assert_eq!(seen, object);
        }

        #[test]
        fn any_text_is_read_to_its_end(text in "[\\[\\]{}\",:\\\\a1 ü]{0,40}") {
            let shown = std::cell::Cell::new(0);
            let is_object = members(&text, |_, _| shown.set(shown.get() + 1));
            assert!(!is_object || text.trim_start().starts_with('{'));
        }
    }
}
