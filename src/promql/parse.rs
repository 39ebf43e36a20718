//! Tokens to a syntax tree: a Pratt parser.
//!
//! Syntax errors end the parse; wrong modifiers and types are collected, so that one round shows all of them.

mod duration;
mod selector;

use crate::ast::{AggregateOp, BinaryOp, Cardinality, Expr, Matching, Node, Span};
use crate::error::{ParseError, ParseErrors};
use crate::functions;
use crate::lex::{Lexeme, Token, lex};
use crate::{ParseOptions, check};

/// How deep brackets, calls and signs may nest: every level is several levels of recursion here.
const DEPTH_MAX: usize = 100;
/// How many levels the tree may have: every level is one of recursion in everything that walks it. A chain of operators
/// is a level for each operator.
const HEIGHT_MAX: usize = 1000;

/// The stack that a thread needs which reads and evaluates whatever is allowed; unoptimised code has the largest frames.
pub const STACK_BYTES: usize = 16 << 20;

/// Reads an expression. All mistakes that can be found are reported at once.
pub fn parse(text: &str, options: &ParseOptions) -> Result<Expr, ParseErrors> {
    let mut parser = Parser::new(text, options)?;
    let expr = match parser.expression_to_end() {
        Ok(expr) => expr,
        Err(Fatal) => return Err(ParseErrors::new(parser.errors)),
    };
    check::check(&expr, &mut |span, message, hint| parser.note(span, message, hint));
    if parser.errors.is_empty() { Ok(expr) } else { Err(ParseErrors::new(parser.errors)) }
}

/// Reads a selector such as `up{job=~"a.*"}` and gives its matchers: what `match[]` of the HTTP API holds.
pub fn parse_selector(text: &str) -> Result<Vec<model::Matcher>, ParseErrors> {
    let expr = parse(text, &ParseOptions::default())?;
    match expr.node {
        Node::Selector(selector) if selector.time.offset.is_none() && selector.time.at.is_none() => {
            Ok(selector.matchers)
        }
        _ => Err(ParseErrors::new(vec![ParseError {
            span: expr.span,
            message: "expected a selector".to_owned(),
            hint: Some("write a metric name, or matchers such as `{job=\"x\"}`".to_owned()),
        }])),
    }
}

/// The parse cannot go on; the reason is among the parser's errors.
pub(crate) struct Fatal;

type Parsed<T> = Result<T, Fatal>;

/// A part of the tree with the number of levels below it.
struct Sized<T> {
    expr: T,
    height: usize,
}

pub(crate) struct Parser<'a> {
    text: &'a str,
    options: &'a ParseOptions,
    tokens: Vec<Lexeme<'a>>,
    at: usize,
    depth: usize,
    errors: Vec<ParseError>,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, options: &'a ParseOptions) -> Result<Self, ParseErrors> {
        match lex(text) {
            Ok(tokens) => Ok(Parser { text, options, tokens, at: 0, depth: 0, errors: Vec::new() }),
            Err(error) => {
                let error = ParseError { span: error.span, message: error.message, hint: None };
                Err(ParseErrors::new(vec![error]))
            }
        }
    }

    fn expression_to_end(&mut self) -> Parsed<Expr> {
        if *self.peek() == Token::End {
            return self.fail(self.span(), "no expression found in input", None);
        }
        let expr = self.expression(0)?.expr;
        match self.peek() {
            Token::End => Ok(expr),
            _ => self.unexpected("", "an operator or the end"),
        }
    }

    fn peek(&self) -> &Token<'a> {
        &self.tokens[self.at].token
    }

    fn peek_second(&self) -> &Token<'a> {
        &self.tokens[(self.at + 1).min(self.tokens.len() - 1)].token
    }

    /// The place of the next token.
    fn span(&self) -> Span {
        self.tokens[self.at].span
    }

    /// Where the last token ended.
    fn last_end(&self) -> usize {
        if self.at == 0 { 0 } else { self.tokens[self.at - 1].span.end }
    }

    fn advance(&mut self) {
        // The last token is the end, and stays.
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
    }

    fn eat(&mut self, token: &Token<'_>) -> bool {
        let found = self.peek() == token;
        if found {
            self.advance();
        }
        found
    }

    /// Whether the next token is this keyword, in any case.
    fn at_word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Word(w) if w.eq_ignore_ascii_case(word))
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = self.at_word(word);
        if found {
            self.advance();
        }
        found
    }

    /// Notes a mistake; parsing goes on.
    fn note(&mut self, span: Span, message: impl Into<String>, hint: Option<String>) {
        self.errors.push(ParseError { span, message: message.into(), hint });
    }

    fn fail<T>(&mut self, span: Span, message: impl Into<String>, hint: Option<String>) -> Parsed<T> {
        self.note(span, message, hint);
        Err(Fatal)
    }

    /// Ends the parse at the next token.
    fn unexpected<T>(&mut self, place: &str, expected: &str) -> Parsed<T> {
        let span = self.span();
        let found = match self.peek() {
            Token::End => "end of input".to_owned(),
            Token::Word(word) => format!("`{word}`"),
            _ => format!("`{}`", &self.text[span.start..span.end]),
        };
        let place = if place.is_empty() { String::new() } else { format!(" in {place}") };
        let hint = match self.peek() {
            Token::Assign => Some("to compare, write `==`".to_owned()),
            Token::Matches => Some("`=~` works between braces: `{label=~\"…\"}`".to_owned()),
            _ => None,
        };
        self.fail(span, format!("unexpected {found}{place}, expected {expected}"), hint)
    }

    fn expect(&mut self, token: &Token<'_>, place: &str, expected: &str) -> Parsed<()> {
        if self.eat(token) { Ok(()) } else { self.unexpected(place, expected) }
    }

    /// An expression whose operators bind at least as strongly as `min`.
    fn expression(&mut self, min: u8) -> Parsed<Sized<Expr>> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return self.too_deep();
        }
        let mut left = self.operand()?;
        while let Some(op) = self.binary_operator() {
            let precedence = op.precedence();
            if precedence < min {
                break;
            }
            self.advance();
            left = self.binary(left, op, precedence)?;
        }
        self.depth -= 1;
        Ok(left)
    }

    fn too_deep<T>(&mut self) -> Parsed<T> {
        let hint = "split it into recording rules, or match several values with `=~`".to_owned();
        self.fail(self.span(), "expression is nested too deeply", Some(hint))
    }

    fn grow(&mut self, expr: Expr, below: usize) -> Parsed<Sized<Expr>> {
        if below >= HEIGHT_MAX { self.too_deep() } else { Ok(Sized { expr, height: below + 1 }) }
    }

    fn binary_operator(&self) -> Option<BinaryOp> {
        match self.peek() {
            Token::Op(op) => Some(*op),
            Token::Word(word) => match word.to_ascii_lowercase().as_str() {
                "and" => Some(BinaryOp::And),
                "or" => Some(BinaryOp::Or),
                "unless" => Some(BinaryOp::Unless),
                "atan2" => Some(BinaryOp::Atan2),
                _ => None,
            },
            _ => None,
        }
    }

    fn binary(&mut self, left: Sized<Expr>, op: BinaryOp, precedence: u8) -> Parsed<Sized<Expr>> {
        let (return_bool, matching, explicit) = self.binary_modifiers(op)?;
        let right = self.expression(if op == BinaryOp::Pow { precedence } else { precedence + 1 })?;
        let span = left.expr.span.until(right.expr.span.end);
        let below = left.height.max(right.height);
        let matching = check::matching(
            op,
            &left.expr,
            &right.expr,
            matching,
            explicit,
            span,
            &mut |span, message, hint| self.note(span, message, hint),
        );
        let (lhs, rhs) = (Box::new(left.expr), Box::new(right.expr));
        self.grow(Expr { node: Node::Binary { op, lhs, rhs, return_bool, matching }, span }, below)
    }

    /// `bool`, `on`, `ignoring`, `group_left`, `group_right`, `fill`; and whether matching was written at all.
    fn binary_modifiers(&mut self, op: BinaryOp) -> Parsed<(bool, Matching, bool)> {
        let mut matching = Matching {
            cardinality: if op.is_set() { Cardinality::ManyToMany } else { Cardinality::OneToOne },
            labels: Vec::new(),
            on: false,
            include: Vec::new(),
            fill_left: None,
            fill_right: None,
        };
        let mut explicit = false;
        let bool_span = self.span();
        let return_bool = self.eat_word("bool");
        if return_bool && !op.is_comparison() {
            self.note(bool_span, "bool modifier can only be used on comparison operators", None);
        }
        if self.at_word("on") || self.at_word("ignoring") {
            explicit = true;
            matching.on = self.at_word("on");
            self.advance();
            matching.labels = self.grouping_labels()?;
            if self.at_word("group_left") || self.at_word("group_right") {
                let left = self.at_word("group_left");
                matching.cardinality = if left { Cardinality::ManyToOne } else { Cardinality::OneToMany };
                self.advance();
                if *self.peek() == Token::ParenOpen {
                    matching.include = self.grouping_labels()?;
                }
            }
        }
        self.fill_modifiers(op, &mut matching)?;
        Ok((return_bool, matching, explicit))
    }

    fn fill_modifiers(&mut self, op: BinaryOp, matching: &mut Matching) -> Parsed<()> {
        while *self.peek_second() == Token::ParenOpen {
            let both = self.at_word("fill");
            let (left, right) = (both || self.at_word("fill_left"), both || self.at_word("fill_right"));
            if !(left || right) {
                break;
            }
            let span = self.span();
            if !self.options.fill_modifiers {
                let hint = "start the server with the feature `promql-binop-fill-modifiers`".to_owned();
                return self.fail(span, "fill modifiers are experimental and not enabled", Some(hint));
            }
            if op.is_set() {
                self.note(span, format!("fill modifiers are not allowed for `{}`", op.as_str()), None);
            }
            if (left && matching.fill_left.is_some()) || (right && matching.fill_right.is_some()) {
                self.note(span, "a fill value may not be set twice", None);
            }
            self.advance();
            self.advance();
            let value = self.signed_number("fill modifier", "a number")?;
            self.expect(&Token::ParenClose, "fill modifier", "`)`")?;
            matching.fill_left = if left { Some(value) } else { matching.fill_left };
            matching.fill_right = if right { Some(value) } else { matching.fill_right };
        }
        Ok(())
    }

    /// A number with an optional sign.
    fn signed_number(&mut self, place: &str, expected: &str) -> Parsed<f64> {
        let sign = match self.peek() {
            Token::Op(BinaryOp::Sub) => -1.0,
            Token::Op(BinaryOp::Add) => 1.0,
            _ => 0.0,
        };
        if sign != 0.0 {
            self.advance();
        }
        let value = match self.peek() {
            Token::Number(value) => *value,
            Token::Duration(millis) => *millis as f64 / 1000.0,
            Token::Word(word) if is_infinity(word) => f64::INFINITY,
            Token::Word(word) if word.eq_ignore_ascii_case("nan") => f64::NAN,
            _ => return self.unexpected(place, expected),
        };
        self.advance();
        Ok(if sign < 0.0 { -value } else { value })
    }

    /// `(a, b, "c d",)`
    fn grouping_labels(&mut self) -> Parsed<Vec<String>> {
        self.expect(&Token::ParenOpen, "grouping options", "`(`")?;
        let mut labels = Vec::new();
        while *self.peek() != Token::ParenClose {
            let span = self.span();
            match self.peek().clone() {
                Token::Word(word) if model::is_legacy_label_name(word) => labels.push(word.to_owned()),
                Token::Text(bytes) => match String::from_utf8(bytes) {
                    Ok(name) if !name.is_empty() => labels.push(name),
                    _ => self.note(span, "a label name must be a text that is not empty", None),
                },
                _ => return self.unexpected("grouping options", "a label name"),
            }
            self.advance();
            if !self.eat(&Token::Comma) && *self.peek() != Token::ParenClose {
                return self.unexpected("grouping options", "`,` or `)`");
            }
        }
        self.advance();
        Ok(labels)
    }

    /// An operand with everything that is written behind it.
    fn operand(&mut self) -> Parsed<Sized<Expr>> {
        let span = self.span();
        let operand = match self.peek().clone() {
            Token::Op(op @ (BinaryOp::Add | BinaryOp::Sub)) => return self.unary(op == BinaryOp::Sub),
            Token::Number(value) => {
                self.advance();
                leaf(Node::Number { value, duration: false }, span)
            }
            Token::Duration(millis) => {
                self.advance();
                leaf(Node::Number { value: millis as f64 / 1000.0, duration: true }, span)
            }
            Token::Text(bytes) => {
                self.advance();
                leaf(Node::String(bytes), span)
            }
            Token::ParenOpen => {
                self.advance();
                let inner = self.expression(0)?;
                if *self.peek() == Token::End {
                    return self.fail(self.span(), "unclosed left parenthesis", Some("add `)`".to_owned()));
                }
                self.expect(&Token::ParenClose, "parentheses", "an operator or `)`")?;
                let span = span.until(self.last_end());
                self.grow(Expr { node: Node::Paren(Box::new(inner.expr)), span }, inner.height)?
            }
            Token::BraceOpen => {
                let selector = self.selector(String::new(), span)?;
                leaf(Node::Selector(selector), span.until(self.last_end()))
            }
            Token::Word(word) => self.word(word, span)?,
            Token::End => return self.fail(span, "unexpected end of input", None),
            _ => return self.unexpected("", "a selector, a function or a number"),
        };
        self.postfix(operand)
    }

    /// A sign binds weaker than `^` and stronger than every other operator.
    fn unary(&mut self, negative: bool) -> Parsed<Sized<Expr>> {
        let start = self.span();
        self.advance();
        let operand = self.expression(BinaryOp::Pow.precedence())?;
        let span = start.until(operand.expr.span.end);
        if let Node::Number { value, duration } = operand.expr.node {
            let value = if negative { -value } else { value };
            return Ok(leaf(Node::Number { value, duration }, span));
        }
        self.grow(Expr { node: Node::Unary { negative, expr: Box::new(operand.expr) }, span }, operand.height)
    }

    /// What starts with a name: an aggregation, a call, a number that is a word, or a selector.
    fn word(&mut self, word: &'a str, span: Span) -> Parsed<Sized<Expr>> {
        let lower = word.to_ascii_lowercase();
        let second = self.peek_second().clone();
        if let Some(op) = AggregateOp::ALL.into_iter().find(|op| op.as_str() == lower) {
            let grouping = matches!(second, Token::Word(w) if is_grouping(w));
            if second == Token::ParenOpen || grouping {
                return self.aggregate(op, span);
            }
        }
        match lower.as_str() {
            "inf" | "nan" => {
                self.advance();
                let value = if lower == "inf" { f64::INFINITY } else { f64::NAN };
                return Ok(leaf(Node::Number { value, duration: false }, span));
            }
            "bool" | "on" | "ignoring" | "group_left" | "group_right" | "atan2" => {
                return self.unexpected("", "a selector, a function or a number");
            }
            _ => {}
        }
        if second == Token::ParenOpen {
            return self.call(word, span);
        }
        self.advance();
        let selector = self.selector(word.to_owned(), span)?;
        Ok(leaf(Node::Selector(selector), span.until(self.last_end())))
    }

    fn call(&mut self, name: &str, span: Span) -> Parsed<Sized<Expr>> {
        // Names of functions are written as they are; the ones that are keywords elsewhere are read in any case.
        let found = functions::lookup(name).or_else(|| {
            let lower = name.to_ascii_lowercase();
            let keyword = matches!(lower.as_str(), "start" | "end" | "step" | "range" | "min_of" | "max_of");
            keyword.then(|| functions::lookup(&lower)).flatten()
        });
        let Some(function) = found else {
            let hint = check::function_hint(name);
            return self.fail(span, format!("unknown function with name \"{name}\""), hint);
        };
        if function.experimental && !self.options.experimental_functions {
            let hint = "start the server with the feature `promql-experimental-functions`".to_owned();
            self.note(span, format!("function \"{name}\" is experimental and not enabled"), Some(hint));
        }
        self.advance();
        let (args, height) = self.arguments()?;
        let span = span.until(self.last_end());
        self.grow(Expr { node: Node::Call { function, args }, span }, height)
    }

    /// `(a, b)`, and the height of the highest.
    fn arguments(&mut self) -> Parsed<(Vec<Expr>, usize)> {
        self.expect(&Token::ParenOpen, "call", "`(`")?;
        let (mut args, mut height) = (Vec::new(), 0);
        if self.eat(&Token::ParenClose) {
            return Ok((args, height));
        }
        loop {
            let arg = self.expression(0)?;
            height = height.max(arg.height);
            args.push(arg.expr);
            let comma = self.span();
            if !self.eat(&Token::Comma) {
                break;
            }
            if *self.peek() == Token::ParenClose {
                self.note(comma, "trailing commas not allowed in function call arguments", None);
                break;
            }
        }
        self.expect(&Token::ParenClose, "function call arguments", "`,` or `)`")?;
        Ok((args, height))
    }

    fn aggregate(&mut self, op: AggregateOp, start: Span) -> Parsed<Sized<Expr>> {
        self.advance();
        if op.is_experimental() && !self.options.experimental_functions {
            let hint = "start the server with the feature `promql-experimental-functions`".to_owned();
            self.note(
                start,
                format!("aggregation \"{}\" is experimental and not enabled", op.as_str()),
                Some(hint),
            );
        }
        let mut clause = self.grouping_clause()?;
        let (mut args, height) = self.arguments()?;
        if clause.is_none() {
            clause = self.grouping_clause()?;
        }
        let (grouping, without) = clause.unwrap_or_default();
        let span = start.until(self.last_end());
        let wanted = if op.param_kind().is_some() { 2 } else { 1 };
        if args.len() != wanted {
            let message = format!(
                "wrong number of arguments for aggregation \"{}\": expected {wanted}, got {}",
                op.as_str(),
                args.len()
            );
            return self.fail(span, message, None);
        }
        let expr = Box::new(args.pop().expect("there is at least one argument"));
        let param = args.pop().map(Box::new);
        self.grow(Expr { node: Node::Aggregate { op, param, expr, grouping, without }, span }, height)
    }

    /// `by (…)` or `without (…)`.
    fn grouping_clause(&mut self) -> Parsed<Option<(Vec<String>, bool)>> {
        let without = self.at_word("without");
        if !without && !self.at_word("by") {
            return Ok(None);
        }
        self.advance();
        Ok(Some((self.grouping_labels()?, without)))
    }
}

fn leaf(node: Node, span: Span) -> Sized<Expr> {
    Sized { expr: Expr { node, span }, height: 1 }
}

fn is_grouping(word: &str) -> bool {
    word.eq_ignore_ascii_case("by") || word.eq_ignore_ascii_case("without")
}

fn is_infinity(word: &str) -> bool {
    word.eq_ignore_ascii_case("inf")
}
