//! Go's regular expressions (RE2) in the words of the `regex` crate. What Go takes and means is kept: classes such as
//! `\d` are ASCII, nothing nests inside brackets, `\Q…\E` quotes, any punctuation may be escaped.

use regex::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::literal::Extractor;

/// Compiles `pattern` as the collector does: it matches anywhere in a text, and `.` matches no line break.
///
/// # Errors
/// What is wrong with it.
pub fn regex(pattern: &str) -> Result<Regex, String> {
    let compile = |text: &str| RegexBuilder::new(text).octal(true).build();
    compile(&translated(pattern)?).map_err(|error| not_one(pattern, &reason(&error)))
}

/// Compiles `pattern` for bytes of several lines: `^` and `$` match at each line's ends, too.
///
/// # Errors
/// What is wrong with it.
pub fn multiline(pattern: &str) -> Result<regex::bytes::Regex, String> {
    let compile = |text: &str| regex::bytes::RegexBuilder::new(text).octal(true).multi_line(true).build();
    compile(&translated(pattern)?).map_err(|error| not_one(pattern, &reason(&error)))
}

/// Compiles several like [`regex()`], to find out at once whether one of them matches.
///
/// # Errors
/// The index of the first that does not compile, and what is wrong with it.
pub fn regex_set(patterns: &[String]) -> Result<RegexSet, (usize, String)> {
    let mut all = Vec::with_capacity(patterns.len());
    for (i, pattern) in patterns.iter().enumerate() {
        regex(pattern).map_err(|why| (i, why))?;
        all.push(translated(pattern).map_err(|why| (i, why))?);
    }
    RegexSetBuilder::new(all).octal(true).build().map_err(|error| (0, reason(&error)))
}

/// Compiles several like [`regex()`] into one, which matches where one of them does.
///
/// # Errors
/// What is wrong with one of them, or with all together.
pub fn any_of(patterns: &[String]) -> Result<Regex, String> {
    let mut all = Vec::with_capacity(patterns.len());
    for pattern in patterns {
        regex(pattern)?;
        all.push(format!("(?:{})", translated(pattern)?));
    }
    RegexBuilder::new(&all.join("|")).octal(true).build().map_err(|error| reason(&error))
}

/// Beginnings of what patterns match that are shorter than this stand in every text.
const SHORTEST_BEGINNING: usize = 3;

/// What is in every text that one of the patterns matches, so that many texts, with whatever stands between them, can be
/// searched at once; `None` where there is nothing of that kind, or hardly anything.
#[must_use]
pub fn beginnings(patterns: &[String]) -> Option<regex::bytes::Regex> {
    let mut all = Vec::new();
    for pattern in patterns {
        let parsed = ParserBuilder::new().octal(true).build().parse(&translated(pattern).ok()?).ok()?;
        let mut beginnings = Extractor::new().extract(&parsed);
        beginnings.optimize_for_prefix_by_preference();
        for literal in beginnings.literals()? {
            all.push(bytes_as_pattern(literal.as_bytes()));
            if literal.len() < SHORTEST_BEGINNING {
                return None;
            }
        }
    }
    regex::bytes::Regex::new(&all.join("|")).ok().filter(|_| !all.is_empty())
}

/// A pattern of exactly those bytes: a beginning may end within a character.
fn bytes_as_pattern(bytes: &[u8]) -> String {
    let bytes: String = bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect();
    format!("(?-u:{bytes})")
}

/// Compiles `pattern` so that it matches whole texts only, line breaks included, as Prometheus does.
///
/// # Errors
/// What is wrong with it.
pub fn anchored(pattern: &str) -> Result<Regex, String> {
    let translated = translated(pattern)?;
    // Compiled alone first, so that a pattern such as `a)(b` cannot hide behind the group around it.
    let build = |text: &str| RegexBuilder::new(text).octal(true).dot_matches_new_line(true).build();
    build(&translated)
        .and_then(|_| build(&format!("^(?:{translated})$")))
        .map_err(|error| not_one(pattern, &reason(&error)))
}

fn translated(pattern: &str) -> Result<String, String> {
    translate(pattern).map_err(|why| not_one(pattern, &why))
}

fn not_one(pattern: &str, why: &str) -> String {
    format!("{pattern:?} is not a regular expression: {why}")
}

/// The last line of the crate's message is the reason, the ones before draw the place.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let line = text.lines().last().unwrap_or_default().trim();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

fn translate(pattern: &str) -> Result<String, String> {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\\' => rest = escape(rest, &mut out, false)?,
            '[' => rest = class(rest, &mut out)?,
            '{' if !is_count(rest) => out.push_str("\\{"),
            c => out.push(c),
        }
    }
    Ok(out)
}

/// Whether what follows a brace makes it a count: `2}`, `2,}`, `2,5}`. Any other brace is a plain character for Go.
fn is_count(rest: &str) -> bool {
    let Some((inside, _)) = rest.split_once('}') else { return false };
    let (least, most) = inside.split_once(',').unwrap_or((inside, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    !least.is_empty() && digits(least) && digits(most)
}

/// What follows a backslash.
fn escape<'a>(rest: &'a str, out: &mut String, in_class: bool) -> Result<&'a str, String> {
    let Some(c) = rest.chars().next() else {
        return Err("it ends with a backslash".to_owned());
    };
    let after = &rest[c.len_utf8()..];
    match c {
        'Q' if !in_class => {
            let (quoted, after) = after.split_once("\\E").unwrap_or((after, ""));
            out.push_str(&regex::escape(quoted));
            return Ok(after);
        }
        'E' if !in_class => {}
        'd' => out.push_str("[0-9]"),
        'D' => out.push_str("[^0-9]"),
        's' => out.push_str("[\\t\\n\\f\\r ]"),
        'S' => out.push_str("[^\\t\\n\\f\\r ]"),
        'w' => out.push_str("[0-9A-Za-z_]"),
        'W' => out.push_str("[^0-9A-Za-z_]"),
        'b' if !in_class => out.push_str("(?-u:\\b)"),
        'B' if !in_class => out.push_str("(?-u:\\B)"),
        'C' => return Err("\\C (a single byte) is not available".to_owned()),
        '<' | '>' => out.push(c),
        c => {
            out.push('\\');
            out.push(c);
            if matches!(c, 'p' | 'P' | 'x')
                && let Some(end) = after.starts_with('{').then(|| after.find('}')).flatten()
            {
                out.push_str(&after[..=end]);
                return Ok(&after[end + 1..]);
            }
        }
    }
    Ok(after)
}

/// The inside of `[…]`.
fn class<'a>(mut rest: &'a str, out: &mut String) -> Result<&'a str, String> {
    out.push('[');
    if let Some(after) = rest.strip_prefix('^') {
        out.push('^');
        rest = after;
    }
    let mut first = true;
    loop {
        let Some(c) = rest.chars().next() else {
            return Err("it has a [ without its ]".to_owned());
        };
        rest = &rest[c.len_utf8()..];
        match c {
            ']' if !first => {
                out.push(']');
                return Ok(rest);
            }
            '\\' => rest = escape(rest, out, true)?,
            '[' if rest.starts_with(':') && rest.contains(":]") => {
                let end = rest.find(":]").map_or(0, |at| at + 2);
                out.push('[');
                out.push_str(&rest[..end]);
                rest = &rest[end..];
            }
            // Set operations of the crate, plain characters for Go.
            '[' | ']' | '&' | '~' => {
                out.push('\\');
                out.push(c);
            }
            '-' if first || rest.starts_with(']') => out.push_str("\\-"),
            c => out.push(c),
        }
        first = false;
    }
}

#[cfg(test)]
mod tests {
    use super::{anchored, any_of, beginnings, regex, regex_set};

    #[track_caller]
    fn check(pattern: &str, matching: &[&str], others: &[&str]) {
        let regex = anchored(pattern).unwrap();
        matching.iter().for_each(|text| assert!(regex.is_match(text), "{pattern} should match {text:?}"));
        others.iter().for_each(|text| assert!(!regex.is_match(text), "{pattern} should not match {text:?}"));
    }

    #[test]
    fn whole_texts_match_line_breaks_included() {
        check("foo", &["foo"], &["foobar", "xfoo", ""]);
        check("foo|bar", &["foo", "bar"], &["foox", "xbar"]);
        check("f.o", &["foo", "f\no"], &[]);
        check("(.*)", &["", "a\nb"], &[]);
        check("", &[""], &["a"]);
    }

    #[test]
    fn parts_of_texts_match_where_nothing_anchors() {
        let lines = super::multiline("^b$").unwrap();
        assert_eq!(lines.find(b"a\nb\nc\xff").map(|found| found.range()), Some(2..3));
        let regex = regex(r"\Qa.b\E|^c.d$").unwrap();
        assert!(regex.is_match("xa.by") && regex.is_match("c-d") && !regex.is_match("c\nd"));
        let set = |patterns: &[&str]| regex_set(&patterns.iter().map(|&p| p.to_owned()).collect::<Vec<_>>());
        assert!(set(&["x", r"^\d$"]).unwrap().is_match("7"));
        assert!(!set(&["x", r"^\d$"]).unwrap().is_match("\u{661}"));
        assert_eq!(set(&["x", "("]).unwrap_err().0, 1);
    }

    fn owned(patterns: &[&str]) -> Vec<String> {
        patterns.iter().map(|&pattern| pattern.to_owned()).collect()
    }

    #[test]
    fn several_in_one_match_where_one_of_them_does() {
        let any = any_of(&owned(&["(?i)abc", "^x|y$", r"\d{3}"])).unwrap();
        assert!(["-ABC", "x-", "-y", "1234"].iter().all(|text| any.is_match(text)));
        assert!(["ab", "-x", "y-", "12"].iter().all(|text| !any.is_match(text)));
        assert!(any_of(&owned(&["a)|(b"])).is_err(), "each stands for itself");
    }

    #[test]
    fn beginnings_are_in_whatever_the_patterns_match() {
        let patterns =
            [r"sk-[A-Za-z0-9]{16,}", r"(?i)\bbearer\s+\S+", "^(alpha|beta)$", r"\Qa.b\E.*x", "\u{e4}\u{f6}[0-9]"];
        let search = beginnings(&owned(&patterns)).unwrap();
        for text in ["sk-0123456789abcdef", "BeArEr x", "alpha", "beta", "a.b-x", "\u{e4}\u{f6}7"] {
            let there = [b"\xff\x00", text.as_bytes(), b"\xfe"].concat();
            assert!(patterns.iter().any(|pattern| regex(pattern).unwrap().is_match(text)), "{text}");
            assert!(search.is_match(&there), "{text}");
        }
        assert!(!search.is_match(b"sk_ bex alp bet aXb \xc3\xa4"));
    }

    #[test]
    fn there_is_no_search_for_what_begins_with_anything_or_is_everywhere() {
        for pattern in ["[0-9]{13,16}", ".*secret", "a|", "ab", "4[0-9]?", "(?:x|yz)w*", ""] {
            assert!(beginnings(&owned(&["secret", pattern])).is_none(), "{pattern}");
        }
        assert!(beginnings(&[]).is_none());
    }

    #[test]
    fn classes_are_ascii_as_in_go() {
        check(r"\d+", &["12"], &["\u{661}"]);
        check(r"\w", &["_"], &["\u{e4}"]);
        check(r"\W", &["\u{e4}"], &["a"]);
        check(r"[\d\s]+", &["1 2"], &["x"]);
        check(r"[^\w]", &["-"], &["a"]);
        check(r"a\b.b", &["a-b"], &["axb"]);
        check(r"\pL+", &["\u{e4}b"], &["1"]);
    }

    #[test]
    fn brackets_hold_plain_characters() {
        check("[a[b]", &["a", "[", "b"], &["]"]);
        check("[]a]", &["]", "a"], &["["]);
        check("[^]a]", &["b"], &["]", "a"]);
        check("[a&&b]", &["a", "&", "b"], &[]);
        check("[a~~b]", &["~"], &[]);
        check("[-a]", &["-", "a"], &[]);
        check("[a-]", &["-", "a"], &["b"]);
        check("[[:alpha:]_]+", &["ab_"], &["1"]);
        check("[a-c]", &["b"], &["-"]);
    }

    #[test]
    fn quotes_and_escapes_are_gos() {
        check(r"\Qa.b\E+", &["a.b", "a.bb"], &["axb"]);
        check(r"\Qa.b", &["a.b"], &["axb"]);
        check(r"\/\-\<\>\:", &["/-<>:"], &[]);
        check(r"\x41\101\x{41}\p{Lu}", &["AAAA"], &[]);
        check("^{x{1,2}}{,2}{", &["{x}{,2}{", "{xx}{,2}{"], &["{xxx}{,2}{"]);
        check("(?i)prod", &["PROD"], &[]);
        check("(?P<x>a)", &["a"], &[]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (pattern, part) in [
            ("(", "unclosed group"),
            ("a)(b", "unopened group"),
            ("[a", "without its ]"),
            ("a\\", "ends with a backslash"),
            ("*", "missing expression"),
            (r"\C", "single byte"),
        ] {
            let error = anchored(pattern).unwrap_err();
            assert!(error.contains(part), "{pattern}: {error}");
        }
    }
}
