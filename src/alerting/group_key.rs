//! Texts and hashes by which the world knows a group: Alertmanager's group key, incident keys, ids of notifications.

use std::fmt::Write as _;

use model::Labels;
use sha2::{Digest, Sha256};

/// `text` as Go's `%q` prints it: quoted, with what cannot be printed escaped.
pub(crate) fn go_quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if (c as u32) < 0x20 || c == '\u{7f}' => {
                let _ = write!(out, "\\x{:02x}", c as u32);
            }
            c if c.is_control() || (c.is_whitespace() && c != ' ') || c == '\u{feff}' || c == '\u{ad}' => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Labels as group keys write them: `{a="b", c="d"}`.
pub(crate) fn labels_text(labels: &Labels) -> String {
    let texts: Vec<String> =
        labels.iter().map(|(name, value)| format!("{name}={}", go_quote(value))).collect();
    format!("{{{}}}", texts.join(", "))
}

/// SHA-256 in hexadecimal digits.
pub(crate) fn sha256_hex(text: &str) -> String {
    let mut out = String::with_capacity(64);
    for byte in Sha256::digest(text.as_bytes()) {
        let digit = |half: u8| char::from_digit(u32::from(half), 16).expect("half a byte");
        out.extend([digit(byte >> 4), digit(byte & 15)]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_labels_as_group_keys_do() {
        for (labels, text) in [
            (Labels::empty(), "{}"),
            (Labels::from([("b", "x\"y"), ("a", "ü\n")]), "{a=\"ü\\n\", b=\"x\\\"y\"}"),
        ] {
            assert_eq!(labels_text(&labels), text);
        }
    }

    #[test]
    fn hashes() {
        assert!(sha256_hex("").starts_with("e3b0c44298fc1c14"));
    }
}
