//! The classic grammar: a name of the classic character set, an operator, and everything up to the next comma outside
//! quotes. Lenient: unknown escapes are plain text, braces need not pair, a value may be missing.

use model::{MatchOp, Matcher, is_legacy_metric_name};

use super::MatcherSyntaxError;

pub(super) fn parse_list(text: &str) -> Result<Vec<Matcher>, MatcherSyntaxError> {
    let inner = text.strip_prefix('{').unwrap_or(text);
    let inner = inner.strip_suffix('}').unwrap_or(inner);
    let mut parts = split_at_commas(inner);
    // One trailing comma is allowed, and so is nothing at all.
    match parts.pop() {
        Some(last) if !last.trim().is_empty() => parts.push(last.trim()),
        _ => {}
    }
    parts.into_iter().map(parse_one).collect()
}

fn split_at_commas(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            ',' if !quoted => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            ',' => {}
            '"' if escaped => escaped = false,
            '"' => quoted = !quoted,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    parts.push(&text[start..]);
    parts
}

pub(super) fn parse_one(text: &str) -> Result<Matcher, MatcherSyntaxError> {
    let is_space = |c: char| matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{c}');
    let bad = |what: &str| MatcherSyntaxError::syntax(text, 0, what);
    let trimmed = text.trim_matches(is_space);
    let name_ends =
        trimmed.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')).unwrap_or(trimmed.len());
    let (name, rest) = trimmed.split_at(name_ends);
    if !is_legacy_metric_name(name) {
        return Err(bad("expected a label name"));
    }
    let rest = rest.trim_start_matches(is_space);
    let (op, value) =
        [("=~", MatchOp::Regex), ("=", MatchOp::Equal), ("!=", MatchOp::NotEqual), ("!~", MatchOp::NotRegex)]
            .into_iter()
            .find_map(|(written, op)| rest.strip_prefix(written).map(|value| (op, value)))
            .ok_or_else(|| bad("expected an operator after the label name"))?;
    let value = unescape(value.trim_start_matches(is_space)).ok_or_else(|| bad("unescaped double quote"))?;
    Ok(Matcher::for_alerts(name, op, value)?)
}

/// The value behind the operator; `None` if its quotes do not pair.
fn unescape(raw: &str) -> Option<String> {
    let (body, mut open) = match raw.strip_prefix('"') {
        Some(body) => (body, true),
        None => (raw, false),
    };
    let mut value = String::with_capacity(body.len());
    let mut chars = body.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => value.push('\n'),
                Some(plain @ ('"' | '\\')) => value.push(plain),
                Some(other) => value.extend(['\\', other]),
                None => value.push('\\'),
            },
            '"' if open && chars.peek().is_none() => open = false,
            '"' => return None,
            _ => value.push(c),
        }
    }
    (!open).then_some(value)
}
