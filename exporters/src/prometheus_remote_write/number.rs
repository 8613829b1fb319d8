//! Numbers as Prometheus writes them into `le` and `quantile`.

use std::fmt::Write;

/// Appends a bound as Prometheus 3 stores it from a scrape: OpenMetrics' canonical form, always with a point or an
/// exponent (`1.0`, `0.005`, `1e+06`).
pub fn write_scraped(out: &mut String, number: f64) {
    if write_special(out, number) {
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
    if !write_special(out, number) {
        write!(out, "{number}").unwrap_or_default();
    }
}

fn write_special(out: &mut String, number: f64) -> bool {
    let word = if number.is_nan() {
        "NaN"
    } else if number == f64::INFINITY {
        "+Inf"
    } else if number == f64::NEG_INFINITY {
        "-Inf"
    } else {
        return false;
    };
    out.push_str(word);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(number: f64, scraped: &str, plain: &str) {
        let (mut a, mut b) = (String::new(), String::new());
        write_scraped(&mut a, number);
        write_plain(&mut b, number);
        assert_eq!((a.as_str(), b.as_str()), (scraped, plain));
    }

    #[test]
    fn bounds_are_written_as_prometheus_stores_them() {
        check(1.0, "1.0", "1");
        check(0.0, "0.0", "0");
        check(-2.5, "-2.5", "-2.5");
        check(0.005, "0.005", "0.005");
        check(0.0001, "0.0001", "0.0001");
        check(0.00001, "1e-05", "0.00001");
        check(0.15000000000000002, "0.15000000000000002", "0.15000000000000002");
        check(128_000.0, "128000.0", "128000");
        check(1_000_000.0, "1e+06", "1000000");
        check(1_234_567.0, "1.234567e+06", "1234567");
        check(1e100, "1e+100", &format!("1{}", "0".repeat(100)));
        check(f64::INFINITY, "+Inf", "+Inf");
        check(f64::NEG_INFINITY, "-Inf", "-Inf");
        check(f64::NAN, "NaN", "NaN");
    }
}
