//! What people see of rules: health, timing, alerts.

use std::sync::Arc;
use std::time::Duration;

use model::Timestamp;

use crate::{ActiveAlert, RuleGroup};

/// Whether a rule works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Health {
    /// Not evaluated yet.
    #[default]
    Unknown,
    /// The last evaluation had a result.
    Ok,
    /// The last evaluation failed.
    Err,
}

impl Health {
    /// `unknown`, `ok` or `err`, as the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Health::Unknown => "unknown",
            Health::Ok => "ok",
            Health::Err => "err",
        }
    }
}

/// How a rule is doing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleStatus {
    /// Whether it works.
    pub health: Health,
    /// Why it does not.
    pub last_error: Option<String>,
    /// When it was last evaluated.
    pub last_evaluation: Option<Timestamp>,
    /// How long that took.
    pub evaluation_duration: Duration,
}

/// What a rule found, and how it is doing.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleView {
    /// `inactive`, `pending` or `firing`; of a recording rule `inactive`.
    pub state: &'static str,
    /// Pending and firing alerts.
    pub alerts: Vec<ActiveAlert>,
    /// How it is doing.
    pub status: RuleStatus,
}

/// A group as people see it. Made after each evaluation: what is written is shared, not copied.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupView {
    /// The group as written.
    pub group: Arc<RuleGroup>,
    /// One for each of its rules, in order.
    pub rules: Vec<RuleView>,
    /// When the last evaluation began.
    pub last_evaluation: Option<Timestamp>,
    /// How long that took.
    pub evaluation_duration: Duration,
}
