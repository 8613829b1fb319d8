//! Who comes in, which pages may send, and how clients show who they are.

use http::{HeaderName, Request as HttpRequest};

use super::*;
use crate::batch::Metadata;
use crate::net::auth::{ClientAuth, Denied, Identity, ServerAuth, Signer, on_behalf_of};
use crate::net::config::CorsConfig;

/// Lets in who shows the key `open`; the key `guest` is known and may not.
struct Porter;

impl ServerAuth for Porter {
    fn check<'a>(&'a self, headers: &'a HeaderMap) -> BoxFuture<'a, Result<Identity, Denied>> {
        Box::pin(async {
            match headers.get("x-key").map(HeaderValue::as_bytes) {
                Some(b"open") => Ok(vec![("username".to_owned(), "ada".to_owned())]),
                Some(b"guest") => Err(Denied::Forbidden("guests stay outside")),
                _ => Err(Denied::Unknown("no key")),
            }
        })
    }

    fn challenge(&self) -> HeaderValue {
        HeaderValue::from_static("Key")
    }
}

#[allow(clippy::disallowed_methods, reason = "a test's own task")]
async fn guarded(admission: Admission) -> Running {
    let world = World::new();
    let (stop, echo) = (CancellationToken::new(), Arc::new(Echo::default()));
    let listener = world.doors.net.listen(ADDRESS).await.unwrap();
    let handler = admission.before(echo.clone());
    let serving = serve(listener, ServerOptions::default(), handler, world.tasks.clone(), stop.clone());
    Running { done: tokio::spawn(serving), world, echo, stop }
}

fn with_headers(path: &str, headers: &[(&str, &str)]) -> Request {
    let mut request = Request::get(url(path));
    for (name, value) in headers {
        request.headers.insert(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
    }
    request
}

#[tokio::test(start_paused = true)]
async fn who_does_not_show_the_key_stays_outside() {
    let server = guarded(Admission::default().with_auth(Arc::new(Porter), &["x-key".to_owned()])).await;
    let client = server.client(ClientOptions::default());
    let ask = async |path: &str, headers: &[(&str, &str)]| {
        let response = client.send(with_headers(path, headers)).await.unwrap();
        let challenge = response.headers.get("www-authenticate").cloned();
        (response.status.as_u16(), text(&response).to_owned(), challenge.is_some())
    };
    assert_eq!(ask("/", &[]).await, (401, "no key\n".to_owned(), true));
    assert_eq!(ask("/", &[("x-key", "guest")]).await, (403, "guests stay outside\n".to_owned(), false));
    assert_eq!(ask("/", &[("x-key", "open")]).await.0, 200);
    assert_eq!(ask("/?a=b&x-key=open", &[]).await.0, 200, "the config hands this parameter on");
    assert_eq!(ask("/?key=open", &[]).await.0, 401);
    let identity = Admission::default().with_auth(Arc::new(Porter), &[]);
    let request = HttpRequest::builder().header("x-key", "open").body(()).unwrap();
    assert_eq!(identity.check(&request).await, Ok(vec![("username".to_owned(), "ada".to_owned())]));
    assert_eq!(Admission::default().check(&request).await, Ok(vec![]), "nobody asks");
}

fn cors(yaml: &str) -> Admission {
    let config = crate::config::testing::decode_block::<CorsConfig>(yaml).unwrap();
    Admission::default().with_auth(Arc::new(Porter), &[]).with_cors(&config)
}

/// The answer to a preflight: allowed origin, headers and age.
fn preflight(yaml: &str, origin: &str, method: &str, headers: &str) -> String {
    let mut request = HttpRequest::builder().method("OPTIONS").header("origin", origin);
    request = request.header("access-control-request-method", method);
    if !headers.is_empty() {
        request = request.header("access-control-request-headers", headers);
    }
    let answer = cors(yaml).preflight(&request.body(()).unwrap()).expect("it is a preflight");
    assert_eq!(answer.status(), 204);
    let show = |name: &str| answer.headers().get(name).map_or("-", |value| value.to_str().unwrap()).to_owned();
    let [origin, method, headers, age] = ["allow-origin", "allow-methods", "allow-headers", "max-age"]
        .map(|name| show(&format!("access-control-{name}")));
    format!("{origin} {method} {headers} {age}")
}

#[test]
fn browsers_are_told_which_pages_may_send() {
    let one = "{allowed_origins: ['https://a.test'], allowed_headers: [X-Tenant], max_age: 600}";
    let json = "content-type,x-tenant";
    assert_eq!(preflight(one, "https://a.test", "POST", json), format!("https://a.test POST {json} 600"));
    assert_eq!(preflight(one, "https://A.test", "POST", ""), "https://A.test POST - 600");
    for (origin, method, headers) in [
        ("https://b.test", "POST", ""),
        ("http://a.test", "POST", ""),
        ("https://a.test", "DELETE", ""),
        ("https://a.test", "POST", "x-tenant, x-other"),
    ] {
        assert_eq!(preflight(one, origin, method, headers), "- - - -", "{origin} {method} {headers}");
    }
    let some = "{allowed_origins: ['https://*.test'], allowed_headers: ['*']}";
    assert_eq!(preflight(some, "https://a.b.test", "POST", "x-any"), "https://a.b.test POST x-any -");
    assert_eq!(preflight(some, "https://a.test.evil", "POST", ""), "- - - -");
    assert_eq!(preflight(some, "https://test", "POST", ""), "- - - -");
    assert_eq!(preflight("allowed_origins: ['*']", "https://any", "POST", ""), "* POST - -");
}

#[tokio::test(start_paused = true)]
async fn a_page_sees_its_answers_refusals_included_and_preflights_need_no_key() {
    let server = guarded(cors("{allowed_origins: ['https://a.test'], exposed_headers: [X-Id]}")).await;
    let client = server.client(ClientOptions::default());
    let show = |response: &Response, name: &str| {
        response.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    };
    let mine = client.send(with_headers("/", &[("origin", "https://a.test")])).await.unwrap();
    assert_eq!((mine.status.as_u16(), show(&mine, "access-control-allow-origin").as_str()), (401, "https://a.test"));
    assert_eq!(show(&mine, "access-control-expose-headers"), "X-Id");
    let other = client.send(with_headers("/", &[("origin", "https://b.test"), ("x-key", "open")])).await.unwrap();
    assert_eq!((other.status.as_u16(), show(&other, "access-control-allow-origin").as_str()), (200, ""));
    assert_eq!(show(&other, "vary"), "origin");
    let mut ask = with_headers("/", &[("origin", "https://a.test"), ("access-control-request-method", "POST")]);
    ask.method = Method::OPTIONS;
    assert_eq!(client.send(ask).await.unwrap().status.as_u16(), 204);
    let mut plain = with_headers("/", &[("x-key", "open")]);
    plain.method = Method::OPTIONS;
    assert_eq!(client.send(plain).await.unwrap().status.as_u16(), 200, "it is no preflight");
}

/// Shows the key after it was refused once, and the sender.
#[derive(Default)]
struct Visitor {
    has_key: std::sync::atomic::AtomicBool,
}

impl ClientAuth for Visitor {
    fn sign<'a>(
        &'a self,
        headers: &'a mut HeaderMap,
        sender: Option<&'a Metadata>,
    ) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            if sender.is_some_and(|sender| sender.peer.as_deref() == Some("stranger")) {
                return Err("strangers have no key".to_owned());
            }
            assert_eq!(headers["x-team"], "llm", "all other headers are there");
            let key = if self.has_key.load(Ordering::SeqCst) { "open" } else { "wrong" };
            headers.insert("x-key", HeaderValue::from_static(key));
            Ok(())
        })
    }

    fn refused(&self) -> bool {
        !self.has_key.swap(true, Ordering::SeqCst)
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_shows_who_it_is_and_once_more_where_it_is_refused() {
    let server = guarded(Admission::default().with_auth(Arc::new(Porter), &[])).await;
    let auth = Some(Signer(Arc::new(Visitor::default())));
    let client = server.client(ClientOptions { auth, headers: header("x-team", "llm"), ..ClientOptions::default() });
    assert_eq!(client.send(Request::get(url("/"))).await.unwrap().status, 200);
    let stranger = Arc::new(Metadata { peer: Some("stranger".to_owned()), ..Metadata::default() });
    let error = on_behalf_of(Some(&stranger), client.send(Request::get(url("/")))).await.unwrap_err();
    assert_eq!((error.code(), error.to_string().as_str()), ("credentials", "not sent: strangers have no key"));
    assert!(matches!(error.refused(), crate::Refused::Retry { .. }), "there may be a key later");
}
