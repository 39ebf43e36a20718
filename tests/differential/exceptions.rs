//! What may differ between the two, and why. Every entry is a rule that can be read, never a list of queries.

use std::collections::BTreeMap;

use promql::{AggregateOp, BinaryOp, Expr, Node};

use crate::answer::{self, Answer, Number, Point, RELATIVE_MAX, Tolerance};
use crate::grammar::{Query, When};

/// An answer that may be another one.
struct Exception {
    reason: &'static str,
    applies: fn(&Case<'_>) -> bool,
}

/// A query that was answered differently.
pub(crate) struct Case<'c> {
    pub(crate) query: &'c Query,
    pub(crate) tree: &'c Expr,
    pub(crate) ours: &'c Answer,
    pub(crate) theirs: &'c Answer,
    pub(crate) tolerance: Tolerance,
    /// Both sides' answer to another expression at the same times.
    pub(crate) ask: &'c dyn Fn(&str) -> (Answer, Answer),
}

const EXCEPTIONS: &[Exception] = &[
    Exception {
        reason: "rates of native histograms no longer extrapolate below zero from Prometheus 3.6 on (PR 16192)",
        applies: |case| {
            let native = ["duration_seconds", "_native", "size_custom"];
            calls(case.tree, &["rate", "increase"])
                && native.iter().any(|name| case.query.expr.contains(name))
                && same_shape(case)
        },
    },
    Exception {
        reason: "topk and bottomk keep any of series with equal values",
        applies: |case| {
            aggregates(case.tree, &[AggregateOp::Topk, AggregateOp::Bottomk]) && same_values(case)
        },
    },
    Exception {
        reason: "sort does nothing in a range query; up to 3.5 it lost native histograms there",
        applies: |case| {
            let more = |ours: &Point| matches!(ours.value, Number::Histogram(_));
            calls(case.tree, &["sort", "sort_desc"])
                && matches!(case.query.when, When::Range { .. })
                && case.theirs.error.is_none()
                && same_but_for(case, more)
        },
    },
    Exception {
        reason: "sort_by_label says of a missing label both that it is smaller and that it is greater",
        applies: |case| {
            let unordered = Tolerance { ordered: false, ..case.tolerance };
            calls(case.tree, &["sort_by_label", "sort_by_label_desc"])
                && answer::difference(case.ours, case.theirs, unordered).is_none()
        },
    },
    Exception {
        reason: "count_values shows the last places of inexact numbers",
        applies: |case| {
            aggregates(case.tree, &[AggregateOp::CountValues])
                && inexact_steps(case.tree) > 0
                && points(case.ours) == points(case.theirs)
        },
    },
    Exception {
        reason: "limitk keeps any series; Prometheus those that come first from its storage, Foghorn by labels",
        applies: |case| {
            let alone = matches!(case.tree.node, Node::Aggregate { op: AggregateOp::Limitk, .. });
            aggregates(case.tree, &[AggregateOp::Limitk])
                && (!alone || chosen(case) && counts(case.ours) == counts(case.theirs))
        },
    },
    Exception {
        reason: "limit_ratio samples by a hash of labels that depends on how Prometheus was built",
        applies: |case| {
            let alone = matches!(case.tree.node, Node::Aggregate { op: AggregateOp::LimitRatio, .. });
            aggregates(case.tree, &[AggregateOp::LimitRatio]) && (!alone || chosen(case))
        },
    },
    Exception {
        reason: "info of 3.5 does not look where its series look, and takes more for info series (PRs 17932, 19266)",
        applies: |case| {
            let shifted = case.query.expr.contains(" offset ") || case.query.expr.contains(" @ ");
            calls(case.tree, &["info"]) && (shifted || case.query.expr.contains("info(target_info"))
        },
    },
    Exception {
        reason: "info of 3.5 takes labels from wrong series inside of a subquery, too (issue 17134)",
        applies: |case| in_subquery(case.tree, false),
    },
    Exception {
        reason: "min and max keep any of two zeros, and those have signs",
        applies: |case| {
            aggregates(case.tree, &[AggregateOp::Min, AggregateOp::Max])
                && same_shape(case)
                && within(case, RELATIVE_MAX)
        },
    },
    Exception {
        reason: "info of 3.5 drops series that no label identifies if a metric is named",
        applies: |case| {
            let identified = |labels: &String| labels.contains("\"instance\"") || labels.contains("\"job\"");
            let ours = Answer {
                series: case
                    .ours
                    .series
                    .clone()
                    .into_iter()
                    .filter(|(labels, _)| identified(labels))
                    .collect(),
                ..case.ours.clone()
            };
            calls(case.tree, &["info"])
                && case.query.expr.contains("__name__=")
                && answer::difference(&ours, case.theirs, case.tolerance).is_none()
        },
    },
    Exception {
        reason: "label_replace and label_join of 3.5 do not join series that have no time in common",
        applies: |case| {
            let error = case.theirs.error.as_ref();
            calls(case.tree, &["label_replace", "label_join"])
                && matches!(case.query.when, When::Range { .. })
                && case.ours.error.is_none()
                && error.is_some_and(|(_, text)| text.contains("metrics with the same labelset"))
        },
    },
    Exception {
        reason: "timestamp of Prometheus forgets an offset beside @",
        applies: |case| {
            let both = case.query.expr.contains(" @ ") && case.query.expr.contains(" offset ");
            calls(case.tree, &["timestamp"]) && both
        },
    },
    Exception {
        reason: "spreads of large numbers that are near each other: 3.5 adds up without compensation",
        applies: |case| {
            aggregates(case.tree, &[AggregateOp::Stddev, AggregateOp::Stdvar])
                && same_shape(case)
                && within(case, 1e-6)
        },
    },
    Exception {
        reason: "the sine of a large number that is inexact is anything",
        applies: |case| {
            calls(case.tree, &["sin", "cos", "tan"])
                && inexact_steps(case.tree) > 2
                && same_shape(case)
                && within(case, 3.0)
        },
    },
];

/// Whether any of these functions is called.
pub(crate) fn calls(expr: &Expr, names: &[&str]) -> bool {
    matches!(&expr.node, Node::Call { function, .. } if names.contains(&function.name))
        || expr.children().into_iter().any(|child| calls(child, names))
}

/// Whether `info` is called inside of a subquery.
fn in_subquery(expr: &Expr, inside: bool) -> bool {
    let inside = inside || matches!(expr.node, Node::Subquery { .. });
    let here = matches!(&expr.node, Node::Call { function, .. } if function.name == "info");
    inside && here || expr.children().into_iter().any(|child| in_subquery(child, inside))
}

fn aggregates(expr: &Expr, ops: &[AggregateOp]) -> bool {
    matches!(&expr.node, Node::Aggregate { op, .. } if ops.contains(op))
        || expr.children().into_iter().any(|child| aggregates(child, ops))
}

/// The same series with values at the same times.
fn same_shape(case: &Case<'_>) -> bool {
    let shape = |answer: &Answer| -> Vec<(String, Vec<String>)> {
        let times = |points: &[Point]| points.iter().map(|point| point.at.clone()).collect();
        answer.series.iter().map(|(labels, points)| (labels.clone(), times(points))).collect()
    };
    case.ours.error.is_some() == case.theirs.error.is_some() && shape(case.ours) == shape(case.theirs)
}

/// The same numbers at the same times, in whichever series; zeros are equal whatever their sign.
fn same_values(case: &Case<'_>) -> bool {
    let all = |answer: &Answer| {
        let mut points: Vec<Point> = answer.series.values().flatten().cloned().collect();
        for point in &mut points {
            if let Number::Float(value) = &mut point.value {
                *value += 0.0;
            }
        }
        let number = |point: &Point| if let Number::Float(value) = point.value { value } else { f64::NAN };
        points.sort_by(|a, b| a.at.cmp(&b.at).then_with(|| number(a).abs().total_cmp(&number(b).abs())));
        points
    };
    let (ours, theirs) = (all(case.ours), all(case.theirs));
    let same = |(a, b): (&Point, &Point)| a.at == b.at && answer::same(&a.value, &b.value, case.tolerance);
    ours.len() == theirs.len() && ours.iter().zip(&theirs).all(same)
}

/// Everything there is here, too; what there is here besides may be `more`.
fn same_but_for(case: &Case<'_>, more: fn(&Point) -> bool) -> bool {
    let nothing = Vec::new();
    let all_there = case.theirs.series.iter().all(|(labels, theirs)| {
        let ours = case.ours.series.get(labels).unwrap_or(&nothing);
        theirs.iter().all(|point| contains(ours, point, case.tolerance))
    });
    all_there
        && case.ours.series.iter().all(|(labels, ours)| {
            let theirs = case.theirs.series.get(labels).unwrap_or(&nothing);
            ours.iter().all(|point| more(point) || contains(theirs, point, case.tolerance))
        })
}

/// Whether no number is further from the other side's than this part of it.
fn within(case: &Case<'_>, part: f64) -> bool {
    let near = |(ours, theirs): (&Point, &Point)| match (&ours.value, &theirs.value) {
        (Number::Float(a), Number::Float(b)) => {
            a.to_bits() == b.to_bits() || (a - b).abs() <= a.abs().max(b.abs()) * part
        }
        (a, b) => answer::same(a, b, case.tolerance),
    };
    case.ours.series.values().flatten().zip(case.theirs.series.values().flatten()).all(near)
}

fn contains(points: &[Point], point: &Point, tolerance: Tolerance) -> bool {
    points.iter().any(|other| other.at == point.at && answer::same(&other.value, &point.value, tolerance))
}

/// How many values there are.
fn points(answer: &Answer) -> usize {
    answer.series.values().map(Vec::len).sum()
}

/// How many values there are at each time.
fn counts(answer: &Answer) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for point in answer.series.values().flatten() {
        *counts.entry(point.at.clone()).or_insert(0) += 1;
    }
    counts
}

/// Whether both sides answer a part of what the aggregation chooses from, and it is the whole
/// expression: what becomes of the chosen ones elsewhere cannot be told.
fn chosen(case: &Case<'_>) -> bool {
    let Node::Aggregate { expr: inner, .. } = &case.tree.node else { return false };
    let Some(text) = case.query.expr.get(inner.span.start..inner.span.end) else { return false };
    let (our_all, their_all) = (case.ask)(text);
    let part = |some: &Answer, all: &Answer| {
        some.error.is_none()
            && some.series.iter().all(|(labels, points)| {
                let all = all.series.get(labels).map_or(&[][..], Vec::as_slice);
                points.iter().all(|point| contains(all, point, case.tolerance))
            })
    };
    part(case.ours, &our_all) && part(case.theirs, &their_all)
}

/// Why a difference is none, if there is a reason.
pub(crate) fn reason(case: &Case<'_>) -> Option<&'static str> {
    EXCEPTIONS.iter().find(|e| (e.applies)(case)).map(|e| e.reason)
}

/// Functions whose last places depend on a library or on the order of adding up.
const INEXACT: &[&str] = &[
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "acosh",
    "atanh",
    "exp",
    "ln",
    "log2",
    "log10",
    "rate",
    "increase",
    "delta",
    "irate",
    "double_exponential_smoothing",
    "sum_over_time",
    "avg_over_time",
    "mad_over_time",
    "quantile_over_time",
    "histogram_quantile",
    "histogram_quantiles",
    "histogram_fraction",
    "histogram_avg",
];

/// Whether the last places of an inexact number may go through further steps.
pub(crate) fn is_inexact(expr: &Expr) -> bool {
    inexact_steps(expr) > 1
}

/// Functions in which large numbers cancel, which is an inexact step behind another.
const CANCELLING: &[&str] = &[
    "sin",
    "cos",
    "tan",
    "deriv",
    "predict_linear",
    "stddev_over_time",
    "stdvar_over_time",
    "histogram_stddev",
    "histogram_stdvar",
];

/// How many inexact steps at most lie one in another; any step of arithmetic counts behind the first.
fn inexact_steps(expr: &Expr) -> usize {
    let inside = expr.children().into_iter().map(inexact_steps).max().unwrap_or(0);
    let (inexact, computes) = match &expr.node {
        Node::Call { function, .. } if CANCELLING.contains(&function.name) => return inside + 2,
        Node::Aggregate { op: AggregateOp::Stddev | AggregateOp::Stdvar, .. } => return inside + 2,
        Node::Call { function, .. } => {
            let inexact = INEXACT.contains(&function.name);
            (inexact, inexact || !function.name.starts_with("label_") && !function.name.starts_with("sort"))
        }
        Node::Aggregate { op, .. } => {
            use AggregateOp::{Avg, Quantile, Sum};
            let inexact = matches!(op, Sum | Avg | Quantile);
            (inexact, inexact)
        }
        Node::Binary { op, .. } => {
            let inexact = matches!(op, BinaryOp::Pow | BinaryOp::Mod | BinaryOp::Atan2);
            (inexact, inexact || !op.is_set() && !op.is_comparison())
        }
        _ => (false, false),
    };
    if inside > 0 { inside + usize::from(computes) } else { usize::from(inexact) }
}

/// Whether the order of the answer is part of it: only `sort` and its kin at the top of an instant query.
pub(crate) fn is_ordered(query: &Query) -> bool {
    matches!(query.when, When::Instant(_)) && query.expr.starts_with("sort")
}
