//! What the tests share: attributes of one record, and a body, through a config.

mod content;
mod rules;

use opentelemetry_proto::tonic::logs::v1::LogRecord;
use pipeline::Signal;
use prost::Message;

use super::{Config, Factory};
use crate::testing::{any, attributes, logs, problems, processor, read_logs, resource, scope, show, show_value};
use crate::value::Value;

/// What becomes of a log record, given by its attributes and its body in YAML: `attributes | body`.
fn record(config: &str, attributes_yaml: &str, body: &str) -> String {
    let body = (!body.is_empty()).then(|| any(&yaml(body)));
    let record = LogRecord { attributes: attributes(attributes_yaml), body, ..LogRecord::default() };
    let batch = logs(resource("{}"), scope("s", ""), vec![record]);
    let out = read_logs(&processor::<Factory>(config, Signal::Logs).process(batch).unwrap());
    let record = &out.resource_logs[0].scope_logs[0].log_records[0];
    let body = record.body.as_ref().map_or(String::new(), |body| format!(" | {}", show_value(body)));
    format!("{}{body}", show(&record.attributes))
}

fn yaml(text: &str) -> Value {
    #[derive(serde::Deserialize)]
    struct Body {
        value: Value,
    }
    pipeline::config::testing::decode_block::<Body>(&format!("value: {text}")).unwrap().value
}

#[test]
fn what_cannot_be_meant_is_said() {
    assert_eq!(
        problems::<Config>(
            "{blocked_values: ['(a'], keep_content: true, hash_function: hmac-sha512, hmac_key: short,
              url_sanitizer: {enabled: true, attributes: [url]}, db_sanitizer: {redis: {enabled: true}}}"
        ),
        [
            "'::blocked_values[0]': \"(a\" is not a regular expression: unclosed group",
            "'::keep_content': says what a preset does, and there is none: add preset: gen_ai",
            "'::hmac_key': hmac-sha512 needs an hmac_key of at least 64 bytes, it has 5",
            "'::url_sanitizer::enabled': is not supported: mask what these attributes must not show with \
             blocked_values, or their whole values with blocked_key_patterns",
            "'::db_sanitizer::redis::enabled': is not supported: mask what these attributes must not show with \
             blocked_values, or their whole values with blocked_key_patterns",
        ]
    );
    let unused =
        problems::<Config>("{hmac_key: k, url_sanitizer: {enabled: false}, db_sanitizer: {sql: {enabled: false}}}");
    assert_eq!(unused, ["'::hmac_key': is the key of hash_function hmac-sha256 or hmac-sha512, and neither is chosen"]);
}

#[test]
fn a_batch_in_which_nothing_is_redacted_keeps_its_bytes() {
    let record = LogRecord {
        attributes: attributes("{a: 1, b: text}"),
        body: Some(any(&yaml("hello"))),
        ..LogRecord::default()
    };
    let batch = logs(resource("{r: 1}"), scope("s", ""), vec![record]);
    for config in
        ["preset: gen_ai", "{allow_all_keys: true, blocked_values: [secret]}", "{preset: gen_ai, keep_content: true}"]
    {
        let out = processor::<Factory>(config, Signal::Logs).process(batch.clone()).unwrap();
        assert_eq!(out.parts()[0].as_ptr(), batch.parts()[0].as_ptr(), "{config}");
    }
    assert!(read_logs(&batch).encoded_len() > 0);
}

#[tokio::test(start_paused = true)]
async fn it_conforms() {
    for config in [
        "{allowed_keys: [a], blocked_values: ['[0-9]'], summary: debug}",
        "{preset: gen_ai, summary: info}",
        "{allow_all_keys: true, blocked_key_patterns: ['.'], hash_function: sha3}",
    ] {
        pipeline::testing::conformance::processor::<Factory>(config).await;
    }
}
