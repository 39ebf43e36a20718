//! Go's formatted printing, on our values.
//!
//! Source: the documentation of Go's package `fmt`. What does not fit is said in the text, as there: `%!d(string=x)` for
//! a value that a verb cannot print, `%!d(MISSING)`, `%!(EXTRA int=1)`, `%!(NOVERB)`.

use super::float::format_go_float;
use super::value::{Type, Value};

/// Width and precision beyond this count as mistakes.
const SIZE_MAX: usize = 100_000;

/// What `{{ value }}` writes.
pub(crate) fn sprint_value(value: &Value, out: &mut String) {
    if value.is_nothing() {
        out.push_str("<no value>");
    } else {
        print(value, &Spec::of('v'), true, out);
    }
}

/// The values' texts, with a space between two of which none is a text.
pub(crate) fn sprint(values: &[Value]) -> String {
    let mut out = String::new();
    for (i, value) in values.iter().enumerate() {
        let is_text = |value: &Value| matches!(value, Value::Str(..));
        if i > 0 && !is_text(value) && !is_text(&values[i - 1]) {
            out.push(' ');
        }
        print(value, &Spec::of('v'), true, &mut out);
    }
    out
}

/// The values' texts with spaces between them and a line end.
pub(crate) fn sprintln(values: &[Value]) -> String {
    let mut out = String::new();
    for (i, value) in values.iter().enumerate() {
        if i > 0 {
            out.push(' ');
        }
        print(value, &Spec::of('v'), true, &mut out);
    }
    out.push('\n');
    out
}

/// How one value is printed.
#[derive(Clone, Debug, Default)]
struct Spec {
    verb: char,
    plus: bool,
    minus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

impl Spec {
    fn of(verb: char) -> Self {
        Spec { verb, ..Spec::default() }
    }
}

/// `format` with its verbs filled in.
pub(crate) fn sprintf(format: &str, values: &[Value]) -> String {
    let mut formatter = Formatter {
        chars: format.chars().collect(),
        at: 0,
        values,
        next: 0,
        reordered: false,
        good_index: true,
        out: String::new(),
    };
    formatter.run();
    formatter.out
}

struct Formatter<'a> {
    chars: Vec<char>,
    at: usize,
    values: &'a [Value],
    next: usize,
    reordered: bool,
    good_index: bool,
    out: String,
}

impl Formatter<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn run(&mut self) {
        while let Some(c) = self.peek() {
            self.at += 1;
            if c != '%' {
                self.out.push(c);
                continue;
            }
            self.verb();
        }
        if !self.reordered && self.next < self.values.len() {
            self.out.push_str("%!(EXTRA ");
            for (i, value) in self.values[self.next..].iter().enumerate() {
                if i > 0 {
                    self.out.push_str(", ");
                }
                typed(value, &mut self.out);
            }
            self.out.push(')');
        }
    }

    /// Everything behind a `%`.
    fn verb(&mut self) {
        let mut spec = Spec::default();
        loop {
            match self.peek() {
                Some('+') => spec.plus = true,
                Some('-') => spec.minus = true,
                Some('#') => spec.sharp = true,
                Some(' ') => spec.space = true,
                Some('0') => spec.zero = true,
                _ => break,
            }
            self.at += 1;
        }
        self.good_index = true;
        let mut indexed = self.index();
        if self.peek() == Some('*') {
            self.at += 1;
            match self.star() {
                Some(width) => {
                    spec.minus |= width < 0;
                    spec.width = Some(width.unsigned_abs());
                }
                None => self.out.push_str("%!(BADWIDTH)"),
            }
            indexed = false;
        } else {
            spec.width = self.size("%!(BADWIDTH)");
            if indexed && spec.width.is_some() {
                self.good_index = false;
            }
        }
        if self.peek() == Some('.') {
            self.at += 1;
            if indexed {
                self.good_index = false;
            }
            indexed = self.index();
            if self.peek() == Some('*') {
                self.at += 1;
                match self.star() {
                    Some(precision) => spec.precision = usize::try_from(precision).ok(),
                    None => self.out.push_str("%!(BADPREC)"),
                }
                indexed = false;
            } else {
                spec.precision = Some(self.size("%!(BADPREC)").unwrap_or(0));
            }
        }
        if !indexed {
            self.index();
        }
        let Some(verb) = self.peek() else {
            self.out.push_str("%!(NOVERB)");
            return;
        };
        self.at += 1;
        spec.verb = verb;
        if verb == '%' {
            self.out.push('%');
        } else if !self.good_index {
            self.out.push_str(&format!("%!{verb}(BADINDEX)"));
        } else if let Some(value) = self.values.get(self.next) {
            self.next += 1;
            print(value, &spec, true, &mut self.out);
        } else {
            self.out.push_str(&format!("%!{verb}(MISSING)"));
        }
    }

    /// `[n]`: the next value is number n. Whether there was one.
    fn index(&mut self) -> bool {
        if self.peek() != Some('[') {
            return false;
        }
        self.reordered = true;
        let close = self.chars[self.at..].iter().position(|c| *c == ']');
        let Some(close) = close else {
            self.good_index = false;
            self.at += 1;
            return false;
        };
        let digits: String = self.chars[self.at + 1..self.at + close].iter().collect();
        self.at += close + 1;
        match digits.parse::<usize>() {
            Ok(index) if (1..=self.values.len()).contains(&index) => self.next = index - 1,
            _ => self.good_index = false,
        }
        true
    }

    /// `*`: the size is the next value.
    fn star(&mut self) -> Option<isize> {
        let value = self.values.get(self.next)?;
        self.next += 1;
        let size = match value {
            Value::Int(value, _) => isize::try_from(*value).ok()?,
            Value::Uint(value) => isize::try_from(*value).ok()?,
            _ => return None,
        };
        (size.unsigned_abs() <= SIZE_MAX).then_some(size)
    }

    fn size(&mut self, too_large: &str) -> Option<usize> {
        let mut size = None;
        while let Some(digit) = self.peek().and_then(|c| c.to_digit(10)) {
            self.at += 1;
            size = Some(size.unwrap_or(0usize).saturating_mul(10).saturating_add(digit as usize));
        }
        if size.is_some_and(|size| size > SIZE_MAX) {
            self.out.push_str(too_large);
            return None;
        }
        size
    }
}

/// `type=value`, as in the texts about mistakes.
fn typed(value: &Value, out: &mut String) {
    if value.is_nothing() {
        out.push_str("<nil>");
        return;
    }
    out.push_str(value.type_name());
    out.push('=');
    print(value, &Spec::of('v'), true, out);
}

fn bad_verb(value: &Value, spec: &Spec, out: &mut String) {
    out.push_str(&format!("%!{}(", spec.verb));
    typed(value, out);
    out.push(')');
}

/// One value. `top`: not an element of another one.
fn print(value: &Value, spec: &Spec, top: bool, out: &mut String) {
    if spec.verb == 'T' {
        pad(value.type_name(), spec, out);
        return;
    }
    if matches!(spec.verb, 'v' | 's' | 'x' | 'X' | 'q')
        && !(spec.verb == 'v' && spec.sharp)
        && let Some(text) = own_text(value)
    {
        text_value(value, &text, spec, out);
        return;
    }
    match value {
        Value::Missing | Value::Nil if spec.verb == 'v' => pad("<nil>", spec, out),
        // Inside of a list or map an empty interface is told apart from a mistake at the top.
        Value::Missing | Value::Nil if top => out.push_str(&format!("%!{}(<nil>)", spec.verb)),
        Value::Missing | Value::Nil => out.push_str("<nil>"),
        Value::Bool(b) => match spec.verb {
            't' | 'v' => pad(if *b { "true" } else { "false" }, spec, out),
            _ => bad_verb(value, spec, out),
        },
        Value::Int(number, _) => integer(value, *number < 0, number.unsigned_abs(), spec, out),
        Value::Uint(number) => integer(value, false, *number, spec, out),
        Value::Float(number) => float(value, *number, spec, out),
        Value::Str(text, _) => text_value(value, text, spec, out),
        Value::List(list) => {
            out.push('[');
            for (i, item) in list.items.iter().enumerate() {
                if i > 0 {
                    out.push(' ');
                }
                print(item, spec, false, out);
            }
            out.push(']');
        }
        Value::Map(map) => {
            out.push_str("map[");
            for (i, (name, item)) in map.entries.iter().enumerate() {
                if i > 0 {
                    out.push(' ');
                }
                print(&Value::str(name.as_str()), spec, false, out);
                out.push(':');
                print(item, spec, false, out);
            }
            out.push(']');
        }
        Value::Struct(structure) => {
            // A pointer shows what it points to at the top.
            let pointer = structure.ty.name.starts_with('*') && top;
            out.push_str(if pointer { "&{" } else { "{" });
            for (i, item) in structure.fields.iter().enumerate() {
                if i > 0 {
                    out.push(' ');
                }
                if spec.plus && spec.verb == 'v' {
                    out.push_str(structure.ty.fields.get(i).map_or("", |(name, _)| name));
                    out.push(':');
                }
                print(item, spec, false, out);
            }
            out.push('}');
        }
        Value::Time(_) | Value::Histogram(_) => bad_verb(value, spec, out),
    }
}

/// The text that a value of a type with a text of its own shows.
pub(crate) fn own_text(value: &Value) -> Option<String> {
    match value {
        Value::Histogram(histogram) => Some(histogram.to_string()),
        _ => value.named_type().and_then(|ty: &Type| ty.text).map(|text| text(value)),
    }
}

fn text_value(value: &Value, text: &str, spec: &Spec, out: &mut String) {
    let cut = |text: &str| match spec.precision {
        Some(precision) => text.chars().take(precision).collect::<String>(),
        None => text.to_owned(),
    };
    match spec.verb {
        'v' if spec.sharp => pad(&quote(text), spec, out),
        'v' | 's' => pad(&cut(text), spec, out),
        'q' => {
            let text = cut(text);
            let raw = spec.sharp && !text.contains('`') && !text.chars().any(|c| c.is_control() && c != '\t');
            pad(&if raw { format!("`{text}`") } else { quote(&text) }, spec, out);
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

/// A text between quotes, as Go writes it.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            _ => quote_char(c, &mut out),
        }
    }
    out.push('"');
    out
}

fn quote_char(c: char, out: &mut String) {
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
        // Spaces other than the plain one, and what controls, cannot be seen.
        c if c.is_control() || (c.is_whitespace() && c != ' ') || is_invisible(c) => {
            out.push_str(&match c as u32 {
                code @ 0..=0xffff => format!("\\u{code:04x}"),
                code => format!("\\U{code:08x}"),
            });
        }
        c => out.push(c),
    }
}

fn is_invisible(c: char) -> bool {
    matches!(c as u32, 0xad | 0x200b..=0x200f | 0x202a..=0x202e | 0x2060..=0x206f | 0xfeff | 0xe000..=0xf8ff)
}

fn integer(value: &Value, negative: bool, number: u64, spec: &Spec, out: &mut String) {
    let digits = match spec.verb {
        'v' if spec.sharp && matches!(value, Value::Uint(_)) => format!("{number:#x}"),
        'v' | 'd' => number.to_string(),
        'b' => format!("{}{number:b}", if spec.sharp { "0b" } else { "" }),
        'o' => format!("{}{number:o}", if spec.sharp { "0" } else { "" }),
        'O' => format!("0o{number:o}"),
        'x' => format!("{}{number:x}", if spec.sharp { "0x" } else { "" }),
        'X' => format!("{}{number:X}", if spec.sharp { "0X" } else { "" }),
        'c' | 'q' | 'U' => {
            let code = u32::try_from(number).ok().filter(|_| !negative);
            let c = code.and_then(char::from_u32).unwrap_or('\u{fffd}');
            let text = match spec.verb {
                'c' => c.to_string(),
                'U' => format!("U+{number:04X}"),
                _ => {
                    let mut quoted = String::from("'");
                    if c == '\'' {
                        quoted.push_str("\\'")
                    } else {
                        quote_char(c, &mut quoted)
                    }
                    quoted.push('\'');
                    quoted
                }
            };
            pad(&text, &Spec { zero: false, ..spec.clone() }, out);
            return;
        }
        _ => return bad_verb(value, spec, out),
    };
    let sign = if negative {
        "-"
    } else if spec.plus {
        "+"
    } else if spec.space {
        " "
    } else {
        ""
    };
    let mut digits = digits;
    if let Some(precision) = spec.precision {
        if precision == 0 && number == 0 {
            digits.clear();
        }
        digits = format!("{}{digits}", "0".repeat(precision.saturating_sub(digits.len())));
    } else if let (true, false, Some(width)) = (spec.zero, spec.minus, spec.width) {
        digits = format!("{}{digits}", "0".repeat(width.saturating_sub(digits.len() + sign.len())));
    }
    pad(&format!("{sign}{digits}"), &Spec { zero: false, ..spec.clone() }, out);
}

fn float(value: &Value, number: f64, spec: &Spec, out: &mut String) {
    let (verb, precision) = match spec.verb {
        'v' => ('g', spec.precision),
        'g' | 'G' => (spec.verb, spec.precision),
        'e' | 'E' | 'f' => (spec.verb, Some(spec.precision.unwrap_or(6))),
        'F' => ('f', Some(spec.precision.unwrap_or(6))),
        _ => return bad_verb(value, spec, out),
    };
    let text = format_go_float(number.abs(), verb, precision, spec.sharp);
    let sign = if number.is_sign_negative() && !number.is_nan() {
        "-"
    } else if spec.plus || (number.is_infinite() && spec.verb == 'v' && number > 0.0) {
        "+"
    } else if spec.space {
        " "
    } else {
        ""
    };
    // Infinity always shows its sign.
    let sign = if number.is_infinite() && sign.is_empty() { "+" } else { sign };
    let zeros = match (spec.zero, spec.minus, spec.width) {
        (true, false, Some(width)) if number.is_finite() => width.saturating_sub(text.len() + sign.len()),
        _ => 0,
    };
    let text = format!("{sign}{}{text}", "0".repeat(zeros));
    pad(&text, &Spec { zero: false, ..spec.clone() }, out);
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
