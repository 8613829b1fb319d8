//! Log records: ids, and facts of their traces.

use std::time::Duration;

use pipeline::Signal;
use tokio::time::{Instant, advance};

use super::*;

const TRACE: &str = "04040404040404040404040404040404";
const SPAN: &str = "0505050505050505";

#[tokio::test(start_paused = true)]
async fn records_get_ids_from_fields_bodies_and_traceparent_text() {
    let setup = Setup::new("{wait: 0s, log_attributes: {}}");
    let json = format!(r#"{{"trace_id":"{TRACE}","span_id":"{SPAN}","trace_flags":"01"}}"#);
    let parent = format!("00-{TRACE}-{SPAN}-01");
    let records = [
        record("a", vec![], &format!("{{trace_id: '{TRACE}', span_id: '{SPAN}'}}")),
        record("b", vec![], &format!("{{traceparent: '{parent}'}}")),
        record("c", trace(9), &format!("{{traceparent: '{parent}'}}")),
        record(&json, vec![], "{}"),
        record(&format!("see {parent}"), vec![], "{}"),
        record(r#"{"span_id":"549755813889"}"#, vec![], "{}"),
        record("zero", vec![0; 16], &format!("{{trace_id: '{TRACE}'}}")),
    ];
    setup.send(logs(records)).await.unwrap();
    let out: Vec<_> = setup.logs().iter().map(|line| line.split(" [").next().unwrap().to_owned()).collect();
    assert_eq!(out[0], "\"a\" 4 5");
    assert_eq!(out[1], "\"b\" 4 5 flags=1");
    assert_eq!(out[2], "\"c\" 9 -");
    assert!(out[3].ends_with("4 5 flags=1"), "{}", out[3]);
    assert!(out[4].ends_with("4 5 flags=1"), "{}", out[4]);
    assert!(out[5].ends_with(" - -"), "{}", out[5]);
    assert_eq!(out[6], "\"zero\" 4 -");
}

#[tokio::test(start_paused = true)]
async fn a_record_without_a_trace_gets_that_of_its_request() {
    let setup = Setup::new("{wait: 0s, log_attributes: {}}");
    let asking = || logs([record("x", vec![], "{request_id: r}"), record("y", vec![], "{x_request_id: c}")]);
    setup.send(asking()).await.unwrap();
    assert_eq!(setup.logs(), ["\"x\" - - [request_id=\"r\"]", "\"y\" - - [x_request_id=\"c\"]"]);
    assert_eq!((setup.lookups(Signal::Logs), setup.count("late")), ((0, 2), 0));
    // A record tells of one, a span of the other; both come too late for what has gone.
    setup.send(logs([record("told", trace(1), "{request_id: r}")])).await.unwrap();
    setup.send(spans("f", [span("s", 2, (1, 7), attributes("{x_request_id: c}"))])).await.unwrap();
    assert_eq!(setup.count("late"), 2);
    setup.logs();
    setup.send(asking()).await.unwrap();
    assert_eq!(setup.logs(), ["\"x\" 1 - [request_id=\"r\"]", "\"y\" 2 - [x_request_id=\"c\"]"]);
    assert_eq!(setup.lookups(Signal::Logs), (3, 2));
}

#[tokio::test(start_paused = true)]
async fn the_fields_of_a_json_line_tell_of_a_request_too() {
    let setup = Setup::new("{wait: 0s, log_attributes: {}}");
    let told = record(r#"{"message":"m","request_id":"r"}"#, trace(1), "{}");
    let asks = record(r#"{"dynamo.request.id":"r","span_id":"549755813889"}"#, vec![], "{}");
    setup.send(logs([told, asks])).await.unwrap();
    assert!(setup.logs()[1].ends_with(" 1 - []"));
}

#[tokio::test(start_paused = true)]
async fn an_id_that_two_traces_claim_says_nothing() {
    let setup = Setup::new("{wait: 0s, log_attributes: {}, keep: 10s}");
    for number in [1, 2] {
        setup.send(logs([record("claims", trace(number), "{x_request_id: again, request_id: again}")])).await.unwrap();
    }
    setup.send(logs([record("x", vec![], "{x_request_id: again}")])).await.unwrap();
    assert!(setup.logs()[2].starts_with("\"x\" - -"));
    // Once the others are forgotten it is one trace's again.
    advance(Duration::from_secs(10)).await;
    setup.send(logs([record("claims", trace(3), "{x_request_id: again}")])).await.unwrap();
    setup.send(logs([record("x", vec![], "{x_request_id: again}")])).await.unwrap();
    assert!(setup.logs()[1].starts_with("\"x\" 3 -"));
}

const FACTS: &str = "trace.component=\"frontend\" trace.model=\"m\" trace.service=\"frontend\" trace.worker_id=\"7\"";

#[tokio::test(start_paused = true)]
async fn records_get_facts_of_their_trace_from_its_root_before_others() {
    let setup = Setup::new("{wait: 0s}");
    let inner = span("route", 1, (2, 1), attributes("{worker_id: '7', model: other, component: other}"));
    setup.send(spans("worker", [inner])).await.unwrap();
    setup.send(root(1, "{model: m, dynamo.component: frontend}")).await.unwrap();
    let late = span("route", 1, (3, 1), attributes("{model: later}"));
    setup.send(spans("worker", [late])).await.unwrap();
    setup.send(logs([record("a", trace(1), "{}"), record("b", trace(1), "{trace.model: own}")])).await.unwrap();
    let own = format!("\"b\" 1 - [trace.model=\"own\" {}]", FACTS.replace("trace.model=\"m\" ", ""));
    assert_eq!(setup.logs(), [format!("\"a\" 1 - [{FACTS}]"), own]);
    assert_eq!(setup.lookups(Signal::Logs), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_root_with_a_parent_elsewhere_is_known_by_its_name_and_yields_to_one_without() {
    let setup = Setup::new("{wait: 0s, log_attributes: {of: [service.name]}}");
    setup.send(spans("frontend", [span("http-request", 1, (1, 9), vec![])])).await.unwrap();
    setup.send(logs([record("a", trace(1), "{}")])).await.unwrap();
    setup.send(spans("client", [span("call", 1, (9, 0), vec![])])).await.unwrap();
    setup.send(logs([record("a", trace(1), "{}")])).await.unwrap();
    assert_eq!(setup.logs(), ["\"a\" 1 - [of=\"frontend\"]", "\"a\" 1 - [of=\"client\"]"]);
}

#[tokio::test(start_paused = true)]
async fn events_of_spans_tell_as_well() {
    use opentelemetry_proto::tonic::trace::v1::span::Event;
    let setup = Setup::new("{wait: 0s, log_attributes: {model: [model]}}");
    let mut inner = span("lifecycle", 1, (2, 1), vec![]);
    inner.events = vec![Event { attributes: attributes("{model: m}"), ..Event::default() }];
    setup.send(spans("frontend", [inner, span("http-request", 1, (1, 0), vec![])])).await.unwrap();
    setup.send(logs([record("a", trace(1), "{}")])).await.unwrap();
    assert_eq!(setup.logs(), ["\"a\" 1 - [model=\"m\"]"]);
}

#[tokio::test(start_paused = true)]
async fn records_that_went_on_before_their_root_came_are_counted_as_late() {
    let setup = Setup::new("{wait: 0s}");
    setup
        .send(logs([record("a", trace(1), "{}"), record("b", trace(1), "{}"), record("c", trace(2), "{}")]))
        .await
        .unwrap();
    assert_eq!((setup.lookups(Signal::Logs), setup.count("late")), ((0, 3), 0));
    setup.send(root(1, "{}")).await.unwrap();
    assert_eq!(setup.count("late"), 2);
    setup.send(root(1, "{}")).await.unwrap();
    assert_eq!(setup.count("late"), 2, "each counts once");
}

#[tokio::test(start_paused = true)]
async fn a_batch_waits_until_all_its_roots_are_there_and_no_longer() {
    let setup = Setup::new("{log_attributes: {of: [service.name]}}");
    let start = Instant::now();
    let asking = setup.send(logs([record("a", trace(1), "{}"), record("b", vec![], "{request_id: r}")]));
    let telling = async {
        advance(Duration::from_millis(500)).await;
        setup.send(root(1, "{}")).await.unwrap();
        advance(Duration::from_millis(500)).await;
        // Now it is known which trace the request is; its root is still missing.
        setup.send(spans("w", [span("s", 2, (2, 1), attributes("{request_id: r}"))])).await.unwrap();
        advance(Duration::from_millis(500)).await;
        assert_eq!(setup.sink(Signal::Logs).items(), 0);
        setup.send(root(2, "{}")).await.unwrap();
    };
    assert_eq!(tokio::join!(asking, telling).0, Ok(()));
    assert_eq!(start.elapsed(), Duration::from_millis(1500));
    assert_eq!(setup.logs(), ["\"a\" 1 - [of=\"frontend\"]", "\"b\" 2 - [request_id=\"r\" of=\"frontend\"]"]);
    assert_eq!((setup.lookups(Signal::Logs), setup.count("late"), setup.held("batches")), ((2, 0), 0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_come_is_waited_for_as_long_as_configured_and_not_again() {
    let setup = Setup::new("{wait: 3s}");
    let start = Instant::now();
    setup.send(logs([record("a", trace(1), "{}")])).await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(3));
    assert_eq!(setup.logs(), ["\"a\" 1 - []"]);
    // A record that names no trace and no request waits for nothing.
    setup.send(logs([record("a", vec![], "{}")])).await.unwrap();
    setup.send(root(1, "{}")).await.unwrap();
    setup.send(logs([record("a", trace(1), "{}")])).await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(3));
}
