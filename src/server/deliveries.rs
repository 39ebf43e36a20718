//! Notifications as people see them: those that came to their end, and those that are tried again.
//!
//! In: outcomes, and what the queues could not deliver yet. Out: views for the API. Not here: what follows from an outcome
//! (`alerting_task`). Start at [`Deliveries`].

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use api::{DeliveryOutcome, DeliveryView};
use model::{AlertStatus, Notification, Timestamp};
use notify::{Report, Unsent};

/// Outcomes that are shown.
const DELIVERIES: usize = 1000;
/// Alerts of all outcomes that are shown; where they are more, fewer outcomes are.
const DELIVERED_ALERTS: usize = 100_000;

/// What became of notifications, newest first.
#[derive(Default)]
pub(crate) struct Deliveries(Mutex<Shown>);

#[derive(Default)]
struct Shown {
    views: VecDeque<DeliveryView>,
    /// Alerts of all of them.
    alerts: usize,
}

impl Shown {
    fn push(&mut self, view: DeliveryView) {
        self.alerts += alerts(&view);
        self.views.push_front(view);
        while self.views.len() > DELIVERIES || (self.alerts > DELIVERED_ALERTS && self.views.len() > 1) {
            self.alerts -= self.views.pop_back().as_ref().map_or(0, alerts);
        }
    }
}

fn alerts(view: &DeliveryView) -> usize {
    view.firing + view.resolved
}

impl Deliveries {
    pub(crate) fn note(&self, now: Timestamp, report: &Report) {
        let notification = &report.notification;
        let outcome = DeliveryOutcome::Ended {
            error: report.outcome.as_ref().err().map(ToString::to_string),
            took: report.took,
            alerts: notification.alerts.iter().map(|alert| alert.fingerprint).collect(),
        };
        let view = view(notification, now, report.attempts, outcome);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(view);
    }

    pub(crate) fn all(&self) -> Vec<DeliveryView> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).views.iter().cloned().collect()
    }
}

/// One that is tried again, as of `now`.
pub(crate) fn tried_again(unsent: &Unsent, now: Timestamp) -> DeliveryView {
    let outcome = DeliveryOutcome::TriedAgain { error: unsent.error.clone() };
    view(&unsent.notification, now - unsent.failing_for, unsent.attempts, outcome)
}

fn view(notification: &Notification, at: Timestamp, attempts: u32, outcome: DeliveryOutcome) -> DeliveryView {
    let of = |status| notification.alerts.iter().filter(|alert| alert.status == status).count();
    DeliveryView {
        at,
        receiver: notification.receiver.clone(),
        integration: notification.integration.clone(),
        index: notification.index,
        group_labels: notification.group_labels.clone(),
        group_key: notification.group_key.clone(),
        reason: notification.reason.as_str(),
        firing: of(AlertStatus::Firing),
        resolved: of(AlertStatus::Resolved),
        attempts,
        outcome,
    }
}
