//! What must not be seen on a status page: parameters of URLs whose names say that they are secrets. Credentials of the
//! HTTP client never get as far as here.

use std::borrow::Cow;

use pipeline::config::REDACTED;

/// Parts of names of secrets, in lower case.
const SECRETS: [&str; 12] = [
    "token",
    "secret",
    "password",
    "passwd",
    "pwd",
    "apikey",
    "api_key",
    "api-key",
    "access_key",
    "credential",
    "auth",
    "signature",
];
/// Labels of discovery that hold a parameter of the URL.
const PARAMETER: &str = "__param_";
/// The label that holds the URL of a list of targets.
const URL: &str = "__meta_url";

/// A URL without its user and without the values of secret parameters.
pub fn url(url: &str) -> Cow<'_, str> {
    let (before, query) = url.split_once('?').unwrap_or((url, ""));
    let place = match before.split_once("://") {
        Some((scheme, rest)) => {
            let end = rest.find('/').unwrap_or(rest.len());
            let user = rest[..end].rfind('@');
            user.map(|at| format!("{scheme}://{}", &rest[at + 1..]))
        }
        None => None,
    };
    let is_secret = |pair: &str| pair.split_once('=').is_some_and(|(name, _)| is_secret(name));
    if place.is_none() && !query.split('&').any(is_secret) {
        return Cow::Borrowed(url);
    }
    let mut out = place.unwrap_or_else(|| before.to_owned());
    for (i, pair) in query.split('&').filter(|pair| !pair.is_empty()).enumerate() {
        out.push(if i == 0 { '?' } else { '&' });
        match pair.split_once('=') {
            Some((name, _)) if is_secret(pair) => out.extend([name, "=", REDACTED]),
            _ => out.push_str(pair),
        }
    }
    Cow::Owned(out)
}

/// The value of a label as it may be seen.
pub fn label<'a>(name: &str, value: &'a str) -> Cow<'a, str> {
    match name.strip_prefix(PARAMETER) {
        Some(parameter) if is_secret(parameter) => Cow::Borrowed(REDACTED),
        _ if name == URL => url(value),
        _ => Cow::Borrowed(value),
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    SECRETS.iter().any(|secret| name.contains(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_urls_are_not_seen() {
        for (given, expected) in [
            ("http://a:1/m?module=x&token=y", "http://a:1/m?module=x&token=[REDACTED]"),
            ("http://a/m?Api_Key=y&b", "http://a/m?Api_Key=[REDACTED]&b"),
            ("http://u:p@a/m", "http://a/m"),
            ("http://u:p@a", "http://a"),
            ("https://a/m@x?b=token", "https://a/m@x?b=token"),
            ("a", "a"),
        ] {
            assert_eq!(url(given), expected);
        }
        assert_eq!(label("__param_password", "x"), REDACTED);
        assert_eq!(label("__param_target", "x"), "x");
        assert_eq!(label("__meta_url", "http://a/?token=x"), "http://a/?token=[REDACTED]");
        assert_eq!(label("token", "x"), "x", "labels of series are no secrets");
    }
}
