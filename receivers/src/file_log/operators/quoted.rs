//! Texts in quotes, as Go writes them.

/// The text that stands in quotes: in double ones with Go's escapes, in back quotes as it is, in single ones a character.
/// `None` where it does not stand in quotes, or an escape is none.
pub fn unquoted(text: &str) -> Option<String> {
    let quote = text.chars().next().filter(|quote| matches!(quote, '"' | '\'' | '`'))?;
    let inside = text.get(1..)?.strip_suffix(quote)?;
    if quote == '`' {
        return (!inside.contains('`')).then(|| inside.replace('\r', ""));
    }
    let mut out = Vec::with_capacity(inside.len());
    let mut rest = inside.chars();
    let mut units = 0;
    while let Some(c) = rest.next() {
        units += 1;
        match c {
            '\n' => return None,
            '\\' => escape(&mut rest, quote, &mut out)?,
            c if c == quote => return None,
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    if quote == '\'' && units != 1 {
        return None;
    }
    // Escapes of bytes can write what is no text.
    Some(String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

fn escape(rest: &mut std::str::Chars<'_>, quote: char, out: &mut Vec<u8>) -> Option<()> {
    let simple = match rest.next()? {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        '\\' => b'\\',
        c if c == quote => c.to_string().as_bytes()[0],
        'x' => u8::try_from(number(rest, 2, 16)?).ok()?,
        c @ '0'..='7' => u8::try_from(c.to_digit(8)? * 64 + number(rest, 2, 8)?).ok()?,
        c @ ('u' | 'U') => {
            let code = number(rest, if c == 'u' { 4 } else { 8 }, 16)?;
            out.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut [0; 4]).as_bytes());
            return Some(());
        }
        _ => return None,
    };
    out.push(simple);
    Some(())
}

fn number(rest: &mut std::str::Chars<'_>, digits: usize, radix: u32) -> Option<u32> {
    (0..digits).try_fold(0u32, |number, _| number.checked_mul(radix)?.checked_add(rest.next()?.to_digit(radix)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_in_quotes_are_read_as_go_reads_them() {
        for (text, want) in [
            (r#""hello""#, Some("hello")),
            (r#""a\"b\\\t\u00e9\x41\101\U0001F600""#, Some("a\"b\\\té\x41\x41😀")),
            ("`raw \\n \"x\"`", Some("raw \\n \"x\"")),
            ("'v'", Some("v")),
            ("'\\''", Some("'")),
            ("'\"'", Some("\"")),
            (r#""\xff""#, Some("\u{fffd}")),
            ("plain", None),
            ("", None),
            ("\"", None),
            ("\"a'", None),
            (r#""a"b""#, None),
            (r#""\'""#, None),
            (r#""\q""#, None),
            (r#""\u12""#, None),
            (r#""\400""#, None),
            ("\"a\nb\"", None),
            ("'vv'", None),
            ("``x`", None),
        ] {
            assert_eq!(unquoted(text).as_deref(), want, "{text}");
        }
    }
}
