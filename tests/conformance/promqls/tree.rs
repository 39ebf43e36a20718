//! Syntax trees in the notation of the corpus.

use promql::{
    At, Cardinality, DurationExpr, DurationNode, Expr, Matching, Node, ParseOptions, Selector, Span,
    TimeModifier, parse,
};
use serde_json::{Map, Value, json};

/// One case of the parser's table: the input is refused, or its tree has the given shape.
pub(super) fn parse_case(case: &Value) -> Result<(), String> {
    let Some(input) = input_of(case) else {
        // Not UTF-8: it never reaches a parser that reads text.
        return if case["fail"] == true { Ok(()) } else { Err("not UTF-8".to_owned()) };
    };
    let options = ParseOptions { fill_modifiers: false, ..ParseOptions::all() };
    match (parse(&input, &options), case["fail"].as_bool()) {
        (Err(_), Some(true)) => Ok(()),
        (Err(errors), _) => Err(format!("{input}: {errors}")),
        (Ok(expr), Some(true)) => Err(format!("{input} is taken as {expr}")),
        (Ok(expr), _) => {
            let got = tree(&expr);
            fits(&got, &case["ast"])
                .map_err(|why| format!("{input}: {why}\n    got {got}\n    wanted {}", case["ast"]))
        }
    }
}

fn input_of(case: &Value) -> Option<String> {
    if let Some(parts) = case["input_generated"]["concat"].as_array() {
        let repeat = |part: &Value| {
            part[0].as_str().unwrap_or_default().repeat(part[1].as_u64().unwrap_or_default() as usize)
        };
        return Some(parts.iter().map(repeat).collect());
    }
    match &case["input"] {
        Value::String(text) => Some(text.clone()),
        other => String::from_utf8(crate::bytes_of(other)).ok(),
    }
}

/// Whether everything that `wanted` says is so in `got`.
fn fits(got: &Value, wanted: &Value) -> Result<(), String> {
    match (got, wanted) {
        (Value::Object(got), Value::Object(wanted)) => {
            for (key, value) in wanted {
                fits(got.get(key).unwrap_or(&Value::Null), value).map_err(|why| format!("{key}: {why}"))?;
            }
            Ok(())
        }
        (Value::Array(got), Value::Array(wanted)) if got.len() == wanted.len() => {
            got.iter().zip(wanted).try_for_each(|(g, w)| fits(g, w))
        }
        (Value::Number(got), Value::Number(wanted)) if got.as_f64() == wanted.as_f64() => Ok(()),
        (got, wanted) if got == wanted => Ok(()),
        (got, wanted) => Err(format!("got {got}, wanted {wanted}")),
    }
}

fn pos(span: Span) -> Value {
    json!([span.start, span.end])
}

fn float(value: f64) -> Value {
    if value.is_finite() { json!(value) } else { json!(model::format_float(value)) }
}

fn tree(expr: &Expr) -> Value {
    match &expr.node {
        Node::Number { value, duration } => {
            let mut tree = json!({"type": "NumberLiteral", "Val": float(*value), "pos": pos(expr.span)});
            if *duration {
                tree["Duration"] = json!(true);
            }
            tree
        }
        Node::String(bytes) => {
            let value = match std::str::from_utf8(bytes) {
                Ok(text) => json!(text),
                Err(_) => json!({"$bytes_hex": bytes.iter().map(|b| format!("{b:02x}")).collect::<String>()}),
            };
            json!({"type": "StringLiteral", "Val": value, "pos": pos(expr.span)})
        }
        Node::Selector(selector) => {
            let mut tree = selector_tree(selector, expr.span);
            time_tree(&mut tree, &selector.time);
            tree
        }
        Node::Range { selector, selector_span, range } => {
            let mut inner = selector_tree(selector, *selector_span);
            time_tree(&mut inner, &selector.time);
            let mut tree =
                json!({"type": "MatrixSelector", "VectorSelector": inner, "EndPos": expr.span.end});
            length_tree(&mut tree, "Range", range);
            tree
        }
        Node::Subquery { expr: inner, range, step, time } => {
            let mut tree =
                json!({"type": "SubqueryExpr", "Expr": self::tree(inner), "EndPos": expr.span.end});
            length_tree(&mut tree, "Range", range);
            if let Some(step) = step {
                length_tree(&mut tree, "Step", step);
            }
            time_tree(&mut tree, time);
            tree
        }
        Node::Call { function, args } => {
            let args: Vec<Value> = args.iter().map(self::tree).collect();
            json!({"type": "Call", "Func": function.name, "Args": args, "pos": pos(expr.span)})
        }
        Node::Aggregate { op, param, expr: inner, grouping, without } => {
            let mut tree = json!({
                "type": "AggregateExpr", "Op": op.as_str(), "Expr": self::tree(inner), "Grouping": grouping,
                "pos": pos(expr.span),
            });
            if let Some(param) = param {
                tree["Param"] = self::tree(param);
            }
            if *without {
                tree["Without"] = json!(true);
            }
            tree
        }
        Node::Binary { op, lhs, rhs, return_bool, matching } => {
            let mut tree = json!({
                "type": "BinaryExpr", "Op": op.as_str(), "LHS": self::tree(lhs), "RHS": self::tree(rhs),
            });
            if *return_bool {
                tree["ReturnBool"] = json!(true);
            }
            if let Some(matching) = matching {
                tree["VectorMatching"] = matching_tree(matching);
            }
            tree
        }
        Node::Unary { negative, expr: inner } => json!({
            "type": "UnaryExpr", "Op": if *negative { "-" } else { "+" }, "Expr": self::tree(inner),
            "StartPos": expr.span.start,
        }),
        Node::Paren(inner) => json!({"type": "ParenExpr", "Expr": self::tree(inner), "pos": pos(expr.span)}),
    }
}

fn selector_tree(selector: &Selector, span: Span) -> Value {
    let matchers: Vec<Value> = selector
        .matchers
        .iter()
        .map(|m| json!({"op": m.op().as_str(), "name": m.name(), "value": m.pattern()}))
        .collect();
    json!({"type": "VectorSelector", "Name": selector.name, "LabelMatchers": matchers, "pos": pos(span)})
}

fn matching_tree(matching: &Matching) -> Value {
    let cardinality = match matching.cardinality {
        Cardinality::OneToOne => "one-to-one",
        Cardinality::ManyToOne => "many-to-one",
        Cardinality::OneToMany => "one-to-many",
        Cardinality::ManyToMany => "many-to-many",
    };
    let mut tree = json!({"type": "VectorMatching", "Card": cardinality, "MatchingLabels": matching.labels});
    if matching.on {
        tree["On"] = json!(true);
    }
    tree["Include"] = json!(matching.include);
    tree
}

fn time_tree(tree: &mut Value, time: &TimeModifier) {
    match time.at {
        Some(At::Millis(millis)) => tree["Timestamp"] = json!(millis),
        Some(At::Start) => tree["StartOrEnd"] = json!("start"),
        Some(At::End) => tree["StartOrEnd"] = json!("end"),
        None => {}
    }
    if let Some(offset) = &time.offset {
        match offset.as_literal_millis() {
            Some(millis) => tree["OriginalOffset_ms"] = json!(millis),
            None => tree["OriginalOffsetExpr"] = duration_tree(offset),
        }
    }
}

fn length_tree(tree: &mut Value, name: &str, duration: &DurationExpr) {
    match duration.as_literal_millis() {
        Some(millis) => tree[format!("{name}_ms")] = json!(millis),
        None => tree[format!("{name}Expr")] = duration_tree(duration),
    }
}

fn duration_tree(duration: &DurationExpr) -> Value {
    let mut tree = Map::new();
    let (op, left, right) = match &duration.node {
        DurationNode::Literal { seconds, duration: unit } => {
            let mut tree =
                json!({"type": "NumberLiteral", "Val": float(*seconds), "pos": pos(duration.span)});
            if *unit {
                tree["Duration"] = json!(true);
            }
            return tree;
        }
        DurationNode::Step => ("step", None, None),
        DurationNode::Range => ("range", None, None),
        DurationNode::Negate(inner) => ("-", None, Some(inner)),
        DurationNode::Binary(op, left, right) => (op.as_str(), Some(left), Some(right)),
        DurationNode::MinOf(left, right) => ("min_of", Some(left), Some(right)),
        DurationNode::MaxOf(left, right) => ("max_of", Some(left), Some(right)),
    };
    tree.insert("type".into(), json!("DurationExpr"));
    tree.insert("Op".into(), json!(op));
    if let Some(left) = left {
        tree.insert("LHS".into(), duration_tree(left));
    }
    if let Some(right) = right {
        tree.insert("RHS".into(), duration_tree(right));
    }
    if duration.parens {
        tree.insert("Wrapped".into(), json!(true));
    }
    tree.insert("StartPos".into(), json!(duration.span.start));
    tree.insert("EndPos".into(), json!(duration.span.end));
    Value::Object(tree)
}
