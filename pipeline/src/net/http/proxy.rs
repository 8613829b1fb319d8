//! Proxies: which requests go through one, and how a tunnel is asked for. The rules are those of Go's clients, whose
//! variables and `no_proxy` lists operators have already written.

use std::net::IpAddr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, HeaderValue, Uri};
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::doors::BoxStream;
use crate::net::origin::Origin;

/// The longest head of a proxy's answer to `CONNECT`.
const MOST_HEAD_BYTES: usize = 16 << 10;

/// The proxies of a client; none by default.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    except: Vec<Exception>,
    /// Whether far ends on this machine are asked directly.
    spare_loopback: bool,
    /// Headers of `CONNECT` requests.
    pub connect_headers: HeaderMap,
}

/// One proxy.
#[derive(Clone)]
pub struct Proxy {
    /// Where it listens; with TLS where its URL says `https`.
    pub origin: Origin,
    authorization: Option<HeaderValue>,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Proxy({})", self.origin)
    }
}

impl Proxies {
    /// One proxy for everything but what `no_proxy` lists.
    ///
    /// # Errors
    /// What is wrong with the URL, which is not shown since it may hold a password.
    pub fn one(url: &str, no_proxy: &str) -> Result<Proxies, String> {
        let proxy = Proxy::parse(url)?;
        let (http, https) = (Some(proxy.clone()), Some(proxy));
        Ok(Proxies {
            http,
            https,
            except: exceptions(no_proxy),
            spare_loopback: !no_proxy.is_empty(),
            connect_headers: HeaderMap::new(),
        })
    }

    /// What `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` say, in capitals or not.
    ///
    /// # Errors
    /// The variable that is no URL.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Proxies, String> {
        let either = |name: &str| {
            let value = variable(name).filter(|value| !value.is_empty());
            value.or_else(|| variable(&name.to_lowercase()).filter(|value| !value.is_empty()))
        };
        let proxy = |name: &str| match either(name) {
            Some(url) => Proxy::parse(&url).map(Some).map_err(|error| format!("the variable {name}: {error}")),
            None => Ok(None),
        };
        Ok(Proxies {
            http: proxy("HTTP_PROXY")?,
            https: proxy("HTTPS_PROXY")?,
            except: exceptions(&either("NO_PROXY").unwrap_or_default()),
            spare_loopback: true,
            connect_headers: HeaderMap::new(),
        })
    }

    /// The proxy for requests to that origin.
    pub(super) fn of(&self, origin: &Origin) -> Option<&Proxy> {
        let proxy = if origin.tls { self.https.as_ref() } else { self.http.as_ref() }?;
        let address: Option<IpAddr> = origin.host.parse().ok();
        let is_near = origin.host == "localhost" || address.is_some_and(|address| address.is_loopback());
        let spared = self.spare_loopback && is_near;
        (!spared && !self.except.iter().any(|exception| exception.covers(origin, address))).then_some(proxy)
    }
}

impl Proxy {
    /// Reads `http://user:password@host:port`; a scheme may be missing.
    fn parse(text: &str) -> Result<Proxy, String> {
        let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url: Uri = whole.parse().map_err(|error| format!("the proxy's URL cannot be read: {error}"))?;
        if let Some(scheme) = url.scheme_str().filter(|scheme| !matches!(*scheme, "http" | "https")) {
            return Err(format!("a proxy with the scheme {scheme:?} is not available, there are http and https"));
        }
        let default_port = if url.scheme_str() == Some("https") { 443 } else { 80 };
        let authority = url.authority().map_or("", |authority| authority.as_str());
        let (user, _) = authority.rsplit_once('@').unwrap_or_default();
        let host = url.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err("the proxy's URL has no host; it looks like http://proxy:3128".to_owned());
        }
        let origin = Origin {
            tls: url.scheme_str() == Some("https"),
            host: host.to_owned(),
            port: url.port_u16().unwrap_or(default_port),
        };
        Ok(Proxy { origin, authorization: authorization(user)? })
    }

    /// `proxy-authorization`, where the URL has a user.
    pub(super) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// Asks for a tunnel to `to`; afterwards the stream leads there.
    ///
    /// # Errors
    /// What the proxy said instead.
    pub(super) async fn tunnel(
        &self,
        mut stream: BoxStream,
        to: &Origin,
        more: &HeaderMap,
    ) -> Result<BoxStream, String> {
        let address = to.address();
        let mut head = format!("CONNECT {address} HTTP/1.1\r\nhost: {address}\r\n").into_bytes();
        let own = self.authorization.iter().map(|value| ("proxy-authorization", value));
        for (name, value) in more.iter().map(|(name, value)| (name.as_str(), value)).chain(own) {
            head.extend_from_slice(name.as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"\r\n");
        stream.write_all(&head).await.map_err(|error| error.to_string())?;
        stream.flush().await.map_err(|error| error.to_string())?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            // One byte at a time: what follows the head is the far end's.
            let byte = stream.read_u8().await.map_err(|_| "it closed the connection instead of answering CONNECT")?;
            answer.push(byte);
            if answer.len() > MOST_HEAD_BYTES {
                return Err(format!("its answer to CONNECT is longer than {MOST_HEAD_BYTES} bytes"));
            }
        }
        let line = String::from_utf8_lossy(&answer);
        let line = line.lines().next().unwrap_or_default();
        let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)).unwrap_or_default();
        if status.starts_with('2') { Ok(stream) } else { Err(format!("it answered CONNECT with {line:?}")) }
    }
}

fn authorization(user: &str) -> Result<Option<HeaderValue>, String> {
    if user.is_empty() {
        return Ok(None);
    }
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let pair = BASE64_STANDARD.encode(format!("{}:{}", decoded(name), decoded(password)));
    let mut value = HeaderValue::try_from(format!("Basic {pair}")).map_err(|error| error.to_string())?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// One entry of `no_proxy`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Exception {
    Everything,
    /// Addresses that agree with this one in so many bits.
    Network(IpAddr, u8),
    Address(IpAddr, Option<u16>),
    /// Names that end so; with the dot in front. Where `itself` is true, the name without the dot, too.
    Domain {
        end: String,
        itself: bool,
        port: Option<u16>,
    },
}

fn exceptions(list: &str) -> Vec<Exception> {
    list.split(',').filter_map(|entry| exception(&entry.trim().to_lowercase())).collect()
}

fn exception(entry: &str) -> Option<Exception> {
    if entry == "*" {
        return Some(Exception::Everything);
    }
    if let Some((address, bits)) = entry.split_once('/')
        && let (Ok(address), Ok(bits)) = (address.parse(), bits.parse())
    {
        return Some(Exception::Network(address, bits));
    }
    let (host, port) = match entry.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port.parse().ok()),
        _ => (entry, None),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = host.parse() {
        return Some(Exception::Address(address, port));
    }
    let host = host.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(host);
    match host.strip_prefix('.') {
        _ if host.is_empty() => None,
        Some(_) => Some(Exception::Domain { end: host.to_owned(), itself: false, port }),
        None => Some(Exception::Domain { end: format!(".{host}"), itself: true, port }),
    }
}

impl Exception {
    fn covers(&self, origin: &Origin, address: Option<IpAddr>) -> bool {
        let on = |port: &Option<u16>| port.is_none_or(|port| port == origin.port);
        match self {
            Exception::Everything => true,
            Exception::Network(network, bits) => address.is_some_and(|address| agree(*network, address, *bits)),
            Exception::Address(one, port) => address == Some(*one) && on(port),
            Exception::Domain { end, itself, port } => {
                let host = origin.host.trim_end_matches('.').to_lowercase();
                on(port) && (host.ends_with(end.as_str()) || *itself && host == end[1..])
            }
        }
    }
}

fn agree(network: IpAddr, address: IpAddr, bits: u8) -> bool {
    let (network, address, width) = match (network, address) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits()), u128::from(b.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
        _ => return false,
    };
    let ignored = u32::from(width - bits.min(width));
    let shifted = |value: u128| value.checked_shr(ignored).unwrap_or(0);
    shifted(network) == shifted(address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::origin::parse_url;

    fn goes(proxies: &Proxies, url: &str) -> Option<String> {
        let origin = Origin::of(&parse_url(url).unwrap()).unwrap();
        proxies.of(&origin).map(|proxy| proxy.origin.address())
    }

    #[track_caller]
    fn check(no_proxy: &str, url: &str, through: bool) {
        let proxies = Proxies::one("http://proxy:3128", no_proxy).unwrap();
        assert_eq!(goes(&proxies, url).is_some(), through, "{no_proxy:?} {url}");
    }

    #[test]
    fn the_list_of_exceptions_is_read_as_go_reads_it() {
        check("", "http://localhost:1", true);
        check("other", "http://localhost:1", false);
        check("other", "http://127.0.0.9", false);
        check("*", "http://a", false);
        check("a.test", "http://a.test", false);
        check("a.test", "http://b.A.test", false);
        check("a.test", "http://ba.test", true);
        check(".a.test", "http://a.test", true);
        check("*.a.test", "http://b.a.test", false);
        check("a.test:80", "http://a.test", false);
        check("a.test:80", "http://a.test:81", true);
        check("10.0.0.0/8, x", "http://10.200.3.4:9", false);
        check("10.0.0.0/8", "http://11.0.0.1", true);
        check("10.0.0.0/8", "http://[fd00::1]", true);
        check("fd00::/8", "http://[fd12::1]", false);
        check("10.1.2.3:9100", "http://10.1.2.3:9100", false);
        check("10.1.2.3:9100", "http://10.1.2.3:9101", true);
        check(" , ,", "http://a", true);
    }

    #[test]
    fn variables_name_a_proxy_for_each_scheme() {
        let variables = [("HTTP_PROXY", "plain:1"), ("https_proxy", "https://user:p%40ss@secure"), ("NO_PROXY", "c")];
        let of = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        let proxies = Proxies::from_variables(of).unwrap();
        assert_eq!(goes(&proxies, "http://a").as_deref(), Some("plain:1"));
        assert_eq!(goes(&proxies, "https://a").as_deref(), Some("secure:443"));
        assert_eq!(goes(&proxies, "https://c"), None);
        let authorization = proxies.https.unwrap().authorization.unwrap();
        assert_eq!(authorization, format!("Basic {}", BASE64_STANDARD.encode("user:p@ss")));
        assert!(goes(&Proxies::from_variables(|_| None).unwrap(), "http://a").is_none());
        let bad = Proxies::from_variables(|name| (name == "HTTP_PROXY").then(|| "socks5://x:p@y".to_owned()));
        assert_eq!(
            bad.unwrap_err(),
            "the variable HTTP_PROXY: a proxy with the scheme \"socks5\" is not available, there are http and https"
        );
    }

    #[test]
    fn a_password_is_not_printed() {
        let proxies = Proxies::one("http://u:secret@proxy", "").unwrap();
        assert!(!format!("{proxies:?}").contains("secret"));
        let error = Proxies::one("http://u:secret@pro xy", "").unwrap_err();
        assert!(!error.contains("secret"), "{error}");
    }
}
