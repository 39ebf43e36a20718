//! What a simulation is made of: alerts, silences, routes and rules as plain data, and what a seed lets happen.
//!
//! The reference model reads this data as it is; `setup` turns it into the rooms' own types.

use crate::Random;

/// An alert that may fire. Its severity follows from its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// `alertname`.
    pub alert: &'static str,
    /// `host`.
    pub host: &'static str,
}

/// The hosts.
pub(crate) const HOSTS: [&str; 2] = ["h1", "h2"];
/// Alerts of our own rules.
pub(crate) const OWN: [&str; 3] = ["Down", "Slow", "Full"];
/// Alerts that another program posts.
pub(crate) const POSTED: [&str; 2] = ["Fire", "Smoke"];

impl Name {
    /// The value of a label.
    pub fn label(&self, label: &str) -> &'static str {
        match label {
            "alertname" => self.alert,
            "host" => self.host,
            "severity" if matches!(self.alert, "Down" | "Fire") => "critical",
            "severity" => "warning",
            _ => "",
        }
    }

    /// The alert with these labels.
    pub fn of(labels: &model::Labels) -> Option<Name> {
        let find = |all: &[&'static str], label| all.iter().copied().find(|one| *one == labels.value(label));
        let alert = find(&OWN, "alertname").or_else(|| find(&POSTED, "alertname"))?;
        Some(Name { alert, host: find(&HOSTS, "host")? })
    }

    /// All alerts that there can be.
    pub fn all() -> impl Iterator<Item = Name> {
        let alerts = OWN.iter().chain(&POSTED);
        alerts.flat_map(|alert| HOSTS.iter().map(|host| Name { alert, host }))
    }
}

/// A label has one of these values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pick {
    /// The label.
    pub label: &'static str,
    /// Its values.
    pub values: Vec<&'static str>,
}

impl Pick {
    /// Whether it picks an alert.
    pub fn picks(&self, name: &Name) -> bool {
        self.values.contains(&name.label(self.label))
    }

    /// As a matcher.
    pub fn text(&self) -> String {
        match &self.values[..] {
            [value] => format!("{}=\"{value}\"", self.label),
            values => format!("{}=~\"{}\"", self.label, values.join("|")),
        }
    }
}

/// A route below the root, or the root itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedRoute {
    /// Who is told.
    pub receiver: &'static str,
    /// Which alerts; the root has none.
    pub picks: Option<Pick>,
    /// Labels by which alerts are grouped; `None` is all of them.
    pub group_by: Option<Vec<&'static str>>,
    /// In seconds.
    pub group_wait: u64,
    /// In seconds.
    pub group_interval: u64,
    /// Whether the next routes are tried after this one.
    pub goes_on: bool,
    /// Whether nothing is told from minute 60 to minute 75 of the day.
    pub quiet_hour: bool,
}

/// Alerts with one severity mute others, where a label agrees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedInhibition {
    /// The label that has to be the same.
    pub equal: &'static str,
}

/// A configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The root first.
    pub routes: Vec<PlannedRoute>,
    /// Critical alerts mute warnings.
    pub inhibition: Option<PlannedInhibition>,
    /// Seconds for which `Slow` has to be found.
    pub hold: u64,
}

/// Seconds after which a group that did not change is told again.
pub(crate) const REPEAT_INTERVAL: u64 = 40 * 60;
/// Seconds for which `Slow` goes on after it is no longer found.
pub(crate) const KEEP_FIRING: u64 = 60;
/// The quiet hour, in minutes of the day.
pub(crate) const QUIET_MINUTES: (u16, u16) = (60, 75);
/// Receivers, each with its integrations: kind, and whether ends are told.
pub(crate) const RECEIVERS: [(&str, &[(&str, bool)]); 3] = [
    ("ops", &[("webhook", true), ("mail", false)]),
    ("every", &[("webhook", true)]),
    ("team", &[("chat", true)]),
];

fn route(receiver: &'static str, picks: Option<Pick>, group_by: Option<Vec<&'static str>>) -> PlannedRoute {
    let (goes_on, quiet_hour) = (true, false);
    PlannedRoute { receiver, picks, group_by, group_wait: 40, group_interval: 60, goes_on, quiet_hour }
}

/// One of four configurations.
pub(crate) fn plan(variant: u64, features: &Features) -> Plan {
    let host = |host| Some(Pick { label: "host", values: vec![host] });
    let mut routes = vec![route("ops", None, Some(vec!["alertname"]))];
    routes.push(route("every", host("h1"), None));
    match variant {
        0 => {}
        1 => {
            let names = Pick { label: "alertname", values: vec!["Slow", "Smoke"] };
            routes.push(PlannedRoute { goes_on: false, ..route("team", Some(names), Some(vec!["host"])) });
        }
        2 => routes[0].group_interval = 90,
        _ => {
            // Identical siblings.
            routes.push(route("ops", host("h1"), Some(vec!["alertname"])));
        }
    }
    routes[1].quiet_hour = features.quiet_hour;
    let equal = if variant == 2 { "alertname" } else { "host" };
    let hold = if variant == 1 { 90 } else { 60 };
    Plan { routes, inhibition: features.inhibition.then_some(PlannedInhibition { equal }), hold }
}

/// What a seed lets happen: each with even odds, so that every combination is met.
#[derive(Clone, Copy, Debug)]
pub struct Features {
    /// Silences are made, changed and ended.
    pub silences: bool,
    /// Alerts mute others.
    pub inhibition: bool,
    /// A route is quiet for a while.
    pub quiet_hour: bool,
    /// The configuration is read again.
    pub reloads: bool,
    /// The process dies.
    pub crashes: bool,
    /// With the process the power goes: what was not synced is lost.
    pub power_cuts: bool,
    /// The disk fails or is full.
    pub disk_faults: bool,
    /// Receivers refuse, hang, ask to wait, or forget to answer.
    pub receiver_faults: bool,
    /// Conditions of rules fail.
    pub failed_evaluations: bool,
    /// The clock is set.
    pub clock_steps: bool,
    /// Receivers take so many messages in a while, and ask to wait for more.
    pub rate_limits: bool,
    /// The disk takes seconds.
    pub slow_disk: bool,
    /// Another sender posts the same alerts, and knows a while later what is true.
    pub two_senders: bool,
}

/// Seeds below this one have none of the features that were added last: they stay what they were when they found something.
const FIRST_SEED_WITH_ALL: u64 = 40_000;

impl Features {
    /// Drawn from chance.
    pub fn draw(seed: u64, random: &mut Random) -> Self {
        let mut even = || random.percent(50);
        let mut later = Random::new(!seed);
        let mut later = || seed >= FIRST_SEED_WITH_ALL && later.percent(50);
        Features {
            silences: even(),
            inhibition: even(),
            quiet_hour: even(),
            reloads: even(),
            crashes: even(),
            power_cuts: even(),
            disk_faults: even(),
            receiver_faults: even(),
            failed_evaluations: even(),
            clock_steps: even(),
            rate_limits: later(),
            slow_disk: later(),
            two_senders: later(),
        }
    }
}
