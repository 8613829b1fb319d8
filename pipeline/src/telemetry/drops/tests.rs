//! The ledger as it is asked.

use bytes::Bytes;
use serde_json::{Value, json};

use super::ring::RING_BYTES;
use super::*;
use crate::otlp::text;
use crate::testing::World;

fn drops(world: &World, component: &str) -> Drops {
    let (kind, name) = component.split_once('/').unwrap_or((component, ""));
    Drops::new(&world.meter, &ComponentId::new(kind, name)).of(Kind::Exporter)
}

fn ask(world: &World, query: &str) -> Value {
    let (parts, ()) = http::Request::get(format!("/api/v1/drops?{query}")).body(()).unwrap().into_parts();
    let answer = page(world.meter.ledger(), &parts);
    serde_json::from_slice(answer.body()).unwrap()
}

/// The component and whether it is certain, for each entry of an answer.
fn found(world: &World, query: &str) -> Vec<(String, bool)> {
    let answer = ask(world, query);
    let entries = answer["drops"].as_array().unwrap_or_else(|| panic!("{answer}"));
    entries.iter().map(|e| (e["component"].as_str().unwrap().to_owned(), e["certain"].as_bool().unwrap())).collect()
}

fn spans(ids: impl IntoIterator<Item = u128>) -> Batch {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
    use prost::Message;
    let span = |id: u128| Span { trace_id: id.to_be_bytes().to_vec(), span_id: vec![1; 8], ..Span::default() };
    let spans = ids.into_iter().map(span).collect();
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    Batch::new(Signal::Traces, Bytes::from(ExportTraceServiceRequest { resource_spans }.encode_to_vec())).unwrap()
}

fn read(signal: Signal, text: &str) -> Batch {
    Batch::new(signal, text::parse(signal, text).unwrap()).unwrap()
}

#[test]
fn drops_are_counted_by_component_signal_and_reason() {
    let world = World::new();
    let drops = drops(&world, "loki/a");
    drops.record(Signal::Logs, 3, &Reason::new("too_old", "entry too far behind"));
    drops.record(Signal::Logs, 4, &Reason::new("too_old", "entry too far behind"));
    drops.record(Signal::Traces, 1, &Reason::new("http_400", "bad request"));
    drops.record(Signal::Traces, 0, &Reason::new("never", "nothing"));
    let text = world.meter.text();
    let series: Vec<_> = text.lines().filter(|l| !l.starts_with('#')).collect();
    assert_eq!(
        series,
        [
            "slipring_dropped_items_total{component=\"loki/a\",kind=\"exporter\",reason=\"http_400\",signal=\"traces\"} 1",
            "slipring_dropped_items_total{component=\"loki/a\",kind=\"exporter\",reason=\"too_old\",signal=\"logs\"} 7",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn one_line_a_minute_is_logged_about_a_reason_and_nothing_is_left_out() {
    let mut ring = Ring::default();
    let key = Key { what: What::Dropped, kind: None, component: "x".into(), signal: Signal::Logs, code: "why" };
    assert_eq!(ring.count(&key, 1, false), Some(1));
    assert_eq!(ring.count(&key, 2, false), None);
    tokio::time::advance(Duration::from_millis(59_999)).await;
    assert_eq!(ring.count(&key, 3, false), None);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(ring.count(&key, 4, false), Some(9));
}

#[tokio::test(start_paused = true)]
async fn a_trace_is_found_where_its_spans_were_dropped() {
    let world = World::new();
    let gone = Reason::new("retry_exhausted", "given up");
    drops(&world, "otlp/a").record_batch(&spans(1..=10), 10, &gone);
    tokio::time::advance(Duration::from_secs(1)).await;
    drops(&world, "otlp/b").record_batch(&spans(5..=20), 3, &Reason::new("partial_success", "some were bad"));
    tokio::time::advance(Duration::from_secs(1)).await;
    drops(&world, "otlp/c").refused(&spans([7]), &Reason::new("queue_full", "full"));
    assert_eq!(found(&world, "trace=00000000000000000000000000000003"), [("otlp/a".to_owned(), true)]);
    // Nobody said which three of the batch; the last was only refused.
    let of_all = [("otlp/c".to_owned(), true), ("otlp/b".to_owned(), false), ("otlp/a".to_owned(), true)];
    assert_eq!(found(&world, "q=00000000-0000-0000-0000-000000000007"), of_all);
    assert_eq!(found(&world, "trace=00000000000000000000000000000007&what=refused"), of_all[..1]);
    assert_eq!(found(&world, "trace=000000000000000000000000000000ff"), []);
    let entry = &ask(&world, "component=otlp/b")["drops"][0];
    assert_eq!((&entry["items"], &entry["of"]), (&json!(3), &json!(16)));
    assert_eq!((&entry["message"], &entry["at"]), (&json!("some were bad"), &json!("2026-01-01T00:00:01.000Z")));
}

#[tokio::test(start_paused = true)]
async fn series_are_found_by_selectors() {
    let world = World::new();
    let metrics = read(
        Signal::Metrics,
        r#"
        resource {service.name="worker" service.instance.id="a:9"}
          scope none
            metric dynamo.requests sum
              point 1 {model="m-1" code="200"}
              point 2 {model="m-2" code="500"}
            metric up gauge
              point 1
        "#,
    );
    drops(&world, "prometheus").record_batch(&metrics, metrics.items(), &Reason::new("http_400", "too old"));
    let yes = [("prometheus".to_owned(), true)];
    for selector in [
        "dynamo_requests_total{model=\"m-1\"}",
        "dynamo.requests{model=\"m-2\",code=~\"5..\"}",
        "{__name__=\"up\",job=\"worker\",instance=\"a:9\"}",
        "{service_name=\"worker\",model!=\"m-1\"}",
        "up",
    ] {
        let query = percent_encoding::utf8_percent_encode(selector, percent_encoding::NON_ALPHANUMERIC);
        assert_eq!(found(&world, &format!("series={query}")), yes, "{selector}");
    }
    for selector in
        ["dynamo_requests{model=\"m-3\"}", "dynamo_req", "up{job=\"other\"}", "{code=\"200\",model=\"m-2\"}"]
    {
        let query = percent_encoding::utf8_percent_encode(selector, percent_encoding::NON_ALPHANUMERIC);
        assert_eq!(found(&world, &format!("series={query}")), [], "{selector}");
    }
    let answer = ask(&world, "series=%7Ba%7D");
    assert!(answer["error"].as_str().unwrap().contains("no series selector"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn whatever_a_source_should_have_given_may_be_what_is_missing() {
    let world = World::new();
    let failed = Reason::new("scrape_failed", "connection refused");
    drops(&world, "prometheus").record_source(Signal::Metrics, 0, "instance=\"a:9\",job=\"worker\"", &failed);
    let maybe = [("prometheus".to_owned(), false)];
    assert_eq!(found(&world, "series=requests_total%7Bjob%3D%22worker%22,code%3D%22200%22%7D"), maybe);
    assert_eq!(found(&world, "series=requests_total%7Bjob%3D%22other%22%7D"), []);
    assert_eq!(crate::testing::count(&world.meter, "slipring_dropped_items_total", &[]), 0);
}

#[tokio::test(start_paused = true)]
async fn log_lines_are_found_by_a_piece_and_shown_to_nobody_else() {
    let world = World::new();
    let logs = crate::testing::logs(["a secret prompt of user 7", "something else"]);
    drops(&world, "loki").record_batch(&logs, 2, &Reason::new("too_far_behind", "by two hours"));
    let long = "x".repeat(1000);
    drops(&world, "loki").record_line(&long, &Reason::new("operator", "not JSON"));
    assert_eq!(found(&world, "text=prompt+of+user"), [("loki".to_owned(), true)]);
    assert_eq!(found(&world, &format!("text={long}")).len(), 1, "a cut line is found by its whole");
    assert_eq!(found(&world, "text=two%20hours"), [("loki".to_owned(), false)], "by the reason's words");
    assert!(!ask(&world, "").to_string().contains("secret"));
    assert_eq!(ask(&world, "text=user")["drops"][0]["found"], json!(["a secret prompt of user 7"]));
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_kept_in_part_and_hides_nobody_else() {
    let world = World::new();
    drops(&world, "otlp/rare").record_batch(&spans([42]), 1, &Reason::new("http_400", "bad"));
    let flood = drops(&world, "otlp/flood");
    for second in 0..400u128 {
        for batch in 0..40 {
            let first = second << 32 | batch << 16;
            flood.record_batch(&spans(first..first + 50), 50, &Reason::new("retry_exhausted", "gone"));
        }
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert_eq!(found(&world, "trace=0000000000000000000000000000002a"), [("otlp/rare".to_owned(), true)]);
    let answer = ask(&world, "component=otlp/flood&limit=100000");
    let entries = answer["drops"].as_array().unwrap();
    let sum = |key: &str| entries.iter().map(|e| e[key].as_u64().unwrap()).sum::<u64>();
    assert_eq!(answer["totals"][0]["items"], json!(800_000));
    assert!(answer["ring"]["bytes"].as_u64().unwrap() <= RING_BYTES as u64, "{}", answer["ring"]);
    assert!(answer["ring"]["lost_entries"].as_u64().unwrap() > 0, "{}", answer["ring"]);
    assert!(answer["ring"]["reaches_back_to"].as_str().unwrap() < "2026-01-01T00:03:30", "{}", answer["ring"]);
    assert!(sum("unknown_items") > sum("items") / 2 && entries.len() > 500, "{} entries", entries.len());
    // The newest of the flood is known, too.
    assert!(entries[0]["until"].as_str().unwrap() > "2026-01-01T00:06:38", "{}", entries[0]);
}

#[tokio::test(start_paused = true)]
async fn what_a_component_sees_go_is_found_and_the_rest_is_not() {
    let world = World::new();
    let drops = Drops::new(&world.meter, &ComponentId::new("filter", "")).of(Kind::Processor).on_purpose();
    let batch = spans(1..=4);
    let mut witness = drops.witness(Signal::Traces);
    let mut index = 0;
    for part in batch.parts() {
        let filtered = crate::otlp::filter::items(Signal::Traces, part, |place, item| {
            index += 1;
            if index % 2 == 0 {
                drops.see(&mut witness, place.resource, item, "filtered");
            }
            Ok(index % 2 == 1)
        });
        assert!(filtered.is_ok());
    }
    drops.record_seen(Signal::Traces, 2, &Reason::new("filtered", "as the config says"), witness);
    assert_eq!(found(&world, "trace=00000000000000000000000000000002"), [("filter".to_owned(), true)]);
    assert_eq!(found(&world, "trace=00000000000000000000000000000001"), []);
    assert_eq!(ask(&world, "")["totals"][0]["on_purpose"], json!(true));
}

#[tokio::test(start_paused = true)]
async fn questions_are_narrowed_by_filters_and_wrong_ones_say_what_there_is() {
    let world = World::new();
    drops(&world, "a").record(Signal::Logs, 1, &Reason::new("old", "first"));
    tokio::time::advance(Duration::from_secs(100)).await;
    drops(&world, "a").record(Signal::Logs, 1, &Reason::new("new", "second"));
    drops(&world, "b").record(Signal::Traces, 1, &Reason::new("new", "third"));
    let count = |query: &str| found(&world, query).len();
    assert_eq!((count(""), count("component=a"), count("reason=new"), count("signal=traces")), (3, 2, 2, 1));
    assert_eq!(
        (count("kind=exporter"), count("kind=receiver"), count("since=50"), count("what=refused")),
        (3, 0, 2, 0)
    );
    let answer = ask(&world, "limit=1");
    assert_eq!((answer["drops"].as_array().unwrap().len(), &answer["left_off"]), (1, &json!(2)));
    assert!(ask(&world, "when=now")["error"].as_str().unwrap().starts_with("when is not known; there are q, trace"));
    assert!(ask(&world, "since=long")["error"].as_str().unwrap().contains("it must be a number"));
    assert!(ask(&world, "trace=7")["error"].as_str().unwrap().contains("32 hexadecimal digits"));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig {
        cases: 500, failure_persistence: None, ..proptest::prelude::ProptestConfig::default()
    })]

    /// Questions come from outside, and so do the bytes that are dropped.
    #[test]
    fn whatever_is_dropped_and_asked_is_answered(
        question in "(q|series|text|trace)=[ -~]{0,40}",
        selector in "[a-z_]{0,5}\\{([a-z\\.\"]{0,4}(=|!=|=~|!~)\"?[a-z\\\\\"(.*]{0,6}\"?,?){0,3}\\}?",
        bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..80),
        line in "\\PC{0,300}",
    ) {
        let world = World::new();
        let drops = drops(&world, "far");
        for signal in Signal::ALL {
            drops.record_batch(&Batch::counted(signal, bytes.clone().into(), 3), 3, &Reason::new("why", "so"));
        }
        drops.record_line(&line, &Reason::new("why", "so"));
        drops.record_source(Signal::Metrics, 0, &line, &Reason::new("why", "so"));
        let encode = |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
        let question = question.split_once('=').map(|(name, value)| format!("{name}={}", encode(value))).unwrap();
        for query in [question, format!("series={}", encode(&selector)), format!("q={}", encode(&line))] {
            let answer = ask(&world, &query);
            proptest::prop_assert!(answer["drops"].is_array() || answer["error"].is_string(), "{query}: {answer}");
        }
    }
}
