//! A text as the value that it is in YAML: what Alertmanager makes of the texts of a `payload` or of `details`.
//!
//! In: a text whose template is expanded. Out: the value, or nothing where it is a text, and so is left as it is.
//! Read as Go's `yaml.v2` reads, which is YAML 1.1: `yes` is true, `010` is eight, a date is text. Keys that are no text
//! are dropped there, and here.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Tag};

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Typed {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Typed>),
    /// Names are unique.
    Map(Vec<(String, Typed)>),
}

/// More values than a message has: aliases of aliases.
const VALUES_MAX: usize = 100_000;
/// Deeper than any message is.
const DEPTH_MAX: usize = 100;

impl Typed {
    /// What `text` is. `None`: it is no YAML, or a text.
    pub(crate) fn of(text: &str) -> Option<Typed> {
        let value = if may_be_more(text) { Reader::default().read(text)? } else { Typed::plain(text.trim()) };
        Some(value).filter(|value| !matches!(value, Typed::Text(_)))
    }

    /// What a scalar without quotes is.
    pub(crate) fn plain(text: &str) -> Typed {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => Typed::Null,
            "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
                Typed::Bool(true)
            }
            "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
                Typed::Bool(false)
            }
            _ if text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) => {
                number(text).unwrap_or_else(|| Typed::Text(text.to_owned()))
            }
            _ => Typed::Text(text.to_owned()),
        }
    }
}

/// Whether a text could be more than one plain scalar.
fn may_be_more(text: &str) -> bool {
    text.contains([
        ':', '#', '\n', '{', '[', '"', '\'', '!', '&', '*', '|', '>', '?', '%', '@', '`', '\t', '\u{feff}',
    ]) || text.trim_start().starts_with('-')
}

fn number(text: &str) -> Option<Typed> {
    if text.starts_with('.') {
        return float(text);
    }
    let plain = text.replace('_', "");
    integer(&plain).map(Typed::Integer).or_else(|| float(&plain))
}

/// A whole number of 64 bits, in the base that its prefix says.
fn integer(text: &str) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (base, digits) = match digits.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("0x") => (16, &digits[2..]),
        Some("0b") => (2, &digits[2..]),
        Some("0o") => (8, &digits[2..]),
        _ if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    };
    // The sign of Rust's own parser would be a second one.
    let digits = Some(digits).filter(|digits| digits.starts_with(|c: char| c.is_ascii_alphanumeric()))?;
    let value = sign * i128::from_str_radix(digits, base).ok()?;
    (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&value).then_some(value)
}

fn float(text: &str) -> Option<Typed> {
    // Rust also reads `inf`; what is too large is no number there.
    let digits = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    let value = text.parse::<f64>().ok().filter(|value| digits && value.is_finite())?;
    Some(Typed::Float(value))
}

enum Frame {
    List(usize, Vec<Typed>),
    /// With the key that waits for its value: `None` inside for one that is dropped.
    Map(usize, Vec<(String, Typed)>, Option<Key>),
}

enum Key {
    Text(String),
    Merge,
    Dropped,
}

#[derive(Default)]
struct Reader {
    stack: Vec<Frame>,
    anchors: HashMap<usize, Typed>,
    values: usize,
    root: Option<Typed>,
}

impl Reader {
    /// The first document; nothing if it is none.
    fn read(mut self, text: &str) -> Option<Typed> {
        let options = granit_parser::options! {
            block_scalar_eof_without_line_feed: true,
            emit_unresolved_aliases: true,
            emit_comments: false,
        };
        for next in Parser::new_from_str_with_options(text, options) {
            let (event, _) = next.ok()?;
            match event {
                Event::Scalar(text, style, anchor, tag) => {
                    let merge = style == ScalarStyle::Plain && tag.is_none() && text == "<<";
                    let value = scalar(&text, style, tag.as_deref())?;
                    self.count(1)?;
                    self.put(value, anchor, merge)?;
                }
                Event::SequenceStart(_, anchor, _) => self.open(Frame::List(anchor, Vec::new()))?,
                Event::MappingStart(_, anchor, _) => self.open(Frame::Map(anchor, Vec::new(), None))?,
                Event::SequenceEnd | Event::MappingEnd => {
                    let (anchor, value) = match self.stack.pop()? {
                        Frame::List(anchor, items) => (anchor, Typed::List(items)),
                        Frame::Map(anchor, entries, _) => (anchor, Typed::Map(entries)),
                    };
                    self.put(value, anchor, false)?;
                }
                Event::Alias(id) => {
                    let values = size(self.anchors.get(&id)?);
                    self.count(values)?;
                    let value = self.anchors.get(&id)?.clone();
                    self.put(value, 0, false)?;
                }
                Event::UnresolvedAlias(_) => return None,
                Event::DocumentEnd => break,
                _ => {}
            }
        }
        Some(self.root.unwrap_or(Typed::Null))
    }

    fn open(&mut self, frame: Frame) -> Option<()> {
        self.count(1)?;
        self.stack.push(frame);
        (self.stack.len() <= DEPTH_MAX).then_some(())
    }

    /// Counts values; nothing if there are too many.
    fn count(&mut self, values: usize) -> Option<()> {
        self.values += values;
        (self.values <= VALUES_MAX).then_some(())
    }

    fn put(&mut self, value: Typed, anchor: usize, merge: bool) -> Option<()> {
        if anchor != 0 {
            self.anchors.insert(anchor, value.clone());
        }
        match self.stack.last_mut() {
            None => self.root = Some(value),
            Some(Frame::List(_, items)) => items.push(value),
            Some(Frame::Map(_, entries, key)) => match key.take() {
                Some(Key::Text(name)) => set(entries, name, value),
                Some(Key::Dropped) => {}
                Some(Key::Merge) => merge_into(entries, value)?,
                None => {
                    *key = Some(match value {
                        _ if merge => Key::Merge,
                        Typed::Text(text) => Key::Text(text),
                        Typed::List(_) | Typed::Map(_) => return None,
                        _ => Key::Dropped,
                    });
                }
            },
        }
        Some(())
    }
}

fn size(value: &Typed) -> usize {
    match value {
        Typed::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Typed::Map(entries) => 1 + entries.iter().map(|(_, value)| size(value)).sum::<usize>(),
        _ => 1,
    }
}

/// The last one of a name counts.
fn set(entries: &mut Vec<(String, Typed)>, name: String, value: Typed) {
    match entries.iter_mut().find(|(known, _)| *known == name) {
        Some((_, old)) => *old = value,
        None => entries.push((name, value)),
    }
}

fn merge_into(entries: &mut Vec<(String, Typed)>, value: Typed) -> Option<()> {
    match value {
        Typed::Map(from) => from.into_iter().for_each(|(name, value)| set(entries, name, value)),
        // Those that stand first win.
        Typed::List(maps) => {
            for map in maps.into_iter().rev() {
                let Typed::Map(_) = &map else { return None };
                merge_into(entries, map)?;
            }
        }
        _ => return None,
    }
    Some(())
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Option<Typed> {
    let Some(tag) = tag else {
        return Some(match style {
            ScalarStyle::Plain => Typed::plain(text),
            _ => Typed::Text(text.to_owned()),
        });
    };
    let core = tag.suffix_in_namespace("tag:yaml.org,2002:")?;
    match (core.as_ref(), Typed::plain(text)) {
        ("str" | "timestamp", _) => Some(Typed::Text(text.to_owned())),
        ("binary", _) => {
            use base64::Engine as _;
            let packed: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
            let bytes = base64::engine::general_purpose::STANDARD.decode(packed).ok()?;
            String::from_utf8(bytes).ok().map(Typed::Text)
        }
        ("null", value @ Typed::Null)
        | ("bool", value @ Typed::Bool(_))
        | ("int", value @ Typed::Integer(_))
        | ("float", value @ (Typed::Float(_) | Typed::Integer(_))) => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &Typed) -> String {
        match value {
            Typed::Null => "null".to_owned(),
            Typed::Bool(value) => value.to_string(),
            Typed::Integer(value) => value.to_string(),
            Typed::Float(value) => format!("{value:?}"),
            Typed::Text(text) => format!("{text:?}"),
            Typed::List(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(" ")),
            Typed::Map(entries) => {
                let entries = entries.iter().map(|(name, value)| format!("{name}={}", shown(value)));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(" "))
            }
        }
    }

    #[test]
    fn texts_are_what_yaml_1_1_has_them_be() {
        let table = r#"
            ⟪⟫ null | ⟪~⟫ null | ⟪Null⟫ null | ⟪ ⟫ null | ⟪# only a remark⟫ null
            ⟪yes⟫ true | ⟪ON⟫ true | ⟪y⟫ true | ⟪off⟫ false | ⟪N⟫ false | ⟪ no ⟫ false | ⟪yEs⟫ text
            ⟪12⟫ 12 | ⟪ 12 ⟫ 12 | ⟪+3⟫ 3 | ⟪-0⟫ 0 | ⟪0x1f⟫ 31 | ⟪-0b11⟫ -3 | ⟪0o17⟫ 15 | ⟪017⟫ 15 | ⟪1_000⟫ 1000
            ⟪18446744073709551615⟫ 18446744073709551615 | ⟪18446744073709551616⟫ 1.8446744073709552e19
            ⟪089⟫ 89.0 | ⟪2.50⟫ 2.5 | ⟪.25⟫ 0.25 | ⟪-.5⟫ -0.5 | ⟪7.⟫ 7.0 | ⟪3e2⟫ 300.0 | ⟪1e999⟫ text | ⟪.inf⟫ text | ⟪nan⟫ text
            ⟪0x⟫ text | ⟪0xz⟫ text | ⟪1e⟫ text | ⟪-⟫ [null] | ⟪+⟫ text | ⟪.⟫ text | ⟪..⟫ text | ⟪_9⟫ text | ⟪1+2⟫ text
            ⟪2020-02-02⟫ text | ⟪12:30⟫ text | ⟪10%⟫ text | ⟪a b⟫ text | ⟪a, b⟫ text | ⟪"5"⟫ text | ⟪'yes'⟫ text | ⟪x # y⟫ text
            ⟪@a⟫ text | ⟪*a⟫ text | ⟪%a⟫ text | ⟪a: b: c⟫ text | ⟪[1⟫ text | ⟪}⟫ text | ⟪? [a]⟫ text | ⟪- a: b: c⟫ text
            ⟪!!int "9"⟫ 9 | ⟪!!float 9⟫ 9 | ⟪!!str 9⟫ text | ⟪!!null x⟫ text | ⟪!mine 9⟫ text | ⟪!!bool on⟫ true
            ⟪{"a":{"b":[1,"2",null,true]}}⟫ {a={b=[1 "2" null true]}} | ⟪a: b⟫ {a="b"} | ⟪- 1⟫ [1] | ⟪{a, b: 2}⟫ {a=null b=2}
            ⟪{1: a, yes: b, ~: c, "1": d, 2020-01-01: e}⟫ {1="d" 2020-01-01="e"} | ⟪{a: 1, a: 2}⟫ {a=2}
            ⟪{a: &x {b: 1}, c: *x}⟫ {a={b=1} c={b=1}} | ⟪{b: 0, <<: {a: 1, b: 2}, a: 3}⟫ {b=2 a=3} | ⟪<<: [{a: 1}, {a: 2}]⟫ {a=1}
            ⟪<<: 5⟫ text | ⟪{a: !!binary aGk=}⟫ {a="hi"}
        "#;
        let mut rows = 0;
        for row in
            table.lines().flat_map(|line| line.split(" | ")).map(str::trim).filter(|row| !row.is_empty())
        {
            let (text, wanted) = row.split_once('⟫').unwrap();
            let text = text.trim_start_matches('⟪');
            let got = Typed::of(text).map_or("text".to_owned(), |value| shown(&value));
            assert_eq!(got, wanted.trim(), "{text}");
            rows += 1;
        }
        assert!(rows > 60, "{rows}");
        assert_eq!(Typed::of("---\n1\n---\n{").as_ref().map(shown).as_deref(), Some("1"));
        assert_eq!(Typed::of("a: |\n  x\n  y").as_ref().map(shown).as_deref(), Some("{a=\"x\\ny\"}"));
        assert_eq!(Typed::of("|\n x"), None);
    }

    #[test]
    fn what_is_too_large_stays_a_text() {
        assert_eq!(Typed::of(&"[".repeat(5000)), None);
        assert_eq!(Typed::of(&format!("{}{}", "[".repeat(200), "]".repeat(200))), None);
        let doubled = (1..40).fold("a0: &a0 [x, x]".to_owned(), |text, n| {
            format!("{text}\na{n}: &a{n} [*a{}, *a{}]", n - 1, n - 1)
        });
        assert_eq!(Typed::of(&doubled), None);
    }
}
