//! Text to tokens. Outside of `{{ }}` everything is text; inside, spaces count.

use super::Fault;

/// One token and where it starts, in bytes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    pub(crate) at: usize,
    pub(crate) kind: TokenKind,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TokenKind {
    /// Outside of actions, trimmed as the markers ask.
    Text(String),
    Open,
    Close,
    /// White space between operands.
    Space,
    /// `.name`
    Field(String),
    Dot,
    /// `$name`, or `$`.
    Variable(String),
    Word(String),
    Number(String),
    /// What it says, and how it is written.
    Quoted {
        value: String,
        written: String,
    },
    /// A character between single quotes.
    Char {
        value: char,
        written: String,
    },
    /// `:=`
    Declare,
    /// `=`
    Assign,
    Pipe,
    Comma,
    OpenParen,
    CloseParen,
}

const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

fn is_space(c: char) -> bool {
    SPACES.contains(&c)
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// The tokens of a template.
pub(crate) fn tokens(text: &str) -> Result<Vec<Token>, Fault> {
    let mut lexer = Lexer { text, at: 0, out: Vec::new(), parens: 0 };
    lexer.run()?;
    Ok(lexer.out)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    out: Vec<Token>,
    parens: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn push(&mut self, at: usize, kind: TokenKind) {
        self.out.push(Token { at, kind });
    }

    fn run(&mut self) -> Result<(), Fault> {
        let mut trim_start = false;
        loop {
            let start = self.at;
            let open = self.rest().find("{{").map(|offset| start + offset);
            let mut body = &self.text[start..open.unwrap_or(self.text.len())];
            if trim_start {
                body = body.trim_start_matches(SPACES);
            }
            let trim_end = open.is_some_and(|open| has_trim_marker(&self.text[open + 2..]));
            let kept = if trim_end { body.trim_end_matches(SPACES) } else { body };
            if !kept.is_empty() {
                let offset = kept.as_ptr() as usize - self.text.as_ptr() as usize;
                self.push(offset, TokenKind::Text(kept.to_owned()));
            }
            let Some(open) = open else { return Ok(()) };
            self.at = open + 2 + if trim_end { 2 } else { 0 };
            trim_start = match self.comment(open)? {
                Some(trim) => trim,
                None => self.action(open)?,
            };
        }
    }

    /// A comment fills its action alone. `None` if there is none; else whether the text behind it is trimmed.
    fn comment(&mut self, open: usize) -> Result<Option<bool>, Fault> {
        if !self.rest().starts_with("/*") {
            return Ok(None);
        }
        let Some(end) = self.rest().find("*/") else {
            return Err(Fault::new(open, "the comment does not end; write `*/}}` behind it"));
        };
        self.at += end + 2;
        if self.rest().starts_with("}}") {
            self.at += 2;
            return Ok(Some(false));
        }
        let close = self.rest().strip_prefix(SPACES).is_some_and(|rest| rest.starts_with("-}}"));
        if close {
            self.at += 4;
            return Ok(Some(true));
        }
        Err(Fault::new(open, "a comment must fill its `{{ }}` alone; close it with `*/}}` or `*/ -}}`"))
    }

    /// The tokens of one action up to its `}}`. Whether the text behind it is trimmed.
    fn action(&mut self, open: usize) -> Result<bool, Fault> {
        self.push(open, TokenKind::Open);
        self.parens = 0;
        loop {
            let at = self.at;
            let rest = self.rest();
            if rest.strip_prefix(SPACES).is_some_and(|rest| rest.starts_with("-}}")) {
                return self.close(at, 4).map(|()| true);
            }
            if rest.starts_with("}}") {
                return self.close(at, 2).map(|()| false);
            }
            let Some(c) = self.peek() else {
                return Err(Fault::new(open, "the action is not closed; write `}}` behind it"));
            };
            self.token(open, at, c)?;
        }
    }

    fn close(&mut self, at: usize, len: usize) -> Result<(), Fault> {
        if self.parens > 0 {
            return Err(Fault::new(at, "a `(` is not closed"));
        }
        self.push(at, TokenKind::Close);
        self.at += len;
        Ok(())
    }

    fn token(&mut self, open: usize, at: usize, c: char) -> Result<(), Fault> {
        let single = |lexer: &mut Self, kind: TokenKind| {
            lexer.at += c.len_utf8();
            lexer.push(at, kind);
            Ok(())
        };
        match c {
            _ if is_space(c) => {
                // All but a last one that belongs to ` -}}`.
                while self.peek().is_some_and(is_space) {
                    if self.rest()[1..].starts_with("-}}") {
                        break;
                    }
                    self.at += 1;
                }
                if self.at > at {
                    self.push(at, TokenKind::Space);
                }
                Ok(())
            }
            ':' if self.rest().starts_with(":=") => {
                self.at += 2;
                self.push(at, TokenKind::Declare);
                Ok(())
            }
            ':' => Err(Fault::new(at, "expected `:=`")),
            '=' => single(self, TokenKind::Assign),
            '|' => single(self, TokenKind::Pipe),
            ',' => single(self, TokenKind::Comma),
            '(' => {
                self.parens += 1;
                single(self, TokenKind::OpenParen)
            }
            ')' => {
                if self.parens == 0 {
                    return Err(Fault::new(at, "a `)` without a `(` before it"));
                }
                self.parens -= 1;
                single(self, TokenKind::CloseParen)
            }
            '"' => self.quoted(open, at),
            '`' => self.raw(open, at),
            '\'' => self.character(open, at),
            '.' if !self.rest()[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                self.at += 1;
                let name = self.word();
                self.terminator()?;
                self.push(at, if name.is_empty() { TokenKind::Dot } else { TokenKind::Field(name) });
                Ok(())
            }
            '$' => {
                self.at += 1;
                let name = self.word();
                self.terminator()?;
                self.push(at, TokenKind::Variable(format!("${name}")));
                Ok(())
            }
            '+' | '-' | '.' | '0'..='9' => self.number(at),
            _ if is_word(c) => {
                let word = self.word();
                self.terminator()?;
                self.push(at, TokenKind::Word(word));
                Ok(())
            }
            _ => Err(Fault::new(at, format!("{} has no meaning in an action", describe(c)))),
        }
    }

    fn word(&mut self) -> String {
        let rest = self.rest();
        let len = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        self.at += len;
        rest[..len].to_owned()
    }

    /// Behind a name: something that ends it.
    fn terminator(&self) -> Result<(), Fault> {
        match self.peek() {
            None | Some('.' | ',' | '|' | ':' | ')' | '(' | '=') => Ok(()),
            Some(c) if is_space(c) => Ok(()),
            Some(_) if self.rest().starts_with("}}") => Ok(()),
            Some(c) => Err(Fault::new(self.at, format!("{} must not follow a name directly", describe(c)))),
        }
    }

    fn number(&mut self, at: usize) -> Result<(), Fault> {
        let rest = self.rest();
        let mut previous = '\0';
        let hex = rest.trim_start_matches(['+', '-']).to_ascii_lowercase().starts_with("0x");
        let len = rest
            .char_indices()
            .find(|(offset, c)| {
                let exponent = if hex { 'p' } else { 'e' };
                let sign =
                    matches!(c, '+' | '-') && (*offset == 0 || previous.eq_ignore_ascii_case(&exponent));
                previous = *c;
                !(sign || c.is_ascii_alphanumeric() || matches!(c, '.' | '_'))
            })
            .map_or(rest.len(), |(offset, _)| offset);
        self.at += len;
        self.push(at, TokenKind::Number(rest[..len].to_owned()));
        Ok(())
    }

    fn raw(&mut self, open: usize, at: usize) -> Result<(), Fault> {
        let rest = &self.rest()[1..];
        let Some(len) = rest.find('`') else {
            return Err(Fault::new(open, "a text between back quotes does not end"));
        };
        self.at += len + 2;
        // Like in Go, line ends are normalized in such a text.
        let value = rest[..len].replace('\r', "");
        self.push(at, TokenKind::Quoted { value, written: self.text[at..self.at].to_owned() });
        Ok(())
    }

    fn quoted(&mut self, open: usize, at: usize) -> Result<(), Fault> {
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            let Some(c) = self.peek() else {
                return Err(Fault::new(open, "a text between quotes does not end; write `\"` behind it"));
            };
            match c {
                '"' => {
                    self.at += 1;
                    break;
                }
                '\n' => return Err(Fault::new(at, "a text between quotes ends with its line; write `\\n`")),
                '\\' => self.escape('"', &mut bytes)?,
                _ => {
                    self.at += c.len_utf8();
                    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
        }
        let value = String::from_utf8_lossy(&bytes).into_owned();
        self.push(at, TokenKind::Quoted { value, written: self.text[at..self.at].to_owned() });
        Ok(())
    }

    fn character(&mut self, open: usize, at: usize) -> Result<(), Fault> {
        self.at += 1;
        let wrong = || Fault::new(at, "between single quotes stands exactly one character; texts use `\"`");
        let mut bytes = Vec::new();
        match self.peek() {
            None => return Err(Fault::new(open, "a character between quotes does not end")),
            Some('\\') => self.escape('\'', &mut bytes)?,
            Some('\'' | '\n') => return Err(wrong()),
            Some(c) => {
                self.at += c.len_utf8();
                bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        if self.peek() != Some('\'') {
            return Err(wrong());
        }
        self.at += 1;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let value = text.chars().next().ok_or_else(wrong)?;
        self.push(at, TokenKind::Char { value, written: self.text[at..self.at].to_owned() });
        Ok(())
    }

    /// An escape sequence as in Go.
    fn escape(&mut self, quote: char, out: &mut Vec<u8>) -> Result<(), Fault> {
        let at = self.at;
        self.at += 1;
        let unknown = || Fault::new(at, "unknown escape; write `\\\\` for a backslash");
        let c = self.peek().ok_or_else(unknown)?;
        self.at += c.len_utf8();
        let plain = match c {
            'a' => 7,
            'b' => 8,
            'f' => 12,
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            'v' => 11,
            '\\' => b'\\',
            '\'' | '"' if c == quote => c as u8,
            'x' => u8::try_from(self.digits(2, 16).ok_or_else(unknown)?).map_err(|_| unknown())?,
            '0'..='7' => {
                self.at -= 1;
                u8::try_from(self.digits(3, 8).ok_or_else(unknown)?).map_err(|_| unknown())?
            }
            'u' | 'U' => {
                let code = self.digits(if c == 'u' { 4 } else { 8 }, 16).ok_or_else(unknown)?;
                let c = char::from_u32(code).ok_or_else(unknown)?;
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err(unknown()),
        };
        out.push(plain);
        Ok(())
    }

    fn digits(&mut self, count: usize, radix: u32) -> Option<u32> {
        let digits = self.rest().get(..count)?;
        if !digits.chars().all(|c| c.is_digit(radix)) {
            return None;
        }
        self.at += count;
        u32::from_str_radix(digits, radix).ok()
    }
}

/// Whether an action begins with `- `: the text before it loses its white space.
fn has_trim_marker(body: &str) -> bool {
    body.strip_prefix('-').is_some_and(|rest| rest.starts_with(is_space))
}

/// A character for a message, by its number if it cannot be seen.
fn describe(c: char) -> String {
    if c.is_ascii_graphic() { format!("`{c}`") } else { format!("the character U+{:04X}", c as u32) }
}
