//! What a component is handed of a notification, borrowed from it.
//!
//! A message about ten thousand alerts has two hundred thousand texts: copied one by one for the way across, they take more
//! time and memory than the component itself needs.

use std::fmt::Write as _;

use model::{AlertStatus, Labels};

use super::bindings::exports::foghorn::plugin::notifier as wit;
use crate::told::Told;

/// The digits of a fingerprint.
const FINGERPRINT: usize = 16;

/// The texts of a notification in the form in which they go across.
pub(super) struct Handed<'a> {
    told: &'a Told,
    /// Labels and annotations of one alert after the other.
    pairs: Vec<(&'a str, &'a str)>,
    /// For each alert the place in `pairs` where its annotations begin, and where they end.
    ends: Vec<(usize, usize)>,
    fingerprints: String,
    group_labels: Vec<(&'a str, &'a str)>,
    common_labels: Vec<(&'a str, &'a str)>,
    common_annotations: Vec<(&'a str, &'a str)>,
    route_labels: String,
}

impl<'a> Handed<'a> {
    pub(super) fn new(told: &'a Told) -> Handed<'a> {
        let notification = &told.notification;
        let mut pairs = Vec::new();
        let mut ends = Vec::with_capacity(notification.alerts.len());
        let mut fingerprints = String::with_capacity(notification.alerts.len() * FINGERPRINT);
        for alert in notification.alerts.iter() {
            pairs.extend(alert.labels.iter());
            let labels_end = pairs.len();
            pairs.extend(alert.annotations.iter());
            ends.push((labels_end, pairs.len()));
            let _ = write!(fingerprints, "{}", alert.fingerprint);
        }
        Handed {
            told,
            pairs,
            ends,
            fingerprints,
            group_labels: notification.group_labels.iter().collect(),
            common_labels: notification.common_labels.iter().collect(),
            common_annotations: notification.common_annotations.iter().collect(),
            route_labels: json_object(&notification.route_labels),
        }
    }

    /// Its alerts.
    pub(super) fn alerts(&self) -> Vec<wit::Alert<'_>> {
        let mut begin = 0;
        let alerts = self.told.notification.alerts.iter().zip(&self.ends).enumerate();
        alerts
            .map(|(at, (alert, &(labels_end, end)))| {
                let labels = &self.pairs[begin..labels_end];
                begin = end;
                wit::Alert {
                    status: status(alert.status),
                    labels,
                    annotations: &self.pairs[labels_end..end],
                    value: alert.value,
                    starts_at: alert.starts_at.as_millis(),
                    ends_at: alert.ends_at.map(model::Timestamp::as_millis),
                    fingerprint: &self.fingerprints[at * FINGERPRINT..(at + 1) * FINGERPRINT],
                    generator_url: &alert.generator_url,
                    extra: &[],
                }
            })
            .collect()
    }

    /// What is beside the alerts and belongs to no field of its own.
    pub(super) fn extra(&self) -> [(&str, &str); 3] {
        let notification = &self.told.notification;
        [
            ("group_key", &notification.group_key),
            ("reason", notification.reason.as_str()),
            ("route_labels", &self.route_labels),
        ]
    }

    /// All of it; `alerts` and `extra` are its own.
    pub(super) fn notification<'b>(
        &'b self,
        alerts: &'b [wit::Alert<'b>],
        extra: &'b [(&'b str, &'b str)],
    ) -> wit::Notification<'b> {
        let notification = &self.told.notification;
        wit::Notification {
            id: &notification.id,
            dedup_key: &notification.dedup_key,
            attempt: self.told.attempt,
            status: status(notification.status),
            receiver: &notification.receiver,
            title: self.told.title(),
            group_labels: &self.group_labels,
            common_labels: &self.common_labels,
            common_annotations: &self.common_annotations,
            alerts,
            truncated: 0,
            external_url: &notification.external_url,
            traceparent: &self.told.traceparent,
            previous: notification.previous.as_deref(),
            extra,
        }
    }
}

fn status(status: AlertStatus) -> wit::Status {
    match status {
        AlertStatus::Firing => wit::Status::Firing,
        AlertStatus::Resolved => wit::Status::Resolved,
    }
}

fn json_object(labels: &Labels) -> String {
    let pairs = labels.iter().map(|(name, value)| (name.to_owned(), serde_json::Value::from(value)));
    serde_json::Value::Object(pairs.collect()).to_string()
}
