//! Durations as the field writes them: `1y2w3d4h5m6s7ms`.

use std::time::Duration;

/// A text that is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Nothing there.
    #[error("empty duration; write a number and a unit, such as `30s`")]
    Empty,
    /// The text does not follow the grammar.
    #[error(
        "`{0}` is not a duration; write numbers with the units y, w, d, h, m, s, ms in this order, such as `1h30m`"
    )]
    Malformed(String),
    /// Longer than what fits.
    #[error("`{0}` is too long a duration")]
    TooLong(String),
}

const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Reads `1y2w3d4h5m6s7ms`: units in this order, each at most once, whole numbers; or `0`.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    if text.is_empty() {
        return Err(DurationError::Empty);
    }
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let malformed = || DurationError::Malformed(text.to_owned());
    let too_long = || DurationError::TooLong(text.to_owned());
    let (mut rest, mut millis, mut next_unit) = (text, 0u64, 0);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return Err(malformed());
        }
        let (number, after) = rest.split_at(digits);
        let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = after.split_at(letters);
        let position = UNITS.iter().position(|(name, _)| *name == unit).ok_or_else(malformed)?;
        if position < next_unit {
            return Err(malformed());
        }
        next_unit = position + 1;
        let number: u64 = number.parse().map_err(|_| too_long())?;
        let part = number.checked_mul(UNITS[position].1).ok_or_else(too_long)?;
        millis = millis.checked_add(part).ok_or_else(too_long)?;
        rest = after;
    }
    // Prometheus counts in signed nanoseconds.
    if millis > i64::MAX as u64 / 1_000_000 {
        return Err(too_long());
    }
    Ok(Duration::from_millis(millis))
}

/// The canonical text: `1h30m`, `0s`. Years and weeks only when they divide the whole exactly, as Prometheus writes it;
/// less than a millisecond is dropped.
pub fn format_duration(duration: Duration) -> String {
    let mut millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 {
        return "0s".to_owned();
    }
    let mut out = String::new();
    for (name, size) in UNITS {
        let exact_only = matches!(name, "y" | "w");
        if exact_only && millis % size != 0 {
            continue;
        }
        let count = millis / size;
        if count > 0 {
            out.push_str(&format!("{count}{name}"));
            millis -= count * size;
        }
    }
    out
}

/// Milliseconds of a duration that may have a minus in front, where the field allows one: offsets of queries.
pub fn parse_signed_duration(text: &str) -> Result<i64, DurationError> {
    let (sign, body) = match text.strip_prefix('-') {
        Some(body) => (-1, body),
        None => (1, text),
    };
    let duration = parse_duration(body).map_err(|error| match error {
        DurationError::Malformed(_) => DurationError::Malformed(text.to_owned()),
        other => other,
    })?;
    let millis = i64::try_from(duration.as_millis()).map_err(|_| DurationError::TooLong(text.to_owned()))?;
    Ok(sign * millis)
}

/// The canonical text of milliseconds that may be negative: `-1h30m`.
pub fn format_signed_duration(millis: i64) -> String {
    let sign = if millis < 0 { "-" } else { "" };
    format!("{sign}{}", format_duration(Duration::from_millis(millis.unsigned_abs())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints() {
        for (text, millis, printed) in [
            ("0", 0, "0s"),
            ("5m", 300_000, "5m"),
            ("90m", 5_400_000, "1h30m"),
            ("1d", 86_400_000, "1d"),
            ("7d", 604_800_000, "1w"),
            ("8d", 691_200_000, "8d"),
            ("1h0m5ms", 3_600_005, "1h5ms"),
        ] {
            let duration = parse_duration(text).unwrap();
            assert_eq!(duration.as_millis(), millis, "{text}");
            assert_eq!(format_duration(duration), printed);
        }
    }

    #[test]
    fn reads_signs_where_they_are_allowed() {
        for (text, millis, printed) in
            [("-90s", -90_000, "-1m30s"), ("90s", 90_000, "1m30s"), ("-0s", 0, "0s")]
        {
            assert_eq!(parse_signed_duration(text), Ok(millis));
            assert_eq!(format_signed_duration(millis), printed);
        }
        assert!(parse_signed_duration("--1s").is_err());
        assert!(parse_signed_duration("-").is_err());
    }

    #[test]
    fn refuses() {
        for text in ["", "1", "s", "1s1m", "1s1s", "-1s", "1.5h", " 1s", "1 s", "1x", "294y"] {
            assert!(parse_duration(text).is_err(), "{text:?}");
        }
    }
}
