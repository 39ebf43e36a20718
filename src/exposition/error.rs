//! Where a body stops making sense, and why.

/// The first thing in a body that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct ParseError {
    /// Line, from 1. In protobuf: the number of the message.
    pub line: usize,
    /// Column in characters, from 1. In protobuf: 1.
    pub column: usize,
    /// What was expected and what stands there.
    pub message: String,
}

/// How much of the text at the place is shown.
const SHOWN_CHARS_MAX: usize = 40;

impl ParseError {
    /// An error at byte `at` of `bytes`.
    pub(crate) fn at(bytes: &[u8], at: usize, message: impl Into<String>) -> Self {
        let before = &bytes[..at.min(bytes.len())];
        let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
        ParseError {
            line: 1 + before.iter().filter(|b| **b == b'\n').count(),
            // Continuation bytes of UTF-8 do not begin a character.
            column: 1 + before[line_start..].iter().filter(|b| **b & 0xc0 != 0x80).count(),
            message: message.into(),
        }
    }

    /// "expected X, found Y" at byte `at` of `bytes`.
    pub(crate) fn expected(bytes: &[u8], at: usize, expected: &str) -> Self {
        ParseError::at(bytes, at, format!("expected {expected}, found {}", found(bytes, at)))
    }
}

/// What stands at `at`, for people: the rest of the line, shortened.
fn found(bytes: &[u8], at: usize) -> String {
    let rest = bytes.get(at..).unwrap_or_default();
    match rest.first() {
        None => "the end of the text".to_owned(),
        Some(b'\n') => "the end of the line".to_owned(),
        Some(_) => {
            let line = rest.split(|b| *b == b'\n').next().unwrap_or_default();
            let head = &line[..line.len().min(4 * SHOWN_CHARS_MAX)];
            let mut text = String::new();
            for c in String::from_utf8_lossy(head).chars().take(SHOWN_CHARS_MAX) {
                if c.is_control() { text.extend(c.escape_default()) } else { text.push(c) }
            }
            format!("`{text}`")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_line_and_column_in_characters() {
        let error = ParseError::expected("a 1\nü{x} 2".as_bytes(), 4 + 2 + 2, "`=`");
        assert_eq!(error.to_string(), "line 2, column 4: expected `=`, found `} 2`");
        let error = ParseError::expected(b"a", 1, "a value");
        assert_eq!(error.to_string(), "line 1, column 2: expected a value, found the end of the text");
    }
}
