//! The server: stopping, limits, garbage.

use super::*;

#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "a test's own tasks")]
async fn a_stop_lets_open_requests_finish_and_takes_no_new_ones() {
    for options in [ClientOptions::default(), http2()] {
        let server = start(ServerOptions::default()).await;
        let client = server.client(options);
        let open = tokio::spawn({
            let client = client.clone();
            async move { client.send(Request::get(url("/hold"))).await.unwrap().status }
        });
        let idle = server.client(ClientOptions::default());
        idle.send(Request::get(url("/"))).await.unwrap();
        server.until_held(1).await;
        server.stop.cancel();
        while server.world.net.is_listening(ADDRESS) {
            tokio::task::yield_now().await;
        }
        assert_eq!(idle.send(Request::get(url("/"))).await.unwrap_err().code(), "connect");
        assert!(!server.done.is_finished());
        server.echo.release.notify_waiters();
        assert_eq!(open.await.unwrap(), StatusCode::OK);
        server.done.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_a_silent_http2_peer() {
    let server = start(ServerOptions::default()).await;
    let mut stream = server.raw().await;
    send_raw(&mut stream, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    server.stop.cancel();
    tokio::time::timeout(Duration::from_secs(2), server.done).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn silence_is_cut_by_its_kind() {
    let check = async |said: &'static [u8], seconds: u64, answer: &str| {
        let server = start(ServerOptions {
            greeting_timeout: Duration::from_secs(10),
            head_timeout: Some(Duration::from_secs(30)),
            idle_timeout: Some(Duration::from_secs(600)),
            ..ServerOptions::default()
        })
        .await;
        let begun = tokio::time::Instant::now();
        let mut stream = server.raw().await;
        send_raw(&mut stream, said).await;
        let got = read_all(&mut stream).await;
        assert!(got.contains(answer), "{got}");
        assert_eq!(begun.elapsed().as_secs(), seconds, "{:?}", String::from_utf8_lossy(said));
        // The others are served.
        server.client(ClientOptions::default()).send(Request::get(url("/"))).await.unwrap();
    };
    check(b"", 10, "").await;
    check(b"PRI * HT", 10, "").await;
    check(b"GET / HTTP/1.1\r\nhost: a\r\nx: ", 30, "").await;
    check(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", 600, "GET / 0").await;
    check(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf", 5, "stopped coming for 5s").await;
    // hyper closes an HTTP/2 connection a moment after its last word.
    check(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", 601, "").await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_no_bytes_is_cut() {
    let server =
        start(ServerOptions { write_patience: Some(Duration::from_secs(20)), ..ServerOptions::default() }).await;
    let mut stream = server.raw().await;
    send_raw(&mut stream, b"GET /big HTTP/1.1\r\nhost: a\r\n\r\n").await;
    tokio::time::sleep(Duration::from_secs(21)).await;
    let got = read_all(&mut stream).await;
    assert!(got.len() < 1_000_000, "{}", got.len());
}

#[tokio::test]
async fn connections_above_the_limit_wait() {
    let server = start(ServerOptions { most_connections: 1, ..ServerOptions::default() }).await;
    let first = server.client(ClientOptions::default());
    first.send(Request::get(url("/"))).await.unwrap();
    let second = server.client(ClientOptions::default());
    let mut waiting = std::pin::pin!(second.send(Request::get(url("/"))));
    assert!(futures_util::poll!(waiting.as_mut()).is_pending());
    tokio::task::yield_now().await;
    assert!(futures_util::poll!(waiting.as_mut()).is_pending());
    first.close();
    waiting.await.unwrap();
}

#[tokio::test]
async fn garbage_gets_an_answer_or_the_door() {
    let server = start(ServerOptions { most_head_bytes: 16_384, ..ServerOptions::default() }).await;
    let many = ["GET / HTTP/1.1\r\n".to_owned(), "x: y\r\n".repeat(5000), "\r\n".to_owned()].concat();
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for (said, answer) in [
        ("\0\0\0\0\0\0\0\0\r\n\r\n".to_owned(), "400"),
        ("EHLO example.com\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/9.9\r\n\r\n".to_owned(), ""),
        ("POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n".to_owned(), "400"),
        ("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".to_owned(), "broke off"),
        (many, "431"),
        (format!("{preface}GET / HTTP/1.1\r\n\r\n"), ""),
        (format!("{preface}\u{7f}\u{7f}\u{7f}{}", "\u{7f}".repeat(100)), ""),
    ] {
        let mut stream = server.raw().await;
        let _ = stream.write_all(said.as_bytes()).await;
        let _ = stream.shutdown().await;
        let got = read_all(&mut stream).await;
        assert!(got.contains(answer), "{said:.40?}: {got:?}");
        server.client(ClientOptions::default()).send(Request::get(url("/"))).await.unwrap();
    }
}

#[tokio::test]
async fn bodies_are_read_up_to_their_cap() {
    for options in [ClientOptions::default(), http2()] {
        let server = start(ServerOptions::default()).await;
        let body = Bytes::from(vec![0; 10_000_001]);
        let answer = server.client(options).send(Request::post(url("/"), body)).await.unwrap();
        assert!(text(&answer).contains("the body is larger than 10000000 bytes"), "{}", text(&answer));
    }
}
