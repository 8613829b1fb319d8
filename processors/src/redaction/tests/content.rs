//! `preset: gen_ai`: prompts and completions, wherever they stand.

use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::{Span, span};
use pipeline::Signal;

use super::super::Factory;
use super::{record, yaml};
use crate::testing::{
    any, attributes, logs, processor, read_logs, read_spans, resource, scope, show, show_value, spans,
};

const PRESET: &str = "preset: gen_ai";

#[test]
fn attributes_with_content_go_and_those_about_it_stay() {
    let check = |attributes: &str, expected: &str| assert_eq!(record(PRESET, attributes, ""), expected, "{attributes}");
    for key in [
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "gen_ai.system_instructions",
        "gen_ai.prompt",
        "gen_ai.prompt.0.content",
        "gen_ai.completion.12.content",
        "gen_ai.completion.0.tool_calls.0.arguments",
        "gen_ai.tool.call.arguments",
        "traceloop.entity.input",
        "input.value",
        "llm.input_messages.0.message.content",
        "ai.prompt.messages",
        "langfuse.observation.output",
        "mlflow.spanInputs",
        "kwargs.input_ids",
        "prompt",
        "messages",
    ] {
        check(&format!("{{{key}: hello}}"), "");
        check(&format!("{{{key}: [{{role: user}}]}}"), "");
    }
    for stays in [
        r#"gen_ai.request.model="m""#,
        "gen_ai.usage.input_tokens=7",
        r#"gen_ai.prompt.name="greeting""#,
        r#"gen_ai.prompt.0.role="user""#,
        r#"gen_ai.completion.0.finish_reason="stop""#,
        "prompt=12",
        "completion=true",
        r#"input_tokens="12""#,
        r#"prompt_tokens="12""#,
    ] {
        check(&format!("{{{}}}", stays.replace('=', ": ")), stays);
    }
}

#[test]
fn content_inside_of_maps_goes_too() {
    assert_eq!(record(PRESET, "{request: {prompt: hello, model: m}, n: [1]}", ""), r#"request={model="m"} n=[1]"#);
    assert_eq!(
        record("{preset: gen_ai, summary: debug}", "{}", "{gen_ai.prompt: hello, choices: [{prompt: x, index: 0}]}"),
        r#"redaction.body.redacted.keys="choices.[0].prompt,gen_ai.prompt" redaction.body.redacted.count=2 | {choices=[{index=0}]}"#
    );
}

#[test]
fn other_rules_go_with_the_preset_and_exceptions_are_made_by_key() {
    let attributes = "{gen_ai.prompt: hello, user: a@b.c, other: 1}";
    let check = |config: &str, expected: &str| {
        assert_eq!(record(&format!("{{preset: gen_ai, {config}}}"), attributes, ""), expected, "{config}");
    };
    check("summary: info", r#"user="a@b.c" other=1 redaction.redacted.count=1"#);
    check("blocked_values: ['@.*']", r#"user="a****" other=1"#);
    check("allowed_keys: [user]", r#"user="a@b.c""#);
    check("ignored_keys: [gen_ai.prompt]", r#"gen_ai.prompt="hello" user="a@b.c" other=1"#);
    check("keep_content: true", r#"gen_ai.prompt="hello" user="a@b.c" other=1"#);
    // What is allowed by its value is content all the same.
    check("allowed_values: [hello]", r#"user="a@b.c" other=1"#);
}

#[test]
fn span_events_that_are_messages_keep_only_what_is_about_them() {
    let event = |name: &str, yaml: &str| span::Event {
        name: name.to_owned(),
        attributes: attributes(yaml),
        ..Default::default()
    };
    let span = Span {
        name: "chat".to_owned(),
        events: vec![
            event("gen_ai.content.prompt", "{gen_ai.prompt: hello, gen_ai.system: vllm}"),
            event("gen_ai.user.message", "{content: hello, role: user, id: 5, x: 1}"),
            event("gen_ai.choice", "{message: {content: hi}, index: 0, finish_reason: stop}"),
            event("retry", "{content: of another kind}"),
        ],
        ..Span::default()
    };
    let batch = spans(resource("{}"), scope("s", ""), vec![span]);
    let out = read_spans(&processor::<Factory>(PRESET, Signal::Traces).process(batch).unwrap());
    let events = &out.resource_spans[0].scope_spans[0].spans[0].events;
    let shown: Vec<_> = events.iter().map(|e| format!("{} {}", e.name, show(&e.attributes))).collect();
    assert_eq!(
        shown,
        [
            r#"gen_ai.content.prompt gen_ai.system="vllm""#,
            r#"gen_ai.user.message role="user" id=5 x=1"#,
            r#"gen_ai.choice index=0 finish_reason="stop""#,
            r#"retry content="of another kind""#,
        ]
    );
}

#[test]
fn log_records_that_are_messages_lose_their_bodies() {
    let record = |event_name: &str, yaml_attributes: &str, body: &str| LogRecord {
        event_name: event_name.to_owned(),
        attributes: attributes(yaml_attributes),
        body: Some(any(&yaml(body))),
        ..LogRecord::default()
    };
    let records = vec![
        record("gen_ai.user.message", "{gen_ai.system: vllm}", "{content: hello}"),
        record("", "{event.name: gen_ai.choice, note: quote}", "{message: {content: hi}}"),
        record(
            "gen_ai.client.inference.operation.details",
            "{gen_ai.input.messages: [{role: user}], gen_ai.usage.input_tokens: 7}",
            "done",
        ),
        record("other", "{a: 1}", "{content: stays}"),
    ];
    let batch = logs(resource("{}"), scope("s", ""), records);
    let out = processor::<Factory>("{preset: gen_ai, summary: info}", Signal::Logs).process(batch).unwrap();
    assert_eq!(out.items(), 4);
    let out = read_logs(&out);
    let records = &out.resource_logs[0].scope_logs[0].log_records;
    let shown: Vec<_> = records
        .iter()
        .map(|r| format!("{} | {}", show(&r.attributes), r.body.as_ref().map_or("none".to_owned(), show_value)))
        .collect();
    assert_eq!(
        shown,
        [
            r#"gen_ai.system="vllm" redaction.body.redacted.count=1 | none"#,
            r#"event.name="gen_ai.choice" redaction.redacted.count=1 redaction.body.redacted.count=1 | none"#,
            r#"gen_ai.usage.input_tokens=7 redaction.redacted.count=1 | "done""#,
            r#"a=1 | {content="stays"}"#,
        ]
    );
}

fn line(line: &str) -> String {
    let body = format!("'{}'", line.replace('\'', "''"));
    let out = record(PRESET, "{}", &body);
    out.strip_prefix(" | ").unwrap().to_owned()
}

#[test]
fn rows_of_dynamos_request_trace_lose_their_payload() {
    let row = r#"{"timestamp":1,"event":{"schema":"dynamo.request.trace.v1","event_type":"request_payload","payload":{"request_id":"r","endpoint":"openai.chat_completion","model":"m","request":{"messages":[{"role":"user","content":"hello"}]},"response":{"choices":[]},"headers":{"authorization":"Bearer x"},"payload_complete":true}}}"#;
    let clean = r#"{"timestamp":1,"event":{"schema":"dynamo.request.trace.v1","event_type":"request_payload","payload":{"request_id":"r","endpoint":"openai.chat_completion","model":"m","request":"****","response":"****","headers":"****","payload_complete":true}}}"#;
    assert_eq!(line(row), format!("{clean:?}"));
    let end = r#"{"schema":"dynamo.request.trace.v1","event_type":"request_end","request":{"request_id":"r","model":"m","ttft_ms":1.5,"replay":{"input_sequence_hashes":[1]}}}"#;
    assert_eq!(line(end), format!("{end:?}"));
    let tool = r#"{"schema":"dynamo.request.trace.v1","event_type":"tool","request_headers":{"cookie":"c"}}"#;
    assert_eq!(line(tool), format!("{:?}", tool.replace(r#"{"cookie":"c"}"#, r#""****""#)));
}

#[test]
fn the_request_trace_over_otlp_loses_its_payload() {
    let records = |payload: &str| {
        let yaml = format!("{{payload: '{payload}', request_id: r}}");
        LogRecord { attributes: attributes(&yaml), ..LogRecord::default() }
    };
    let row = r#"{"event_type":"request_payload","payload":{"request_id":"r","request":{"a":1}}}"#;
    let batch = logs(resource("{}"), scope("dynamo.request_trace", ""), vec![records(row)]);
    let out = read_logs(&processor::<Factory>(PRESET, Signal::Logs).process(batch).unwrap());
    let clean = r#"{"event_type":"request_payload","payload":{"request_id":"r","request":"****"}}"#;
    assert_eq!(
        show(&out.resource_logs[0].scope_logs[0].log_records[0].attributes),
        format!("payload={clean:?} request_id=\"r\"")
    );
}

#[test]
fn lines_in_which_engines_log_requests_end_where_they_quote() {
    let check = |text: &str, expected: &str| assert_eq!(line(text), format!("{expected:?}"), "{text}");
    check(
        "INFO 11-20 15:31:26 [logger.py:39] Received request chatcmpl-1: prompt: 'Hello, world', params: SamplingParams(n=1)",
        "INFO 11-20 15:31:26 [logger.py:39] Received request chatcmpl-1: prompt: ****",
    );
    check(
        "Generated response c-1 (streaming complete): output: 'Hi', output_token_ids: [1]",
        "Generated response c-1 (streaming complete): output: ****",
    );
    check("Request c-1 details: prompt: 'x', prompt_token_ids: [1]", "Request c-1 details: prompt: ****");
    check("Receive: obj=GenerateReqInput(rid='1', text='Hi')", "Receive: obj=GenerateReqInput(****");
    check("Received request c-1: params: SamplingParams(n=1)", "Received request c-1: params: SamplingParams(n=1)");
    check(
        r#"{"time":"t","level":"INFO","message":"Received request c-1: prompt: \"Hello\", params: 1","log.line":39}"#,
        r#"{"time":"t","level":"INFO","message":"Received request c-1: prompt: ****","log.line":39}"#,
    );
    // The same as an attribute, as the presets of file_log write it.
    assert_eq!(
        record(PRESET, "{message: 'Received request c-1: prompt: x', target: log}", ""),
        r#"message="Received request c-1: prompt: ****" target="log""#
    );
}

#[test]
fn json_lines_lose_their_content_whole_or_cut_off() {
    let check = |text: &str, expected: &str| assert_eq!(line(text), format!("{expected:?}"), "{text}");
    check(
        r#"{"a":1,"gen_ai.prompt":"hello \"you\"","b":{"messages":[{"content":"x"}],"prompt":5}}"#,
        r#"{"a":1,"gen_ai.prompt":"****","b":{"messages":"****","prompt":5}}"#,
    );
    check(r#"{"a":1,"prompt":"the line was cut in the mid"#, r#"{"a":1,"prompt":"****""#);
    check(r#"{"a":1,"messages":[{"content":"cut"#, r#"{"a":1,"messages":"****""#);
    check(r#"{"a":1} then "prompt":"x""#, r#"{"a":1}****"#);
    check(r#"{"a":b c,"prompt":"x"}"#, r#"{"a":b ****"#);
    check(r#"{"message":"no prompt here"}"#, r#"{"message":"no prompt here"}"#);
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { failure_persistence: None, ..Default::default() })]

    #[test]
    fn what_is_masked_stays_masked_and_json_stays_json(
        before in ".{0,12}",
        key in proptest::sample::select(vec!["prompt", "messages", "gen_ai.input.messages", "message", "payload"]),
        text in ".{0,20}",
    ) {
        let line = serde_json::json!({"a": before, key: text, "b": {key: [text]}}).to_string();
        for is_row in [false, true] {
            let new = super::super::content::without(&line, is_row, &|_| false).unwrap_or(line.clone());
            let read: serde_json::Value = serde_json::from_str(&new).unwrap();
            proptest::prop_assert_eq!(&read["a"], &before);
            if super::super::content::is_key(key) && !text.is_empty() {
                proptest::prop_assert_eq!(&read[key], "****");
                proptest::prop_assert_eq!(&read["b"][key], "****");
            }
        }
        super::super::fuzz::line(line.as_bytes());
        super::super::fuzz::line(&line.as_bytes()[..line.len() * 2 / 3]);
    }
}
