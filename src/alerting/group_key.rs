//! Texts and hashes by which the world knows a group: Alertmanager's group key, incident keys, ids of notifications.

use std::fmt::Write as _;
use std::sync::Arc;

use model::Labels;
use sha2::{Digest, Sha256};

/// The key of a group with these labels at a route with this name: `{}/{severity="page"}:{alertname="X"}`.
pub(crate) fn group_key_of(route: &str, labels: &Labels) -> String {
    // Two quotes, an equals sign and what stands between labels.
    let bytes: usize = labels.iter().map(|(name, value)| name.len() + value.len() + 5).sum();
    let mut key = String::with_capacity(route.len() + bytes + 3);
    key.push_str(route);
    key.push(':');
    push_labels(&mut key, labels);
    key
}

/// Labels as group keys write them: `{a="b", c="d"}`.
fn push_labels(out: &mut String, labels: &Labels) {
    out.push('{');
    for (at, (name, value)) in labels.iter().enumerate() {
        if at > 0 {
            out.push_str(", ");
        }
        out.push_str(name);
        out.push('=');
        push_quoted(out, value);
    }
    out.push('}');
}

/// `text` as Go's `%q` prints it: quoted, with what cannot be printed escaped.
pub(crate) fn go_quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    push_quoted(&mut out, text);
    out
}

fn push_quoted(out: &mut String, text: &str) {
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
}

/// The first `digits` of the 64 hexadecimal digits of the SHA-256 of these pieces, one behind the other.
pub(crate) fn sha256_hex(pieces: &[&[u8]], digits: usize) -> Arc<str> {
    let mut hash = Sha256::new();
    pieces.iter().for_each(|piece| hash.update(piece));
    let mut text = [0; 64];
    for (byte, digits) in hash.finalize().iter().zip(text.chunks_exact_mut(2)) {
        digits.copy_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    }
    Arc::from(std::str::from_utf8(&text[..digits]).expect("digits are ASCII"))
}

const HEX: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_labels_as_group_keys_do() {
        for (labels, text) in [
            (Labels::empty(), "{}:{}"),
            (Labels::from([("b", "x\"y"), ("a", "ü\n")]), "{}:{a=\"ü\\n\", b=\"x\\\"y\"}"),
        ] {
            assert_eq!(group_key_of("{}", &labels), text);
        }
    }

    #[test]
    fn hashes() {
        assert_eq!(&*sha256_hex(&[], 16), "e3b0c44298fc1c14");
        assert_eq!(sha256_hex(&[b"a", b"", b"b"], 64), sha256_hex(&[b"ab"], 64));
    }
}
