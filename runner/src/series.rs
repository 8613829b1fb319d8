//! A series and its value in one line: `http_requests_total{job="api", pod=~"a.*"} 12 @5s`.

/// What a line says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// The name; empty where only labels are given.
    pub name: String,
    /// What is said of labels.
    pub labels: Vec<Label>,
    /// The value's text.
    pub value: Option<String>,
    /// The time's text, without its `@`.
    pub time: Option<String>,
}

/// What is said of one label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub name: String,
    /// Its value, or a regular expression for it.
    pub value: String,
    /// Whether it is a regular expression.
    pub is_pattern: bool,
}

/// Reads a line.
///
/// # Errors
/// What is wrong with it.
pub fn parse(text: &str) -> Result<Series, String> {
    let mut out = Series::default();
    let text = text.trim();
    let head = text.find(|c: char| c == '{' || c.is_whitespace()).unwrap_or(text.len());
    text[..head].clone_into(&mut out.name);
    let mut rest = text[head..].trim_start();
    if let Some(mut inside) = rest.strip_prefix('{') {
        loop {
            inside = inside.trim_start_matches([' ', ',', '\t']);
            if let Some(behind) = inside.strip_prefix('}') {
                rest = behind.trim_start();
                break;
            }
            let (label, behind) = label(inside)?;
            if out.name.is_empty() && label.name == "__name__" && !label.is_pattern {
                out.name = label.value;
            } else {
                out.labels.push(label);
            }
            inside = behind;
        }
    }
    for word in rest.split_whitespace() {
        match word.strip_prefix('@') {
            Some(time) if out.time.is_none() => out.time = Some(time.to_owned()),
            None if out.value.is_none() && out.time.is_none() => out.value = Some(word.to_owned()),
            _ => return Err(format!("{word:?} is too much: a series is name{{label=\"value\"}} value @time")),
        }
    }
    Ok(out)
}

/// A label at the start of a text, and what stands behind it.
fn label(text: &str) -> Result<(Label, &str), String> {
    let (name, rest) = if text.starts_with('"') {
        let (name, rest) = quoted(text)?;
        (name, rest.trim_start())
    } else {
        let end = text.find(['=', '!', ' ', '}', ',']).unwrap_or(text.len());
        (text[..end].to_owned(), text[end..].trim_start())
    };
    if rest.starts_with([',', '}']) && text.starts_with('"') {
        return Ok((Label { name: "__name__".to_owned(), value: name, is_pattern: false }, rest));
    }
    let (rest, is_pattern) = match (rest.strip_prefix("=~"), rest.strip_prefix('=')) {
        (Some(rest), _) => (rest, true),
        (_, Some(rest)) => (rest, false),
        _ => return Err(format!("the label {name:?} needs =\"value\" or =~\"pattern\"")),
    };
    let (value, rest) = quoted(rest.trim_start())?;
    Ok((Label { name, value, is_pattern }, rest))
}

/// A text in quotes, and what stands behind it.
fn quoted(text: &str) -> Result<(String, &str), String> {
    let wrong = || format!("a value in quotes is needed at {text:?}");
    let mut out = String::new();
    let mut letters = text.strip_prefix('"').ok_or_else(wrong)?.chars();
    loop {
        match letters.next().ok_or_else(wrong)? {
            '"' => return Ok((out, letters.as_str())),
            '\\' => match letters.next().ok_or_else(wrong)? {
                'n' => out.push('\n'),
                't' => out.push('\t'),
                'r' => out.push('\r'),
                'x' => out.push(code(letters.by_ref().take(2)).ok_or_else(wrong)?),
                'u' => out.push(code(letters.by_ref().take(4)).ok_or_else(wrong)?),
                'U' => out.push(code(letters.by_ref().take(8)).ok_or_else(wrong)?),
                other => out.push(other),
            },
            other => out.push(other),
        }
    }
}

fn code(digits: impl Iterator<Item = char>) -> Option<char> {
    let digits: String = digits.collect();
    char::from_u32(u32::from_str_radix(&digits, 16).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_read_with_its_labels_value_and_time() {
        let series = parse(r#"up{job="a b", pod=~"x.*"} 1.5 @-2s"#).unwrap();
        assert_eq!(
            (series.name.as_str(), series.value.as_deref(), series.time.as_deref()),
            ("up", Some("1.5"), Some("-2s"))
        );
        let labels: Vec<_> = series.labels.iter().map(|l| (l.name.as_str(), l.value.as_str(), l.is_pattern)).collect();
        assert_eq!(labels, [("job", "a b", false), ("pod", "x.*", true)]);
        assert_eq!(parse("up").unwrap().name, "up");
        assert_eq!(parse(r#"{"my.metric", a="\"\\\n"} 1"#).unwrap().name, "my.metric");
        assert_eq!(parse(r#"{a="\"\\\n\u00e9"}"#).unwrap().labels[0].value, "\"\\\né");
    }

    #[test]
    fn what_is_no_series_says_why() {
        for (text, words) in [
            ("up{job}", "needs =\"value\""),
            ("up{job=a}", "a value in quotes"),
            ("up{job=\"a", "a value in quotes"),
            ("up 1 2", "too much"),
        ] {
            assert!(parse(text).unwrap_err().contains(words), "{text}");
        }
    }
}
