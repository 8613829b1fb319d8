//! What JSON is read and written, on examples; that nothing gets lost is a property tested beside the others.

use bytes::Bytes;

use super::{from_proto, to_proto};
use crate::batch::Signal;

/// What comes out of a text.
fn back(signal: Signal, text: &str) -> String {
    let request = to_proto(signal, text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"));
    String::from_utf8(from_proto(signal, &Bytes::from(request)).unwrap()).unwrap()
}

fn error(signal: Signal, text: &str) -> String {
    to_proto(signal, text.as_bytes()).unwrap_err().to_string()
}

fn span(fields: &str) -> String {
    format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{fields}}}]}}]}}]}}"#)
}

fn value(value: &str) -> String {
    span(&format!(r#""attributes":[{{"key":"k","value":{value}}}]"#))
}

#[test]
fn a_request_in_the_form_of_the_specification_comes_back_as_it_is() {
    let text = concat!(
        r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"dynamo"}}]},"#,
        r#""scopeSpans":[{"scope":{"name":"http","version":"1"},"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","#,
        r#""spanId":"eee19b7ec3c1b174","name":"a \"span\"","kind":2,"startTimeUnixNano":"1544712660000000000","#,
        r#""endTimeUnixNano":"1544712661000000000","attributes":[{"key":"n","value":{"intValue":"-5"}},"#,
        r#"{"key":"b","value":{"boolValue":false}},{"key":"x","value":{"bytesValue":"AP8="}},"#,
        r#"{"key":"a","value":{"arrayValue":{"values":[{"doubleValue":0.1},{}]}}},"#,
        r#"{"key":"m","value":{"kvlistValue":{"values":[{"key":"z"}]}}}],"status":{"message":"no","code":2},"#,
        r#""flags":257}],"schemaUrl":"https://x"}]}]}"#,
    );
    assert_eq!(back(Signal::Traces, text), text);
    let text = concat!(
        r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"h","unit":"s","histogram":{"dataPoints":["#,
        r#"{"startTimeUnixNano":"1","timeUnixNano":"2","count":"3","sum":0.0,"bucketCounts":["1","2"],"#,
        r#""explicitBounds":[0.5],"attributes":[],"min":"-Infinity","max":"NaN"}],"aggregationTemporality":2}}]}]}]}"#,
    );
    assert_eq!(back(Signal::Metrics, text), text.replace(r#""attributes":[],"#, ""));
}

#[test]
fn other_spellings_are_understood() {
    let check = |other: &str, plain: &str| assert_eq!(back(Signal::Traces, &span(other)), span(plain), "{other}");
    check(r#""start_time_unix_nano":"5""#, r#""startTimeUnixNano":"5""#);
    check(r#""startTimeUnixNano":5"#, r#""startTimeUnixNano":"5""#);
    check(r#""startTimeUnixNano":5.0e0"#, r#""startTimeUnixNano":"5""#);
    check(r#""kind":"SPAN_KIND_CLIENT""#, r#""kind":3"#);
    check(r#""spanId":"EEE19b7ec3c1B174""#, r#""spanId":"eee19b7ec3c1b174""#);
    check(r#""name":null,"status":null,"events":null,"kind":null"#, "");
    check(r#""name":"","kind":0,"traceId":"","flags":0"#, "");
    check(r#""later":{"a":[1,{"b":null}]},"name":"n""#, r#""name":"n""#);
    check(r#""status":{}"#, r#""status":{}"#);
    let check = |other: &str, plain: &str| assert_eq!(back(Signal::Traces, &value(other)), value(plain), "{other}");
    check(r#"{"intValue":-5}"#, r#"{"intValue":"-5"}"#);
    check(r#"{"doubleValue":"1e3"}"#, r#"{"doubleValue":1000.0}"#);
    check(r#"{"doubleValue":3}"#, r#"{"doubleValue":3.0}"#);
    check(r#"{"bytesValue":"_-8"}"#, r#"{"bytesValue":"/+8="}"#);
    check(r#"{"stringValue":""}"#, r#"{"stringValue":""}"#);
    check(r#"{"arrayValue":{"values":[null]}}"#, r#"{"arrayValue":{"values":[{}]}}"#);
    assert_eq!(back(Signal::Logs, "{}"), "{}");
    assert_eq!(back(Signal::Logs, " null \n"), "{}");
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let check = |text: &str, expected: &str| assert_eq!(error(Signal::Traces, text), expected, "{text}");
    check("", "EOF while parsing a value at line 1 column 0");
    check("[]", "invalid type: sequence, expected an object for the request at line 1 column 2");
    check("{} x", "trailing characters at line 1 column 4");
    check(
        "{\n \"resourceSpans\": [{\"scopeSpans\": 5}]}",
        "invalid type: integer `5`, expected an array for scope_spans at line 2 column 35",
    );
    let check = |fields: &str, expected: &str| {
        let error = error(Signal::Traces, &span(fields));
        assert_eq!(error.rsplit_once(" at line").unwrap().0, expected, "{fields}");
    };
    check(r#""traceId":"abc""#, "trace_id must have 32 hexadecimal digits or none");
    check(r#""spanId":"zzzzzzzzzzzzzzzz""#, "span_id must have 16 hexadecimal digits or none");
    check(r#""name":5"#, "invalid type: a number, expected text for name");
    check(r#""name":"a","name":"b""#, "name occurs twice");
    check(r#""kind":"server""#, r#"invalid value: string "server", expected a number or name for kind"#);
    check(r#""startTimeUnixNano":-1"#, "start_time_unix_nano is -1, it must be from 0 to 18446744073709551615");
    check(
        r#""startTimeUnixNano":1.5"#,
        "invalid value: floating point `1.5`, expected a number for start_time_unix_nano",
    );
    check(r#""attributes":[{"value":{"boolValue":true,"intValue":1}}]"#, "int_value excludes what stands before it");
    check(
        r#""attributes":[{"value":{"bytesValue":"?"}}]"#,
        r#"invalid value: string "?", expected base64 text for bytes_value"#,
    );
}

#[test]
fn nesting_is_bounded_and_what_is_taken_passes_the_check() {
    let nested = |levels: usize| {
        value(&format!("{}{{}}{}", r#"{"arrayValue":{"values":["#.repeat(levels), "]}}".repeat(levels)))
    };
    assert!(error(Signal::Traces, &nested(10_000)).starts_with("recursion limit exceeded"));
    let deepest = (0..100).rfind(|levels| to_proto(Signal::Traces, nested(*levels).as_bytes()).is_ok()).unwrap();
    assert!(deepest > 30);
    assert_eq!(back(Signal::Traces, &nested(deepest)), nested(deepest));
}
