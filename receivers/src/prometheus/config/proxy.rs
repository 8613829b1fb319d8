//! Proxies between us and targets, as Prometheus writes them.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue};
use pipeline::config::{Opaque, Problem};
use pipeline::net::http::Proxies;
use serde::Deserialize;

/// The keys of an HTTP client config that concern proxies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename = "ScrapeProxy")]
pub struct ProxyConfig {
    /// The proxy for everything; it may hold a password.
    pub proxy_url: Opaque,
    /// What is asked without it: names, addresses, networks, with commas between.
    pub no_proxy: String,
    /// `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` say which.
    pub proxy_from_environment: bool,
    /// Headers for the proxy, where it makes a tunnel.
    pub proxy_connect_header: BTreeMap<String, Vec<Opaque>>,
}

impl ProxyConfig {
    /// Everything wrong with it.
    pub(super) fn check(&self, path: &str, problems: &mut Vec<Problem>) {
        let mut problem = |key: &str, message: &str| problems.push(Problem::at(format!("{path}.{key}"), message));
        let one = !self.proxy_url.0.is_empty();
        if self.proxy_from_environment && one {
            problem("proxy_from_environment", "give proxy_url or proxy_from_environment, not both");
        }
        if self.proxy_from_environment && !self.no_proxy.is_empty() {
            problem("no_proxy", "with proxy_from_environment the variable NO_PROXY says it; remove no_proxy");
        } else if !one && !self.no_proxy.is_empty() {
            problem("no_proxy", "no_proxy needs a proxy_url");
        }
        if !one && !self.proxy_from_environment && !self.proxy_connect_header.is_empty() {
            problem("proxy_connect_header", "proxy_connect_header needs proxy_url or proxy_from_environment");
        }
        if one && let Err(message) = Proxies::one(&self.proxy_url.0, &self.no_proxy) {
            problem("proxy_url", &message);
        }
        for (name, values) in &self.proxy_connect_header {
            if HeaderName::try_from(name).is_err() || values.iter().any(|v| HeaderValue::try_from(&v.0).is_err()) {
                problem(&format!("proxy_connect_header.{name}"), "the name or a value cannot be a header's");
            }
        }
    }

    /// The same in the words of our client.
    ///
    /// # Errors
    /// A URL that is none, such as that of a variable.
    pub fn proxies(&self) -> Result<Proxies, String> {
        let mut proxies = if self.proxy_from_environment {
            Proxies::from_variables(|name| std::env::var(name).ok())?
        } else if self.proxy_url.0.is_empty() {
            return Ok(Proxies::default());
        } else {
            Proxies::one(&self.proxy_url.0, &self.no_proxy)?
        };
        proxies.connect_headers = self.connect_headers();
        Ok(proxies)
    }

    fn connect_headers(&self) -> HeaderMap {
        let all = self.proxy_connect_header.iter().flat_map(|(name, values)| values.iter().map(move |v| (name, v)));
        all.filter_map(|(name, value)| Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(&value.0).ok()?)))
            .map(|(name, mut value)| {
                value.set_sensitive(true);
                (name, value)
            })
            .collect()
    }
}
