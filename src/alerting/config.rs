//! The checked configuration of alerting. The `config` room reads files into it; nothing here knows YAML.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use crate::{InhibitRule, MatcherMode, Receiver, RouteProblem, RouteSpec, RouteTree, TimeInterval};

/// Bounds on what people and senders can put into memory. `None` is no bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertingLimits {
    /// Silences that are kept, expired ones included.
    pub silences_max: Option<usize>,
    /// Size of one silence in bytes: matchers, comment, author and annotations.
    pub silence_bytes_max: Option<usize>,
    /// Firing alerts with the same `alertname`; more are refused and counted.
    pub alerts_per_name_max: Option<usize>,
}

/// Everything that decides who is told.
#[derive(Clone, Debug)]
pub struct AlertingConfig {
    /// The routing tree.
    pub routes: RouteTree,
    /// Receivers in the order written; names are unique.
    pub receivers: Vec<Receiver>,
    /// Inhibition rules in the order written.
    pub inhibit_rules: Vec<InhibitRule>,
    /// Named time intervals, each a union.
    pub time_intervals: BTreeMap<String, Vec<TimeInterval>>,
    /// When an alert ends whose sender gave no end and does not repeat it.
    pub resolve_timeout: Duration,
    /// The server's address for links in messages.
    pub external_url: Arc<str>,
    /// How long expired silences and entries of the notification log are kept.
    pub retention: Duration,
    /// After a start, no group is told anything for this long: senders come back first.
    pub start_delay: Duration,
    /// Which label names and matchers are allowed.
    pub matcher_mode: MatcherMode,
    /// Bounds.
    pub limits: AlertingLimits,
}

/// What is wrong with a configuration, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlertingProblem {
    /// A route is wrong in itself, or names something that does not exist.
    Route(RouteProblem),
    /// A receiver's name is taken already; its position.
    DuplicateReceiver(usize),
}

impl AlertingConfig {
    /// The default values around a tree and its receivers.
    pub fn new(routes: RouteTree, receivers: Vec<Receiver>) -> Self {
        AlertingConfig {
            routes,
            receivers,
            inhibit_rules: Vec::new(),
            time_intervals: BTreeMap::new(),
            resolve_timeout: Duration::from_secs(5 * 60),
            external_url: Arc::default(),
            retention: Duration::from_secs(120 * 3600),
            start_delay: Duration::ZERO,
            matcher_mode: MatcherMode::default(),
            limits: AlertingLimits::default(),
        }
    }

    /// Everything that is wrong with a tree and the names in it. An empty list means that
    /// [`RouteTree::check`] succeeds and every name resolves.
    pub fn check(
        spec: &RouteSpec,
        receivers: &[Receiver],
        time_intervals: &BTreeMap<String, Vec<TimeInterval>>,
    ) -> Vec<AlertingProblem> {
        let mut problems = Vec::new();
        let mut names: HashMap<&str, usize> = HashMap::new();
        for (position, receiver) in receivers.iter().enumerate() {
            if names.insert(&receiver.name, position).is_some() {
                problems.push(AlertingProblem::DuplicateReceiver(position));
            }
        }
        if let Err(found) = RouteTree::check(spec) {
            problems.extend(found.into_iter().map(AlertingProblem::Route));
        }
        let mut path = Vec::new();
        check_names(spec, &mut path, &mut |path, field, name| {
            let (known, kind) = match field {
                "receiver" => (names.contains_key(name), "receiver"),
                _ => (time_intervals.contains_key(name), "time interval"),
            };
            // A route without a receiver has its parent's.
            if !known && (field != "receiver" || !name.is_empty()) {
                let what = format!("`{name}` is not a {kind}");
                problems.push(AlertingProblem::Route(RouteProblem { path: path.to_vec(), field, what }));
            }
        });
        problems
    }

    /// The receiver with this name.
    pub fn receiver(&self, name: &str) -> Option<&Receiver> {
        self.receivers.iter().find(|receiver| *receiver.name == *name)
    }
}

fn check_names(
    spec: &RouteSpec,
    path: &mut Vec<usize>,
    check: &mut impl FnMut(&[usize], &'static str, &str),
) {
    if let Some(name) = &spec.receiver {
        check(path, "receiver", name);
    }
    for name in &spec.mute_time_intervals {
        check(path, "mute_time_intervals", name);
    }
    for name in &spec.active_time_intervals {
        check(path, "active_time_intervals", name);
    }
    for (position, child) in spec.routes.iter().enumerate() {
        path.push(position);
        check_names(child, path, check);
        path.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Labels;

    #[test]
    fn says_which_names_do_not_exist() {
        let receiver =
            |name: &str| Receiver { name: name.into(), labels: Labels::empty(), integrations: Vec::new() };
        let child = RouteSpec {
            receiver: Some("nobody".into()),
            mute_time_intervals: vec!["night".into(), "noon".into()],
            ..Default::default()
        };
        let spec = RouteSpec { receiver: Some("ops".into()), routes: vec![child], ..Default::default() };
        let intervals = BTreeMap::from([("night".to_owned(), Vec::new())]);
        let problems = AlertingConfig::check(&spec, &[receiver("ops"), receiver("ops")], &intervals);
        let route = |field, what: &str| {
            AlertingProblem::Route(RouteProblem { path: vec![0], field, what: what.to_owned() })
        };
        assert_eq!(
            problems,
            [
                AlertingProblem::DuplicateReceiver(1),
                route("receiver", "`nobody` is not a receiver"),
                route("mute_time_intervals", "`noon` is not a time interval"),
            ]
        );
    }
}
