//! Calendar time to nanoseconds since 1970, and the one timestamp layout that needs no config: RFC 3339 and its relatives.

use super::zone::Zone;

/// A calendar time as a line gives it; the fields are checked when it is resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// The year; `None` where the line has none.
    pub year: Option<i64>,
    /// 1 to 12.
    pub month: u32,
    /// 1 to 31.
    pub day: u32,
    /// 0 to 24.
    pub hour: u32,
    /// 0 to 59.
    pub minute: u32,
    /// 0 to 60, for leap seconds.
    pub second: u32,
    /// Below 1,000,000,000.
    pub nanos: u32,
    /// Seconds east of UTC; `None` where the line has no zone.
    pub offset: Option<i64>,
}

impl Default for Civil {
    fn default() -> Civil {
        Civil { year: None, month: 1, day: 1, hour: 0, minute: 0, second: 0, nanos: 0, offset: None }
    }
}

const DAY_SECONDS: i64 = 86_400;

impl Civil {
    /// Nanoseconds since 1970, where that is a time from 1970 to 2554. Without a zone it is UTC; without a year it is in
    /// the year of `now_nanos`, or in the year before where that would be more than seven days ahead.
    pub fn unix_nanos(&self, now_nanos: u64) -> Option<u64> {
        self.unix_nanos_in(&Zone::UTC, now_nanos)
    }

    /// The same; without a zone it is in that one.
    pub fn unix_nanos_in(&self, zone: &Zone, now_nanos: u64) -> Option<u64> {
        match self.year {
            Some(year) => self.in_year(year, zone),
            None => {
                let now = now_nanos / 1_000_000_000;
                let year = year_of(i64::try_from(now).ok()? / DAY_SECONDS);
                let week_ahead = now_nanos.saturating_add(7 * DAY_SECONDS.unsigned_abs() * 1_000_000_000);
                match self.in_year(year, zone) {
                    Some(nanos) if nanos <= week_ahead => Some(nanos),
                    _ => self.in_year(year - 1, zone),
                }
            }
        }
    }

    fn in_year(&self, year: i64, zone: &Zone) -> Option<u64> {
        let Civil { month, day, hour, minute, second, nanos, .. } = *self;
        let bad = !(1..=12).contains(&month)
            || !(1..=days_in_month(year, month)).contains(&day)
            || hour > 24
            || minute > 59
            || second > 60
            || nanos > 999_999_999
            || !(0..=9999).contains(&year);
        if bad {
            return None;
        }
        let days = days_since_1970(year, month, day);
        let of_day = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
        let shown = days * DAY_SECONDS + of_day;
        let seconds = shown - self.offset.unwrap_or_else(|| zone.offset(shown));
        u64::try_from(seconds).ok()?.checked_mul(1_000_000_000)?.checked_add(u64::from(nanos))
    }
}

/// Days from 1970-01-01 to a day of the Gregorian calendar.
pub fn days_since_1970(year: i64, month: u32, day: u32) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * i64::from(month) + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn year_of(days: i64) -> i64 {
    let mut year = 1970 + days / 366;
    while days_since_1970(year + 1, 1, 1) <= days {
        year += 1;
    }
    year
}

fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Reads `2026-11-20T15:31:26.681620Z` at the start of the bytes: `T`, `t`, `_` or a space between date and time, `.` or
/// `,` before any number of digits (those beyond nanoseconds are cut), `Z`, `±hh:mm`, `±hhmm` or no zone. With the
/// number of bytes it takes.
pub fn rfc3339(bytes: &[u8]) -> Option<(Civil, usize)> {
    let head: &[u8; 19] = bytes.first_chunk()?;
    let two = |at: usize| digits2(head[at], head[at + 1]);
    let shape = [head[4], head[7], head[13], head[16]];
    if shape != *b"--::" || !matches!(head[10], b'T' | b't' | b' ' | b'_') {
        return None;
    }
    let mut civil = Civil {
        year: Some(i64::from(two(0)?) * 100 + i64::from(two(2)?)),
        month: two(5)?,
        day: two(8)?,
        hour: two(11)?,
        minute: two(14)?,
        second: two(17)?,
        ..Civil::default()
    };
    let mut at = 19;
    if matches!(bytes.get(at), Some(b'.' | b',')) && bytes.get(at + 1).is_some_and(u8::is_ascii_digit) {
        let (nanos, len) = fraction(&bytes[at + 1..]);
        civil.nanos = nanos;
        at += 1 + len;
    }
    if let Some((offset, len)) = zone(&bytes[at..]) {
        civil.offset = Some(offset);
        at += len;
    }
    Some((civil, at))
}

/// Reads times as [`rfc3339`] does, sooner where one is in the same minute of UTC as the one before.
#[derive(Clone, Copy, Debug, Default)]
pub struct Minute {
    /// `2026-11-20T15:31:`, and the nanoseconds since 1970 at its start.
    last: Option<([u8; 17], u64)>,
}

impl Minute {
    /// Nanoseconds since 1970; without a zone it is UTC.
    pub fn read(&mut self, text: &[u8]) -> Option<u64> {
        let head = text.first_chunk()?;
        if let Some((last, start)) = &self.last
            && last == head
            && let Some(nanos) = within(&text[17..])
        {
            return Some(start + nanos);
        }
        let (civil, _) = rfc3339(text)?;
        let nanos = civil.unix_nanos(0)?;
        if civil.offset == Some(0)
            && let Some(start) = nanos.checked_sub(u64::from(civil.second) * 1_000_000_000 + u64::from(civil.nanos))
        {
            self.last = Some((*head, start));
        }
        Some(nanos)
    }
}

/// The nanoseconds of `26.681620Z` since the minute began, where it is that and nothing else.
fn within(text: &[u8]) -> Option<u64> {
    let [tens, ones, rest @ ..] = text else { return None };
    let seconds = digits2(*tens, *ones).filter(|seconds| *seconds < 60)?;
    let nanos = match rest.strip_suffix(b"Z")? {
        [] => 0,
        [b'.', digits @ ..] => {
            let (nanos, len) = fraction(digits);
            (len == digits.len() && len > 0).then_some(nanos)?
        }
        _ => return None,
    };
    Some(u64::from(seconds) * 1_000_000_000 + u64::from(nanos))
}

/// Nanoseconds of the decimal digits at the start, and how many digits there are.
pub fn fraction(bytes: &[u8]) -> (u32, usize) {
    const UNITS: [u32; 10] = [1_000_000_000, 100_000_000, 10_000_000, 1_000_000, 100_000, 10_000, 1_000, 100, 10, 1];
    let (mut nanos, mut len) = (0, 0);
    while let Some(digit @ b'0'..=b'9') = bytes.get(len) {
        if len < 9 {
            nanos = nanos * 10 + u32::from(digit - b'0');
        }
        len += 1;
    }
    (nanos * UNITS[len.min(9)], len)
}

/// Seconds east of UTC of `Z`, `±hh`, `±hhmm`, `±hh:mm` at the start, and the bytes it takes.
pub fn zone(bytes: &[u8]) -> Option<(i64, usize)> {
    let sign = match bytes.first()? {
        b'Z' | b'z' => return Some((0, 1)),
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let two = |at: usize| digits2(*bytes.get(at)?, *bytes.get(at + 1)?);
    let hours = two(1)?;
    let (minutes, len) = match (bytes.get(3), two(3), two(4)) {
        (Some(b':'), _, Some(minutes)) => (minutes, 6),
        (_, Some(minutes), _) => (minutes, 5),
        _ => (0, 3),
    };
    (hours < 24 && minutes < 60).then(|| (sign * (i64::from(hours) * 3600 + i64::from(minutes) * 60), len))
}

fn digits2(tens: u8, ones: u8) -> Option<u32> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| u32::from(tens - b'0') * 10 + u32::from(ones - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_same_minute_are_read_as_any_other() {
        let mut minute = Minute::default();
        for text in [
            "2026-11-20T15:31:26.681620Z",
            "2026-11-20T15:31:59.999999999Z",
            "2026-11-20T15:31:07Z",
            "2026-11-20T15:31:60Z",
            "2026-11-20T15:31:61Z",
            "2026-11-20T15:31:05.5",
            "2026-11-20T15:31:05.Z",
            "2026-11-20T15:31:05+01:00",
            "2026-11-20T15:31:05.25+01:00",
            "2026-11-20T15:31:5",
            "2026-11-20T15:31:05.1234567891Z",
            "2026-11-20 15:31:05Z",
            "2026-11-20T15:32:05Z",
            "2026-11-20T15:31:05Z",
            "1969-12-31T23:59:05Z",
            "1970-01-01T00:00:05Z",
            "",
        ] {
            let alone = rfc3339(text.as_bytes()).and_then(|(civil, _)| civil.unix_nanos(0));
            assert_eq!(minute.read(text.as_bytes()), alone, "{text}");
        }
    }

    fn nanos(text: &str) -> Option<u64> {
        let (civil, len) = rfc3339(text.as_bytes())?;
        assert_eq!(len, text.len());
        civil.unix_nanos(0)
    }

    #[test]
    fn timestamps_are_read_to_the_nanosecond() {
        for (text, want) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2026-11-20T15:31:26.681620Z", Some(1_795_188_686_681_620_000)),
            ("2026-11-20T16:31:26.681620+01:00", Some(1_795_188_686_681_620_000)),
            ("2026-11-20 05:31:26,681620-1000", Some(1_795_188_686_681_620_000)),
            ("2026-11-20t15:31:26.6816201239", Some(1_795_188_686_681_620_123)),
            ("2024-02-29T23:59:60Z", Some(1_709_251_200_000_000_000)),
            ("2026-02-29T00:00:00Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-01-01T25:00:00Z", None),
            ("1969-12-31T23:59:59Z", None),
            ("9999-12-31T23:59:59Z", None),
        ] {
            assert_eq!(nanos(text), want, "{text}");
        }
    }

    #[test]
    fn what_is_no_timestamp_is_none() {
        for text in ["", "2026-11-20", "2026-11-20T15:31", "2026/11/20T15:31:26Z", "INFO 09-02 15:31:26 [x]"] {
            assert_eq!(rfc3339(text.as_bytes()), None, "{text}");
        }
        assert_eq!(rfc3339(b"2026-11-20T15:31:26Z INFO").map(|t| t.1), Some(20));
        assert_eq!(rfc3339(b"2026-11-20T15:31:26. INFO").map(|t| t.1), Some(19));
    }

    #[test]
    fn a_time_without_a_year_is_the_latest_that_is_not_far_ahead() {
        let now = Civil { year: Some(2026), month: 1, day: 3, ..Civil::default() }.unix_nanos(0).unwrap();
        let at = |month, day| Civil { month, day, ..Civil::default() }.unix_nanos(now);
        let on = |year, month, day| Civil { year: Some(year), month, day, ..Civil::default() }.unix_nanos(0);
        assert_eq!(at(1, 9), on(2026, 1, 9));
        assert_eq!(at(12, 31), on(2025, 12, 31));
        assert_eq!(at(2, 30), None);
    }

    #[test]
    fn days_are_counted_over_centuries() {
        assert_eq!(days_since_1970(1970, 1, 1), 0);
        assert_eq!(days_since_1970(2000, 3, 1), 11_017);
        assert_eq!(days_since_1970(1900, 1, 1), -25_567);
        assert_eq!(year_of(days_since_1970(2100, 12, 31)), 2100);
    }
}
