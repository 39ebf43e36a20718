//! Numbers as the text formats write them.

/// A sample value, timestamp or bucket bound: decimal, `Inf`, `NaN` in any case. No hexadecimal, no underscores; a number
/// too large for 64 bits is not a number.
pub(crate) fn parse_number(text: &str) -> Option<f64> {
    let decimal = |b: u8| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-');
    if text.bytes().all(decimal) {
        return text.parse::<f64>().ok().filter(|value| value.is_finite());
    }
    if text.eq_ignore_ascii_case("nan") {
        return Some(f64::NAN);
    }
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let infinite = digits.eq_ignore_ascii_case("inf") || digits.eq_ignore_ascii_case("infinity");
    infinite.then_some(if negative { f64::NEG_INFINITY } else { f64::INFINITY })
}

/// The shortest text that reads back as `value`; with an exponent from a million up and below a ten-thousandth:
/// `0.25`, `1e+06`, `NaN`, `+Inf`.
pub(crate) fn format_number(value: f64) -> String {
    if !value.is_finite() {
        return model::format_float(value);
    }
    let text = format!("{value:e}");
    let exponent = text.split_once('e').and_then(|(_, e)| e.parse::<i32>().ok()).unwrap_or(0);
    if (-4..6).contains(&exponent) { format!("{value}") } else { model::format_float_exponent(value) }
}

/// The same, and never to be mistaken for an integer: `1.0`, as OpenMetrics and the identity of series want it.
pub(crate) fn format_float_always(value: f64) -> String {
    let mut text = format_number(value);
    if value.is_finite() && !text.contains(['.', 'e']) {
        text.push_str(".0");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads() {
        for (text, value) in [
            ("0", 0.0),
            ("-1.5E3", -1500.0),
            ("1.", 1.0),
            (".5", 0.5),
            ("+Inf", f64::INFINITY),
            ("-infinity", f64::NEG_INFINITY),
            ("0001", 1.0),
            ("1e-400", 0.0),
        ] {
            assert_eq!(parse_number(text), Some(value), "{text}");
        }
        assert!(parse_number("nAn").is_some_and(|value| value.is_nan() && !model::is_stale(value)));
        for text in [
            "", ".", "-", "e1", "1_0", "0x1", "0x1p2", "0b1", "1e400", "+nan", "--1", "infin", "1 ",
            "\u{0661}",
        ] {
            assert_eq!(parse_number(text), None, "{text:?}");
        }
    }

    #[test]
    fn writes() {
        for (value, plain, float) in [
            (0.0, "0", "0.0"),
            (-0.0, "-0", "-0.0"),
            (1.0, "1", "1.0"),
            (0.25, "0.25", "0.25"),
            (100_000.0, "100000", "100000.0"),
            (1e6, "1e+06", "1e+06"),
            (1_234_567.5, "1.2345675e+06", "1.2345675e+06"),
            (0.0001, "0.0001", "0.0001"),
            (0.00001, "1e-05", "1e-05"),
            (f64::INFINITY, "+Inf", "+Inf"),
            (f64::NEG_INFINITY, "-Inf", "-Inf"),
            (f64::NAN, "NaN", "NaN"),
        ] {
            assert_eq!(format_number(value), plain);
            assert_eq!(format_float_always(value), float);
        }
    }
}
