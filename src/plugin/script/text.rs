//! Text: joining, cutting, encoding, people's forms of numbers and times.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::fmt::strtime;
use rhai::{Array, Dynamic, Engine, EvalAltResult, INT, ImmutableString};
use sha2::{Digest, Sha256};

use super::convert::{number, parse_json, seconds, to_json, to_text};
use super::fault::throw;
use super::running::room_for;
use crate::ErrorKind;
use crate::host::hex;

type Outcome<T> = Result<T, Box<EvalAltResult>>;

pub(super) fn register(engine: &mut Engine) {
    engine
        .register_fn("join", |array: &mut Array, between: &str| join(array, between))
        .register_fn("join", |array: &mut Array| join(array, ""))
        .register_fn("truncate", |text: ImmutableString, max: INT| truncate(&text, max))
        .register_fn("parse_json", |text: &str| parse_json(text))
        .register_fn("to_json", |value: Dynamic| Ok::<_, Box<EvalAltResult>>(to_json(&value)?.to_string()))
        .register_fn("url_encode", |text: &str| url_encode(text))
        .register_fn("base64", |text: &str| {
            room_for(text.len() / 3 * 4 + 4)?;
            Ok::<_, Box<EvalAltResult>>(BASE64.encode(text))
        })
        .register_fn("sha256", |text: &str| hex(&Sha256::digest(text.as_bytes())))
        .register_fn("seconds", |length: Dynamic| {
            Ok::<_, Box<EvalAltResult>>(seconds(&length)?.as_secs_f64())
        })
        .register_fn("human_duration", |length: Dynamic| {
            Ok::<_, Box<EvalAltResult>>(human_duration(number(&length)?))
        })
        .register_fn("human_bytes", |count: Dynamic| {
            Ok::<_, Box<EvalAltResult>>(human_bytes(number(&count)?))
        })
        .register_fn("format_time", |at: Dynamic, format: &str| format_time(number(&at)?, format));
}

fn join(array: &Array, between: &str) -> Outcome<String> {
    let mut out = String::new();
    for (index, item) in array.iter().enumerate() {
        if index > 0 {
            out.push_str(between);
        }
        let text = to_text(item);
        // A text doubles when it grows.
        if out.len() + text.len() + between.len() > out.capacity() {
            room_for(2 * (out.len() + text.len() + between.len()))?;
        }
        out.push_str(&text);
    }
    Ok(out)
}

/// At most `max` characters; what was cut leaves `…`.
fn truncate(text: &str, max: INT) -> String {
    let max = usize::try_from(max).unwrap_or(0);
    match text.char_indices().nth(max) {
        None => text.to_owned(),
        Some(_) if max == 0 => String::new(),
        Some(_) => {
            let end = text.char_indices().nth(max - 1).map_or(0, |(at, _)| at);
            format!("{}…", &text[..end])
        }
    }
}

/// Everything but letters, digits and `-._~` as `%XX`.
fn url_encode(text: &str) -> Outcome<String> {
    room_for(text.len().saturating_mul(3))?;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push_str(&hex(&[byte]).to_ascii_uppercase());
        }
    }
    Ok(out)
}

/// `2d 3h`, `10m 5s`, `4.2s`, `15ms`: the two largest units.
pub(super) fn human_duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return seconds.to_string();
    }
    let (sign, seconds) = if seconds < 0.0 { ("-", -seconds) } else { ("", seconds) };
    if seconds == 0.0 {
        return "0s".to_owned();
    }
    if seconds < 1.0 {
        return format!("{sign}{}ms", round_1(seconds * 1000.0));
    }
    if seconds < 60.0 {
        return format!("{sign}{}s", round_1(seconds));
    }
    let whole = seconds.round() as u64;
    let units = [("d", whole / 86_400), ("h", whole / 3600 % 24), ("m", whole / 60 % 60), ("s", whole % 60)];
    let first = units.iter().position(|(_, count)| *count > 0).unwrap_or(3);
    let shown: Vec<String> = units[first..]
        .iter()
        .take(2)
        .filter(|(_, count)| *count > 0)
        .map(|(unit, count)| format!("{count}{unit}"))
        .collect();
    format!("{sign}{}", shown.join(" "))
}

/// `1.5 KiB`.
pub(super) fn human_bytes(count: f64) -> String {
    let mut value = count;
    for unit in ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] {
        if value.abs() < 1024.0 || !value.is_finite() {
            return format!("{} {unit}", round_1(value));
        }
        value /= 1024.0;
    }
    format!("{} EiB", round_1(value))
}

fn round_1(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// UTC, in the letters of `strftime`.
fn format_time(seconds: f64, format: &str) -> Outcome<String> {
    let wrong = |problem: String| throw(ErrorKind::Permanent, problem);
    if format.len() > 256 {
        return Err(wrong("the format of a time is longer than 256 bytes".to_owned()));
    }
    let millis = (seconds * 1000.0).round();
    let at = jiff::Timestamp::from_millisecond(millis as i64)
        .map_err(|problem| wrong(format!("{seconds} is not a time: {problem}")))?;
    strtime::format(format, at)
        .map_err(|problem| wrong(format!("`{format}` is not the format of a time: {problem}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn for_people() {
        for (seconds, expected) in [
            (0.0, "0s"),
            (0.0152, "15.2ms"),
            (4.25, "4.3s"),
            (605.0, "10m 5s"),
            (3600.0, "1h"),
            (183_600.0, "2d 3h"),
            (86_405.0, "1d"),
            (-90.0, "-1m 30s"),
        ] {
            assert_eq!(human_duration(seconds), expected);
        }
        assert_eq!(human_bytes(1536.0), "1.5 KiB");
        assert_eq!(human_bytes(10.0), "10 B");
        assert_eq!(format_time(1_700_000_000.0, "%Y-%m-%d %H:%M").unwrap(), "2023-11-14 22:13");
        assert!(format_time(f64::MAX, "%Y").is_err());
    }

    #[test]
    fn cuts_between_characters() {
        assert_eq!(truncate("héllo", 5), "héllo");
        assert_eq!(truncate("héllo", 3), "hé…");
        assert_eq!(truncate("héllo", 0), "");
        assert_eq!(truncate("héllo", -1), "");
    }
}
