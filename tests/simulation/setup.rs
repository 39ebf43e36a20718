//! Plans as the rooms' own types.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use alerting::{
    AlertingConfig, GroupBy, InhibitRule, Integration, MatcherMode, MinuteRange, Receiver, RouteSpec,
    RouteTree, TimeInterval, parse_matchers,
};
use model::{Labels, Matcher};
use rules::{Action, Condition, Place, Rule, RuleGroup};

use crate::plan::{KEEP_FIRING, Name, Plan, PlannedRoute, QUIET_MINUTES, RECEIVERS, REPEAT_INTERVAL};

/// Matchers of a text that is right.
pub(crate) fn matchers(text: &str) -> Vec<Matcher> {
    parse_matchers(text, MatcherMode::Fallback).expect("plans write right matchers")
}

fn route_spec(route: &PlannedRoute) -> RouteSpec {
    let names: Vec<&str> = route.group_by.clone().unwrap_or_else(|| vec!["..."]);
    RouteSpec {
        receiver: Some(route.receiver.to_owned()),
        matchers: route.picks.as_ref().map_or(Vec::new(), |picks| matchers(&picks.text())),
        group_by: Some(GroupBy::parse(&names, MatcherMode::Fallback).expect("plans name labels")),
        continue_matching: route.picks.is_some() && route.goes_on,
        group_wait: Some(Duration::from_secs(route.group_wait)),
        group_interval: Some(Duration::from_secs(route.group_interval)),
        repeat_interval: Some(Duration::from_secs(REPEAT_INTERVAL)),
        mute_time_intervals: if route.quiet_hour { vec!["quiet".to_owned()] } else { Vec::new() },
        ..RouteSpec::default()
    }
}

/// A plan as the rooms' own types. Plans come again and again, and few of them: they are made once.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) alerting: Arc<AlertingConfig>,
    pub(crate) rules: [Arc<RuleGroup>; 2],
}

impl Setup {
    pub(crate) fn of(plan: &Plan) -> Setup {
        thread_local! {
            static MADE: RefCell<Vec<(Plan, Setup)>> = const { RefCell::new(Vec::new()) };
        }
        MADE.with_borrow_mut(|made| {
            if let Some((_, setup)) = made.iter().find(|(other, _)| other == plan) {
                return setup.clone();
            }
            let setup = Setup { alerting: alerting_config(plan), rules: rule_groups(plan) };
            made.push((plan.clone(), setup.clone()));
            setup
        })
    }
}

/// The configuration of alerting.
fn alerting_config(plan: &Plan) -> Arc<AlertingConfig> {
    let mut root = route_spec(&plan.routes[0]);
    root.routes = plan.routes[1..].iter().map(route_spec).collect();
    let receivers = RECEIVERS.iter().map(|(name, integrations)| Receiver {
        name: (*name).into(),
        labels: Labels::empty(),
        integrations: integrations
            .iter()
            .map(|(kind, send_resolved)| Integration {
                kind: (*kind).into(),
                index: 0,
                send_resolved: *send_resolved,
            })
            .collect(),
    });
    let tree = RouteTree::check(&root).expect("plans are right");
    let mut config = AlertingConfig::new(tree, receivers.collect());
    let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    let (from, to) = (clock(QUIET_MINUTES.0), clock(QUIET_MINUTES.1));
    let quiet = TimeInterval {
        times: Some(vec![MinuteRange::parse(&from, &to).expect("plans are right")]),
        ..TimeInterval::default()
    };
    config.time_intervals.insert("quiet".to_owned(), vec![quiet]);
    if let Some(inhibition) = &plan.inhibition {
        config.inhibit_rules.push(InhibitRule {
            name: "critical".to_owned(),
            source_matchers: matchers("severity=critical"),
            target_matchers: matchers("severity=warning"),
            equal: BTreeSet::from([inhibition.equal.to_owned()]),
        });
    }
    Arc::new(config)
}

/// How often the two groups of rules are evaluated, in seconds.
pub(crate) const INTERVALS: [u64; 2] = [15, 30];

/// The groups of rules: `Down` and `Slow`, and `Full`.
fn rule_groups(plan: &Plan) -> [Arc<RuleGroup>; 2] {
    let alert = |name: &str, hold: u64, keep: u64| Rule {
        name: name.to_owned(),
        labels: Vec::new(),
        annotations: Vec::new(),
        action: Action::Alert { hold: Duration::from_secs(hold), keep_firing: Duration::from_secs(keep) },
        condition: Condition::promql("vector(1)"),
        place: Place::default(),
    };
    let group = |at: usize, rules| {
        Arc::new(RuleGroup {
            name: format!("group{at}"),
            file: "rules.yml".to_owned(),
            interval: Duration::from_secs(INTERVALS[at]),
            query_offset: Duration::ZERO,
            limit: 0,
            labels: Vec::new(),
            rules,
        })
    };
    let first = vec![alert("Down", 0, 0), alert("Slow", plan.hold, KEEP_FIRING)];
    [group(0, first), group(1, vec![alert("Full", 30, 0)])]
}

/// The labels of an alert; `alertname` is the rule's to add.
pub(crate) fn found_labels(name: &Name) -> Labels {
    LABELS[name].0.clone()
}

/// The labels of an alert.
pub(crate) fn labels(name: &Name) -> Labels {
    LABELS[name].1.clone()
}

static LABELS: LazyLock<HashMap<Name, (Labels, Labels)>> = LazyLock::new(|| {
    let of = |name: Name| {
        let found = Labels::from([("host", name.host), ("severity", name.label("severity"))]);
        let named = found.with("alertname", name.alert);
        (name, (found, named))
    };
    Name::all().map(of).collect()
});
