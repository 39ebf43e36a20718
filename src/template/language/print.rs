//! One value as a verb of formatted printing shows it.
//!
//! Source: the documentation of Go's package `fmt`. A type's own text is shown by `%v %s %q %x %X`; everything else sees
//! what the value is made of.

use super::exec::OUTPUT_BYTES_MAX;
use super::float::{format_binary, format_go_float, format_hex};
use super::value::{Type, Value};

/// How one value is printed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spec {
    pub(crate) verb: char,
    pub(crate) plus: bool,
    pub(crate) minus: bool,
    pub(crate) sharp: bool,
    pub(crate) space: bool,
    pub(crate) zero: bool,
    /// `%+v`: fields of structs show their names.
    pub(crate) names: bool,
    /// `%#v`: as Go would write the value.
    pub(crate) syntax: bool,
    pub(crate) width: Option<usize>,
    pub(crate) precision: Option<usize>,
    /// A pointer is shown as what it points to.
    pub(crate) pointed_to: bool,
    /// Inside of a text about a mistake: types do not show texts of their own.
    pub(crate) mistaken: bool,
    /// An element of another value.
    pub(crate) inner: bool,
}

impl Spec {
    pub(crate) fn of(verb: char) -> Self {
        Spec { verb, ..Spec::default() }
    }
}

/// One value.
pub(crate) fn print(value: &Value, spec: &Spec, out: &mut String) {
    // Wide formats of long lists: what is too long anyway is not made longer.
    if out.len() > OUTPUT_BYTES_MAX {
        return;
    }
    if !spec.inner && spec.verb == 'T' {
        let name = if value.is_nothing() { "<nil>" } else { value.type_name() };
        let name = if value.is_nothing() { name.to_owned() } else { cut(name, spec) };
        return pad(&name, spec, out);
    }
    if value.is_nothing() {
        return nothing(spec, out);
    }
    if !spec.inner && spec.verb == 'p' {
        return address(value, spec, out);
    }
    if !spec.mistaken && own_text(value).is_some() && spec.verb == 'w' {
        return bad_verb(value, spec, out);
    }
    if !spec.mistaken && shows_own(value, spec, out) {
        return;
    }
    match value {
        Value::Missing | Value::Nil => {}
        Value::Bool(b) => match spec.verb {
            't' | 'v' => pad(if *b { "true" } else { "false" }, spec, out),
            _ => bad_verb(value, spec, out),
        },
        Value::Int(number, _) => integer(value, *number < 0, number.unsigned_abs(), spec, out),
        Value::Uint(number, _) => integer(value, false, *number, spec, out),
        Value::Float(number) => float(value, *number, spec, out),
        Value::Str(text, _) => text_value(value, text, spec, out),
        Value::List(_) | Value::Map(_) | Value::Struct(_)
            if matches!(spec.verb, 'w') && !spec.mistaken && !spec.inner =>
        {
            bad_verb(value, spec, out);
        }
        Value::List(list) => {
            let items = list.items.iter().map(|item| (None, item));
            sequence(value, ["[", "]"], items, spec, out);
        }
        Value::Map(map) if map.nil && spec.syntax => out.push_str(&format!("{}(nil)", map.ty.name)),
        Value::Map(map) => {
            let names: Vec<Value> = map.entries.keys().map(|name| Value::str(name.as_str())).collect();
            let entries = names.iter().map(Some).zip(map.entries.values());
            sequence(value, ["map[", "]"], entries, spec, out);
        }
        Value::Struct(structure) => {
            // A pointer shows what it points to at the top.
            if structure.ty.name.starts_with('*') && !spec.inner && !spec.pointed_to {
                out.push('&');
            }
            let names: Vec<Value> = structure.ty.fields.iter().map(|(name, _)| Value::str(*name)).collect();
            let fields = structure.fields.iter().enumerate().map(|(i, field)| (names.get(i), field));
            sequence(value, ["{", "}"], fields, spec, out);
        }
        Value::Time(time) => {
            let (wall, seconds) = super::time::parts(time);
            out.push('{');
            let spec = Spec { inner: true, ..spec.clone() };
            print(&Value::uint(wall), &spec, out);
            out.push(' ');
            print(&super::time::int64(seconds), &spec, out);
            out.push(' ');
            no_zone(&spec, out);
            out.push('}');
        }
        Value::Histogram(_) => bad_verb(value, spec, out),
    }
}

/// Where a value lies, which only lists, maps and pointers say. Any number does; it must not differ from run to run.
fn address(value: &Value, spec: &Spec, out: &mut String) {
    match value {
        Value::List(_) | Value::Map(_) => {}
        Value::Struct(record) if record.ty.is_pointer() => {}
        _ => return bad_verb(value, spec, out),
    }
    let spec = Spec { verb: 'x', sharp: !spec.sharp, ..spec.clone() };
    integer(value, false, 0xc0_0000_0000, &spec, out);
}

/// Nothing: at the top a mistake for most verbs, inside of other values always `<nil>`.
fn nothing(spec: &Spec, out: &mut String) {
    match spec.verb {
        _ if spec.inner && spec.syntax => out.push_str("interface {}(nil)"),
        _ if spec.inner => out.push_str("<nil>"),
        'v' => pad("<nil>", spec, out),
        _ => out.push_str(&format!("%!{}(<nil>)", spec.verb)),
    }
}

/// The text of a type that has one of its own. Whether it was shown.
fn shows_own(value: &Value, spec: &Spec, out: &mut String) -> bool {
    if spec.syntax {
        let Value::Time(time) = value else { return false };
        pad(&cut(&super::time::go_syntax(time), spec), spec, out);
        return true;
    }
    let verb_shows = matches!(spec.verb, 'v' | 's' | 'x' | 'X' | 'q');
    let Some(text) = verb_shows.then(|| own_text(value)).flatten() else { return false };
    text_value(value, &text, spec, out);
    true
}

/// The zone of a time in UTC, which is no pointer to one.
fn no_zone(spec: &Spec, out: &mut String) {
    match spec.verb {
        'v' => pad("<nil>", spec, out),
        'b' | 'o' | 'd' | 'x' | 'X' => integer(&Value::Nil, false, 0, spec, out),
        'p' => pad("0x0", spec, out),
        _ => {
            let mut text = String::new();
            pad("<nil>", spec, &mut text);
            out.push_str(&format!("%!{}(*time.Location={text})", spec.verb));
        }
    }
}

/// Elements of a list, a map or a struct, each with the name it may have.
fn sequence<'a>(
    value: &Value,
    ends: [&str; 2],
    items: impl Iterator<Item = (Option<&'a Value>, &'a Value)>,
    spec: &Spec,
    out: &mut String,
) {
    let is_struct = matches!(value, Value::Struct(_));
    let named = !is_struct || spec.names || spec.syntax;
    let inner = Spec { inner: true, ..spec.clone() };
    if spec.syntax {
        out.push_str(value.type_name().trim_start_matches('*'));
    }
    out.push_str(if spec.syntax { "{" } else { ends[0] });
    for (i, (name, item)) in items.enumerate() {
        if i > 0 {
            out.push_str(if spec.syntax { ", " } else { " " });
        }
        if let Some(name) = name.filter(|_| named) {
            match name {
                // The names of fields are not values.
                Value::Str(name, _) if is_struct => out.push_str(name),
                name => print(name, &inner, out),
            }
            out.push(':');
        }
        print(item, &inner, out);
    }
    out.push_str(if spec.syntax { "}" } else { ends[1] });
}

/// `type=value`, as in the texts about mistakes.
pub(crate) fn typed(value: &Value, spec: &Spec, out: &mut String) {
    if value.is_nothing() {
        out.push_str("<nil>");
        return;
    }
    out.push_str(value.type_name());
    out.push('=');
    print(value, &Spec { verb: 'v', inner: false, ..spec.clone() }, out);
}

/// The verb cannot print the value. Flags and sizes stay in force for what is said about it.
fn bad_verb(value: &Value, spec: &Spec, out: &mut String) {
    out.push_str(&format!("%!{}(", spec.verb));
    typed(value, &Spec { mistaken: true, ..spec.clone() }, out);
    out.push(')');
}

/// The text that a value of a type with a text of its own shows.
pub(crate) fn own_text(value: &Value) -> Option<String> {
    match value {
        Value::Histogram(histogram) => Some(histogram.to_string()),
        _ => value.named_type().and_then(|ty: &Type| ty.text).map(|text| text(value)),
    }
}

/// As much of a text as the precision allows.
fn cut(text: &str, spec: &Spec) -> String {
    match spec.precision {
        Some(precision) => text.chars().take(precision).collect(),
        None => text.to_owned(),
    }
}

fn text_value(value: &Value, text: &str, spec: &Spec, out: &mut String) {
    match spec.verb {
        'v' if spec.syntax => pad(&quote(&cut(text, spec), false), spec, out),
        'v' | 's' => pad(&cut(text, spec), spec, out),
        'q' => {
            let text = cut(text, spec);
            let raw = spec.sharp && !text.contains(|c: char| c == '`' || c == '\u{feff}' || is_control(c));
            pad(&if raw { format!("`{text}`") } else { quote(&text, spec.plus) }, spec, out);
        }
        'x' | 'X' => {
            let bytes = text.as_bytes();
            let bytes = &bytes[..spec.precision.map_or(bytes.len(), |p| p.min(bytes.len()))];
            let mut hex = String::new();
            for (i, byte) in bytes.iter().enumerate() {
                if spec.space && i > 0 {
                    hex.push(' ');
                }
                if spec.sharp && (i == 0 || spec.space) {
                    hex.push_str(if spec.verb == 'x' { "0x" } else { "0X" });
                }
                hex.push_str(&if spec.verb == 'x' { format!("{byte:02x}") } else { format!("{byte:02X}") });
            }
            pad(&hex, spec, out);
        }
        _ => bad_verb(value, spec, out),
    }
}

/// What a raw text cannot hold.
fn is_control(c: char) -> bool {
    (c as u32) < 0x20 && c != '\t' || c == '\u{7f}'
}

/// A text between quotes, as Go writes it; `ascii`: everything else as an escape.
pub(crate) fn quote(text: &str, ascii: bool) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            _ => quote_char(c, ascii, &mut out),
        }
    }
    out.push('"');
    out
}

fn quote_char(c: char, ascii: bool, out: &mut String) {
    match c {
        '\\' => out.push_str("\\\\"),
        '\u{7}' => out.push_str("\\a"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{b}' => out.push_str("\\v"),
        c if (c as u32) < 0x20 || c as u32 == 0x7f => out.push_str(&format!("\\x{:02x}", c as u32)),
        c if (ascii && !c.is_ascii()) || !is_visible(c) => {
            out.push_str(&match c as u32 {
                code @ 0..=0xffff => format!("\\u{code:04x}"),
                code => format!("\\U{code:08x}"),
            });
        }
        c => out.push(c),
    }
}

/// Whether a character shows something: a letter, a mark, a number, a sign, or the plain space.
fn is_visible(c: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_control();
    }
    // Behind another character the standard library escapes just what cannot be seen.
    let mut text = String::from("a");
    text.push(c);
    text.escape_debug().nth(1) != Some('\\')
}

fn integer(value: &Value, negative: bool, number: u64, spec: &Spec, out: &mut String) {
    let digits = match spec.verb {
        'v' if spec.syntax && matches!(value, Value::Uint(..)) => format!("0x{number:x}"),
        'v' | 'd' => number.to_string(),
        'b' => format!("{number:b}"),
        'o' | 'O' => format!("{number:o}"),
        'x' => format!("{number:x}"),
        'X' => format!("{number:X}"),
        'c' | 'q' | 'U' => return character(negative, number, spec, out),
        _ => return bad_verb(value, spec, out),
    };
    if spec.precision == Some(0) && number == 0 {
        return pad("", &Spec { zero: false, ..spec.clone() }, out);
    }
    let sign = match (negative, spec.plus, spec.space) {
        (true, _, _) => "-",
        (_, true, _) => "+",
        (_, _, true) => " ",
        _ => "",
    };
    let wanted = match (spec.precision, spec.width) {
        (Some(precision), _) => precision,
        (None, Some(width)) if spec.zero && !spec.minus => width.saturating_sub(sign.len()),
        _ => 0,
    };
    let digits = format!("{}{digits}", "0".repeat(wanted.saturating_sub(digits.len())));
    let prefix = match spec.verb {
        'O' if spec.sharp && !digits.starts_with('0') => "0o0",
        'O' => "0o",
        'b' if spec.sharp => "0b",
        'o' if spec.sharp && !digits.starts_with('0') => "0",
        'x' if spec.sharp => "0x",
        'X' if spec.sharp => "0X",
        _ => "",
    };
    pad(&format!("{sign}{prefix}{digits}"), &Spec { zero: false, ..spec.clone() }, out);
}

/// A number as the character it stands for.
fn character(negative: bool, number: u64, spec: &Spec, out: &mut String) {
    let known = u32::try_from(number).ok().filter(|_| !negative).and_then(char::from_u32);
    let c = known.unwrap_or('\u{fffd}');
    let text = match spec.verb {
        'c' => c.to_string(),
        'U' => {
            let code = if negative { number.wrapping_neg() } else { number };
            let digits = spec.precision.unwrap_or(4).max(4);
            let hex = format!("{code:X}");
            let zeros = "0".repeat(digits.saturating_sub(hex.len()));
            let shown = known.filter(|c| spec.sharp && is_visible(*c));
            format!("U+{zeros}{hex}{}", shown.map_or(String::new(), |c| format!(" '{c}'")))
        }
        _ => {
            let mut quoted = String::from("'");
            if c == '\'' {
                quoted.push_str("\\'");
            } else {
                quote_char(c, spec.plus, &mut quoted);
            }
            quoted.push('\'');
            quoted
        }
    };
    let zero = spec.zero && spec.verb != 'U';
    pad(&text, &Spec { zero, ..spec.clone() }, out);
}

fn float(value: &Value, number: f64, spec: &Spec, out: &mut String) {
    let (verb, precision) = match spec.verb {
        'v' => ('g', spec.precision),
        'g' | 'G' | 'x' | 'X' | 'b' => (spec.verb, spec.precision),
        'e' | 'E' | 'f' => (spec.verb, Some(spec.precision.unwrap_or(6))),
        'F' => ('f', Some(spec.precision.unwrap_or(6))),
        _ => return bad_verb(value, spec, out),
    };
    let size = number.abs();
    let mut text = match verb {
        'x' | 'X' if size.is_finite() => format_hex(size, verb, precision),
        'b' if size.is_finite() => format_binary(size),
        'x' | 'X' | 'b' => format_go_float(size, 'g', None),
        _ => format_go_float(size, verb, precision),
    };
    if spec.sharp && verb != 'b' && size.is_finite() {
        text = with_point(&text, verb, precision);
    }
    let sign = match number.is_sign_negative() && !number.is_nan() {
        true => "-",
        false if spec.plus => "+",
        false if spec.space => " ",
        // Infinity always shows its sign.
        false if number.is_infinite() => "+",
        false => "",
    };
    let zeros = match (spec.zero, spec.minus, spec.width) {
        (true, false, Some(width)) if number.is_finite() => width.saturating_sub(text.len() + sign.len()),
        _ => 0,
    };
    let text = format!("{sign}{}{text}", "0".repeat(zeros));
    pad(&text, &Spec { zero: false, ..spec.clone() }, out);
}

/// With a point, and for `%g` with zeros up to the precision.
fn with_point(text: &str, verb: char, precision: Option<usize>) -> String {
    let hex = matches!(verb, 'x' | 'X');
    let tail = text.find(|c| if hex { matches!(c, 'p' | 'P') } else { matches!(c, 'e' | 'E') });
    let (number, tail) = text.split_at(tail.unwrap_or(text.len()));
    let wanted = if matches!(verb, 'g' | 'G' | 'x' | 'X') { precision.unwrap_or(6) } else { 0 };
    // The `0x` counts as a digit from its `x` on.
    let significant = number.trim_start_matches(['0', '.']).chars().filter(|c| *c != '.').count();
    let mut out = number.to_owned();
    let mut missing = wanted.saturating_sub(significant);
    if !number.contains('.') {
        missing = if number == "0" { missing.saturating_sub(1) } else { missing };
        out.push('.');
    }
    out.push_str(&"0".repeat(missing));
    out.push_str(tail);
    out
}

/// A text in its width, counted in characters.
fn pad(text: &str, spec: &Spec, out: &mut String) {
    let missing = spec.width.map_or(0, |width| width.saturating_sub(text.chars().count()));
    let fill = if spec.zero && !spec.minus { "0" } else { " " };
    if spec.minus {
        out.push_str(text);
        out.push_str(&" ".repeat(missing));
    } else {
        out.push_str(&fill.repeat(missing));
        out.push_str(text);
    }
}
