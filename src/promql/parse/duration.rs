//! Durations and arithmetic with them, in brackets and behind `offset`.

use super::{DEPTH_MAX, Parsed, Parser};
use crate::ast::{BinaryOp, DurationExpr, DurationNode, Span};
use crate::lex::Token;

/// Longest duration in seconds: what fits into signed 64-bit nanoseconds.
const SECONDS_MAX: f64 = 9_223_372_036.0;

impl Parser<'_> {
    /// Between brackets: any arithmetic.
    pub(super) fn duration_expression(&mut self, place: &str) -> Parsed<DurationExpr> {
        let expr = self.duration(0, place)?;
        self.reject_if_disabled(&expr)?;
        Ok(expr)
    }

    /// Behind `offset`: a literal, a call or parentheses, with an optional sign. Operators behind it belong to the
    /// expression around it.
    pub(super) fn offset_duration(&mut self) -> Parsed<DurationExpr> {
        let expr = self.duration_operand("offset", true)?;
        self.reject_if_disabled(&expr)?;
        Ok(expr)
    }

    fn reject_if_disabled(&mut self, expr: &DurationExpr) -> Parsed<()> {
        if self.options.duration_expressions || expr.as_literal_millis().is_some() {
            return Ok(());
        }
        let hint = "start the server with the feature `promql-duration-expr`".to_owned();
        self.fail(expr.span, "arithmetic in durations is experimental and not enabled", Some(hint))
    }

    fn duration(&mut self, min: u8, place: &str) -> Parsed<DurationExpr> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return self.too_deep();
        }
        let mut left = self.duration_operand(place, false)?;
        let mut chain = 0;
        while let Token::Op(op) = *self.peek() {
            let precedence = op.precedence();
            let arithmetic = matches!(
                op,
                BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod | BinaryOp::Pow
            );
            if !arithmetic || precedence < min {
                break;
            }
            chain += 1;
            if chain > DEPTH_MAX {
                return self.too_deep();
            }
            self.advance();
            let right =
                self.duration(if op == BinaryOp::Pow { precedence } else { precedence + 1 }, place)?;
            let span = left.span.until(right.span.end);
            if matches!(op, BinaryOp::Div | BinaryOp::Mod) && right.as_signed_literal_millis() == Some(0) {
                let what = if op == BinaryOp::Div { "division by zero" } else { "modulo by zero" };
                self.note(span, what, None);
            }
            let node = DurationNode::Binary(op, Box::new(left), Box::new(right));
            left = DurationExpr { node, span, parens: false };
        }
        self.depth -= 1;
        Ok(left)
    }

    /// One operand. `tight` keeps `^` out of a signed literal, as behind `offset`.
    fn duration_operand(&mut self, place: &str, tight: bool) -> Parsed<DurationExpr> {
        let start = self.span();
        match self.peek().clone() {
            Token::Op(op @ (BinaryOp::Add | BinaryOp::Sub)) => {
                self.advance();
                let operand = if tight {
                    self.duration_operand(place, true)?
                } else {
                    self.duration(BinaryOp::Pow.precedence(), place)?
                };
                Ok(signed(operand, op == BinaryOp::Sub, start, tight))
            }
            Token::Number(seconds) => Ok(self.duration_literal(seconds, false, start)),
            Token::Duration(millis) => Ok(self.duration_literal(millis as f64 / 1000.0, true, start)),
            Token::ParenOpen => {
                self.advance();
                let mut inner = self.duration(0, place)?;
                self.expect(&Token::ParenClose, place, "`)`")?;
                inner.parens = true;
                // The span stays that of the content, as for every other operand in parentheses of durations.
                Ok(inner)
            }
            Token::Word(word) => {
                let lower = word.to_ascii_lowercase();
                self.advance();
                self.duration_call(&lower, start, place)
            }
            _ => self.unexpected(place, "a number, a duration, `step()` or `range()`"),
        }
    }

    fn duration_literal(&mut self, seconds: f64, duration: bool, span: Span) -> DurationExpr {
        self.advance();
        if seconds.abs() >= SECONDS_MAX {
            self.note(span, "duration out of range", None);
        }
        DurationExpr { node: DurationNode::Literal { seconds, duration }, span, parens: false }
    }

    fn duration_call(&mut self, name: &str, start: Span, place: &str) -> Parsed<DurationExpr> {
        let known = matches!(name, "step" | "range" | "min_of" | "max_of");
        if !known {
            self.at -= 1;
            return self.unexpected(place, "a number, a duration, `step()` or `range()`");
        }
        self.expect(&Token::ParenOpen, place, "`(`")?;
        let node = match name {
            "step" => DurationNode::Step,
            "range" => DurationNode::Range,
            _ => {
                let left = Box::new(self.duration(0, place)?);
                self.expect(&Token::Comma, place, "`,`")?;
                let right = Box::new(self.duration(0, place)?);
                if name == "min_of" {
                    DurationNode::MinOf(left, right)
                } else {
                    DurationNode::MaxOf(left, right)
                }
            }
        };
        self.expect(&Token::ParenClose, place, "`)`")?;
        Ok(DurationExpr { node, span: start.until(self.last_end()), parens: false })
    }
}

/// A sign before a duration; a literal takes it in, a plus vanishes.
fn signed(operand: DurationExpr, negative: bool, start: Span, tight: bool) -> DurationExpr {
    // `offset -min_of(a, b)` ends behind `b`, as places in such expressions are counted in the field.
    let operand = match &operand.node {
        DurationNode::MinOf(_, last) | DurationNode::MaxOf(_, last) if tight && !operand.parens => {
            let span = operand.span.until(last.span.end);
            DurationExpr { span, ..operand }
        }
        _ => operand,
    };
    let span = start.until(operand.span.end);
    match operand.node {
        DurationNode::Literal { seconds, duration } if !operand.parens => {
            let seconds = if negative { -seconds } else { seconds };
            DurationExpr { node: DurationNode::Literal { seconds, duration }, span, parens: false }
        }
        _ if !negative => operand,
        _ => DurationExpr { node: DurationNode::Negate(Box::new(operand)), span, parens: false },
    }
}

impl DurationExpr {
    /// Milliseconds of a literal, with parentheses or signs around it or without.
    pub(crate) fn as_signed_literal_millis(&self) -> Option<i64> {
        match &self.node {
            DurationNode::Literal { seconds, .. } => Some((seconds * 1000.0).round() as i64),
            DurationNode::Negate(inner) => inner.as_signed_literal_millis().map(|millis| -millis),
            _ => None,
        }
    }
}
