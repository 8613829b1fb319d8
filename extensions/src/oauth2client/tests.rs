use std::sync::Mutex;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use pipeline::config::testing::decode;
use pipeline::net::auth::Signer;
use pipeline::net::body::{Chunks, read_capped};
use pipeline::net::http::{Handler, Incoming, ServerOptions, serve};
use pipeline::testing::World;
use pipeline::testing::conformance::extension;
use tokio_util::sync::CancellationToken;

use super::*;

const FULL: &str = "{client_id: me, client_secret: s3cr3t, token_url: 'http://login:80/token', scopes: [a, b],
    endpoint_params: {audience: x, resource: [y, z]}, expiry_buffer: 10s, timeout: 5s}";

#[tokio::test(start_paused = true)]
async fn it_is_an_extension_like_others() {
    extension::<Factory>(FULL).await;
}

/// Gives tokens `t1`, `t2`, … for a minute each, and takes requests with the latest.
#[derive(Default)]
struct Login {
    asked: Mutex<Vec<String>>,
    shown: Mutex<Vec<String>>,
    is_down: std::sync::atomic::AtomicBool,
}

impl Handler for Login {
    fn handle(self: Arc<Self>, request: Request<Incoming>, _: Arc<str>) -> BoxFuture<'static, Response<Chunks>> {
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = read_capped(body, 1 << 20, None).await.unwrap().bytes;
            let authorization = head.headers.get(AUTHORIZATION).map(|v: &HeaderValue| v.to_str().unwrap().to_owned());
            let mut answer = Response::new(Chunks::empty());
            if head.uri.path() == "/token" {
                let mut asked = self.asked.lock().unwrap();
                asked.push(String::from_utf8_lossy(&body).into_owned());
                let token = format!("{{\"access_token\": \"t{}\", \"expires_in\": 60}}", asked.len());
                if self.is_down.load(std::sync::atomic::Ordering::Relaxed) {
                    *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                } else {
                    *answer.body_mut() = Chunks::from(Bytes::from(token));
                }
                return answer;
            }
            let latest = format!("Bearer t{}", self.asked.lock().unwrap().len());
            let shown = authorization.unwrap_or_default();
            if shown != latest || head.uri.path() == "/never" {
                *answer.status_mut() = StatusCode::UNAUTHORIZED;
            }
            self.shown.lock().unwrap().push(shown);
            answer
        })
    }
}

async fn world() -> (World, Arc<Login>, Client) {
    let (world, login) = (World::new(), Arc::new(Login::default()));
    for address in ["login:80", "far:80"] {
        let listener = world.doors.net.listen(address).await.unwrap();
        let (tasks, stop) = (world.tasks.clone(), CancellationToken::new());
        world.tasks.spawn(serve(listener, ServerOptions::default(), login.clone(), tasks, stop));
    }
    let built = Factory::build(decode(FULL).unwrap(), world.context("oauth2client")).unwrap();
    let auth = built.client_auth().map(Signer);
    let client = Client::new(ClientOptions { auth, ..ClientOptions::default() }, &world.context("client")).unwrap();
    (world, login, client)
}

async fn ask(client: &Client, path: &str) -> Result<StatusCode, String> {
    let request = pipeline::net::http::Request::get(parse_url(&format!("http://far:80{path}")).unwrap());
    client.send(request).await.map(|answer| answer.status).map_err(|error| error.to_string())
}

#[tokio::test(start_paused = true)]
async fn a_token_is_asked_for_kept_and_asked_for_anew_before_it_expires() {
    let (_world, login, client) = world().await;
    for _ in 0..2 {
        assert_eq!(ask(&client, "/").await, Ok(StatusCode::OK));
    }
    let asked = "grant_type=client_credentials&scope=a+b&audience=x&resource=y&resource=z";
    assert_eq!(*login.asked.lock().unwrap(), [asked]);
    tokio::time::advance(Duration::from_secs(51)).await;
    assert_eq!(ask(&client, "/").await, Ok(StatusCode::OK));
    assert_eq!(login.asked.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_asked_for_anew_once() {
    let (_world, login, client) = world().await;
    assert_eq!(ask(&client, "/").await, Ok(StatusCode::OK));
    login.asked.lock().unwrap().push("somebody else".to_owned());
    assert_eq!(ask(&client, "/").await, Ok(StatusCode::OK));
    assert_eq!(*login.shown.lock().unwrap(), ["Bearer t1", "Bearer t1", "Bearer t3"]);
    assert_eq!(ask(&client, "/never").await, Ok(StatusCode::UNAUTHORIZED));
    assert_eq!(login.shown.lock().unwrap().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn without_a_token_nothing_is_sent_and_no_secret_is_told() {
    let (world, login, client) = world().await;
    login.is_down.store(true, std::sync::atomic::Ordering::Relaxed);
    let error = ask(&client, "/").await.unwrap_err();
    assert_eq!(error, "not sent: no token: login:80/token answered 503 Service Unavailable");
    assert_eq!(login.shown.lock().unwrap().len(), 0);
    let status = world.health.all().into_iter().find(|s| s.who.id.kind == "oauth2client").unwrap();
    assert!(status.error.unwrap().0.starts_with("no token"));
}

#[test]
fn what_is_missing_is_said() {
    let errors = decode::<Config>("{token_url: 'login/token'}").unwrap_err();
    for expected in ["needs a client_id", "needs a client_secret", "'settings::token_url': "] {
        assert!(errors.contains(expected), "{errors}");
    }
    let errors =
        decode::<Config>("{client_id: a, client_secret: s3cr3t, token_url: 'https://u:s3cr3t@login/'}").unwrap_err();
    assert!(!errors.contains("s3cr3t"), "{errors}");
}
