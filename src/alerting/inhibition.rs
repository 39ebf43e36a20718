//! Inhibition: a firing alert mutes the alerts it explains.
//!
//! In: the alerts that are known and the [`InhibitRule`]s. Out: for an alert, the alert that mutes it, if any.
//! Not here: silences and time intervals, I/O, clocks.
//! Invariant: an alert never mutes itself, even when it matches both sides of a rule. A source that is itself silenced or
//! inhibited still mutes; one that ended does not.

use std::collections::BTreeSet;

use model::{Labels, Matcher};

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
