//! The life of a rule's alerts: pending, firing, resolved.
//!
//! In: what an evaluation raised, and the time. Out: rows of `ALERTS` and `ALERTS_FOR_STATE`, every change of an alert
//! with its reason, and the alerts to send. Not here: how often a rule is evaluated, templates (`raise`), routing.
//! Invariant: an evaluation that fails changes nothing. Start at [`AlertTracker::apply`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::{Alert, Labels, METRIC_NAME, PlantedBug, SampleValue, Timestamp};
use ports::{Rejected, Row};

use crate::restore::Recalled;
use crate::written::WrittenSeries;
use crate::{
    Action, ActiveAlert, AlertChange, AlertState, ChangeReason, Evaluation, RaisedAlert, Rule, RuleError,
};

/// How long a resolved alert is kept and sent again, so that those who missed the end still learn of it.
pub const RESOLVED_RETENTION: Duration = Duration::from_secs(15 * 60);

/// The series that holds a 1 for each active alert.
pub const ALERTS: &str = "ALERTS";
/// The series that holds, for each active alert, since when it is found, in seconds of Unix time.
pub const ALERTS_FOR_STATE: &str = "ALERTS_FOR_STATE";
/// The label of [`ALERTS`] that holds `pending` or `firing`.
pub const ALERT_STATE: &str = "alertstate";

/// The alerts of one rule.
#[derive(Clone, Debug, Default)]
pub struct AlertTracker {
    alerts: BTreeMap<Labels, Tracked>,
    written: WrittenSeries,
    recalled: Recalled,
    /// The time of the last evaluation, or of the snapshot that was put back.
    last_at: Option<Timestamp>,
    /// What is known comes from before a restart, and may be older than what was told.
    unconfirmed: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Tracked {
    pub(crate) alert: ActiveAlert,
    /// When it was last sent; `None` if not since it began to fire, or since the start of the process.
    pub(crate) last_sent: Option<Timestamp>,
    /// The names of its series, made when it got into its state.
    series: Option<AlertSeries>,
}

/// The series of one alert in one state.
#[derive(Clone, Debug)]
struct AlertSeries {
    state: &'static str,
    alerts: Labels,
    for_state: Labels,
}

/// What one evaluation did.
#[derive(Clone, Debug, Default)]
pub struct AlertUpdates {
    /// Samples to store.
    pub rows: Vec<Row>,
    /// Every alert that changed its state, in label order.
    pub changes: Vec<AlertChange>,
}

impl AlertTracker {
    /// Takes in what an evaluation raised.
    pub fn apply(
        &mut self,
        rule: &Rule,
        raised: Vec<RaisedAlert>,
        evaluation: &Evaluation<'_>,
    ) -> Result<AlertUpdates, RuleError> {
        let at = evaluation.at;
        self.follow_clock(at);
        self.unconfirmed = false;
        let mut found = BTreeMap::new();
        for alert in raised {
            let labels = alert.labels.clone();
            if found.insert(labels.clone(), alert).is_some() {
                return Err(RuleError::Duplicate { labels });
            }
        }
        let times = Times::of(rule, at);
        self.check_limit(&found, &times, evaluation.limit)?;
        let mut changes = Vec::new();
        self.alerts.retain(|labels, tracked| {
            let after = match found.remove(labels) {
                Some(raised) => {
                    tracked.alert.annotations = raised.annotations;
                    tracked.alert.value = raised.value;
                    Some(times.found(tracked.alert.state))
                }
                None => times.not_found(tracked.alert.state),
            };
            tracked.step(after, at, &mut changes)
        });
        for (labels, raised) in found {
            let since = self.recalled.since(&labels, at, times.hold).unwrap_or(at);
            let state = times.settle(AlertState::Pending { since });
            let RaisedAlert { labels: _, annotations, value } = raised;
            let alert = ActiveAlert { labels: labels.clone(), annotations, state, value };
            changes.push(AlertChange {
                alert: alert.clone(),
                from: None,
                dropped: false,
                reason: ChangeReason::Found,
                at,
            });
            self.alerts.insert(labels, Tracked { alert, last_sent: None, series: None });
        }
        self.recalled.evaluated();
        changes.sort_by(|a, b| a.alert.labels.cmp(&b.alert.labels));
        let samples = self.samples();
        let rows = self.written.rows(samples, evaluation.sample_time());
        Ok(AlertUpdates { rows, changes })
    }

    /// A clock that was set back takes the times of all alerts along: what was found for a minute still was, and nothing
    /// waits for the time that was taken back.
    fn follow_clock(&mut self, now: Timestamp) {
        let back = self.last_at.map_or(0, |last| last.as_millis().saturating_sub(now.as_millis()));
        self.last_at = Some(now);
        if back <= 0 {
            return;
        }
        for tracked in self.alerts.values_mut() {
            tracked.alert.state = tracked.alert.state.earlier(back);
            tracked.last_sent = tracked.last_sent.map(|at| at.plus_millis(-back));
        }
    }

    /// Too many alerts are an error before anything changes: a flood must not make the rule forget what it knows.
    fn check_limit(
        &self,
        found: &BTreeMap<Labels, RaisedAlert>,
        times: &Times,
        limit: usize,
    ) -> Result<(), RuleError> {
        if limit == 0 {
            return Ok(());
        }
        let kept = self.alerts.iter().filter(|(labels, tracked)| {
            !found.contains_key(*labels)
                && times.not_found(tracked.alert.state).is_some_and(|(state, _)| state.is_active())
        });
        let count = found.len() + kept.count();
        if count > limit { Err(RuleError::Limit { count, what: "alerts", limit }) } else { Ok(()) }
    }

    /// The samples of all active alerts.
    fn samples(&mut self) -> Vec<(Labels, SampleValue)> {
        let active = self.alerts.values_mut().filter(|tracked| tracked.alert.state.is_active());
        active.flat_map(Tracked::samples).collect()
    }

    /// The alerts that those who are told should hear of now, as they should hear them.
    ///
    /// Firing ones again each `resend_delay`, with an end far enough ahead to survive a few that get lost; resolved
    /// ones at once and then again until they are forgotten. Failed evaluations do not stop it: what fires goes on.
    pub fn alerts_to_send(
        &mut self,
        now: Timestamp,
        resend_delay: Duration,
        interval: Duration,
        generator_url: &Arc<str>,
    ) -> Vec<Alert> {
        if self.last_at.is_some_and(|last| now < last) {
            // Also if no evaluation came through since: an end may not lie in the future.
            self.follow_clock(now);
        }
        let valid_until = now + resend_delay.max(interval).saturating_mul(4);
        // An end from before a restart waits until an evaluation says that it is still one: the alert may have come back
        // without that being written.
        let waits = |tracked: &Tracked| self.unconfirmed && !tracked.alert.state.is_active();
        let due =
            self.alerts.values_mut().filter(|tracked| !waits(tracked) && tracked.is_due(now, resend_delay));
        due.filter_map(|tracked| {
            let (starts_at, ends_at) = match tracked.alert.state {
                AlertState::Pending { .. } => return None,
                AlertState::Firing { fired_at, .. } => (fired_at, valid_until),
                AlertState::Resolved { fired_at, at, .. } => (fired_at, at),
            };
            tracked.last_sent = Some(now);
            Some(Alert {
                labels: tracked.alert.labels.clone(),
                annotations: tracked.alert.annotations.clone(),
                starts_at,
                ends_at,
                updated_at: now,
                generator_url: generator_url.clone(),
                timeout: false,
                value: Some(tracked.alert.value),
            })
        })
        .collect()
    }

    /// Whether [`AlertTracker::alerts_to_send`] would have anything to say.
    pub(crate) fn is_due(&self, now: Timestamp, resend_delay: Duration) -> bool {
        self.alerts.values().any(|tracked| {
            !matches!(tracked.alert.state, AlertState::Pending { .. }) && tracked.is_due(now, resend_delay)
        })
    }

    /// Pending and firing alerts, in label order.
    pub fn active(&self) -> impl Iterator<Item = &ActiveAlert> {
        self.all().filter(|alert| alert.state.is_active())
    }

    /// Pending, firing, and those that were resolved a short time ago, in label order.
    pub fn all(&self) -> impl Iterator<Item = &ActiveAlert> {
        self.alerts.values().map(|tracked| &tracked.alert)
    }

    /// The furthest state of its alerts: `firing`, `pending` or `inactive`.
    pub fn state(&self) -> &'static str {
        furthest_state(self.active().map(|alert| alert.state))
    }

    /// Resolves what fires and forgets what is pending: the rule is gone. Whether anything is left to be told.
    pub(crate) fn resolve_all(&mut self, at: Timestamp) -> bool {
        for tracked in self.alerts.values_mut() {
            if let AlertState::Firing { since, fired_at, .. } = tracked.alert.state {
                tracked.alert.state = AlertState::Resolved { since, fired_at, at };
                tracked.last_sent = None;
            }
        }
        self.forget_old(at)
    }

    /// Forgets pending alerts and those that were resolved long ago. Whether anything is left.
    pub(crate) fn forget_old(&mut self, now: Timestamp) -> bool {
        self.alerts.retain(|_, tracked| match tracked.alert.state {
            AlertState::Resolved { at, .. } => now.since(at) <= RESOLVED_RETENTION,
            AlertState::Firing { .. } => true,
            AlertState::Pending { .. } => false,
        });
        !self.alerts.is_empty()
    }

    /// Stale markers for all its series: the rule is gone.
    pub fn end(&mut self, at: Timestamp) -> Vec<Row> {
        self.written.end(at)
    }

    /// Remembers where rows were stored.
    pub fn stored(&mut self, rows: &[Row], outcome: &[Result<model::SeriesRef, Rejected>]) {
        self.written.stored(rows, outcome);
    }

    /// Puts back what a snapshot of `at` held. Alerts that are there already stay as they are.
    pub(crate) fn put_back(&mut self, alerts: Vec<ActiveAlert>, at: Timestamp) {
        self.last_at = self.last_at.max(Some(at));
        self.unconfirmed = true;
        for alert in alerts {
            if alert.state.is_active() {
                // They were written before the restart: should they be gone now, their series have to end.
                let AlertSeries { alerts, for_state, .. } = AlertSeries::of(&alert);
                self.written.expect([alerts, for_state].into_iter());
            }
            self.alerts.entry(alert.labels.clone()).or_insert(Tracked {
                alert,
                last_sent: None,
                series: None,
            });
        }
    }

    /// What `ALERTS_FOR_STATE` held before a restart; used for alerts that come back in the first evaluations.
    pub fn recall(&mut self, recalled: Recalled) {
        self.recalled = recalled;
    }
}

/// `firing` if any is, else `pending` if any is, else `inactive`.
pub(crate) fn furthest_state(states: impl Iterator<Item = AlertState>) -> &'static str {
    let rank = |state: AlertState| match state {
        AlertState::Firing { .. } => 2,
        AlertState::Pending { .. } => 1,
        AlertState::Resolved { .. } => 0,
    };
    states.max_by_key(|state| rank(*state)).map_or("inactive", AlertState::as_str)
}

impl AlertSeries {
    fn of(alert: &ActiveAlert) -> Self {
        let state = alert.state.as_str();
        let mut alerts = alert.labels.edit();
        alerts.set(METRIC_NAME, ALERTS).set(ALERT_STATE, state);
        let for_state = alert.labels.with(METRIC_NAME, ALERTS_FOR_STATE);
        AlertSeries { state, alerts: alerts.build(), for_state }
    }
}

impl Tracked {
    /// The samples of an active alert.
    fn samples(&mut self) -> [(Labels, SampleValue); 2] {
        let since = self.alert.state.since().as_millis().div_euclid(1000);
        let series = match self.series.take() {
            Some(series) if series.state == self.alert.state.as_str() => series,
            _ => AlertSeries::of(&self.alert),
        };
        let (alerts, for_state) = (series.alerts.clone(), series.for_state.clone());
        self.series = Some(series);
        [(alerts, SampleValue::Float(1.0)), (for_state, SampleValue::Float(since as f64))]
    }

    /// Moves to the next state, `None` being "forgotten", and notes the change if it is one. `false` if it is forgotten.
    fn step(
        &mut self,
        after: Option<(AlertState, Option<ChangeReason>)>,
        at: Timestamp,
        changes: &mut Vec<AlertChange>,
    ) -> bool {
        let from = Some(self.alert.state);
        let Some((state, reason)) = after else {
            if self.alert.state.is_active() {
                let (alert, reason) = (self.alert.clone(), ChangeReason::NoLongerFound);
                changes.push(AlertChange { alert, from, dropped: true, reason, at });
            }
            return false;
        };
        self.alert.state = state;
        let Some(reason) = reason else { return true };
        // What begins and what ends is sent at once, whatever the clock said when it was sent the last time.
        if !matches!(reason, ChangeReason::KeptFiring | ChangeReason::FoundAgain) {
            self.last_sent = None;
        }
        changes.push(AlertChange { alert: self.alert.clone(), from, dropped: false, reason, at });
        true
    }

    fn is_due(&self, now: Timestamp, resend_delay: Duration) -> bool {
        // Sent in the future: the clock was set back.
        self.last_sent.is_none_or(|last_sent| last_sent + resend_delay < now || last_sent > now)
    }
}

/// The times that decide about a state, at one evaluation.
struct Times {
    at: Timestamp,
    hold: Duration,
    keep_firing: Duration,
}

impl Times {
    fn of(rule: &Rule, at: Timestamp) -> Self {
        match rule.action {
            Action::Alert { hold, .. } if PlantedBug::KeepFiringIsIgnored.is_planted() => {
                Times { at, hold, keep_firing: Duration::ZERO }
            }
            Action::Alert { hold, keep_firing } => Times { at, hold, keep_firing },
            Action::Record => Times { at, hold: Duration::ZERO, keep_firing: Duration::ZERO },
        }
    }

    /// Pending becomes firing once it has been found for long enough.
    fn settle(&self, state: AlertState) -> AlertState {
        match state {
            AlertState::Pending { since } if self.at.since(since) >= self.hold => {
                AlertState::Firing { since, fired_at: self.at, kept_since: None }
            }
            other => other,
        }
    }

    /// The next state of an alert that was found, and why if it changes.
    fn found(&self, state: AlertState) -> (AlertState, Option<ChangeReason>) {
        match state {
            AlertState::Pending { .. } => {
                let next = self.settle(state);
                (next, (next != state).then_some(ChangeReason::HeldLongEnough))
            }
            AlertState::Firing { since, .. } if self.at.since(since) < self.hold => {
                (AlertState::Pending { since }, Some(ChangeReason::HoldRaised))
            }
            AlertState::Firing { since, fired_at, kept_since } => {
                let next = AlertState::Firing { since, fired_at, kept_since: None };
                (next, kept_since.map(|_| ChangeReason::FoundAgain))
            }
            AlertState::Resolved { .. } => {
                (self.settle(AlertState::Pending { since: self.at }), Some(ChangeReason::Found))
            }
        }
    }

    /// The next state of an alert that was not found, `None` being "forgotten", and why if it changes.
    fn not_found(&self, state: AlertState) -> Option<(AlertState, Option<ChangeReason>)> {
        match state {
            AlertState::Pending { .. } => None,
            AlertState::Firing { since, fired_at, kept_since } => {
                let gone_since = kept_since.unwrap_or(self.at);
                if self.at.since(gone_since) < self.keep_firing {
                    let next = AlertState::Firing { since, fired_at, kept_since: Some(gone_since) };
                    return Some((next, kept_since.is_none().then_some(ChangeReason::KeptFiring)));
                }
                let reason = match kept_since {
                    Some(_) => ChangeReason::KeepFiringOver,
                    None => ChangeReason::NoLongerFound,
                };
                Some((AlertState::Resolved { since, fired_at, at: self.at }, Some(reason)))
            }
            AlertState::Resolved { at, .. } if self.at.since(at) > RESOLVED_RETENTION => None,
            AlertState::Resolved { .. } => Some((state, None)),
        }
    }
}
