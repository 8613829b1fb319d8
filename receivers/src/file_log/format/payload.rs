//! What a row of Dynamo's request trace says of a request's payload: whole requests with their prompts, headers and
//! responses, if Dynamo was told to write them. What it says about the payload stays.

use pipeline::json::{Members, Raw};

/// What stands in the place of what is masked, as a JSON string.
const MASK: &str = "\"****\"";
/// What a payload says about itself.
const ABOUT: &[&str] = &["request_id", "endpoint", "model", "payload_complete", "payload_drop_reason"];

/// How deep objects stand in a row; one that is deeper is no row.
const DEEPEST: usize = 8;

/// The row with its payload masked, or `None` when it has none. A row that is cut off in its payload is cut off before it.
pub fn masked(row: &str) -> Option<String> {
    // Most rows have none.
    if !row.contains("\"payload\"") && !row.contains("headers\"") {
        return None;
    }
    let mut places = Vec::new();
    if find(row, row, DEEPEST, &mut places).is_none() {
        let cut = [row.find("\"payload\""), row.find("headers\"")].into_iter().flatten().min().unwrap_or(0);
        return Some(format!("{}{MASK}", &row[..cut]));
    }
    if places.is_empty() {
        return None;
    }
    let (mut out, mut done) = (String::with_capacity(row.len()), 0);
    for (from, to) in places {
        out.push_str(&row[done..from]);
        out.push_str(MASK);
        done = to;
    }
    out.push_str(&row[done..]);
    Some(out)
}

/// Finds what to mask in an object of the row: where it begins and ends. `None` when it is no JSON, or too deep.
fn find(row: &str, object: &str, depth: usize, places: &mut Vec<(usize, usize)>) -> Option<()> {
    for member in Members::of(object) {
        let (key, value) = member.ok()?;
        match (key.raw, value) {
            (key, value) if key.ends_with("headers") => mask(row, value, places),
            ("payload", Raw::Nested(payload)) if payload.starts_with('{') => {
                for member in Members::of(payload) {
                    let (key, value) = member.ok()?;
                    if !ABOUT.contains(&key.raw) {
                        mask(row, value, places);
                    }
                }
            }
            ("payload", value) => mask(row, value, places),
            (_, Raw::Nested(inside)) if inside.starts_with('{') => find(row, inside, depth.checked_sub(1)?, places)?,
            _ => {}
        }
    }
    Some(())
}

/// Texts, lists and objects can quote; numbers and words cannot.
fn mask(row: &str, value: Raw<'_>, places: &mut Vec<(usize, usize)>) {
    let place = |part: &str| part.as_ptr().addr() - row.as_ptr().addr();
    match value {
        Raw::Str(text) if !matches!(text.raw, "" | "****") => {
            let from = place(text.raw);
            places.push((from - 1, from + text.raw.len() + 1));
        }
        Raw::Nested(inside) => places.push((place(inside), place(inside) + inside.len())),
        Raw::Str(_) | Raw::Number(_) | Raw::Bool(_) | Raw::Null => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_keeps_only_what_is_about_it() {
        let check = |row: &str, expected: Option<&str>| {
            assert_eq!(masked(row).as_deref(), expected, "{row}");
            assert_eq!(expected.and_then(masked), None, "masked once is masked");
        };
        check(
            r#"{"timestamp":1,"event":{"schema":"s","payload":{"request_id":"r","model":"m","request":{"messages":[{"content":"}"}]},"response":null,"note":"x","payload_complete":true}}}"#,
            Some(
                r#"{"timestamp":1,"event":{"schema":"s","payload":{"request_id":"r","model":"m","request":"****","response":null,"note":"****","payload_complete":true}}}"#,
            ),
        );
        check(r#"{"schema":"s","payload":"{}","n":1}"#, Some(r#"{"schema":"s","payload":"****","n":1}"#));
        check(
            r#"{"request":{"request_headers":{"cookie":"c"},"model":"m"}}"#,
            Some(r#"{"request":{"request_headers":"****","model":"m"}}"#),
        );
        check(r#"{"schema":"s","request":{"request_id":"r"}}"#, None);
        check(r#"{"message":"no \"payload\" here"}"#, None);
        check(r#"{"payload":{"model":"m"}}"#, None);
    }

    #[test]
    fn a_row_that_is_cut_off_ends_before_its_payload() {
        assert_eq!(masked(r#"{"a":1,"payload":{"request":{"mess"#).as_deref(), Some(r#"{"a":1,"****""#));
        let deep =
            format!(r#"{{"a":1,"x":{}{{"payload":{{"request":"y"}}}}{}}}"#, r#"{"b":"#.repeat(5000), "}".repeat(5000));
        assert!(masked(&deep).unwrap().ends_with(r#"{"****""#));
        assert_eq!(masked(r#"half a row","payload":{"request":"x"}"#).as_deref(), Some("half a row\",\"****\""));
    }
}
