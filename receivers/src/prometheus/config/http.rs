//! How targets are asked: credentials, TLS, headers, redirects (Prometheus' HTTP client config).

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue};
use pipeline::config::{Opaque, Problem, Text};
use pipeline::net::config::{TlsClientConfig, TlsCommon};
use serde::Deserialize;
use serde::de::IgnoredAny;

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
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct HttpConfig {
    /// User and password.
    pub basic_auth: Option<BasicAuth>,
    /// A token.
    pub authorization: Option<Authorization>,
    /// A token, as Prometheus wrote it before.
    pub bearer_token: Opaque,
    /// A file with the token.
    pub bearer_token_file: String,
    /// Refused.
    pub oauth2: Option<IgnoredAny>,
    /// TLS for `https`.
    pub tls_config: TlsConfig,
    /// Refused.
    pub proxy_url: String,
    /// Of no use without a proxy.
    pub no_proxy: String,
    /// Refused when true.
    pub proxy_from_environment: bool,
    /// Of no use without a proxy.
    pub proxy_connect_header: Option<IgnoredAny>,
    /// Go where a redirect points to.
    pub follow_redirects: bool,
    /// Offer HTTP/2 in TLS handshakes.
    pub enable_http2: bool,
    /// Further headers.
    pub http_headers: BTreeMap<String, HeaderValues>,
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
            proxy_url: String::new(),
            no_proxy: String::new(),
            proxy_from_environment: false,
            proxy_connect_header: None,
            follow_redirects: true,
            enable_http2: true,
            http_headers: BTreeMap::new(),
        }
    }
}

/// `basic_auth`.
#[derive(Clone, Debug, Default, Deserialize)]
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
#[derive(Clone, Debug, Deserialize)]
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

/// `tls_config`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct TlsConfig {
    /// Certificates that sign the target's, PEM.
    pub ca: Opaque,
    /// A file with them.
    pub ca_file: String,
    /// Our certificate, PEM.
    pub cert: Opaque,
    /// A file with it.
    pub cert_file: String,
    /// Our private key, PEM.
    pub key: Opaque,
    /// A file with it.
    pub key_file: String,
    /// The name to ask for and to check, instead of the target's host.
    pub server_name: String,
    /// Believe any certificate.
    pub insecure_skip_verify: bool,
    /// `TLS12` or `TLS13`.
    pub min_version: String,
    /// `TLS12` or `TLS13`.
    pub max_version: String,
}

/// The values of one header.
#[derive(Clone, Debug, Default, Deserialize)]
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
    Basic(Part, Part),
    /// A word and what follows it.
    Token(String, Part),
}

/// Something that stands in the config or in a file.
#[derive(Clone, Debug)]
pub enum Part {
    /// In the config.
    Given(Opaque),
    /// In that file.
    File(String),
}

impl Part {
    fn of(given: &str, file: &str) -> Part {
        if file.is_empty() { Part::Given(Opaque(given.to_owned())) } else { Part::File(file.to_owned()) }
    }
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
        if self.oauth2.is_some() {
            problem("oauth2", "oauth2 is not available; use authorization with a credentials_file".to_owned());
        }
        if !self.proxy_url.is_empty() {
            problem("proxy_url", "proxies are not available; remove proxy_url".to_owned());
        }
        if self.proxy_from_environment {
            problem("proxy_from_environment", "proxies are not available; remove proxy_from_environment".to_owned());
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

    /// What goes into `authorization`.
    pub fn credentials(&self) -> Credentials {
        if let Some(basic) = &self.basic_auth {
            return Credentials::Basic(
                Part::of(&basic.username, &basic.username_file),
                Part::of(&basic.password.0, &basic.password_file),
            );
        }
        if let Some(of) = &self.authorization {
            let word = if of.kind.trim().is_empty() { "Bearer" } else { of.kind.trim() };
            return Credentials::Token(word.to_owned(), Part::of(&of.credentials.0, &of.credentials_file));
        }
        if self.bearer_token.0.is_empty() && self.bearer_token_file.is_empty() {
            return Credentials::Absent;
        }
        Credentials::Token("Bearer".to_owned(), Part::of(&self.bearer_token.0, &self.bearer_token_file))
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

impl TlsConfig {
    fn check(&self, path: &str, problems: &mut Vec<Problem>) {
        for (key, version) in [("min_version", &self.min_version), ("max_version", &self.max_version)] {
            if tls_version(version).is_none() {
                let message = format!("{version:?} is not available, there are TLS12 and TLS13");
                problems.push(Problem::at(format!("{path}.{key}"), message));
            }
        }
        for problem in self.client().check(path) {
            let key = problem.path.strip_suffix("_pem").unwrap_or(&problem.path).to_owned();
            problems.push(Problem { path: key, message: problem.message.replace("_pem", "") });
        }
    }

    /// The same in the words of our client.
    pub fn client(&self) -> TlsClientConfig {
        let version = |text: &str| tls_version(text).unwrap_or_default().to_owned();
        let common = TlsCommon {
            ca_pem: self.ca.clone(),
            ca_file: self.ca_file.clone(),
            cert_pem: self.cert.clone(),
            cert_file: self.cert_file.clone(),
            key_pem: self.key.clone(),
            key_file: self.key_file.clone(),
            min_version: version(&self.min_version),
            max_version: version(&self.max_version),
            ..TlsCommon::default()
        };
        TlsClientConfig {
            common,
            insecure: false,
            insecure_skip_verify: self.insecure_skip_verify,
            server_name_override: self.server_name.clone(),
        }
    }
}

fn tls_version(text: &str) -> Option<&'static str> {
    match text {
        "" => Some(""),
        "TLS12" => Some("1.2"),
        "TLS13" => Some("1.3"),
        _ => None,
    }
}
