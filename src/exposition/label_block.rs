//! The part between the braces.

use std::borrow::Cow;

use crate::ParseError;

/// Which of the two text formats is read by the letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Blanks between any two tokens, commas optional, line breaks in label values.
    Prometheus,
    /// No blanks, commas required.
    OpenMetrics,
}

/// Whether a quoted string that stands alone in the braces may be the metric name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameSlot {
    /// Yes, and there must be one.
    Free,
    /// No: the name stands before the braces, or there was one already.
    Taken,
    /// No: exemplars have no name.
    Forbidden,
}

/// What a block holds. Ranges exclude quotes; escapes are still there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LabelToken<'a> {
    /// The quoted metric name.
    Name(&'a [u8]),
    /// A label.
    Pair(&'a [u8], &'a [u8]),
}

pub(crate) fn is_name_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'_' | b':')
}

/// The end of the unquoted name that begins at `at`.
pub(crate) fn name_end(bytes: &[u8], at: usize, colons: bool) -> usize {
    let belongs = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_' || (colons && *b == b':');
    bytes[at..].iter().position(|b| !belongs(b)).map_or(bytes.len(), |n| at + n)
}

pub(crate) fn skip_blanks(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|b| !matches!(b, b' ' | b'\t')).map_or(bytes.len(), |n| at + n)
}

/// Behind the closing quote of the string whose opening quote is at `at`; `None` if it is not closed.
pub(crate) fn quoted_end(bytes: &[u8], at: usize, dialect: Dialect) -> Option<usize> {
    let mut at = at + 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => match bytes.get(at + 1)? {
                b'\n' => return None,
                _ => at += 2,
            },
            b'\n' if dialect == Dialect::OpenMetrics => return None,
            _ => at += 1,
        }
    }
}

/// Reads a block whose opening brace is gone; `visit` sees each part in order. Answers the position behind the closing
/// brace.
pub(crate) fn scan_block<'a>(
    bytes: &'a [u8],
    mut at: usize,
    dialect: Dialect,
    slot: &mut NameSlot,
    mut visit: impl FnMut(LabelToken<'a>),
) -> Result<usize, ParseError> {
    let blanks = |at: usize| match dialect {
        Dialect::Prometheus => skip_blanks(bytes, at),
        Dialect::OpenMetrics => at,
    };
    loop {
        at = blanks(at);
        let start = at;
        let quoted = match bytes.get(at) {
            Some(b'}') => return Ok(at + 1),
            Some(b'"') => {
                at = quoted_end(bytes, at, dialect)
                    .ok_or_else(|| ParseError::at(bytes, start, "a quoted name that is not closed"))?;
                true
            }
            Some(byte) if is_name_start(*byte) && *byte != b':' => {
                at = name_end(bytes, at, false);
                false
            }
            _ => return Err(ParseError::expected(bytes, at, "a label name")),
        };
        let name = if quoted { &bytes[start + 1..at - 1] } else { &bytes[start..at] };
        at = blanks(at);
        let next = bytes.get(at).copied();
        if quoted && matches!(next, Some(b',' | b'}')) {
            match *slot {
                NameSlot::Free => *slot = NameSlot::Taken,
                NameSlot::Taken => {
                    return Err(ParseError::at(bytes, start, "the metric name stands there already"));
                }
                NameSlot::Forbidden => {
                    return Err(ParseError::expected(bytes, at, "`=` after the label name"));
                }
            }
            visit(LabelToken::Name(name));
            at += 1;
            if next == Some(b'}') {
                return Ok(at);
            }
            continue;
        }
        if next != Some(b'=') {
            return Err(ParseError::expected(bytes, at, "`=` after the label name"));
        }
        at = blanks(at + 1);
        if bytes.get(at) != Some(&b'"') {
            return Err(ParseError::expected(bytes, at, "a label value in double quotes"));
        }
        let end = quoted_end(bytes, at, dialect)
            .ok_or_else(|| ParseError::at(bytes, at, "a label value that is not closed"))?;
        visit(LabelToken::Pair(name, &bytes[at + 1..end - 1]));
        at = blanks(end);
        match bytes.get(at) {
            Some(b',') => at += 1,
            Some(b'}') => {}
            _ if dialect == Dialect::OpenMetrics => {
                return Err(ParseError::expected(bytes, at, "`,` or `}` after the label value"));
            }
            _ => {}
        }
    }
}

/// `text` with `\"`, `\\` and `\n` resolved; other escapes stay as they are.
pub(crate) fn unescape(text: &str) -> Cow<'_, str> {
    unescape_known(text, true)
}

/// The same without `\"`, which help texts of the Prometheus format do not have.
pub(crate) fn unescape_help(text: &str) -> Cow<'_, str> {
    unescape_known(text, false)
}

fn unescape_known(text: &str, quotes: bool) -> Cow<'_, str> {
    let Some(first) = text.find('\\') else { return Cow::Borrowed(text) };
    let mut out = String::with_capacity(text.len());
    out.push_str(&text[..first]);
    let mut chars = text[first..].chars().peekable();
    while let Some(c) = chars.next() {
        let resolved = match (c, chars.peek()) {
            ('\\', Some('\\')) => Some('\\'),
            ('\\', Some('n')) => Some('\n'),
            ('\\', Some('"')) if quotes => Some('"'),
            _ => None,
        };
        if resolved.is_some() {
            chars.next();
        }
        out.push(resolved.unwrap_or(c));
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolves_known_escapes_only() {
        for (text, value, help) in [
            ("plain", "plain", "plain"),
            (r"a\nb", "a\nb", "a\nb"),
            (r"a\\nb", r"a\nb", r"a\nb"),
            (r#"a\"b"#, r#"a"b"#, r#"a\"b"#),
            (r"a\xb\", r"a\xb\", r"a\xb\"),
        ] {
            assert_eq!(unescape(text), value);
            assert_eq!(unescape_help(text), help);
        }
    }
}
