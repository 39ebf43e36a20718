//! Go's formatted printing, on our values: the format text and which value goes where.
//!
//! Source: the documentation of Go's package `fmt`. What does not fit is said in the text, as there: `%!d(string=x)` for
//! a value that a verb cannot print, `%!d(MISSING)`, `%!(EXTRA int=1)`, `%!(NOVERB)`. One value: [`super::print`].

use super::print::{Spec, print, typed};
use super::value::Value;

/// Width and precision beyond this count as mistakes, as in Go.
const SIZE_MAX: usize = 1_000_000;

/// What `{{ value }}` writes.
pub(crate) fn sprint_value(value: &Value, out: &mut String) {
    if value.is_nothing() {
        out.push_str("<no value>");
    } else {
        print(value, &Spec { pointed_to: true, ..Spec::of('v') }, out);
    }
}

/// The values' texts, with a space between two of which none is a text.
pub(crate) fn sprint(values: &[Value]) -> String {
    sprint_as(values, &Spec::of('v'))
}

/// Like [`sprint`], where functions look behind pointers.
pub(crate) fn sprint_pointed_to(values: &[Value]) -> String {
    sprint_as(values, &Spec { pointed_to: true, ..Spec::of('v') })
}

fn sprint_as(values: &[Value], spec: &Spec) -> String {
    let mut out = String::new();
    for (i, value) in values.iter().enumerate() {
        let is_text = |value: &Value| matches!(value, Value::Str(..));
        if i > 0 && !is_text(value) && !is_text(&values[i - 1]) {
            out.push(' ');
        }
        print(value, spec, &mut out);
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
        print(value, &Spec::of('v'), &mut out);
    }
    out.push('\n');
    out
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
                typed(value, &Spec::of('v'), &mut self.out);
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
                    if width < 0 {
                        (spec.minus, spec.zero) = (true, false);
                    }
                    spec.width = Some(width.unsigned_abs());
                }
                None => self.out.push_str("%!(BADWIDTH)"),
            }
            indexed = false;
        } else {
            spec.width = self.size();
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
                spec.precision = self.star().and_then(|precision| usize::try_from(precision).ok());
                if spec.precision.is_none() {
                    self.out.push_str("%!(BADPREC)");
                }
                indexed = false;
            } else {
                spec.precision = Some(self.size().unwrap_or(0));
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
        self.fill(verb, spec);
    }

    fn fill(&mut self, verb: char, mut spec: Spec) {
        if verb == '%' {
            self.out.push('%');
        } else if !self.good_index {
            self.out.push_str(&format!("%!{verb}(BADINDEX)"));
        } else if let Some(value) = self.values.get(self.next) {
            self.next += 1;
            spec.verb = verb;
            if matches!(verb, 'v' | 'w') {
                // With `v` these two mean something else: names of fields, and the value as Go would write it.
                (spec.names, spec.plus) = (spec.plus, false);
                (spec.syntax, spec.sharp) = (spec.sharp, false);
            }
            print(value, &spec, &mut self.out);
        } else {
            self.out.push_str(&format!("%!{verb}(MISSING)"));
        }
    }

    /// `[n]`: the next value is number n. Whether it is a number at all.
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
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        let index = digits.parse::<usize>().ok().filter(|index| plain && *index < 10 * SIZE_MAX);
        match index {
            Some(index) if (1..=self.values.len()).contains(&index) => self.next = index - 1,
            _ => self.good_index = false,
        }
        index.is_some()
    }

    /// `*`: the size is the next value.
    fn star(&mut self) -> Option<isize> {
        let value = self.values.get(self.next)?;
        self.next += 1;
        let size = match value {
            Value::Int(value, _) => isize::try_from(*value).ok()?,
            Value::Uint(value, _) => isize::try_from(*value).ok()?,
            _ => return None,
        };
        (size.unsigned_abs() <= SIZE_MAX).then_some(size)
    }

    /// A number in the format; one that is far too large swallows the rest, as in Go.
    fn size(&mut self) -> Option<usize> {
        let mut size = None;
        while let Some(digit) = self.peek().and_then(|c| c.to_digit(10)) {
            if size.is_some_and(|size| size > SIZE_MAX) {
                self.at = self.chars.len();
                return None;
            }
            self.at += 1;
            size = Some(size.unwrap_or(0usize) * 10 + digit as usize);
        }
        size
    }
}
