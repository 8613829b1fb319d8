//! Numbers as Prometheus has them in the labels `le` and `quantile`.

use std::fmt::Write;

/// Appends a bound as Prometheus 3 stores it from a scrape, in OpenMetrics' canonical form: always with a point or an
/// exponent (`1.0`, `0.005`, `1e+06`).
pub fn write_canonical(out: &mut String, number: f64) {
    if write_word(out, number) || write_short(out, number) {
        return;
    }
    let digits = format!("{number:e}");
    let (mantissa, exponent) = digits.split_once('e').unwrap_or((&digits, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    // Go's `%g` changes to an exponent of at least two digits at these borders.
    let written = if number != 0.0 && !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        write!(out, "{mantissa}e{sign}{:02}", exponent.unsigned_abs())
    } else {
        write!(out, "{number}{}", if number.fract() == 0.0 { ".0" } else { "" })
    };
    written.unwrap_or_default();
}

/// Appends a bound as Prometheus' OTLP endpoint and the collector write it: never with an exponent, whole numbers
/// without a point.
pub fn write_plain(out: &mut String, number: f64) {
    if !write_word(out, number) {
        write!(out, "{number}").unwrap_or_default();
    }
}

/// Writes a number of few digits, as most bounds are; otherwise answers false. A decimal of at most 15 digits that reads
/// back as the number is the shortest one.
fn write_short(out: &mut String, number: f64) -> bool {
    const MOST_PLACES: usize = 6;
    let positive = number.abs();
    if !(1e-4..1e6).contains(&positive) {
        return false;
    }
    let mut power = 1u64;
    for places in 0..=MOST_PLACES {
        #[allow(clippy::cast_precision_loss, reason = "powers of ten up to the sixth are exact")]
        let scaled = (positive * power as f64).round();
        #[allow(clippy::cast_precision_loss, reason = "below 10^12")]
        if scaled / power as f64 == positive {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below 10^12")]
            let digits = scaled as u64;
            let sign = if number < 0.0 { "-" } else { "" };
            let (whole, part) = (digits / power, digits % power);
            let width = places.max(1);
            return write!(out, "{sign}{whole}.{part:0width$}").is_ok();
        }
        power *= 10;
    }
    false
}

fn write_word(out: &mut String, number: f64) -> bool {
    let word = match number {
        n if n.is_nan() => "NaN",
        f64::INFINITY => "+Inf",
        f64::NEG_INFINITY => "-Inf",
        _ => return false,
    };
    out.push_str(word);
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_number_of_few_digits_is_written_as_any_other(digits in -2_000_000_000i64..2_000_000_000, places in 0i32..9) {
            #[allow(clippy::cast_precision_loss)]
            let number = digits as f64 / 10f64.powi(places);
            let mut short = String::new();
            if write_short(&mut short, number) {
                let expected = format!("{number}{}", if number.fract() == 0.0 { ".0" } else { "" });
                prop_assert_eq!(short, expected);
            }
        }
    }

    #[test]
    fn bounds_are_written_as_prometheus_stores_them() {
        for (number, canonical, plain) in [
            (0.0, "0.0", "0"),
            (1.0, "1.0", "1"),
            (-2.5, "-2.5", "-2.5"),
            (0.0001, "0.0001", "0.0001"),
            (0.00001, "1e-05", "0.00001"),
            (0.15000000000000002, "0.15000000000000002", "0.15000000000000002"),
            (128_000.0, "128000.0", "128000"),
            (1_234_567.0, "1.234567e+06", "1234567"),
            (f64::INFINITY, "+Inf", "+Inf"),
            (f64::NEG_INFINITY, "-Inf", "-Inf"),
            (f64::NAN, "NaN", "NaN"),
        ] {
            let (mut a, mut b) = (String::new(), String::new());
            write_canonical(&mut a, number);
            write_plain(&mut b, number);
            assert_eq!((a.as_str(), b.as_str()), (canonical, plain));
        }
    }
}
