//! `parse_query`: a syntax tree as JSON, in the shape that tools for PromQL know.
//!
//! Durations are milliseconds. One that is arithmetic has no length before it is evaluated: its number is 0, and its text
//! stands beside it (`rangeExpr`, `stepExpr`, `offsetExpr`).

use model::{Matcher, format_float};
use promql::{At, Cardinality, DurationExpr, Edges, Expr, Function, Matching, Node, Selector, TimeModifier};
use serde_json::{Value, json};

/// The tree of `expr`.
pub(crate) fn tree(expr: &Expr) -> Value {
    match &expr.node {
        Node::Number { value, .. } => json!({"type": "numberLiteral", "val": format_float(*value)}),
        Node::String(bytes) => json!({"type": "stringLiteral", "val": String::from_utf8_lossy(bytes)}),
        Node::Selector(selector) => selected("vectorSelector", selector),
        Node::Range { selector, range, .. } => {
            let mut json = selected("matrixSelector", selector);
            length(&mut json, "range", Some(range));
            json
        }
        Node::Subquery { expr, range, step, time } => {
            let mut json = json!({"type": "subquery", "expr": tree(expr)});
            length(&mut json, "range", Some(range));
            length(&mut json, "step", step.as_ref());
            shifted(&mut json, time);
            json
        }
        Node::Call { function, args } => json!({
            "type": "call",
            "func": signature(function),
            "args": args.iter().map(tree).collect::<Vec<_>>(),
        }),
        Node::Aggregate { op, param, expr, grouping, without } => json!({
            "type": "aggregation",
            "op": op.as_str(),
            "expr": tree(expr),
            "param": param.as_deref().map(tree),
            "grouping": grouping,
            "without": without,
        }),
        Node::Binary { op, lhs, rhs, return_bool, matching } => json!({
            "type": "binaryExpr",
            "op": op.as_str(),
            "lhs": tree(lhs),
            "rhs": tree(rhs),
            "matching": matching.as_ref().map(matched),
            "bool": return_bool,
        }),
        Node::Unary { negative, expr } => {
            json!({"type": "unaryExpr", "op": if *negative { "-" } else { "+" }, "expr": tree(expr)})
        }
        Node::Paren(inner) => json!({"type": "parenExpr", "expr": tree(inner)}),
    }
}

fn selected(kind: &str, selector: &Selector) -> Value {
    let matcher = |m: &Matcher| json!({"name": m.name(), "value": m.pattern(), "type": m.op().as_str()});
    let mut json = json!({
        "type": kind,
        "name": selector.name,
        "matchers": selector.matchers.iter().map(matcher).collect::<Vec<_>>(),
        "anchored": selector.edges == Edges::Anchored,
        "smoothed": selector.edges == Edges::Smoothed,
    });
    shifted(&mut json, &selector.time);
    json
}

fn shifted(json: &mut Value, time: &TimeModifier) {
    length(json, "offset", time.offset.as_ref());
    let (timestamp, start_or_end) = match time.at {
        Some(At::Millis(millis)) => (Some(millis), None),
        Some(At::Start) => (None, Some("start")),
        Some(At::End) => (None, Some("end")),
        None => (None, None),
    };
    json["timestamp"] = json!(timestamp);
    json["startOrEnd"] = json!(start_or_end);
}

fn length(json: &mut Value, name: &str, duration: Option<&DurationExpr>) {
    let literal = duration.map(DurationExpr::as_literal_millis);
    json[name] = json!(literal.flatten().unwrap_or(0));
    if let (Some(duration), Some(None)) = (duration, literal) {
        json[format!("{name}Expr")] = json!(duration.to_string());
    }
}

fn signature(function: &Function) -> Value {
    // How many arguments may be left out or added; -1 is any number.
    let variadic = function.arity.max.map_or(-1, |max| (max - function.arity.min) as i64);
    json!({
        "name": function.name,
        "argTypes": function.args.iter().map(|kind| kind.as_str()).collect::<Vec<_>>(),
        "variadic": variadic,
        "returnType": function.returns.as_str(),
    })
}

fn matched(matching: &Matching) -> Value {
    let cardinality = match matching.cardinality {
        Cardinality::OneToOne => "one-to-one",
        Cardinality::ManyToOne => "many-to-one",
        Cardinality::OneToMany => "one-to-many",
        Cardinality::ManyToMany => "many-to-many",
    };
    json!({
        "card": cardinality,
        "labels": matching.labels,
        "on": matching.on,
        "include": matching.include,
        "fillValues": {"lhs": matching.fill_left, "rhs": matching.fill_right},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Value {
        tree(&promql::parse(text, &promql::ParseOptions::all()).unwrap())
    }

    #[test]
    fn selectors() {
        assert_eq!(
            parsed("up{job=~\"a|b\"} offset -1m @ start()"),
            json!({
                "type": "vectorSelector", "name": "up", "offset": -60_000, "timestamp": null, "startOrEnd": "start",
                "anchored": false, "smoothed": false,
                "matchers": [
                    {"name": "job", "value": "a|b", "type": "=~"},
                    {"name": "__name__", "value": "up", "type": "="},
                ],
            })
        );
        let range = parsed("x[5m] @ 12.5");
        assert_eq!((&range["type"], &range["range"]), (&json!("matrixSelector"), &json!(300_000)));
        assert_eq!((&range["timestamp"], &range["offset"]), (&json!(12_500), &json!(0)));
        let arithmetic = parsed("x[2 * 5m]");
        assert_eq!((&arithmetic["range"], &arithmetic["rangeExpr"]), (&json!(0), &json!("2 * 5m")));
        let subquery = parsed("x[1h:]");
        assert_eq!((&subquery["range"], &subquery["step"]), (&json!(3_600_000), &json!(0)));
        assert_eq!(subquery["expr"]["type"], "vectorSelector");
    }

    #[test]
    fn operators_and_calls() {
        let binary = parsed("a / on (x) group_left (y) -b");
        assert_eq!(
            binary["matching"],
            json!({
                "card": "many-to-one", "labels": ["x"], "on": true, "include": ["y"],
                "fillValues": {"lhs": null, "rhs": null},
            })
        );
        assert_eq!(binary["rhs"]["type"], "unaryExpr");
        assert_eq!(parsed("1 < bool 2")["bool"], true);
        assert_eq!(parsed("1 + 2")["matching"], Value::Null);
        let aggregation = parsed("topk without (x) (3, (y))");
        assert_eq!(aggregation["param"], json!({"type": "numberLiteral", "val": "3"}));
        assert_eq!((&aggregation["grouping"], &aggregation["without"]), (&json!(["x"]), &json!(true)));
        assert_eq!(aggregation["expr"]["type"], "parenExpr");
        assert_eq!(parsed("sum(x)")["param"], Value::Null);
        for (text, variadic, args) in [
            ("rate(x[1m])", 0, json!(["matrix"])),
            ("round(x)", 1, json!(["vector", "scalar"])),
            ("label_join(x, \"a\", \"b\")", -1, json!(["vector", "string", "string", "string"])),
        ] {
            let function = &parsed(text)["func"];
            assert_eq!((&function["variadic"], &function["argTypes"]), (&json!(variadic), &args), "{text}");
        }
    }
}
