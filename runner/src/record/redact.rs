//! Masks what looks secret or personal in what was recorded. Names and shapes stay, so that tests still mean something;
//! whoever passes a recording on looks at it first all the same.

use std::sync::OnceLock;

use regex::{Captures, Regex};

/// What is masked, and what stands in its place. A group called `keep` stays.
const PATTERNS: [(&str, &str); 7] = [
    (r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+\.[A-Za-z0-9.-]+[A-Za-z]", "someone@example.com"),
    (r"(?i)(?P<keep>\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}", "***"),
    (r"\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*", "***"),
    (r"\b(?:sk|pk|hf|ghp|gho|xox[abp]|AKIA|glpat)[-_]?[A-Za-z0-9_-]{12,}", "***"),
    (
        r#"(?i)(?P<keep>(?:password|passwd|secret|api[-_]?key|access[-_]?token|credential)s?\\?["']?\s*[=:]\s*\\?["']?)[^\s"'\\,;&}]+"#,
        "***",
    ),
    (r"(?P<keep>://)[^/\s:@\x22']+:[^/\s@\x22']+@", "***@"),
    (r"\b(?:\d{1,3}\.){3}\d{1,3}\b", "192.0.2.1"),
];

fn patterns() -> &'static [(Regex, &'static str)] {
    static ALL: OnceLock<Vec<(Regex, &'static str)>> = OnceLock::new();
    ALL.get_or_init(|| PATTERNS.iter().filter_map(|(pattern, with)| Some((Regex::new(pattern).ok()?, *with))).collect())
}

/// The text with all that masked.
pub(super) fn redacted(text: &str) -> String {
    let mut out = text.to_owned();
    for (pattern, with) in patterns() {
        let masked = |found: &Captures<'_>| format!("{}{with}", found.name("keep").map_or("", |keep| keep.as_str()));
        if let std::borrow::Cow::Owned(masked) = pattern.replace_all(&out, masked) {
            out = masked;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(redacted(text), expected);
    }

    #[test]
    fn every_pattern_is_a_pattern() {
        assert_eq!(patterns().len(), PATTERNS.len());
    }

    #[test]
    fn secrets_and_people_are_masked_and_the_rest_stays() {
        check("mail a.b@firm.co.uk now", "mail someone@example.com now");
        check("Authorization: Bearer abcdefgh12345", "Authorization: Bearer ***");
        check(r#"{"api_key":"k-1","model":"Qwen"}"#, r#"{"api_key":"***","model":"Qwen"}"#);
        check(r#"{\"password\": \"p w\"}"#, r#"{\"password\": \"*** w\"}"#);
        check("token hf_abcdefghijklmnop", "token ***");
        check("http://u:p@host/x from 10.1.2.3:80", "http://***@host/x from 192.0.2.1:80");
        check("trace 4bf92f3577b34da6a3ce929d0e0e4736 took 1.5 s", "trace 4bf92f3577b34da6a3ce929d0e0e4736 took 1.5 s");
    }
}
