//! What a collector logs of itself, in either of its encodings: JSON, or words with a JSON object behind the message.

use super::config::SelfLog;
use super::read::Failed;
use super::value::{Map, Value, from_json};
use crate::file_log::format::civil::rfc3339;
use crate::file_log::format::severity::Severity;

/// A line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Line {
    /// Nanoseconds since 1970.
    pub time: Option<u64>,
    /// Its severity and the word for it.
    pub severity: Option<(Severity, String)>,
    /// What it says.
    pub message: Option<Value<'static>>,
    /// Whose it is.
    pub resource: Option<Map<'static>>,
    /// Everything else.
    pub fields: Map<'static>,
}

/// The field that says that a line ends as if an object stood there, and none does.
const MALFORMED: &str = "otelcol.self_log.malformed_trailing_json";

/// Reads a line.
///
/// # Errors
/// When it is none.
pub fn read(text: &str, format: SelfLog) -> Result<Line, Failed> {
    let text = text.trim();
    let is_json = match format {
        SelfLog::Auto => text.starts_with('{'),
        SelfLog::Json => true,
        SelfLog::Console => false,
    };
    let mut fields =
        if is_json { object(text)? } else { words(text).ok_or("it is no line of a collector's own log")? };
    // What cannot be read stays a field.
    let time = fields.get("ts").and_then(time);
    let severity = fields.get("level").and_then(Value::as_text).map(|level| (severity(level), level.to_owned()));
    let has_resource = matches!(fields.get("resource"), Some(Value::Map(_)));
    let mut take = |known: bool, key: &str| known.then(|| fields.remove(key)).flatten();
    take(time.is_some(), "ts");
    take(severity.is_some(), "level");
    let message = take(true, "msg");
    let resource = match take(has_resource, "resource") {
        Some(Value::Map(resource)) => Some(resource),
        _ => None,
    };
    Ok(Line { time, severity, message, resource, fields })
}

fn object(text: &str) -> Result<Map<'static>, Failed> {
    match from_json(text, false).map(Value::into_owned) {
        Ok(Value::Map(map)) => Ok(map),
        Ok(other) => Err(format!("it is {}, not a JSON object", other.kind()).into()),
        Err(error) => Err(format!("it is no JSON: {error}").into()),
    }
}

/// `2026-07-06T22:56:21.989Z warn transaction.go:127 The message {"a": 1}`, white space of any kind between.
fn words(text: &str) -> Option<Map<'static>> {
    let (time, rest) = text.split_once(char::is_whitespace)?;
    let (level, mut rest) = rest.trim_start().split_once(char::is_whitespace)?;
    let mut fields = Map::default();
    let mut set = |key: &'static str, text: &str| fields.set(key, Value::text(text.to_owned()));
    set("ts", time);
    set("level", level);
    rest = rest.trim_start();
    if let Some((word, behind)) = rest.split_once(char::is_whitespace)
        && is_caller(word)
    {
        set("caller", word);
        rest = behind.trim_start();
    }
    let (message, more) = message(rest);
    set("msg", message);
    match more {
        Some(more) => fields.merge(more),
        None if rest.ends_with('}') => fields.set(MALFORMED, Value::Bool(true)),
        None => {}
    }
    Some(fields)
}

fn is_caller(word: &str) -> bool {
    word.rsplit_once(':')
        .is_some_and(|(file, line)| !file.is_empty() && !line.is_empty() && line.bytes().all(|b| b.is_ascii_digit()))
}

/// The message, and the object that stands behind it: the longest end of the line that is one.
fn message(text: &str) -> (&str, Option<Map<'static>>) {
    if text.ends_with('}') {
        // So many openings are tried: each is read to the end of the line.
        for (at, _) in text.match_indices('{').take(MOST_TRIED) {
            if let Ok(object) = object(&text[at..]) {
                return (text[..at].trim_end(), Some(object));
            }
        }
    }
    (text, None)
}

const MOST_TRIED: usize = 64;

fn severity(level: &str) -> Severity {
    match level.to_ascii_lowercase().as_str() {
        "dpanic" => Severity::FATAL,
        word => Severity::from_word(word).unwrap_or_default(),
    }
}

/// Text, or seconds since 1970.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 0 to the year 2554")]
fn time(value: &Value<'_>) -> Option<u64> {
    match value {
        Value::Text(text) => {
            let (civil, len) = rfc3339(text.as_bytes())?;
            (len == text.len()).then_some(())?;
            civil.unix_nanos(0)
        }
        // A double knows microseconds.
        Value::Double(seconds) if (0.0..1.8e10).contains(seconds) => Some((seconds * 1e6).round() as u64 * 1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::json_text;
    use super::*;

    fn show(text: &str, format: SelfLog) -> String {
        match read(text, format) {
            Ok(line) => {
                let (severity, word) = line.severity.unwrap_or_default();
                let resource = line.resource.map_or(String::new(), |r| format!(" of {}", json_text(&Value::Map(r))));
                let message = line.message.map_or("-".to_owned(), |m| json_text(&m));
                let time = line.time.map_or("-".to_owned(), |t| (t / 1_000_000).to_string());
                format!("{time} {}:{word} {message}{resource} {}", severity.0, json_text(&Value::Map(line.fields)))
            }
            Err(why) => why.into_owned(),
        }
    }

    #[test]
    fn lines_in_json_are_taken_apart() {
        for (text, want) in [
            (
                r#"{"ts":"2026-07-06T22:56:21.989Z","level":"warn","msg":"Failed","resource":{"service.name":"agent"},"otelcol.component.id":"x","n":1}"#,
                r#"1783378581989 13:warn "Failed" of {service.name:"agent"} {otelcol.component.id:"x",n:1.0}"#,
            ),
            (r#"{"ts":1783378581.989,"level":"dpanic","msg":"m"}"#, r#"1783378581989 21:dpanic "m" {}"#),
            (r#"{"level":"odd","resource":"r","ts":"now"}"#, r#"- 0:odd - {resource:"r",ts:"now"}"#),
        ] {
            assert_eq!(show(text, SelfLog::Auto), want, "{text}");
        }
        assert!(show("{\"a\":", SelfLog::Auto).starts_with("it is no JSON: "));
        assert_eq!(show("[1]", SelfLog::Json), "it is a list, not a JSON object");
    }

    #[test]
    fn lines_in_words_are_taken_apart_with_what_stands_behind_the_message() {
        for (text, want) in [
            (
                "2026-07-06T22:56:21.989Z\twarn\tinternal/transaction.go:127\tFailed to scrape\t{\"resource\":{\"k8s.pod.name\":\"p\"},\"a\":\"b\"}",
                r#"1783378581989 13:warn "Failed to scrape" of {k8s.pod.name:"p"} {caller:"internal/transaction.go:127",a:"b"}"#,
            ),
            (
                "2026-07-06T22:56:21.989+0200 info Pool {default} is {\"n\": {\"m\": 1}}",
                r#"1783371381989 9:info "Pool {default} is" {n:{m:1.0}}"#,
            ),
            (
                "2026-07-06T22:56:21Z info Pool {default}",
                r#"1783378581000 9:info "Pool {default}" {otelcol.self_log.malformed_trailing_json:Bool(true)}"#,
            ),
            ("yesterday error broken", r#"- 17:error "broken" {ts:"yesterday"}"#),
        ] {
            assert_eq!(show(text, SelfLog::Auto), want, "{text}");
        }
        for text in ["", "word", "two words"] {
            assert_eq!(show(text, SelfLog::Console), "it is no line of a collector's own log", "{text}");
        }
    }
}
