//! How somebody is asked: credentials, headers, redirects (Prometheus' HTTP client config).

use std::collections::BTreeMap;
use std::path::Path;

use http::{HeaderMap, HeaderName, HeaderValue};
use pipeline::config::{Opaque, Problem, Text};
use pipeline::net::secret::Secret;
use serde::Deserialize;

use super::oauth2::OAuth2;
use super::proxy::ProxyConfig;
use super::tls::TlsConfig;

/// Headers that a config may not set, because they are ours or the connection's.
const RESERVED: [&str; 12] = [
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "user-agent",
    "x-prometheus-scrape-timeout-seconds",
];

/// The keys of a scrape config that say how its targets are asked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, rename = "ScrapeHttp")]
pub struct HttpConfig {
    /// User and password.
    pub basic_auth: Option<BasicAuth>,
    /// A token.
    pub authorization: Option<Authorization>,
    /// A token, as Prometheus wrote it before.
    pub bearer_token: Opaque,
    /// A file with the token.
    pub bearer_token_file: String,
    /// A token that somebody else gives.
    pub oauth2: Option<OAuth2>,
    /// TLS for `https`.
    pub tls_config: TlsConfig,
    /// Go where a redirect points to.
    pub follow_redirects: bool,
    /// Offer HTTP/2 in TLS handshakes.
    pub enable_http2: bool,
    /// Further headers.
    pub http_headers: BTreeMap<String, HeaderValues>,
    /// What stands between.
    #[serde(rename = "~proxy")]
    pub proxy: ProxyConfig,
}

impl Default for HttpConfig {
    fn default() -> HttpConfig {
        HttpConfig {
            basic_auth: None,
            authorization: None,
            bearer_token: Opaque::default(),
            bearer_token_file: String::new(),
            oauth2: None,
            tls_config: TlsConfig::default(),
            follow_redirects: true,
            enable_http2: true,
            http_headers: BTreeMap::new(),
            proxy: ProxyConfig::default(),
        }
    }
}

/// `basic_auth`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct BasicAuth {
    /// The user.
    pub username: Text,
    /// A file with the user.
    pub username_file: String,
    /// The password.
    pub password: Opaque,
    /// A file with the password.
    pub password_file: String,
}

/// `authorization`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Authorization {
    /// The word before the credentials.
    #[serde(rename = "type")]
    pub kind: String,
    /// The credentials.
    pub credentials: Opaque,
    /// A file with them.
    pub credentials_file: String,
}

impl Default for Authorization {
    fn default() -> Authorization {
        Authorization { kind: "Bearer".to_owned(), credentials: Opaque::default(), credentials_file: String::new() }
    }
}

/// The values of one header.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct HeaderValues {
    /// As they are.
    pub values: Vec<Text>,
    /// Never shown.
    pub secrets: Vec<Opaque>,
    /// Files with values.
    pub files: Vec<String>,
}

/// What an `authorization` header is made of; files are read anew for each request.
#[derive(Clone, Debug, Default)]
pub enum Credentials {
    /// None.
    #[default]
    Absent,
    /// `Basic`, from a user and a password.
    Basic(Secret, Secret),
    /// A word and what follows it.
    Token(String, Secret),
    /// Whatever the one who gives tokens gives.
    OAuth2(Box<OAuth2>),
}

impl HttpConfig {
    /// Everything wrong with it.
    pub(super) fn check(&self, path: &str, problems: &mut Vec<Problem>) {
        let mut problem = |key: &str, message: String| problems.push(Problem::at(format!("{path}.{key}"), message));
        let token = (!self.bearer_token.0.is_empty(), !self.bearer_token_file.is_empty());
        let used: Vec<&str> = [
            ("basic_auth", self.basic_auth.is_some()),
            ("authorization", self.authorization.is_some()),
            ("oauth2", self.oauth2.is_some()),
            ("bearer_token", token.0),
            ("bearer_token_file", token.1),
        ]
        .iter()
        .filter(|(_, used)| *used)
        .map(|(name, _)| *name)
        .collect();
        if let [.., last] = used[..]
            && used.len() > 1
        {
            problem(last, format!("only one of {} can be used", used.join(", ")));
        }
        let mut both = |key: &str, given: bool, file: &str| {
            if given && !file.is_empty() {
                problem(&format!("{key}_file"), format!("give {key} or {key}_file, not both"));
            }
        };
        if let Some(basic) = &self.basic_auth {
            both("basic_auth.username", !basic.username.is_empty(), &basic.username_file);
            both("basic_auth.password", !basic.password.0.is_empty(), &basic.password_file);
        }
        if let Some(authorization) = &self.authorization {
            both("authorization.credentials", !authorization.credentials.0.is_empty(), &authorization.credentials_file);
            if authorization.kind.trim().eq_ignore_ascii_case("basic") {
                problem("authorization.type", "use basic_auth for the type Basic".to_owned());
            }
        }
        if let Some(oauth2) = &self.oauth2 {
            oauth2.check(&format!("{path}.oauth2"), problems);
        }
        self.proxy.check(path, problems);
        self.tls_config.check(&format!("{path}.tls_config"), problems);
        self.check_headers(path, problems);
    }

    fn check_headers(&self, path: &str, problems: &mut Vec<Problem>) {
        for (name, values) in &self.http_headers {
            let path = format!("{path}.http_headers.{name}");
            match HeaderName::try_from(name) {
                Err(_) => problems.push(Problem::at(&path, format!("{name:?} cannot be a header name"))),
                Ok(name) if RESERVED.contains(&name.as_str()) => {
                    problems.push(Problem::at(&path, format!("the header {name} cannot be set here")));
                }
                Ok(_) => {}
            }
            let given = values.values.iter().map(|v| v.0.as_str()).chain(values.secrets.iter().map(|s| s.0.as_str()));
            if given.into_iter().any(|value| HeaderValue::try_from(value).is_err()) {
                problems.push(Problem::at(&path, "a value has characters that a header cannot have"));
            }
        }
    }

    /// Takes relative paths of files as below `folder`.
    pub fn below(&mut self, folder: &Path) {
        let basic = self.basic_auth.iter_mut().flat_map(|b| [&mut b.username_file, &mut b.password_file]);
        let token = self.authorization.iter_mut().map(|a| &mut a.credentials_file);
        let headers = self.http_headers.values_mut().flat_map(|values| &mut values.files);
        basic.chain(token).chain(headers).chain([&mut self.bearer_token_file]).for_each(|file| below(file, folder));
        self.tls_config.below(folder);
        if let Some(oauth2) = &mut self.oauth2 {
            below(&mut oauth2.client_secret_file, folder);
            oauth2.tls_config.below(folder);
        }
    }

    /// What goes into `authorization`.
    pub fn credentials(&self) -> Credentials {
        if let Some(basic) = &self.basic_auth {
            return Credentials::Basic(
                Secret::of(&basic.username, &basic.username_file),
                Secret::of(&basic.password.0, &basic.password_file),
            );
        }
        if let Some(oauth2) = &self.oauth2 {
            return Credentials::OAuth2(Box::new(oauth2.clone()));
        }
        if let Some(of) = &self.authorization {
            let word = if of.kind.trim().is_empty() { "Bearer" } else { of.kind.trim() };
            return Credentials::Token(word.to_owned(), Secret::of(&of.credentials.0, &of.credentials_file));
        }
        if self.bearer_token.0.is_empty() && self.bearer_token_file.is_empty() {
            return Credentials::Absent;
        }
        Credentials::Token("Bearer".to_owned(), Secret::of(&self.bearer_token.0, &self.bearer_token_file))
    }

    /// The further headers that do not come from files.
    pub fn headers(&self) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, values) in &self.http_headers {
            let plain = values.values.iter().map(|value| (value.0.as_str(), false));
            for (value, secret) in plain.chain(values.secrets.iter().map(|secret| (secret.0.as_str(), true))) {
                if let (Ok(name), Ok(mut value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                    value.set_sensitive(secret);
                    map.append(name, value);
                }
            }
        }
        map
    }

    /// The further headers that come from files.
    pub fn header_files(&self) -> Vec<(HeaderName, String)> {
        let all = self.http_headers.iter().flat_map(|(name, values)| values.files.iter().map(move |file| (name, file)));
        all.filter_map(|(name, file)| Some((HeaderName::try_from(name).ok()?, file.clone()))).collect()
    }
}

/// Takes a relative path as below `folder`.
pub(super) fn below(file: &mut String, folder: &Path) {
    if !file.is_empty() && Path::new(file.as_str()).is_relative() {
        *file = folder.join(file.as_str()).to_string_lossy().into_owned();
    }
}
