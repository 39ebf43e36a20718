//! Alertmanager's JSON about a group of alerts, for whatever reads its webhooks: the same names, the same order, the zero
//! time of year 1 where an alert has no end.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use crate::notifier::{Alert, Annotations, Notification, Status};
use crate::{Labels, Timestamp};

/// The whole of it; serialize it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Message<'a> {
    receiver: &'a str,
    status: &'static str,
    /// Those that it tells of.
    pub alerts: Vec<Told<'a>>,
    #[serde(rename = "notification_reason", skip_serializing_if = "str::is_empty")]
    notification_reason: &'a str,
    group_labels: Pairs<'a>,
    common_labels: Pairs<'a>,
    common_annotations: Pairs<'a>,
    route_labels: BTreeMap<String, String>,
    #[serde(rename = "externalURL")]
    external_url: &'a str,
    version: &'static str,
    group_key: &'a str,
    truncated_alerts: usize,
}

/// One alert.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Told<'a> {
    status: &'static str,
    labels: Pairs<'a>,
    annotations: Pairs<'a>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: &'a str,
    fingerprint: &'a str,
}

/// Names and values as a JSON object.
#[derive(Clone, Default, PartialEq)]
struct Pairs<'a>(BTreeMap<&'a str, &'a str>);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(&self.0)
    }
}

/// Go's zero time.
const NEVER: &str = "0001-01-01T00:00:00Z";

impl<'a> Message<'a> {
    /// About at most `limit` alerts, all if it is 0. What is cut off is counted, and what is said about all alerts is said
    /// about those that are left.
    pub fn new(notification: &'a Notification, limit: usize, version: &'static str) -> Self {
        let all = &notification.alerts;
        let told = &all[..if limit == 0 { all.len() } else { all.len().min(limit) }];
        let extra = |name: &str| notification.extra.get(name).map(String::as_str).unwrap_or_default();
        let cut = told.len() < all.len();
        let firing = told.iter().any(|alert| alert.status == Status::Firing);
        let status = match (cut, firing) {
            (false, _) => notification.status,
            (true, true) => Status::Firing,
            (true, false) => Status::Resolved,
        };
        let (common_labels, common_annotations) = if cut {
            (shared(told.iter().map(labels_of)), shared(told.iter().map(annotations_of)))
        } else {
            (pairs(&notification.common_labels), of_map(&notification.common_annotations))
        };
        Message {
            receiver: &notification.receiver,
            status: status.as_str(),
            alerts: told.iter().map(told_as).collect(),
            notification_reason: match extra("notification_reason") {
                "" => extra("reason"),
                reason => reason,
            },
            group_labels: pairs(&notification.group_labels),
            common_labels,
            common_annotations,
            route_labels: serde_json::from_str(extra("route_labels")).unwrap_or_default(),
            external_url: &notification.external_url,
            version,
            group_key: extra("group_key"),
            truncated_alerts: all.len() - told.len() + notification.truncated as usize,
        }
    }
}

fn told_as(alert: &Alert) -> Told<'_> {
    Told {
        status: alert.status.as_str(),
        labels: labels_of(alert),
        annotations: annotations_of(alert),
        starts_at: alert.starts_at.rfc3339(),
        ends_at: alert.ends_at.map_or_else(|| NEVER.to_owned(), Timestamp::rfc3339),
        generator_url: &alert.generator_url,
        fingerprint: &alert.fingerprint,
    }
}

fn pairs(labels: &Labels) -> Pairs<'_> {
    Pairs(labels.iter().collect())
}

fn of_map(map: &Annotations) -> Pairs<'_> {
    Pairs(map.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect())
}

fn labels_of(alert: &Alert) -> Pairs<'_> {
    pairs(&alert.labels)
}

fn annotations_of(alert: &Alert) -> Pairs<'_> {
    of_map(&alert.annotations)
}

/// What all of them have.
fn shared<'a>(mut all: impl Iterator<Item = Pairs<'a>>) -> Pairs<'a> {
    let mut shared = all.next().unwrap_or_default();
    for other in all {
        shared.0.retain(|name, value| other.0.get(name) == Some(value));
    }
    shared
}
