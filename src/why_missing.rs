//! `slipring why-missing`: asks the drop ledger of a running process, and says what it answers.

use std::fmt::Write as _;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use pipeline::Error;
use serde_json::Value;

use crate::ask;

/// The answer for a person, or as it comes.
///
/// # Errors
/// The process cannot be asked, or does not understand the question.
pub fn ask(url: &str, wanted: &str, json: bool) -> Result<String, Error> {
    let query = utf8_percent_encode(wanted, NON_ALPHANUMERIC);
    let body = ask::page(url, &format!("/api/v1/drops?q={query}")).map_err(|error| format!("{url}: {error}"))?;
    if json {
        return Ok(body + "\n");
    }
    let answer: Value = serde_json::from_str(&body)?;
    Ok(tell(wanted, &answer))
}

/// What the ledger answers, in sentences.
fn tell(wanted: &str, answer: &Value) -> String {
    let mut out = String::new();
    let all = |key: &str| answer[key].as_array().map_or(&[][..], Vec::as_slice);
    let drops = all("drops");
    for drop in drops {
        entry(&mut out, drop);
    }
    let left_off = answer["left_off"].as_u64().unwrap_or(0);
    if left_off > 0 {
        let _ = writeln!(out, "… and {left_off} older ones.");
    }
    if drops.is_empty() {
        let _ = writeln!(out, "No drop of {wanted} is known.");
    }
    let ring = &answer["ring"];
    let _ = writeln!(out, "The ledger reaches back to {}.", text(&ring["reaches_back_to"]));
    let (on_purpose, others): (Vec<_>, Vec<_>) =
        all("totals").iter().partition(|total| total["on_purpose"].as_bool() == Some(true));
    section(&mut out, "Dropped on purpose, as the config says:", &on_purpose);
    if drops.is_empty() {
        section(&mut out, "Dropped or refused since the start:", &others);
    }
    out
}

fn entry(out: &mut String, drop: &Value) {
    let number = |key: &str| drop[key].as_u64().unwrap_or(0);
    let (at, until) = (text(&drop["at"]), text(&drop["until"]));
    let when = if at == until { at.to_owned() } else { format!("{at} to {until}") };
    let (kind, component, signal) = (text(&drop["kind"]), text(&drop["component"]), text(&drop["signal"]));
    let (what, reason) = (text(&drop["what"]), text(&drop["reason"]));
    let of = drop["of"].as_u64().map_or(String::new(), |of| format!(" of {of}"));
    let _ = writeln!(out, "{when}  {kind} {component} ({signal}) {what} {}{of} items: {reason}", number("items"));
    let _ = writeln!(out, "    {}", text(&drop["message"]));
    let found = drop["found"].as_array().map_or(&[][..], Vec::as_slice);
    let sure = if drop["certain"].as_bool() == Some(true) { "among them" } else { "perhaps among them" };
    found.iter().for_each(|found| _ = writeln!(out, "    {sure}: {}", text(found)));
    if what == "refused" {
        let _ = writeln!(out, "    It was given back: whoever sent it still had it, and may have sent it again.");
    }
    if number("times") > 1 {
        let _ = writeln!(out, "    {} drops that were too many to be kept one by one.", number("times"));
    }
}

fn section(out: &mut String, title: &str, totals: &[&Value]) {
    if totals.is_empty() {
        return;
    }
    let _ = writeln!(out, "{title}");
    for total in totals {
        let (kind, component, signal) = (text(&total["kind"]), text(&total["component"]), text(&total["signal"]));
        let (what, reason) = (text(&total["what"]), text(&total["reason"]));
        let items = total["items"].as_u64().unwrap_or(0);
        let _ = writeln!(out, "    {kind} {component} ({signal}): {what} {items} items, {reason}");
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_answer_says_who_when_and_why() {
        let answer = json!({
            "ring": {"reaches_back_to": "2026-01-01T00:00:00.000Z"},
            "drops": [{
                "at": "2026-01-01T00:00:01.000Z", "until": "2026-01-01T00:00:01.000Z", "times": 1, "what": "dropped",
                "kind": "exporter", "component": "loki", "signal": "logs", "items": 2, "of": 10, "reason": "too_old",
                "message": "entry too far behind", "certain": false, "found": ["a line"]
            }],
            "left_off": 0,
            "totals": [{
                "what": "dropped", "kind": "processor", "component": "filter", "signal": "metrics",
                "reason": "filtered", "items": 7, "on_purpose": true
            }]
        });
        let expected = "\
2026-01-01T00:00:01.000Z  exporter loki (logs) dropped 2 of 10 items: too_old
    entry too far behind
    perhaps among them: a line
The ledger reaches back to 2026-01-01T00:00:00.000Z.
Dropped on purpose, as the config says:
    processor filter (metrics): dropped 7 items, filtered
";
        assert_eq!(tell("a line", &answer), expected);
    }

    #[test]
    fn that_nothing_is_known_is_an_answer_too() {
        let answer = json!({
            "ring": {"reaches_back_to": "2026-01-01T00:00:00.000Z"}, "drops": [], "left_off": 0,
            "totals": [{
                "what": "refused", "kind": "exporter", "component": "otlp", "signal": "traces",
                "reason": "queue_full", "items": 7, "on_purpose": false
            }]
        });
        let expected = "\
No drop of x is known.
The ledger reaches back to 2026-01-01T00:00:00.000Z.
Dropped or refused since the start:
    exporter otlp (traces): refused 7 items, queue_full
";
        assert_eq!(tell("x", &answer), expected);
    }
}
