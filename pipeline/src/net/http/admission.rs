//! Who may come in through an HTTP server: web pages of which origins (CORS), and who has shown who it is.

use std::fmt;
use std::sync::Arc;

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, CONTENT_TYPE, ORIGIN, VARY, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;

use super::server::Handler;
use crate::component::BoxFuture;
use crate::net::auth::{Denied, Identity, ServerAuth};
use crate::net::body::Chunks;
use crate::net::config::CorsConfig;

/// What a server asks of requests before it looks at them; nothing by default.
#[derive(Clone, Default)]
pub struct Admission {
    auth: Option<Authentication>,
    cors: Option<Arc<Cors>>,
}

#[derive(Clone)]
struct Authentication {
    by: Arc<dyn ServerAuth>,
    /// Query parameters that count as headers.
    parameters: Arc<[String]>,
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (auth, cors) = (self.auth.is_some(), self.cors.is_some());
        f.debug_struct("Admission").field("auth", &auth).field("cors", &cors).finish()
    }
}

impl Admission {
    /// The same with someone who tells who sends a request.
    #[must_use]
    pub fn with_auth(self, by: Arc<dyn ServerAuth>, parameters: &[String]) -> Admission {
        Admission { auth: Some(Authentication { by, parameters: parameters.into() }), ..self }
    }

    /// The same with the origins whose pages may send.
    #[must_use]
    pub fn with_cors(self, config: &CorsConfig) -> Admission {
        Admission { cors: (!config.allowed_origins.is_empty()).then(|| Arc::new(Cors::new(config))), ..self }
    }

    /// Who sends a request; nothing is known where nobody asks.
    ///
    /// # Errors
    /// It may not come in.
    pub async fn check<B>(&self, request: &Request<B>) -> Result<Identity, Denied> {
        let Some(Authentication { by, parameters }) = &self.auth else { return Ok(Identity::new()) };
        match request.uri().query() {
            Some(query) if !parameters.is_empty() => {
                let headers = with_parameters(request.headers(), query, parameters);
                by.check(&headers).await
            }
            _ => by.check(request.headers()).await,
        }
    }

    /// The answer to a browser that asks whether a page may send, before anybody is asked who they are.
    pub fn preflight<B>(&self, request: &Request<B>) -> Option<Response<Chunks>> {
        let cors = self.cors.as_ref()?;
        let is_preflight =
            request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        is_preflight.then(|| cors.preflight(request.headers()))
    }

    /// Where a request comes from, to be given to [`Admission::finish`]; `None` where that does not matter.
    pub fn origin(&self, request: &HeaderMap) -> Option<HeaderValue> {
        self.cors.as_ref().and_then(|_| request.get(ORIGIN).cloned())
    }

    /// Adds to an answer what a browser must know to show it to its page.
    pub fn finish(&self, origin: Option<&HeaderValue>, answer: &mut HeaderMap) {
        if let Some(cors) = &self.cors {
            cors.answer(origin, answer);
        }
    }

    /// Adds to a refusal how one can show who one is.
    pub fn challenge(&self, denied: &Denied, answer: &mut HeaderMap) {
        if let (Denied::Unknown(_), Some(auth)) = (denied, &self.auth) {
            answer.insert(WWW_AUTHENTICATE, auth.by.challenge());
        }
    }

    /// The handler behind this: who may not come in gets a line of text. The handler itself where nothing is asked.
    pub fn before(&self, handler: Arc<dyn Handler>) -> Arc<dyn Handler> {
        if self.auth.is_none() && self.cors.is_none() {
            return handler;
        }
        Arc::new(Guarded { admission: self.clone(), handler })
    }
}

struct Guarded {
    admission: Admission,
    handler: Arc<dyn Handler>,
}

impl Handler for Guarded {
    fn handle(self: Arc<Self>, request: Request<Incoming>, peer: Arc<str>) -> BoxFuture<'static, Response<Chunks>> {
        Box::pin(async move {
            if let Some(answer) = self.admission.preflight(&request) {
                return answer;
            }
            let origin = self.admission.origin(request.headers());
            let mut answer = match self.admission.check(&request).await {
                Ok(_) => self.handler.clone().handle(request, peer).await,
                Err(denied) => self.refuse(&denied),
            };
            self.admission.finish(origin.as_ref(), answer.headers_mut());
            answer
        })
    }
}

impl Guarded {
    fn refuse(&self, denied: &Denied) -> Response<Chunks> {
        let mut answer = Response::new(Chunks::from(format!("{denied}\n").into_bytes()));
        *answer.status_mut() = match denied {
            Denied::Unknown(_) => StatusCode::UNAUTHORIZED,
            Denied::Forbidden(_) => StatusCode::FORBIDDEN,
        };
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        self.admission.challenge(denied, answer.headers_mut());
        answer
    }
}

/// The headers with some query parameters in place of those of their names.
fn with_parameters(headers: &HeaderMap, query: &str, parameters: &[String]) -> HeaderMap {
    let mut headers = headers.clone();
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        let decoded = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
        let name = decoded(name);
        if parameters.contains(&name)
            && let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(decoded(value)))
        {
            headers.insert(name, value);
        }
    }
    headers
}

/// Which pages may send (the Fetch standard's CORS protocol, with the collector's rules).
struct Cors {
    origins: Vec<Origins>,
    /// Lower-case names, or `*`.
    headers: Vec<String>,
    exposed: Option<HeaderValue>,
    max_age: Option<HeaderValue>,
}

/// An origin, or all that have a beginning and an end.
enum Origins {
    All,
    One(String),
    Between(String, String),
}

impl Origins {
    fn new(pattern: &str) -> Origins {
        let pattern = pattern.to_lowercase();
        match pattern.split_once('*') {
            Some(("", "")) => Origins::All,
            Some((start, end)) => Origins::Between(start.to_owned(), end.to_owned()),
            None => Origins::One(pattern),
        }
    }

    fn has(&self, origin: &str) -> bool {
        match self {
            Origins::All => true,
            Origins::One(one) => one == origin,
            Origins::Between(start, end) => {
                origin.len() >= start.len() + end.len() && origin.starts_with(start) && origin.ends_with(end)
            }
        }
    }
}

/// What pages may send without asking for it by name, and what every OTLP sender needs.
const ALWAYS: [&str; 6] =
    ["accept", "accept-language", "content-language", "content-type", "origin", "x-requested-with"];
/// The methods that a page may use: those of the collector.
const METHODS: [&str; 3] = ["GET", "POST", "HEAD"];

impl Cors {
    fn new(config: &CorsConfig) -> Cors {
        let list = |names: &[String]| HeaderValue::try_from(names.join(", ")).ok().filter(|_| !names.is_empty());
        Cors {
            origins: config.allowed_origins.iter().map(|pattern| Origins::new(pattern)).collect(),
            headers: config.allowed_headers.iter().map(|name| name.to_lowercase()).collect(),
            exposed: list(&config.exposed_headers),
            max_age: (config.max_age > 0).then(|| HeaderValue::from(config.max_age)),
        }
    }

    fn takes(&self, origin: &HeaderValue) -> bool {
        let Ok(origin) = origin.to_str() else { return false };
        let origin = origin.to_lowercase();
        self.origins.iter().any(|origins| origins.has(&origin))
    }

    /// What the header `access-control-allow-origin` says to an origin that may send.
    fn allowed(&self, origin: &HeaderValue) -> HeaderValue {
        match self.origins.iter().any(|origins| matches!(origins, Origins::All)) {
            true => HeaderValue::from_static("*"),
            false => origin.clone(),
        }
    }

    fn preflight(&self, request: &HeaderMap) -> Response<Chunks> {
        let mut answer = Response::new(Chunks::empty());
        *answer.status_mut() = StatusCode::NO_CONTENT;
        let headers = answer.headers_mut();
        headers.append(
            VARY,
            HeaderValue::from_static("origin, access-control-request-method, access-control-request-headers"),
        );
        let text = |name| request.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
        let (method, wanted) = (text(ACCESS_CONTROL_REQUEST_METHOD), text(ACCESS_CONTROL_REQUEST_HEADERS));
        let Some(origin) = request.get(ORIGIN).filter(|origin| self.takes(origin)) else { return answer };
        if !METHODS.contains(&method) || !self.takes_headers(wanted) {
            return answer;
        }
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, self.allowed(origin));
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        if let Ok(method) = HeaderValue::try_from(method) {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, method);
        }
        if let Some(wanted) = request.get(ACCESS_CONTROL_REQUEST_HEADERS).filter(|value| !value.is_empty()) {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
        }
        if let Some(max_age) = &self.max_age {
            headers.insert(ACCESS_CONTROL_MAX_AGE, max_age.clone());
        }
        answer
    }

    fn takes_headers(&self, wanted: &str) -> bool {
        let wanted = wanted.split(',').map(|name| name.trim().to_lowercase()).filter(|name| !name.is_empty());
        let takes =
            |name: String| ALWAYS.contains(&name.as_str()) || self.headers.iter().any(|h| *h == name || h == "*");
        wanted.into_iter().all(takes)
    }

    fn answer(&self, origin: Option<&HeaderValue>, answer: &mut HeaderMap) {
        answer.append(VARY, HeaderValue::from_static("origin"));
        let Some(origin) = origin.filter(|origin| self.takes(origin)) else { return };
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, self.allowed(origin));
        answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        if let Some(exposed) = &self.exposed {
            answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed.clone());
        }
    }
}
