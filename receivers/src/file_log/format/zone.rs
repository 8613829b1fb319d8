//! Time zones of calendar times that do not say theirs: IANA names, from the system's database or else the one that is built in.

use jiff::Timestamp;
use jiff::tz::{AmbiguousOffset, TimeZone};

/// A time zone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Zone {
    /// `None` is UTC, which needs no table.
    rules: Option<TimeZone>,
}

impl Zone {
    /// UTC.
    pub const UTC: Zone = Zone { rules: None };

    /// The zone of that name; empty for UTC, `Local` for the machine's.
    ///
    /// # Errors
    /// When nobody knows it; says what names look like.
    pub fn named(name: &str) -> Result<Zone, String> {
        match name {
            "" | "UTC" | "Etc/UTC" => return Ok(Zone::UTC),
            "Local" => return Ok(Zone { rules: Some(TimeZone::system()) }),
            _ => {}
        }
        match TimeZone::get(name) {
            Ok(rules) => Ok(Zone { rules: Some(rules) }),
            Err(_) => {
                Err(format!("{name:?} is no time zone; they are called Europe/Berlin, America/New_York, UTC or Local"))
            }
        }
    }

    /// Seconds east of UTC where clocks show a time, which is given in seconds since 1970 as if it were UTC. Of a time that
    /// clocks show twice the first counts, and what they skip is read as if they had not been put forward yet.
    pub fn offset(&self, shown: i64) -> i64 {
        let Some(rules) = &self.rules else { return 0 };
        let Ok(shown) = Timestamp::from_second(shown) else { return 0 };
        let shown = TimeZone::UTC.to_datetime(shown);
        let offset = match rules.to_ambiguous_timestamp(shown).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset,
            AmbiguousOffset::Gap { before, .. } | AmbiguousOffset::Fold { before, .. } => before,
        };
        i64::from(offset.seconds())
    }

    /// The same for a time behind which an abbreviation such as `CEST` stands; `None` where clocks of this zone show no such
    /// one, neither then nor half a year before or after.
    pub fn offset_named(&self, name: &str, shown: i64) -> Option<i64> {
        let rules = self.rules.as_ref()?;
        [0, -HALF_A_YEAR, HALF_A_YEAR].into_iter().find_map(|away| {
            let shown = Timestamp::from_second(shown.checked_add(away)?).ok()?;
            let (before, after) = match rules.to_ambiguous_timestamp(TimeZone::UTC.to_datetime(shown)).offset() {
                AmbiguousOffset::Unambiguous { offset } => (offset, offset),
                AmbiguousOffset::Gap { before, after } | AmbiguousOffset::Fold { before, after } => (before, after),
            };
            [before, after].into_iter().find_map(|offset| {
                let real = Timestamp::from_second(shown.as_second() - i64::from(offset.seconds())).ok()?;
                let info = rules.to_offset_info(real);
                (info.abbreviation() == name).then(|| i64::from(info.offset().seconds()))
            })
        })
    }
}

const HALF_A_YEAR: i64 = 182 * 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_knows_its_summer_and_what_clocks_show_twice_or_never() {
        let berlin = Zone::named("Europe/Berlin").unwrap();
        for (shown, hours) in [
            // 2026-01-15T12:00, 2026-07-15T12:00.
            (1_768_478_400, 1),
            (1_784_116_800, 2),
            // 2026-03-29T02:30 does not exist, 2026-10-25T02:30 comes twice.
            (1_774_751_400, 1),
            (1_792_895_400, 2),
        ] {
            assert_eq!(berlin.offset(shown), hours * 3600, "{shown}");
        }
        assert_eq!((Zone::UTC.offset(0), Zone::named("Asia/Kolkata").unwrap().offset(0)), (0, 19_800));
    }

    #[test]
    fn an_abbreviation_tells_times_apart_that_clocks_show_twice() {
        let (berlin, kolkata) = (Zone::named("Europe/Berlin").unwrap(), Zone::named("Asia/Kolkata").unwrap());
        // 2026-10-25T02:30 comes twice; 2026-07-15T12:00.
        assert_eq!(berlin.offset_named("CEST", 1_792_895_400), Some(7200));
        assert_eq!(berlin.offset_named("CET", 1_792_895_400), Some(3600));
        assert_eq!(berlin.offset_named("CET", 1_784_116_800), Some(3600));
        assert_eq!(berlin.offset_named("EST", 1_784_116_800), None);
        assert_eq!((kolkata.offset_named("IST", 0), Zone::UTC.offset_named("IST", 0)), (Some(19_800), None));
    }

    #[test]
    fn an_unknown_name_is_an_error_that_says_what_names_look_like() {
        assert!(Zone::named("Europe/Berln").unwrap_err().contains("Europe/Berlin"));
        for name in ["", "UTC", "Etc/UTC"] {
            assert_eq!(Zone::named(name), Ok(Zone::UTC));
        }
        assert!(Zone::named("Local").is_ok());
    }
}
