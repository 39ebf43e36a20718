//! Floats as Go prints them.

/// A float that is not negative, in the form of a verb: `e`, `f`, `g` or their capitals. `None` as precision: the
/// shortest text that reads back as the same number. `sharp` keeps zeros behind the point.
pub(crate) fn format_go_float(number: f64, verb: char, precision: Option<usize>, sharp: bool) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return "Inf".to_owned();
    }
    match verb {
        'e' | 'E' => with_exponent(&scientific(number, precision), verb),
        'f' => match precision {
            Some(precision) => format!("{number:.precision$}"),
            None => format!("{number}"),
        },
        _ => general(number, if verb == 'G' { 'E' } else { 'e' }, precision, sharp),
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
fn general(number: f64, letter: char, precision: Option<usize>, sharp: bool) -> String {
    let digits_wanted = precision.map(|precision| precision.max(1));
    let text = scientific(number, digits_wanted.map(|digits| digits - 1));
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let mut digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    if sharp {
        let wanted = digits_wanted.unwrap_or(6);
        digits.push_str(&"0".repeat(wanted.saturating_sub(digits.len())));
    } else {
        digits.truncate(digits.trim_end_matches('0').len().max(1));
    }
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
