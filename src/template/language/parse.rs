//! Tokens to the parsed form.

use std::sync::Arc;

use super::Fault;
use super::ast::{Branch, Command, Node, Nodes, Number, Operand, OperandKind, Pipe};
use super::float::underscores_separate;
use super::function::Dialect;
use super::token::{Token, TokenKind, tokens};

/// Blocks and parentheses may stand this deep inside each other. Nobody writes that; it keeps the stack small.
const DEPTH_MAX: usize = 100;

/// A parsed text: what stands outside of definitions, and the definitions in it.
#[derive(Clone, Debug)]
pub(crate) struct Parsed {
    pub(crate) body: Nodes,
    pub(crate) definitions: Vec<(String, Nodes)>,
}

/// Reads a text. `variables` (with their `$`) are there from the start, besides `$`.
pub(crate) fn parse(text: &str, dialect: Dialect, variables: &[&str]) -> Result<Parsed, Fault> {
    let mut parser = Parser {
        tokens: tokens(text)?,
        position: 0,
        end: text.len(),
        dialect,
        variables: std::iter::once("$").chain(variables.iter().copied()).map(str::to_owned).collect(),
        definitions: Vec::new(),
        ranges: 0,
        depth: 0,
    };
    let (body, stop) = parser.list(true)?;
    match stop {
        Stop::Text => Ok(Parsed { body, definitions: parser.definitions }),
        Stop::End(at) => Err(Fault::new(at, "`{{end}}` without anything to end")),
        Stop::Else(at) => Err(Fault::new(at, "`{{else}}` without `{{if}}`, `{{with}}` or `{{range}}`")),
    }
}

struct Parser {
    tokens: Vec<Token>,
    position: usize,
    end: usize,
    dialect: Dialect,
    variables: Vec<String>,
    definitions: Vec<(String, Nodes)>,
    ranges: usize,
    depth: usize,
}

/// What ended a list.
enum Stop {
    Text,
    End(usize),
    /// The parser stands behind the word `else`.
    Else(usize),
}

/// A branch that `else` may chain to.
#[derive(Clone, Copy, PartialEq)]
enum BranchKind {
    If,
    With,
    Range,
}

impl BranchKind {
    fn word(self) -> &'static str {
        match self {
            BranchKind::If => "if",
            BranchKind::With => "with",
            BranchKind::Range => "range",
        }
    }
}

impl Parser {
    fn next(&mut self) -> Option<Token> {
        self.next_if(|_| true)
    }

    fn next_if(&mut self, wanted: impl FnOnce(&TokenKind) -> bool) -> Option<Token> {
        let token = self.tokens.get(self.position).filter(|token| wanted(&token.kind))?;
        self.position += 1;
        Some(token.clone())
    }

    fn skip_space(&mut self) {
        while self.next_if(|kind| *kind == TokenKind::Space).is_some() {}
    }

    fn peek(&self) -> Option<&TokenKind> {
        self.tokens.get(self.position).map(|token| &token.kind)
    }

    /// Where the next token stands.
    fn here(&self) -> usize {
        self.tokens.get(self.position).map_or(self.end, |token| token.at)
    }

    fn unexpected(&self, what: &str) -> Fault {
        let at = self.here();
        let found = self.peek().map_or("the end of the text".to_owned(), describe);
        Fault::new(at, format!("unexpected {found} {what}"))
    }

    fn expect_close(&mut self, what: &str) -> Result<(), Fault> {
        self.skip_space();
        if self.next_if(|kind| *kind == TokenKind::Close).is_some() {
            return Ok(());
        }
        Err(self.unexpected(what))
    }

    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            let at = self.here();
            return Err(Fault::new(at, format!("nested deeper than {DEPTH_MAX} levels")));
        }
        let result = parse(self);
        self.depth -= 1;
        result
    }

    /// Nodes up to `{{end}}`, `{{else` or the end of the text.
    fn list(&mut self, top: bool) -> Result<(Nodes, Stop), Fault> {
        let mut nodes = Nodes::new();
        while let Some(token) = self.next() {
            match token.kind {
                TokenKind::Text(text) => nodes.push(Node::Text(Arc::from(text))),
                _ => {
                    if let Some(stop) = self.action(token.at, top, &mut nodes)? {
                        return Ok((nodes, stop));
                    }
                }
            }
        }
        Ok((nodes, Stop::Text))
    }

    /// One action, its `{{` consumed.
    fn action(&mut self, open: usize, top: bool, nodes: &mut Nodes) -> Result<Option<Stop>, Fault> {
        self.skip_space();
        let at = self.here();
        let word = match self.peek() {
            Some(TokenKind::Word(word)) => word.clone(),
            _ => String::new(),
        };
        let keyword = matches!(
            word.as_str(),
            "if" | "with" | "range" | "template" | "block" | "define" | "end" | "else" | "break" | "continue"
        );
        if keyword {
            self.next();
        }
        match word.as_str() {
            "if" => nodes.push(self.branch(BranchKind::If)?),
            "with" => nodes.push(self.branch(BranchKind::With)?),
            "range" => nodes.push(self.branch(BranchKind::Range)?),
            "template" => nodes.push(self.template(at)?),
            "block" => nodes.push(self.block(open)?),
            "define" if top => self.define(open)?,
            "define" => return Err(Fault::new(at, "`{{define}}` stands outside of everything else")),
            "break" | "continue" => {
                self.expect_close("behind the word")?;
                if self.ranges == 0 {
                    return Err(Fault::new(at, format!("`{{{{{word}}}}}` outside of `{{{{range}}}}`")));
                }
                nodes.push(if word == "break" { Node::Break } else { Node::Continue });
            }
            "end" => {
                self.expect_close("behind `end`")?;
                return Ok(Some(Stop::End(at)));
            }
            "else" => return Ok(Some(Stop::Else(at))),
            _ => {
                let pipe = self.pipeline("a value", false)?;
                self.expect_close("in an action")?;
                nodes.push(Node::Action(pipe));
            }
        }
        Ok(None)
    }

    fn branch(&mut self, kind: BranchKind) -> Result<Node, Fault> {
        let scope = self.variables.len();
        let node = self.deeper(|parser| parser.branch_parts(kind))?;
        self.variables.truncate(scope);
        Ok(node)
    }

    fn branch_parts(&mut self, kind: BranchKind) -> Result<Node, Fault> {
        let at = self.here();
        let pipe = self.pipeline(kind.word(), kind == BranchKind::Range)?;
        self.expect_close("in the condition")?;
        self.ranges += usize::from(kind == BranchKind::Range);
        let then = self.list(false)?;
        self.ranges -= usize::from(kind == BranchKind::Range);
        let (then, mut stop) = then;
        let mut otherwise = Nodes::new();
        if let Stop::Else(else_at) = stop {
            (otherwise, stop) = self.else_part(kind, else_at)?;
        }
        if !matches!(stop, Stop::End(_)) {
            let message = match stop {
                Stop::Else(_) => format!("`{{{{{}}}}}` has two `{{{{else}}}}`", kind.word()),
                _ => format!("`{{{{{}}}}}` has no `{{{{end}}}}`", kind.word()),
            };
            return Err(Fault::new(at, message));
        }
        let branch = Branch { pipe, then, otherwise };
        Ok(match kind {
            BranchKind::If => Node::If(branch),
            BranchKind::With => Node::With(branch),
            BranchKind::Range => Node::Range(branch),
        })
    }

    /// What follows `else`: a list, or another condition that shares the `{{end}}`.
    fn else_part(&mut self, kind: BranchKind, else_at: usize) -> Result<(Nodes, Stop), Fault> {
        self.skip_space();
        let chained = match (kind, self.peek()) {
            (BranchKind::If, Some(TokenKind::Word(word))) => word == "if",
            (BranchKind::With, Some(TokenKind::Word(word))) => word == "with",
            _ => false,
        };
        if chained {
            self.next();
            let node = self.branch(kind)?;
            return Ok((vec![node], Stop::End(else_at)));
        }
        self.expect_close("behind `else`")?;
        self.list(false)
    }

    fn name(&mut self, what: &str) -> Result<String, Fault> {
        self.skip_space();
        match self.next_if(|kind| matches!(kind, TokenKind::Quoted { .. })) {
            Some(Token { kind: TokenKind::Quoted { value, .. }, .. }) => Ok(value),
            _ => Err(self.unexpected(&format!("where the name of the {what} stands, between quotes"))),
        }
    }

    fn template(&mut self, at: usize) -> Result<Node, Fault> {
        let name = self.name("template")?;
        self.skip_space();
        let pipe = match self.peek() {
            Some(TokenKind::Close) => None,
            _ => Some(self.pipeline("template", false)?),
        };
        self.expect_close("behind the template's name")?;
        Ok(Node::Template { at, name, pipe })
    }

    fn define(&mut self, open: usize) -> Result<(), Fault> {
        let name = self.name("definition")?;
        self.expect_close("behind the definition's name")?;
        self.definition(open, name)
    }

    /// `{{block "name" pipeline}}…{{end}}` defines a template and uses it here.
    fn block(&mut self, open: usize) -> Result<Node, Fault> {
        let name = self.name("block")?;
        let pipe = self.pipeline("block", false)?;
        self.expect_close("behind the block's value")?;
        self.definition(open, name.clone())?;
        Ok(Node::Template { at: open, name, pipe: Some(pipe) })
    }

    fn definition(&mut self, open: usize, name: String) -> Result<(), Fault> {
        let variables = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let ranges = std::mem::take(&mut self.ranges);
        let (body, stop) = self.deeper(|parser| parser.list(false))?;
        (self.variables, self.ranges) = (variables, ranges);
        if !matches!(stop, Stop::End(_)) {
            return Err(Fault::new(open, format!("the definition of `{name}` has no `{{{{end}}}}`")));
        }
        match self.definitions.iter_mut().find(|(defined, _)| *defined == name) {
            Some((_, old)) if is_empty(old) => *old = body,
            Some(_) if is_empty(&body) => {}
            Some(_) => return Err(Fault::new(open, format!("`{name}` is defined twice in one text"))),
            None => self.definitions.push((name, body)),
        }
        Ok(())
    }

    /// A pipeline up to `}}` or `)`, which stays.
    fn pipeline(&mut self, what: &str, is_range: bool) -> Result<Pipe, Fault> {
        self.skip_space();
        let at = self.here();
        let mut pipe = Pipe { at, targets: Vec::new(), assign: false, commands: Vec::new() };
        self.targets(&mut pipe, is_range)?;
        loop {
            self.skip_space();
            match self.peek() {
                Some(TokenKind::Close | TokenKind::CloseParen) => break,
                _ => {
                    let command = self.command()?;
                    pipe.commands.push(command);
                }
            }
        }
        if pipe.commands.is_empty() {
            return Err(Fault::new(at, format!("nothing where {what} needs a value")));
        }
        for (stage, command) in pipe.commands.iter().enumerate().skip(1) {
            use OperandKind::{Bool, Dot, Nil, Number, Text};
            let first = &command.operands[0];
            if matches!(first.kind, Bool(_) | Dot | Nil | Number { .. } | Text { .. }) {
                let message = format!("stage {} of the pipeline, `{first}`, is not a function", stage + 1);
                return Err(Fault::new(first.at, message));
            }
        }
        Ok(pipe)
    }

    /// `$x :=`, `$x =`, and for `range` `$i, $x :=`.
    fn targets(&mut self, pipe: &mut Pipe, is_range: bool) -> Result<(), Fault> {
        // Only what follows a variable tells whether it is a target: look ahead, and come back if it is none.
        let start = self.position;
        let mut names = Vec::new();
        loop {
            let Some(Token { kind: TokenKind::Variable(name), .. }) = self.next() else {
                self.position = start;
                return Ok(());
            };
            names.push(name);
            self.skip_space();
            match self.next().map(|token| token.kind) {
                Some(TokenKind::Comma) if is_range && names.len() == 1 => self.skip_space(),
                Some(TokenKind::Declare) => break,
                Some(TokenKind::Assign) => {
                    pipe.assign = true;
                    break;
                }
                _ => {
                    self.position = start;
                    return Ok(());
                }
            }
        }
        // An assignment to a variable that is not there is found when it is made, as in Go.
        self.variables.extend(names.iter().cloned());
        pipe.targets = names;
        Ok(())
    }

    fn check_variable(&self, name: &str, at: usize) -> Result<(), Fault> {
        if self.variables.iter().any(|known| known == name) {
            return Ok(());
        }
        Err(Fault::new(at, format!("undefined variable `{name}`{}", self.similar_variable(name))))
    }

    fn similar_variable(&self, name: &str) -> String {
        let close = self
            .variables
            .iter()
            .find(|known| known.len() > 1 && (known.starts_with(name) || name.starts_with(known.as_str())));
        close.map_or(String::new(), |known| format!("; did you mean `{known}`?"))
    }

    fn command(&mut self) -> Result<Command, Fault> {
        let mut operands = Vec::new();
        loop {
            self.skip_space();
            if let Some(operand) = self.operand()? {
                operands.push(operand);
            }
            match self.peek() {
                Some(TokenKind::Space) => {}
                Some(TokenKind::Close | TokenKind::CloseParen) => break,
                Some(TokenKind::Pipe) => {
                    // Go lets a pipeline end with its sign.
                    self.next();
                    break;
                }
                _ => return Err(self.unexpected("in an operand")),
            }
        }
        if operands.is_empty() {
            return Err(self.unexpected("where a command belongs"));
        }
        Ok(Command { operands })
    }

    fn operand(&mut self) -> Result<Option<Operand>, Fault> {
        let Some(operand) = self.term()? else { return Ok(None) };
        let mut fields = Vec::new();
        while let Some(Token { kind: TokenKind::Field(name), .. }) =
            self.next_if(|kind| matches!(kind, TokenKind::Field(_)))
        {
            fields.push(name);
        }
        if fields.is_empty() {
            return Ok(Some(operand));
        }
        let Operand { at, kind } = operand;
        let kind = match kind {
            OperandKind::Field(mut names) => {
                names.extend(fields);
                OperandKind::Field(names)
            }
            OperandKind::Variable(name, _) => OperandKind::Variable(name, fields),
            OperandKind::Bool(_)
            | OperandKind::Text { .. }
            | OperandKind::Number { .. }
            | OperandKind::Nil
            | OperandKind::Dot => {
                let operand = Operand { at, kind };
                return Err(Fault::new(at, format!("`{operand}` has no fields")));
            }
            kind => OperandKind::Chain(Box::new(Operand { at, kind }), fields),
        };
        Ok(Some(Operand { at, kind }))
    }

    fn term(&mut self) -> Result<Option<Operand>, Fault> {
        let at = self.here();
        let starts_term = |kind: &TokenKind| {
            !matches!(
                kind,
                TokenKind::Close
                    | TokenKind::CloseParen
                    | TokenKind::Pipe
                    | TokenKind::Space
                    | TokenKind::Declare
                    | TokenKind::Assign
                    | TokenKind::Comma
                    | TokenKind::Open
                    | TokenKind::Text(_)
            )
        };
        let Some(token) = self.next_if(starts_term) else { return Ok(None) };
        let kind = match token.kind {
            TokenKind::Dot => OperandKind::Dot,
            TokenKind::Field(name) => OperandKind::Field(vec![name]),
            TokenKind::Variable(name) => {
                self.check_variable(&name, at)?;
                OperandKind::Variable(name, Vec::new())
            }
            TokenKind::Quoted { value, written } => OperandKind::Text { value: Arc::from(value), written },
            TokenKind::Char { value, written } => {
                OperandKind::Number { value: Number::Int(i64::from(u32::from(value))), written }
            }
            TokenKind::Number(written) => {
                let value =
                    number(&written).ok_or_else(|| Fault::new(at, format!("`{written}` is not a number")))?;
                OperandKind::Number { value, written }
            }
            TokenKind::Word(word) => self.word(at, &word)?,
            TokenKind::OpenParen => {
                let pipe = self.deeper(|parser| parser.pipeline("`( )`", false))?;
                if self.next_if(|kind| *kind == TokenKind::CloseParen).is_none() {
                    return Err(self.unexpected("where `)` belongs"));
                }
                OperandKind::Pipe(pipe)
            }
            // Excluded above.
            _ => return Ok(None),
        };
        Ok(Some(Operand { at, kind }))
    }

    fn word(&self, at: usize, word: &str) -> Result<OperandKind, Fault> {
        match word {
            "true" | "false" => return Ok(OperandKind::Bool(word == "true")),
            "nil" => return Ok(OperandKind::Nil),
            "if" | "with" | "range" | "template" | "block" | "define" | "end" | "else" | "break"
            | "continue" => return Err(Fault::new(at, format!("`{word}` stands first in an action"))),
            _ => {}
        }
        let function = self.dialect.function(word);
        function.map(OperandKind::Function).ok_or_else(|| {
            let hint = self.dialect.similar(word).map(|name| format!("; did you mean `{name}`?"));
            Fault::new(at, format!("there is no function `{word}`{}", hint.unwrap_or_default()))
        })
    }
}

/// Whether a definition holds nothing but white space. Such a one does not replace another.
pub(crate) fn is_empty(nodes: &[Node]) -> bool {
    nodes.iter().all(|node| matches!(node, Node::Text(text) if text.trim().is_empty()))
}

fn describe(token: &TokenKind) -> String {
    let text = match token {
        TokenKind::Text(_) => return "text".to_owned(),
        TokenKind::Space => return "space".to_owned(),
        TokenKind::Open => "{{",
        TokenKind::Close => "}}",
        TokenKind::Dot => ".",
        TokenKind::Field(name) => return format!("`.{name}`"),
        TokenKind::Variable(name) | TokenKind::Word(name) | TokenKind::Number(name) => name,
        TokenKind::Quoted { written, .. } | TokenKind::Char { written, .. } => written,
        TokenKind::Declare => ":=",
        TokenKind::Assign => "=",
        TokenKind::Pipe => "|",
        TokenKind::Comma => ",",
        TokenKind::OpenParen => "(",
        TokenKind::CloseParen => ")",
    };
    format!("`{text}`")
}

/// A number as Go's templates read it.
fn number(written: &str) -> Option<Number> {
    if !underscores_separate(written) {
        return None;
    }
    let (negative, digits) = match written.as_bytes().first()? {
        b'-' => (true, &written[1..]),
        b'+' => (false, &written[1..]),
        _ => (false, written),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, body) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..]),
        Some("0b") => (2, &lower[2..]),
        Some("0o") => (8, &lower[2..]),
        _ if lower.len() > 1
            && lower.starts_with('0')
            && lower.bytes().all(|b| b.is_ascii_digit() || b == b'_') =>
        {
            (8, &lower[1..])
        }
        _ => (10, lower.as_str()),
    };
    let plain = body.replace('_', "");
    let is_whole = plain.chars().all(|c| c.is_digit(radix)) && !plain.is_empty();
    if is_whole {
        let value = u64::from_str_radix(&plain, radix).ok()?;
        return match (i64::try_from(value), negative) {
            (Ok(value), false) => Some(Number::Int(value)),
            (Ok(value), true) => Some(Number::Int(-value)),
            (Err(_), true) if value == 1 << 63 => Some(Number::Int(i64::MIN)),
            (Err(_), true) => None,
            (Err(_), false) => Some(Number::Uint(value)),
        };
    }
    let value = match radix {
        10 => model::parse_float(&plain)?,
        16 => model::parse_float(&lower.replace('_', ""))?,
        _ => return None,
    };
    // `inf` and `nan` are words, not numbers.
    let starts = plain.starts_with(|c: char| c.is_digit(radix) || c == '.');
    starts.then_some(Number::Float(if negative { -value } else { value }))
}
