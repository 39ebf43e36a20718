//! Texts with places: from an offset to line, column and the line to show.
//!
//! A shown line must not give away a secret: values of keys that look like secrets are masked, and passwords in URLs.

use std::path::{Path, PathBuf};

use crate::{Place, Problem, Severity, Snippet};

/// A file that was read.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    /// Offset of each line's first byte.
    lines: Vec<usize>,
}

/// A range of bytes in one of the sources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) file: usize,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// The longest line that is shown whole, in characters.
const SHOWN_WIDTH: usize = 120;

impl Source {
    pub(crate) fn new(path: PathBuf, text: String) -> Self {
        let starts = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(starts).collect();
        Source { path, text, lines }
    }

    /// Where paths in this file start.
    pub(crate) fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// Index of the line that holds `offset`, from 0.
    pub(crate) fn line_index(&self, offset: usize) -> usize {
        self.lines.partition_point(|start| *start <= offset).saturating_sub(1)
    }

    /// The text of a line, without its end.
    pub(crate) fn line(&self, index: usize) -> &str {
        let Some(start) = self.lines.get(index) else { return "" };
        let end = self.lines.get(index + 1).map_or(self.text.len(), |next| next - 1);
        self.text[*start..end].trim_end_matches('\r')
    }

    /// Offset of a line's first byte.
    pub(crate) fn line_start(&self, index: usize) -> usize {
        self.lines.get(index).copied().unwrap_or(self.text.len())
    }

    pub(crate) fn line_count(&self) -> usize {
        self.lines.len()
    }

    /// The nearest boundary of characters at or before `offset`.
    fn boundary(&self, offset: usize) -> usize {
        let mut at = offset.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }

    pub(crate) fn place(&self, offset: usize) -> Place {
        let offset = self.boundary(offset);
        let index = self.line_index(offset);
        let column = self.text[self.lines[index]..offset].chars().count() + 1;
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Place { file: self.path.clone(), line: number(index + 1), column: number(column) }
    }

    /// The line of `start` with `start..end` marked as far as it is on that line. `secrets` are ranges of this text that
    /// must not be seen, `marked` says whether what is marked is one.
    fn snippet(
        &self,
        start: usize,
        end: usize,
        marked: Marked,
        secrets: &[(usize, usize)],
    ) -> Option<Snippet> {
        let (start, end) = (self.boundary(start), self.boundary(end));
        let index = self.line_index(start);
        let line = self.line(index);
        if line.trim().is_empty() {
            return None;
        }
        let line_start = self.lines[index];
        let in_line = |offset: usize| offset.saturating_sub(line_start).min(line.len());
        let (from, to) = (in_line(start), in_line(end).max(in_line(start)));
        let mut hidden = secret_ranges(line, marked == Marked::Unread);
        hidden.extend(secrets.iter().filter(|(a, b)| *a < line_start + line.len() && *b > line_start).map(
            |(a, b)| {
                let low = if *a < line_start { line.len() - line.trim_start().len() } else { in_line(*a) };
                (low, in_line(*b))
            },
        ));
        let ends_key = |at: &usize| {
            let next = line[to + at + 1..].chars().next();
            line[to..to + at].trim().is_empty() && next.is_none_or(char::is_whitespace)
        };
        let colon = line[to..].find(':').filter(ends_key);
        match (marked, colon) {
            (Marked::Plain | Marked::Unread, _) => {}
            // A key: what it names is behind the colon.
            (Marked::Secret, Some(colon)) => {
                let value = &line[to + colon + 1..];
                hidden.push((line.len() - value.trim_start().len(), line.len()));
            }
            (Marked::Secret, None) => hidden.push((from, to)),
        }
        if secret_above(self, index) {
            hidden.push((line.len() - line.trim_start().len(), line.len()));
        }
        let (before, middle, after) = mask_parts(line, from, to, merged(hidden));
        Some(cut(&before.replace('\t', " "), middle.replace('\t', " ").trim_end(), &after))
    }

    /// A problem at `span`.
    pub(crate) fn problem(&self, report: &Report, secrets: &[(usize, usize)]) -> Problem {
        let Report { severity, span, marked, path, what, hint } = report;
        Problem {
            severity: *severity,
            place: self.place(span.start),
            path: path.clone(),
            what: what.clone(),
            hint: hint.clone(),
            snippet: self.snippet(span.start, span.end, *marked, secrets),
        }
    }
}

/// Whether what a problem marks may be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Marked {
    Plain,
    /// The text could not be read: more of it may be secret than is known.
    Unread,
    /// The marked value, or the value of the marked key, is a secret.
    Secret,
}

/// A problem before its line is cut out: which parts of it are secret is known at the end.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) severity: Severity,
    pub(crate) span: Span,
    pub(crate) marked: Marked,
    pub(crate) path: String,
    pub(crate) what: String,
    pub(crate) hint: Option<String>,
}

/// A line in three parts, cut around the marked one if it is long.
fn cut(before: &str, marked: &str, after: &str) -> Snippet {
    let marked: Vec<char> = marked.chars().take(SHOWN_WIDTH).collect();
    let before: Vec<char> = before.chars().collect();
    let after: Vec<char> = after.trim_end().chars().collect();
    let room = SHOWN_WIDTH - marked.len();
    if before.len() + after.len() <= room {
        let start = before.len();
        let length = marked.len().max(1);
        return Snippet { text: before.into_iter().chain(marked).chain(after).collect(), start, length };
    }
    let keep_before = before.len().min(room * 2 / 3);
    let keep_after = after.len().min(room - keep_before);
    let mut text = String::new();
    if keep_before < before.len() {
        text.push('…');
    }
    text.extend(&before[before.len() - keep_before..]);
    let start = text.chars().count();
    let length = marked.len().max(1);
    text.extend(marked);
    text.extend(&after[..keep_after]);
    if keep_after < after.len() {
        text.push('…');
    }
    Snippet { text, start, length }
}

/// Words in a key that say that its value is a secret.
const SECRET_WORDS: [&str; 11] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "credentials",
    "credential",
    "webhook",
    "apikey",
    "bearer",
    "cookie",
];
/// Whole keys, or ends of keys, that hold secrets.
const SECRET_ENDS: [&str; 11] = [
    "api_key",
    "routing_key",
    "service_key",
    "user_key",
    "private_key",
    "secret_key",
    "application_key",
    "consumer_key",
    "authorization",
    "basic_auth",
    "oauth2",
];

/// Whether a key, well or badly spelled, is likely to hold a secret.
pub(crate) fn looks_secret(key: &str) -> bool {
    let key = key.trim().trim_matches(['"', '\'']).to_ascii_lowercase().replace('-', "_");
    if key.ends_with("_file") || key.ends_with("_ref") {
        return false;
    }
    if key == "key" || SECRET_ENDS.iter().any(|end| key.ends_with(end)) {
        return true;
    }
    key.split('_').any(|word| {
        let near = |secret: &&str| word.len() >= 5 && strsim::damerau_levenshtein(word, secret) <= 1;
        SECRET_WORDS.contains(&word) || SECRET_WORDS.iter().any(near)
    })
}

/// Whether line `index` is the inside of a block of text that belongs to a key for a secret.
fn secret_above(source: &Source, index: usize) -> bool {
    let line = source.line(index);
    if key_of(line).is_some() {
        return false;
    }
    let indent = line.len() - line.trim_start().len();
    for above in (0..index).rev() {
        let candidate = source.line(above);
        let candidate_indent = candidate.len() - candidate.trim_start().len();
        if candidate.trim().is_empty() || candidate_indent >= indent {
            continue;
        }
        return key_of(candidate).is_some_and(|(key, _)| looks_secret(key));
    }
    false
}

/// The key at the start of a line, and the offset of what follows its colon.
pub(crate) fn key_of(line: &str) -> Option<(&str, usize)> {
    let mut start = line.len() - line.trim_start().len();
    while line[start..].starts_with("- ") {
        start += 2;
        start += line[start..].len() - line[start..].trim_start().len();
    }
    let rest = &line[start..];
    let colon = rest.find(": ").or_else(|| rest.strip_suffix(':').map(str::len))?;
    let key = &rest[..colon];
    let plain = |c: char| c.is_alphanumeric() || "_-.\"'/ ".contains(c);
    (!key.is_empty() && key.chars().all(plain)).then(|| (key, (start + colon + 2).min(line.len())))
}

/// `line` cut at the two offsets, without its hidden ranges; a mark that touches one covers it.
fn mask_parts(line: &str, from: usize, to: usize, hidden: Vec<(usize, usize)>) -> (String, String, String) {
    let touches = |(a, b): &&(usize, usize)| *a < to.max(from + 1) && *b > from;
    let from = hidden.iter().filter(touches).map(|(a, _)| *a).min().unwrap_or(from).min(from);
    let to = hidden.iter().filter(touches).map(|(_, b)| *b).max().unwrap_or(to).max(to);
    let part = |low: usize, high: usize| {
        let mut out = String::new();
        let mut at = low;
        for (start, end) in &hidden {
            if *start >= low && *end <= high {
                out.push_str(&line[at..*start]);
                out.push_str("<secret>");
                at = *end;
            }
        }
        out.push_str(&line[at..high]);
        out
    };
    (part(0, from), part(from, to), part(to, line.len()))
}

/// A line without its secrets.
#[cfg(test)]
fn mask_line(line: &str) -> String {
    let (before, middle, after) = mask_parts(line, 0, 0, merged(secret_ranges(line, false)));
    before + &middle + &after
}

/// Ranges in order, those that touch joined.
fn merged(mut ranges: Vec<(usize, usize)>) -> Vec<(usize, usize)> {
    ranges.retain(|(start, end)| start < end);
    ranges.sort_unstable();
    let mut out: Vec<(usize, usize)> = Vec::new();
    for (start, end) in ranges {
        match out.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => out.push((start, end)),
        }
    }
    out
}

/// What of a line must not be seen: values of keys that look secret, and passwords and tokens in URLs.
fn secret_ranges(line: &str, unread: bool) -> Vec<(usize, usize)> {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    let separators = |c: char| c == '{' || c == ',' || c.is_whitespace();
    for (colon, _) in line.match_indices(':') {
        let key = line[..colon].rsplit(separators).next().unwrap_or_default();
        // Addresses of webhooks are secrets, others are not; which is which is not known in text that was not read.
        let may_be_webhook = unread && (key == "url" || key.ends_with("_url"));
        if !looks_secret(key) && !may_be_webhook {
            continue;
        }
        let value = &line[colon + 1..];
        let blanks = value.len() - value.trim_start().len();
        // What is in a mapping has keys of its own; but the names of `secrets` are anybody's.
        if value[blanks..].starts_with('{') && !key.contains("secrets") {
            continue;
        }
        let in_flow = line[..colon].contains('{');
        let end = match value[blanks..].chars().next() {
            Some(quote @ ('"' | '\'')) if in_flow => {
                value[blanks + 1..].find(quote).map(|at| blanks + 2 + at)
            }
            _ if in_flow => value.find([',', '}']),
            _ => None,
        };
        let end = end.unwrap_or(value.len());
        if blanks < end {
            ranges.push((colon + 1 + blanks, colon + 1 + end));
        }
    }
    for (at, _) in line.match_indices("://") {
        let rest = &line[at + 3..];
        let end = rest.find(|c: char| c.is_whitespace() || "\"'`,".contains(c)).unwrap_or(rest.len());
        let host = rest[..end].find('/').unwrap_or(end);
        if let Some(user_end) = rest[..host].rfind('@') {
            ranges.push((at + 3, at + 3 + user_end));
        }
        // Webhooks carry their secret in the path or the query.
        let tail = &rest[host..end];
        if ["webhook", "hooks", "services", "token", "key="].iter().any(|w| rest[..end].contains(w))
            && tail.len() > 1
        {
            ranges.push((at + 3 + host + 1, at + 3 + end));
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_characters() {
        let source = Source::new("f".into(), "ä: 1\nöx: 2\n".into());
        let place = source.place(source.text.find('x').unwrap());
        assert_eq!((place.line, place.column), (2, 2));
        assert_eq!(source.line(1), "öx: 2");
        assert_eq!(source.place(1000).line, 3);
    }

    #[test]
    fn lines_hide_secrets() {
        for (line, shown) in [
            ("  password: hunter2", "  password: <secret>"),
            ("  pasword: hunter2", "  pasword: <secret>"),
            ("{api_key: abc, name: x}", "{api_key: <secret>, name: x}"),
            ("url: http://me:pw@host/x", "url: http://<secret>@host/x"),
            ("url: https://discord.com/api/webhooks/1/abc", "url: https://discord.com/<secret>"),
            ("password_file: /run/x", "password_file: /run/x"),
            ("scrape_interval: 5s", "scrape_interval: 5s"),
            ("authorization: Bearer abc", "authorization: <secret>"),
        ] {
            assert_eq!(mask_line(line), shown);
        }
    }

    #[test]
    fn a_secret_is_not_shown_beside_its_key() {
        let source = Source::new("f".into(), "  slack_api_url: http://hush/ # x\n".into());
        let snippet = |part: &str, marked, secrets: &[(usize, usize)]| {
            let at = source.text.find(part).unwrap();
            let snippet = source.snippet(at, at + part.len(), marked, secrets).unwrap();
            let mark: String = snippet.text.chars().skip(snippet.start).take(snippet.length).collect();
            (snippet.text, mark)
        };
        let hidden = |mark: &str| ("  slack_api_url: <secret>".to_owned(), mark.to_owned());
        assert_eq!(snippet("slack_api_url", Marked::Secret, &[]), hidden("slack_api_url"));
        let (text, mark) = snippet("http://hush/", Marked::Secret, &[]);
        assert_eq!((text.as_str(), mark.as_str()), ("  slack_api_url: <secret> # x", "<secret>"));
        let (text, mark) = snippet("slack", Marked::Plain, &[(17, 29)]);
        assert_eq!((text.as_str(), mark.as_str()), ("  slack_api_url: <secret> # x", "slack"));
        assert_eq!(snippet("hush", Marked::Plain, &[(17, 29)]).1, "<secret>");
    }

    #[test]
    fn long_lines_are_cut_around_the_mark() {
        let snippet = cut(&"a".repeat(300), "mark", &"b".repeat(300));
        assert!(snippet.text.chars().count() <= SHOWN_WIDTH + 2);
        let marked: String = snippet.text.chars().skip(snippet.start).take(snippet.length).collect();
        assert_eq!(marked, "mark");
    }

    #[test]
    fn blocks_under_a_secret_key_are_hidden() {
        let source = Source::new("f".into(), "a:\n  private_key: |\n    abc def\n".into());
        let at = source.text.find("abc").unwrap();
        let snippet = source.snippet(at, at + 3, Marked::Plain, &[]).unwrap();
        assert!(!snippet.text.contains("abc"), "{}", snippet.text);
    }
}
