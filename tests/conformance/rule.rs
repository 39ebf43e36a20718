//! Rules: alerts over time, recording, unit tests of rules, what is sent.

#[path = "rule/alert_generator.rs"]
mod alert_generator;
#[path = "rule/scenario.rs"]
mod scenario;
#[path = "rule/unit_tests.rs"]
mod unit_tests;

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use model::{Labels, Timestamp, Vector, VectorSample};
use promql::testing::Memory;
use promql::{EvalOptions, ParseOptions, Range, parse};
use rules::{External, Found, GroupState, Place, Rule, RuleGroup};
use serde_json::Value;

use crate::Report;

pub(crate) fn run(corpus: &Path, report: &mut Report) {
    scenario::run(corpus, report);
    unit_tests::run(corpus, report);
    alert_generator::run(corpus, report);
    empty_storage(corpus, report);
}

/// Every rule of the collections gives nothing on an empty storage, and its templates are ones.
fn empty_storage(corpus: &Path, report: &mut Report) {
    let folder = corpus.join("rule-collections");
    let index = crate::read_json(&folder.join("index.json")).unwrap_or_default();
    for file in index["files"].as_array().into_iter().flatten() {
        let name = file["file"].as_str().unwrap_or_default();
        report.case("rule-collections", "empty_storage", name, || {
            let groups = unit_tests::rule_groups(&folder.join(name))?;
            let at = Timestamp::from_secs(1_700_000_000);
            for group in groups {
                for rule in &group.rules {
                    let vector = vector(&Memory::default(), &rule.condition.describe(), at)?;
                    // `absent(…)` and `vector(…)` give something by definition.
                    let constant =
                        ["absent", "vector("].iter().any(|f| rule.condition.describe().contains(f));
                    if !vector.is_empty() && !constant {
                        return Err(format!("`{}` gives {vector:?}", rule.name));
                    }
                }
            }
            Ok(())
        });
    }
}

fn text<'a>(json: &'a Value, field: &str) -> &'a str {
    json[field].as_str().unwrap_or_default()
}

/// The pairs of an object of texts.
fn pairs(json: &Value) -> Vec<(String, String)> {
    let entries = json.as_object().into_iter().flatten();
    entries.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
}

fn labels(json: &Value) -> Labels {
    pairs(json).into_iter().collect()
}

fn duration(text: &str) -> Result<Duration, String> {
    if text.is_empty() { Ok(Duration::ZERO) } else { model::parse_duration(text).map_err(|e| e.to_string()) }
}

/// A rule as the cases write it.
fn rule(json: &Value) -> Result<Rule, String> {
    let expr = text(json, "expr");
    if json["record"].is_string() {
        return Ok(Rule::record(text(json, "record"), expr, pairs(&json["labels"]), Place::default()));
    }
    let times = (duration(text(json, "for"))?, duration(text(json, "keep_firing_for"))?);
    let (labels, annotations) = (pairs(&json["labels"]), pairs(&json["annotations"]));
    Rule::alert(text(json, "alert"), expr, times, labels, annotations, Place::default())
        .map_err(|e| e.to_string())
}

fn group_of(rules: Vec<Rule>) -> RuleGroup {
    RuleGroup {
        name: "group".to_owned(),
        file: "rules.yml".to_owned(),
        interval: Duration::from_secs(60),
        query_offset: Duration::ZERO,
        limit: 0,
        labels: Vec::new(),
        rules,
    }
}

/// The answer of an instant query.
fn vector(memory: &Memory, expr: &str, at: Timestamp) -> Result<Vector, String> {
    let parsed = parse(expr, &ParseOptions::all()).map_err(|error| error.to_string())?;
    let answer = memory.query(&parsed, Range::instant(at), &EvalOptions::default());
    match answer.map_err(|error| error.to_string())?.value {
        promql::Value::Vector(vector) => Ok(vector),
        promql::Value::Scalar { value, .. } => {
            Ok(vec![VectorSample { labels: Labels::empty(), at, value: value.into() }])
        }
        other => Err(format!("`{expr}` gives {other:?}")),
    }
}

/// Evaluates rule number `index` and stores what comes out.
fn evaluate(
    state: &mut GroupState,
    index: usize,
    memory: &mut Memory,
    at: Timestamp,
    external: &External,
) -> Result<rules::Evaluated, String> {
    let group = state.group().clone();
    let expr = group.rules[index].condition.describe();
    let found = vector(memory, &expr, at - group.query_offset)
        .map(Found::Vector)
        .map_err(|message| ports::EvalError { message });
    let evaluated = {
        let data = &*memory;
        let mut query = |expr: &str| vector(data, expr, at);
        state
            .apply(index, found, at, Duration::ZERO, external, &mut query)
            .map_err(|error| error.to_string())?
    };
    for row in &evaluated.rows {
        memory.push(&row.labels, row.at, row.value.clone());
    }
    Ok(evaluated)
}

/// The result of a future that never waits.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
}
