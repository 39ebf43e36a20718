//! Sizes as the field writes them: `15MB`, `1GiB`; both are powers of two.

/// Units, each 1024 of the one before.
const UNITS: &str = "KMGTPE";

/// Bytes of `1GB512MB`, `1.5GiB`, `0`; negative with a sign. `Err` says what is wrong.
pub(crate) fn parse_size(text: &str) -> Result<i64, String> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err("empty size; write a number and a unit, such as `15MB`".to_owned());
    }
    let malformed = || format!("`{text}` is not a size; write a number and a unit, such as `15MB`");
    let (mut rest, mut bytes) = (rest, 0f64);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let number: f64 = rest[..digits].parse().map_err(|_| malformed())?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit = &rest[..letters];
        rest = &rest[letters..];
        if unit.is_empty() {
            return Err(format!("`{text}` has no unit; write `{text}B` for bytes, or KB, MB, GB"));
        }
        bytes += number * factor(unit).ok_or_else(malformed)?;
    }
    if bytes >= i64::MAX as f64 {
        return Err(format!("`{text}` is too large"));
    }
    Ok((sign * bytes) as i64)
}

fn factor(unit: &str) -> Option<f64> {
    let power = match unit.strip_suffix('B')? {
        "" => 0,
        prefix => {
            let letter = prefix.strip_suffix('i').unwrap_or(prefix);
            (letter.len() == 1).then(|| UNITS.find(letter)).flatten()? + 1
        }
    };
    Some(1024f64.powi(i32::try_from(power).ok()?))
}

/// A size as it is shown: the largest unit that divides it.
pub(crate) fn format_size(bytes: u64) -> String {
    let mut value = bytes;
    let mut unit = String::new();
    for letter in UNITS.chars() {
        if value == 0 || !value.is_multiple_of(1024) {
            break;
        }
        value /= 1024;
        unit = format!("{letter}i");
    }
    if value == 0 { "0".to_owned() } else { format!("{value}{unit}B") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes, shown) in [
            ("0", 0, "0"),
            ("1B", 1, "1B"),
            ("15MB", 15 << 20, "15MiB"),
            ("1GiB", 1 << 30, "1GiB"),
            ("1.5KB", 1536, "1536B"),
            ("1GB512MB", (1 << 30) + (512 << 20), "1536MiB"),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
            assert_eq!(format_size(bytes as u64), shown);
        }
        assert_eq!(parse_size("-1GB"), Ok(-(1 << 30)));
        for text in ["", "100", "MB", "1XB", "1KKB", "1.2.3MB", "16EB", "1mb", "-"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
