//! What survives a restart: pending clocks and firing alerts.
//!
//! Two sources. A [`Snapshot`] of ours holds every alert as it was. [`Recalled`] knows only what the series
//! `ALERTS_FOR_STATE` says, and serves a data directory without a snapshot; it follows the rules that users of
//! Prometheus know.

use std::collections::BTreeMap;
use std::time::Duration;

use model::{Labels, Timestamp};

use crate::{ActiveAlert, AlertState};

/// How much of the past counts after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestoreLimits {
    /// After a longer outage pending clocks start anew: `--rules.alert.for-outage-tolerance`.
    pub outage_tolerance: Duration,
    /// An alert that is restored from series fires not before this long after the restart, and only rules whose `for`
    /// is at least this long are restored from series: `--rules.alert.for-grace-period`.
    pub grace_period: Duration,
}

impl Default for RestoreLimits {
    fn default() -> Self {
        RestoreLimits {
            outage_tolerance: Duration::from_secs(60 * 60),
            grace_period: Duration::from_secs(10 * 60),
        }
    }
}

/// The last sample of one `ALERTS_FOR_STATE` series before the restart.
#[derive(Clone, Debug, PartialEq)]
pub struct StateSample {
    /// Labels of the series; the metric name does not matter.
    pub labels: Labels,
    /// When it was written: the alert was active until then.
    pub at: Timestamp,
    /// Its value as a time: since when the alert was found.
    pub since: Timestamp,
}

/// What `ALERTS_FOR_STATE` held before a restart.
#[derive(Clone, Debug, Default)]
pub struct Recalled {
    samples: BTreeMap<Labels, StateSample>,
    limits: RestoreLimits,
    evaluations: u32,
}

/// Alerts that come back later than in this evaluation after a restart are new ones. Two, because the first may come
/// before the first scrape.
const EVALUATIONS_THAT_RECALL: u32 = 2;

impl Recalled {
    /// From the last samples of a rule's `ALERTS_FOR_STATE` series.
    pub fn new(samples: Vec<StateSample>, limits: RestoreLimits) -> Self {
        let samples = samples.into_iter().map(|sample| (sample.labels.without_name(), sample)).collect();
        Recalled { samples, limits, evaluations: 0 }
    }

    /// Since when an alert that is found at `at` counts as found; `None` if nothing is known about it.
    pub(crate) fn since(&self, labels: &Labels, at: Timestamp, hold: Duration) -> Option<Timestamp> {
        if hold < self.limits.grace_period {
            return None;
        }
        let sample = self.samples.get(labels)?;
        if at.since(sample.at) > self.limits.outage_tolerance {
            return None;
        }
        let left = hold.saturating_sub(sample.at.since(sample.since));
        Some(if left.is_zero() {
            // It fired when the process went down.
            sample.since
        } else if left < self.limits.grace_period {
            at + self.limits.grace_period - hold
        } else {
            // The time of the outage does not count, whether it was found then or not.
            sample.since + at.since(sample.at)
        })
    }

    /// Counts a successful evaluation; after a few, the past no longer matters.
    pub(crate) fn evaluated(&mut self) {
        self.evaluations += 1;
        if self.evaluations >= EVALUATIONS_THAT_RECALL {
            self.samples.clear();
        }
    }
}

/// The state of a group's rules at one time, to be kept on disk; see `record` for its form there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// When it was made.
    pub at: Timestamp,
    /// Rules with alerts.
    pub rules: Vec<RuleSnapshot>,
}

/// The alerts of one rule.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleSnapshot {
    /// Kind, name and labels of the rule: what keeps it the same rule when its file is edited.
    pub identity: String,
    /// Pending, firing, and those that were resolved a short time before.
    pub alerts: Vec<ActiveAlert>,
}

/// The alerts of a snapshot as they count at `now`, when the process before this one lived until `alive_until`.
///
/// What fired goes on firing until an evaluation says otherwise. Pending clocks go on over a gap in which no evaluation
/// was missed; a longer outage does not count towards them, and one beyond the tolerance starts them anew.
pub(crate) fn as_of(
    alerts: Vec<ActiveAlert>,
    alive_until: Timestamp,
    now: Timestamp,
    interval: Duration,
    hold: Duration,
    limits: &RestoreLimits,
) -> Vec<ActiveAlert> {
    let outage = now.since(alive_until);
    let short = outage <= interval.saturating_mul(2);
    let keep = |alert: &ActiveAlert| {
        outage <= limits.outage_tolerance || !matches!(alert.state, AlertState::Pending { .. })
    };
    let shift = |mut alert: ActiveAlert| {
        if let AlertState::Pending { since } = &mut alert.state
            && !short
            && alive_until.since(*since) < hold
        {
            *since = *since + outage;
        }
        alert
    };
    alerts.into_iter().filter(keep).map(shift).collect()
}
