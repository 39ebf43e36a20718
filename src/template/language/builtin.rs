//! The functions that every template has.

use std::cmp::Ordering;
use std::sync::Arc;

use super::exec::OUTPUT_BYTES_MAX;
use super::function::{Function, Work};
use super::html::escape_html;
use super::print::own_text;
use super::printf::{sprint, sprint_pointed_to, sprintf, sprintln};
use super::value::{Param, UINT8, Value};

/// The functions that every template has.
pub(crate) const BUILTINS: &[Function] = &[
    Function { name: "and", params: &[Param::Any], rest: Some(Param::Any), work: Work::And },
    Function { name: "or", params: &[Param::Any], rest: Some(Param::Any), work: Work::Or },
    Function::new("not", &[Param::Any], |_, v| Ok(Value::Bool(!v[0].is_true()))),
    Function::variadic("eq", &[Param::Any], Param::Any, |_, v| eq(v).map(Value::Bool)),
    Function::new("ne", &[Param::Any, Param::Any], |_, v| Ok(Value::Bool(!equal(&v[0], &v[1])?))),
    Function::new("lt", &[Param::Any, Param::Any], |_, v| ordered(v, &[Ordering::Less])),
    Function::new("le", &[Param::Any, Param::Any], |_, v| ordered(v, &[Ordering::Less, Ordering::Equal])),
    Function::new("gt", &[Param::Any, Param::Any], |_, v| ordered(v, &[Ordering::Greater])),
    Function::new("ge", &[Param::Any, Param::Any], |_, v| ordered(v, &[Ordering::Greater, Ordering::Equal])),
    Function::new("len", &[Param::Any], |_, v| len(&v[0])),
    Function::variadic("index", &[Param::Any], Param::Any, |_, v| index(v)),
    Function::variadic("slice", &[Param::Any], Param::Any, |_, v| slice(v)),
    Function::variadic("print", &[], Param::Any, |_, v| sized(sprint(v))),
    Function::variadic("println", &[], Param::Any, |_, v| sized(sprintln(v))),
    Function::variadic("printf", &[Param::Str], Param::Any, |_, v| {
        sized(sprintf(v[0].as_str().unwrap_or_default(), &v[1..]))
    }),
    Function::variadic("html", &[], Param::Any, |_, v| sized(escape_html(&one_text(v)))),
    Function::variadic("js", &[], Param::Any, |_, v| sized(super::html::escape_js_text(&one_text(v)))),
    Function::variadic("urlquery", &[], Param::Any, |_, v| sized(query_escape(&one_text(v)))),
    Function::variadic("call", &[Param::Any], Param::Any, |_, v| {
        Err(format!("{} is not a function", v[0].with_article()))
    }),
];

/// A text that a function made, unless it is unreasonably long: doubling a text in a loop must not fill the memory.
fn sized(text: String) -> Result<Value, String> {
    if text.len() > OUTPUT_BYTES_MAX {
        return Err(format!("a text longer than {OUTPUT_BYTES_MAX} bytes"));
    }
    Ok(Value::str(text))
}

/// The values as one text.
pub(crate) fn one_text(values: &[Value]) -> String {
    match values {
        [Value::Str(text, _)] => text.to_string(),
        _ => {
            // Like printing it in place would.
            let shown = |value: &Value| match value {
                Value::Missing | Value::Nil => Value::str("<no value>"),
                other => other.clone(),
            };
            sprint_pointed_to(&values.iter().map(shown).collect::<Vec<_>>())
        }
    }
}

/// As a value in a query string: space is `+`, everything but letters, digits and `-_.~` is escaped.
pub fn query_escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Whether the first equals any of the others.
fn eq(values: &[Value]) -> Result<bool, String> {
    let Some((first, others)) = values.split_first() else { return Ok(false) };
    if others.is_empty() {
        return Err("`eq` compares at least two values".to_owned());
    }
    for other in others {
        if equal(first, other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn equal(a: &Value, b: &Value) -> Result<bool, String> {
    Ok(match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Float(a), Value::Float(b)) => a == b,
        (Value::Str(a, _), Value::Str(b, _)) => a == b,
        (Value::Int(..) | Value::Uint(..), Value::Int(..) | Value::Uint(..)) => whole(a) == whole(b),
        (Value::Missing | Value::Nil, Value::Missing | Value::Nil) => true,
        (Value::Missing | Value::Nil, other) | (other, Value::Missing | Value::Nil) => {
            matches!(other, Value::Map(map) if map.nil)
        }
        (Value::Map(a), Value::Map(b)) if a.nil || b.nil => a.nil == b.nil,
        (Value::Struct(a), Value::Struct(b)) if a.ty.is_pointer() && b.ty.is_pointer() => Arc::ptr_eq(a, b),
        (a, b) if is_record(a) && is_record(b) => return records_equal(a, b),
        (Value::List(_) | Value::Map(_), _) | (_, Value::List(_) | Value::Map(_)) => {
            let which = if matches!(a, Value::List(_) | Value::Map(_)) { a } else { b };
            return Err(format!("{} cannot be compared", which.with_article()));
        }
        _ => return Err(incompatible(a, b)),
    })
}

/// Whether it is made of fields: a time is, too.
fn is_record(value: &Value) -> bool {
    match value {
        Value::Struct(record) => !record.ty.is_pointer(),
        Value::Time(_) => true,
        _ => false,
    }
}

/// Records of different types differ; those that hold lists or maps cannot be asked.
fn records_equal(a: &Value, b: &Value) -> Result<bool, String> {
    if let Value::Struct(record) = b
        && record.fields.iter().any(|field| matches!(field, Value::List(_) | Value::Map(_)))
    {
        return Err(format!("{} cannot be compared", b.with_article()));
    }
    Ok(match (a, b) {
        (Value::Time(a), Value::Time(b)) => a.timestamp() == b.timestamp() && a.time_zone() == b.time_zone(),
        (Value::Struct(a), Value::Struct(b)) if std::ptr::eq(a.ty, b.ty) => {
            for (x, y) in a.fields.iter().zip(&b.fields) {
                if !equal(x, y)? {
                    return Ok(false);
                }
            }
            true
        }
        _ => false,
    })
}

/// The number of an integer of any type.
fn whole(value: &Value) -> i128 {
    match value {
        Value::Int(value, _) => i128::from(*value),
        Value::Uint(value, _) => i128::from(*value),
        _ => 0,
    }
}

fn incompatible(a: &Value, b: &Value) -> String {
    let mut text = format!("{} and {} cannot be compared", a.with_article(), b.with_article());
    let mixed = |x: &Value, y: &Value| matches!((x, y), (Value::Float(_), Value::Int(..)));
    if mixed(a, b) || mixed(b, a) {
        text.push_str("; write the number with a point, such as `80.0`");
    }
    text
}

fn ordered(values: &[Value], wanted: &[Ordering]) -> Result<Value, String> {
    let [a, b] = values else { return Err("two values are compared".to_owned()) };
    let order = match (a, b) {
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        (Value::Str(a, _), Value::Str(b, _)) => Some(a.cmp(b)),
        (Value::Int(..) | Value::Uint(..), Value::Int(..) | Value::Uint(..)) => Some(whole(a).cmp(&whole(b))),
        (Value::Bool(_), Value::Bool(_)) => return Err("a bool has no order".to_owned()),
        _ => return Err(incompatible(a, b)),
    };
    Ok(Value::Bool(order.is_some_and(|order| wanted.contains(&order))))
}

fn len(value: &Value) -> Result<Value, String> {
    let len = match value {
        Value::Str(text, _) => text.len(),
        Value::List(list) => list.items.len(),
        Value::Map(map) => map.entries.len(),
        other if other.is_nothing() => return Err("nothing has no length".to_owned()),
        other => return Err(format!("{} has no length", other.with_article())),
    };
    Ok(Value::int(i64::try_from(len).unwrap_or(i64::MAX)))
}

/// `index x 1 "a"` is `x[1]["a"]`.
fn index(values: &[Value]) -> Result<Value, String> {
    let Some((first, keys)) = values.split_first() else { return Ok(Value::Missing) };
    if first.is_nothing() {
        return Err("nothing cannot be indexed".to_owned());
    }
    let mut value = first.clone();
    for key in keys {
        value = match &value {
            Value::Map(map) => {
                let name = key.as_plain_str().ok_or_else(|| {
                    format!(
                        "{} is indexed by a string, not by {}",
                        values[0].with_article(),
                        key.with_article()
                    )
                })?;
                map.get(name)
            }
            Value::List(list) => list.items[position(key, list.items.len(), false)?].clone(),
            Value::Str(text, _) => {
                Value::Uint(u64::from(text.as_bytes()[position(key, text.len(), false)?]), &UINT8)
            }
            other if other.is_nothing() => return Err("nothing cannot be indexed".to_owned()),
            other => return Err(format!("{} cannot be indexed", other.with_article())),
        };
    }
    Ok(value)
}

/// An index as a position; `end` allows the one behind the last.
fn position(key: &Value, len: usize, end: bool) -> Result<usize, String> {
    let whole = match key {
        Value::Int(value, _) => usize::try_from(*value).ok(),
        Value::Uint(value, _) => usize::try_from(*value).ok(),
        other => return Err(format!("an index is an int, not {}", other.with_article())),
    };
    whole.filter(|position| *position < len + usize::from(end)).ok_or_else(|| {
        format!("index {} is out of range, there are {len}", sprint(std::slice::from_ref(key)))
    })
}

/// `slice x 1 2` is `x[1:2]`.
fn slice(values: &[Value]) -> Result<Value, String> {
    let Some((value, bounds)) = values.split_first() else { return Ok(Value::Missing) };
    let len = match value {
        Value::Str(text, _) => text.len(),
        Value::List(list) => list.items.len(),
        other => return Err(format!("{} cannot be sliced", other.with_article())),
    };
    if bounds.len() > 3 {
        return Err("`slice` takes at most three bounds".to_owned());
    }
    if bounds.len() == 3 && matches!(value, Value::Str(..)) {
        return Err("a string is sliced by two bounds at most".to_owned());
    }
    let mut at = [0, len, len];
    for (bound, at) in bounds.iter().zip(&mut at) {
        *at = position(bound, len, true)?;
    }
    let [start, end, _] = at;
    if start > end {
        return Err(format!("the slice would start at {start} and end at {end}"));
    }
    match value {
        Value::Str(text, _) => {
            // Go cuts between bytes; half a character is shown as a replacement.
            Ok(Value::str(String::from_utf8_lossy(&text.as_bytes()[start..end]).into_owned()))
        }
        Value::List(list) => Ok(Value::list(list.ty, list.items[start..end].to_vec())),
        other => Err(format!("{} cannot be sliced", other.with_article())),
    }
}

/// The text of a value as functions on texts see it.
pub(crate) fn text_of(value: &Value) -> String {
    match value {
        Value::Str(text, _) => text.to_string(),
        other => own_text(other).unwrap_or_else(|| sprint(std::slice::from_ref(other))),
    }
}
