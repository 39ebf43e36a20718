//! What a notifier is told.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{AlertStatus, Annotations, Fingerprint, Labels, Timestamp};

/// Why a notification is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotifyReason {
    /// Nothing was sent for this group before.
    FirstNotification,
    /// Alerts joined the group.
    NewAlertsInGroup,
    /// Some alerts of the group ended, and the receiver wants to know.
    NewResolvedAlerts,
    /// The last alert of the group ended.
    AllAlertsResolved,
    /// Nothing changed, but `repeat_interval` has passed.
    RepeatIntervalElapsed,
}

impl NotifyReason {
    /// The reason as the webhook payload writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            NotifyReason::FirstNotification => "first notification",
            NotifyReason::NewAlertsInGroup => "new alerts added",
            NotifyReason::NewResolvedAlerts => "some alerts resolved",
            NotifyReason::AllAlertsResolved => "all alerts resolved",
            NotifyReason::RepeatIntervalElapsed => "repeat interval elapsed",
        }
    }
}

impl fmt::Display for NotifyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One alert as a notification tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct NotifiedAlert {
    /// Whether it holds, at the time of the flush.
    pub status: AlertStatus,
    /// Its labels.
    pub labels: Labels,
    /// Its annotations.
    pub annotations: Annotations,
    /// The value that made it so, if known.
    pub value: Option<f64>,
    /// Since when it holds.
    pub starts_at: Timestamp,
    /// When it ended; `None` while it holds.
    pub ends_at: Option<Timestamp>,
    /// Hash of its labels.
    pub fingerprint: Fingerprint,
    /// Where it came from.
    pub generator_url: Arc<str>,
}

/// What one integration of a receiver is told about one aggregation group, at one flush.
#[derive(Clone, Debug, PartialEq)]
pub struct Notification {
    /// The same for every attempt at this notification, on any replica.
    pub id: Arc<str>,
    /// The same for the whole life of this group at this integration: the incident key of pagers.
    pub dedup_key: Arc<str>,
    /// The receiver's name.
    pub receiver: Arc<str>,
    /// The integration's kind, as in `<kind>_configs`: `discord`, `webhook`.
    pub integration: Arc<str>,
    /// Position among the receiver's integrations of that kind.
    pub index: usize,
    /// Alertmanager's text for the group: `{}/{severity="page"}:{alertname="X"}`.
    pub group_key: Arc<str>,
    /// Firing if any alert is.
    pub status: AlertStatus,
    /// Why it is sent.
    pub reason: NotifyReason,
    /// The labels that the group has in common by definition.
    pub group_labels: Labels,
    /// The labels that all its alerts share.
    pub common_labels: Labels,
    /// The annotations that all its alerts share.
    pub common_annotations: Annotations,
    /// Labels of the route.
    pub route_labels: Labels,
    /// Its alerts, in Alertmanager's order. Shared: a queue, an attempt and a plugin hold the same ones.
    pub alerts: Arc<[NotifiedAlert]>,
    /// The server's address for links.
    pub external_url: Arc<str>,
    /// The integration's settings with their templates expanded: name → JSON text. The same ones for many messages.
    pub settings: Arc<BTreeMap<String, String>>,
    /// What the last successful delivery for this group returned.
    pub previous: Option<String>,
    /// When the flush decided to send.
    pub at: Timestamp,
    /// After how long an attempt is given up; the next flush tries again.
    pub give_up_after: Duration,
}

/// A delivery that the other side accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Something to remember, such as the id of a message to edit; comes back as [`Notification::previous`].
    pub remember: Option<String>,
    /// The other side takes nothing more for this long.
    pub pause: Option<Duration>,
}
