//! Where a URL leads: scheme, host and port.

use std::fmt;

use http::Uri;

use crate::config::without_userinfo;

/// The far end of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    /// Whether TLS is spoken.
    pub tls: bool,
    /// A name or an address; IPv6 without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

impl Origin {
    /// The origin of an absolute `http://` or `https://` URL.
    ///
    /// # Errors
    /// What is wrong with the URL, and what would work.
    pub fn of(url: &Uri) -> Result<Origin, String> {
        let tls = match url.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(other) => return Err(format!("the scheme {other:?} is not known, use http or https")),
            None => return Err(format!("{url} has no scheme, use http://{url} or https://{url}")),
        };
        let host = url.host().unwrap_or_default();
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        if host.is_empty() {
            return Err(format!("{url} has no host"));
        }
        let port = url.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(Origin { tls, host: host.to_owned(), port })
    }

    /// `host:port` as a socket wants it.
    pub fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address())
    }
}

/// An absolute `http://` or `https://` URL.
///
/// # Errors
/// What is wrong with the text, and what would work.
pub fn parse_url(text: &str) -> Result<Uri, String> {
    if !text.is_empty() && !text.contains("://") && !text.contains(char::is_whitespace) {
        return Err(format!("{text} has no scheme, use http://{text} or https://{text}"));
    }
    if text.is_empty() {
        return Err("a URL is needed, such as http://localhost:4318".to_owned());
    }
    if *without_userinfo(text) != *text {
        return Err("user and password in a URL are not supported, send an authorization header".to_owned());
    }
    let url: Uri = text.parse().map_err(|e| format!("{text:?} is not a URL: {e}"))?;
    Origin::of(&url)?;
    Ok(url)
}

/// A URL as logs and errors show it: what is asked for in its query may be secret.
pub struct Shown<'a>(pub &'a Uri);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        let (place, query) = text.split_once('?').map_or((text.as_str(), ""), |(place, _)| (place, "?…"));
        write!(f, "{}{query}", without_userinfo(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, expected: Result<&str, &str>) {
        let found = parse_url(url).map(|u| Origin::of(&u).unwrap()).map(|o| format!("{}|{o}", o.tls));
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
            (found, expected) => panic!("{url}: {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn a_url_names_its_origin_or_says_what_is_missing() {
        check("http://a", Ok("false|a:80"));
        check("https://a.b:1/x?y", Ok("true|a.b:1"));
        check("http://[::1]:4318", Ok("false|[::1]:4318"));
        check("", Err("a URL is needed"));
        check("localhost:4318", Err("scheme"));
        check("/v1/traces", Err("use http://"));
        check("ftp://a", Err("use http or https"));
        check("http://u:p@a", Err("authorization header"));
        let error = parse_url("http://u:s3cr3t@a b").unwrap_err();
        assert!(!error.contains("s3cr3t"), "{error}");
    }

    #[test]
    fn a_url_is_shown_without_what_may_be_secret() {
        let shown = |url: &str| Shown(&url.parse().unwrap()).to_string();
        assert_eq!(shown("https://a:1/v1/traces"), "https://a:1/v1/traces");
        assert_eq!(shown("https://u:p@a/x?api_key=s3cr3t"), "https://[REDACTED]@a/x?…");
    }
}
