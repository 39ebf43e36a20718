//! What may differ between the two, and why. Every entry is a rule that can be read, never a list of queries.

use crate::answer::{Answer, Number, Point};
use crate::grammar::{Query, When};

/// An answer that may be another one.
struct Exception {
    reason: &'static str,
    applies: fn(&Query, &Answer, &Answer) -> bool,
}

const EXCEPTIONS: &[Exception] = &[
    Exception {
        reason: "rates of native histograms no longer extrapolate below zero from Prometheus 3.6 on",
        applies: |query, ours, theirs| {
            names(query, &["rate(", "increase("])
                && names(query, &["duration_seconds", "_native", "size_custom"])
                && same_fate(ours, theirs)
        },
    },
    Exception {
        reason: "topk and bottomk keep any of series with equal values",
        applies: |query, ours, theirs| names(query, &["topk", "bottomk"]) && same_values(ours, theirs),
    },
    Exception {
        reason: "sort does nothing in a range query; up to 3.5 it lost native histograms there",
        applies: |query, ours, theirs| {
            names(query, &["sort(", "sort_desc("])
                && matches!(query.when, When::Range { .. })
                && same_fate(ours, theirs)
        },
    },
    Exception {
        reason: "sort_by_label says of a missing label both that it is smaller and that it is greater",
        applies: |query, ours, theirs| {
            query.expr.starts_with("sort_by_label") && ours.series.len() == theirs.series.len()
        },
    },
    Exception {
        reason: "count_values shows the last places of inexact numbers",
        applies: |query, ours, theirs| {
            query.expr.contains("count_values")
                && is_inexact(&query.expr)
                && ours.series.len() == theirs.series.len()
        },
    },
    Exception {
        reason: "info is experimental, and was reworked after 3.5: modifiers, matchers of the name, series without information",
        applies: |query, ours, theirs| query.expr.contains("info(") && same_fate(ours, theirs),
    },
    Exception {
        reason: "limitk keeps any series; Prometheus those that come first from its storage, Foghorn by labels",
        applies: |query, ours, theirs| query.expr.contains("limitk") && same_fate(ours, theirs),
    },
    Exception {
        reason: "limit_ratio samples by a hash of labels that depends on how Prometheus was built",
        applies: |query, ours, theirs| query.expr.contains("limit_ratio") && same_fate(ours, theirs),
    },
];

fn names(query: &Query, any: &[&str]) -> bool {
    any.iter().any(|name| query.expr.contains(name))
}

/// The same numbers at the same times, in whichever series; zeros are equal whatever their sign.
fn same_values(ours: &Answer, theirs: &Answer) -> bool {
    let all = |answer: &Answer| {
        let points = answer.series.values().flatten();
        let shown = |point: &Point| match point.value {
            Number::Float(value) => format!("{} {:?}", point.at, value + 0.0),
            _ => format!("{point:?}"),
        };
        let mut values: Vec<String> = points.map(shown).collect();
        values.sort();
        values
    };
    all(ours) == all(theirs)
}

/// Both answer, or both fail.
fn same_fate(ours: &Answer, theirs: &Answer) -> bool {
    ours.error.is_some() == theirs.error.is_some()
}

/// Why a difference is none, if there is a reason.
pub(crate) fn reason(query: &Query, ours: &Answer, theirs: &Answer) -> Option<&'static str> {
    EXCEPTIONS.iter().find(|e| (e.applies)(query, ours, theirs)).map(|e| e.reason)
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
    "exp",
    "ln",
    "log2",
    "log10",
    "^",
    "%",
    "stddev",
    "stdvar",
    "deriv",
    "predict_linear",
    "smoothing",
    "avg",
    "sum",
    "rate",
    "delta",
    "increase",
    "quantile",
    "fraction",
];

/// Whether an inexact number may go through further steps.
pub(crate) fn is_inexact(expr: &str) -> bool {
    INEXACT.iter().any(|name| expr.contains(name))
}

/// Whether the order of the answer is part of it: only `sort` and its kin at the top of an instant query.
pub(crate) fn is_ordered(query: &Query) -> bool {
    matches!(query.when, When::Instant(_)) && query.expr.starts_with("sort")
}

/// Whether one side warns, or informs, and the other does not.
pub(crate) fn notes_difference(ours: &Answer, theirs: &Answer) -> Option<String> {
    let what = |ours: &[String], theirs: &[String], name: &str| match (ours.is_empty(), theirs.is_empty()) {
        (true, false) => Some(format!("only Prometheus has {name}")),
        (false, true) => Some(format!("only Foghorn has {name}")),
        _ => None,
    };
    what(&ours.warnings, &theirs.warnings, "warnings").or_else(|| what(&ours.infos, &theirs.infos, "infos"))
}
