//! Rules over time, as text: what is found at each evaluation, and what becomes of it.

mod life;
mod restart;
mod stored;
mod unit_tests;
mod writing;

use std::sync::Arc;
use std::time::Duration;

use model::{Finding, Labels, Timestamp};
use ports::EvalError;

use crate::{AlertState, Evaluated, External, Found, GroupState, Place, Rule, RuleError, RuleGroup};

/// A group with one alert rule of these times.
fn group(hold: &str, keep_firing: &str) -> RuleGroup {
    let times = [hold, keep_firing].map(|text| model::parse_duration(text).unwrap());
    let texts =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let labels = texts(&[("severity", "{{ if gt $value 50.0 }}page{{ else }}ticket{{ end }}")]);
    let annotations = texts(&[("summary", "{{ $labels.host }} is at {{ $value }}")]);
    let rule = Rule::alert("Full", "disk > 1", (times[0], times[1]), labels, annotations, Place::default());
    group_of(vec![rule.unwrap()])
}

fn group_of(rules: Vec<Rule>) -> RuleGroup {
    RuleGroup {
        name: "g".to_owned(),
        file: "rules.yml".to_owned(),
        interval: Duration::from_secs(30),
        query_offset: Duration::ZERO,
        limit: 0,
        labels: Vec::new(),
        rules,
    }
}

fn state(group: RuleGroup) -> GroupState {
    GroupState::new(Arc::new(group))
}

/// `a` is the host a with a value of 1, `b=60` the host b with 60.
fn found(text: &str) -> Result<Found, EvalError> {
    if text == "error" {
        return Err(EvalError { message: "the store is away".to_owned() });
    }
    let finding = |word: &str| {
        let (host, value) = word.split_once('=').unwrap_or((word, "1"));
        Finding {
            labels: Labels::from([("__name__", "disk"), ("host", host)]),
            value: value.parse().unwrap(),
            annotations: Default::default(),
        }
    };
    Ok(Found::Findings(text.split_whitespace().map(finding).collect()))
}

fn time(text: &str) -> Timestamp {
    Timestamp::EPOCH + model::parse_duration(text).unwrap()
}

fn evaluate(state: &mut GroupState, at: &str, text: &str) -> Result<Evaluated, RuleError> {
    let mut query = |_: &str| Ok(Vec::new());
    state.apply(0, found(text), time(at), Duration::ZERO, &External::default(), &mut query)
}

/// Every alert that is remembered: `a pending`, `b firing since 1m`, …
fn shown(state: &GroupState) -> String {
    let alerts = state.tracker(0).unwrap().all().map(|alert| {
        let kept = matches!(alert.state, AlertState::Firing { kept_since: Some(_), .. });
        let word = match alert.state {
            _ if kept => "kept",
            AlertState::Resolved { .. } => "resolved",
            other => other.as_str(),
        };
        let since = alert.state.since().since(Timestamp::EPOCH);
        format!("{} {word} since {}", alert.labels.value("host"), model::format_duration(since))
    });
    alerts.collect::<Vec<_>>().join(", ")
}
