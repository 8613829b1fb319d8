//! Following redirects, where a request asks for it (RFC 9110, 15.4).

use http::header::{AUTHORIZATION, COOKIE, HOST, LOCATION, PROXY_AUTHORIZATION};
use http::uri::Authority;
use http::{Method, Uri};

use super::message::{Request, Response, SendError};
use crate::net::body::Chunks;
use crate::net::origin::Origin;

/// Turns the request into the one that a redirect asks for; `false` where the answer is not a redirect to follow.
///
/// # Errors
/// A target that is no URL, and any target when `left` is 0.
pub(super) fn redirect(request: &mut Request, response: &Response, left: usize) -> Result<bool, SendError> {
    let Some(to) = response.headers.get(LOCATION) else { return Ok(false) };
    let keeps_method = match response.status.as_u16() {
        301..=303 => false,
        307 | 308 => true,
        _ => return Ok(false),
    };
    let to = String::from_utf8_lossy(to.as_bytes()).into_owned();
    if left == 0 {
        return Err(SendError::Redirect { to, reason: "redirected too often".to_owned() });
    }
    let url = resolve(&request.url, &to).map_err(|reason| SendError::Redirect { to: to.clone(), reason })?;
    let (from, origin) = (Origin::of(&request.url), Origin::of(&url));
    origin.as_ref().map_err(|reason| SendError::Redirect { to: to.clone(), reason: reason.clone() })?;
    if from != origin {
        for secret in [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE, HOST] {
            request.headers.remove(secret);
        }
        let headers = std::mem::take(&mut request.headers);
        request.headers = (&headers)
            .into_iter()
            .filter(|(_, value)| !value.is_sensitive())
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
    }
    if !keeps_method && request.method != Method::HEAD {
        request.method = Method::GET;
        request.body = Chunks::empty();
    }
    request.url = url;
    Ok(true)
}

/// A `Location` against the URL it came from: absolute, `//host/path`, `/path`, or relative to the last slash.
fn resolve(base: &Uri, to: &str) -> Result<Uri, String> {
    let to = to.split('#').next().unwrap_or_default();
    let scheme = base.scheme_str().unwrap_or("http");
    let authority = base.authority().map_or("", Authority::as_str);
    let absolute = if to.contains("://") {
        to.to_owned()
    } else if to.starts_with("//") {
        format!("{scheme}:{to}")
    } else if to.starts_with('/') {
        format!("{scheme}://{authority}{to}")
    } else if to.starts_with('?') {
        format!("{scheme}://{authority}{}{to}", base.path())
    } else {
        let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{to}")
    };
    absolute.parse().map_err(|e| format!("{e}"))
}
