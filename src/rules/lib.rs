//! Rules: what is recorded and what is watched for; pending, firing, resolved; the `ALERTS` series.
//!
//! In: rule groups, what their conditions found, and the time. Out: samples to store, every change of an alert with its
//! reason, alerts to send, and views for people.
//! Not here: how often a group is evaluated, queries and storage (behind `ports`), routing and messages (`alerting`).
//! Invariant: a failed evaluation changes no alert and ends no series.
//! Start at [`RuleGroup`] for the data and at [`GroupState`] for the life of it.

mod alert;
mod error;
mod group;
mod link;
mod raise;
pub mod record;
mod recorder;
mod restore;
mod state;
mod status;
mod tracker;
pub mod unit_test;
mod written;

pub use alert::{ActiveAlert, AlertChange, AlertState, ChangeReason};
pub use error::RuleError;
pub use group::{Action, Condition, External, Found, Place, Rule, RuleGroup};
pub use link::{graph_link, outgoing};
pub use raise::{Evaluation, Raised, RaisedAlert, TemplateQuery, raise};
pub use recorder::Recorder;
pub use restore::{Recalled, RestoreLimits, RuleSnapshot, Snapshot, StateSample};
pub use state::{Evaluated, GroupState};
pub use status::{GroupView, Health, RuleStatus, RuleView};
pub use tracker::{ALERT_STATE, ALERTS, ALERTS_FOR_STATE, AlertTracker, AlertUpdates, RESOLVED_RETENTION};

#[cfg(test)]
mod tables;
