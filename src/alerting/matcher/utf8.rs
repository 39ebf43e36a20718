//! The newer grammar: names and values are quoted, with the escapes of Go strings, or bare, without reserved characters.

use model::{MatchOp, Matcher};

use super::MatcherSyntaxError;

/// Whether a character cannot stand in a bare name or value.
pub(super) fn is_reserved(c: char) -> bool {
    c.is_whitespace() || "{}!=~,\\\"'`".contains(c)
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Open,
    Close,
    Comma,
    Op(MatchOp),
    /// A name or value, unquoted.
    Word(String),
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl Lexer<'_> {
    fn error(&self, at: usize, what: impl Into<String>) -> MatcherSyntaxError {
        MatcherSyntaxError::syntax(self.text, at, what)
    }

    /// The next token and where it starts; `None` at the end.
    fn next(&mut self) -> Result<Option<(usize, Token)>, MatcherSyntaxError> {
        let rest = &self.text[self.at..];
        let trimmed = rest.trim_start();
        let start = self.text.len() - trimmed.len();
        let Some(first) = trimmed.chars().next() else {
            self.at = start;
            return Ok(None);
        };
        let (token, len) = match first {
            '{' => (Token::Open, 1),
            '}' => (Token::Close, 1),
            ',' => (Token::Comma, 1),
            '=' if trimmed.starts_with("=~") => (Token::Op(MatchOp::Regex), 2),
            '=' => (Token::Op(MatchOp::Equal), 1),
            '!' if trimmed.starts_with("!=") => (Token::Op(MatchOp::NotEqual), 2),
            '!' if trimmed.starts_with("!~") => (Token::Op(MatchOp::NotRegex), 2),
            '!' => return Err(self.error(start, "expected `=` or `~` after `!`")),
            '"' => {
                let len = quoted_len(trimmed).ok_or_else(|| self.error(start, "no closing double quote"))?;
                let value = unquote(&trimmed[1..len - 1])
                    .ok_or_else(|| self.error(start, "an escape in the quoted text is not known"))?;
                (Token::Word(value), len)
            }
            c if !is_reserved(c) => {
                let len = trimmed.find(is_reserved).unwrap_or(trimmed.len());
                (Token::Word(trimmed[..len].to_owned()), len)
            }
            c => return Err(self.error(start, format!("unexpected `{c}`"))),
        };
        self.at = start + len;
        Ok(Some((start, token)))
    }
}

/// The length of the quoted text at the start, quotes included.
fn quoted_len(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// The text that the inside of a Go string literal stands for; `None` if it is not one, or not UTF-8.
fn unquote(body: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c == '\n' {
            return None;
        }
        if c != '\\' {
            bytes.extend(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let kind = rest.chars().next()?;
        rest = &rest[kind.len_utf8()..];
        let plain = match kind {
            'a' => 7,
            'b' => 8,
            't' => b'\t',
            'n' => b'\n',
            'v' => 11,
            'f' => 12,
            'r' => b'\r',
            '\\' => b'\\',
            '"' => b'"',
            'x' => u8::try_from(take_digits(&mut rest, 2, 16)?).ok()?,
            'u' | 'U' => {
                let code = take_digits(&mut rest, if kind == 'u' { 4 } else { 8 }, 16)?;
                bytes.extend(char::from_u32(code)?.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            '0'..='7' => {
                let high = kind.to_digit(8)? * 64;
                u8::try_from(high + take_digits(&mut rest, 2, 8)?).ok()?
            }
            _ => return None,
        };
        bytes.push(plain);
    }
    String::from_utf8(bytes).ok()
}

fn take_digits(rest: &mut &str, count: usize, radix: u32) -> Option<u32> {
    let digits = rest.get(..count)?;
    if !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    *rest = &rest[count..];
    u32::from_str_radix(digits, radix).ok()
}

pub(super) fn parse(text: &str) -> Result<Vec<Matcher>, MatcherSyntaxError> {
    let mut lexer = Lexer { text, at: 0 };
    let mut matchers = Vec::new();
    let mut token = lexer.next()?;
    let braces = matches!(token, Some((_, Token::Open)));
    if braces {
        token = lexer.next()?;
    } else if token.is_none() {
        return Ok(matchers);
    }
    // One round reads a matcher and the comma behind it; the list may end after either.
    loop {
        match token {
            None if braces => return Err(lexer.error(text.len(), "no closing brace")),
            None => return Ok(matchers),
            Some((at, Token::Close)) => {
                if !braces {
                    return Err(lexer.error(at, "`}` without an opening brace"));
                }
                return match lexer.next()? {
                    None => Ok(matchers),
                    Some((at, _)) => Err(lexer.error(at, "text behind the closing brace")),
                };
            }
            Some((_, Token::Word(name))) => {
                let (op, value) = operator_and_value(&mut lexer)?;
                matchers.push(Matcher::for_alerts(name, op, value)?);
            }
            Some((at, _)) => return Err(lexer.error(at, "expected a label name")),
        }
        token = match lexer.next()? {
            Some((_, Token::Comma)) => lexer.next()?,
            end @ (None | Some((_, Token::Close))) => end,
            Some((at, _)) => return Err(lexer.error(at, "expected a comma or a closing brace")),
        };
    }
}

fn operator_and_value(lexer: &mut Lexer<'_>) -> Result<(MatchOp, String), MatcherSyntaxError> {
    let op = match lexer.next()? {
        Some((_, Token::Op(op))) => op,
        Some((at, _)) => return Err(lexer.error(at, "expected an operator")),
        None => return Err(lexer.error(lexer.at, "expected an operator")),
    };
    match lexer.next()? {
        Some((_, Token::Word(value))) => Ok((op, value)),
        Some((at, _)) => Err(lexer.error(at, "expected a value")),
        None => Err(lexer.error(lexer.at, "expected a value")),
    }
}
