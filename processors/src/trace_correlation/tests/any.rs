//! Any lines and any batches.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use proptest::prelude::*;

use super::*;
use crate::trace_correlation::fuzz;

fn line() -> impl Strategy<Value = String> {
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let part = prop_oneof![
        Just(format!("\"trace_id\":\"{trace}\"")),
        Just(format!("\"traceparent\":\"00-{trace}-00f067aa0ba902b7-01\"")),
        Just(format!("00-{trace}-00f067aa0ba902b7-01")),
        Just("\"request_id\":\"r-1\"".to_owned()),
        Just("\"x_request_id\":\"\"".to_owned()),
        "[\\[\\]{}\",:\\\\0-9a-f -]{0,8}",
    ];
    proptest::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
}

/// A record of one of a few traces, spans and requests, with ids in one place or another.
fn log_record() -> impl Strategy<Value = LogRecord> {
    let ids = (0..4u8, 0..3u8, 0..3u8, 0..24i32);
    (ids, line(), proptest::bool::ANY).prop_map(|((trace, span, request, severity), body, is_named)| {
        let id = if trace == 0 { vec![] } else { vec![trace; 16] };
        let names =
            if is_named { format!("{{request_id: r{request}, trace.model: own}}") } else { "{other: 1}".to_owned() };
        let body = if is_named { "text".to_owned() } else { body };
        let span_id = if span == 0 { vec![] } else { vec![span; 8] };
        LogRecord { severity_number: severity, span_id, flags: u32::from(span), ..record(&body, id, &names) }
    })
}

fn any_span() -> impl Strategy<Value = Span> {
    ((1..4u8, 1..4u8, 0..4u8), 0..3u8, proptest::bool::ANY).prop_map(|((trace, id, parent), request, is_root)| {
        let name = if is_root { "http-request" } else { "inner" };
        span(name, trace, (id, parent), attributes(&format!("{{request_id: r{request}, model: m, worker_id: '7'}}")))
    })
}

/// The attributes without those that were added, which stand last.
fn without(attributes: &[KeyValue], before: &[KeyValue]) -> Vec<KeyValue> {
    let (kept, added) = attributes.split_at(before.len().min(attributes.len()));
    for new in added {
        assert!(new.key.starts_with("trace.") || new.key.starts_with("log."), "{new:?}");
        assert!(before.iter().all(|old| old.key != new.key), "{new:?} was there");
    }
    kept.to_vec()
}

proptest! {
    #[test]
    fn what_is_found_in_a_line_stands_in_it(line in line()) {
        fuzz::line(line.as_bytes());
    }

    #[test]
    fn nothing_is_taken_away_and_nothing_changed_that_was_there(
        steps in proptest::collection::vec(
            (proptest::collection::vec(log_record(), 0..4), proptest::collection::vec(any_span(), 0..4)),
            1..5,
        ),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let setup = Setup::new("{wait: 0s, max_bytes: 64KiB}");
            for (records, all_spans) in steps {
                setup.send(logs(records.clone())).await.unwrap();
                for batch in setup.sink(Signal::Logs).take() {
                    let out = read_logs(&batch).resource_logs.remove(0).scope_logs.remove(0).log_records;
                    assert_eq!((out.len(), batch.items()), (records.len(), records.len()));
                    for (before, mut after) in records.iter().zip(out) {
                        after.attributes = without(&after.attributes, &before.attributes);
                        if before.trace_id.is_empty() && !after.trace_id.is_empty() {
                            assert_eq!(after.trace_id.len(), 16);
                            after.trace_id = Vec::new();
                            (after.span_id, after.flags) = (before.span_id.clone(), before.flags);
                        }
                        assert_eq!(after, *before);
                    }
                }
                setup.send(spans("f", all_spans.clone())).await.unwrap();
                for batch in setup.sink(Signal::Traces).take() {
                    let out = read_spans(&batch).resource_spans.remove(0).scope_spans.remove(0).spans;
                    assert_eq!((out.len(), batch.items()), (all_spans.len(), all_spans.len()));
                    for (before, mut after) in all_spans.iter().zip(out) {
                        after.attributes = without(&after.attributes, &before.attributes);
                        assert_eq!(after, *before);
                    }
                }
                assert!(setup.held("index") <= 64 << 10);
            }
        });
    }
}
