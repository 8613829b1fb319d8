//! Times as people read them: near a test's start as what has passed since then, others as RFC 3339.

use std::fmt::Write as _;
use std::time::Duration;

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
    let (seconds, fraction) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Civil date from days, with years that begin in March (Howard Hinnant's algorithm).
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let mut out = format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60);
    if fraction != 0 {
        _ = write!(out, ".{}", format!("{fraction:09}").trim_end_matches('0'));
    }
    out.push('Z');
    out
}

/// Nanoseconds since 1970 of an RFC 3339 text in UTC.
pub fn parse_rfc3339(text: &str) -> Option<u64> {
    let body = text.strip_suffix('Z')?;
    let (date, time) = body.split_once('T')?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut time = time.splitn(3, ':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (shifted_year.div_euclid(400), shifted_year.rem_euclid(400));
    let of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second;
    let nanos: i64 = if fraction.is_empty() { 0 } else { format!("{fraction:0<9}").get(..9)?.parse().ok()? };
    u64::try_from(seconds.checked_mul(1_000_000_000)?.checked_add(nanos)?).ok()
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
