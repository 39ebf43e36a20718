//! Plain counters; the shell lists them as metrics.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::Timestamp;

use crate::AlertState;

/// What happened since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Alerts heard of that fire.
    pub received_firing: u64,
    /// Alerts heard of that ended.
    pub received_resolved: u64,
    /// Posted alerts that were not valid.
    pub received_invalid: u64,
    /// Alerts refused because too many of their name fire.
    pub refused_by_limit: u64,
    /// Alerts left out of flushes, at each one again.
    pub suppressed: Suppressed,
    /// Flushes of groups.
    pub flushes: u64,
    /// By integration kind: notifications decided on, and given up.
    pub notifications: BTreeMap<Arc<str>, NotificationCount>,
    /// Commits that failed.
    pub commits_failed: u64,
}

/// Alerts that were not told of, by the first reason that was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Suppressed {
    /// Another alert mutes them.
    pub by_inhibition: u64,
    /// A silence mutes them.
    pub by_silence: u64,
    /// It is no time at which their route is active.
    pub by_active_time_interval: u64,
    /// A time interval mutes their route.
    pub by_mute_time_interval: u64,
}

impl Suppressed {
    pub(crate) fn add(&mut self, more: Suppressed) {
        self.by_inhibition += more.by_inhibition;
        self.by_silence += more.by_silence;
        self.by_active_time_interval += more.by_active_time_interval;
        self.by_mute_time_interval += more.by_mute_time_interval;
    }
}

/// Notifications of one integration kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NotificationCount {
    /// Decided on.
    pub sent: u64,
    /// Given up.
    pub failed: u64,
}

/// How much is there now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Alerts that are known, ended ones included.
    pub alerts: usize,
    /// Aggregation groups.
    pub groups: usize,
    /// Silences, expired ones included.
    pub silences: usize,
    /// Notifications under way.
    pub in_flight: usize,
    /// Whether something is not durable that should be.
    pub behind: bool,
}

/// How many there are of what [`Alerting::view`](crate::Alerting::view) lists, without the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Census {
    /// The time for which it was taken.
    pub at: Timestamp,
    /// When it may begin to differ though nothing happened.
    pub holds_until: Timestamp,
    /// [`Alerting::version`](crate::Alerting::version) of what was counted.
    pub version: u64,
    /// Firing alerts that are told of.
    pub active: u64,
    /// Firing alerts that are silenced or inhibited.
    pub suppressed: u64,
    /// Firing alerts that no group looked at yet.
    pub unprocessed: u64,
    /// Aggregation groups, those without firing alerts too.
    pub groups: u64,
    /// Silences by their state: active, pending, expired.
    pub silences: [u64; 3],
}

impl Census {
    /// Firing alerts by state.
    pub fn alerts(&self) -> [(AlertState, u64); 3] {
        [
            (AlertState::Active, self.active),
            (AlertState::Suppressed, self.suppressed),
            (AlertState::Unprocessed, self.unprocessed),
        ]
    }
}
