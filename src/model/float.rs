//! Numbers as the field writes them.

/// `value` in the shortest form that reads back as the same number, as Prometheus' APIs and labels write it:
/// no exponent (`0.1`, `100000000000000000000`), `NaN`, `+Inf`, `-Inf`.
pub fn format_float(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        format!("{value}")
    }
}

/// `value` as Go's `%e`-or-shortest with exponent: `1e+00`, `3.14e-05`; used where the API shows alert values.
pub fn format_float_exponent(value: f64) -> String {
    if !value.is_finite() {
        return format_float(value);
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// `value` in its shortest form, with an exponent below 1e-4 and from 1e6 on: `0.1`, `1e-05`, `1e+06`, `NaN`, `+Inf`. So
/// texts for people show numbers, and histograms their counts.
pub fn format_float_shortest(value: f64) -> String {
    let plain = value == 0.0 || !value.is_finite() || (1e-4..1e6).contains(&value.abs());
    if plain { format_float(value) } else { format_float_exponent(value) }
}

/// `value` with at most so many significant digits, at least one, and an exponent if the number is not written with them:
/// `0.25`, `1.2e+03`.
pub fn format_float_rounded(value: f64, digits: usize) -> String {
    if value == 0.0 || !value.is_finite() {
        return format_float(value);
    }
    let digits = digits.max(1);
    let text = format!("{value:.*e}", digits - 1);
    let exponent = text.split_once('e').and_then(|(_, exponent)| exponent.parse::<i32>().ok()).unwrap_or(0);
    // Reading it back leaves out zeros at the end.
    let rounded = text.parse().unwrap_or(value);
    let plain = exponent >= -4 && exponent < i32::try_from(digits).unwrap_or(i32::MAX);
    if plain { format_float(rounded) } else { format_float_exponent(rounded) }
}

/// A number as Go's `ParseFloat` reads it: decimal and hexadecimal floats, `Inf`, `NaN` in any case, a sign,
/// underscores between digits only in a number with a base prefix. `None` for anything else; too large is `None`.
pub fn parse_float(text: &str) -> Option<f64> {
    let (negative, body) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let value = match body.to_ascii_lowercase().as_str() {
        "inf" | "infinity" => f64::INFINITY,
        "nan" => return Some(f64::NAN),
        lower if lower.starts_with("0x") => parse_hex_float(&lower[2..])?,
        _ => {
            let plain =
                body.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
            let starts = body.bytes().next().is_some_and(|b| b.is_ascii_digit() || b == b'.');
            if !plain || !starts {
                return None;
            }
            let value: f64 = body.parse().ok()?;
            if value.is_infinite() {
                return None;
            }
            value
        }
    };
    Some(if negative { -value } else { value })
}

/// The part behind `0x`: hexadecimal digits with an optional point and a binary exponent.
fn parse_hex_float(body: &str) -> Option<f64> {
    let (digits, exponent) = match body.split_once('p') {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
        None => (body, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value = 0.0f64;
    for c in whole.chars().chain(fraction.chars()).filter(|c| *c != '_') {
        value = value * 16.0 + f64::from(c.to_digit(16)?);
    }
    let shift = exponent - 4 * i32::try_from(fraction.len()).ok()?;
    let value = value * 2f64.powi(shift);
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (0.1, "0.1"),
            (1e21, "1000000000000000000000"),
            (1e-7, "0.0000001"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(format_float(value), text);
        }
        for (value, text) in [
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
            (999_999.5, "999999.5"),
            (1e6, "1e+06"),
            (-1_234_567.0, "-1.234567e+06"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(format_float_shortest(value), text);
        }
        for (value, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (0.256, "0.26"),
            (-12.4, "-12"),
            (99.6, "1e+02"),
            (123.0, "1.2e+02"),
            (0.000_012_34, "1.2e-05"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(format_float_rounded(value, 2), text);
        }
        for (value, text) in
            [(1.0, "1e+00"), (0.0, "0e+00"), (123.5, "1.235e+02"), (3e-10, "3e-10"), (1e100, "1e+100")]
        {
            assert_eq!(format_float_exponent(value), text);
        }
    }

    #[test]
    fn parses() {
        for (text, value) in [
            ("1", 1.0),
            ("-1.5e3", -1500.0),
            ("+Inf", f64::INFINITY),
            ("-inf", f64::NEG_INFINITY),
            (".5", 0.5),
            ("5.", 5.0),
            ("0x1F", 31.0),
            ("0x1p-2", 0.25),
        ] {
            assert_eq!(parse_float(text), Some(value), "{text}");
        }
        for text in ["", "x", "1x", "--1", "1e400", "0x", "1_000", "e5"] {
            assert_eq!(parse_float(text), None, "{text}");
        }
    }
}
