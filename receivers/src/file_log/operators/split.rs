//! Text cut into fields: pairs of keys and values, and values with commas between them.

use super::read::Failed;
use super::value::{Map, Value};

/// Cuts `a=1 b="two words"` into pairs. Without a `pair_delimiter`, white space stands between pairs. Quotes around a
/// value, and around a whole pair, keep what is inside together and are taken off.
///
/// # Errors
/// A part without a delimiter; an empty text.
pub fn pairs(text: &str, delimiter: &str, pair_delimiter: &str) -> Result<Map<'static>, Failed> {
    let mut map = Map::default();
    for part in unquoted_parts(text, pair_delimiter) {
        let Some((key, value)) = part.split_once(delimiter) else {
            return Err(format!("{part:?} has no {delimiter:?} between a key and a value").into());
        };
        map.set(key.trim().to_owned(), Value::text(value.trim().to_owned()));
    }
    if map.iter().next().is_none() { Err("there are no pairs in it".into()) } else { Ok(map) }
}

/// The parts between delimiters outside quotes, without the quotes.
fn unquoted_parts(text: &str, delimiter: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut quote = None;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let at_delimiter = if delimiter.is_empty() { c.is_whitespace() } else { rest.starts_with(delimiter) };
        let mut len = c.len_utf8();
        match quote {
            Some(open) if open == c => quote = None,
            None if matches!(c, '"' | '\'') => quote = Some(c),
            None if at_delimiter => {
                len = len.max(delimiter.len());
                parts.push(String::new());
            }
            _ => {
                if let Some(last) = parts.last_mut() {
                    last.push(c);
                }
            }
        }
        rest = &rest[len..];
    }
    parts.retain(|part| !part.trim().is_empty());
    parts
}

/// How values with commas between them are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quotes {
    /// A quote may stand inside of a value.
    pub lazy: bool,
    /// Quotes are characters like others.
    pub ignored: bool,
}

/// Cuts `a,"b, c",d` into values, as RFC 4180 has them.
///
/// # Errors
/// A quote where none may be, or without its end.
pub fn values(text: &str, delimiter: char, quotes: Quotes) -> Result<Vec<String>, Failed> {
    if quotes.ignored {
        return Ok(text.split(delimiter).map(str::to_owned).collect());
    }
    let mut values = Vec::new();
    let mut rest = text;
    loop {
        let (value, after) = match rest.strip_prefix('"') {
            Some(inside) => quoted(inside, delimiter, quotes.lazy)?,
            None => {
                let end = rest.find(delimiter).unwrap_or(rest.len());
                if !quotes.lazy && rest[..end].contains('"') {
                    return Err("a quote stands inside of a value without quotes around it".into());
                }
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        values.push(value);
        match after.strip_prefix(delimiter) {
            Some(more) => rest = more,
            None => return Ok(values),
        }
    }
}

/// A value behind its opening quote, and what follows its closing one.
fn quoted(text: &str, delimiter: char, lazy: bool) -> Result<(String, &str), Failed> {
    let mut value = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('"') {
        value.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if rest.is_empty() || rest.starts_with(delimiter) {
            return Ok((value, rest));
        }
        if let Some(more) = rest.strip_prefix('"') {
            rest = more;
        } else if !lazy {
            return Err("something stands between a closing quote and the next value".into());
        }
        value.push('"');
    }
    if !lazy {
        return Err("a quote has no end".into());
    }
    value.push_str(rest);
    Ok((value, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_cut_with_quotes_kept_together() {
        let cut = |text, delimiter, between| {
            let map = pairs(text, delimiter, between)?;
            let all: Vec<_> = map.iter().map(|(k, v)| format!("{k}:{}", v.as_text().unwrap_or_default())).collect();
            Ok::<_, Failed>(all.join("|"))
        };
        assert_eq!(cut("a=1  b='two words' c=\"x=y\" d=", "=", "").unwrap(), "a:1|b:two words|c:x=y|d:");
        assert_eq!(cut("a: 1, b : é", ":", ",").unwrap(), "a:1|b:é");
        assert_eq!(cut("a==1!!b==2!!", "==", "!!").unwrap(), "a:1|b:2");
        assert_eq!(cut("a=1 b", "=", "").unwrap_err(), "\"b\" has no \"=\" between a key and a value");
        assert_eq!(cut("  ", "=", "").unwrap_err(), "there are no pairs in it");
    }

    #[test]
    fn values_are_cut_as_quotes_say() {
        let (strict, lazy, ignored) = (
            Quotes { lazy: false, ignored: false },
            Quotes { lazy: true, ignored: false },
            Quotes { lazy: false, ignored: true },
        );
        for (text, quotes, want) in [
            ("a,b,,é", strict, Some("a|b||é")),
            ("", strict, Some("")),
            ("a,\"b, \"\"c\"\"\",d", strict, Some("a|b, \"c\"|d")),
            ("\"a\nb\",", strict, Some("a\nb|")),
            ("a \"b\",c", strict, None),
            ("\"a\" b,c", strict, None),
            ("\"a", strict, None),
            ("a \"b\",c", lazy, Some("a \"b\"|c")),
            ("\"a\" b\",c", lazy, Some("a\" b|c")),
            ("\"a,b", ignored, Some("\"a|b")),
        ] {
            assert_eq!(values(text, ',', quotes).ok().map(|v| v.join("|")).as_deref(), want, "{text}");
        }
    }
}
