//! Notification scenarios, in simulated time: what is posted when, and what each webhook receives.

use std::collections::BTreeMap;
use std::sync::Arc;

use alerting::{
    AlertDraft, Alerting, AlertingConfig, Effect, Event, Integration, Receiver, ReplyTo, RouteTree,
    SilenceDraft, SilenceId,
};
use model::{Labels, MatchOp, Matcher, Notification, NotifiedAlert, Receipt, Timestamp};
use serde_json::Value;
use serde_yaml::Value as Yaml;

use super::{NOW, Outcome, inhibit_rule, labels, list, route_spec};

/// Seconds from the start of a scenario.
fn at(value: &Value) -> Option<Timestamp> {
    value.as_f64().map(|seconds| NOW.plus_millis((seconds * 1000.0).round() as i64))
}

/// A time that counts as not given when it is not after the start.
fn positive(value: &Value) -> Option<Timestamp> {
    at(value).filter(|time| *time > NOW)
}

struct World {
    alerting: Alerting,
    config: Arc<AlertingConfig>,
    /// Which webhook an integration is, by receiver and position.
    hooks: BTreeMap<(Arc<str>, usize), String>,
    /// Requests before this time are accepted and not recorded, by placeholder.
    deaf_until: BTreeMap<String, Timestamp>,
    received: BTreeMap<String, Vec<(Timestamp, Vec<NotifiedAlert>)>>,
}

impl World {
    fn happen(&mut self, now: Timestamp, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for effect in self.alerting.step(now, event) {
                match effect {
                    Effect::Commit { id, .. } => events.push(Event::Committed(id)),
                    Effect::Deliver(message) => events.push(self.receive(now, &message)),
                    Effect::Reply { .. } | Effect::Withdraw { .. } => {}
                }
            }
        }
    }

    fn receive(&mut self, now: Timestamp, message: &Notification) -> Event {
        let accepted = Event::Delivered { notification: message.id.clone(), outcome: Ok(Receipt::default()) };
        let Some(hook) = self.hooks.get(&(message.receiver.clone(), message.index)) else { return accepted };
        if self.deaf_until.iter().any(|(placeholder, until)| hook.contains(placeholder) && now < *until) {
            return accepted;
        }
        self.received.entry(hook.clone()).or_default().push((now, message.alerts.to_vec()));
        accepted
    }

    fn run_until(&mut self, until: Timestamp) {
        while let Some(wakeup) = self.alerting.next_wakeup().filter(|wakeup| *wakeup <= until) {
            self.happen(wakeup, Event::Tick);
        }
    }
}

fn build(case: &Value) -> Result<World, String> {
    let yaml: Yaml = serde_yaml::from_str(case["config"].as_str().unwrap_or_default())
        .map_err(|error| error.to_string())?;
    let mut hooks = BTreeMap::new();
    let mut receivers = Vec::new();
    for receiver in yaml["receivers"].as_sequence().into_iter().flatten() {
        let name: Arc<str> = receiver["name"].as_str().unwrap_or_default().into();
        let mut integrations = Vec::new();
        for (index, hook) in receiver["webhook_configs"].as_sequence().into_iter().flatten().enumerate() {
            let url = hook["url"].as_str().unwrap_or_default().to_owned();
            hooks.insert((name.clone(), index), url);
            let send_resolved = hook["send_resolved"].as_bool().unwrap_or(true);
            integrations.push(Integration { kind: "webhook".into(), index, send_resolved });
        }
        receivers.push(Receiver { name, labels: Labels::empty(), integrations });
    }
    let mut config = AlertingConfig::new(RouteTree::build(&route_spec(&yaml["route"])?), receivers);
    for rule in yaml["inhibit_rules"].as_sequence().into_iter().flatten() {
        config.inhibit_rules.push(inhibit_rule(rule)?);
    }
    if let Some(text) = yaml["global"]["resolve_timeout"].as_str() {
        config.resolve_timeout = model::parse_duration(text).map_err(|error| error.to_string())?;
    }
    let flags: Vec<&str> = list(&case["extra_flags"]).filter_map(Value::as_str).collect();
    // The process is up about a second before a scenario begins.
    let start = NOW.plus_millis(-1000);
    if let ["--dispatch.start-delay", delay] = flags[..] {
        config.start_delay = model::parse_duration(delay).map_err(|error| error.to_string())?;
    }
    let config = Arc::new(config);
    let mut deaf_until = BTreeMap::new();
    for hook in list(&case["webhooks"]) {
        if let Some(until) = at(&hook["behaviour"]["ignore_requests_before"]) {
            deaf_until.insert(hook["placeholder"].as_str().unwrap_or_default().to_owned(), until);
        }
    }
    Ok(World {
        alerting: Alerting::new(config.clone(), start),
        config,
        hooks,
        deaf_until,
        received: BTreeMap::new(),
    })
}

fn event(world: &World, described: &Value, number: u64) -> Result<Event, String> {
    let reply = ReplyTo(number);
    if let Some(alerts) = described["post_alerts"].as_array() {
        let draft = |alert: &Value| AlertDraft {
            labels: labels(&alert["labels"]),
            annotations: labels(&alert["annotations"])
                .iter()
                .map(|(name, text)| (name.to_owned(), text.to_owned()))
                .collect(),
            starts_at: positive(&alert["starts_at"]),
            ends_at: positive(&alert["ends_at"]),
            generator_url: Default::default(),
        };
        return Ok(Event::PostAlerts { alerts: alerts.iter().map(draft).collect(), reply });
    }
    if let Some(silence) = described.get("create_silence") {
        let matcher = |value: &Value| {
            let op = match (value["isRegex"].as_bool(), value["isEqual"].as_bool().unwrap_or(true)) {
                (Some(true), true) => MatchOp::Regex,
                (Some(true), false) => MatchOp::NotRegex,
                (_, true) => MatchOp::Equal,
                (_, false) => MatchOp::NotEqual,
            };
            let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
            Matcher::for_alerts(text("name"), op, text("value")).map_err(|error| error.to_string())
        };
        let draft = SilenceDraft {
            matcher_sets: vec![list(&silence["matchers"]).map(matcher).collect::<Result<_, _>>()?],
            starts_at: at(&silence["starts_at"]),
            ends_at: at(&silence["ends_at"]),
            ..Default::default()
        };
        let fresh_id = SilenceId::new(&format!("silence-{number}"));
        return Ok(Event::PutSilence { draft, fresh_id, reply });
    }
    match described["reload"].as_bool() {
        Some(true) => Ok(Event::Reload(world.config.clone())),
        _ => Err("an event that this runner does not know".to_owned()),
    }
}

pub(super) fn check(case: &Value) -> Outcome {
    let mut world = build(case)?;
    for (number, described) in list(&case["events"]).enumerate() {
        let now = at(&described["at"]).ok_or("an event without a time")?;
        // An alert that is posted at the moment of a flush belongs to the next one.
        world.run_until(now.plus_millis(-1));
        let event = event(&world, described, number as u64)?;
        world.happen(now, event);
    }
    let windows = list(&case["webhooks"]).flat_map(|hook| list(&hook["expect"]));
    let end = windows.filter_map(|window| at(&window["to"])).max().unwrap_or(NOW);
    world.run_until(end);
    let tolerance = (case["tolerance_s"].as_f64().unwrap_or_default() * 1000.0) as i64;
    if case.get("cluster_sizes_compared").is_some() {
        // Only what is received counts, not in which window: one process against a cluster, within the tolerance.
        let judge = Judge { tolerance, odd_start: false };
        return list(&case["webhooks"]).try_for_each(|hook| all_received(&world, hook, judge));
    }
    // The tables mark where the expected start is not what any sender said: there the batches and windows count.
    let odd_start = case["note"].as_str().is_some_and(|note| note.contains("odd_start"));
    let judge = Judge { tolerance, odd_start };
    list(&case["webhooks"]).try_for_each(|hook| check_hook(&world, hook, judge))
}

fn received<'a>(world: &'a World, hook: &Value) -> &'a [(Timestamp, Vec<NotifiedAlert>)] {
    let placeholder = hook["placeholder"].as_str().unwrap_or_default();
    let by_address = world.received.iter().find(|(url, _)| url.contains(placeholder));
    by_address.map_or(&[], |(_, batches)| batches.as_slice())
}

fn check_hook(world: &World, hook: &Value, judge: Judge) -> Outcome {
    let batches = received(world, hook);
    let mut expected_total = 0;
    for window in list(&hook["expect"]) {
        let (from, to) = (at(&window["from"]).unwrap_or(NOW), at(&window["to"]).unwrap_or(NOW));
        let expected: Vec<&Value> = list(&window["alerts"]).collect();
        expected_total += expected.len();
        let mut inside = batches.iter().filter(|(time, _)| (from..=to).contains(time));
        let fits = match expected.is_empty() {
            true => inside.next().is_none(),
            false => inside.any(|(_, alerts)| same_alerts(alerts, &expected, judge)),
        };
        if !fits {
            return Err(format!("window {}–{}: {}", window["from"], window["to"], show(batches)));
        }
    }
    let total: usize = batches.iter().map(|(_, alerts)| alerts.len()).sum();
    match total == expected_total {
        true => Ok(()),
        false => Err(format!("{total} alerts received, {expected_total} expected: {}", show(batches))),
    }
}

fn all_received(world: &World, hook: &Value, judge: Judge) -> Outcome {
    let batches = received(world, hook);
    let expected: Vec<&Value> = list(&hook["expect"]).flat_map(|window| list(&window["alerts"])).collect();
    let found: Vec<NotifiedAlert> = batches.iter().flat_map(|(_, alerts)| alerts.clone()).collect();
    match same_alerts(&found, &expected, judge) {
        true => Ok(()),
        false => Err(show(batches)),
    }
}

/// How exactly times are compared.
#[derive(Clone, Copy)]
struct Judge {
    tolerance: i64,
    odd_start: bool,
}

fn same_alerts(found: &[NotifiedAlert], expected: &[&Value], judge: Judge) -> bool {
    let near = |time: Option<Timestamp>, expected: Option<Timestamp>| match (time, expected) {
        (Some(a), Some(b)) => (a.as_millis() - b.as_millis()).abs() <= judge.tolerance,
        (None, None) => true,
        _ => false,
    };
    let same = |alert: &NotifiedAlert, expected: &Value| {
        alert.labels == labels(&expected["labels"])
            && Labels::from_pairs(&alert.annotations) == labels(&expected["annotations"])
            && near(alert.ends_at, at(&expected["ends_at"]))
            && (judge.odd_start
                || expected.get("starts_at").is_none()
                || near(Some(alert.starts_at), at(&expected["starts_at"])))
    };
    found.len() == expected.len()
        && expected.iter().all(|expected| found.iter().any(|alert| same(alert, expected)))
}

fn show(batches: &[(Timestamp, Vec<NotifiedAlert>)]) -> String {
    let show_batch = |(time, alerts): &(Timestamp, Vec<NotifiedAlert>)| {
        let seconds = |time: Timestamp| (time.as_millis() - NOW.as_millis()) as f64 / 1000.0;
        let alerts: Vec<String> = alerts
            .iter()
            .map(|a| {
                format!(
                    "{}{:?} {}–{:?}",
                    a.labels,
                    a.annotations,
                    seconds(a.starts_at),
                    a.ends_at.map(seconds)
                )
            })
            .collect();
        format!("at {}: {}", seconds(*time), alerts.join(", "))
    };
    batches.iter().map(show_batch).collect::<Vec<_>>().join("; ")
}
