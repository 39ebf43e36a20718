//! Names of metrics and labels: what is allowed, and how names of any text are written where only the classic characters
//! are.

use crate::{is_legacy_label_name, is_legacy_metric_name};

/// How a name with other characters than the classic ones is written in classic ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EscapingScheme {
    /// Not at all.
    None,
    /// Each other character becomes an underscore. Cannot be undone.
    Underscores,
    /// A dot becomes `_dot_`, an underscore two, each other character two as well.
    Dots,
    /// `U__` in front, an underscore becomes two, each other character its code point in hexadecimal between two.
    Values,
}

impl EscapingScheme {
    /// The scheme of this name, as in `escaping=…` of a content type.
    pub fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "allow-utf-8" => EscapingScheme::None,
            "underscores" => EscapingScheme::Underscores,
            "dots" => EscapingScheme::Dots,
            "values" => EscapingScheme::Values,
            _ => return None,
        })
    }
}

/// Whether `name` can be the name of a metric or label: any text that is not empty.
pub fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && std::str::from_utf8(name).is_ok()
}

fn is_classic(c: char, first: bool) -> bool {
    c.is_ascii_alphabetic() || c == '_' || c == ':' || (c.is_ascii_digit() && !first)
}

/// `name` in classic characters.
pub fn escape_name(name: &str, scheme: EscapingScheme) -> String {
    let classic = is_legacy_metric_name(name) || is_legacy_label_name(name);
    let keeps = match scheme {
        EscapingScheme::None => true,
        EscapingScheme::Underscores | EscapingScheme::Values => classic,
        // Its underscores are doubled even if nothing else is to be done.
        EscapingScheme::Dots => false,
    };
    if keeps || name.is_empty() {
        return name.to_owned();
    }
    let mut out = String::with_capacity(name.len() + 8);
    if scheme == EscapingScheme::Values {
        out.push_str("U__");
    }
    for (at, c) in name.char_indices() {
        match (c, scheme) {
            ('_', EscapingScheme::Dots | EscapingScheme::Values) => out.push_str("__"),
            ('.', EscapingScheme::Dots) => out.push_str("_dot_"),
            (c, _) if is_classic(c, at == 0) => out.push(c),
            (_, EscapingScheme::Dots) => out.push_str("__"),
            (c, EscapingScheme::Values) => out.push_str(&format!("_{:x}_", c as u32)),
            _ => out.push('_'),
        }
    }
    out
}

/// The name that was escaped; `name` itself if it does not look escaped, or if the scheme cannot be undone.
pub fn unescape_name(name: &str, scheme: EscapingScheme) -> String {
    match scheme {
        EscapingScheme::None | EscapingScheme::Underscores => name.to_owned(),
        EscapingScheme::Dots => name.replace("_dot_", ".").replace("__", "_"),
        EscapingScheme::Values => unescape_values(name).unwrap_or_else(|| name.to_owned()),
    }
}

fn unescape_values(name: &str) -> Option<String> {
    let mut rest = name.strip_prefix("U__")?;
    let mut out = String::with_capacity(rest.len());
    while let Some(at) = rest.find('_') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('_') {
            out.push('_');
            rest = after;
            continue;
        }
        let (digits, after) = rest.split_once('_')?;
        // Six digits hold every code point.
        if digits.is_empty() || digits.len() > 6 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        out.push(char::from_u32(u32::from_str_radix(digits, 16).ok()?)?);
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        use EscapingScheme::{Dots, Underscores, Values};
        for (name, scheme, escaped) in [
            ("a.b_c", Underscores, "a_b_c"),
            ("a.b_c", Dots, "a_dot_b__c"),
            ("a.b_c", Values, "U__a_2e_b__c"),
            ("plain_name", Values, "plain_name"),
            ("plain_name", Dots, "plain__name"),
            ("1a", Underscores, "_a"),
            ("é", Values, "U___e9_"),
            ("", Values, ""),
        ] {
            assert_eq!(escape_name(name, scheme), escaped, "{name} {scheme:?}");
        }
    }

    #[test]
    fn unescapes_what_it_escaped() {
        for name in ["a.b", "http.status:sum", "ü_🦀 x", "_", "a__b"] {
            let escaped = escape_name(name, EscapingScheme::Values);
            assert!(is_legacy_metric_name(&escaped), "{escaped}");
            assert_eq!(unescape_name(&escaped, EscapingScheme::Values), name);
        }
        for broken in ["U__a_2e", "U__a_zz_", "U__a_d800_", "U__a_1234567_", "plain"] {
            assert_eq!(unescape_name(broken, EscapingScheme::Values), broken);
        }
    }
}
