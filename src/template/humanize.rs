//! Numbers for people: `1.235M`, `2h 5m 0s`, `12.5%`.

use model::Timestamp;

use crate::language::float::parse_go_float;
use crate::language::printf::sprintf;
use crate::language::time::{DURATION, time};
use crate::language::value::{UINT64, Value};

/// The number that a value is, or that its text shows. Durations count in seconds.
pub(crate) fn number(value: &Value) -> Result<f64, String> {
    match value {
        Value::Float(number) => Ok(*number),
        Value::Int(nanos, ty) if std::ptr::eq(*ty, &DURATION) => Ok(*nanos as f64 / 1e9),
        Value::Int(number, ty) if ["int", "int64"].contains(&ty.name) => Ok(*number as f64),
        Value::Uint(number, ty) if ty.name == UINT64.name => Ok(*number as f64),
        Value::Str(text, _) if value.as_plain_str().is_some() => {
            parse_go_float(text).ok_or_else(|| format!("`{text}` is not a number"))
        }
        other if other.is_nothing() => Err("nothing is not a number".to_owned()),
        other => Err(format!("{} is not a number", other.with_article())),
    }
}

/// Four significant digits.
fn short(number: f64) -> String {
    sprintf("%.4g", &[Value::Float(number)])
}

/// Divides by `step` while the number is large; the number left and the prefix of its size.
fn scale_down(number: f64, step: f64, prefixes: &[&'static str]) -> (f64, &'static str) {
    let (mut number, mut prefix) = (number, "");
    for next in prefixes {
        if number.abs() < step {
            break;
        }
        (number, prefix) = (number / step, next);
    }
    (number, prefix)
}

/// Multiplies by a thousand while the number is less than one.
fn scale_up(number: f64) -> (f64, &'static str) {
    let (mut number, mut prefix) = (number, "");
    for next in ["m", "u", "n", "p", "f", "a", "z", "y"] {
        if number.abs() >= 1.0 {
            break;
        }
        (number, prefix) = (number * 1000.0, next);
    }
    (number, prefix)
}

/// With a metric prefix: `1.235M`, `120m`.
pub(crate) fn humanize(number: f64) -> String {
    if number == 0.0 || !number.is_finite() {
        return short(number);
    }
    let (number, prefix) = match number.abs() >= 1.0 {
        true => scale_down(number, 1000.0, &["k", "M", "G", "T", "P", "E", "Z", "Y"]),
        false => scale_up(number),
    };
    format!("{}{prefix}", short(number))
}

/// With a binary prefix: `1.177Mi`.
pub(crate) fn humanize1024(number: f64) -> String {
    if number.abs() <= 1.0 || !number.is_finite() {
        return short(number);
    }
    let prefixes = ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];
    let (number, prefix) = scale_down(number, 1024.0, &prefixes);
    format!("{}{prefix}", short(number))
}

/// Seconds as days to seconds, or with a prefix below one second.
pub(crate) fn humanize_duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return short(seconds);
    }
    if seconds != 0.0 && seconds.abs() < 1.0 {
        let (number, prefix) = scale_up(seconds);
        return format!("{}{prefix}s", short(number));
    }
    let sign = if seconds < 0.0 { "-" } else { "" };
    // More than 64 bits hold is the lowest number in Go, and is shown as such.
    let whole = if seconds.abs() < i64::MAX as f64 { seconds.abs() as i64 } else { i64::MIN };
    let (days, hours, minutes) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60);
    let text = match (days, hours, minutes) {
        (0, 0, 0) => format!("{}s", short(seconds.abs())),
        (0, 0, minutes) => format!("{minutes}m {}s", whole % 60),
        (0, hours, minutes) => format!("{hours}h {minutes}m {}s", whole % 60),
        (days, hours, minutes) => format!("{days}d {hours}h {minutes}m {}s", whole % 60),
    };
    format!("{sign}{text}")
}

/// A ratio as a percentage.
pub(crate) fn humanize_percentage(ratio: f64) -> String {
    format!("{}%", short(ratio * 100.0))
}

/// Seconds since the epoch as a time; `None` if it is not a number or infinite.
pub(crate) fn seconds_to_time(seconds: f64) -> Result<Option<Value>, String> {
    if !seconds.is_finite() {
        return Ok(None);
    }
    let nanos = seconds * 1e9;
    if nanos >= i64::MAX as f64 || nanos <= i64::MIN as f64 {
        return Err(format!("{seconds:e} seconds is too far away for a time"));
    }
    Ok(Some(time(Timestamp::from_millis((nanos as i64).div_euclid(1_000_000)))))
}

/// Seconds since the epoch as a date and time in UTC.
pub(crate) fn humanize_timestamp(seconds: f64) -> Result<String, String> {
    Ok(match seconds_to_time(seconds)? {
        Some(time) => crate::language::printf::sprint(&[time]),
        None => short(seconds),
    })
}
