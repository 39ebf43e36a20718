//! Text to tokens.
//!
//! What a character means depends on the brackets around it: `:` belongs to a metric name outside, separates range and
//! step inside `[]`, and `=` assigns inside `{}`. The whole text is read before parsing starts; it ends with
//! [`Token::End`]. A text that cannot be read ends with the first error.

use crate::ast::{BinaryOp, Span};

/// A token.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token<'a> {
    /// A name or keyword; names of metrics may hold colons.
    Word(&'a str),
    /// A number.
    Number(f64),
    /// A duration in milliseconds.
    Duration(i64),
    /// A quoted text without its quotes and escapes.
    Text(Vec<u8>),
    /// An operator that is not a word.
    Op(BinaryOp),
    /// `=`
    Assign,
    /// `=~`
    Matches,
    /// `!~`
    NotMatches,
    /// `@`
    At,
    /// `(`
    ParenOpen,
    /// `)`
    ParenClose,
    /// `{`
    BraceOpen,
    /// `}`
    BraceClose,
    /// `[`
    BracketOpen,
    /// `]`
    BracketClose,
    /// `,`
    Comma,
    /// `:`
    Colon,
    /// Nothing more.
    End,
}

/// A token with its place.
#[derive(Clone, Debug)]
pub(crate) struct Lexeme<'a> {
    pub(crate) token: Token<'a>,
    pub(crate) span: Span,
}

/// A text that is no token.
#[derive(Clone, Debug)]
pub(crate) struct LexError {
    pub(crate) span: Span,
    pub(crate) message: String,
}

/// All tokens of `text`.
pub(crate) fn lex(text: &str) -> Result<Vec<Lexeme<'_>>, LexError> {
    let mut lexer = Lexer {
        text,
        at: 0,
        counted: 0,
        line: 1,
        column: 1,
        in_braces: false,
        in_brackets: false,
        out: Vec::new(),
    };
    while lexer.next()? {}
    Ok(lexer.out)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    /// Up to where `line` and `column` are counted.
    counted: usize,
    line: u32,
    column: u32,
    in_braces: bool,
    in_brackets: bool,
    out: Vec<Lexeme<'a>>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// A span that starts at or behind all that were asked for before.
    fn span(&mut self, start: usize, end: usize) -> Span {
        for byte in self.text[self.counted..start].bytes() {
            if byte == b'\n' {
                self.line += 1;
                self.column = 1;
            } else {
                self.column += 1;
            }
        }
        self.counted = start;
        Span { start, end, line: self.line, column: self.column }
    }

    fn error(&mut self, start: usize, message: impl Into<String>) -> LexError {
        let end = self.text.len();
        self.error_until(start, end, message)
    }

    fn error_until(&mut self, start: usize, end: usize, message: impl Into<String>) -> LexError {
        LexError { span: self.span(start, end), message: message.into() }
    }

    fn push(&mut self, token: Token<'a>, len: usize) {
        let span = self.span(self.at, self.at + len);
        self.out.push(Lexeme { token, span });
        self.at += len;
    }

    /// Reads one token; `false` behind the last one.
    fn next(&mut self) -> Result<bool, LexError> {
        self.skip_blanks();
        let Some(c) = self.peek() else {
            if self.in_braces {
                return Err(self.error(self.at, "unexpected end of input inside braces; close them with `}`"));
            }
            self.push(Token::End, 0);
            return Ok(false);
        };
        match c {
            '"' | '\'' | '`' => self.string()?,
            '{' if self.in_braces => return Err(self.error(self.at, "unexpected `{` inside braces")),
            '{' => {
                self.in_braces = true;
                self.push(Token::BraceOpen, 1);
            }
            '}' if !self.in_braces => {
                return Err(self.error(self.at, "unexpected `}`: there is no `{` before it"));
            }
            '}' => {
                self.in_braces = false;
                self.push(Token::BraceClose, 1);
            }
            _ if self.in_braces => self.in_braces(c)?,
            '[' if self.in_brackets => return Err(self.error(self.at, "unexpected `[` inside brackets")),
            '[' => {
                self.in_brackets = true;
                self.push(Token::BracketOpen, 1);
            }
            ']' if !self.in_brackets => {
                return Err(self.error(self.at, "unexpected `]`: there is no `[` before it"));
            }
            ']' => {
                self.in_brackets = false;
                self.push(Token::BracketClose, 1);
            }
            '(' => self.push(Token::ParenOpen, 1),
            ')' => self.push(Token::ParenClose, 1),
            ',' => self.push(Token::Comma, 1),
            '0'..='9' => self.number_or_duration()?,
            '.' if self.rest()[1..].starts_with(|d: char| d.is_ascii_digit()) => self.number_or_duration()?,
            ':' if self.in_brackets => self.push(Token::Colon, 1),
            c if c.is_ascii_alphabetic() || c == '_' || c == ':' => self.word(!self.in_brackets),
            _ => self.operator(c)?,
        }
        Ok(true)
    }

    fn skip_blanks(&mut self) {
        loop {
            let trimmed = self.rest().trim_start_matches([' ', '\t', '\n', '\r']);
            self.at = self.text.len() - trimmed.len();
            if !trimmed.starts_with('#') {
                return;
            }
            self.at += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    fn in_braces(&mut self, c: char) -> Result<(), LexError> {
        let rest = self.rest();
        match c {
            ',' => self.push(Token::Comma, 1),
            '=' if rest.starts_with("=~") => self.push(Token::Matches, 2),
            '=' => self.push(Token::Assign, 1),
            '!' if rest.starts_with("!~") => self.push(Token::NotMatches, 2),
            '!' if rest.starts_with("!=") => self.push(Token::Op(BinaryOp::Ne), 2),
            c if c.is_ascii_alphabetic() || c == '_' => self.word(false),
            c => return Err(self.error(self.at, format!("unexpected character inside braces: `{c}`"))),
        }
        Ok(())
    }

    fn word(&mut self, colons: bool) {
        let rest = self.rest();
        let end = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || (colons && c == ':')))
            .unwrap_or(rest.len());
        self.push(Token::Word(&rest[..end]), end);
    }

    fn operator(&mut self, c: char) -> Result<(), LexError> {
        use BinaryOp::{Add, Div, Eq, Ge, Gt, Le, Lt, Mod, Mul, Ne, Pow, Sub, TrimLower, TrimUpper};
        let two = self.rest().get(..2).unwrap_or_default();
        let op = match (two, c) {
            ("==", _) => (Eq, 2),
            ("!=", _) => (Ne, 2),
            (">=", _) => (Ge, 2),
            ("<=", _) => (Le, 2),
            ("</", _) => (TrimUpper, 2),
            (">/", _) => (TrimLower, 2),
            ("=~", _) => {
                self.push(Token::Matches, 2);
                return Ok(());
            }
            (_, '<') => (Lt, 1),
            (_, '>') => (Gt, 1),
            (_, '+') => (Add, 1),
            (_, '-') => (Sub, 1),
            (_, '*') => (Mul, 1),
            (_, '/') => (Div, 1),
            (_, '%') => (Mod, 1),
            (_, '^') => (Pow, 1),
            (_, '=') => {
                self.push(Token::Assign, 1);
                return Ok(());
            }
            (_, '@') => {
                self.push(Token::At, 1);
                return Ok(());
            }
            _ => return Err(self.error(self.at, format!("unexpected character: `{c}`"))),
        };
        self.push(Token::Op(op.0), op.1);
        Ok(())
    }

    /// A quoted text with its escapes.
    fn string(&mut self) -> Result<(), LexError> {
        match read_quoted(self.rest()) {
            Ok((bytes, len)) => {
                self.push(Token::Text(bytes), len);
                Ok(())
            }
            Err((len, message)) => {
                let end = (self.at + len).min(self.text.len());
                Err(self.error_until(self.at, end, message))
            }
        }
    }

    fn number_or_duration(&mut self) -> Result<(), LexError> {
        let rest = self.rest();
        // The longest run that could be either; a sign belongs to it only behind an exponent.
        let len = run_length(rest);
        let word = &rest[..len];
        if let Some(value) = number(word) {
            if value.is_infinite() {
                return Err(self.error_until(
                    self.at,
                    self.at + len,
                    format!("number `{word}` is too large"),
                ));
            }
            self.push(Token::Number(value), len);
            return Ok(());
        }
        // A duration has no exponent, so no sign can belong to it.
        let len =
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '_')).unwrap_or(rest.len());
        let word = &rest[..len];
        match model::parse_duration(word) {
            Ok(duration) if word.bytes().any(|b| b.is_ascii_alphabetic()) => {
                let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
                self.push(Token::Duration(millis), len);
                Ok(())
            }
            _ => {
                let message = format!("`{word}` is neither a number nor a duration such as `5m` or `1h30m`");
                Err(self.error_until(self.at, self.at + len, message))
            }
        }
    }
}

/// The length of the run of characters that can belong to one number.
fn run_length(text: &str) -> usize {
    let hex = text.get(..2).is_some_and(|p| p.eq_ignore_ascii_case("0x"));
    let mut previous = '0';
    for (at, c) in text.char_indices() {
        let exponent = if hex { matches!(previous, 'p' | 'P') } else { matches!(previous, 'e' | 'E') };
        let belongs =
            c.is_ascii_alphanumeric() || matches!(c, '.' | '_') || (exponent && matches!(c, '+' | '-'));
        if !belongs {
            return at;
        }
        previous = c;
    }
    text.len()
}

/// A number as the language reads it: decimal, octal with a leading 0, hexadecimal, a float, with underscores between digits.
fn number(word: &str) -> Option<f64> {
    let underscores_between_digits = !word.contains("__")
        && !word.ends_with('_')
        && !word.contains("_.")
        && !word.contains("._")
        && !word.contains("_e")
        && !word.contains("e_");
    let hex = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X"));
    if !underscores_between_digits {
        return None;
    }
    let plain = word.replace('_', "");
    if let Some(digits) = hex {
        let digits = digits.replace('_', "");
        return match u64::from_str_radix(&digits, 16) {
            Ok(value) => Some(value as f64),
            Err(_) => model::parse_float(&plain),
        };
    }
    if plain.len() > 1 && plain.starts_with('0') && plain.bytes().all(|b| (b'0'..=b'7').contains(&b)) {
        return i64::from_str_radix(&plain, 8)
            .map_or_else(|_| plain.parse().ok(), |value| Some(value as f64));
    }
    // At most one point, and an exponent with digits: what the standard library reads, without its words.
    let allowed = plain.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    if allowed { plain.parse().ok() } else { None }
}

/// Reads a quoted text at the start of `text`: its bytes and how much of `text` it takes. The error says where it ends.
pub(crate) fn read_quoted(text: &str) -> Result<(Vec<u8>, usize), (usize, String)> {
    let quote = text.as_bytes()[0];
    let mut out = Vec::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c as u32 == u32::from(quote) {
            return Ok((out, at + 1));
        }
        match c {
            '\n' if quote != b'`' => break,
            '\\' if quote != b'`' => {
                let (bytes, len) = escape(&text[at + 1..], quote).ok_or_else(|| {
                    let shown = text[at..].chars().nth(1).unwrap_or(c);
                    let number = u32::from(shown);
                    let message = format!("unknown escape sequence U+{number:04X} '{shown}'");
                    (at + 2, format!("{message}; write `\\\\` for a backslash"))
                })?;
                out.extend(bytes);
                for _ in 0..len {
                    chars.next();
                }
            }
            c => out.extend(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Err((text.len(), "unterminated quoted string".to_owned()))
}

/// The bytes of the escape that follows a backslash, and its length in characters; all of them are ASCII.
fn escape(text: &str, quote: u8) -> Option<(Vec<u8>, usize)> {
    let c = text.chars().next()?;
    let simple = |byte: u8| Some((vec![byte], 1));
    let digits = |len: usize, radix: u32, skip: usize| {
        let digits = text.get(skip..skip + len)?;
        if !digits.bytes().all(|b| char::from(b).is_digit(radix)) {
            return None;
        }
        u32::from_str_radix(digits, radix).ok()
    };
    match c {
        'a' => simple(7),
        'b' => simple(8),
        'f' => simple(12),
        'n' => simple(b'\n'),
        'r' => simple(b'\r'),
        't' => simple(b'\t'),
        'v' => simple(11),
        '\\' => simple(b'\\'),
        c if c as u32 == u32::from(quote) => simple(quote),
        '0'..='7' => u8::try_from(digits(3, 8, 0)?).ok().map(|byte| (vec![byte], 3)),
        'x' => u8::try_from(digits(2, 16, 1)?).ok().map(|byte| (vec![byte], 3)),
        'u' | 'U' => {
            let len = if c == 'u' { 4 } else { 8 };
            let c = char::from_u32(digits(len, 16, 1)?)?;
            Some((c.to_string().into_bytes(), len + 1))
        }
        _ => None,
    }
}
