//! YAML that we write: the configuration in effect, with masks in place of secrets.

/// A value as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shown {
    Null,
    Bool(bool),
    /// A number, or anything else that needs no quotes.
    Plain(String),
    Text(String),
    List(Vec<Shown>),
    /// A short list on one line.
    Row(Vec<Shown>),
    Map(Vec<(String, Shown)>),
}

/// What stands for a secret.
pub(crate) const MASK: &str = "<secret>";

impl Shown {
    pub(crate) fn text(text: impl Into<String>) -> Shown {
        Shown::Text(text.into())
    }

    pub(crate) fn masked() -> Shown {
        Shown::Text(MASK.to_owned())
    }

    pub(crate) fn number(number: impl std::fmt::Display) -> Shown {
        Shown::Plain(number.to_string())
    }

    pub(crate) fn texts<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Shown {
        Shown::List(texts.into_iter().map(|t| Shown::text(t.as_ref())).collect())
    }

    pub(crate) fn pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Shown {
        Shown::Map(pairs.into_iter().map(|(name, value)| (name.to_owned(), Shown::text(value))).collect())
    }

    /// The document. An empty mapping is `{}`.
    pub(crate) fn to_yaml(&self) -> String {
        let mut out = String::new();
        match self {
            Shown::Map(entries) if !entries.is_empty() => map(entries, 0, &mut out),
            Shown::List(items) if !items.is_empty() => list(items, 0, &mut out),
            other => {
                inline(other, &mut out);
                out.push('\n');
            }
        }
        out
    }
}

fn indent(depth: usize, out: &mut String) {
    out.push_str(&"  ".repeat(depth));
}

fn map(entries: &[(String, Shown)], depth: usize, out: &mut String) {
    for (at, (key, value)) in entries.iter().enumerate() {
        if at > 0 {
            indent(depth, out);
        }
        scalar(key, false, out);
        out.push(':');
        after_key(value, depth, out);
    }
}

fn after_key(value: &Shown, depth: usize, out: &mut String) {
    match value {
        Shown::Map(entries) if !entries.is_empty() => {
            out.push('\n');
            indent(depth + 1, out);
            map(entries, depth + 1, out);
        }
        Shown::List(items) if !items.is_empty() => {
            out.push('\n');
            indent(depth + 1, out);
            list(items, depth + 1, out);
        }
        other => {
            out.push(' ');
            inline(other, out);
            out.push('\n');
        }
    }
}

fn list(items: &[Shown], depth: usize, out: &mut String) {
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            indent(depth, out);
        }
        out.push_str("- ");
        match item {
            Shown::Map(entries) if !entries.is_empty() => map(entries, depth + 1, out),
            Shown::List(inner) if !inner.is_empty() => list(inner, depth + 1, out),
            other => {
                inline(other, out);
                out.push('\n');
            }
        }
    }
}

fn inline(value: &Shown, out: &mut String) {
    match value {
        Shown::Null => out.push_str("null"),
        Shown::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Shown::Plain(text) => out.push_str(text),
        Shown::Text(text) => scalar(text, false, out),
        Shown::Map(_) => out.push_str("{}"),
        Shown::List(_) => out.push_str("[]"),
        Shown::Row(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                match item {
                    Shown::Text(text) => scalar(text, true, out),
                    other => inline(other, out),
                }
            }
            out.push(']');
        }
    }
}

/// Text, in quotes if it would be read as something else without.
fn scalar(text: &str, in_row: bool, out: &mut String) {
    if is_plain(text, in_row) {
        out.push_str(text);
        return;
    }
    let simple = text.chars().all(|c| !c.is_control() && c != '\u{feff}');
    if simple && text.contains(['"', '\\']) && !text.contains('\'') {
        out.push('\'');
        out.push_str(text);
        out.push('\'');
        return;
    }
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() || matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}') => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn is_plain(text: &str, in_row: bool) -> bool {
    let mut chars = text.chars();
    let Some(first) = chars.next() else { return false };
    let second_is_blank = chars.next().is_none_or(char::is_whitespace);
    let begins_well = match first {
        '-' | '?' | ':' => !second_is_blank,
        ',' | '[' | ']' | '{' | '}' | '#' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => {
            false
        }
        c => !c.is_whitespace(),
    };
    let odd = |c: char| c.is_control() || matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}' | '\u{85}');
    let splits_row = in_row && text.contains([',', '[', ']', '{', '}']);
    begins_well
        && !splits_row
        && !text.ends_with(|c: char| c == ':' || c.is_whitespace())
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.contains(odd)
        && !text.starts_with("---")
        && !text.starts_with("...")
        && !reads_as_other(text)
}

/// Whether a reader would take the text for something other than text, if it had no quotes.
fn reads_as_other(text: &str) -> bool {
    const WORDS: [&str; 14] =
        ["~", "null", "true", "false", "yes", "no", "on", "off", "y", "n", "<<", "=", ".inf", ".nan"];
    if WORDS.iter().any(|word| text.eq_ignore_ascii_case(word)) {
        return true;
    }
    // A number, or a date: a digit first and nothing but what those are made of.
    let digits = text.trim_start_matches(['+', '-', '.']);
    digits.starts_with(|c: char| c.is_ascii_digit())
        && (text.parse::<f64>().is_ok()
            || digits.chars().all(|c| c.is_ascii_hexdigit() || "xXoO_:-.+TZt ".contains(c)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::source::Source;
    use crate::tree::{self, Yaml};

    #[test]
    fn writes_blocks() {
        let value = Shown::Map(vec![
            (
                "a".into(),
                Shown::Map(vec![("b".into(), Shown::Bool(true)), ("c".into(), Shown::List(vec![]))]),
            ),
            (
                "d".into(),
                Shown::List(vec![
                    Shown::Map(vec![("e".into(), Shown::text("x: y")), ("f".into(), Shown::number(1))]),
                    Shown::List(vec![Shown::text("1")]),
                    Shown::Row(vec![Shown::text("g"), Shown::text("h,")]),
                ]),
            ),
        ]);
        let text = "a:\n  b: true\n  c: []\nd:\n  - e: \"x: y\"\n    f: 1\n  - - \"1\"\n  - [g, \"h,\"]\n";
        assert_eq!(value.to_yaml(), text);
    }

    #[test]
    fn quotes_only_what_needs_it() {
        for (text, written) in [
            (";", ";"),
            ("(.*)", "(.*)"),
            ("$1", "$1"),
            ("\\\\d+", "\\\\d+"),
            ("", "\"\""),
            (":25", ":25"),
            ("<secret>", "<secret>"),
            ("yes", "\"yes\""),
            ("1h30m", "1h30m"),
            ("0755", "\"0755\""),
            ("2024-01-01", "\"2024-01-01\""),
            ("{{ x }}", "\"{{ x }}\""),
            ("{{ \"x\" }}", "'{{ \"x\" }}'"),
            ("a\nb", "\"a\\nb\""),
            ("-", "\"-\""),
            ("-x", "-x"),
        ] {
            let mut out = String::new();
            scalar(text, false, &mut out);
            assert_eq!(out, written);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(text in "\\PC{0,12}|[ -~\\n\\t\u{0}-\u{1f}]{0,12}", in_row: bool) {
            prop_assume!(!text.contains(['\u{0}', '\u{7f}']) && !text.chars().any(|c| c.is_control() && !"\n\t\r".contains(c)));
            let value = if in_row { Shown::Row(vec![Shown::text(&text)]) } else { Shown::List(vec![Shown::text(&text)]) };
            let yaml = Shown::Map(vec![("k".into(), value)]).to_yaml();
            let read = tree::parse(&Source::new("f".into(), yaml.clone()), 0);
            prop_assert!(read.problems.is_empty(), "{yaml:?} {:?}", read.problems);
            let (_, list) = read.root.entry("k").expect("written");
            let Yaml::List(items) = &list.yaml else { panic!("{yaml:?}") };
            match &items[0].yaml {
                Yaml::Scalar(scalar) => prop_assert_eq!(&scalar.text, &text),
                other => prop_assert!(false, "{:?} from {:?}", other, yaml),
            }
        }
    }
}
