//! Values as JSON, as Go writes it: keys of maps sorted, `<`, `>` and `&` escaped.

use super::print::own_text;
use super::value::Value;

/// The JSON of a value; an error if it holds a number that JSON does not have.
pub(crate) fn to_json(value: &Value) -> Result<String, String> {
    let mut out = String::new();
    write(value, &mut out)?;
    Ok(out)
}

fn write(value: &Value, out: &mut String) -> Result<(), String> {
    match value {
        Value::Missing | Value::Nil => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int(value, _) => out.push_str(&value.to_string()),
        Value::Uint(value, _) => out.push_str(&value.to_string()),
        Value::Float(value) => out.push_str(&float(*value)?),
        Value::Str(text, _) => quote(text, out),
        Value::List(list) => {
            out.push('[');
            for (i, item) in list.items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write(item, out)?;
            }
            out.push(']');
        }
        Value::Map(map) if map.nil => out.push_str("null"),
        Value::Map(map) => object(map.entries.iter().map(|(name, value)| (name.as_str(), value)), out)?,
        Value::Struct(structure) => {
            let names = structure.ty.fields.iter().map(|(_, json)| *json);
            object(names.zip(&structure.fields), out)?;
        }
        Value::Time(_) => quote(&super::time::format_time(value, "2006-01-02T15:04:05.999999999Z07:00"), out),
        Value::Histogram(_) => quote(&own_text(value).unwrap_or_default(), out),
    }
    Ok(())
}

fn object<'a>(entries: impl Iterator<Item = (&'a str, &'a Value)>, out: &mut String) -> Result<(), String> {
    out.push('{');
    for (i, (name, value)) in entries.enumerate() {
        if i > 0 {
            out.push(',');
        }
        quote(name, out);
        out.push(':');
        write(value, out)?;
    }
    out.push('}');
    Ok(())
}

fn float(value: f64) -> Result<String, String> {
    if !value.is_finite() {
        return Err(format!("JSON has no number {}", model::format_float(value)));
    }
    let size = value.abs();
    if size == 0.0 || (1e-6..1e21).contains(&size) {
        return Ok(format!("{value}"));
    }
    // `1e-9`, `1e+21`: a sign, and no zero before the exponent.
    let text = format!("{value:e}");
    Ok(if text.contains("e-") { text } else { text.replace('e', "e+") })
}

/// A text as a JSON string that is safe inside of HTML.
pub(crate) fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
}
