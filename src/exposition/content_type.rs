//! Which format a response is in.

use crate::{Format, Protocol};

/// A `Content-Type` that does not say which format the body is in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentTypeError {
    /// There is none.
    #[error("the target sends no Content-Type")]
    Missing,
    /// It says something else.
    #[error("the target sends Content-Type `{0}`, which is not a metrics format")]
    Unsupported(String),
    /// It is not a media type.
    #[error("the target sends Content-Type `{content_type}`, which is not a media type: {problem}")]
    Malformed {
        /// As it was sent.
        content_type: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// The format of a response and what was wrong with its `Content-Type`, if anything.
///
/// Without a usable one the format is that of `fallback`; without that as well there is no format and the scrape fails.
pub fn choose_format(
    content_type: &str,
    fallback: Option<Protocol>,
) -> (Option<Format>, Option<ContentTypeError>) {
    match format_of(content_type) {
        Ok(format) => (Some(format), None),
        Err(problem) => (fallback.map(Protocol::format), Some(problem)),
    }
}

fn format_of(content_type: &str) -> Result<Format, ContentTypeError> {
    if content_type.is_empty() {
        return Err(ContentTypeError::Missing);
    }
    let media_type = parse_media_type(content_type)
        .map_err(|problem| ContentTypeError::Malformed { content_type: content_type.to_owned(), problem })?;
    match media_type.as_str() {
        "text/plain" => Ok(Format::PrometheusText),
        "application/openmetrics-text" => Ok(Format::OpenMetrics),
        "application/vnd.google.protobuf" => Ok(Format::Protobuf),
        _ => Err(ContentTypeError::Unsupported(content_type.to_owned())),
    }
}

fn is_token_char(c: char) -> bool {
    c.is_ascii_graphic() && !"()<>@,;:\\\"/[]?=".contains(c)
}

/// Splits `text` behind the token it begins with, which may be empty.
fn take_token(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c| !is_token_char(c)).unwrap_or(text.len()))
}

/// `type/subtype` in lower case, if the whole of `text` is a media type with well-formed parameters.
fn parse_media_type(text: &str) -> Result<String, String> {
    let (essence, mut rest) = text.split_at(text.find(';').unwrap_or(text.len()));
    let essence = essence.trim().to_ascii_lowercase();
    let (kind, after) = take_token(&essence);
    if kind.is_empty() {
        return Err("no media type".to_owned());
    }
    if !after.is_empty() {
        let subtype = after.strip_prefix('/').ok_or("expected `/` after the type")?;
        let (subtype, after) = take_token(subtype);
        if subtype.is_empty() {
            return Err("expected a subtype after `/`".to_owned());
        }
        if !after.is_empty() {
            return Err(format!("unexpected `{after}` after the subtype"));
        }
    }
    let mut seen: Vec<(String, String)> = Vec::new();
    loop {
        rest = rest.trim_start();
        // A `;` at the end is tolerated.
        if rest.is_empty() || rest.trim() == ";" {
            return Ok(essence);
        }
        let (name, value, after) =
            take_parameter(rest).ok_or_else(|| format!("bad parameter at `{rest}`"))?;
        match seen.iter().find(|(n, _)| *n == name) {
            Some((_, other)) if *other != value => {
                return Err(format!("parameter `{name}` stands there twice"));
            }
            Some(_) => {}
            None => seen.push((name, value)),
        }
        rest = after;
    }
}

/// `; name=value` at the start of `text`: the name in lower case, the value unquoted, and what follows.
fn take_parameter(text: &str) -> Option<(String, String, &str)> {
    let (name, rest) = take_token(text.strip_prefix(';')?.trim_start());
    let rest = rest.trim_start().strip_prefix('=')?.trim_start();
    let (value, rest) = match rest.strip_prefix('"') {
        Some(quoted) => take_quoted(quoted)?,
        None => {
            let (value, rest) = take_token(rest);
            (value.to_owned(), rest)
        }
    };
    (!name.is_empty() && !value.is_empty()).then(|| (name.to_ascii_lowercase(), value, rest))
}

/// The value of a quoted string whose opening quote is gone, and what follows the closing one.
fn take_quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            '\r' | '\n' => return None,
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_media_types() {
        for (text, expected) in [
            ("text/plain", Ok(Format::PrometheusText)),
            ("Text/Plain ; Version=0.0.4; charset=utf-8;", Ok(Format::PrometheusText)),
            ("text/plain; charset=\"utf-8\"; charset=utf-8", Ok(Format::PrometheusText)),
            ("application/openmetrics-text; version=1.0.0", Ok(Format::OpenMetrics)),
            ("application/vnd.google.protobuf; encoding=delimited", Ok(Format::Protobuf)),
            ("application/json", Err("the target sends Content-Type `application/json`, which is not a")),
            ("", Err("the target sends no Content-Type")),
            ("text /plain", Err("the target sends Content-Type `text /plain`, which is not a media type")),
            (
                "text/plain; a",
                Err("the target sends Content-Type `text/plain; a`, which is not a media type"),
            ),
            ("text/plain; a=\"x", Err("the target sends")),
            ("text/plain; a=1; A=2", Err("the target sends")),
        ] {
            match (format_of(text), expected) {
                (Ok(got), Ok(wanted)) => assert_eq!(got, wanted, "{text}"),
                (Err(got), Err(wanted)) => assert!(got.to_string().starts_with(wanted), "{text}: {got}"),
                (got, wanted) => panic!("{text}: {got:?}, wanted {wanted:?}"),
            }
        }
    }

    #[test]
    fn falls_back_with_a_warning() {
        let (format, problem) = choose_format("text/html", Some(Protocol::PrometheusText0_0_4));
        assert_eq!(format, Some(Format::PrometheusText));
        assert!(problem.is_some());
        assert_eq!(choose_format("text/html", None).0, None);
    }
}
