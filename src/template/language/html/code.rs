//! Scripts and styles, read as far as is of use to know where in them a value stands.

use super::{Html, Script, Style, UrlPart};

/// In place of a sign of a script that, as for Go, says nothing about a slash behind it.
const NO_SIGN: char = '\u{1}';

/// What begins a comment that ends with the line.
const LINE_COMMENTS: [&str; 4] = ["//", "<!--", "-->", "#!"];

impl Html {
    pub(super) fn in_script_literal(&self) -> bool {
        matches!(self.script, Script::Text(_) | Script::Pattern { .. })
    }

    pub(super) fn follow_script(&mut self, c: char, rest: &str) {
        self.script = match (self.script, c) {
            (Script::Code, '"' | '\'' | '`') => {
                self.slash_unknown = false;
                self.code.push(c);
                Script::Text(c)
            }
            (Script::Code, _) if LINE_COMMENTS.iter().any(|mark| rest.starts_with(mark)) => {
                Script::LineComment
            }
            (Script::Code, '/') if rest.starts_with("/*") => Script::BlockComment,
            (Script::Code, '/') if self.slash_unknown => {
                self.refuse("a slash that divides or begins a regular expression, by the way taken", "/");
                Script::Code
            }
            (Script::Code, '/') if starts_pattern(&self.code) => Script::Pattern { class: false },
            (Script::Text('`'), '$') if rest.starts_with("${") => {
                self.braces.push(None);
                self.code.push('`');
                Script::Code
            }
            (Script::Code, '}') if self.braces.last() == Some(&Some(0)) => {
                self.braces.pop();
                Script::Text('`')
            }
            (Script::Code, '<' | '-' | '#' | '{' | '}') => {
                if let Some(depth) = self.braces.last_mut() {
                    *depth = match (*depth, c) {
                        (None, _) => Some(0),
                        (Some(depth), '{') => Some(depth + 1),
                        (Some(depth), '}') => Some(depth - 1),
                        (depth, _) => depth,
                    };
                }
                let says = matches!(c, '{' | '}');
                self.slash_unknown &= !says;
                self.code.push(if says { c } else { NO_SIGN });
                Script::Code
            }
            (Script::Code, c) => {
                self.slash_unknown &= c.is_whitespace();
                self.code.push(c);
                Script::Code
            }
            (Script::Pattern { class: false }, '/') => {
                self.code.push('/');
                self.code.push(')');
                Script::Code
            }
            (Script::Pattern { .. }, '[') => Script::Pattern { class: true },
            (Script::Pattern { .. }, ']') => Script::Pattern { class: false },
            (Script::Text(quote), c) if c == quote => Script::Code,
            (Script::LineComment, '\n' | '\r') => Script::Code,
            (Script::BlockComment, '*') if rest.starts_with("*/") => Script::Code,
            (state, _) => state,
        };
    }

    pub(super) fn follow_style(&mut self, c: char, rest: &str) {
        let before = self.style;
        self.style = match (self.style, c) {
            (Style::Code, '"' | '\'') => Style::Text(c),
            (Style::Code, '/') if rest.starts_with("/*") => Style::Comment,
            (Style::Code, '/') if rest.starts_with("//") => Style::LineComment,
            (Style::LineComment, '\n' | '\x0c' | '\r') => Style::Code,
            (Style::Code, '(') if self.after_url => {
                let quoted = rest.get(1..).is_some_and(|url| url.trim_ascii_start().starts_with(['"', '\'']));
                if quoted { Style::BeforeUrlText } else { Style::Url }
            }
            (Style::BeforeUrlText, '"' | '\'') => Style::UrlText(c),
            (Style::Text(quote) | Style::UrlText(quote), c) if c == quote => Style::Code,
            (Style::Url, ')' | '\t' | '\n' | '\x0c' | '\r' | ' ') => Style::Code,
            (Style::Comment, '*') if rest.starts_with("*/") => Style::Code,
            (state, _) => state,
        };
        // Texts of a style may be links, too.
        match (before, self.style) {
            (Style::Code, Style::Text(_) | Style::Url) | (Style::BeforeUrlText, Style::UrlText(_)) => {
                self.url = UrlPart::Start;
            }
            (_, Style::Text(_) | Style::Url | Style::UrlText(_)) => self.follow_url(c),
            _ => {}
        }
        let word = rest.get(..4).is_some_and(|word| word.eq_ignore_ascii_case("url("));
        self.after_url = word || (self.after_url && matches!(c, 'u' | 'U' | 'r' | 'R' | 'l' | 'L'));
    }
}

/// Where a literal of a script has what a browser would take for a tag: how much of it is to be gone over.
pub(super) fn tag_in_literal(rest: &str) -> Option<usize> {
    let is = |name: &str| rest.get(1..=name.len()).is_some_and(|text| text.eq_ignore_ascii_case(name));
    let tags = [("!--", 1), ("script", 1), ("/script", 2)];
    tags.into_iter().find(|(name, _)| rest.starts_with('<') && is(name)).map(|(_, used)| used)
}

/// Whether a slash behind this code begins a regular expression. Otherwise it divides.
pub(super) fn starts_pattern(code: &str) -> bool {
    const WORDS: [&str; 14] = [
        "break",
        "case",
        "continue",
        "delete",
        "do",
        "else",
        "finally",
        "in",
        "instanceof",
        "return",
        "throw",
        "try",
        "typeof",
        "void",
    ];
    let code = code.trim_end_matches(|c: char| c.is_whitespace() || c == NO_SIGN);
    match code.chars().next_back() {
        None => true,
        // `a++ / b` divides, `a + /b/` does not.
        Some('+') => code.chars().rev().take_while(|c| *c == '+').count() % 2 == 1,
        Some('.') => !code[..code.len() - 1].ends_with(|c: char| c.is_ascii_digit()),
        Some(',' | '>' | '=' | '*' | '%' | '&' | '|' | '^' | '?' | '!' | '~') => true,
        Some('(' | '[' | '{' | ':' | ';' | '}' | '/' | '`') => true,
        Some(_) => {
            let word = code.rfind(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '$')));
            let start = word.map_or(0, |at| at + code[at..].chars().next().map_or(1, char::len_utf8));
            WORDS.contains(&&code[start..])
        }
    }
}
