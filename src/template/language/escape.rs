//! Escaping of texts for HTML, links, scripts and styles.

use super::json::to_json;
use super::print::own_text;
use super::value::Value;

/// A text between tags or in quotes.
pub(crate) fn html_text(text: &str) -> String {
    escape_with(text, |c| match c {
        '+' => Some("&#43;"),
        _ => html_entity(c),
    })
}

/// A text as the function `html` escapes it.
pub(crate) fn escape_html(text: &str) -> String {
    escape_with(text, html_entity)
}

fn html_entity(c: char) -> Option<&'static str> {
    Some(match c {
        '\0' => "\u{fffd}",
        '"' => "&#34;",
        '&' => "&amp;",
        '\'' => "&#39;",
        '<' => "&lt;",
        '>' => "&gt;",
        _ => return None,
    })
}

fn escape_with(text: &str, entity: impl Fn(char) -> Option<&'static str>) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match entity(c) {
            Some(entity) => out.push_str(entity),
            None => out.push(c),
        }
    }
    out
}

/// HTML as an attribute's value: without its tags, its entities kept.
pub(crate) fn attribute_value(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut in_tag = false;
    for c in html.chars() {
        match c {
            '<' => in_tag = true,
            '>' if in_tag => in_tag = false,
            _ if !in_tag => text.push(c),
            _ => {}
        }
    }
    escape_with(&text, |c| match c {
        '&' => None,
        '+' => Some("&#43;"),
        _ => html_entity(c),
    })
}

/// A text that is HTML already, where tags do not count: its entities are kept.
pub(crate) fn kept_entities(text: &str) -> String {
    escape_with(text, |c| match c {
        '&' => None,
        '+' => Some("&#43;"),
        _ => html_entity(c),
    })
}

/// An attribute's value without quotes. `kept`: `&` is the start of an entity.
pub(crate) fn unquoted_attribute(text: &str, kept: bool) -> String {
    escape_with(text, |c| {
        Some(match c {
            '&' if kept => return None,
            '\0' => "&#xfffd;",
            '\t' => "&#9;",
            '\n' => "&#10;",
            '\u{b}' => "&#11;",
            '\u{c}' => "&#12;",
            '\r' => "&#13;",
            ' ' => "&#32;",
            '=' => "&#61;",
            '`' => "&#96;",
            '+' => "&#43;",
            _ => return html_entity(c),
        })
    })
}

fn percent(text: &str, keep: impl Fn(u8, &[u8]) -> bool) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    for (i, byte) in bytes.iter().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        if plain || keep(*byte, &bytes[i + 1..]) {
            out.push(char::from(*byte));
        } else {
            out.push_str(&format!("%{byte:02x}"));
        }
    }
    out
}

/// A link that keeps its meaning and cannot leave its attribute.
pub(crate) fn normalize_url(text: &str) -> String {
    percent(text, |byte, rest| match byte {
        b'%' => rest.len() >= 2 && rest[..2].iter().all(u8::is_ascii_hexdigit),
        _ => b"!#$&*+,/:;=?@[]".contains(&byte),
    })
}

/// A part of a query: everything that has a meaning there is escaped.
pub(crate) fn query_part(text: &str) -> String {
    percent(text, |_, _| false)
}

/// A value in a script.
pub(crate) fn js_value(value: &Value) -> String {
    // What has a text of its own is that text; times say themselves what they are in JSON.
    let text = own_text(value).filter(|_| !matches!(value, Value::Time(_))).map(Value::str);
    let json = match to_json(text.as_ref().unwrap_or(value)) {
        Ok(json) => json,
        Err(_) => return " null ".to_owned(),
    };
    // A number or a word must not grow together with what stands beside it.
    let word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    if json.starts_with(word) || json.ends_with(word) { format!(" {json} ") } else { json }
}

/// A text inside of quotes in a script.
pub(crate) fn js_string(text: &str, template_literal: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{c}' => out.push_str("\\f"),
            '/' => out.push_str("\\/"),
            '"' | '\'' | '`' | '&' | '+' | '<' | '>' | '\0' | '\u{b}' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", c as u32));
            }
            '$' | '{' | '}' if template_literal => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out
}

/// A text inside of a regular expression of a script: it stands for itself.
pub(crate) fn js_pattern(text: &str) -> String {
    if text.is_empty() {
        return "(?:)".to_owned();
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\u{c}' => out.push_str("\\f"),
            '"' | '\'' | '&' | '+' | '<' | '>' | '\0' | '\u{b}' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", c as u32));
            }
            '$' | '(' | ')' | '*' | '-' | '.' | '/' | '?' | '[' | '\\' | ']' | '^' | '{' | '|' | '}' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

/// A text as the function `js` escapes it.
pub(crate) fn escape_js_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            '<' | '>' | '&' | '=' => out.push_str(&format!("\\u{:04X}", c as u32)),
            c if (c as u32) < 0x20 => out.push_str(&format!("\\u{:04X}", c as u32)),
            c => out.push(c),
        }
    }
    out
}

/// A text as a value in a style; `None` if it could be more than that.
pub(crate) fn css_value(text: &str) -> Option<String> {
    let refused = |c: char| {
        matches!(
            c,
            '\0' | '"' | '\'' | '(' | ')' | '/' | ';' | '@' | '[' | '\\' | ']' | '`' | '{' | '}' | '<' | '>'
        )
    };
    let letters: String = text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    let script = letters.contains("expression") || letters.contains("mozbinding");
    (!text.contains(refused) && !text.contains("--") && !script).then(|| text.to_owned())
}

/// A text inside of quotes in a style.
pub(crate) fn css_string(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let plain = !matches!(
            c,
            '\0' | '\t'
                | '\n'
                | '\u{c}'
                | '\r'
                | '"'
                | '&'
                | '\''
                | '('
                | ')'
                | '+'
                | '/'
                | ':'
                | ';'
                | '<'
                | '>'
                | '\\'
                | '{'
                | '}'
        );
        if plain {
            out.push(c);
        } else {
            if c == '\\' {
                out.push_str("\\\\");
                continue;
            }
            out.push_str(&format!("\\{:x}", c as u32));
            // A space ends the escape where it would go on otherwise.
            if chars.peek().is_none_or(|next| next.is_ascii_hexdigit() || next.is_ascii_whitespace()) {
                out.push(' ');
            }
        }
    }
    out
}

/// Stands for a value that would be dangerous in its place.
pub(crate) const REFUSED: &str = "ZgotmplZ";

/// A link and its size, as in `srcset`.
pub(crate) fn url_with_size(part: &str) -> String {
    let link = part.trim_ascii_start();
    let (link, size) = link.split_at(link.find(|c: char| c.is_ascii_whitespace()).unwrap_or(link.len()));
    let blank = &part[..part.len() - part.trim_ascii_start().len()];
    let known = size.chars().all(|c| c.is_ascii_whitespace() || c.is_ascii_alphanumeric());
    if known && harmless_url(link) {
        format!("{blank}{}{size}", normalize_url(link))
    } else {
        format!("#{REFUSED}")
    }
}

/// A link that cannot run a script: one without a scheme, or with a known one.
pub(crate) fn harmless_url(text: &str) -> bool {
    match text.split_once(':') {
        Some((scheme, _)) if !scheme.contains('/') => {
            ["http", "https", "mailto"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
        }
        _ => true,
    }
}
