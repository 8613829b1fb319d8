//! Layouts of timestamps: strptime's and Go's directives, and numbers since 1970. A layout is compiled once.

use std::fmt;

use super::value::Value;
use crate::file_log::format::civil::{Civil, fraction, zone};
use crate::file_log::format::zone::Zone;

/// How a timestamp is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A calendar time.
    Calendar(Vec<Item>, Zones),
    /// A number since 1970.
    Epoch(Epoch),
}

/// Where clocks show a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Zones {
    /// Where they do if it does not say it.
    pub of_times: Zone,
    /// What abbreviations behind it mean.
    pub named: Vec<(String, Zone)>,
}

/// A unit of numbers since 1970, with what stands behind the decimal point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch {
    unit_nanos: u64,
    fraction_nanos: Option<u64>,
}

/// One piece of a calendar time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// This character; a space stands for any number of them.
    Literal(char),
    /// Four digits.
    Year,
    /// Two digits: 69 to 99 are 19xx.
    ShortYear,
    /// One or two digits, spaces before them.
    Month,
    /// English, in full or the first three letters.
    MonthName,
    /// One or two digits, spaces before them.
    Day,
    /// Three digits.
    DayOfYear,
    /// English, in full or the first three letters; says nothing.
    Weekday,
    /// One or two digits.
    Hour,
    /// One or two digits, with a [`Item::HalfDay`] elsewhere.
    Hour12,
    /// `AM` or `PM`, in any case.
    HalfDay,
    /// Two digits.
    Minute,
    /// Two digits.
    Second,
    /// Digits behind the second; with its `.` or `,`, it may be missing.
    Fraction {
        /// Whether the `.` or `,` is part of it.
        point: bool,
    },
    /// `Z` or `±hh`, `±hhmm`, `±hh:mm`.
    Offset,
    /// An abbreviation: `UTC`, `CEST`.
    ZoneName,
}

/// Why a layout cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayoutError(String);

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Layout {
    /// A layout in strptime's directives, as the collector has them.
    ///
    /// # Errors
    /// A directive that is not known; names those that are.
    pub fn strptime(layout: &str) -> Result<Layout, LayoutError> {
        let mut items = Vec::new();
        let mut chars = layout.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                items.push(Item::Literal(c));
                continue;
            }
            let directive = chars.next();
            let expanded = match directive {
                Some('F') => "%Y-%m-%d",
                Some('D' | 'x') => "%m/%d/%y",
                Some('T' | 'X') => "%H:%M:%S",
                Some('R') => "%H:%M",
                Some('r') => "%I:%M:%S %p",
                Some('c') => "%a %b %d %H:%M:%S %Y",
                _ => "",
            };
            if !expanded.is_empty() {
                let Layout::Calendar(inner, _) = Layout::strptime(expanded)? else { continue };
                items.extend(inner);
                continue;
            }
            items.push(match directive {
                Some('Y') => Item::Year,
                Some('y') => Item::ShortYear,
                Some('m' | 'o' | 'q') => Item::Month,
                Some('b' | 'B' | 'h') => Item::MonthName,
                Some('d' | 'e' | 'g') => Item::Day,
                Some('a' | 'A') => Item::Weekday,
                Some('H') => Item::Hour,
                Some('I' | 'l') => Item::Hour12,
                Some('p' | 'P') => Item::HalfDay,
                Some('M') => Item::Minute,
                Some('S') => Item::Second,
                Some('L' | 'f' | 's') => Item::Fraction { point: false },
                Some('z' | 'i' | 'j' | 'k') => Item::Offset,
                Some('Z') => Item::ZoneName,
                Some('n') => Item::Literal('\n'),
                Some('t') => Item::Literal('\t'),
                Some('%') => Item::Literal('%'),
                other => {
                    let other = other.map(String::from).unwrap_or_default();
                    return Err(LayoutError(format!(
                        "has the unknown directive %{other}; directives are %Y %y %m %o %q %b %B %d %e %g %a %A %H %I %l \
                         %p %P %M %S %L %f %s %z %Z %i %j %k %F %D %T %R %r %c %n %t %%"
                    )));
                }
            });
        }
        calendar(items)
    }

    /// A layout that shows how Go would write Mon Jan 2 15:04:05 MST 2006.
    ///
    /// # Errors
    /// When there is nothing of a time in it.
    pub fn gotime(layout: &str) -> Result<Layout, LayoutError> {
        const TOKENS: &[(&str, Item)] = &[
            ("January", Item::MonthName),
            ("Monday", Item::Weekday),
            ("Z07:00:00", Item::Offset),
            ("-07:00:00", Item::Offset),
            ("Z07:00", Item::Offset),
            ("-07:00", Item::Offset),
            ("Z070000", Item::Offset),
            ("-070000", Item::Offset),
            ("Z0700", Item::Offset),
            ("-0700", Item::Offset),
            ("Z07", Item::Offset),
            ("-07", Item::Offset),
            ("2006", Item::Year),
            ("Jan", Item::MonthName),
            ("Mon", Item::Weekday),
            ("MST", Item::ZoneName),
            ("__2", Item::DayOfYear),
            ("002", Item::DayOfYear),
            ("_2", Item::Day),
            ("01", Item::Month),
            ("02", Item::Day),
            ("03", Item::Hour12),
            ("04", Item::Minute),
            ("05", Item::Second),
            ("06", Item::ShortYear),
            ("15", Item::Hour),
            ("PM", Item::HalfDay),
            ("pm", Item::HalfDay),
            ("1", Item::Month),
            ("2", Item::Day),
            ("3", Item::Hour12),
            ("4", Item::Minute),
            ("5", Item::Second),
        ];
        let mut items = Vec::new();
        let mut rest = layout;
        while let Some(c) = rest.chars().next() {
            if matches!(c, '.' | ',') {
                let digits = rest[1..].len() - rest[1..].trim_start_matches(['0', '9']).len();
                if digits > 0 && !rest[1 + digits..].starts_with(|c: char| c.is_ascii_digit()) {
                    items.push(Item::Fraction { point: true });
                    rest = &rest[1 + digits..];
                    continue;
                }
            }
            match TOKENS.iter().find(|(token, _)| rest.starts_with(token)) {
                Some((token, item)) => {
                    items.push(*item);
                    rest = &rest[token.len()..];
                }
                None => {
                    items.push(Item::Literal(c));
                    rest = &rest[c.len_utf8()..];
                }
            }
        }
        calendar(items)
    }

    /// A layout of numbers since 1970: `s`, `ms`, `us`, `ns`, `s.ms`, `s.us`, `s.ns`.
    ///
    /// # Errors
    /// Any other; names those that work.
    pub fn epoch(layout: &str) -> Result<Layout, LayoutError> {
        let (unit_nanos, fraction_nanos) = match layout {
            "s" => (1_000_000_000, None),
            "ms" => (1_000_000, None),
            "us" => (1_000, None),
            "ns" => (1, None),
            "s.ms" => (1_000_000_000, Some(1_000_000)),
            "s.us" => (1_000_000_000, Some(1_000)),
            "s.ns" => (1_000_000_000, Some(1)),
            other => {
                return Err(LayoutError(format!("is {other:?}; epoch layouts are s, ms, us, ns, s.ms, s.us, s.ns")));
            }
        };
        Ok(Layout::Epoch(Epoch { unit_nanos, fraction_nanos }))
    }

    /// The time that a value states, in nanoseconds since 1970.
    pub fn read(&self, value: &Value<'_>, now_nanos: u64) -> Option<u64> {
        match (self, value) {
            (Layout::Calendar(items, zones), Value::Text(text)) => {
                let (civil, zone) = calendar_time(items, text)?;
                zones.unix_nanos(&civil, zone, now_nanos)
            }
            (Layout::Epoch(epoch), value) => epoch.read(value),
            (Layout::Calendar(..), _) => None,
        }
    }

    /// The same with times in those zones.
    #[must_use]
    pub fn in_zones(self, zones: Zones) -> Layout {
        match self {
            Layout::Calendar(items, _) => Layout::Calendar(items, zones),
            epoch @ Layout::Epoch(_) => epoch,
        }
    }
}

impl Zones {
    /// Nanoseconds since 1970 where the abbreviation of a zone stands behind a time, or none. It is one of those that have
    /// a meaning here, one of the zone of times without any, or the name of a zone, as `EST` is.
    fn unix_nanos(&self, civil: &Civil, name: Option<&str>, now_nanos: u64) -> Option<u64> {
        let Some(name) = name.filter(|_| civil.offset.is_none()) else {
            return civil.unix_nanos_in(&self.of_times, now_nanos);
        };
        let with_offset = |offset| Civil { offset: Some(offset), ..*civil }.unix_nanos(now_nanos);
        if let Some((_, zone)) = self.named.iter().find(|(known, _)| known == name) {
            return civil.unix_nanos_in(zone, now_nanos);
        }
        if matches!(name, "UTC" | "GMT" | "Z") {
            return with_offset(0);
        }
        let shown = i64::try_from(with_offset(0)? / 1_000_000_000).ok()?;
        match self.of_times.offset_named(name, shown) {
            Some(offset) => with_offset(offset),
            None => civil.unix_nanos_in(&Zone::named(name).ok()?, now_nanos),
        }
    }
}

/// Joins points and fractions, and checks that the layout says a time at all.
fn calendar(items: Vec<Item>) -> Result<Layout, LayoutError> {
    let mut joined: Vec<Item> = Vec::with_capacity(items.len());
    for item in items {
        let point = matches!(joined.last(), Some(Item::Literal('.' | ',')));
        if item == (Item::Fraction { point: false }) && point {
            joined.pop();
            joined.push(Item::Fraction { point: true });
        } else {
            joined.push(item);
        }
    }
    if joined.iter().all(|i| matches!(i, Item::Literal(_))) {
        return Err(LayoutError(
            "has no directive of a date or time in it; a layout looks like %Y-%m-%dT%H:%M:%S.%f%z".into(),
        ));
    }
    Ok(Layout::Calendar(joined, Zones::default()))
}

/// The time, and the abbreviation of its zone, if one stands there.
fn calendar_time<'t>(items: &[Item], text: &'t str) -> Option<(Civil, Option<&'t str>)> {
    let (mut civil, mut zone_name) = (Civil::default(), None);
    let mut rest = text;
    let (mut afternoon, mut day_of_year) = (None, None);
    for (i, item) in items.iter().enumerate() {
        match item {
            Item::Literal(' ') => rest = rest.trim_start_matches(' '),
            Item::Literal(c) => rest = rest.strip_prefix(*c)?,
            Item::Year => civil.year = Some(i64::from(digits(&mut rest, 4, 4)?)),
            Item::ShortYear => {
                let short = i64::from(digits(&mut rest, 2, 2)?);
                civil.year = Some(if short >= 69 { 1900 + short } else { 2000 + short });
            }
            Item::Month => civil.month = padded(&mut rest)?,
            Item::MonthName => civil.month = name(&mut rest, &MONTHS)?,
            Item::Day => civil.day = padded(&mut rest)?,
            Item::DayOfYear => day_of_year = Some(digits(&mut rest, 1, 3)?),
            Item::Weekday => _ = name(&mut rest, &WEEKDAYS)?,
            Item::Hour | Item::Hour12 => civil.hour = padded(&mut rest)?,
            Item::HalfDay => {
                let half = rest.get(..2)?;
                afternoon = Some(half.eq_ignore_ascii_case("pm"));
                if afternoon == Some(false) && !half.eq_ignore_ascii_case("am") {
                    return None;
                }
                rest = &rest[2..];
            }
            Item::Minute => civil.minute = digits(&mut rest, 1, 2)?,
            Item::Second => {
                civil.second = digits(&mut rest, 1, 2)?;
                if !matches!(items.get(i + 1), Some(Item::Fraction { .. })) {
                    nanos(&mut rest, &mut civil);
                }
            }
            Item::Fraction { point: true } => nanos(&mut rest, &mut civil),
            Item::Fraction { point: false } => {
                let (value, len) = fraction(rest.as_bytes());
                civil.nanos = value;
                rest = &rest[len..];
            }
            Item::Offset => {
                let (offset, len) = zone(rest.as_bytes())?;
                civil.offset = Some(offset);
                rest = &rest[len..];
            }
            Item::ZoneName => {
                let len = rest.bytes().take_while(u8::is_ascii_uppercase).count();
                let name = rest.get(..len).filter(|name| (1..=MOST_OF_ZONE).contains(&name.len()))?;
                zone_name = Some(name);
                rest = &rest[len..];
            }
        }
    }
    if let Some(afternoon) = afternoon {
        civil.hour = civil.hour % 12 + if afternoon { 12 } else { 0 };
    }
    if let Some(day) = day_of_year {
        from_day_of_year(&mut civil, day)?;
    }
    rest.trim().is_empty().then_some((civil, zone_name))
}

/// The most letters of a zone's abbreviation.
const MOST_OF_ZONE: usize = 5;

fn from_day_of_year(civil: &mut Civil, mut day: u32) -> Option<()> {
    let year = civil.year?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    for (month, days) in [31, 28 + u32::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31].into_iter().enumerate() {
        if day <= days {
            (civil.month, civil.day) = (u32::try_from(month).ok()? + 1, day);
            return Some(());
        }
        day -= days;
    }
    None
}

/// The fraction of a second, if there is one.
fn nanos(rest: &mut &str, civil: &mut Civil) {
    let point = rest.starts_with(['.', ',']) && rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
    if point {
        let (value, len) = fraction(&rest.as_bytes()[1..]);
        civil.nanos = value;
        *rest = &rest[1 + len..];
    }
}

fn padded(rest: &mut &str) -> Option<u32> {
    *rest = rest.trim_start_matches(' ');
    digits(rest, 1, 2)
}

fn digits(rest: &mut &str, least: usize, most: usize) -> Option<u32> {
    let len = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
    if len < least {
        return None;
    }
    let value = rest[..len].parse().ok();
    *rest = &rest[len..];
    value
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// The number, from 1, of the name at the start: in full or its first three letters, in any case.
fn name(rest: &mut &str, names: &[&str]) -> Option<u32> {
    let starts = |name: &str| rest.get(..name.len()).is_some_and(|r| r.eq_ignore_ascii_case(name));
    let (at, len) = names
        .iter()
        .enumerate()
        .find_map(|(at, full)| [*full, &full[..3]].into_iter().find(|n| starts(n)).map(|n| (at, n.len())))?;
    *rest = &rest[len..];
    u32::try_from(at + 1).ok()
}

impl Epoch {
    fn read(self, value: &Value<'_>) -> Option<u64> {
        match value {
            Value::Int(whole) => u64::try_from(*whole).ok()?.checked_mul(self.unit_nanos),
            Value::Double(number) => self.read_double(*number),
            Value::Text(text) => self.read_text(text.trim()),
            _ => None,
        }
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    fn read_double(self, number: f64) -> Option<u64> {
        if !(0.0..1.8e19).contains(&number) {
            return None;
        }
        let whole = (number.trunc() as u64).checked_mul(self.unit_nanos)?;
        let Some(step) = self.fraction_nanos else { return Some(whole) };
        let steps = (number.fract() * (self.unit_nanos / step) as f64).round() as u64;
        whole.checked_add(steps * step)
    }

    fn read_text(self, text: &str) -> Option<u64> {
        let (whole, rest) = match self.fraction_nanos {
            Some(_) => text.split_once('.').unwrap_or((text, "")),
            None => (text, ""),
        };
        let (billionths, len) = fraction(rest.as_bytes());
        let whole: u64 = whole.parse().ok()?;
        (len == rest.len()).then_some(())?;
        whole.checked_mul(self.unit_nanos)?.checked_add(u64::from(billionths))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-02T00:00:00Z.
    const NOW: u64 = 1_767_312_000_000_000_000;

    #[test]
    fn times_without_a_zone_are_in_that_of_the_layout() {
        let berlin = || Zones { of_times: Zone::named("Europe/Berlin").unwrap(), named: Vec::new() };
        let layout = Layout::strptime("%Y-%m-%d %H:%M:%S").unwrap().in_zones(berlin());
        check(&layout, "2026-07-15 12:00:00", Some(1_784_109_600_000_000_000));
        let own = Layout::strptime("%Y-%m-%d %H:%M:%S%z").unwrap().in_zones(berlin());
        check(&own, "2026-07-15 12:00:00Z", Some(1_784_116_800_000_000_000));
    }

    #[test]
    fn abbreviations_of_zones_mean_what_is_said_or_what_clocks_show_there_or_a_zone_of_that_name() {
        let named = vec![("PDT".to_owned(), Zone::named("America/Los_Angeles").unwrap())];
        let zones = Zones { of_times: Zone::named("Asia/Kolkata").unwrap(), named };
        let layout = Layout::strptime("%a %b %d %H:%M:%S %Z %Y").unwrap().in_zones(zones);
        for (text, want) in [
            // 15:08:58+05:30, 14:08:48-07:00, 13:50:27-05:00.
            ("Wed Aug 27 15:08:58 IST 2025", Some(1_756_287_538_000_000_000)),
            ("Wed Aug 20 14:08:48 PDT 2025", Some(1_755_724_128_000_000_000)),
            ("Fri Jun  5 13:50:27 EST 2020", Some(1_591_383_027_000_000_000)),
            ("Fri Jun  5 13:50:27 GMT 2020", Some(1_591_365_027_000_000_000)),
            ("Fri Jun  5 13:50:27 XYZ 2020", None),
            ("Fri Jun  5 13:50:27  2020", None),
        ] {
            check(&layout, text, want);
        }
        let go = Layout::gotime("2006-01-02 15:04:05 -0700 MST").unwrap();
        check(&go, "2020-06-05 13:50:27 -0500 XYZ", Some(1_591_383_027_000_000_000));
    }

    fn check(layout: &Layout, text: &str, want: Option<u64>) {
        assert_eq!(layout.read(&Value::text(text), NOW), want, "{text}");
    }

    #[test]
    fn strptime_layouts_read_what_the_collector_reads() {
        for (layout, text, want) in [
            ("%Y-%m-%dT%H:%M:%S.%fZ", "2026-11-20T15:31:26.681620Z", 1_795_188_686_681_620_000),
            ("%Y-%m-%dT%H:%M:%S.%LZ", "2026-11-20T15:31:26.681620123Z", 1_795_188_686_681_620_123),
            ("%Y-%m-%dT%H:%M:%S.%f%z", "2026-11-20T16:31:26.681620+01:00", 1_795_188_686_681_620_000),
            ("%Y-%m-%d %H:%M:%S.%f %z", "2026-11-20 08:31:26,681 -0700", 1_795_188_686_681_000_000),
            ("%Y-%m-%d %H:%M:%S", "2026-11-20 15:31:26.5", 1_795_188_686_500_000_000),
            ("%a %b %e %H:%M:%S %Z %Y", "Fri Nov 20 15:31:26 UTC 2026", 1_795_188_686_000_000_000),
            ("%b %e %T", "Dec  1 00:00:00", 1_764_547_200_000_000_000),
            ("%F %r", "2026-11-20 03:31:26 pm", 1_795_188_686_000_000_000),
            ("%d/%B/%Y:%R %j", "20/November/2026:15:31 +00:00", 1_795_188_660_000_000_000),
            ("%D", "11/20/26", 1_795_132_800_000_000_000),
            ("%Y%m%d%H%M%S%%", "20261120153126%", 1_795_188_686_000_000_000),
        ] {
            check(&Layout::strptime(layout).unwrap(), text, Some(want));
        }
    }

    #[test]
    fn gotime_layouts_read_what_go_reads() {
        for (layout, text, want) in [
            ("2006-01-02T15:04:05.999999Z07:00", "2026-11-20T15:31:26.681620Z", 1_795_188_686_681_620_000),
            ("2006-01-02T15:04:05Z07:00", "2026-11-20T16:31:26.6816+01:00", 1_795_188_686_681_600_000),
            ("Jan _2 15:04:05", "Jan  2 00:00:01", 1_767_312_001_000_000_000),
            ("Monday, 02-Jan-06 15:04:05 MST", "Friday, 20-Nov-26 15:31:26 GMT", 1_795_188_686_000_000_000),
            ("1/2/2006 3:04:05,000 PM -0700", "11/20/2026 3:31:26,001 PM +0000", 1_795_188_686_001_000_000),
            ("2006 002", "2024 366", 1_735_603_200_000_000_000),
        ] {
            check(&Layout::gotime(layout).unwrap(), text, Some(want));
        }
    }

    #[test]
    fn numbers_since_1970_are_read_from_text_and_numbers() {
        let read = |layout: &str, value: Value<'_>| Layout::epoch(layout).unwrap().read(&value, NOW);
        assert_eq!(read("s", Value::Int(1_136_214_245)), Some(1_136_214_245_000_000_000));
        assert_eq!(read("ms", Value::text("1136214245123")), Some(1_136_214_245_123_000_000));
        assert_eq!(read("us", Value::Double(1.136_214_245_123_456e15)), Some(1_136_214_245_123_456_000));
        assert_eq!(read("s.us", Value::text("1136214245.123456")), Some(1_136_214_245_123_456_000));
        assert_eq!(read("s.ms", Value::Double(1_136_214_245.123)), Some(1_136_214_245_123_000_000));
        assert_eq!(read("s.ns", Value::Int(1)), Some(1_000_000_000));
        for bad in [Value::text("x"), Value::text("1.x"), Value::Int(-1), Value::Double(f64::NAN), Value::Null] {
            assert_eq!(read("s.ns", bad), None);
        }
        assert_eq!(read("s", Value::text("1.5")), None);
    }

    #[test]
    fn other_text_is_no_time() {
        let layout = Layout::strptime("%Y-%m-%d %p").unwrap();
        for bad in ["", "2026-11-20", "2026-11-20 xm", "2026-11-20 am and more", "26-11-20 am", "2026-11-é"] {
            check(&layout, bad, None);
        }
    }

    #[test]
    fn bad_layouts_say_what_would_work() {
        assert!(Layout::strptime("%Y-%E").unwrap_err().to_string().contains("directives are %Y"));
        assert!(Layout::strptime("%").unwrap_err().to_string().contains("unknown directive %;"));
        assert!(Layout::gotime("time").unwrap_err().to_string().contains("no directive"));
        assert!(Layout::epoch("h").unwrap_err().to_string().contains("s.ns"));
    }
}
