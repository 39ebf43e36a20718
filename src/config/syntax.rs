//! What is wrong with text that is not YAML, in words that name the mistake, and how to go on reading behind it.
//!
//! A parser notices a missing quote far from where it is missing. Here the nearest likely cause is looked for: a quote
//! that is never closed, a tab, a colon in text without quotes, a template without quotes.

use granit_parser::{ErrorKind, ScanError};

use crate::Severity;
use crate::source::{Marked, Report, Source, Span, key_of, looks_secret};

/// A mistake, and the text without it.
pub(crate) struct Found {
    pub(crate) problem: Report,
    pub(crate) repair: Option<Repair>,
}

/// A text of the same length that can be read further.
pub(crate) struct Repair {
    pub(crate) text: String,
    /// Where the value that was taken out begins.
    pub(crate) broken: Option<usize>,
}

/// What was meant to be said about one line.
struct Cause {
    line: usize,
    span: Span,
    what: String,
    hint: Option<String>,
}

/// Explains `error`, which reading `text` gave: `source` with some values taken out already.
pub(crate) fn explain(source: &Source, text: &str, error: &ScanError, file: usize) -> Found {
    let at = error.marker().byte_offset().unwrap_or(source.text.len()).min(text.len());
    let reading = Source::new(source.path.clone(), text.to_owned());
    let line = last_line_with_text(&reading, reading.line_index(at));
    if let Some(cause) = tab(&reading, line, file) {
        let (problem, repair) = (report(cause), without_tabs(text));
        return Found { problem, repair };
    }
    let cause = unclosed_quote(&reading, error.kind(), line, file)
        .or_else(|| unquoted_template(&reading, line, file))
        .or_else(|| colon_in_text(&reading, error.kind(), line, file))
        .or_else(|| colon_without_space(&reading, error.kind(), line, file))
        .or_else(|| backslash(&reading, error.kind(), at, file))
        .unwrap_or_else(|| plainly(&reading, error.kind(), at, line, file));
    let repair = without_value(&reading, cause.line);
    Found { problem: report(cause), repair }
}

fn report(cause: Cause) -> Report {
    let Cause { span, what, hint, .. } = cause;
    Report { severity: Severity::Error, span, marked: Marked::Unread, path: String::new(), what, hint }
}

/// The text with every tab that indents replaced by a space; `None` if there is none.
fn without_tabs(text: &str) -> Option<Repair> {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
        out.push_str(&line[..indent].replace('\t', " "));
        out.push_str(&line[indent..]);
    }
    (out != text).then_some(Repair { text: out, broken: None })
}

/// The line itself, or the nearest above it that is not blank: at the end of a file there is nothing to show.
fn last_line_with_text(source: &Source, line: usize) -> usize {
    let line = line.min(source.line_count().saturating_sub(1));
    (0..=line).rev().find(|index| !source.line(*index).trim().is_empty()).unwrap_or(line)
}

/// The text with the value of `line` replaced by blanks and `~`; `None` if the line is not `key: value` or `- value`.
fn without_value(source: &Source, line: usize) -> Option<Repair> {
    let text = source.line(line);
    let from = value_start(text)?;
    let value = text[from..].trim_end();
    if value.is_empty() || value == "~" {
        return None;
    }
    let start = source.line_start(line) + from;
    let mut out = String::with_capacity(source.text.len());
    out.push_str(&source.text[..start]);
    out.push('~');
    out.push_str(&" ".repeat(value.len() - 1));
    out.push_str(&source.text[start + value.len()..]);
    Some(Repair { text: out, broken: Some(start) })
}

/// Where the value of a `key: value` or `- value` line begins.
fn value_start(line: &str) -> Option<usize> {
    if line.trim_start().starts_with('#') {
        return None;
    }
    let from = match key_of(line) {
        Some((_, from)) => from,
        None => {
            let indent = line.len() - line.trim_start().len();
            line[indent..].starts_with("- ").then_some(indent + 2)?
        }
    };
    let blanks = line[from..].len() - line[from..].trim_start().len();
    Some(from + blanks)
}

/// The nearest line at or above `line` whose value begins with a quote that is not closed on it.
fn unclosed_quote(source: &Source, kind: &ErrorKind, line: usize, file: usize) -> Option<Cause> {
    let by_quotes = matches!(
        kind,
        ErrorKind::UnclosedQuotedScalar
            | ErrorKind::InvalidTrailingDoubleQuotedScalar
            | ErrorKind::InvalidTrailingSingleQuotedScalar
            | ErrorKind::InvalidQuotedScalarIndent
            | ErrorKind::DocumentIndicatorInQuotedScalar
            | ErrorKind::UnknownQuotedScalarEscape
            | ErrorKind::SimpleKeyExpected
            | ErrorKind::ExpectedBlockMappingKey
            | ErrorKind::MappingValueNotAllowed
            | ErrorKind::TabInIndentation
    );
    if !by_quotes {
        return None;
    }
    let unclosed = matches!(kind, ErrorKind::UnclosedQuotedScalar);
    let lowest = if unclosed { 0 } else { line.saturating_sub(30) };
    for index in (lowest..=line).rev() {
        let text = source.line(index);
        let Some(from) = value_start(text) else { continue };
        let quote = match text[from..].chars().next() {
            Some(quote @ ('"' | '\'')) => quote,
            _ => continue,
        };
        if closes(&text[from + 1..], quote) {
            // A closed quote on the failing line is no cause; neither can one above it be crossed.
            if index == line {
                continue;
            }
            return None;
        }
        let start = source.line_start(index) + from;
        let span = Span { file, start, end: source.line_start(index) + text.trim_end().len() };
        let hint = format!("add {quote} at the end of line {}", index + 1);
        return Some(Cause {
            line: index,
            span,
            what: "this quote is never closed".to_owned(),
            hint: Some(hint),
        });
    }
    None
}

/// Whether `rest`, which follows an opening quote, closes it.
fn closes(rest: &str, quote: char) -> bool {
    let mut chars = rest.chars().peekable();
    while let Some(c) = chars.next() {
        if quote == '"' && c == '\\' {
            chars.next();
        } else if c == quote {
            if quote == '\'' && chars.peek() == Some(&'\'') {
                chars.next();
                continue;
            }
            return true;
        }
    }
    false
}

/// A tab where lines are indented.
fn tab(source: &Source, line: usize, file: usize) -> Option<Cause> {
    let text = source.line(line);
    let indent = text.len() - text.trim_start_matches([' ', '\t']).len();
    let at = text[..indent].find('\t')?;
    let start = source.line_start(line) + at;
    let tabs = text[at..].chars().take_while(|c| *c == '\t').count();
    Some(Cause {
        line,
        span: Span { file, start, end: start + tabs },
        what: "a tab cannot indent".to_owned(),
        hint: Some("use spaces".to_owned()),
    })
}

/// `key: {{ … }} text`: a template that YAML takes for a mapping.
fn unquoted_template(source: &Source, line: usize, file: usize) -> Option<Cause> {
    let text = source.line(line);
    let from = value_start(text)?;
    let value = text[from..].trim_end();
    if !value.starts_with("{{") {
        return None;
    }
    let start = source.line_start(line) + from;
    Some(Cause {
        line,
        span: Span { file, start, end: start + value.len() },
        what: "a text that begins with `{` needs quotes".to_owned(),
        hint: Some(format!("write {}", quoted_unless_secret(text, value))),
    })
}

/// `key: text: more`: a colon that YAML takes for a second key.
fn colon_in_text(source: &Source, kind: &ErrorKind, line: usize, file: usize) -> Option<Cause> {
    if !matches!(kind, ErrorKind::MappingValueNotAllowed | ErrorKind::SimpleKeyExpected) {
        return None;
    }
    let text = source.line(line);
    let from = value_start(text)?;
    let value = text[from..].trim_end();
    let colon = value.find(": ").or_else(|| value.strip_suffix(':').map(str::len))?;
    if value.starts_with(['"', '\'', '{', '[', '|', '>', '#']) {
        return None;
    }
    let start = source.line_start(line) + from + colon;
    Some(Cause {
        line,
        span: Span { file, start, end: start + 1 },
        what: "a text with `: ` in it needs quotes".to_owned(),
        hint: Some(format!("write {}", quoted_unless_secret(text, value))),
    })
}

/// `key:value` above the line where the next key is not expected.
fn colon_without_space(source: &Source, kind: &ErrorKind, line: usize, file: usize) -> Option<Cause> {
    if !matches!(kind, ErrorKind::MappingValueNotAllowed | ErrorKind::SimpleKeyExpected) {
        return None;
    }
    let above = (0..line).rev().find(|index| !source.line(*index).trim().is_empty())?;
    let text = source.line(above);
    let word = text.trim_start().trim_start_matches("- ");
    let (key, value) = word.split_once(':')?;
    let is_key = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_key || value.is_empty() || value.starts_with([' ', '/']) {
        return None;
    }
    let start = source.line_start(above) + text.len() - word.len() + key.len();
    Some(Cause {
        line: above,
        span: Span { file, start, end: start + 1 },
        what: "a colon needs a space behind it".to_owned(),
        hint: Some(format!("write `{key}: …`")),
    })
}

/// The backslash that begins no escape, in the text that begins at `at`.
fn backslash(source: &Source, kind: &ErrorKind, at: usize, file: usize) -> Option<Cause> {
    if *kind != ErrorKind::UnknownQuotedScalarEscape {
        return None;
    }
    let rest = source.text.get(at..)?;
    let mut chars = rest.char_indices();
    let start = loop {
        let (offset, c) = chars.next()?;
        if c == '\\' {
            let (_, next) = chars.next()?;
            if !"0abt\tnvfre \"/\\N_LPxuU\n\r".contains(next) {
                break at + offset;
            }
        }
    };
    let (what, hint) = words(kind);
    let span = Span { file, start, end: start + 2 };
    Some(Cause { line: source.line_index(start), span, what, hint: hint.map(str::to_owned) })
}

/// The value in quotes, for a hint; of a secret only the way to do it.
fn quoted_unless_secret(line: &str, value: &str) -> String {
    let secret = key_of(line).is_some_and(|(key, _)| looks_secret(key) || key.ends_with("url"));
    if secret { "\"…\"".to_owned() } else { quoted(value) }
}

fn quoted(value: &str) -> String {
    let short: String = value.chars().take(60).collect();
    let more = if short.len() < value.len() { "…" } else { "" };
    if value.contains('"') { format!("'{short}{more}'") } else { format!("\"{short}{more}\"") }
}

/// The parser's own finding.
fn plainly(source: &Source, kind: &ErrorKind, at: usize, line: usize, file: usize) -> Cause {
    let line_start = source.line_start(line);
    let text = source.line(line);
    let end = line_start + text.trim_end().len();
    // At the end of the file the last line with text is shown, marked at its end.
    let start = if at > end { end.saturating_sub(1).max(line_start) } else { at.max(line_start) };
    let (what, hint) = words(kind);
    Cause { line, span: Span { file, start, end: start + 1 }, what, hint: hint.map(str::to_owned) }
}

fn words(kind: &ErrorKind) -> (String, Option<&'static str>) {
    let both = |what: &str, hint: &'static str| (what.to_owned(), Some(hint));
    match kind {
        ErrorKind::UnclosedFlowCollection { open } => {
            let hint = if *open == '[' { "add `]`" } else { "add `}`" };
            (format!("`{open}` is never closed"), Some(hint))
        }
        ErrorKind::UnexpectedEofFlowSequence | ErrorKind::ExpectedFlowSequenceSeparator => {
            both("this list in `[…]` is not closed", "add `]`, or a comma between its items")
        }
        ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnexpectedEofImplicitFlowMapping
        | ErrorKind::ExpectedFlowMappingSeparator => {
            both("this mapping in `{…}` is not closed", "add `}`, or a comma between its entries")
        }
        ErrorKind::MismatchedFlowCollectionEnd { open, close } => {
            (format!("`{open}` is closed by `{close}`"), Some("use brackets of one kind"))
        }
        ErrorKind::MisplacedFlowCollectionEnd => {
            both("this bracket closes nothing", "take it out, or quote the text")
        }
        ErrorKind::ExpectedBlockMappingKey | ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => {
            both(
                "this line is not `key: value`",
                "check its indentation, and that the colon is followed by a space",
            )
        }
        ErrorKind::ExpectedBlockSequenceEntry | ErrorKind::BlockSequenceEntryNotAllowed => both(
            "a list item does not fit here",
            "indent all items of a list alike, and nothing else as deep",
        ),
        ErrorKind::InvalidIndentation => {
            both("this line is indented differently from its neighbours", "align it")
        }
        ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabNotAllowed
        | ErrorKind::TabInPlainScalar
        | ErrorKind::TabAtBlockScalarStart => both("a tab cannot stand here", "use spaces"),
        ErrorKind::MappingValueNotAllowed | ErrorKind::MappingKeyNotAllowed => both(
            "a mapping cannot begin here",
            "indent it under its key on a new line, or quote the text if it is text",
        ),
        ErrorKind::UnexpectedCharacter { character } => {
            (format!("a text cannot begin with `{}`", character.escape_debug()), Some("put it in quotes"))
        }
        ErrorKind::UnknownQuotedScalarEscape
        | ErrorKind::InvalidQuotedScalarHexEscape
        | ErrorKind::InvalidUnicodeEscape => both(
            "this backslash does not begin a known escape",
            "write `\\\\` for a backslash, or use single quotes, in which it has no meaning",
        ),
        ErrorKind::InvalidBlockScalarIndent => both(
            "this line of the text block is indented less than its first",
            "indent all lines of the block alike",
        ),
        ErrorKind::InvalidTrailingDoubleQuotedScalar | ErrorKind::InvalidTrailingSingleQuotedScalar => both(
            "something follows the closing quote",
            "quote the whole text, and write quotes inside it as \\\" or ''",
        ),
        ErrorKind::RecursionLimitExceeded => ("values stand too deep in each other".to_owned(), None),
        other => (format!("not YAML: {other}"), None),
    }
}

#[cfg(test)]
mod tests {
    use crate::source::Source;
    use crate::tree;

    /// Line, column, words and hint of each problem with the form of a text.
    fn check(text: &str, expected: &[(u32, u32, &str)]) {
        let source = Source::new("f.yml".into(), text.to_owned());
        let tree = tree::parse(&source, 0);
        let found: Vec<(u32, u32, String)> = tree
            .problems
            .iter()
            .map(|p| (source.place(p.span.start), p.what.clone()))
            .map(|(p, w)| (p.line, p.column, w))
            .collect();
        let expected: Vec<(u32, u32, String)> =
            expected.iter().map(|(l, c, w)| (*l, *c, (*w).to_owned())).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn a_quote_that_is_never_closed_is_found_where_it_opens() {
        check("a: 1\nb: \"open\nc: 2\n", &[(2, 4, "this quote is never closed")]);
        check("a:\n  b: \"open\n  c: \"closed\"\nd: 1\n", &[(2, 6, "this quote is never closed")]);
        check("a:\n  - 'open\n  - b\n", &[(2, 5, "this quote is never closed")]);
    }

    #[test]
    fn several_mistakes_of_form_are_all_found() {
        check(
            "a: \"open\nb: x: y\nc: {{ $labels.x }} is down\nd: 1\n",
            &[
                (1, 4, "this quote is never closed"),
                (2, 5, "a text with `: ` in it needs quotes"),
                (3, 4, "a text that begins with `{` needs quotes"),
            ],
        );
    }

    #[test]
    fn other_mistakes_of_form() {
        check("a:\n\tb: 1\n", &[(2, 1, "a tab cannot indent")]);
        check("a: [1, 2\n", &[(1, 4, "`[` is never closed")]);
        check("a: 1\na: 2\n", &[(2, 1, "key `a` is set twice in this mapping")]);
        check("a: *b\n", &[(1, 4, "`*b` refers to an anchor that does not exist")]);
        check("a: @b\n", &[(1, 4, "a text cannot begin with `@`")]);
        check("? [a]\n: b\n", &[(1, 4, "a key must be text, not a list or a mapping")]);
    }

    #[test]
    fn aliases_that_multiply_are_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..9 {
            let item = format!("*a{}", n - 1);
            let items = vec![item; 10].join(", ");
            text.push_str(&format!("a{n}: &a{n} [{items}]\n"));
        }
        let source = Source::new("f.yml".into(), text);
        let tree = tree::parse(&source, 0);
        assert_eq!(tree.problems.len(), 1, "{:?}", tree.problems);
        assert!(tree.problems[0].what.starts_with("aliases make more than"));
    }
}
