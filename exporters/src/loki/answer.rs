//! What Loki says when it refuses entries: which and how many, as well as its words tell. The others are stored.

use pipeline::Reason;

use crate::dropped::Dropped;

/// The entries that a 400 is about, or `None` when nothing of the push was stored. `streams` are the labels of the push'
/// streams with the records in them: a complaint about labels costs the whole stream.
pub fn dropped(reason: &Reason, body: &str, streams: &[(&str, usize)]) -> Option<Dropped> {
    if WHOLE_PUSH.iter().any(|sign| body.contains(sign)) {
        return None;
    }
    let all: usize = streams.iter().map(|(_, items)| items).sum();
    let mut dropped = Dropped::default();
    let mut count = |text: &str, place: &str, items: usize| {
        let code = code(text);
        let items = if code == BAD_LABELS { of_stream(text, streams).unwrap_or(items) } else { items };
        let left = all - dropped.items();
        dropped.add_reason(Reason::new(code, message(text, place, streams)), items.min(left));
    };
    if body.contains(TOTAL) {
        // An ingester: each entry with its reason, then how many there are in all.
        let mut parts = body.split(TOTAL);
        let mut text = parts.next().unwrap_or_default();
        for part in parts {
            // The stream stands behind the number, in the same line.
            let (place, rest) = part.split_once('\n').unwrap_or((part, ""));
            count(text, place, leading_number(part));
            text = rest;
        }
    } else {
        // The distributor: kinds of errors, with their numbers where there are several.
        for complaint in body.split(['\n', ';']).map(str::trim).filter(|c| !c.is_empty()) {
            match complaint.split_once(" errors like: ") {
                Some((number, text)) => count(text, text, leading_number(number)),
                None => count(complaint, complaint, 1),
            }
        }
    }
    if dropped.items() == 0 {
        // It says nothing that we understand, but some entry was refused.
        dropped.add_reason(Reason::new("loki_400", reason.message.clone()), 1.min(all));
    }
    Some(dropped)
}

/// The stream that a complaint is about, as far as it is known, and its words.
fn message(text: &str, place: &str, streams: &[(&str, usize)]) -> String {
    let named = streams.iter().find(|(labels, _)| place.contains(labels));
    let stream = named.or(streams.first().filter(|_| streams.len() == 1)).map_or("a stream", |(labels, _)| *labels);
    // Of several entries with the same complaint the last is enough.
    let words = text.rsplit_once("reason: ").map_or(text, |(_, words)| words);
    let words = words.split_once("',").map_or(words, |(words, _)| words).trim_matches(['\'', '\n', ' ']);
    format!("{stream}: {words}")
}

/// Words of errors that come before any entry is looked at.
const WHOLE_PUSH: &[&str] = &["snappy:", "proto:", "illegal wireType", "unexpected EOF", "at least one valid stream"];

const TOTAL: &str = "total ignored: ";

const BAD_LABELS: &str = "bad_labels";

/// Words in Loki's complaints, and what we call them.
const REASONS: &[(&str, &str)] = &[
    ("too far behind", "too_far_behind"),
    ("out of order", "out_of_order"),
    ("timestamp too old", "too_old"),
    ("timestamp too new", "too_new"),
    ("max entry size", "line_too_long"),
    ("structured metadata", "structured_metadata"),
    ("stream limit", "stream_limit"),
    ("rate limit", "rate_limited"),
    ("label", BAD_LABELS),
];

fn code(text: &str) -> &'static str {
    let text = text.to_ascii_lowercase();
    REASONS.iter().find(|(words, _)| text.contains(words)).map_or("loki_400", |(_, code)| code)
}

/// The records of the streams that a complaint names.
fn of_stream(text: &str, streams: &[(&str, usize)]) -> Option<usize> {
    let items = streams.iter().filter(|(labels, _)| text.contains(labels)).map(|(_, items)| items).sum();
    (items > 0).then_some(items)
}

fn leading_number(text: &str) -> usize {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    text[..digits].parse().unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAMS: &[(&str, usize)] = &[(r#"{a="b"}"#, 7), (r#"{c="d", e="f"}"#, 3)];

    fn check(body: &str, expected: Option<&[(&str, usize)]>) {
        let dropped = dropped(&Reason::new("http_400", "said"), body, STREAMS);
        let counts = dropped.map(|d| d.into_counts().iter().map(|(r, n)| (r.code, *n)).collect::<Vec<_>>());
        assert_eq!(counts.as_deref(), expected);
    }

    #[test]
    fn an_ingester_says_how_many_of_a_stream_it_ignored() {
        let ignored = "entry with timestamp 2026-01-01 00:00:00 +0000 UTC ignored, reason: 'entry too far behind, entry \
                       timestamp is: 2026-01-01T00:00:00Z, oldest acceptable timestamp is: 2026-01-01T01:00:00Z',\n";
        let one = format!("{ignored}{ignored}user 'fake', total ignored: 2 out of 7 for stream: {{a=\"b\"}}");
        check(&one, Some(&[("too_far_behind", 2)]));
        check(&format!("{one}\n{one}"), Some(&[("too_far_behind", 4)]));
    }

    #[test]
    fn each_reason_names_its_stream_and_lokis_words() {
        let check = |body: &str, expected: &[&str]| {
            let dropped = dropped(&Reason::new("http_400", "said"), body, STREAMS).unwrap();
            let messages: Vec<_> = dropped.into_counts().into_iter().map(|(r, _)| r.message.into_owned()).collect();
            assert_eq!(messages, expected);
        };
        let ignored = "entry with timestamp 2026-01-01 00:00:00 +0000 UTC ignored, reason: 'entry too far behind',\n";
        let total = |stream: &str| format!("user 'fake', total ignored: 1 out of 7 for stream: {stream}");
        let one = format!("{ignored}{}\n{ignored}{}", total(STREAMS[0].0), total(STREAMS[1].0));
        check(&one, &[r#"{a="b"}: entry too far behind"#, r#"{c="d", e="f"}: entry too far behind"#]);
        let old = "entry for stream '{c=\"d\", e=\"f\"}' has timestamp too old: 2020-01-01T00:00:00Z";
        check(old, &[&format!("{}: {old}", STREAMS[1].0)]);
        check("what now", &["a stream: what now"]);
    }

    #[test]
    fn a_distributor_counts_kinds_of_errors() {
        let old = "entry for stream '{a=\"b\"}' has timestamp too old: 2020-01-01T00:00:00Z";
        check(old, Some(&[("too_old", 1)]));
        check(
            &format!(
                "3 errors like: {old}; 2 errors like: Max entry size '262144' bytes exceeded for stream '{{a=\"b\"}}'"
            ),
            Some(&[("too_old", 3), ("line_too_long", 2)]),
        );
        check(&format!("99 errors like: {old}"), Some(&[("too_old", 10)]));
    }

    #[test]
    fn a_complaint_about_labels_costs_its_stream() {
        check("entry for stream '{c=\"d\", e=\"f\"}' has 16 label names, limit 15", Some(&[("bad_labels", 3)]));
        check("Error parsing labels '{x}' with error: oops", Some(&[("bad_labels", 1)]));
    }

    #[test]
    fn what_says_nothing_about_entries_costs_one_and_what_was_not_read_everything() {
        check("what now", Some(&[("loki_400", 1)]));
        check("", Some(&[("loki_400", 1)]));
        check("snappy: corrupt input", None);
    }
}
