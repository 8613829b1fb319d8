//! URIs (RFC 3986) taken apart: absolute ones, paths, and queries that begin with a question mark.

use percent_encoding::percent_decode_str;

use super::read::Failed;
use super::value::{Map, Value};

/// The parts of a URI: `scheme`, `user`, `host`, `port`, `path`, as far as they are there, and `query`, whose values are lists
/// because a key may stand several times. Passwords are left out.
///
/// # Errors
/// When it is none.
pub fn parts(text: &str) -> Result<Map<'static>, Failed> {
    let bad = |what: &str| Failed::from(format!("it is no URI: {what}"));
    if let Some(at) = text.find(|c: char| c <= ' ' || c == '\u{7f}') {
        return Err(bad(&format!("a character that must be escaped stands at byte {at}")));
    }
    let mut map = Map::default();
    let mut set = |key: &'static str, value: String| {
        if !value.is_empty() {
            map.set(key, Value::text(value));
        }
    };
    let text = text.split_once('#').map_or(text, |(before, _)| before);
    let (before, query) = text.split_once('?').map_or((text, None), |(before, query)| (before, Some(query)));
    let mut path = before;
    let is_relative = before.starts_with('/') || before.is_empty() && query.is_some();
    if !is_relative {
        let (scheme, rest) = before
            .split_once(':')
            .filter(|(scheme, _)| is_scheme(scheme))
            .ok_or_else(|| bad("it begins neither with a scheme such as https: nor with / or ?"))?;
        set("scheme", scheme.to_ascii_lowercase());
        path = rest;
        if let Some(rest) = rest.strip_prefix("//") {
            let end = rest.find('/').unwrap_or(rest.len());
            let authority = &rest[..end];
            path = &rest[end..];
            let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
            set("user", decoded(user.split_once(':').map_or(user, |(user, _)| user))?);
            let (host, port) = host_and_port(host).ok_or_else(|| bad("its port is no number"))?;
            set("host", decoded(host)?);
            set("port", port.to_owned());
        }
    }
    set("path", decoded(path)?);
    if let Some(query) = query.filter(|query| !query.is_empty()) {
        map.set("query", Value::Map(pairs(query)?));
    }
    Ok(map)
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}

/// An address of IPv6 stands in brackets, which are taken off.
fn host_and_port(text: &str) -> Option<(&str, &str)> {
    let (host, rest) = match text.strip_prefix('[') {
        Some(inside) => inside.split_once(']')?,
        None => text.split_at(text.rfind(':').unwrap_or(text.len())),
    };
    let port = if rest.is_empty() { "" } else { rest.strip_prefix(':')? };
    port.bytes().all(|b| b.is_ascii_digit()).then_some((host, port))
}

fn pairs(query: &str) -> Result<Map<'static>, Failed> {
    let mut map = Map::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let [key, value] = [key, value].map(|text| decoded(&text.replace('+', " ")));
        let (key, value) = (key?, Value::text(value?));
        match map.get_mut(&key) {
            Some(Value::List(values)) => values.push(value),
            _ => map.set(key, Value::List(vec![value])),
        }
    }
    Ok(map)
}

fn decoded(text: &str) -> Result<String, Failed> {
    let is_whole = |at: usize| text.as_bytes().get(at + 1..at + 3).is_some_and(|d| d.iter().all(u8::is_ascii_hexdigit));
    if let Some((at, _)) = text.match_indices('%').find(|(at, _)| !is_whole(*at)) {
        return Err(format!(
            "it is no URI: {:?} is no escape of two hex digits",
            text[at..].chars().take(3).collect::<String>()
        )
        .into());
    }
    Ok(percent_decode_str(text).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::super::tests::json_text;
    use super::*;

    #[test]
    fn uris_are_taken_apart() {
        for (text, want) in [
            (
                "https://dev:pass@example.com:8443/v1/a%20b?user_id=2&token=001&token=&flag#part",
                r#"{scheme:"https",user:"dev",host:"example.com",port:"8443",path:"/v1/a b",query:{user_id:List([Text("2")]),token:List([Text("001"), Text("")]),flag:List([Text("")])}}"#,
            ),
            ("/app?user=a+b%2Bc", r#"{path:"/app",query:{user:List([Text("a b+c")])}}"#),
            ("?env=stage", r#"{query:{env:List([Text("stage")])}}"#),
            ("HTTP://[2001:db8::1]:80", r#"{scheme:"http",host:"2001:db8::1",port:"80"}"#),
            ("mailto:a@b.c", r#"{scheme:"mailto",path:"a@b.c"}"#),
            ("//host/path", r#"{path:"//host/path"}"#),
        ] {
            assert_eq!(json_text(&Value::Map(parts(text).unwrap())), want, "{text}");
        }
    }

    #[test]
    fn what_is_no_uri_is_an_error_that_says_why() {
        for (text, why) in [
            ("", "begins neither"),
            ("no uri", "at byte 2"),
            ("app?a=b", "begins neither"),
            ("1:x", "begins neither"),
            ("http://host:port/", "its port is no number"),
            ("/a%2", "\"%2\" is no escape"),
            ("?a=%zz", "\"%zz\" is no escape"),
        ] {
            let error = parts(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
