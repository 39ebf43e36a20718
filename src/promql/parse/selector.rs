//! Selectors, and what is written behind an operand: ranges, `offset`, `@`, `anchored`, `smoothed`.

use model::{METRIC_NAME, MatchOp, Matcher};

use super::{Parsed, Parser, Sized, leaf};
use crate::ast::{At, BinaryOp, DurationExpr, Edges, Expr, Node, Selector, Span, TimeModifier};
use crate::lex::Token;

impl Parser<'_> {
    /// The matchers behind `name`, if there are any.
    pub(super) fn selector(&mut self, name: String, start: Span) -> Parsed<Selector> {
        let bare_name = !name.is_empty();
        let mut selector =
            Selector { name, matchers: Vec::new(), time: TimeModifier::default(), edges: Edges::default() };
        if self.eat(&Token::BraceOpen) {
            self.matchers(&mut selector)?;
        }
        let span = start.until(self.last_end());
        if bare_name {
            if let Some(other) = selector.matchers.iter().find(|m| m.name() == METRIC_NAME) {
                self.note(span, named_twice(&selector.name, other.pattern()), None);
            }
            selector.matchers.push(Matcher::equal(METRIC_NAME, selector.name.clone()));
        }
        Ok(selector)
    }

    /// Everything between the braces, and the closing one.
    fn matchers(&mut self, selector: &mut Selector) -> Parsed<()> {
        while !self.eat(&Token::BraceClose) {
            let span = self.span();
            let (label, quoted) = match self.peek().clone() {
                Token::Word(word) => (word.to_owned(), false),
                Token::Text(bytes) => (self.utf8(bytes, span), true),
                _ => return self.unexpected("label matching", "a label name or `}`"),
            };
            self.advance();
            let op = match self.peek() {
                Token::Assign => MatchOp::Equal,
                Token::Op(BinaryOp::Ne) => MatchOp::NotEqual,
                Token::Matches => MatchOp::Regex,
                Token::NotMatches => MatchOp::NotRegex,
                Token::Comma | Token::BraceClose if quoted => {
                    self.quoted_name(selector, label, span);
                    if !self.eat(&Token::Comma) && *self.peek() != Token::BraceClose {
                        return self.unexpected("label matching", "`,` or `}`");
                    }
                    continue;
                }
                _ => return self.unexpected("label matching", "one of `=`, `!=`, `=~`, `!~`"),
            };
            self.advance();
            let value_span = self.span();
            let Token::Text(bytes) = self.peek().clone() else {
                return self.unexpected("label matching", "a quoted text");
            };
            self.advance();
            let value = self.utf8(bytes, value_span);
            match Matcher::new(label, op, value) {
                Ok(matcher) => selector.matchers.push(matcher),
                Err(error) => {
                    self.note(span.until(value_span.end), error.to_string(), None);
                }
            }
            if !self.eat(&Token::Comma) && *self.peek() != Token::BraceClose {
                return self.unexpected("label matching", "`,` or `}`");
            }
        }
        Ok(())
    }

    fn quoted_name(&mut self, selector: &mut Selector, name: String, span: Span) {
        let other = selector.matchers.iter().find(|m| m.name() == METRIC_NAME).map(Matcher::pattern);
        match other.or(Some(selector.name.as_str()).filter(|name| !name.is_empty())) {
            None => selector.matchers.push(Matcher::equal(METRIC_NAME, name)),
            Some(other) => self.note(span, named_twice(other, &name), None),
        }
    }

    /// Label names and values are UTF-8; escapes can write what is not.
    fn utf8(&mut self, bytes: Vec<u8>, span: Span) -> String {
        match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(_) => {
                self.note(span, "label names and values must be UTF-8", None);
                String::new()
            }
        }
    }

    /// Ranges and modifiers behind an operand.
    pub(super) fn postfix(&mut self, mut operand: Sized<Expr>) -> Parsed<Sized<Expr>> {
        loop {
            match self.peek() {
                Token::BracketOpen => operand = self.range(operand)?,
                Token::At => self.at_modifier(&mut operand.expr)?,
                Token::Word(word) => match word.to_ascii_lowercase().as_str() {
                    "offset" => self.offset_modifier(&mut operand.expr)?,
                    "anchored" => self.edges_modifier(&mut operand.expr, Edges::Anchored)?,
                    "smoothed" => self.edges_modifier(&mut operand.expr, Edges::Smoothed)?,
                    _ => return Ok(operand),
                },
                _ => return Ok(operand),
            }
        }
    }

    /// `[5m]` or `[1h:5m]`
    fn range(&mut self, operand: Sized<Expr>) -> Parsed<Sized<Expr>> {
        let open = self.span();
        self.advance();
        let range = self.duration_expression("subquery or range selector")?;
        self.positive(&range);
        let mut step = None;
        let subquery = self.eat(&Token::Colon);
        if subquery && *self.peek() != Token::BracketClose {
            let expr = self.duration_expression("subquery selector")?;
            self.positive(&expr);
            step = Some(expr);
        }
        let expected = if subquery { "`]`" } else { "`:` or `]`" };
        self.expect(&Token::BracketClose, "subquery or range selector", expected)?;
        let end = self.last_end();
        let span = operand.expr.span.until(end);
        if subquery {
            let time = TimeModifier::default();
            let node = Node::Subquery { expr: Box::new(operand.expr), range, step, time };
            return self.grow(Expr { node, span }, operand.height);
        }
        let brackets = open.until(end);
        let selector_span = operand.expr.span;
        let Node::Selector(selector) = operand.expr.node else {
            let hint = "to evaluate an expression over a range, write a subquery: `[5m:]`".to_owned();
            self.note(brackets, "ranges only allowed for vector selectors", Some(hint));
            return Ok(leaf(operand.expr.node, span));
        };
        let misplaced = if selector.time.offset.is_some() {
            Some("no offset modifiers allowed before range")
        } else if selector.time.at.is_some() {
            Some("no @ modifiers allowed before range")
        } else if selector.edges != Edges::Plain {
            Some("no anchored or smoothed modifiers allowed before range")
        } else {
            None
        };
        if let Some(message) = misplaced {
            self.note(brackets, message, Some("write it behind the range".to_owned()));
        }
        Ok(leaf(Node::Range { selector, selector_span, range }, span))
    }

    fn positive(&mut self, duration: &DurationExpr) {
        if duration.as_signed_literal_millis().is_some_and(|millis| millis <= 0) {
            self.note(duration.span, "duration must be greater than 0", None);
        }
    }

    fn offset_modifier(&mut self, expr: &mut Expr) -> Parsed<()> {
        self.advance();
        let offset = self.offset_duration()?;
        let end = self.last_end();
        let span = expr.span;
        match time_of(expr) {
            None => {
                let message = "offset modifier must be preceded by an instant vector selector or range vector selector or a subquery";
                self.note(span, message, None);
            }
            Some(time) if time.offset.is_some() => {
                self.note(span, "offset may not be set multiple times", None);
            }
            Some(time) => {
                time.offset = Some(offset);
                expr.span.end = end;
            }
        }
        Ok(())
    }

    fn at_modifier(&mut self, expr: &mut Expr) -> Parsed<()> {
        self.advance();
        let at = match self.peek() {
            Token::Word(word) if word.eq_ignore_ascii_case("start") || word.eq_ignore_ascii_case("end") => {
                let at = if word.eq_ignore_ascii_case("start") { At::Start } else { At::End };
                self.advance();
                self.expect(&Token::ParenOpen, "@", "`(`")?;
                self.expect(&Token::ParenClose, "@", "`)`")?;
                at
            }
            _ => {
                let seconds = self.signed_number("@", "a timestamp in seconds, `start()` or `end()`")?;
                let millis = (seconds * 1000.0).round();
                // What does not fit into signed milliseconds is no time.
                if !(millis.is_finite() && millis.abs() < 9.223_372_036_854_775e18) {
                    let message = format!("timestamp out of bounds for @ modifier: {seconds}");
                    self.note(expr.span, message, None);
                }
                At::Millis(millis as i64)
            }
        };
        let end = self.last_end();
        let span = expr.span;
        match time_of(expr) {
            None => {
                let message = "@ modifier must be preceded by an instant vector selector or range vector selector or a subquery";
                self.note(span, message, None);
            }
            Some(time) if time.at.is_some() => {
                self.note(span, "@ <timestamp> may not be set multiple times", None);
            }
            Some(time) => {
                time.at = Some(at);
                expr.span.end = end;
            }
        }
        Ok(())
    }

    fn edges_modifier(&mut self, expr: &mut Expr, edges: Edges) -> Parsed<()> {
        let span = self.span();
        let name = if edges == Edges::Anchored { "anchored" } else { "smoothed" };
        if !self.options.extended_selectors {
            let hint = "start the server with the feature `promql-extended-range-selectors`".to_owned();
            return self.fail(span, format!("{name} modifier is experimental and not enabled"), Some(hint));
        }
        self.advance();
        let end = self.last_end();
        match &mut expr.node {
            Node::Selector(selector) | Node::Range { selector, .. } => {
                if selector.edges == Edges::Plain {
                    selector.edges = edges;
                    expr.span.end = end;
                } else {
                    self.note(span, "anchored and smoothed may not be set together or twice", None);
                }
            }
            Node::Subquery { .. } => {
                self.note(span, format!("{name} modifier is not supported for subqueries"), None);
            }
            _ => {
                let message = format!("{name} modifier must be preceded by a selector");
                self.note(span, message, None);
            }
        }
        Ok(())
    }
}

fn named_twice(first: &str, second: &str) -> String {
    format!("metric name must not be set twice: \"{first}\" or \"{second}\"")
}

/// The place for `offset` and `@`, if the expression has one.
fn time_of(expr: &mut Expr) -> Option<&mut TimeModifier> {
    match &mut expr.node {
        Node::Selector(selector) | Node::Range { selector, .. } => Some(&mut selector.time),
        Node::Subquery { time, .. } => Some(time),
        _ => None,
    }
}
