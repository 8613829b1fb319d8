//! The `Retry-After` header (RFC 9110, 10.2.3): seconds or an HTTP date.

use std::time::{Duration, UNIX_EPOCH};

use http::HeaderMap;
use http::header::RETRY_AFTER;

/// The longest wait that is taken from a far side; more is almost certainly a mistake there.
pub const MOST: Duration = Duration::from_secs(3600);

/// How long the far side asks to wait, from `now` (since 1970); at most [`MOST`]. Values that are neither seconds nor a
/// date are no wish at all; a date that has passed means now.
pub fn of(headers: &HeaderMap, now: Duration) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(value).ok()?.duration_since(UNIX_EPOCH).ok()?.saturating_sub(now),
    };
    Some(wait.min(MOST))
}

/// The header's value for a wait: whole seconds, rounded up, at least 1.
pub fn value(wait: Duration) -> http::HeaderValue {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    http::HeaderValue::from(seconds.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, expected: Option<u64>) {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, value.parse().unwrap());
        // 2024-02-29T12:00:00Z
        let now = Duration::from_secs(1_709_208_000);
        assert_eq!(of(&headers, now), expected.map(Duration::from_secs), "{value}");
    }

    #[test]
    fn seconds_and_dates_are_read_and_nonsense_is_no_wish() {
        check("7", Some(7));
        check(" 7 ", Some(7));
        check("0", Some(0));
        check("Thu, 29 Feb 2024 12:00:30 GMT", Some(30));
        check("Thursday, 29-Feb-24 12:00:05 GMT", Some(5));
        check("Thu, 29 Feb 2024 11:00:00 GMT", Some(0));
        check("99999999", Some(3600));
        check("-1", None);
        check("1.5", None);
        check("soon", None);
    }

    #[test]
    fn a_wait_is_written_as_whole_seconds_rounded_up() {
        assert_eq!(value(Duration::from_millis(1200)), "2");
        assert_eq!(value(Duration::ZERO), "1");
    }
}
