//! Times as people read them: near a test's start as what has passed since then, others as RFC 3339.

use std::fmt::Write as _;
use std::time::Duration;

use pipeline::calendar::{Timestamp, utc};
use serde_json::Value;

const NANOS: i128 = 1_000_000_000;
const DAY: i128 = 86_400 * NANOS;

/// Writes times of one test.
#[derive(Clone, Copy, Debug)]
pub struct Moments {
    /// When it starts, since 1970.
    pub start: Duration,
}

impl Moments {
    /// A time in nanoseconds since 1970; null for none.
    pub fn nanos(&self, nanos: u64) -> Value {
        if nanos == 0 {
            return Value::Null;
        }
        let since = i128::from(nanos) - i128::try_from(self.start.as_nanos()).unwrap_or(0);
        if since.abs() > 30 * DAY { rfc3339(nanos).into() } else { seconds(since).into() }
    }

    /// A time in milliseconds since 1970; null for none.
    pub fn millis(&self, millis: i64) -> Value {
        u64::try_from(millis).map_or(Value::from(millis), |millis| self.nanos(millis.saturating_mul(1_000_000)))
    }

    /// The same of what is already JSON: a number, or a number as text.
    pub fn of(&self, value: &Value) -> Value {
        let nanos = value.as_str().map_or_else(|| value.as_u64(), |text| text.parse().ok());
        nanos.map_or_else(|| value.clone(), |nanos| self.nanos(nanos))
    }
}

/// `5s`, `-0.25s`.
fn seconds(nanos: i128) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.abs();
    let mut out = format!("{sign}{}", nanos / NANOS);
    if nanos % NANOS != 0 {
        let fraction = format!("{:09}", nanos % NANOS);
        _ = write!(out, ".{}", fraction.trim_end_matches('0'));
    }
    out.push('s');
    out
}

/// `2026-01-01T00:00:00Z`, with a fraction where there is one.
pub fn rfc3339(nanos: u64) -> String {
    utc(Duration::from_nanos(nanos)).to_string()
}

/// Nanoseconds since 1970 of an RFC 3339 text.
pub fn parse_rfc3339(text: &str) -> Option<u64> {
    u64::try_from(text.parse::<Timestamp>().ok()?.as_nanosecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_near_the_start_are_durations_and_others_dates() {
        let start = parse_rfc3339("2026-01-01T00:00:00Z").unwrap();
        let moments = Moments { start: Duration::from_nanos(start) };
        let text = |nanos: u64| moments.nanos(nanos).as_str().map(str::to_owned);
        assert_eq!(text(start + 1_500_000_000).as_deref(), Some("1.5s"));
        assert_eq!(text(start - 2_000_000_000).as_deref(), Some("-2s"));
        assert_eq!(text(start).as_deref(), Some("0s"));
        assert_eq!(text(1_709_210_096_003_000_000).as_deref(), Some("2024-02-29T12:34:56.003Z"));
        assert_eq!(text(0), None);
    }

    #[test]
    fn dates_read_back_as_they_were_written() {
        for nanos in [1, 951_782_400_000_000_000, 1_709_210_096_003_000_000, 4_102_444_799_999_999_999] {
            assert_eq!(parse_rfc3339(&rfc3339(nanos)), Some(nanos));
        }
        assert_eq!(parse_rfc3339("2026-13-01T00:00:00Z"), None);
        assert_eq!(parse_rfc3339("yesterday"), None);
    }
}
