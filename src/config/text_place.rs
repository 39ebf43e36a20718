//! Where in a file a part of a scalar's text stands.
//!
//! A scalar's text is not what is written: quotes, escapes, indentation and folded lines are gone. What is left of both
//! has the same characters other than blanks, in the same order; counting those leads from one to the other.

use crate::source::{Source, Span};
use crate::tree::{Node, Yaml};

/// The place of bytes `from..to` of the text of `node`. The whole scalar if it cannot be told.
pub(crate) fn inside(source: &Source, node: &Node, from: usize, to: usize) -> Span {
    let Yaml::Scalar(scalar) = &node.yaml else { return node.mark() };
    let Some(raw) = source.text.get(node.span.start..node.span.end) else { return node.mark() };
    let places = raw_places(raw);
    let count = |end: usize| {
        let text = scalar.text.as_bytes();
        let text = String::from_utf8_lossy(&text[..end.min(text.len())]).into_owned();
        text.chars().filter(|c| !c.is_whitespace()).count()
    };
    let whole: String = scalar.text.chars().filter(|c| !c.is_whitespace()).collect();
    let written: String = places.iter().map(|place| place.character).collect();
    if whole != written {
        return node.mark();
    }
    let Some(last) = places.last() else { return node.mark() };
    let first = count(from);
    let start = places.get(first).map_or(last.end, |place| place.start);
    let end = match count(to) {
        n if n > first => places.get(n - 1).map_or(last.end, |place| place.end),
        _ => start + 1,
    };
    Span { file: node.span.file, start: node.span.start + start, end: node.span.start + end }
}

struct RawPlace {
    character: char,
    start: usize,
    end: usize,
}

/// The characters of a scalar as it is written that are not blank, with their places in it.
fn raw_places(raw: &str) -> Vec<RawPlace> {
    match raw.chars().next() {
        Some('"') => quoted(raw, 1, double_escape),
        Some('\'') => quoted(raw, 1, |rest| rest.starts_with("''").then_some((2, Some('\'')))),
        Some('|' | '>') => {
            let body = raw.find('\n').map_or(raw.len(), |at| at + 1);
            plain(raw, body)
        }
        _ => plain(raw, 0),
    }
}

fn plain(raw: &str, from: usize) -> Vec<RawPlace> {
    let places = raw[from..].char_indices().filter(|(_, c)| !c.is_whitespace());
    places
        .map(|(at, character)| RawPlace {
            character,
            start: from + at,
            end: from + at + character.len_utf8(),
        })
        .collect()
}

/// `escape` says how many bytes an escape at the start of a text takes, and what it stands for.
fn quoted(raw: &str, from: usize, escape: impl Fn(&str) -> Option<(usize, Option<char>)>) -> Vec<RawPlace> {
    let mut places = Vec::new();
    let closed = raw.len() > from && raw.ends_with(&raw[..from]);
    let end = if closed { raw.len() - from } else { raw.len() };
    let mut at = from;
    while at < end {
        let rest = &raw[at..end];
        let Some(c) = rest.chars().next() else { break };
        let (length, character) = escape(rest).unwrap_or((c.len_utf8(), Some(c)));
        let length = length.min(rest.len());
        if let Some(character) = character.filter(|c| !c.is_whitespace()) {
            places.push(RawPlace { character, start: at, end: at + length });
        }
        at += length;
        while !raw.is_char_boundary(at) {
            at += 1;
        }
    }
    places
}

fn double_escape(rest: &str) -> Option<(usize, Option<char>)> {
    let mut chars = rest.strip_prefix('\\')?.chars();
    let code = |digits: usize| {
        let number = rest.get(2..2 + digits).and_then(|hex| u32::from_str_radix(hex, 16).ok());
        (2 + digits, number.and_then(char::from_u32))
    };
    Some(match chars.next() {
        Some('x') => code(2),
        Some('u') => code(4),
        Some('U') => code(8),
        Some('n' | 't' | 'r' | 'v' | 'f' | ' ' | '\t' | 'N' | '_' | 'L' | 'P') => (2, None),
        Some('0') => (2, Some('\0')),
        Some('a') => (2, Some('\u{7}')),
        Some('b') => (2, Some('\u{8}')),
        Some('e') => (2, Some('\u{1b}')),
        Some(c) => (1 + c.len_utf8(), Some(c)),
        None => (1, None),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree;

    /// What is marked for the part `wanted` of the text of key `k`.
    fn marked(yaml: &str, wanted: &str) -> String {
        let source = Source::new("f".into(), yaml.to_owned());
        let tree = tree::parse(&source, 0);
        let (_, node) = tree.root.entry("k").expect("written so");
        let Yaml::Scalar(scalar) = &node.yaml else { panic!("not a scalar") };
        let from = scalar.text.find(wanted).expect("part of the text");
        let span = inside(&source, node, from, from + wanted.len());
        yaml[span.start..span.end].to_owned()
    }

    #[test]
    fn leads_from_text_to_file() {
        for (yaml, wanted, found) in [
            ("k: sum(x y)\n", "y", "y"),
            ("k: 'it''s bad'\n", "bad", "bad"),
            ("k: 'it''s bad'\n", "'", "''"),
            ("k: \"a\\\"b\\\" bad\"\n", "bad", "bad"),
            ("k: \"ä \\u00e4 bad\"\n", "bad", "bad"),
            ("k: |\n  first\n  second bad\n", "bad", "bad"),
            ("k: >-\n  first\n  second bad\nl: 1\n", "bad", "bad"),
            ("k: |2-\n    deep\n   bad\n", "bad", "bad"),
            ("k: first\n  second bad\n", "bad", "bad"),
            ("k: \"first\n  second bad\"\n", "bad", "bad"),
        ] {
            assert_eq!(marked(yaml, wanted), found, "{yaml}");
        }
    }
}
