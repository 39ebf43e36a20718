//! One rule over time: its alerts, its series, its errors, what it sends.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::{Alert, Annotations, Labels, METRIC_NAME, RelabelAction, RelabelRule, SampleValue, Timestamp};
use promql::testing::Memory;
use rules::{
    ALERT_STATE, ALERTS, ALERTS_FOR_STATE, ActiveAlert, AlertState, External, GroupState, RestoreLimits,
    Rule, RuleGroup, RuleSnapshot, Snapshot, outgoing,
};
use serde_json::Value;

use super::{duration, evaluate, group_of, labels, rule, text, vector};
use crate::{Report, read_json};

pub(super) fn run(corpus: &Path, report: &mut Report) {
    let file = read_json(&corpus.join("rules").join("rule_evaluation_scenarios.json"));
    for case in file.and_then(|f| f["cases"].as_array().cloned()).unwrap_or_default() {
        report.case("rules", "rule_evaluation_scenarios", text(&case, "id"), || check(&case));
    }
}

fn check(case: &Value) -> Result<(), String> {
    if case["active_alert"].is_object() {
        return relabelled(case);
    }
    if case["alert_states"].is_array() {
        return rule_state(case);
    }
    let mut scenario = Scenario::of(case)?;
    if case["evaluations_s"].is_array() {
        return scenario.recorded_series(case);
    }
    if let Some(steps) = case["steps"].as_array() {
        return steps.iter().try_for_each(|step| scenario.step(step));
    }
    let outcome = scenario.evaluate(Timestamp::EPOCH);
    match (outcome, case["error"].is_string()) {
        (Ok(()), false) | (Err(_), true) => Ok(()),
        (Ok(()), true) => Err(format!("should fail with {}", case["error"])),
        (Err(error), false) => Err(error),
    }
}

struct Scenario {
    group: RuleGroup,
    state: GroupState,
    memory: Memory,
    external: External,
    resend_delay: Duration,
    fires_at_once: bool,
}

impl Scenario {
    fn of(case: &Value) -> Result<Self, String> {
        let rule = rule(&case["rule"])?;
        let mut group = group_of(vec![rule]);
        group.query_offset = Duration::from_secs(case["query_offset_s"].as_u64().unwrap_or(0));
        group.limit = usize::try_from(case["group_limit"].as_i64().unwrap_or(0)).unwrap_or(0);
        let mut memory = Memory::default();
        if let Some(load) = case["load"].as_str() {
            let mut lines = load.lines();
            let step =
                lines.next().unwrap_or_default().trim().strip_prefix("load").unwrap_or_default().trim();
            let lines: Vec<&str> = lines.map(str::trim).filter(|line| !line.is_empty()).collect();
            memory.load(duration(step)?, &lines, false)?;
        }
        for (series, samples) in case["samples"].as_object().into_iter().flatten() {
            for sample in samples.as_array().into_iter().flatten() {
                let at = Timestamp::from_secs_f64(sample[0].as_f64().unwrap_or_default());
                let value = sample[1].as_f64().unwrap_or_else(model::stale_nan);
                memory.push(&Labels::from([(METRIC_NAME, series.as_str())]), at, SampleValue::Float(value));
            }
        }
        // A rule that is about nothing else than that its expression holds.
        if case["load"].is_null() && case["samples"].is_null() && text(&case["rule"], "expr") == "foo" {
            for minute in 0..120 {
                let at = Timestamp::from_secs(minute * 60);
                memory.push(&Labels::from([(METRIC_NAME, "foo")]), at, SampleValue::Float(1.0));
            }
        }
        Ok(Scenario {
            state: GroupState::new(Arc::new(group.clone())),
            group,
            memory,
            external: External {
                labels: labels(&case["external_labels"]),
                url: text(case, "external_url").to_owned(),
            },
            resend_delay: Duration::from_secs(case["resend_delay_s"].as_u64().unwrap_or(60)),
            fires_at_once: case["resend_delay_s"].is_u64(),
        })
    }

    fn evaluate(&mut self, at: Timestamp) -> Result<(), String> {
        evaluate(&mut self.state, 0, &mut self.memory, at, &self.external).map(|_| ())
    }

    fn rule(&self) -> &Rule {
        &self.group.rules[0]
    }

    /// A recording rule's series after some evaluations.
    fn recorded_series(&mut self, case: &Value) -> Result<(), String> {
        for at in case["evaluations_s"].as_array().into_iter().flatten() {
            self.evaluate(Timestamp::from_secs(at.as_i64().unwrap_or_default()))?;
        }
        for (series, samples) in case["result"].as_object().into_iter().flatten() {
            for sample in samples.as_array().into_iter().flatten() {
                let at = Timestamp::from_secs_f64(sample[0].as_f64().unwrap_or_default());
                let got = self.sample(&Labels::from([(METRIC_NAME, series.as_str())]), at);
                let stale = sample[1] == "stale";
                let as_wanted = match &got {
                    Some(value) if stale => value.is_stale(),
                    Some(value) => value.as_float() == sample[1].as_f64(),
                    None => false,
                };
                if !as_wanted {
                    return Err(format!("{series} at {at}: got {got:?}, wanted {}", sample[1]));
                }
            }
        }
        Ok(())
    }

    /// The sample of a series at exactly this time.
    fn sample(&self, labels: &Labels, at: Timestamp) -> Option<SampleValue> {
        let matcher = |(name, value): (&str, &str)| {
            model::Matcher::new(name, model::MatchOp::Equal, value).map_err(|e| e.to_string())
        };
        let matchers = labels.iter().map(matcher).collect::<Result<Vec<_>, _>>().ok()?;
        let series = self.memory.select(&model::Selection { matchers, start: at, end: at });
        let series = series.into_iter().find(|series| series.labels == *labels)?;
        series.floats.iter().find(|s| s.at == at).map(|s| SampleValue::Float(s.value))
    }

    fn step(&mut self, step: &Value) -> Result<(), String> {
        if step["reload"].is_object() {
            let mut changed = self.group.clone();
            let hold = duration(text(&step["reload"], "for"))?;
            for rule in &mut changed.rules {
                if let rules::Action::Alert { hold: old, .. } = &mut rule.action {
                    *old = hold;
                }
            }
            self.group = changed.clone();
            self.state.replace(Arc::new(changed), Timestamp::EPOCH);
            return Ok(());
        }
        let at = text(step, "at");
        let (at, offset) = match at.strip_suffix("+ query offset") {
            Some(at) => (at.trim(), self.group.query_offset),
            None => (at, Duration::ZERO),
        };
        let at = Timestamp::EPOCH + duration(at)? + offset;
        self.evaluate(at)?;
        let at_step = |error: String| format!("at {}: {error}", text(step, "at"));
        if step["alerts"].is_array() {
            self.check_alerts(&step["alerts"], at).map_err(at_step)?;
        }
        if step["ALERTS_FOR_STATE"].is_array() {
            self.check_for_state(&step["ALERTS_FOR_STATE"], at).map_err(at_step)?;
        }
        if step["recorded"].is_array() {
            self.check_recorded(&step["recorded"], at).map_err(at_step)?;
        }
        if let Some(state) = step["state"].as_str() {
            let got = self.state.view().rules[0].state;
            if got != state {
                return Err(at_step(format!("got {got}, wanted {state}")));
            }
        }
        if let Some(sent) = step["sent"].as_u64() {
            let now = self.state.alerts_to_send(at, self.resend_delay, &self.external);
            if now.len() as u64 != sent {
                return Err(at_step(format!("sends {now:?}, wanted {sent}")));
            }
            if self.fires_at_once
                && now.iter().any(|alert| alert.labels.value("alertname") != self.rule().name)
            {
                return Err(at_step("sends another alert".to_owned()));
            }
        }
        Ok(())
    }

    /// The samples of `metric` at the time of an evaluation, without the labels that name rule and state.
    fn series(&self, metric: &str, at: Timestamp) -> Result<Vec<(String, Labels, f64)>, String> {
        let at = at - self.group.query_offset;
        let series = vector(&self.memory, metric, at)?.into_iter().map(|sample| {
            let state = sample.labels.value(ALERT_STATE).to_owned();
            let labels =
                sample.labels.filter(|name| ![METRIC_NAME, ALERT_STATE, model::ALERT_NAME].contains(&name));
            (state, labels, sample.value.as_float().unwrap_or(f64::NAN))
        });
        let mut series: Vec<_> = series.collect();
        series.sort_by(|a, b| (&a.1, &a.0).cmp(&(&b.1, &b.0)));
        Ok(series)
    }

    fn check_alerts(&self, wanted: &Value, at: Timestamp) -> Result<(), String> {
        let got = self.series(ALERTS, at)?;
        let alert = |alert: &Value| (text(alert, "state").to_owned(), labels(&alert["labels"]), 1.0);
        let mut wanted: Vec<_> = wanted.as_array().into_iter().flatten().map(alert).collect();
        wanted.sort_by(|a, b| (&a.1, &a.0).cmp(&(&b.1, &b.0)));
        if got == wanted { Ok(()) } else { Err(format!("got {got:?}, wanted {wanted:?}")) }
    }

    fn check_for_state(&self, wanted: &Value, at: Timestamp) -> Result<(), String> {
        let got = self.series(ALERTS_FOR_STATE, at)?;
        let alert = |alert: &Value| {
            (String::new(), labels(&alert["labels"]), alert["value_s"].as_f64().unwrap_or(f64::NAN))
        };
        let mut wanted: Vec<_> = wanted.as_array().into_iter().flatten().map(alert).collect();
        wanted.sort_by(|a, b| a.1.cmp(&b.1));
        if got == wanted { Ok(()) } else { Err(format!("got {got:?}, wanted {wanted:?}")) }
    }

    fn check_recorded(&self, wanted: &Value, at: Timestamp) -> Result<(), String> {
        for sample in wanted.as_array().into_iter().flatten() {
            let got = self.sample(&labels(&sample["labels"]), at - self.group.query_offset);
            let value = got.as_ref().and_then(SampleValue::as_float);
            if value != sample["value"].as_f64() {
                return Err(format!("{}: got {got:?}, wanted {}", sample["labels"], sample["value"]));
            }
        }
        let count = vector(&self.memory, &self.rule().name, at - self.group.query_offset)?.len();
        let wanted = wanted.as_array().map_or(0, Vec::len);
        if count == wanted { Ok(()) } else { Err(format!("{count} series, wanted {wanted}")) }
    }
}

/// What is sent is relabelled, what is active is not.
fn relabelled(case: &Value) -> Result<(), String> {
    let mut rules = Vec::new();
    for config in case["alert_relabel_configs"].as_array().into_iter().flatten() {
        let mut rule = RelabelRule::new(RelabelAction::Replace).map_err(|error| error.to_string())?;
        let names = config["source_labels"].as_array().into_iter().flatten();
        rule.source_labels = names.filter_map(Value::as_str).map(str::to_owned).collect();
        rule.regex = model::Re2::anchored(text(config, "regex")).map_err(|error| error.to_string())?;
        rule.target_label = text(config, "target_label").to_owned();
        rule.replacement = text(config, "replacement").to_owned();
        rules.push(rule);
    }
    let alert = Alert {
        labels: labels(&case["active_alert"]),
        annotations: Annotations::new(),
        starts_at: Timestamp::EPOCH,
        ends_at: Timestamp::MAX,
        updated_at: Timestamp::EPOCH,
        generator_url: Default::default(),
        timeout: false,
        value: None,
    };
    let sent = outgoing(&alert, &External::default(), &rules).ok_or("dropped")?;
    if sent.labels == labels(&case["sent_labels"]) && alert.labels == labels(&case["active_alert_afterwards"])
    {
        Ok(())
    } else {
        Err(format!("sent {}, active {}", sent.labels, alert.labels))
    }
}

/// The state of a rule with alerts in these states.
fn rule_state(case: &Value) -> Result<(), String> {
    let rule = Rule::alert("a", "x", Default::default(), Vec::new(), Vec::new(), Default::default());
    let group = group_of(vec![rule.map_err(|error| error.to_string())?]);
    let mut state = GroupState::new(Arc::new(group));
    let since = Timestamp::EPOCH;
    let alert = |(i, name): (usize, &Value)| ActiveAlert {
        labels: Labels::from([("alertname", "a"), ("i", i.to_string().as_str())]),
        annotations: Annotations::new(),
        state: match name.as_str() {
            Some("pending") => AlertState::Pending { since },
            Some("firing") => AlertState::Firing { since, fired_at: since, kept_since: None },
            _ => AlertState::Resolved { since, fired_at: since, at: since },
        },
        value: 0.0,
    };
    let alerts = case["alert_states"].as_array().into_iter().flatten().enumerate().map(alert).collect();
    let identity = state.identity(0).unwrap_or_default().to_owned();
    let snapshot = Snapshot { at: since, rules: vec![RuleSnapshot { identity, alerts }] };
    state.restore(snapshot, since, since, &RestoreLimits::default());
    let got = state.view().rules[0].state;
    let wanted = text(case, "rule_state");
    if got == wanted { Ok(()) } else { Err(format!("got {got}, wanted {wanted}")) }
}
