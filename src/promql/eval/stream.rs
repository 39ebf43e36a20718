//! Vectors that are handed on series by series.
//!
//! A selector, a function of its windows, functions and operators that change one value after the other: none of them needs
//! more than one series at a time. What takes them, an aggregation above all, is given each series as soon as it is there,
//! and nothing is kept of it.

use super::select::{Sink, WithTimes};
use super::series::{Grid, Output, Ser, UNIT, describes_metric, merged, without_metric};
use super::{Evaluator, repeats};
use crate::EvalError;
use crate::ast::{Expr, Node, Selector, ValueKind};
use crate::functions::FunctionId as F;

impl<'a> Evaluator<'a> {
    /// Shows the series of the vector that `expr` evaluates to, one after the other.
    pub(super) fn each(&mut self, expr: &Expr, grid: Grid, sink: Sink<'_, 'a>) -> Result<(), EvalError> {
        let direct = !repeats(expr, grid, &self.resolver) && self.is_stream(expr) && self.stays_unique(expr);
        if !direct {
            let output = self.eval(expr, grid)?;
            let Output::Vector(series) = output else {
                return Err(EvalError::at(expr.span, "expected an instant vector"));
            };
            for mut one in series {
                self.options.stop.check()?;
                let weight = one.weight();
                sink(self, &mut one)?;
                self.release(weight);
            }
            return Ok(());
        }
        self.options.stop.check()?;
        if !self.recorder.explains() {
            return self.each_node(expr, grid, sink);
        }
        let (mut series, mut values, mut elsewhere) = (0, 0, 0);
        self.recorder.begin(expr);
        self.each_node(expr, grid, &mut |evaluator, one| {
            (series, values) = (series + 1, values + one.len());
            let began = evaluator.recorder.now();
            let outcome = sink(evaluator, one);
            elsewhere += evaluator.recorder.now().saturating_sub(began);
            outcome
        })?;
        self.recorder.end(series, values, elsewhere);
        Ok(())
    }

    /// All series of a stream.
    pub(super) fn collect(&mut self, expr: &Expr, grid: Grid) -> Result<Vec<Ser>, EvalError> {
        let (mut all, mut held) = (Vec::new(), 0);
        self.each_node(expr, grid, &mut |evaluator, one| {
            evaluator.charge(one.weight())?;
            held += one.weight();
            let labels = if one.unnamed { without_metric(&one.labels) } else { one.labels.clone() };
            // Copied to fit; the space stays for the next series.
            all.push(Ser {
                labels,
                drop_name: one.drop_name,
                unnamed: false,
                floats: one.floats.as_slice().to_vec(),
                histograms: std::mem::take(&mut one.histograms),
            });
            Ok(())
        })?;
        self.release(held);
        if self.stays_unique(expr) { Ok(all) } else { merged(all) }
    }

    /// Whether `expr` can be evaluated series by series.
    pub(super) fn is_stream(&self, expr: &Expr) -> bool {
        match &expr.node {
            Node::Selector(_) => true,
            Node::Paren(inner) => self.is_stream(inner),
            Node::Unary { expr: inner, .. } => inner.kind() == ValueKind::Vector,
            Node::Binary { op, lhs, rhs, .. } => {
                !op.is_set() && (lhs.kind() == ValueKind::Vector) != (rhs.kind() == ValueKind::Vector)
            }
            Node::Call { function, args } => match function.id {
                F::AbsentOverTime => false,
                _ if args.iter().any(|arg| arg.kind() == ValueKind::Matrix) => true,
                id => !args.is_empty() && changes_values_alone(id),
            },
            _ => false,
        }
    }

    fn each_node(&mut self, expr: &Expr, grid: Grid, sink: Sink<'_, 'a>) -> Result<(), EvalError> {
        match &expr.node {
            Node::Paren(inner) => self.each(inner, grid, sink),
            Node::Selector(selector) => {
                self.instant_selector(expr, selector, grid, WithTimes::No, &mut |evaluator, series, _| {
                    sink(evaluator, series)
                })
            }
            Node::Unary { negative: false, expr: inner } => self.each(inner, grid, sink),
            Node::Unary { expr: inner, .. } => self.each(inner, grid, &mut |evaluator, series| {
                series.floats.iter_mut().for_each(|(_, v)| *v = -*v);
                series.histograms.iter_mut().for_each(|(_, h)| *h = h.scaled(-1.0).into());
                evaluator.unname(series);
                sink(evaluator, series)
            }),
            Node::Binary { .. } => self.each_with_scalar(expr, grid, sink),
            Node::Call { function, args } if args.iter().any(|arg| arg.kind() == ValueKind::Matrix) => {
                self.over_windows(function, args, expr.span, grid, sink)
            }
            Node::Call { function, args } => self.each_changed(function.id, args, grid, sink),
            _ => Err(EvalError::at(expr.span, "not a stream of series")),
        }
    }

    /// The labels that describe the metric no longer fit: they go at once, or at the end if names are kept.
    pub(super) fn unname(&self, series: &mut Ser) {
        if self.options.delayed_name_removal {
            series.drop_name = true;
        } else {
            series.unnamed = true;
        }
    }

    /// Whether no two series of a stream become equal without the labels that describe their metric.
    fn stays_unique(&self, expr: &Expr) -> bool {
        if self.options.delayed_name_removal || matches!(expr.node, Node::Selector(_)) {
            return true;
        }
        let Some(source) = leaf(expr).and_then(|leaf| self.source(self.plan.of_selector(leaf))) else {
            return false;
        };
        let mut metric: Option<&str> = None;
        (0..source.series_len()).all(|index| {
            // Labels are sorted by name; those in question come early.
            let labels = source.labels(index).iter().take_while(|(name, _)| *name <= UNIT);
            let mut described = labels.filter(|(name, _)| describes_metric(name));
            match (described.next(), described.next()) {
                (Some((model::METRIC_NAME, name)), None) => *metric.get_or_insert(name) == name,
                (None, None) => metric.get_or_insert("").is_empty(),
                _ => false,
            }
        })
    }
}

/// The selector whose series a stream is made of, one for one.
fn leaf(expr: &Expr) -> Option<&Selector> {
    match &expr.node {
        Node::Selector(selector) | Node::Range { selector, .. } => Some(selector),
        Node::Paren(inner) | Node::Unary { expr: inner, .. } => leaf(inner),
        Node::Binary { lhs, rhs, .. } => leaf(if lhs.kind() == ValueKind::Vector { lhs } else { rhs }),
        Node::Call { function, args } => {
            let of_windows = args.iter().find(|arg| arg.kind() == ValueKind::Matrix);
            let of_values = if changes_values_alone(function.id) { args.first() } else { None };
            leaf(of_windows.or(of_values)?)
        }
        _ => None,
    }
}

/// Whether a function changes value after value and nothing else. Its vector is the first argument.
fn changes_values_alone(id: F) -> bool {
    match id {
        F::Clamp | F::ClampMin | F::ClampMax | F::Round => true,
        F::HistogramCount | F::HistogramSum | F::HistogramAvg | F::HistogramStddev | F::HistogramStdvar => {
            true
        }
        F::Minute
        | F::Hour
        | F::DayOfWeek
        | F::DayOfMonth
        | F::DayOfYear
        | F::DaysInMonth
        | F::Month
        | F::Year => true,
        id => super::call::is_arithmetic(id),
    }
}
