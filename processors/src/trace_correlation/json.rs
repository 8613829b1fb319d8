//! The texts among the members of a JSON object at its first level, read in place. Values inside others are skipped, not
//! looked at.
//!
//! Members as machines write them are read from mark to mark, where a mark is a quote or a backslash; all others as any
//! JSON text is.

use pipeline::json::{Marks, Scanner};

/// Shows each member of the object that `text` is whose value is a text and whose key is one that `wants` says: key and
/// text between their quotes, escapes as they stand. Answers whether it is an object, closed and with nothing behind it;
/// what was shown of another text means nothing. Words are not checked: this reads what programs log, and does not
/// validate it.
pub fn texts<'a>(text: &'a str, wants: impl Fn(&[u8]) -> bool, show: impl FnMut(&'a str, &'a str)) -> bool {
    read(text, wants, show, Object::usual).is_some()
}

/// A member by the places of its parts.
struct Member {
    /// Of its key, between the quotes; likewise below.
    key: (usize, usize),
    /// Of its value, where that is a text.
    text: Option<(usize, usize)>,
    /// Behind its value.
    end: usize,
}

struct Object<'a> {
    text: &'a str,
    marks: Marks<'a>,
}

#[inline(always)]
fn read<'a>(
    text: &'a str,
    wants: impl Fn(&[u8]) -> bool,
    mut show: impl FnMut(&'a str, &'a str),
    usual: impl Fn(&mut Object<'a>, usize) -> Option<Member>,
) -> Option<()> {
    let bytes = text.as_bytes();
    let mut scanner = Scanner::new(text);
    scanner.expect(b'{', "").ok()?;
    if scanner.take(b'}') {
        return scanner.end().ok();
    }
    let mut at = bytes.len() - scanner.rest().len();
    let mut object = Object { text, marks: Marks::default() };
    loop {
        let member = match usual(&mut object, at) {
            Some(member) => member,
            None => object.unusual(at)?,
        };
        if let Some(value) = member.text
            && wants(&bytes[member.key.0..member.key.1])
        {
            show(text.get(member.key.0..member.key.1)?, text.get(value.0..value.1)?);
        }
        at = member.end + 1;
        match bytes.get(member.end)? {
            b',' => {}
            b'}' => return Scanner::new(text.get(at..)?).end().ok(),
            _ => {
                let mut scanner = Scanner::new(text.get(member.end..)?);
                if !scanner.take(b',') {
                    scanner.expect(b'}', "").ok()?;
                    return scanner.end().ok();
                }
                at = bytes.len() - scanner.rest().len();
            }
        }
    }
}

impl Object<'_> {
    /// The member at a place, if it is `"key":"text"` or `"key":word`, with a space at most before the key and the value
    /// and no escapes.
    #[inline(always)]
    fn usual(&mut self, at: usize) -> Option<Member> {
        let bytes = self.text.as_bytes();
        let quote = |at: usize| bytes.get(at) == Some(&b'"');
        let behind_space = |at: usize| at + usize::from(bytes.get(at) == Some(&b' '));
        let open = behind_space(at);
        if !quote(open) {
            return None;
        }
        let key = (open + 1, self.marks.next(bytes, open + 1)?);
        if !quote(key.1) || bytes.get(key.1 + 1) != Some(&b':') {
            return None;
        }
        let start = behind_space(key.1 + 2);
        if quote(start) {
            let text = (start + 1, self.marks.next(bytes, start + 1)?);
            return quote(text.1).then_some(Member { key, text: Some(text), end: text.1 + 1 });
        }
        let len = bytes.get(start..)?.iter().position(|byte| ENDS_WORD[usize::from(*byte)])?;
        let end = start + len;
        (len > 0 && matches!(bytes[end], b',' | b'}')).then_some(Member { key, text: None, end })
    }

    /// Any member.
    #[cold]
    #[inline(never)]
    fn unusual(&self, at: usize) -> Option<Member> {
        let bytes = self.text.as_bytes();
        let mut scanner = Scanner::new(self.text.get(at..)?);
        let here = |scanner: &Scanner<'_>| bytes.len() - scanner.rest().len();
        let string = |scanner: &mut Scanner<'_>| {
            let len = scanner.string().ok()?.raw.len();
            let end = here(scanner) - 1;
            Some((end - len, end))
        };
        let key = string(&mut scanner)?;
        scanner.expect(b':', "").ok()?;
        let text = match scanner.peek()? {
            b'"' => Some(string(&mut scanner)?),
            b'{' | b'[' => {
                scanner.value().ok()?;
                None
            }
            _ => {
                let len =
                    scanner.rest().iter().position(|b| matches!(b, b',' | b'}' | b']') || b.is_ascii_whitespace());
                scanner.skip(len.filter(|len| *len > 0)?);
                None
            }
        };
        let end = here(&scanner);
        Some(Member { key, text, end })
    }
}

/// What ends a word, or may not be in a usual one.
const ENDS_WORD: [bool; 256] = {
    let mut ends = [false; 256];
    let all = b",}] \t\n\x0c\r\"\\{[";
    let mut at = 0;
    while at < all.len() {
        ends[all[at] as usize] = true;
        at += 1;
    }
    ends
};

#[cfg(test)]
mod tests {
    use super::*;

    /// What is shown of an object; both ways of reading a member must agree.
    fn shown(text: &str) -> Option<Vec<(&str, &str)>> {
        let (mut shown, mut others) = (Vec::new(), Vec::new());
        let is_object = texts(text, |_| true, |key, value| shown.push((key, value)));
        let is_other = read(text, |_| true, |key, value| others.push((key, value)), |_, _| None).is_some();
        assert_eq!(is_object.then_some(&shown), is_other.then_some(&others), "{text}");
        is_object.then_some(shown)
    }

    fn check(text: &str, expected: Option<&[(&str, &str)]>) {
        assert_eq!(shown(text).as_deref(), expected, "{text}");
    }

    #[test]
    fn the_texts_of_the_first_level_are_shown_and_nothing_else() {
        check("{}", Some(&[]));
        check(" { } ", Some(&[]));
        check(r#" {"a" : "x\"y" , "b":1.5,"c":null} "#, Some(&[("a", r#"x\"y"#)]));
        check(r#"{"a": "x", "b": NaN, "c": "", "": "y"}"#, Some(&[("a", "x"), ("c", ""), ("", "y")]));
        check(r#"{"a":{"b":"}","c":["{",{"d":1}]},"e":[],"f":"z"}"#, Some(&[("f", "z")]));
        check("{\"ü\":\"ö\\\\\"}", Some(&[("ü", "ö\\\\")]));
        check(r#"{"a":x"y,"b":"c"}"#, Some(&[("b", "c")]));
        check(r#"{"a":1 ,"b":"c"}"#, Some(&[("b", "c")]));
    }

    #[test]
    fn only_keys_that_are_wanted_are_shown() {
        let mut shown = Vec::new();
        assert!(texts(r#"{"a":"1","b":"2"}"#, |key| key == b"b", |key, value| shown.push((key, value))));
        assert_eq!(shown, [("b", "2")]);
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
            "{\"a\":\"b\"}x",
            "{\"a\":[[]",
            "{\"a\":,\"b\":1}",
            "{\"a\":1]}",
            "{\"a\":\"b\"\"c\":1}",
        ] {
            check(text, None);
        }
    }

    proptest::proptest! {
        #[test]
        fn it_finds_what_a_whole_reader_finds(
            texts in proptest::collection::btree_map(".{0,6}", ".{0,70}", 0..12),
            inner in "[\\[\\]{}\",:a ]{0,12}",
        ) {
            let mut object: serde_json::Map<_, _> = texts.into_iter().map(|(key, text)| (key, text.into())).collect();
            object.insert("nested".to_owned(), serde_json::json!([{"a": inner}, [inner, 1.5, null]]));
            let text = serde_json::Value::Object(object.clone()).to_string();
            object.remove("nested");
            let read = |raw: &str| serde_json::from_str::<String>(&format!("\"{raw}\"")).unwrap();
            let seen = shown(&text).unwrap().into_iter().map(|(key, value)| (read(key), read(value).into()));
            assert_eq!(seen.collect::<serde_json::Map<_, _>>(), object);
        }

        #[test]
        fn both_ways_agree_on_any_text(text in "\\{?[\\[\\]{}\",:\\\\a1 ü\n]{0,80}") {
            shown(&text);
        }

        #[test]
        fn both_ways_agree_on_lines_that_were_changed(
            members in proptest::collection::vec(("\"[a-z]{0,9}\"", "(\"[a-zü/ ]{0,40}\"|[0-9.]{1,9}|null|\\[1, \"]\"\\]|\"\\\\\"x\")", ":|: | :"), 0..12),
            between in ",|, | ,",
            changes in proptest::collection::vec((0..400usize, "[\\[\\]{}\",:\\\\a1 ü]{0,2}"), 0..3),
        ) {
            let members: Vec<_> = members.into_iter().map(|(key, value, colon)| key + &colon + &value).collect();
            let mut text = format!("{{{}}}", members.join(&between));
            shown(&text).unwrap();
            for (at, new) in changes {
                let chars: Vec<char> = text.chars().collect();
                let Some(at) = at.checked_rem(chars.len()) else { continue };
                let (before, behind) = chars.split_at(at);
                text = before.iter().copied().chain(new.chars()).chain(behind[1..].iter().copied()).collect();
                shown(&text);
            }
        }
    }
}
