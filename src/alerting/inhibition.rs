//! Inhibition: a firing alert mutes the alerts it explains.
//!
//! In: the alerts that are known and the [`InhibitRule`]s. Out: for an alert, the alert that mutes it, if any.
//! Not here: silences and time intervals, I/O, clocks.
//! Invariant: an alert never mutes itself, even when it matches both sides of a rule. A source that is itself silenced or
//! inhibited still mutes; one that ended does not.

use std::collections::BTreeSet;

use foldhash::HashMap;
use model::{Labels, Matcher, PlantedBug, Timestamp};

use crate::alert_store::AlertId;

/// A rule: alerts that match the source side mute alerts that match the target side, where the labels in `equal` agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InhibitRule {
    /// Shown in reasons; may be empty.
    pub name: String,
    /// All must match the alert that mutes.
    pub source_matchers: Vec<Matcher>,
    /// All must match the alert that is muted.
    pub target_matchers: Vec<Matcher>,
    /// Labels whose values must be the same on both; a missing label is the empty string.
    pub equal: BTreeSet<String>,
}

impl InhibitRule {
    /// Whether an alert with `labels` can mute others.
    pub fn is_source(&self, labels: &Labels) -> bool {
        self.source_matchers.iter().all(|matcher| matcher.matches_labels(labels))
    }

    /// Whether an alert with `labels` can be muted.
    pub fn is_target(&self, labels: &Labels) -> bool {
        self.target_matchers.iter().all(|matcher| matcher.matches_labels(labels))
    }
}

/// For one alert: the rules in which it can stand on either side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sides {
    sources: Box<[u32]>,
    targets: Box<[u32]>,
}

/// Sources of one rule with equal values of its `equal` labels, by when they end: the last one decides.
#[derive(Debug, Default)]
struct Sources {
    /// Sources that are not targets of the rule.
    one_sided: BTreeSet<(Timestamp, AlertId)>,
    /// Sources that are targets as well: they don't mute alerts that match both sides.
    two_sided: BTreeSet<(Timestamp, AlertId)>,
}

impl Sources {
    fn is_empty(&self) -> bool {
        self.one_sided.is_empty() && self.two_sided.is_empty()
    }
}

/// Finds what mutes an alert without looking at all others.
#[derive(Debug, Default)]
pub(crate) struct Inhibitor {
    rules: Vec<InhibitRule>,
    /// For each rule: sources by the values of its `equal` labels.
    sources: Vec<HashMap<Labels, Sources>>,
}

impl Inhibitor {
    pub(crate) fn new(rules: &[InhibitRule]) -> Self {
        Inhibitor { rules: rules.to_vec(), sources: rules.iter().map(|_| HashMap::default()).collect() }
    }

    /// In which rules an alert with `labels` stands on which side.
    pub(crate) fn sides(&self, labels: &Labels) -> Sides {
        let rules = |test: fn(&InhibitRule, &Labels) -> bool| {
            let numbered = self.rules.iter().enumerate().filter(|(_, rule)| test(rule, labels));
            numbered.map(|(at, _)| at as u32).collect()
        };
        Sides { sources: rules(InhibitRule::is_source), targets: rules(InhibitRule::is_target) }
    }

    fn equal_labels(&self, rule: u32, labels: &Labels) -> Labels {
        if PlantedBug::InhibitionIgnoresEqual.is_planted() {
            return Labels::empty();
        }
        labels.filter(|name| self.rules[rule as usize].equal.contains(name))
    }

    /// Takes note of an alert that holds until `ends_at`.
    pub(crate) fn insert(&mut self, id: AlertId, labels: &Labels, sides: &Sides, ends_at: Timestamp) {
        for rule in sides.sources.iter() {
            let key = self.equal_labels(*rule, labels);
            let sources = self.sources[*rule as usize].entry(key).or_default();
            let set = match sides.targets.contains(rule) {
                true => &mut sources.two_sided,
                false => &mut sources.one_sided,
            };
            set.insert((ends_at, id));
        }
    }

    /// Forgets an alert that was inserted with the same values.
    pub(crate) fn remove(&mut self, id: AlertId, labels: &Labels, sides: &Sides, ends_at: Timestamp) {
        for rule in sides.sources.iter() {
            let key = self.equal_labels(*rule, labels);
            let map = &mut self.sources[*rule as usize];
            if let Some(sources) = map.get_mut(&key) {
                sources.one_sided.remove(&(ends_at, id));
                sources.two_sided.remove(&(ends_at, id));
                if sources.is_empty() {
                    map.remove(&key);
                }
            }
        }
    }

    /// The alert that mutes one with `labels` at `now`, and the name of the rule. `sides` belongs to the labels.
    pub(crate) fn muted_by(&self, labels: &Labels, sides: &Sides, now: Timestamp) -> Option<(AlertId, &str)> {
        sides.targets.iter().find_map(|rule| {
            let sources = self.sources[*rule as usize].get(&self.equal_labels(*rule, labels))?;
            let candidates = match sides.sources.contains(rule) {
                // It matches both sides: only an alert that does not can mute it. So it never mutes itself.
                true => [sources.one_sided.last(), None],
                false => [sources.one_sided.last(), sources.two_sided.last()],
            };
            let (_, by) = candidates.into_iter().flatten().find(|(ends_at, _)| *ends_at > now)?;
            Some((*by, self.rules[*rule as usize].name.as_str()))
        })
    }
}
