//! Type rules: which operand goes where.

use std::cmp::Reverse;

use model::Matcher;

use crate::ast::{AggregateOp, BinaryOp, Cardinality, Expr, Matching, Node, Selector, Span, ValueKind};
use crate::functions::{self, Function, FunctionId};

/// Where mistakes go: place, message, hint.
pub(crate) type Report<'a> = dyn FnMut(Span, String, Option<String>) + 'a;

/// Checks everything that the parser did not check while reading.
pub(crate) fn check(expr: &Expr, report: &mut Report<'_>) {
    match &expr.node {
        Node::Call { function, args } => call(expr, function, args, report),
        Node::Aggregate { op, param, expr: inner, .. } => {
            expect(inner, ValueKind::Vector, "aggregation expression", report);
            if let (Some(kind), Some(param)) = (op.param_kind(), param) {
                expect(param, kind, "aggregation parameter", report);
                count_values_label(*op, param, report);
            }
        }
        Node::Binary { op, lhs, rhs, return_bool, .. } => {
            binary(*op, lhs, rhs, expr.span, report);
            let scalars = lhs.kind() == ValueKind::Scalar && rhs.kind() == ValueKind::Scalar;
            if scalars && op.is_comparison() && !return_bool {
                let hint = format!("write `{} bool`", op.as_str());
                report(
                    expr.span,
                    "comparisons between scalars must use bool modifier".to_owned(),
                    Some(hint),
                );
            }
        }
        Node::Unary { expr: inner, .. } if !is_number_or_vector(inner.kind()) => {
            let message = format!(
                "unary expression only allowed on expressions of type scalar or instant vector, got \"{}\"",
                inner.kind().describe()
            );
            report(expr.span, message, None);
        }
        Node::Subquery { expr: inner, .. } if inner.kind() != ValueKind::Vector => {
            let message =
                format!("subquery is only allowed on instant vector, got {}", inner.kind().as_str());
            report(inner.span, message, None);
        }
        Node::Selector(selector) => selects_something(selector, expr.span, report),
        Node::Range { selector, selector_span, .. } => selects_something(selector, *selector_span, report),
        _ => {}
    }
    for child in expr.children() {
        // What describes info series is no selector of its own, and may fit every label.
        if !is_info_selector(expr, child) {
            check(child, report);
        }
    }
}

fn is_info_selector(call: &Expr, arg: &Expr) -> bool {
    matches!(&call.node, Node::Call { function, args } if function.id == FunctionId::Info
        && args.get(1).is_some_and(|second| std::ptr::eq(second, arg)))
        && matches!(arg.node, Node::Selector(_))
}

fn selects_something(selector: &Selector, span: Span, report: &mut Report<'_>) {
    if selector.matchers.iter().all(Matcher::matches_empty) {
        let hint = "it would select every series; add a metric name or a matcher such as `{job=\"x\"}`";
        let message = "vector selector must contain at least one non-empty matcher";
        report(span, message.to_owned(), Some(hint.to_owned()));
    }
}

fn is_number_or_vector(kind: ValueKind) -> bool {
    matches!(kind, ValueKind::Scalar | ValueKind::Vector)
}

fn expect(expr: &Expr, wanted: ValueKind, place: &str, report: &mut Report<'_>) {
    let got = expr.kind();
    if got == wanted {
        return;
    }
    let hint = match (wanted, got, &expr.without_parens().node) {
        (ValueKind::Matrix, ValueKind::Vector, Node::Selector(_)) => Some("add a range, such as `[5m]`"),
        (ValueKind::Matrix, ValueKind::Vector, _) => Some("make it a subquery, such as `(…)[5m:]`"),
        (ValueKind::Vector, ValueKind::Scalar, _) => Some("`vector(…)` makes an instant vector of a number"),
        (ValueKind::Scalar, ValueKind::Vector, _) => Some("`scalar(…)` makes a number of a single series"),
        (ValueKind::Vector, ValueKind::Matrix, _) => {
            Some("drop the range, or apply a function such as `rate` or `avg_over_time` to it")
        }
        _ => None,
    };
    let message = format!("expected type {} in {place}, got {}", wanted.describe(), got.describe());
    report(expr.span, message, hint.map(str::to_owned));
}

fn count_values_label(op: AggregateOp, param: &Expr, report: &mut Report<'_>) {
    let Node::String(name) = &param.without_parens().node else { return };
    if op == AggregateOp::CountValues && (name.is_empty() || std::str::from_utf8(name).is_err()) {
        report(param.span, "invalid label name for count_values".to_owned(), None);
    }
}

fn call(expr: &Expr, function: &Function, args: &[Expr], report: &mut Report<'_>) {
    let arity = function.arity;
    let wanted = if arity.max == Some(arity.min) {
        (args.len() != arity.min).then(|| format!("expected {} argument(s)", arity.min))
    } else if args.len() < arity.min {
        Some(format!("expected at least {} argument(s)", arity.min))
    } else {
        arity.max.filter(|max| args.len() > *max).map(|max| format!("expected at most {max} argument(s)"))
    };
    if let Some(wanted) = wanted {
        report(expr.span, format!("{wanted} in call to \"{}\", got {}", function.name, args.len()), None);
    }
    let place = format!("call to function \"{}\"", function.name);
    for (at, arg) in args.iter().enumerate() {
        let Some(kind) = function.args.get(at).or(function.args.last()) else { break };
        // The second argument of `info` is a bare set of matchers.
        if function.id == FunctionId::Info && at == 1 {
            info_selector(arg, report);
        }
        expect(arg, *kind, &place, report);
    }
}

fn info_selector(arg: &Expr, report: &mut Report<'_>) {
    match &arg.node {
        Node::Selector(selector) if selector.name.is_empty() => {}
        Node::Selector(_) => {
            let message =
                "expected label selectors only in the second argument of info, got a vector selector";
            report(
                arg.span,
                message.to_owned(),
                Some("write matchers in braces: `{label=~\"…\"}`".to_owned()),
            );
        }
        _ => report(arg.span, "expected label selectors in the second argument of info".to_owned(), None),
    }
}

fn binary(op: BinaryOp, lhs: &Expr, rhs: &Expr, span: Span, report: &mut Report<'_>) {
    let (left, right) = (lhs.kind(), rhs.kind());
    for (side, kind) in [(lhs, left), (rhs, right)] {
        if !is_number_or_vector(kind) {
            let hint = (kind == ValueKind::Matrix)
                .then(|| "apply a function such as `rate` or `avg_over_time` to it".to_owned());
            report(
                side.span,
                "binary expression must contain only scalar and instant vector types".to_owned(),
                hint,
            );
        }
    }
    if op.is_set() && (left == ValueKind::Scalar || right == ValueKind::Scalar) {
        let message = format!("set operator \"{}\" not allowed in binary scalar expression", op.as_str());
        report(span, message, Some("`vector(…)` makes an instant vector of a number".to_owned()));
    }
}

/// Checks how two operands are matched; `None` if they are not both vectors.
pub(crate) fn matching(
    op: BinaryOp,
    lhs: &Expr,
    rhs: &Expr,
    matching: Matching,
    explicit: bool,
    span: Span,
    report: &mut Report<'_>,
) -> Option<Matching> {
    let both_vectors = lhs.kind() == ValueKind::Vector && rhs.kind() == ValueKind::Vector;
    if !both_vectors {
        let filled = matching.fill_left.is_some() || matching.fill_right.is_some();
        if explicit && (!matching.labels.is_empty() || matching.on) || filled {
            report(span, "vector matching only allowed between instant vectors".to_owned(), None);
        }
        return None;
    }
    if op.is_set() && matching.cardinality != Cardinality::ManyToMany {
        report(span, format!("no grouping allowed for \"{}\" operation", op.as_str()), None);
        report(span, "set operations must always be many-to-many".to_owned(), None);
    }
    if matching.on {
        for label in matching.include.iter().filter(|label| matching.labels.contains(label)) {
            let message = format!("label \"{label}\" must not occur in ON and GROUP clause at once");
            report(span, message, None);
        }
    }
    Some(matching)
}

/// What a wrong function name may have meant.
pub(crate) fn function_hint(name: &str) -> Option<String> {
    if name == "holt_winters" {
        return Some("it is called `double_exponential_smoothing` now".to_owned());
    }
    let lower = name.to_ascii_lowercase();
    if functions::lookup(&lower).is_some() {
        return Some(format!("function names are lower case: `{lower}`"));
    }
    let names = functions::all().iter().map(|f| f.name).chain(AggregateOp::ALL.iter().map(|op| op.as_str()));
    // Of equally near ones the one that starts alike.
    let alike = |candidate: &str| lower.bytes().zip(candidate.bytes()).take_while(|(a, b)| a == b).count();
    names
        .map(|candidate| {
            (strsim::damerau_levenshtein(&lower, candidate), Reverse(alike(candidate)), candidate)
        })
        .filter(|(distance, _, candidate)| *distance <= candidate.len().div_ceil(4).max(1))
        .min()
        .map(|(_, _, candidate)| format!("did you mean `{candidate}`?"))
}
