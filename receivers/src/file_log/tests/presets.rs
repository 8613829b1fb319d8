//! The presets on Dynamo's own lines, and on what else its processes write.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::*;

/// The records that a preset makes of some text.
async fn records(format: &str, text: &str) -> Vec<Batch> {
    let rig = Rig::new(&format!("format: {format}"));
    rig.files.put("/logs/a.log", text);
    let running = rig.start().await;
    sleep(A_POLL * 8).await;
    running.stop().await;
    rig.sink.take()
}

/// A record as one line of text: severity, time, trace context, attributes; not the body, which must be the line.
async fn check(format: &str, line: &str, want: &str) {
    let batches = records(format, &format!("{line}\n")).await;
    let mut got = Vec::new();
    for_each_record(&batches, |_, record| {
        assert_eq!(record.body.as_text(), Some(line));
        let mut out = format!("{}:{}", record.severity_number, record.severity_text);
        if record.time > 0 {
            out += &format!(" @{}", record.time);
        }
        for (name, id) in [("trace", record.trace_id_bytes), ("span", record.span_id_bytes)] {
            if !id.is_empty() {
                out += &format!(" {name}={}", hex(id));
            }
        }
        if record.flags > 0 {
            out += &format!(" flags={}", record.flags);
        }
        let attributes = attributes(record);
        let own: Vec<_> = attributes.iter().filter(|a| !a.starts_with("log.file.name=")).cloned().collect();
        got.push(format!("{out} [{}]", own.join(", ")));
    });
    assert_eq!(got, [want], "{line}");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[tokio::test(start_paused = true)]
async fn every_line_of_a_recorded_run_is_read_with_its_time_severity_and_trace() {
    let folder = format!("{}/../tests/data/dynamo-1.6.1", env!("CARGO_MANIFEST_DIR"));
    let texts =
        ["frontend", "worker1", "worker2"].map(|n| fs::read_to_string(format!("{folder}/{n}.stderr.jsonl")).unwrap());
    let text = texts.concat();
    let batches = records("dynamo_jsonl", &text).await;

    let mut lines = text.lines();
    let (mut traces, mut spans) = (BTreeSet::new(), BTreeSet::new());
    let mut decimal = 0;
    let mut severities = BTreeMap::new();
    for_each_record(&batches, |_, record| {
        let line = lines.next().unwrap();
        assert_eq!(record.body.as_text(), Some(line));
        let json: serde_json::Value = serde_json::from_str(line).unwrap();
        let field = |key: &str| json[key].as_str().unwrap_or_default().to_owned();

        assert_eq!(hex(record.trace_id_bytes), field("trace_id"), "{line}");
        let is_hex = field("span_id").len() == 16 && !field("trace_id").is_empty();
        assert_eq!(hex(record.span_id_bytes), if is_hex { field("span_id") } else { String::new() }, "{line}");
        decimal += usize::from(!field("span_id").is_empty() && !is_hex);
        traces.extend(record.trace_id().unwrap());
        spans.extend(record.span_id().unwrap());

        assert_eq!(record.severity_text, field("level"));
        *severities.entry((record.severity_number, record.severity_text.to_owned())).or_insert(0) += 1;
        let micros = field("time")[20..26].parse::<u64>().unwrap();
        assert_eq!(record.time / 1000 % 1_000_000, micros, "{line}");
        assert_eq!(record.time / 86_400_000_000_000, 20_777, "{line}");
        for key in ["target", "message", "span_name", "x_request_id", "request_id"] {
            let attribute = record.attributes().find(key).unwrap();
            assert_eq!(
                attribute.and_then(|a| a.as_text().map(str::to_owned)).unwrap_or_default(),
                field(key),
                "{line}"
            );
        }
        let keys: Vec<_> = record.attributes().map(|a| a.unwrap().key).collect();
        assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len(), "{keys:?}");
    });
    assert_eq!(lines.next(), None);
    assert_eq!(batches.iter().map(Batch::items).sum::<usize>(), 965);
    assert_eq!((traces.len(), spans.len(), decimal), (31, 254, 15));
    let numbers: BTreeSet<_> = severities.keys().map(|(n, t)| format!("{n} {t}")).collect();
    assert!(
        numbers.iter().all(|n| ["9 INFO", "13 WARN", "17 ERROR", "5 DEBUG", "1 TRACE"].contains(&&**n)),
        "{numbers:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_dynamo_line_gives_time_severity_trace_and_chosen_attributes() {
    check(
        "dynamo_jsonl",
        r#"{"time":"2026-11-20T15:31:26.726627Z","level":"INFO","file":"/opt/dynamo/lib/runtime/src/logging.rs","line":636,"target":"request_span","message":"SPAN_CLOSED","method":"POST","parent_id":"00f067aa0ba902b7","request_id":"600382ba","span_id":"bb984f8a387a4d39","span_name":"http-request","time.busy_us":354,"time.duration_us":45054,"trace_flags":"01","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","uri":"/v1/chat/completions","version":"HTTP/1.1","x_request_id":"tp-001"}"#,
        "9:INFO @1795188686726627000 trace=4bf92f3577b34da6a3ce929d0e0e4736 span=bb984f8a387a4d39 flags=1 [target=request_span, message=SPAN_CLOSED, method=POST, request_id=600382ba, span_name=http-request, time.duration_us=45054, uri=/v1/chat/completions, x_request_id=tp-001]",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn ids_are_text_whether_a_line_writes_them_as_numbers_or_not() {
    for id in ["11360150215887396147", "\"11360150215887396147\""] {
        check(
            "dynamo_jsonl",
            &format!(r#"{{"level":"DEBUG","worker_id":{id},"logit":31.375,"dp_rank":0}}"#),
            "5:DEBUG [worker_id=11360150215887396147, dp_rank=0]",
        )
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn decimal_span_ids_and_spans_without_a_trace_are_no_trace_context() {
    for ids in [
        r#""span_id":"549755813889""#,
        r#""span_id":"bb984f8a387a4d39""#,
        r#""span_id":"549755813889","trace_id":"short""#,
        r#""span_id":549755813889,"trace_id":null"#,
    ] {
        check("dynamo_jsonl", &format!(r#"{{"level":"ERROR",{ids}}}"#), "17:ERROR []").await;
    }
}

#[tokio::test(start_paused = true)]
async fn of_duplicate_keys_the_first_counts_and_local_times_and_escapes_are_understood() {
    check(
        "dynamo_jsonl",
        r#"{"time":"2026-11-20T16:31:26.726627+01:00","level":"WARN","target":"a","message":"say \"hi\"\u0021","target":"b","trace_id":null}"#,
        "13:WARN @1795188686726627000 [target=a, message=say \"hi\"!]",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn readable_and_foreign_lines_are_whole_bodies_with_a_guess_at_time_and_severity() {
    for (line, want) in [
        (
            "\u{1b}[2m2026-11-20T15:33:50.573004Z\u{1b}[0m \u{1b}[32m INFO\u{1b}[0m \u{1b}[2mmain.prefetch_model\u{1b}[0m\u{1b}[2m:\u{1b}[0m Using local model path",
            "9:INFO @1795188830573004000 []",
        ),
        (
            "2025-09-02T15:50:01.770028Z INFO main.init: VllmWorker has been initialized",
            "9:INFO @1756828201770028000 []",
        ),
        ("INFO 09-02 15:50:01 [__init__.py:239] Automatically detected platform cpu.", "9:INFO []"),
        ("Traceback (most recent call last):", "17: []"),
        ("  File \"/opt/x.py\", line 3, in <module>", "0: []"),
        ("RuntimeError: CUDA out of memory", "17: []"),
        ("{\"time\":\"2026-11-20T15:31:26.726627Z\",\"level\":\"INFO\",\"message\":\"cut of", "9:INFO []"),
        ("{not json}", "0: []"),
        ("héllo", "0: []"),
    ] {
        check("dynamo_jsonl", line, want).await;
    }
}

#[tokio::test(start_paused = true)]
async fn any_json_line_gives_its_fields_as_attributes() {
    check(
        "json",
        r#"{"ts":1795188686.7,"severity":"warning","msg":"hi","n":1,"f":1.5,"b":true,"z":null,"o":{"x":1},"n":2,"traceId":"4bf92f3577b34da6a3ce929d0e0e4736","log.file.name":"mine"}"#,
        "13:warning @1795188686700000000 trace=4bf92f3577b34da6a3ce929d0e0e4736 [msg=hi, n=1, f=Double(1.5), b=Bool(true)]",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn values_of_every_length_are_read_whole_wherever_they_stand() {
    let value = |len: usize| "é".repeat(len / 2) + &"x".repeat(len % 2);
    for behind in ["".to_owned(), format!(",\"o\":[\"{}\"]", ".".repeat(64))] {
        let line = |len| format!("{{\"msg\":\"{}\",\"no\":\"{len}\"{behind}}}\n", value(len));
        let text: String = (0..140).map(line).collect();
        let mut got = Vec::new();
        for_each_record(&records("json", &text).await, |_, record| got.push(attributes(record)));
        let want = |len| ["log.file.name=a.log".to_owned(), format!("msg={}", value(len)), format!("no={len}")];
        assert_eq!(got, (0..140).map(want).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn a_line_that_should_be_json_and_is_not_says_so() {
    check("json", "ERROR oops", "17:ERROR [slipring.error=not JSON: a JSON object should start here at byte 0]").await;
}

#[tokio::test(start_paused = true)]
async fn a_line_with_a_great_many_fields_keeps_a_bounded_number_of_attributes() {
    let members: Vec<_> = (0..1000).map(|i| format!("\"k{i}\":{i}")).collect();
    let batches = records("json", &format!("{{{}}}\n", members.join(","))).await;
    for_each_record(&batches, |_, record| {
        assert_eq!(record.attributes().count(), 128 + 1);
    });
}

#[tokio::test(start_paused = true)]
async fn what_the_line_shows_stands_behind_it_and_a_batch_says_so_unless_it_decides_something() {
    for (format, line, want) in [
        ("json", r#"{"a":"1","b":2}"#, true),
        ("json", r#"{"level":30,"a":"1"}"#, true),
        ("json", r#"{"level":"INFO","a":"1"}"#, true),
        ("json", r#"{"loki.format":"json"}"#, false),
        ("json", r#"{"l\u006fki.tenant":1}"#, false),
        ("json", r#"{"l\u0065vel":"INFO"}"#, false),
        ("dynamo_jsonl", r#"{"loki.format":"json","message":"m"}"#, true),
        ("dynamo_jsonl", "no JSON", true),
        ("dynamo_trace", r#"{"schema":"dynamo.request.trace.v1","event_type":"request_end"}"#, false),
    ] {
        // The batch behind is another one, with a record of which nothing is special.
        let rig = Rig::new(&format!("format: {format}"));
        rig.files.put("/logs/a.log", format!("{line}\n"));
        let running = rig.start().await;
        sleep(A_POLL * 8).await;
        rig.files.append("/logs/a.log", "{\"message\":\"m\"}\n");
        sleep(A_POLL * 8).await;
        running.stop().await;
        let batches = rig.sink.take();
        assert_eq!(
            batches.iter().map(|batch| batch.known().shown_last).collect::<Vec<_>>(),
            [want, true],
            "{format} {line}"
        );
        for_each_record(&batches[1..], |_, record| {
            assert_eq!(attributes(record), ["log.file.name=a.log", "message=m"]);
            let mut before = 0;
            LogRecord::until_body(record.raw, |_| {
                before += 1;
                Ok(())
            })
            .unwrap();
            assert_eq!(before, 1);
        });
    }
}
