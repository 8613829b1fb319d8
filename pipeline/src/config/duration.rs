//! Durations in the two languages of a config: Go's, and Prometheus' own.

use std::fmt;
use std::time::Duration;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::block::newtype;

/// The name by which the decoder knows a [`GoDuration`].
pub(super) const MARK: &str = "~duration";
/// The name by which the decoder knows a [`PromDuration`].
pub(super) const PROM: &str = "~prom_duration";

const PROM_WORKS: &str = "a duration, such as 15s, 1h30m or 7d";

const WORKS: &str = "a duration, such as 300ms, 1.5s or 2h45m";
const NANOS_PER_SEC: u64 = 1_000_000_000;

/// A duration in Go's syntax (`300ms`, `1.5h`, `2h45m`; a bare integer is nanoseconds). Never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoDuration(pub Duration);

impl GoDuration {
    /// That many milliseconds.
    pub const fn from_millis(ms: u64) -> GoDuration {
        GoDuration(Duration::from_millis(ms))
    }

    /// That many seconds.
    pub const fn from_secs(s: u64) -> GoDuration {
        GoDuration(Duration::from_secs(s))
    }

    /// The duration.
    pub const fn get(self) -> Duration {
        self.0
    }

    /// Whether it is nothing, which most settings read as "no limit".
    pub const fn is_zero(self) -> bool {
        self.0.is_zero()
    }

    /// Reads Go's syntax.
    ///
    /// # Errors
    /// What is wrong and what works.
    pub fn parse(text: &str) -> Result<GoDuration, String> {
        let unsigned = text.strip_prefix('+').unwrap_or(text);
        if let Some(rest) = text.strip_prefix('-') {
            return Err(format!("is the negative duration {text:?}; write {rest}"));
        }
        if unsigned == "0" {
            return Ok(GoDuration::default());
        }
        let mut nanos: u64 = 0;
        let mut rest = unsigned;
        while !rest.is_empty() {
            let (number, after) = split_at(rest, |c| c.is_ascii_digit() || c == '.');
            let (unit, after) = split_at(after, |c| !c.is_ascii_digit() && c != '.');
            let unit_nanos = match unit {
                "ns" => 1,
                "us" | "µs" | "μs" => 1_000,
                "ms" => 1_000_000,
                "s" => NANOS_PER_SEC,
                "m" => 60 * NANOS_PER_SEC,
                "h" => 3600 * NANOS_PER_SEC,
                _ => return Err(wrong_unit(text, number, unit)),
            };
            nanos = times(number, unit_nanos)
                .and_then(|n| nanos.checked_add(n))
                .filter(|n| i64::try_from(*n).is_ok())
                .ok_or_else(|| no_duration(text))?;
            rest = after;
        }
        if unsigned.is_empty() { Err(no_duration(text)) } else { Ok(GoDuration(Duration::from_nanos(nanos))) }
    }
}

fn split_at(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

/// A decimal number of units, cut to whole nanoseconds.
fn times(number: &str, unit_nanos: u64) -> Option<u64> {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && part.is_empty()) || part.contains('.') {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let part = &part[..part.len().min(15)];
    let digits = u32::try_from(part.len()).ok()?;
    let fraction: u128 = if part.is_empty() { 0 } else { part.parse().ok()? };
    let fraction = fraction * u128::from(unit_nanos) / 10_u128.pow(digits);
    whole.checked_mul(unit_nanos)?.checked_add(u64::try_from(fraction).ok()?)
}

fn no_duration(text: &str) -> String {
    format!("is {text:?}, which is no duration; a duration looks like 300ms, 1.5s or 2h45m")
}

fn wrong_unit(text: &str, number: &str, unit: &str) -> String {
    let hours = match unit {
        "d" => 24,
        "w" => 24 * 7,
        "y" => 24 * 365,
        _ => 0,
    };
    match (unit, number.parse::<u64>()) {
        ("", Ok(n)) => format!("has no unit in the duration {text:?}; write {n}s, or another of ns, us, ms, s, m, h"),
        (_, Ok(n)) if hours > 0 && text == format!("{n}{unit}") => {
            format!(
                "has the unknown unit {unit:?} in the duration {text:?}; units are ns, us, ms, s, m, h: write {}h",
                n.saturating_mul(hours)
            )
        }
        (_, Ok(_)) => format!("has the unknown unit {unit:?} in the duration {text:?}; units are ns, us, ms, s, m, h"),
        _ => no_duration(text),
    }
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        match (self.0.as_secs(), self.0.subsec_nanos()) {
            (0, 0) => f.write_str("0s"),
            (0, _) if nanos.is_multiple_of(1_000_000) => write!(f, "{}ms", nanos / 1_000_000),
            (0, _) if nanos.is_multiple_of(1_000) => write!(f, "{}us", nanos / 1_000),
            (0, _) => write!(f, "{nanos}ns"),
            (secs, 0) if secs % 3600 == 0 => write!(f, "{}h", secs / 3600),
            (secs, 0) if secs % 60 == 0 && secs < 3600 => write!(f, "{}m", secs / 60),
            (secs, 0) if secs >= 3600 => {
                let (hours, minutes, secs) = (secs / 3600, secs / 60 % 60, secs % 60);
                write!(f, "{hours}h{minutes}m{secs}s")
            }
            (secs, 0) if secs >= 60 => write!(f, "{}m{}s", secs / 60, secs % 60),
            (secs, 0) => write!(f, "{secs}s"),
            _ => write!(f, "{}s", self.0.as_secs_f64()),
        }
    }
}

impl Serialize for GoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let nanos = u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX);
        serializer.serialize_u64(nanos)
    }
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<GoDuration, D::Error> {
        newtype::<NanosOrText, D>(MARK, WORKS, deserializer).map(|d| d.0)
    }
}

struct NanosOrText(GoDuration);

impl<'de> Deserialize<'de> for NanosOrText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<NanosOrText, D::Error> {
        struct Either;

        impl Visitor<'_> for Either {
            type Value = NanosOrText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(WORKS)
            }

            fn visit_u64<E: de::Error>(self, nanos: u64) -> Result<NanosOrText, E> {
                Ok(NanosOrText(GoDuration(Duration::from_nanos(nanos))))
            }

            fn visit_i64<E: de::Error>(self, nanos: i64) -> Result<NanosOrText, E> {
                match u64::try_from(nanos) {
                    Ok(nanos) => self.visit_u64(nanos),
                    Err(_) => Err(E::custom(format!("is {nanos}, a negative duration; the least is 0"))),
                }
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<NanosOrText, E> {
                GoDuration::parse(text).map(NanosOrText).map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

/// A duration in Prometheus' syntax: `1h30m`, `15s`, `7d`; whole numbers, units falling from `y` to `ms`, or `0`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PromDuration(pub Duration);

impl PromDuration {
    /// That many seconds.
    pub const fn from_secs(s: u64) -> PromDuration {
        PromDuration(Duration::from_secs(s))
    }

    /// The duration.
    pub const fn get(self) -> Duration {
        self.0
    }

    /// Reads Prometheus' syntax.
    ///
    /// # Errors
    /// What is wrong and what works.
    pub fn parse(text: &str) -> Result<PromDuration, String> {
        const UNITS: [(&str, u64); 7] = [
            ("y", 365 * 86_400_000),
            ("w", 7 * 86_400_000),
            ("d", 86_400_000),
            ("h", 3_600_000),
            ("m", 60_000),
            ("s", 1_000),
            ("ms", 1),
        ];
        let wrong = || {
            let hint = match text.parse::<u64>() {
                Ok(n) => format!("; write {n}s"),
                Err(_) => {
                    "; a duration looks like 15s, 1h30m or 7d (units y, w, d, h, m, s, ms, largest first)".to_owned()
                }
            };
            format!("is {text:?}, which is no Prometheus duration{hint}")
        };
        if text == "0" {
            return Ok(PromDuration::default());
        }
        let (mut millis, mut next, mut rest) = (0_u64, 0, text);
        while !rest.is_empty() {
            let (number, after) = split_at(rest, |c| c.is_ascii_digit());
            let (unit, after) = split_at(after, |c| !c.is_ascii_digit());
            let place = UNITS[next..].iter().position(|(name, _)| *name == unit).ok_or_else(wrong)?;
            let unit_millis = UNITS[next + place].1;
            next += place + 1;
            let n: u64 = number.parse().map_err(|_| wrong())?;
            millis = n.checked_mul(unit_millis).and_then(|n| millis.checked_add(n)).ok_or_else(wrong)?;
            rest = after;
        }
        if text.is_empty() { Err(wrong()) } else { Ok(PromDuration(Duration::from_millis(millis))) }
    }
}

impl<'de> Deserialize<'de> for PromDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PromDuration, D::Error> {
        newtype::<PromText, D>(PROM, PROM_WORKS, deserializer).map(|duration| duration.0)
    }
}

struct PromText(PromDuration);

impl<'de> Deserialize<'de> for PromText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PromText, D::Error> {
        struct WithUnit;

        impl Visitor<'_> for WithUnit {
            type Value = PromDuration;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(PROM_WORKS)
            }

            fn visit_u64<E: de::Error>(self, n: u64) -> Result<PromDuration, E> {
                PromDuration::parse(&n.to_string()).map_err(E::custom)
            }

            fn visit_i64<E: de::Error>(self, n: i64) -> Result<PromDuration, E> {
                PromDuration::parse(&n.to_string()).map_err(E::custom)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<PromDuration, E> {
                PromDuration::parse(text).map_err(E::custom)
            }
        }

        deserializer.deserialize_any(WithUnit).map(PromText)
    }
}
