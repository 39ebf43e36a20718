//! A random routing tree: who hears of what and in which rhythm, who refuses to listen, what mutes whom.
//!
//! All trees of a run are branches of one configuration; the label `tree` keeps them apart. Times are such that nothing
//! that is told can be decided by who is faster: see [`STEP`].

use std::collections::BTreeMap;
use std::fmt;

use regex::Regex;
use serde_json::{Map, Value, json};

use crate::rng::Rng;

/// Things happen at multiples of this many milliseconds after a tree's beginning, and groups are told half a step away
/// from them: waits are odd multiples of half a step, intervals multiples of the whole.
pub(crate) const STEP: u64 = 600;
const HALF: u64 = STEP / 2;
/// The rhythm of eager trees, in which groups are told at once: each event has a place of its own within it.
pub(crate) const BEAT: u64 = 1000;
/// What ends an alert whose sender gave no end: between an event and a tick.
pub(crate) const RESOLVE_TIMEOUT: u64 = 4 * STEP - STEP / 4;

/// Labels of alerts, and their values. The first three are always there.
pub(crate) const LABELS: &[(&str, &[&str])] = &[
    ("alertname", &["Down", "Slow", "Full"]),
    ("severity", &["critical", "warning", "info"]),
    ("host", &["a", "b", "c d"]),
    ("zone", &["ü", "q\"x", "b\\s"]),
    ("job", &["db", "web"]),
    ("instance", &["1", "2"]),
    ("größe", &["x"]),
];

/// Time intervals that hold or do not hold during the whole run.
const INTERVALS: &[&str] = &["always", "never", "each-day", "half-year", "other-half", "Monday", "Berlin"];

/// What alerts are grouped by.
const GROUP_BY: &[&[&str]] = &[
    &["alertname"],
    &["alertname", "host"],
    &["..."],
    &[],
    &["zone"],
    &["severity", "missing"],
    &["größe", "job"],
];

/// What an alert and one that it inhibits have in common.
const EQUAL: &[&[&str]] =
    &[&["host"], &["host", "alertname"], &["zone"], &["missing"], &["host", "severity"]];

/// What inhibits, and what is inhibited.
const SOURCES: &[Condition] = &[
    Condition { name: "severity", operator: "=", value: "critical" },
    Condition { name: "alertname", operator: "=", value: "Down" },
    Condition { name: "host", operator: "=~", value: "a|b" },
    Condition { name: "job", operator: "!=", value: "" },
];
const TARGETS: &[Condition] = &[
    Condition { name: "severity", operator: "=~", value: "warning|info" },
    Condition { name: "severity", operator: "=", value: "info" },
    Condition { name: "alertname", operator: "!=", value: "Down" },
    Condition { name: "host", operator: "=~", value: ".+" },
    Condition { name: "zone", operator: "=", value: "ü" },
];

/// Alerts that mute others of their tree.
#[derive(Clone, Debug)]
pub(crate) struct InhibitRule {
    pub(crate) source: Condition,
    pub(crate) target: Condition,
    pub(crate) equal: &'static [&'static str],
}

impl InhibitRule {
    fn json(&self, tree: &str) -> Value {
        let tree = format!("tree={tree:?}");
        json!({
            "source_matchers": [tree, self.source.to_string()],
            "target_matchers": [tree, self.target.to_string()],
            "equal": self.equal,
        })
    }
}

/// One integration of a receiver.
#[derive(Clone, Debug)]
pub(crate) struct Integration {
    pub(crate) path: String,
    send_resolved: bool,
    max_alerts: u64,
    /// So many messages are answered with 400 before the first is taken.
    pub(crate) refuses: u32,
}

/// A branch of the configuration.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    pub(crate) number: u64,
    /// The value of `tree` in all its alerts.
    pub(crate) label: String,
    /// Whether its groups are told at once.
    pub(crate) eager: bool,
    pub(crate) route: Value,
    pub(crate) receivers: Vec<(String, Vec<Integration>)>,
    pub(crate) inhibit: Vec<InhibitRule>,
}

/// The tree with this number; the same for the same seed.
pub(crate) fn tree(seed: u64, number: u64) -> Tree {
    let mut rng = Rng::stream(seed, number * 2);
    let label = format!("t{number:03}");
    let eager = rng.chance(20);
    let receivers = (0..=rng.below(2)).map(|at| receiver(&mut rng, &label, at)).collect();
    let mut tree = Tree { number, label, eager, route: Value::Null, receivers, inhibit: Vec::new() };
    tree.route = tree.route(&mut rng, 0);
    for _ in 0..rng.below(3) {
        let (source, target, equal) = (*rng.of(SOURCES), *rng.of(TARGETS), *rng.of(EQUAL));
        tree.inhibit.push(InhibitRule { source, target, equal });
    }
    tree
}

fn receiver(rng: &mut Rng, label: &str, at: u64) -> (String, Vec<Integration>) {
    let integrations = (0..=rng.below(2)).map(|index| Integration {
        path: format!("/{label}/r{at}/{index}"),
        send_resolved: rng.chance(75),
        max_alerts: if rng.chance(20) { 2 } else { 0 },
        refuses: if rng.chance(10) { 1 + rng.below(2) as u32 } else { 0 },
    });
    (format!("{label}-r{at}"), integrations.collect())
}

impl Tree {
    fn route(&self, rng: &mut Rng, depth: u64) -> Value {
        let mut route = Map::new();
        let mut set = |name: &str, value: Value| route.insert(name.to_owned(), value);
        if depth == 0 {
            set("matchers", json!([format!("tree={:?}", self.label)]));
        } else {
            self.conditions(rng, &mut set);
            set("continue", json!(rng.chance(35)));
        }
        if depth == 0 || rng.chance(60) {
            set("receiver", json!(rng.of(&self.receivers).0));
        }
        if depth == 0 || rng.chance(40) {
            set("group_by", json!(rng.of(GROUP_BY)));
        }
        for (name, choices) in self.rhythms() {
            if depth == 0 || rng.chance(30) {
                set(name, json!(format!("{}ms", rng.of(choices))));
            }
        }
        for name in ["mute_time_intervals", "active_time_intervals"] {
            if rng.chance(8) {
                let mut intervals: Vec<&str> = (0..=rng.below(2)).map(|_| *rng.of(INTERVALS)).collect();
                intervals.dedup();
                set(name, json!(intervals));
            }
        }
        let children = match depth {
            0 => 1 + rng.below(3),
            1 | 2 => rng.below(3),
            _ => 0,
        };
        if children > 0 {
            let children: Vec<Value> = (0..children).map(|_| self.route(rng, depth + 1)).collect();
            set("routes", json!(children));
        }
        Value::Object(route)
    }

    /// A repeat interval lies between two ticks of whatever group interval.
    fn rhythms(&self) -> [(&'static str, &'static [u64]); 3] {
        if self.eager {
            return [
                ("group_wait", &[0, 0, BEAT]),
                ("group_interval", &[BEAT, 2 * BEAT]),
                ("repeat_interval", &[3 * BEAT / 2, 5 * BEAT / 2, 60 * BEAT]),
            ];
        }
        [
            ("group_wait", &[HALF, 3 * HALF, 5 * HALF]),
            ("group_interval", &[STEP, 2 * STEP, 3 * STEP, 4 * STEP]),
            ("repeat_interval", &[3 * HALF, 5 * HALF, 7 * HALF, 11 * HALF, 101 * HALF, 101 * HALF]),
        ]
    }

    /// Matchers, in one of the three ways to write them.
    fn conditions(&self, rng: &mut Rng, set: &mut impl FnMut(&str, Value) -> Option<Value>) {
        match rng.below(5) {
            0 => {
                let (name, values) = plain_label(rng);
                set("match", json!({ name: *rng.of(values) }));
            }
            1 => {
                let (name, pattern) = (plain_label(rng).0, *rng.of(PATTERNS));
                set("match_re", json!({ name: pattern }));
            }
            _ => {
                let matchers: Vec<String> = (0..=rng.below(2)).map(|_| condition(rng).to_string()).collect();
                set("matchers", json!(matchers));
            }
        }
    }

    fn integrations(&self, sink: u16) -> impl Iterator<Item = Value> {
        self.receivers.iter().map(move |(name, integrations)| {
            let webhooks: Vec<Value> = integrations
                .iter()
                .map(|integration| {
                    json!({
                        "url": format!("http://127.0.0.1:{sink}{}", integration.path),
                        "send_resolved": integration.send_resolved,
                        "max_alerts": integration.max_alerts,
                    })
                })
                .collect();
            json!({ "name": name, "webhook_configs": webhooks })
        })
    }
}

/// Regular expressions over the values of labels.
const PATTERNS: &[&str] =
    &["a|b", "Down|Slow", ".+", ".*", "[a-cD-S].*", "", "ü|q.*", "(?i)down|CRITICAL", "critical|info"];

fn label(rng: &mut Rng) -> (&'static str, &'static [&'static str]) {
    *rng.of(LABELS)
}

/// The old ways to write matchers take no names beyond ASCII.
fn plain_label(rng: &mut Rng) -> (&'static str, &'static [&'static str]) {
    *rng.of(&LABELS[..LABELS.len() - 1])
}

/// What a label's value is held against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Condition {
    pub(crate) name: &'static str,
    pub(crate) operator: &'static str,
    pub(crate) value: &'static str,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{:?}", self.name, self.operator, self.value)
    }
}

impl Condition {
    pub(crate) fn holds(&self, labels: &BTreeMap<&'static str, String>) -> bool {
        let value = labels.get(self.name).map_or("", String::as_str);
        let same = match self.operator.contains('~') {
            true => Regex::new(&format!("^(?:{})$", self.value)).expect("one of ours").is_match(value),
            false => value == self.value,
        };
        same != self.operator.contains('!')
    }
}

/// A matcher that rather often holds.
pub(crate) fn condition(rng: &mut Rng) -> Condition {
    let (name, values) = label(rng);
    let (operator, value) = match rng.below(6) {
        0 | 1 => ("=", *rng.of(values)),
        2 => ("!=", *rng.of(values)),
        3 => ("=~", *rng.of(PATTERNS)),
        4 => ("!~", *rng.of(PATTERNS)),
        _ => ("=", ""),
    };
    Condition { name, operator, value }
}

/// One configuration with all trees, in JSON, which is YAML too; messages go to `sink`.
pub(crate) fn configuration(trees: &[&Tree], sink: u16) -> String {
    let receivers: Vec<Value> = std::iter::once(json!({ "name": "nobody" }))
        .chain(trees.iter().flat_map(|tree| tree.integrations(sink)))
        .collect();
    let routes: Vec<&Value> = trees.iter().map(|tree| &tree.route).collect();
    let inhibit: Vec<Value> =
        trees.iter().flat_map(|tree| tree.inhibit.iter().map(|rule| rule.json(&tree.label))).collect();
    let config = json!({
        "global": { "resolve_timeout": format!("{RESOLVE_TIMEOUT}ms") },
        "route": { "receiver": "nobody", "routes": routes },
        "receivers": receivers,
        "inhibit_rules": inhibit,
        "time_intervals": [
            { "name": "always", "time_intervals": [{ "times": [{ "start_time": "00:00", "end_time": "24:00" }] }] },
            { "name": "never", "time_intervals": [{ "years": ["1999"] }] },
            { "name": "each-day", "time_intervals": [{ "weekdays": ["sunday:saturday"], "days_of_month": ["1:31"] }] },
            { "name": "half-year", "time_intervals": [{ "months": ["january:june"] }] },
            { "name": "other-half", "time_intervals": [{ "months": ["7:12"] }] },
            { "name": "Monday", "time_intervals": [{ "weekdays": ["monday"] }, { "days_of_month": ["-3:-1"] }] },
            { "name": "Berlin", "time_intervals": [{
                "times": [{ "start_time": "09:00", "end_time": "17:00" }],
                "weekdays": ["monday:friday"], "location": "Europe/Berlin",
            }] },
        ],
    });
    format!("{config:#}")
}

/// How often each path refuses.
pub(crate) fn refusals(trees: &[&Tree]) -> BTreeMap<String, u32> {
    let integrations =
        trees.iter().flat_map(|tree| &tree.receivers).flat_map(|(_, integrations)| integrations);
    integrations.filter(|i| i.refuses > 0).map(|i| (i.path.clone(), i.refuses)).collect()
}
