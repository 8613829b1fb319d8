//! Times since 1970 as dates, for people and other programs.

use std::time::Duration;

pub use jiff::Timestamp;

/// A time since 1970 as a date in UTC, which prints itself as RFC 3339; after the year 9999 it stands still.
pub fn utc(since_1970: Duration) -> Timestamp {
    i64::try_from(since_1970.as_secs())
        .ok()
        .and_then(|seconds| Timestamp::new(seconds, since_1970.subsec_nanos().cast_signed()).ok())
        .unwrap_or(Timestamp::MAX)
}

/// A time since 1970 in RFC 3339, in UTC, to the millisecond.
pub fn rfc3339(since_1970: Duration) -> String {
    format!("{:.3}", utc(since_1970))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_rfc_3339() {
        assert_eq!(rfc3339(Duration::ZERO), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(Duration::from_millis(951_782_400_001)), "2000-02-29T00:00:00.001Z");
        assert_eq!(rfc3339(Duration::from_secs(1_767_225_599)), "2025-12-31T23:59:59.000Z");
        assert_eq!(rfc3339(Duration::from_secs(4_107_542_400)), "2100-03-01T00:00:00.000Z");
        assert_eq!(&rfc3339(Duration::MAX)[..4], "9999");
    }
}
