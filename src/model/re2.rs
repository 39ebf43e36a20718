//! Regular expressions as users of the field write them: RE2 syntax, as Go's `regexp` reads it.
//!
//! Both engines are linear-time automata and agree on nearly all patterns. This module rewrites what differs: quoted
//! runs (`\Q…\E`), classes that are ASCII in RE2 and Unicode in ours (`\d`, `\w`, `\s`, `\b`), characters that have a
//! meaning inside a class only for us (`[`, `&&`, `--`, `~~`), and braces that RE2 takes as plain text.

use std::fmt;
use std::sync::{Arc, OnceLock};

use regex::Regex;

/// A pattern that is not a regular expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a regular expression: {0}")]
pub struct Re2Error(String);

/// A pattern that compiles.
#[derive(Clone)]
pub struct Re2 {
    source: String,
    /// As our engine reads it, anchors included.
    translated: String,
    /// Compiled, once it is needed.
    regex: Arc<OnceLock<Regex>>,
    /// Whether it matches the empty text: asked of every pattern of a silence, and for every label that is missing.
    matches_empty: bool,
}

impl Re2 {
    /// Matches whole texts; `.` matches a line break. What matchers and relabelling use.
    pub fn anchored(pattern: &str) -> Result<Self, Re2Error> {
        Self::compile(pattern, |p| format!("^(?s:{p})$")).map(Self::kept)
    }

    /// Matches whole texts; `.` does not match a line break. What the matchers of routes and silences use.
    ///
    /// It is compiled again when it is used first. Of a thousand silences an index rules out nearly all before their
    /// patterns are asked, and a compiled pattern takes fifteen kilobytes.
    pub fn anchored_line(pattern: &str) -> Result<Self, Re2Error> {
        Self::compile(pattern, |p| format!("^(?:{p})$")).map(|(re2, _)| re2)
    }

    /// Matches anywhere in a text, as templates' `match` and `reReplaceAll` do.
    pub fn unanchored(pattern: &str) -> Result<Self, Re2Error> {
        Self::compile(pattern, |p| p.to_owned()).map(Self::kept)
    }

    /// Keeps what was compiled.
    fn kept((re2, regex): (Re2, Regex)) -> Re2 {
        // The cell is new.
        let _ = re2.regex.set(regex);
        re2
    }

    fn compile(pattern: &str, wrap: impl Fn(&str) -> String) -> Result<(Self, Regex), Re2Error> {
        let translated = translate(pattern)?;
        // The pattern alone first: `a)(b` must not become valid by being wrapped, and messages show what was written.
        let describe = |text: String| {
            let last = text.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or_default();
            Re2Error(last.trim().trim_start_matches("error: ").to_owned())
        };
        regex_syntax::parse(&translated).map_err(|error| describe(error.to_string()))?;
        let translated = wrap(&translated);
        let regex = Regex::new(&translated).map_err(|error| describe(error.to_string()))?;
        let matches_empty = regex.is_match("");
        Ok((Re2 { source: pattern.to_owned(), translated, regex: Arc::default(), matches_empty }, regex))
    }

    fn regex(&self) -> &Regex {
        self.regex.get_or_init(|| Regex::new(&self.translated).expect("it compiled before"))
    }

    /// The pattern as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The pattern as our engine reads it, anchors included.
    pub(crate) fn translated(&self) -> &str {
        &self.translated
    }

    /// Whether it matches.
    pub fn is_match(&self, text: &str) -> bool {
        if text.is_empty() { self.matches_empty } else { self.regex().is_match(text) }
    }

    /// The groups of the first match; group 0 is the match itself.
    pub fn captures<'t>(&self, text: &'t str) -> Option<regex::Captures<'t>> {
        self.regex().captures(text)
    }

    /// Replaces each match; `$1`, `${1}` and `${name}` stand for groups, as in Go.
    pub fn replace_all(&self, text: &str, replacement: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut end = 0;
        for captures in self.regex().captures_iter(text) {
            let Some(whole) = captures.get(0) else { continue };
            out.push_str(&text[end..whole.start()]);
            expand(&captures, replacement, &mut out);
            end = whole.end();
        }
        out.push_str(&text[end..]);
        out
    }

    /// `replacement` with the groups of the first match filled in; `None` if nothing matches.
    pub fn expand_first(&self, text: &str, replacement: &str) -> Option<String> {
        let captures = self.regex().captures(text)?;
        let mut out = String::new();
        expand(&captures, replacement, &mut out);
        Some(out)
    }
}

impl fmt::Debug for Re2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Re2({:?})", self.source)
    }
}

impl PartialEq for Re2 {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Re2 {}

/// Go's `Expand`: `$name` takes the longest run of letters, digits and underscores; an unknown group is empty; `$$` is `$`.
fn expand(captures: &regex::Captures<'_>, template: &str, out: &mut String) {
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let (name, after) = match rest.strip_prefix('{') {
            Some(inner) => match inner.find('}') {
                Some(close) => (&inner[..close], &inner[close + 1..]),
                None => ("", rest),
            },
            None => {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                (&rest[..end], &rest[end..])
            }
        };
        if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || c == '_') {
            // Malformed: Go writes the dollar sign and goes on behind it.
            out.push('$');
            continue;
        }
        let group = match name.parse::<usize>() {
            Ok(index) => captures.get(index),
            Err(_) => captures.name(name),
        };
        out.push_str(group.map_or("", |g| g.as_str()));
        rest = after;
    }
    out.push_str(rest);
}

/// RE2 syntax to the syntax of the `regex` crate.
fn translate(pattern: &str) -> Result<String, Re2Error> {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut chars = pattern.char_indices().peekable();
    // Inside `[…]`: the number of characters seen since it opened, to know a literal `]` in first place.
    let mut class: Option<usize> = None;
    let mut repeated = Repeated::No;
    while let Some((at, c)) = chars.next() {
        let is_repetition = class.is_none() && repetition(&pattern[at..]).is_some();
        repeated = match (is_repetition, repeated) {
            (false, _) => Repeated::No,
            (true, Repeated::No) => Repeated::Once,
            (true, Repeated::Once) if c == '?' => Repeated::Lazily,
            (true, _) => return Err(Re2Error(format!("invalid nested repetition operator: `{c}`"))),
        };
        match (c, class) {
            ('\\', _) => {
                let Some((_, escaped)) = chars.next() else {
                    return Err(Re2Error("trailing backslash at the end".to_owned()));
                };
                if let Some(seen) = &mut class {
                    *seen += 1;
                }
                match (escaped, class.is_some()) {
                    ('Q', false) => {
                        let body = &pattern[at + 2..];
                        let (quoted, skip) = match body.find("\\E") {
                            Some(end) => (&body[..end], end + 2),
                            None => (body, body.len()),
                        };
                        out.push_str(&regex::escape(quoted));
                        while chars.peek().is_some_and(|(i, _)| *i < at + 2 + skip) {
                            chars.next();
                        }
                    }
                    ('d', true) => out.push_str("0-9"),
                    ('w', true) => out.push_str("0-9A-Za-z_"),
                    ('s', true) => out.push_str("\\t\\n\\f\\r "),
                    ('D', true) => out.push_str("[^0-9]"),
                    ('W', true) => out.push_str("[^0-9A-Za-z_]"),
                    ('S', true) => out.push_str("[^\\t\\n\\f\\r ]"),
                    ('d', false) => out.push_str("[0-9]"),
                    ('w', false) => out.push_str("[0-9A-Za-z_]"),
                    ('s', false) => out.push_str("[\\t\\n\\f\\r ]"),
                    ('D', false) => out.push_str("[^0-9]"),
                    ('W', false) => out.push_str("[^0-9A-Za-z_]"),
                    ('S', false) => out.push_str("[^\\t\\n\\f\\r ]"),
                    ('b', false) => out.push_str("(?-u:\\b)"),
                    // A half-word boundary can fall between the bytes of a character; say it with classes of bytes
                    // that are characters, too.
                    ('B', false) => out.push_str("(?-u:\\B)"),
                    // Octal escapes.
                    ('0'..='7', _) => {
                        let mut value = escaped as u32 - '0' as u32;
                        let mut digits = 1;
                        while digits < 3 {
                            let Some((_, d @ '0'..='7')) = chars.peek().copied() else { break };
                            value = value * 8 + (d as u32 - '0' as u32);
                            digits += 1;
                            chars.next();
                        }
                        if escaped != '0' && digits == 1 {
                            return Err(Re2Error(format!("invalid escape sequence: `\\{escaped}`")));
                        }
                        out.push_str(&format!("\\x{{{value:x}}}"));
                    }
                    ('<' | '>', _) => {
                        // Plain in RE2 when escaped; word boundaries for us.
                        out.push(escaped);
                    }
                    ('x' | 'p' | 'P', _) if pattern[at + 2..].starts_with('{') => {
                        let body = &pattern[at + 2..];
                        let end = body.find('}').ok_or_else(|| {
                            Re2Error(format!("invalid escape sequence: `\\{escaped}{body}`"))
                        })?;
                        match (escaped, body[1..end].strip_prefix('^')) {
                            ('p', Some(name)) => out.push_str(&format!("\\P{{{name}}}")),
                            ('P', Some(name)) => out.push_str(&format!("\\p{{{name}}}")),
                            _ => out.push_str(&pattern[at..at + 3 + end]),
                        }
                        while chars.next_if(|(i, _)| *i < at + 3 + end).is_some() {}
                    }
                    ('a' | 'f' | 'n' | 'r' | 't' | 'v' | 'x' | 'p' | 'P', _) | ('A' | 'z', false) => {
                        out.push('\\');
                        out.push(escaped);
                    }
                    (other, _) if other.is_ascii() && !other.is_ascii_alphanumeric() => {
                        out.push('\\');
                        out.push(other);
                    }
                    (other, _) => return Err(Re2Error(format!("invalid escape sequence: `\\{other}`"))),
                }
            }
            ('(', None) => {
                check_flags(&pattern[at..])?;
                out.push('(');
                // The question mark of `(?:` repeats nothing.
                if chars.next_if(|(_, c)| *c == '?').is_some() {
                    out.push('?');
                }
            }
            ('[', None) => {
                class = Some(0);
                out.push('[');
                if chars.peek().is_some_and(|(_, c)| *c == '^') {
                    chars.next();
                    out.push('^');
                }
            }
            (']', Some(0)) => {
                class = Some(1);
                out.push_str("\\]");
            }
            (']', Some(_)) => {
                class = None;
                out.push(']');
            }
            ('[', Some(seen)) => {
                class = Some(seen + 1);
                if pattern[at..].starts_with("[:")
                    && let Some(end) = pattern[at..].find(":]")
                {
                    let stop = at + end + 2;
                    let name = &pattern[at + 2..at + end];
                    if !CLASSES.contains(&name.strip_prefix('^').unwrap_or(name)) {
                        return Err(Re2Error(format!("invalid character class range: `[:{name}:]`")));
                    }
                    out.push_str(&pattern[at..stop]);
                    while chars.peek().is_some_and(|(i, _)| *i < stop) {
                        chars.next();
                    }
                } else {
                    out.push_str("\\[");
                }
            }
            ('&' | '~', Some(seen)) => {
                class = Some(seen + 1);
                out.push('\\');
                out.push(c);
            }
            ('-', Some(seen)) => {
                class = Some(seen + 1);
                let last = chars.peek().is_some_and(|(_, c)| *c == ']');
                let doubled = chars.peek().is_some_and(|(_, c)| *c == '-');
                out.push_str(if seen == 0 || last || doubled { "\\-" } else { "-" });
            }
            (_, Some(seen)) => {
                class = Some(seen + 1);
                out.push(c);
            }
            ('{', None) => {
                // A repetition only as `{n}`, `{n,}` or `{n,m}`; otherwise plain text.
                let Some(len) = repetition(&pattern[at..]) else {
                    out.push_str("\\{");
                    continue;
                };
                let written = &pattern[at..at + len];
                let counts = written.split(|c: char| !c.is_ascii_digit()).filter(|count| !count.is_empty());
                if counts.clone().any(|count| count.parse::<u32>().map_or(true, |count| count > REPEATS_MAX))
                {
                    return Err(Re2Error(format!(
                        "invalid repeat count: `{written}`, at most {REPEATS_MAX}"
                    )));
                }
                out.push_str(written);
                while chars.next_if(|(i, _)| *i < at + len).is_some() {}
            }
            ('}', None) => out.push_str("\\}"),
            _ => out.push(c),
        }
    }
    Ok(out)
}

/// Classes by name.
const CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "word", "xdigit",
];

/// RE2's own bound.
const REPEATS_MAX: u32 = 1000;

/// Whether what stands before is repeated already: `a**` is a mistake in RE2, `a*?` is not.
enum Repeated {
    No,
    Once,
    Lazily,
}

/// The length of the repetition at the start of a pattern, if there is one.
fn repetition(pattern: &str) -> Option<usize> {
    let body = match pattern.as_bytes().first()? {
        b'*' | b'+' | b'?' => return Some(1),
        b'{' => &pattern[1..],
        _ => return None,
    };
    let end = body.find('}')?;
    let (low, high) = body[..end].split_once(',').unwrap_or((&body[..end], "0"));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    (!low.is_empty() && digits(low) && digits(high)).then_some(end + 2)
}

/// Groups have the flags `i`, `m`, `s` and `U`; ours would know more.
fn check_flags(pattern: &str) -> Result<(), Re2Error> {
    let Some(flags) = pattern.strip_prefix("(?") else { return Ok(()) };
    let flags = &flags[..flags.find(|c: char| !c.is_ascii_alphabetic() && c != '-').unwrap_or(flags.len())];
    let named = flags == "P" && pattern.starts_with("(?P<");
    match flags.chars().all(|c| matches!(c, 'i' | 'm' | 's' | 'U' | '-')) || named {
        true => Ok(()),
        false => Err(Re2Error(format!("invalid or unsupported Perl syntax: `(?{flags}`"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_re2_syntax() {
        for (pattern, text, expected) in [
            (r"\Qa.b\E+", "a.bb", true),
            (r"\Qa.b\E", "axb", false),
            (r"\d+", "12", true),
            (r"\d+", "١٢", false),
            (r"[\w.]+", "a_1.b", true),
            (r"\w", "é", false),
            ("[[:alpha:]]+", "abc", true),
            ("[a[b]", "[", true),
            ("[a&&b]", "&", true),
            ("[]a]", "]", true),
            ("[a-]", "-", true),
            ("a{,2}", "a{,2}", true),
            ("a{2}", "aa", true),
            ("x}", "x}", true),
            ("{", "{", true),
            (r"a\.b", "a.b", true),
            (r"\x41", "A", true),
            (r"\101", "A", true),
            ("(?P<x>a)b", "ab", true),
            ("(?:a|b)c", "bc", true),
            (".", "\n", true),
            (r"\pL+", "äb", true),
            ("a*?b+?c??", "ab", true),
            ("a{2}?", "aa", true),
            ("(?i)A(?s-i:.)(?<x>b)(?:c)?", "a\nb", true),
            (r"\_\-\a\z", "_-\u{7}", true),
            ("[*+]?{1", "+{1", true),
            ("a{1000}", "a", false),
            (r"\p{Greek}+\P{^Greek}[\p{L}\x{e9}]", "αβé", true),
            (r"\p{^Greek}\x{1F600}{2}", "a😀😀", true),
        ] {
            let regex = Re2::anchored(pattern).unwrap_or_else(|e| panic!("{pattern}: {e}"));
            assert_eq!(regex.is_match(text), expected, "{pattern} against {text:?}");
        }
    }

    #[test]
    fn refuses_what_is_no_regular_expression() {
        for pattern in [
            "a(",
            "a)(b",
            "*a",
            "[a",
            r"a\",
            "(?<=a)b",
            r"\8",
            r"\u00e9",
            r"\U0001F642",
            r"\é",
            r"\Z",
            r"\h",
            r"[\b]",
            r"[\A]",
            "a**",
            "a+*",
            "a{2}{3}",
            "a???",
            "a{1001}",
            "a{1,1001}",
            "(?x)a",
            "(?u:a)",
            "(?-u)a",
            r"\C",
            "[[:foo:]]",
            r"\p{Nope}",
            r"\x{41",
        ] {
            assert!(Re2::anchored(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn expands_groups_as_go_does() {
        let regex = Re2::anchored("(?P<x>a+)-(b+)").unwrap();
        for (template, expected) in [
            ("$1", "aa"),
            ("${1}0", "aa0"),
            ("$10", ""),
            ("$x:$2", "aa:b"),
            ("$$1", "$1"),
            ("$1_x", ""),
            ("a$", "a$"),
            ("$9", ""),
            ("${1", "${1"),
        ] {
            assert_eq!(regex.expand_first("aa-b", template).unwrap(), expected, "{template}");
        }
    }
}
