//! Alerts as they travel from rules and senders to the routing tree.

use std::sync::Arc;

use crate::{Annotations, Fingerprint, Labels, Timestamp};

/// What a rule's condition found to be wrong: it identifies the alert, together with the rule's name and labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Labels of the alert, before the rule's own are added.
    pub labels: Labels,
    /// The value that made it so.
    pub value: f64,
    /// Annotations by the condition itself (scripts and components); the rule's own are added.
    pub annotations: Annotations,
}

/// Whether an alert holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlertStatus {
    /// It holds.
    Firing,
    /// It held, and no longer does.
    Resolved,
}

impl AlertStatus {
    /// `firing` or `resolved`, as in messages and payloads.
    pub fn as_str(self) -> &'static str {
        match self {
            AlertStatus::Firing => "firing",
            AlertStatus::Resolved => "resolved",
        }
    }
}

/// One label set that somebody says is wrong, with the time for which they say so.
///
/// It holds while `now < ends_at`; a sender that goes on finding it moves `ends_at` on.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// Identifies the alert.
    pub labels: Labels,
    /// Text about it.
    pub annotations: Annotations,
    /// Since when it holds.
    pub starts_at: Timestamp,
    /// Until when it holds; may lie in the future.
    pub ends_at: Timestamp,
    /// When it was last heard of.
    pub updated_at: Timestamp,
    /// Where it came from: a link for people.
    pub generator_url: Arc<str>,
    /// Whether `ends_at` was derived from the resolve timeout because the sender gave none.
    pub timeout: bool,
    /// The value that made it so, if the sender is a rule of ours.
    pub value: Option<f64>,
}

impl Alert {
    /// Whether it holds at `now`.
    pub fn status(&self, now: Timestamp) -> AlertStatus {
        if self.ends_at <= now { AlertStatus::Resolved } else { AlertStatus::Firing }
    }

    /// The hash of its labels.
    pub fn fingerprint(&self) -> Fingerprint {
        self.labels.fingerprint()
    }
}
