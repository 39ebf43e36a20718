//! What people see of rules: health, timing, alerts.

use std::time::Duration;

use model::{Labels, Timestamp};

use crate::{Action, ActiveAlert, Place};

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

/// A rule as people see it.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleView {
    /// The recorded metric, or the alert's name.
    pub name: String,
    /// The condition.
    pub query: String,
    /// Labels as written.
    pub labels: Labels,
    /// Annotations as written, in name order.
    pub annotations: Vec<(String, String)>,
    /// Whether it records or alerts, and its times.
    pub action: Action,
    /// Where it is written.
    pub place: Place,
    /// `inactive`, `pending` or `firing`; of a recording rule `inactive`.
    pub state: &'static str,
    /// Pending and firing alerts.
    pub alerts: Vec<ActiveAlert>,
    /// How it is doing.
    pub status: RuleStatus,
}

/// A group as people see it.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupView {
    /// Its name.
    pub name: String,
    /// Its file.
    pub file: String,
    /// From one evaluation to the next.
    pub interval: Duration,
    /// How far back it looks.
    pub query_offset: Duration,
    /// Its limit; 0 is none.
    pub limit: usize,
    /// Its rules, in order.
    pub rules: Vec<RuleView>,
    /// When the last evaluation began.
    pub last_evaluation: Option<Timestamp>,
    /// How long that took.
    pub evaluation_duration: Duration,
}
