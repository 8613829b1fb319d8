//! Targets that misbehave: each is one failed scrape with its reason, and nothing else.

use super::*;

/// A target that gives this answer, after a good one: one failed scrape with its reason, and everything stale.
#[track_caller]
fn fails(answer: Vec<u8>, expected: &'static str) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    async move {
        let (bench, far) = one("").await;
        bench.next().await;
        far.answer(answer);
        let (flat, up) = bench.next().await;
        let error = bench.error().unwrap_or_default();
        assert!(error.contains(expected), "{place}: {error}");
        assert_eq!(up, 0.0, "{place}");
        assert_eq!((series(&flat), flat[0].value), (vec![A], None), "{place}");
        far.answer(text("a 2\n"));
        assert_eq!(bench.next().await.1, 1.0, "{place}: the next scrape is a new chance");
        assert_eq!(bench.error(), None);
        bench.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn bad_answers_are_one_failed_scrape_with_its_reason() {
    fails(text("a 1\nb rubbish\n"), "line 2 of the body: the value `rubbish` is not a number").await;
    fails(text("a{b=\"\u{0}\"} 1\nc{d=\"1\",d=\"2\"} 1\n"), "label d is there twice").await;
    fails(text("a 1e400\n"), "beyond the range of a number").await;
    fails(http("200 OK\r\ncontent-type: text/plain", b"a{b=\"\xff\"} 1\n"), "is not UTF-8").await;
    fails(http("503 Service Unavailable", "a 1\n"), "the target answered 503 Service Unavailable").await;
    fails(http("302 Found\r\nlocation: /metrics", ""), "redirect").await;
    fails(http("200 OK\r\ncontent-type: application/vnd.google.protobuf", "x"), "protobuf").await;
    fails(http("200 OK\r\ncontent-type: application/openmetrics-text", "a 1\n"), "does not end with # EOF").await;
    fails(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 99\r\n\r\na 1\n".to_vec(),
        "no answer from worker:8081 within 4s",
    )
    .await;
    fails(b"\x16\x03\x01 this is no HTTP\r\n\r\n".to_vec(), "worker:8081 broke off").await;
    fails(Vec::new(), "no answer from worker:8081 within 4s").await;
}

#[tokio::test(start_paused = true)]
async fn a_target_that_trickles_is_cut_at_its_timeout() {
    let (bench, far) = one("").await;
    bench.next().await;
    far.state.lock().unwrap().trickle = Some(Duration::from_secs(1));
    let (_, up) = bench.next().await;
    assert_eq!(up, 0.0);
    assert!(bench.error().unwrap().contains("within 4s"));
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_too_large_is_not_read_to_its_end() {
    let claim = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 1073741824\r\n\r\na 1\n".to_vec();
    fails(claim, "the body is larger than 67108864 bytes").await;

    let (bench, far) = one("    body_size_limit: 1MB\n").await;
    bench.next().await;
    // It says nothing about its length and does not end.
    let chunk = [&b"10000\r\n"[..], &[b'#'; 0x1_0000], b"\r\n"].concat().repeat(32);
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n";
    far.answer([&head[..], &chunk].concat());
    assert_eq!(bench.next().await.1, 0.0);
    assert!(bench.error().unwrap().starts_with("the body is larger than 1048576 bytes"));
    far.answer(text("a 2\n"));
    assert_eq!(bench.next().await.1, 1.0, "the connection was given up, the target was not");
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_body_longer_than_it_says_does_not_upset_the_next() {
    let (bench, far) = one("").await;
    far.answer(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 4\r\n\r\na 1\nb 2\nc 3\n".to_vec());
    assert_eq!(series(&bench.next().await.0), [A]);
    far.answer(text("a 2\n"));
    let (flat, up) = bench.next().await;
    assert_eq!((flat[0].value, up), (Some(2.0), 1.0));
    bench.end().await;
}

/// A body that Prometheus takes, too: its values, the staleness marker aside.
#[track_caller]
fn is_taken(body: String, expected: &'static [f64]) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    async move {
        let (bench, far) = one("").await;
        far.answer(text(&body));
        let (flat, up) = bench.next().await;
        let bits: Vec<_> = flat.iter().map(|flat| flat.value.unwrap().to_bits()).collect();
        let expected: Vec<_> = expected.iter().map(|value| value.to_bits()).collect();
        assert_eq!((bits, up), (expected, 1.0), "{place}");
        bench.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn odd_bodies_that_prometheus_takes_are_taken() {
    const NAN: f64 = f64::from_bits(0x7ff8_0000_0000_0001);
    is_taken("a NaN\nb +Inf\nc -Inf\n".to_owned(), &[NAN, f64::INFINITY, f64::NEG_INFINITY]).await;
    is_taken(
        "# TYPE a gauge\na 1\n# TYPE a counter\na{x=\"1\"} 2\n# TYPE a histogram\na{x=\"2\"} 3\n".to_owned(),
        &[2.0, 3.0, 1.0],
    )
    .await;
    let labels: String = (0..10_000).map(|i| format!("l{i}=\"{i}\",")).collect();
    is_taken(format!("a{{{labels}}} 5\n"), &[5.0]).await;
}

#[tokio::test(start_paused = true)]
async fn limits_fail_a_scrape_with_what_was_too_much() {
    let labels: String = (0..10_000).map(|i| format!("l{i}=\"{i}\",")).collect();
    for (limit, body, expected) in [
        ("label_limit: 30", format!("a{{{labels}}} 5\n"), "metric a has 10003 labels, label_limit is 30"),
        ("sample_limit: 1", "a 1\nb 2\n".to_owned(), "the scrape has 2 samples, sample_limit is 1"),
        (
            "label_name_length_limit: 8",
            "a{too_long_a_name=\"1\"} 1\n".to_owned(),
            "a label of metric a has a name of 15 bytes, label_name_length_limit is 8",
        ),
        (
            "label_value_length_limit: 11",
            "a{b=\"twelve bytes\"} 1\n".to_owned(),
            "label b of metric a has 12 bytes, label_value_length_limit is 11",
        ),
        ("body_size_limit: 9B", "a 1\nb 23\n".to_owned(), "the body is larger than 9 bytes"),
    ] {
        let (bench, far) = one(&format!("    {limit}\n")).await;
        far.answer(text(&body));
        assert_eq!(bench.next().await.1, 0.0, "{limit}");
        let error = bench.error().unwrap();
        assert!(error.contains(expected), "{limit}: {error}");
        bench.end().await;
    }
}
