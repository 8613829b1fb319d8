//! The client: versions, reuse, errors, redirects.

use super::*;

#[tokio::test]
async fn both_versions_carry_a_request_and_its_answer() {
    for (options, version) in [(ClientOptions::default(), "HTTP/1.1"), (http2(), "HTTP/2.0")] {
        let server = start(ServerOptions::default()).await;
        let client = server.client(options);
        let parts: Chunks = [Bytes::from(vec![1; 300_000]), Bytes::from(vec![2; 5])].into_iter().collect();
        let response = client.send(Request::post(url("/v1/traces?x=y"), parts)).await.unwrap();
        assert_eq!(response.status, StatusCode::OK);
        let path = if version == "HTTP/1.1" { "/v1/traces?x=y" } else { "http://127.0.0.1:4318/v1/traces?x=y" };
        assert_eq!(text(&response), format!("POST {path} 300005 {version} false"));
    }
}

#[tokio::test]
async fn connections_are_kept_and_used_again() {
    for options in [ClientOptions::default(), http2()] {
        let server = start(ServerOptions::default()).await;
        let client = server.client(options);
        for _ in 0..3 {
            client.send(Request::get(url("/"))).await.unwrap();
        }
        assert_eq!(server.world.net.connections(ADDRESS), 1);
    }
}

#[tokio::test]
async fn without_keep_alive_each_request_has_its_connection() {
    let server = start(ServerOptions::default()).await;
    let client = server.client(ClientOptions { keep_alive: false, ..ClientOptions::default() });
    for _ in 0..3 {
        client.send(Request::get(url("/"))).await.unwrap();
    }
    assert_eq!(server.world.net.connections(ADDRESS), 3);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_that_grew_old_is_not_used() {
    let server = start(ServerOptions::default()).await;
    let client =
        server.client(ClientOptions { idle_timeout: Some(Duration::from_secs(5)), ..ClientOptions::default() });
    client.send(Request::get(url("/"))).await.unwrap();
    tokio::time::advance(Duration::from_secs(4)).await;
    client.send(Request::get(url("/"))).await.unwrap();
    assert_eq!(server.world.net.connections(ADDRESS), 1);
    tokio::time::advance(Duration::from_secs(6)).await;
    client.send(Request::get(url("/"))).await.unwrap();
    assert_eq!(server.world.net.connections(ADDRESS), 2);
}

#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "a test's own tasks")]
async fn many_http2_requests_share_few_connections() {
    let server = start(ServerOptions::default()).await;
    let client = server.client(http2());
    let requests: Vec<_> = (0..50)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.send(Request::get(url("/hold"))).await.unwrap().status })
        })
        .collect();
    server.until_held(50).await;
    server.echo.release.notify_waiters();
    for request in requests {
        assert_eq!(request.await.unwrap(), StatusCode::OK);
    }
    assert_eq!(server.world.net.connections(ADDRESS), 2);
}

#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "a test's own tasks")]
async fn requests_above_the_limit_of_a_host_wait_for_a_connection() {
    let server = start(ServerOptions::default()).await;
    let client = server.client(ClientOptions { most_requests_per_host: 1, ..ClientOptions::default() });
    let first = tokio::spawn({
        let client = client.clone();
        async move { client.send(Request::get(url("/hold"))).await.unwrap().status }
    });
    server.until_held(1).await;
    let second = tokio::spawn(async move { client.send(Request::get(url("/"))).await.unwrap().status });
    tokio::task::yield_now().await;
    assert!(!second.is_finished());
    server.echo.release.notify_waiters();
    first.await.unwrap();
    second.await.unwrap();
    assert_eq!(server.world.net.connections(ADDRESS), 1);
}

#[tokio::test(start_paused = true)]
async fn errors_tell_what_went_wrong() {
    let check = async |fault: Option<Fault>, path: &str, code: &str, message: &str| {
        for options in [ClientOptions::default(), http2()] {
            let server = start(ServerOptions::default()).await;
            server.world.net.fault(ADDRESS, fault);
            let mut request = Request::post(url(path), Bytes::from(vec![0; 200_000]));
            request.timeout = Some(Duration::from_secs(3));
            request.most_answer_bytes = 1000;
            let error = server.client(options).send(request).await.unwrap_err();
            assert_eq!(error.code(), code, "{error}");
            assert!(error.to_string().contains(message), "{error}");
        }
    };
    check(Some(Fault::Refuse), "/", "connect", "cannot connect to 127.0.0.1:4318: connection refused").await;
    check(Some(Fault::Hang), "/", "timeout", "no answer from 127.0.0.1:4318 within 3s").await;
    check(Some(Fault::StallAfter(1000)), "/", "timeout", "no answer").await;
    check(Some(Fault::ResetAfter(1000)), "/", "reset", "127.0.0.1:4318 broke off").await;
    check(None, "/hold", "timeout", "no answer").await;
    check(None, "/big", "answer_too_large", "the answer of 127.0.0.1:4318 is larger than 1000 bytes").await;
}

#[tokio::test]
async fn an_answer_can_be_cut_instead() {
    for options in [ClientOptions::default(), http2()] {
        let server = start(ServerOptions::default()).await;
        let client = server.client(options);
        let mut request = Request::get(url("/big"));
        (request.most_answer_bytes, request.cut_answer) = (1000, true);
        assert_eq!(client.send(request).await.unwrap().body.len(), 1000);
        // Half an answer must not be read as the next one.
        assert!(text(&client.send(Request::get(url("/"))).await.unwrap()).starts_with("GET"));
    }
}

#[tokio::test]
async fn redirects_are_answers_unless_they_are_followed() {
    let server = start(ServerOptions::default()).await;
    let client = server.client(ClientOptions::default());
    assert_eq!(client.send(Request::get(url("/elsewhere"))).await.unwrap().status, StatusCode::FOUND);

    let mut request = Request::post(url("/a/../elsewhere"), "body");
    request.url = url("/elsewhere");
    request.redirects = 3;
    assert_eq!(text(&client.send(request).await.unwrap()), "GET /there?x=1 0 HTTP/1.1 false");

    let mut request = Request::get(url("/circle"));
    request.redirects = 3;
    let error = client.send(request).await.unwrap_err();
    assert_eq!(error.to_string(), "redirected to \"/circle\", which cannot be followed: redirected too often");
}

#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "a test's own task")]
async fn a_redirect_to_another_host_keeps_the_method_and_drops_the_credentials() {
    let server = start(ServerOptions::default()).await;
    let listener = server.world.doors.net.listen("other.test:4318").await.unwrap();
    let tasks = server.world.tasks.clone();
    let echo = Arc::clone(&server.echo) as Arc<dyn Handler>;
    tokio::spawn(serve(listener, ServerOptions::default(), echo, tasks, server.stop.clone()));
    let mut request = Request::post(url("/same"), "body");
    request.headers = header("authorization", "Bearer x");
    request.redirects = 1;
    let client = server.client(ClientOptions::default());
    assert_eq!(text(&client.send(request).await.unwrap()), "POST /there 4 HTTP/1.1 false");
}

#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "a test's own task")]
async fn a_kept_connection_that_the_far_side_closed_costs_nothing() {
    let world = World::new();
    let mut listener = world.doors.net.listen(ADDRESS).await.unwrap();
    // Promises to keep each connection and closes it after one answer.
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        }
    });
    let client = Client::new(ClientOptions::default(), &world.context("test")).unwrap();
    for _ in 0..5 {
        assert_eq!(client.send(Request::get(url("/"))).await.unwrap().status, StatusCode::OK);
    }
}

/// Sends two requests over a connection that is reset once so many bytes were written on it. The code of the second
/// one's error, if it has one, and how many connections there were; `None` where the first did not get through.
async fn on_a_reset_connection(method: &Method, bytes: usize) -> Option<(Option<&'static str>, usize)> {
    let server = start(ServerOptions::default()).await;
    let client = server.client(ClientOptions::default());
    let request = Request::new(method.clone(), url("/"), Chunks::empty());
    server.world.net.fault(ADDRESS, Some(Fault::ResetAfter(bytes)));
    client.send(request.clone()).await.ok()?;
    server.world.net.fault(ADDRESS, None);
    let code = client.send(request).await.err().map(|error| error.code());
    Some((code, server.world.net.connections(ADDRESS)))
}

#[tokio::test]
async fn what_may_be_sent_twice_is_sent_again_when_a_kept_connection_is_reset() {
    for (method, outcome) in [(Method::GET, (None, 2)), (Method::POST, (Some("reset"), 1))] {
        let mut outcomes = Vec::new();
        for bytes in 50..250 {
            outcomes.extend(on_a_reset_connection(&method, bytes).await);
        }
        // Somewhere in the second request, behind its last byte as well; then behind both requests.
        let broken = outcomes.iter().take_while(|one| **one == outcome).count();
        assert!(broken > 50, "{method} {outcomes:?}");
        assert!(broken < outcomes.len() && outcomes[broken..].iter().all(|one| *one == (None, 1)), "{outcomes:?}");
    }
}

#[tokio::test]
async fn every_connection_that_was_kept_may_have_been_reset() {
    let server = start(ServerOptions::default()).await;
    let client = server.client(ClientOptions::default());
    server.world.net.fault(ADDRESS, Some(Fault::ResetAfter(120)));
    let release = async {
        server.until_held(1).await;
        client.send(Request::get(url("/"))).await.unwrap();
        server.echo.release.notify_waiters();
    };
    tokio::join!(async { client.send(Request::get(url("/hold"))).await.unwrap() }, release);
    server.world.net.fault(ADDRESS, None);
    client.send(Request::get(url("/"))).await.unwrap();
    assert_eq!(server.world.net.connections(ADDRESS), 3);
}

#[tokio::test]
async fn a_new_connection_that_is_reset_is_an_error() {
    let server = start(ServerOptions::default()).await;
    server.world.net.fault(ADDRESS, Some(Fault::ResetAfter(10)));
    let error = server.client(ClientOptions::default()).send(Request::get(url("/"))).await.unwrap_err();
    assert_eq!(error.code(), "reset", "{error}");
    assert_eq!(server.world.net.connections(ADDRESS), 1);
}

#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "a test's own task")]
async fn answers_that_are_not_http_and_bodies_that_end_early_are_resets() {
    let check = async |answer: &'static [u8]| {
        let world = World::new();
        let mut listener = world.doors.net.listen(ADDRESS).await.unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(answer).await;
        });
        let client = Client::new(ClientOptions::default(), &world.context("test")).unwrap();
        let error = client.send(Request::post(url("/"), "x")).await.unwrap_err();
        assert_eq!(error.code(), "reset", "{error}");
    };
    check(b"220 mail.example.com ESMTP\r\n").await;
    check(b"").await;
    check(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort").await;
    check(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n").await;
}

#[tokio::test]
async fn own_headers_come_before_the_clients() {
    let server = start(ServerOptions::default()).await;
    let client =
        server.client(ClientOptions { headers: header("authorization", "Bearer x"), ..ClientOptions::default() });
    assert_eq!(text(&client.send(Request::get(url("/"))).await.unwrap()), "GET / 0 HTTP/1.1 true");
}

#[tokio::test]
async fn a_closed_client_keeps_nothing() {
    let server = start(ServerOptions::default()).await;
    let client = server.client(http2());
    client.send(Request::get(url("/"))).await.unwrap();
    client.close();
    server.world.tasks.close();
    server.world.tasks.wait().await;
}
