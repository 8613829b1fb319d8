//! Numbers of the text formats: which ones Prometheus reads, and how it writes those in labels.

use pipeline::otlp::bound::write_canonical;

/// The NaN that Prometheus stores for a NaN that a target exposes.
const NORMAL_NAN: f64 = f64::from_bits(0x7ff8_0000_0000_0001);

/// The value as Prometheus stores it: there is one NaN.
pub(super) fn normal(value: f64) -> f64 {
    if value.is_nan() { NORMAL_NAN } else { value }
}

/// Why text is not a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NumberError {
    /// It does not look like one.
    Syntax,
    /// It is beyond the largest double.
    Range,
}

impl NumberError {
    pub(super) const fn what(self) -> &'static str {
        match self {
            NumberError::Syntax => "is not a number",
            NumberError::Range => "is beyond the range of a number",
        }
    }
}

/// A sample value: decimal, `NaN`, `Inf`, `Infinity` in any case, a sign before all but NaN. No hexadecimal digits, no
/// underscores; what rounds to infinity is out of range, what rounds to zero is zero.
#[inline]
pub(super) fn float(text: &[u8]) -> Result<f64, NumberError> {
    if let Some(small) = small_integer(text) {
        return Ok(small);
    }
    let text = std::str::from_utf8(text).map_err(|_| NumberError::Syntax)?;
    let value: f64 = text.parse().map_err(|_| NumberError::Syntax)?;
    if value.is_finite() {
        return Ok(value);
    }
    let bytes = text.as_bytes();
    if value.is_nan() {
        return if matches!(bytes[0], b'+' | b'-') { Err(NumberError::Syntax) } else { Ok(NORMAL_NAN) };
    }
    let digits = bytes[usize::from(matches!(bytes[0], b'+' | b'-'))];
    if matches!(digits, b'i' | b'I') { Ok(value) } else { Err(NumberError::Range) }
}

/// Most samples are small whole numbers, which need no float parser to be exact.
#[inline]
fn small_integer(text: &[u8]) -> Option<f64> {
    if text.is_empty() || text.len() > 15 {
        return None;
    }
    let mut value = 0u64;
    for &b in text {
        let digit = b.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    #[allow(clippy::cast_precision_loss, reason = "15 digits fit into the 53 bits of a double")]
    Some(value as f64)
}

/// A number in a label value, which Prometheus reads by looser rules than samples: underscores between digits and
/// hexadecimal floats do not occur in practice and stay text here.
pub(super) fn lenient_float(text: &str) -> Option<f64> {
    float(text.as_bytes()).ok()
}

/// Digits of an explicit timestamp in the text format: milliseconds.
#[inline]
pub(super) fn integer(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// An OpenMetrics timestamp, seconds as a number, in whole milliseconds.
pub(super) fn seconds(text: &[u8]) -> Result<i64, &'static str> {
    let value = float(text).map_err(NumberError::what)?;
    if !value.is_finite() {
        return Err("is not a time");
    }
    #[allow(clippy::cast_possible_truncation, reason = "cut off, as Prometheus does")]
    Ok((value * 1000.0) as i64)
}

/// A float as Prometheus 3 has it in `le` and `quantile`: the shortest digits that read back, with an exponent below
/// 1e-04 and from 1e+06 on, and `.0` behind a whole number.
pub fn open_metrics_float(value: f64) -> String {
    let mut out = String::new();
    // There is one zero in labels: `0.0`.
    write_canonical(&mut out, if value == 0.0 { 0.0 } else { value });
    out
}
