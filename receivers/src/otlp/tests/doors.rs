//! Closed doors: who is not known stays outside in the protocol's own words; pages of other origins.

use http::HeaderValue;
use pipeline::Extension;
use pipeline::config::ComponentId;
use pipeline::net::auth::{Denied, ServerAuth};

use super::*;

/// Lets in who shows the key `open`; the key `guest` is known and may not.
struct Porter;

impl Extension for Porter {
    fn server_auth(self: Arc<Self>) -> Option<Arc<dyn ServerAuth>> {
        Some(self)
    }
}

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

const CLOSED: &str = "protocols: {grpc: {auth: {authenticator: porter}},
    http: {auth: {authenticator: porter}, cors: {allowed_origins: ['https://*.test'], max_age: 60}}}";

async fn closed() -> Running {
    let world = World::new();
    world.extensions.add(ComponentId::new("porter", ""), Arc::new(Porter));
    start_in(world, CLOSED, Sink::new(), Sink::outputs).await
}

#[tokio::test]
async fn over_http_the_refusal_is_a_status_in_the_senders_encoding() {
    let running = closed().await;
    for encoding in [PROTOBUF, JSON] {
        let unknown = running.post("/v1/traces", &[encoding], spans(1)).await;
        assert_eq!(unknown.status.as_u16(), 401);
        assert_eq!(unknown.headers["content-type"], encoding.1);
        assert_eq!(unknown.headers["www-authenticate"], "Key");
    }
    let status = status_of(&running.post("/v1/traces", &[PROTOBUF], spans(1)).await);
    assert_eq!((status.code, status.message.as_str()), (Code::Unauthenticated, "no key"));
    let guest = running.post("/v1/traces", &[PROTOBUF, ("x-key", "guest")], spans(1)).await;
    assert_eq!((guest.status.as_u16(), status_of(&guest).code), (403, Code::PermissionDenied));
    assert!(!guest.headers.contains_key("www-authenticate"));
    let anywhere = running.send(Method::GET, "/nowhere", &[], Bytes::new()).await;
    assert_eq!(anywhere.status.as_u16(), 401, "what is there is nobody's business");
    assert_eq!(running.sink.batches().len(), 0);
    let known = running.post("/v1/traces", &[PROTOBUF, ("x-key", "open")], spans(1)).await;
    assert_eq!(known.status.as_u16(), 200);
    let meta = running.sink.batches()[0].meta().cloned().unwrap();
    assert_eq!(meta.identity, [("username".to_owned(), "ada".to_owned())]);
    assert_eq!(meta.headers, [], "credentials are kept only where the config says so");
}

#[tokio::test]
async fn over_grpc_the_refusal_is_a_status() {
    let running = closed().await;
    let call = async |key: &'static str| {
        let metadata = HeaderMap::from_iter([(HeaderName::from_static("x-key"), HeaderValue::from_static(key))]);
        running.grpc(None).call(TRACES, &[spans(1)], metadata, None).await
    };
    for (key, code, message) in
        [("wrong", Code::Unauthenticated, "no key"), ("guest", Code::PermissionDenied, "guests stay outside")]
    {
        match call(key).await {
            Err(CallError::Status(status)) => assert_eq!((status.code, status.message.as_str()), (code, message)),
            other => panic!("{other:?}"),
        }
    }
    assert!(call("open").await.is_ok());
    assert_eq!(running.sink.batches()[0].meta().unwrap().identity.len(), 1);
    let refused = pipeline::testing::series(&running.world.meter, "slipring_otlp_refused_requests_total");
    let codes: Vec<_> = refused.iter().map(|s| s.labels["code"].as_str()).collect();
    assert_eq!(codes, ["PERMISSION_DENIED", "UNAUTHENTICATED"]);
}

#[tokio::test]
async fn a_browser_may_ask_before_it_shows_a_key() {
    let running = closed().await;
    let ask = [("origin", "https://app.test"), ("access-control-request-method", "POST")];
    let preflight = running.send(Method::OPTIONS, "/v1/traces", &ask, Bytes::new()).await;
    assert_eq!(preflight.status.as_u16(), 204);
    assert_eq!(preflight.headers["access-control-allow-origin"], "https://app.test");
    assert_eq!(preflight.headers["access-control-max-age"], "60");
    let sent =
        running.post("/v1/traces", &[PROTOBUF, ("x-key", "open"), ("origin", "https://app.test")], spans(1)).await;
    assert_eq!(sent.status.as_u16(), 200);
    assert_eq!(sent.headers["access-control-allow-origin"], "https://app.test");
    let elsewhere = [PROTOBUF, ("x-key", "open"), ("origin", "https://evil.example")];
    let elsewhere = running.post("/v1/traces", &elsewhere, spans(1)).await;
    assert!(!elsewhere.headers.contains_key("access-control-allow-origin"));
}

#[test]
fn an_authenticator_that_is_not_there_is_named() {
    let error = Factory::build(decode(CLOSED).unwrap(), World::new().context("otlp")).err().unwrap();
    assert_eq!(error.to_string(), "auth: 'porter' is not in service.extensions");
}
