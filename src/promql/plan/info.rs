//! What a call of `info` selects, and at which time.

use model::{METRIC_NAME, MatchOp, Matcher};

use super::Resolver;
use crate::EvalError;
use crate::ast::{Expr, Node, ValueKind};
use crate::functions::FunctionId;

/// The metric that is looked up if none is named.
const TARGET_INFO: &str = "target_info";

/// The series that describe others.
#[derive(Clone, Debug)]
pub(crate) struct InfoSelector {
    /// Matchers of their metric name; a series whose name fits all of them is an info series itself.
    pub(crate) names: Vec<Matcher>,
    /// Matchers of their other labels; these labels alone are handed on, or all if there are none.
    pub(crate) data: Vec<Matcher>,
}

impl InfoSelector {
    /// What the arguments of the call ask for.
    pub(crate) fn of(args: &[Expr]) -> Self {
        let given = match args.get(1).map(|arg| &arg.node) {
            Some(Node::Selector(selector)) => selector.matchers.as_slice(),
            _ => &[],
        };
        let (mut names, data): (Vec<Matcher>, Vec<Matcher>) =
            given.iter().cloned().partition(|m| m.name() == METRIC_NAME);
        if names.is_empty() {
            names.push(Matcher::equal(METRIC_NAME, TARGET_INFO));
        } else if names.iter().all(|m| matches!(m.op(), MatchOp::NotEqual | MatchOp::NotRegex)) {
            // What only says which names are not wanted says nothing about which metrics are of this kind.
            let any = Matcher::new(METRIC_NAME, MatchOp::Regex, ".+_info");
            names.insert(0, any.expect("a constant that is a valid pattern"));
        }
        InfoSelector { names, data }
    }

    /// All matchers.
    pub(crate) fn matchers(&self) -> Vec<Matcher> {
        self.names.iter().chain(&self.data).cloned().collect()
    }
}

/// The time at which something is looked up that belongs to an evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Always this one.
    Fixed(i64),
    /// So many milliseconds before the evaluation.
    Before(i64),
}

impl Moment {
    /// For an evaluation at `time`.
    #[inline]
    pub(crate) fn of(self, time: i64) -> i64 {
        match self {
            Moment::Fixed(at) => at,
            Moment::Before(offset) => time.saturating_sub(offset),
        }
    }

    /// This one, for evaluations that themselves happen at `outer`.
    fn inside(self, outer: Moment) -> Moment {
        match (self, outer) {
            (Moment::Fixed(_), _) => self,
            (Moment::Before(offset), Moment::Fixed(at)) => Moment::Fixed(at.saturating_sub(offset)),
            (Moment::Before(offset), Moment::Before(more)) => Moment::Before(offset.saturating_add(more)),
        }
    }
}

/// The time at which the series that describe the values of `base` are looked up: the one at which its selectors look,
/// if that is the same for all of them; else that of the evaluation.
pub(crate) fn moment_of(base: &Expr, resolver: &Resolver) -> Result<Moment, EvalError> {
    Ok(common(base, resolver)?.unwrap_or(Moment::Before(0)))
}

/// The time at which everything looks that the series of `expr` come from. `None`: not all at the same. What only gives
/// numbers does not count; what makes series of nothing looks at the time of the evaluation.
fn common(expr: &Expr, resolver: &Resolver) -> Result<Option<Moment>, EvalError> {
    let sources: Vec<&Expr> = match &expr.node {
        Node::Selector(selector) | Node::Range { selector, .. } => {
            return resolver.moment(&selector.time).map(Some);
        }
        Node::Subquery { expr: inner, time, .. } => {
            let outer = resolver.moment(time)?;
            return Ok(common(inner, resolver)?.map(|moment| moment.inside(outer)));
        }
        Node::Call { function, args } if function.id == FunctionId::Info => args.iter().take(1).collect(),
        _ => expr.children(),
    };
    let mut found = None;
    for source in sources.into_iter().filter(|e| matches!(e.kind(), ValueKind::Vector | ValueKind::Matrix)) {
        match (common(source, resolver)?, found) {
            (None, _) => return Ok(None),
            (Some(moment), Some(other)) if moment != other => return Ok(None),
            (moment, _) => found = moment,
        }
    }
    Ok(Some(found.unwrap_or(Moment::Before(0))))
}
