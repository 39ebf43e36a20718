//! Which samples an expression needs.
//!
//! The tree is walked with the span of times at which each part is evaluated; a selector's span, widened by its window,
//! is what it needs. Selectors with equal matchers whose spans overlap share one selection.

mod info;

use std::time::Duration;

use model::{Matcher, Selection, SeriesReader, Timestamp};

use crate::ast::{At, BinaryOp, DurationExpr, DurationNode, Edges, Expr, Node, Selector, TimeModifier};
use crate::eval::eval_planned;
use crate::functions::FunctionId;
use crate::{Answer, EvalError, EvalOptions, Range};
pub(crate) use info::{InfoSelector, Moment, moment_of};

/// The selections that `expr` needs over `range`. [`crate::eval`] wants the series of each, in this order. Empty for an
/// expression whose evaluation fails whatever the data are; `eval` then says why.
pub fn plan(expr: &Expr, range: Range, options: &EvalOptions) -> Vec<Selection> {
    Plan::new(expr, range, options).map(|plan| plan.selections).unwrap_or_default()
}

/// What an expression needs over a range: for callers that plan and evaluate, and need not plan twice.
///
/// ```
/// # let options = promql::EvalOptions::default();
/// # let range = promql::Range::instant(model::Timestamp::from_secs(600));
/// let expr = promql::parse("up == 0", &promql::ParseOptions::default()).unwrap();
/// let plan = promql::Plan::new(&expr, range, &options).unwrap();
/// let data: Vec<Vec<model::Series>> = plan.selections().iter().map(|_| Vec::new()).collect();
/// let answer = plan.eval(&expr, &data, &options).unwrap();
/// ```
#[derive(Debug)]
pub struct Plan {
    pub(crate) range: Range,
    selections: Vec<Selection>,
    /// Few enough to be looked through.
    by_address: Vec<(Place, usize)>,
}

impl Plan {
    /// Looks at the whole expression. An error is one that its evaluation would end with.
    pub fn new(expr: &Expr, range: Range, options: &EvalOptions) -> Result<Plan, EvalError> {
        let mut planner = Planner {
            resolver: Resolver::new(range, options),
            plan: Plan { range, selections: Vec::new(), by_address: Vec::new() },
        };
        planner.walk(expr, range.start.as_millis(), range.end.as_millis())?;
        Ok(planner.plan)
    }

    /// The selections whose series [`Plan::eval`] wants, in this order.
    pub fn selections(&self) -> &[Selection] {
        &self.selections
    }

    /// The same, to be handed on; the plan keeps none.
    pub fn take_selections(&mut self) -> Vec<Selection> {
        std::mem::take(&mut self.selections)
    }

    /// Evaluates the expression that the plan was made for, which must not have moved, as [`crate::eval`] does.
    pub fn eval<S: SeriesReader>(
        &self,
        expr: &Expr,
        data: &[S],
        options: &EvalOptions,
    ) -> Result<Answer, EvalError> {
        let data: Vec<&dyn SeriesReader> = data.iter().map(|reader| reader as &dyn SeriesReader).collect();
        eval_planned(expr, self, &data, options)
    }

    /// The index of the selection for a selector.
    pub(crate) fn of_selector(&self, selector: &Selector) -> Option<usize> {
        self.index_of(Place::Selector(address(selector)))
    }

    /// The index of the selection for the info series of a call of `info` with these arguments.
    pub(crate) fn of_info(&self, args: &[Expr]) -> Option<usize> {
        self.index_of(Place::Info(args.as_ptr().addr()))
    }

    fn index_of(&self, place: Place) -> Option<usize> {
        self.by_address.iter().find(|(other, _)| *other == place).map(|(_, index)| *index)
    }
}

/// The tree is borrowed while a plan lives, so that places in it can be told apart by their address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Selector(usize),
    Info(usize),
}

fn address(selector: &Selector) -> usize {
    std::ptr::from_ref(selector).addr()
}

/// Turns modifiers and durations into numbers for one query.
#[derive(Clone, Copy)]
pub(crate) struct Resolver {
    pub(crate) range: Range,
    pub(crate) lookback_ms: i64,
    pub(crate) default_step_ms: i64,
}

impl Resolver {
    pub(crate) fn new(range: Range, options: &EvalOptions) -> Self {
        let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Resolver {
            range,
            lookback_ms: millis(options.lookback),
            default_step_ms: millis(options.default_step).max(1),
        }
    }

    fn at(&self, time: &TimeModifier) -> Option<i64> {
        time.at.map(|at| match at {
            At::Millis(millis) => millis,
            At::Start => self.range.start.as_millis(),
            At::End => self.range.end.as_millis(),
        })
    }

    fn offset(&self, time: &TimeModifier) -> Result<i64, EvalError> {
        time.offset.as_ref().map_or(Ok(0), |offset| self.millis(offset))
    }

    /// When a selector or subquery with this shift looks.
    pub(crate) fn moment(&self, time: &TimeModifier) -> Result<Moment, EvalError> {
        let offset = self.offset(time)?;
        Ok(self.at(time).map_or(Moment::Before(offset), |at| Moment::Fixed(at.saturating_sub(offset))))
    }

    /// The length of a window or step: more than nothing.
    pub(crate) fn length(&self, duration: &DurationExpr) -> Result<i64, EvalError> {
        match self.millis(duration)? {
            millis if millis > 0 => Ok(millis),
            _ => Err(EvalError::at(duration.span, "duration must be greater than 0")),
        }
    }

    fn millis(&self, duration: &DurationExpr) -> Result<i64, EvalError> {
        let seconds = self.seconds(duration)?;
        let millis = (seconds * 1000.0).round();
        // What does not fit into signed nanoseconds is refused everywhere else, too.
        if millis.is_nan() || millis.abs() >= 9.223_372_036e12 {
            return Err(EvalError::at(duration.span, "duration out of range"));
        }
        Ok(millis as i64)
    }

    pub(crate) fn step_seconds(&self) -> f64 {
        self.range.step_ms as f64 / 1000.0
    }

    pub(crate) fn range_seconds(&self) -> f64 {
        self.range.end.as_millis().saturating_sub(self.range.start.as_millis()) as f64 / 1000.0
    }

    fn seconds(&self, duration: &DurationExpr) -> Result<f64, EvalError> {
        Ok(match &duration.node {
            DurationNode::Literal { seconds, .. } => *seconds,
            DurationNode::Step => self.step_seconds(),
            DurationNode::Range => self.range_seconds(),
            DurationNode::Negate(inner) => -self.seconds(inner)?,
            DurationNode::MinOf(left, right) => self.seconds(left)?.min(self.seconds(right)?),
            DurationNode::MaxOf(left, right) => self.seconds(left)?.max(self.seconds(right)?),
            DurationNode::Binary(op, left, right) => {
                let (left, right) = (self.seconds(left)?, self.seconds(right)?);
                match op {
                    BinaryOp::Add => left + right,
                    BinaryOp::Sub => left - right,
                    BinaryOp::Mul => left * right,
                    BinaryOp::Div if right == 0.0 => {
                        return Err(EvalError::at(duration.span, "division by zero in a duration"));
                    }
                    BinaryOp::Div => left / right,
                    BinaryOp::Mod if right == 0.0 => {
                        return Err(EvalError::at(duration.span, "modulo by zero in a duration"));
                    }
                    BinaryOp::Mod => left % right,
                    _ => left.powf(right),
                }
            }
        })
    }

    /// The first evaluation of a subquery whose windows reach back to `after`, exclusive: a multiple of its step.
    pub(crate) fn subquery_start(after: i64, step: i64) -> i64 {
        after.div_euclid(step).saturating_add(1).saturating_mul(step)
    }
}

struct Planner {
    resolver: Resolver,
    plan: Plan,
}

impl Planner {
    /// `first` and `last`: the times at which `expr` is evaluated.
    fn walk(&mut self, expr: &Expr, first: i64, last: i64) -> Result<(), EvalError> {
        match &expr.node {
            Node::Selector(selector) => {
                let window = self.resolver.lookback_ms;
                self.selector(selector, window, first, last)
            }
            Node::Range { selector, range, .. } => {
                let window = self.resolver.length(range)?;
                self.selector(selector, window, first, last)
            }
            Node::Subquery { expr, range, step, time } => {
                let (first, last) = self.shifted(time, first, last)?;
                let range = self.resolver.length(range)?;
                if let Some(step) = step {
                    self.resolver.length(step)?;
                }
                self.walk(expr, first.saturating_sub(range), last)
            }
            Node::Call { function, args } if function.id == FunctionId::Info => {
                let base = args.first().map_or(Ok(()), |base| self.walk(base, first, last));
                self.info(args, first, last)?;
                base
            }
            _ => expr.children().into_iter().try_for_each(|child| self.walk(child, first, last)),
        }
    }

    fn shifted(&self, time: &TimeModifier, first: i64, last: i64) -> Result<(i64, i64), EvalError> {
        let moment = self.resolver.moment(time)?;
        Ok((moment.of(first), moment.of(last)))
    }

    fn selector(&mut self, selector: &Selector, window: i64, first: i64, last: i64) -> Result<(), EvalError> {
        let (first, last) = self.shifted(&selector.time, first, last)?;
        let lookback = self.resolver.lookback_ms;
        let (before, after) = match selector.edges {
            Edges::Plain => (0, 0),
            Edges::Anchored => (lookback, 0),
            Edges::Smoothed => (lookback, lookback),
        };
        // Windows are open on the left.
        let start = first.saturating_sub(window).saturating_sub(before).saturating_add(1);
        self.select(
            Place::Selector(address(selector)),
            &selector.matchers,
            start,
            last.saturating_add(after),
        );
        Ok(())
    }

    /// The info series of a call of `info`: at the times at which its first argument looks.
    fn info(&mut self, args: &[Expr], first: i64, last: i64) -> Result<(), EvalError> {
        let Some(base) = args.first() else { return Ok(()) };
        let moment = moment_of(base, &self.resolver)?;
        let start = moment.of(first).saturating_sub(self.resolver.lookback_ms).saturating_add(1);
        let matchers = InfoSelector::of(args).matchers();
        self.select(Place::Info(args.as_ptr().addr()), &matchers, start, moment.of(last));
        Ok(())
    }

    fn select(&mut self, place: Place, matchers: &[Matcher], start: i64, end: i64) {
        let (start, end) = (Timestamp::from_millis(start), Timestamp::from_millis(end));
        let shared = self
            .plan
            .selections
            .iter_mut()
            .enumerate()
            .find(|(_, s)| s.matchers == matchers && s.start <= end && start <= s.end);
        let index = match shared {
            Some((index, selection)) => {
                selection.start = selection.start.min(start);
                selection.end = selection.end.max(end);
                index
            }
            None => {
                self.plan.selections.push(Selection { matchers: matchers.to_vec(), start, end });
                self.plan.selections.len() - 1
            }
        };
        self.plan.by_address.push((place, index));
    }
}
