//! Floats as Go prints them.

/// A float that is not negative, in the form of a verb: `e`, `f`, `g` or their capitals. `None` as precision: the
/// shortest text that reads back as the same number.
pub(crate) fn format_go_float(number: f64, verb: char, precision: Option<usize>) -> String {
    // No float has more digits than this behind its point; the standard library refuses larger precisions.
    let shown = precision.map(|precision| precision.min(DIGITS_MAX));
    let zeros = || "0".repeat(precision.unwrap_or(0).saturating_sub(DIGITS_MAX));
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return "Inf".to_owned();
    }
    match verb {
        'e' | 'E' => {
            with_exponent(&scientific(number, shown).replacen('e', &format!("{}e", zeros()), 1), verb)
        }
        'f' => match shown {
            Some(shown) => format!("{number:.shown$}{}", zeros()),
            None => format!("{number}"),
        },
        _ => general(number, if verb == 'G' { 'E' } else { 'e' }, shown),
    }
}

/// Digits and exponent: `1.25e-7` as Rust writes it.
fn scientific(number: f64, precision: Option<usize>) -> String {
    match precision {
        Some(precision) => format!("{number:.precision$e}"),
        None => format!("{number:e}"),
    }
}

/// With at least two digits in the exponent, and its sign.
fn with_exponent(text: &str, letter: char) -> String {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}{letter}{sign}{digits:0>2}")
}

/// `%g`: with an exponent if it is less than −4 or not less than the precision; the shortest form has a fixed border.
fn general(number: f64, letter: char, precision: Option<usize>) -> String {
    let digits_wanted = precision.map(|precision| precision.max(1));
    let text = scientific(number, digits_wanted.map(|digits| digits - 1));
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let mut digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    digits.truncate(digits.trim_end_matches('0').len().max(1));
    let border = match digits_wanted {
        None => SHORTEST_BORDER,
        Some(wanted) => i32::try_from(wanted).unwrap_or(i32::MAX),
    };
    if exponent < -4 || exponent >= border {
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        return with_exponent(&format!("{first}{point}{rest}e{exponent}"), letter);
    }
    let Ok(whole) = usize::try_from(exponent + 1) else {
        return format!("0.{}{digits}", "0".repeat(usize::try_from(-exponent - 1).unwrap_or(0)));
    };
    if whole == 0 {
        return format!("0.{digits}");
    }
    if digits.len() <= whole {
        return format!("{digits}{}", "0".repeat(whole - digits.len()));
    }
    format!("{}.{}", &digits[..whole], &digits[whole..])
}

/// From this exponent on the shortest form is written with an exponent.
const SHORTEST_BORDER: i32 = 6;

/// Digits that any float may need.
const DIGITS_MAX: usize = 1100;

/// The mantissa as a whole number and the exponent of two that goes with it.
fn decode(number: f64) -> (u64, i32) {
    let bits = number.to_bits();
    let exponent = i32::try_from(bits >> 52 & 0x7ff).unwrap_or(0);
    let fraction = bits & ((1 << 52) - 1);
    match exponent {
        0 => (fraction, -1074),
        _ => (fraction | 1 << 52, exponent - 1075),
    }
}

/// `%b`: `4503599627370496p-52`.
pub(crate) fn format_binary(number: f64) -> String {
    let (mantissa, exponent) = decode(number);
    format!("{mantissa}p{exponent:+}")
}

/// `%x`: `0x1.8p+01`.
pub(crate) fn format_hex(number: f64, verb: char, precision: Option<usize>) -> String {
    let (mantissa, exponent) = decode(number);
    let shift = mantissa.leading_zeros().saturating_sub(3);
    // One digit before the point, which is 1, and 15 behind it.
    let (mut mantissa, mut exponent) = match mantissa {
        0 => (0, 0),
        _ => (mantissa << shift, exponent + 60 - i32::try_from(shift).unwrap_or(0)),
    };
    if let Some(precision) = precision.filter(|precision| *precision < 15) {
        let bits = precision * 4;
        let rest = (mantissa << bits) & ((1 << 60) - 1);
        mantissa >>= 60 - bits;
        if rest | (mantissa & 1) > 1 << 59 {
            mantissa += 1;
        }
        mantissa <<= 60 - bits;
        if mantissa & (1 << 61) != 0 {
            mantissa >>= 1;
            exponent += 1;
        }
    }
    let digits = format!("{:015x}", mantissa & ((1 << 60) - 1));
    let digits = match precision {
        None => digits.trim_end_matches('0').to_owned(),
        Some(precision) if precision <= 15 => digits[..precision].to_owned(),
        Some(precision) => format!("{digits}{}", "0".repeat(precision - 15)),
    };
    let point = if digits.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    let text = format!("0x{}{point}{digits}p{sign}{:02}", mantissa >> 60, exponent.unsigned_abs());
    if verb == 'X' { text.to_uppercase() } else { text }
}

/// Whether every underscore stands between two digits, or between the prefix of a base and a digit.
pub(crate) fn underscores_separate(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let lower = text.to_ascii_lowercase();
    let based = ["0x", "0b", "0o"].iter().any(|prefix| lower.starts_with(prefix));
    let (mut digit_before, digits) = (based, if based { &lower[2..] } else { lower.as_str() });
    let hex = lower.starts_with("0x");
    let mut chars = digits.chars().peekable();
    while let Some(c) = chars.next() {
        let is_digit = |c: char| c.is_ascii_digit() || (hex && c.is_ascii_hexdigit());
        if c == '_' && !(digit_before && chars.peek().is_some_and(|next| is_digit(*next))) {
            return false;
        }
        digit_before = is_digit(c);
    }
    true
}

/// A float as Go reads it from a text. A number that no float can hold is none.
pub(crate) fn parse_go_float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let lower = unsigned.to_ascii_lowercase();
    if matches!(lower.as_str(), "inf" | "infinity" | "nan") {
        let signed_nan = lower == "nan" && unsigned.len() != text.len();
        return if signed_nan { None } else { model::parse_float(text) };
    }
    let hex = lower.starts_with("0x");
    if !underscores_separate(text)
        || (hex && !lower.contains('p'))
        || !lower.contains(|c: char| c.is_ascii_digit())
    {
        return None;
    }
    if !hex && !lower.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'+' | b'-' | b'_')) {
        return None;
    }
    model::parse_float(&text.replace('_', "")).filter(|number| number.is_finite())
}
