//! The functions of messages.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use crate::case::{title_words, to_lower, to_upper};
use crate::humanize::{humanize_duration, number};
use crate::language::Library;
use crate::language::builtin::text_of;
use crate::language::exec::Executor;
use crate::language::function::{Dialect, Function};
use crate::language::json::to_json;
use crate::language::time::{ZERO_TIME_MILLIS, duration, format_time, in_zone, parse_time, time};
use crate::language::value::{ANY_LIST, ANY_MAP, HTML, Param, URL, Value};
use crate::rule_functions::{matches, replace_all};

/// The functions of messages, besides the built-in ones.
pub(crate) const NOTIFICATION_FUNCTIONS: &[Function] = &[
    Function::new("toUpper", &[Param::Str], |_, v| Ok(Value::str(to_upper(&text_of(&v[0]))))),
    Function::new("toLower", &[Param::Str], |_, v| Ok(Value::str(to_lower(&text_of(&v[0]))))),
    Function::new("title", &[Param::Str], |_, v| Ok(Value::str(title_words(&text_of(&v[0]))))),
    Function::new("trimSpace", &[Param::Str], |_, v| Ok(Value::str(text_of(&v[0]).trim()))),
    Function::new("join", &[Param::Str, Param::Strings], |_, v| {
        Ok(Value::str(v[1].as_strings().unwrap_or_default().join(&text_of(&v[0]))))
    }),
    Function::new("match", &[Param::Str, Param::Str], |_, v| matches(&v[0], &v[1])),
    Function::new("safeHtml", &[Param::Str], |_, v| Ok(Value::Str(text_of(&v[0]).into(), &HTML))),
    Function::new("safeUrl", &[Param::Str], |_, v| Ok(Value::Str(text_of(&v[0]).into(), &URL))),
    Function::new("urlUnescape", &[Param::Str], |_, v| url_unescape(&text_of(&v[0])).map(Value::str)),
    Function::new("reReplaceAll", &[Param::Str, Param::Str, Param::Str], |_, v| {
        replace_all(&v[0], &v[1], &v[2])
    }),
    Function::variadic("stringSlice", &[], Param::Str, |_, v| Ok(Value::strings(v.iter().map(text_of)))),
    Function::new("date", &[Param::Str, Param::Time], |_, v| {
        Ok(Value::str(format_time(&v[1], &text_of(&v[0]))))
    }),
    Function::new("tz", &[Param::Str, Param::Time], |_, v| {
        zone(&text_of(&v[0])).map(|zone| in_zone(&v[1], zone))
    }),
    Function::new("now", &[], |executor, _| Ok(time(executor.world.now))),
    Function::new("since", &[Param::Time], |executor, v| Ok(since(executor, &v[0]))),
    Function::new("humanizeDuration", &[Param::Any], |_, v| {
        Ok(Value::str(humanize_duration(number(&v[0])?)))
    }),
    Function::new("toDate", &[Param::Str, Param::Str], |_, v| {
        let zero = time(model::Timestamp::from_millis(ZERO_TIME_MILLIS));
        Ok(parse_time(&text_of(&v[0]), &text_of(&v[1])).unwrap_or(zero))
    }),
    Function::new("mustToDate", &[Param::Str, Param::Str], |_, v| {
        parse_time(&text_of(&v[0]), &text_of(&v[1]))
    }),
    Function::new("toJson", &[Param::Any], |_, v| to_json(&v[0]).map(Value::str)),
    Function::variadic("list", &[], Param::Any, |_, v| Ok(Value::list(&ANY_LIST, v.to_vec()))),
    Function::variadic("append", &[Param::AnyList], Param::Any, |_, v| append(v)),
    Function::variadic("dict", &[], Param::Any, |_, v| dict(v)),
    Function::new("base64encode", &[Param::Str], |_, v| {
        Ok(Value::str(base64_encode(text_of(&v[0]).as_bytes())))
    }),
    Function::new("base64decode", &[Param::Str], |_, v| base64_decode(&text_of(&v[0])).map(Value::str)),
    Function::new("routeLabels", &[Param::Str], |executor, v| route_label(executor, &text_of(&v[0]))),
];

/// A query string's value: `+` is a space, `%` and two digits a byte.
fn url_unescape(text: &str) -> Result<String, String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let mut digit = || bytes.next().and_then(|b| char::from(b).to_digit(16));
                let (high, low) = (digit(), digit());
                let code = high.zip(low).and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
                out.push(code.ok_or_else(|| format!("`{text}` is not escaped as in a URL"))?);
            }
            _ => out.push(byte),
        }
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

fn zone(name: &str) -> Result<TimeZone, String> {
    match name {
        // Without a name, and as `Local`: the server's zone must not change what a template says.
        "" | "UTC" | "Local" => Ok(TimeZone::UTC),
        _ => TimeZone::get(name)
            .map_err(|_| format!("there is no time zone `{name}`; write one like `Europe/Berlin`")),
    }
}

fn since(executor: &Executor<'_, '_>, at: &Value) -> Value {
    let now = i128::from(executor.world.now.as_millis()) * 1_000_000;
    match at {
        Value::Time(at) => duration(now - at.timestamp().as_nanosecond()),
        _ => duration(0),
    }
}

fn append(values: &[Value]) -> Result<Value, String> {
    let Some((first, more)) = values.split_first() else { return Ok(Value::Missing) };
    match first {
        Value::List(list) => {
            let items = list.items.iter().chain(more).cloned().collect();
            Ok(Value::list(&ANY_LIST, items))
        }
        other if other.is_nothing() => Ok(Value::list(&ANY_LIST, more.to_vec())),
        other => Err(format!("expected a list to append to, got {}", other.type_name())),
    }
}

fn dict(values: &[Value]) -> Result<Value, String> {
    if !values.len().is_multiple_of(2) {
        return Err("`dict` takes names and values in turn; the last value is missing".to_owned());
    }
    let mut entries = BTreeMap::new();
    for pair in values.chunks_exact(2) {
        let name = pair[0]
            .as_plain_str()
            .ok_or_else(|| format!("a name is a string, not {}", pair[0].with_article()))?;
        entries.insert(name.to_owned(), pair[1].clone());
    }
    Ok(Value::map(&ANY_MAP, entries))
}

/// The alphabet that is safe in URLs.
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn base64_encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word =
            chunk.iter().chain([0, 0].iter()).take(3).fold(0u32, |word, byte| word << 8 | u32::from(*byte));
        for i in 0..4usize {
            if i <= chunk.len() {
                let index = (word >> (18 - 6 * i)) & 63;
                out.push(char::from(BASE64[index as usize]));
            } else {
                out.push('=');
            }
        }
    }
    out
}

fn base64_decode(text: &str) -> Result<String, String> {
    let wrong = || format!("`{text}` is not base64 with the alphabet of URLs");
    let clean: Vec<u8> = text.bytes().filter(|b| !matches!(b, b'\r' | b'\n')).collect();
    if !clean.len().is_multiple_of(4) {
        return Err(wrong());
    }
    let padding = clean.iter().rev().take_while(|b| **b == b'=').count();
    if padding > 2 {
        return Err(wrong());
    }
    let mut out = Vec::with_capacity(clean.len() / 4 * 3);
    for chunk in clean[..clean.len() - padding].chunks(4) {
        let mut word = 0u32;
        for byte in chunk {
            let index = BASE64.iter().position(|known| known == byte).ok_or_else(wrong)?;
            word = word << 6 | index as u32;
        }
        word <<= 6 * (4 - chunk.len());
        let bytes = word.to_be_bytes();
        out.extend_from_slice(&bytes[1..chunk.len()]);
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// A label of the route, its own template filled in unless that was done before.
fn route_label(executor: &mut Executor<'_, '_>, name: &str) -> Result<Value, String> {
    let Some((labels, rendered)) = executor.world.route_labels else { return Ok(Value::str("")) };
    let Some(text) = labels.get(name) else { return Ok(Value::str("")) };
    if rendered || !text.contains("{{") {
        return Ok(Value::str(text.as_str()));
    }
    let mut library = Library::default();
    let source = format!("route label {name}");
    let template =
        library.read(&source, text, Dialect::Notifications, &[]).map_err(|error| error.to_string())?;
    let data = executor.root().clone();
    executor.run_text(&template, data).map(Value::str)
}
