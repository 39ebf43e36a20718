//! Functions that change or sort by labels.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;

use model::{Labels, METRIC_NAME, Re2, is_legacy_label_name};

use super::Evaluator;
use super::series::{Grid, Ser, merged};
use crate::EvalError;
use crate::ast::{Expr, Node, Span};
use crate::print::quote;

/// Labels as messages about series show them: `{__name__="up", job="a"}`.
#[derive(Clone, Copy)]
pub(super) struct InBraces<'l>(pub(super) &'l Labels);

impl fmt::Display for InBraces<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (at, (name, value)) in self.0.iter().enumerate() {
            f.write_str(if at > 0 { ", " } else { "" })?;
            let name = if is_legacy_label_name(name) { name.to_owned() } else { quote(name.as_bytes()) };
            write!(f, "{name}={}", quote(value.as_bytes()))?;
        }
        f.write_str("}")
    }
}

impl Evaluator<'_> {
    /// `label_replace(v, dst, replacement, src, regex)`
    pub(super) fn label_replace(
        &mut self,
        args: &[Expr],
        span: Span,
        grid: Grid,
    ) -> Result<Vec<Ser>, EvalError> {
        let [_, target, replacement, source, pattern] = args else {
            return Err(EvalError::at(span, "label_replace needs five arguments"));
        };
        let texts = [target, replacement, source, pattern].map(|arg| self.text(arg));
        let [target_text, replacement, source, pattern_text] = texts;
        let (target_name, replacement, source) = (target_text?, replacement?, source?);
        let pattern_text = pattern_text?;
        let regex = Re2::anchored(&pattern_text).map_err(|error| {
            EvalError::at(
                pattern.span,
                format!("invalid regular expression in label_replace(): {pattern_text}: {error}"),
            )
        })?;
        if target_name.is_empty() {
            let message = "invalid destination label name in label_replace(): the name is empty";
            return Err(EvalError::at(target.span, message));
        }
        self.relabelled(args, grid, &target_name, |labels| {
            regex
                .expand_first(labels.value(&source), &replacement)
                .map(|value| labels.with(&target_name, &value))
        })
    }

    /// `label_join(v, dst, separator, src…)`
    pub(super) fn label_join(
        &mut self,
        args: &[Expr],
        span: Span,
        grid: Grid,
    ) -> Result<Vec<Ser>, EvalError> {
        let [_, target, separator, sources @ ..] = args else {
            return Err(EvalError::at(span, "label_join needs three arguments"));
        };
        let target_name = self.text(target)?;
        if target_name.is_empty() {
            return Err(EvalError::at(
                target.span,
                "invalid destination label name in label_join(): the name is empty",
            ));
        }
        let separator = self.text(separator)?;
        let mut names = Vec::with_capacity(sources.len());
        for source in sources {
            let name = self.text(source)?;
            if name.is_empty() {
                return Err(EvalError::at(
                    source.span,
                    "invalid source label name in label_join(): the name is empty",
                ));
            }
            names.push(name);
        }
        self.relabelled(args, grid, &target_name, |labels| {
            let values: Vec<&str> = names.iter().map(|name| labels.value(name)).collect();
            Some(labels.with(&target_name, &values.join(&separator)))
        })
    }

    /// The series of the first argument with changed labels. A new metric name is not dropped.
    fn relabelled(
        &mut self,
        args: &[Expr],
        grid: Grid,
        target: &str,
        change: impl Fn(&Labels) -> Option<Labels>,
    ) -> Result<Vec<Ser>, EvalError> {
        let mut series = self.vector(&args[0], grid)?;
        for one in &mut series {
            self.options.stop.check()?;
            if let Some(labels) = change(&one.labels) {
                one.labels = labels;
                if target == METRIC_NAME {
                    one.drop_name = false;
                }
            }
        }
        // Two series whose names are still to be dropped may be equal for now, if the names differ in what follows.
        merged(series)
    }

    /// `sort_by_label` and `sort_by_label_desc`: by the labels given, then by all labels.
    pub(super) fn sort_by_label(
        &mut self,
        args: &[Expr],
        descending: bool,
        grid: Grid,
    ) -> Result<Vec<Ser>, EvalError> {
        let mut series = self.vector(&args[0], grid)?;
        let names = args[1..].iter().map(|arg| self.text(arg)).collect::<Result<Vec<_>, _>>()?;
        series.sort_by(|a, b| {
            let by_name = |name: &String| natural(a.labels.value(name), b.labels.value(name));
            let order = names.iter().map(by_name).find(|order| order.is_ne());
            let order = order.unwrap_or_else(|| a.labels.cmp(&b.labels));
            if descending { order.reverse() } else { order }
        });
        Ok(series)
    }

    /// The labels of what is absent: those that the argument's selector demands.
    pub(super) fn absent_labels(arg: &Expr) -> Labels {
        let selector = match &arg.without_parens().node {
            Node::Selector(selector) | Node::Range { selector, .. } => selector,
            _ => return Labels::empty(),
        };
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for matcher in &selector.matchers {
            *seen.entry(matcher.name()).or_insert(0) += 1;
        }
        // A label that is demanded twice has no single value.
        selector
            .matchers
            .iter()
            .filter(|m| m.name() != METRIC_NAME && m.op() == model::MatchOp::Equal && seen[m.name()] == 1)
            .map(|m| (m.name(), m.pattern()))
            .collect()
    }
}

/// Text order in which runs of digits count as numbers: `a2` before `a10`.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a_rest, mut b_rest) = (a, b);
    loop {
        let (a_part, a_next) = chunk(a_rest);
        let (b_part, b_next) = chunk(b_rest);
        if a_part.is_empty() || b_part.is_empty() {
            return a_part.is_empty().cmp(&b_part.is_empty()).reverse();
        }
        let numbers = a_part.as_bytes()[0].is_ascii_digit() && b_part.as_bytes()[0].is_ascii_digit();
        let order = if numbers {
            let (a_number, b_number) = (a_part.trim_start_matches('0'), b_part.trim_start_matches('0'));
            a_number
                .len()
                .cmp(&b_number.len())
                .then_with(|| a_number.cmp(b_number))
                .then_with(|| a_part.cmp(b_part))
        } else {
            a_part.cmp(b_part)
        };
        if order.is_ne() {
            return order;
        }
        (a_rest, b_rest) = (a_next, b_next);
    }
}

/// The run of digits, or of other characters, at the start.
fn chunk(text: &str) -> (&str, &str) {
    let digits = text.as_bytes().first().is_some_and(u8::is_ascii_digit);
    let end = text.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_numbers_in_texts() {
        for (a, b) in
            [("a2", "a10"), ("1", "2"), ("9", "10"), ("", "a"), ("a", "b1"), ("v1.2", "v1.10"), ("a", "a1")]
        {
            assert_eq!(natural(a, b), Ordering::Less, "{a} {b}");
            assert_eq!(natural(b, a), Ordering::Greater, "{a} {b}");
        }
        assert_eq!(natural("a1", "a1"), Ordering::Equal);
    }
}
