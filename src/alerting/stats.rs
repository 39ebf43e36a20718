//! Plain counters; the shell lists them as metrics.

use std::collections::BTreeMap;

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
    /// Alerts left out at a flush because another alert mutes them.
    pub muted_by_inhibition: u64,
    /// Alerts left out at a flush because of a silence.
    pub muted_by_silence: u64,
    /// Alerts left out at a flush because it is no time at which their route is active.
    pub muted_by_active_time_interval: u64,
    /// Alerts left out at a flush because of a time interval that mutes their route.
    pub muted_by_mute_time_interval: u64,
    /// Flushes of groups.
    pub flushes: u64,
    /// By integration kind: notifications decided on, and given up.
    pub notifications: BTreeMap<String, NotificationCount>,
    /// Commits that failed.
    pub commits_failed: u64,
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
