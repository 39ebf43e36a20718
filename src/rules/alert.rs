//! Alerts of one rule, and what happened to them.

use model::{Annotations, Labels, Timestamp};

/// How far an alert of a rule has come. Each state carries its own times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertState {
    /// Found, but not yet for long enough.
    Pending {
        /// Since when it is found without a break.
        since: Timestamp,
    },
    /// Found for long enough.
    Firing {
        /// Since when it is found without a break.
        since: Timestamp,
        /// When it began to fire.
        fired_at: Timestamp,
        /// Since when it is no longer found and fires on because of `keep_firing_for`.
        kept_since: Option<Timestamp>,
    },
    /// Fired, and is no longer found. Kept for a while so that those who were told learn of the end.
    Resolved {
        /// Since when it was found.
        since: Timestamp,
        /// When it began to fire.
        fired_at: Timestamp,
        /// When it ended.
        at: Timestamp,
    },
}

impl AlertState {
    /// Since when it is, or was, found.
    pub fn since(self) -> Timestamp {
        match self {
            AlertState::Pending { since }
            | AlertState::Firing { since, .. }
            | AlertState::Resolved { since, .. } => since,
        }
    }

    /// The last time in it: it had come when the state was entered.
    pub(crate) fn latest(self) -> Timestamp {
        match self {
            AlertState::Pending { since } => since,
            AlertState::Firing { fired_at, kept_since, .. } => kept_since.unwrap_or(fired_at),
            AlertState::Resolved { at, .. } => at,
        }
    }

    /// The same, so many milliseconds before.
    pub(crate) fn earlier(self, millis: i64) -> Self {
        let moved = |at: Timestamp| at.plus_millis(-millis);
        match self {
            AlertState::Pending { since } => AlertState::Pending { since: moved(since) },
            AlertState::Firing { since, fired_at, kept_since } => AlertState::Firing {
                since: moved(since),
                fired_at: moved(fired_at),
                kept_since: kept_since.map(moved),
            },
            AlertState::Resolved { since, fired_at, at } => {
                AlertState::Resolved { since: moved(since), fired_at: moved(fired_at), at: moved(at) }
            }
        }
    }

    /// Whether it is pending or firing.
    pub fn is_active(self) -> bool {
        !matches!(self, AlertState::Resolved { .. })
    }

    /// `pending`, `firing` or `inactive`, as the API and the `ALERTS` series write it.
    pub fn as_str(self) -> &'static str {
        match self {
            AlertState::Pending { .. } => "pending",
            AlertState::Firing { .. } => "firing",
            AlertState::Resolved { .. } => "inactive",
        }
    }
}

/// One alert of a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct ActiveAlert {
    /// Identifies it; `alertname` among them.
    pub labels: Labels,
    /// Texts of the last evaluation that found it.
    pub annotations: Annotations,
    /// How far it has come.
    pub state: AlertState,
    /// The value of the last evaluation that found it.
    pub value: f64,
}

/// Why the state of an alert changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeReason {
    /// The condition found it, and did not before.
    Found,
    /// It has been found for as long as `for` asks.
    HeldLongEnough,
    /// A reload made `for` longer than it has been found.
    HoldRaised,
    /// It is no longer found; `keep_firing_for` keeps it firing.
    KeptFiring,
    /// It is found again while `keep_firing_for` kept it firing.
    FoundAgain,
    /// It is no longer found.
    NoLongerFound,
    /// It is no longer found, and the time of `keep_firing_for` is over.
    KeepFiringOver,
}

impl ChangeReason {
    /// The reason in words, for the timeline.
    pub fn as_str(self) -> &'static str {
        match self {
            ChangeReason::Found => "the condition found it",
            ChangeReason::HeldLongEnough => "found for as long as `for` asks",
            ChangeReason::HoldRaised => "`for` was raised above the time it has been found",
            ChangeReason::KeptFiring => "no longer found; `keep_firing_for` keeps it firing",
            ChangeReason::FoundAgain => "found again",
            ChangeReason::NoLongerFound => "no longer found",
            ChangeReason::KeepFiringOver => "no longer found, and `keep_firing_for` is over",
        }
    }
}

/// One step of one alert.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertChange {
    /// The alert after the step; of one that is dropped while pending, as it last was.
    pub alert: ActiveAlert,
    /// The state it came from; `None` if it is new.
    pub from: Option<AlertState>,
    /// Whether it is forgotten with this step: it was pending and is no longer found.
    pub dropped: bool,
    /// Why.
    pub reason: ChangeReason,
    /// When: the time of the evaluation.
    pub at: Timestamp,
}
