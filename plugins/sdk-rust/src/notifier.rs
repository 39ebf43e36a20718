//! Notifiers: tell people or machines about a group of alerts.
//!
//! In: a [`Notification`]. Out: something to remember, such as the id of a message. Queues, deadlines, retries and rate
//! limits are the server's: a notifier makes one attempt and says with an [`ErrorKind`] what the failure means.
//!
//! The settings of a receiver (`title`, `message`, … in `<name>_configs`) are parameters; their templates are expanded.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

pub use crate::http::{self, Request, Response, url_encode};
pub use crate::secret::{self, secret};
pub use crate::{
    Error, ErrorKind, Labels, Result, Timestamp, clock, export_notifier, json, log, mail, metrics, param,
    state,
};

/// Free text about an alert: name → text.
pub type Annotations = BTreeMap<String, String>;

/// Tells somebody.
pub trait Notifier {
    /// What the plugin says about itself, as JSON: `name`, `needs`, `params`, …
    const MANIFEST: &'static str;

    /// One attempt. Returns something to remember: it comes back as [`Notification::previous`]. May be called again
    /// for the same [`Notification::id`].
    fn notify(notification: &Notification) -> Result<Option<String>>;
}

/// Whether an alert holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Status {
    /// It holds.
    #[default]
    Firing,
    /// It held, and no longer does.
    Resolved,
}

impl Status {
    /// `firing` or `resolved`.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Firing => "firing",
            Status::Resolved => "resolved",
        }
    }
}

/// One alert as a notification tells it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Alert {
    /// Whether it holds.
    pub status: Status,
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
    pub fingerprint: String,
    /// Where it came from.
    pub generator_url: String,
    /// Facts that a later version of the interface adds.
    pub extra: BTreeMap<String, String>,
}

/// What a receiver is told about one group of alerts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Notification {
    /// The same for every attempt at this notification, on any replica.
    pub id: String,
    /// The same for the whole life of this group at this receiver: the incident key of pagers.
    pub dedup_key: String,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// Firing if any alert is.
    pub status: Status,
    /// The receiver's name.
    pub receiver: String,
    /// The group in a few words.
    pub title: String,
    /// Labels that the group has in common by definition.
    pub group_labels: Labels,
    /// Labels that all its alerts share.
    pub common_labels: Labels,
    /// Annotations that all its alerts share.
    pub common_annotations: Annotations,
    /// Its alerts.
    pub alerts: Vec<Alert>,
    /// Alerts of the group that were left out of `alerts`.
    pub truncated: u32,
    /// The server's address, for links.
    pub external_url: String,
    /// W3C trace context of this notification.
    pub traceparent: String,
    /// What the last successful call for this group returned.
    pub previous: Option<String>,
    /// Facts that a later version of the interface adds: `group_key`, `notification_reason`, `route_labels`.
    pub extra: BTreeMap<String, String>,
}

impl Notification {
    /// `[FIRING:2] DiskFull a (page)`: the heading that messages have unless a template says otherwise.
    pub fn heading(&self) -> String {
        match self.status {
            Status::Firing => format!("[FIRING:{}] {}", self.firing().count(), self.title),
            Status::Resolved => format!("[RESOLVED] {}", self.title),
        }
    }

    /// A line for each alert, and one for those that were left out: the text of messages without a template.
    pub fn lines(&self) -> String {
        let line = |alert: &Alert| {
            let told =
                ["summary", "description", "message"].iter().find_map(|name| alert.annotations.get(*name));
            let line = format!("{}: {}", alert.status.as_str(), alert.labels.get("alertname"));
            told.map_or(line.clone(), |told| format!("{line}: {told}"))
        };
        let more = (self.truncated > 0).then(|| format!("… and {} more", self.truncated));
        self.alerts.iter().map(line).chain(more).collect::<Vec<_>>().join("\n")
    }

    /// The alerts that hold.
    pub fn firing(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.iter().filter(|alert| alert.status == Status::Firing)
    }

    /// The alerts that ended.
    pub fn resolved(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.iter().filter(|alert| alert.status == Status::Resolved)
    }
}

/// A setting that is a text; empty if it is not set.
pub fn text(name: &str) -> Result<String> {
    Ok(param::<Option<String>>(name)?.unwrap_or_default())
}

/// Puts settings that are texts into a message, each under its own name; those that are empty stay out.
pub fn put(into: &mut Map<String, Value>, names: &[&str]) -> Result<()> {
    for name in names {
        let value = text(name)?;
        if !value.is_empty() {
            into.insert((*name).into(), value.into());
        }
    }
    Ok(())
}

/// At most `limit` characters of `text`; the last is `…` if something was cut off.
pub fn truncate(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some(_) => {
            let kept: String = text.chars().take(limit.saturating_sub(1)).collect();
            if limit == 0 { kept } else { kept + "…" }
        }
    }
}

/// Makes a component of a type that implements [`Notifier`]. Once per crate.
#[macro_export]
macro_rules! export_notifier {
    ($plugin:ty) => {
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn(&$crate::notifier::Notification) -> $crate::Result<Option<String>> =
            <$plugin as $crate::notifier::Notifier>::notify;
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, reason = "the component model's exports are C functions")]
        const _: () = {
            struct Guest;
            impl $crate::bindings::notifier_plugin::exports::foghorn::plugin::manifest::Guest for Guest {
                fn describe() -> String {
                    <$plugin as $crate::notifier::Notifier>::MANIFEST.to_owned()
                }
            }
            impl $crate::bindings::notifier_plugin::exports::foghorn::plugin::notifier::Guest for Guest {
                fn notify(
                    notification: $crate::bindings::notifier_plugin::exports::foghorn::plugin::notifier::Notification,
                ) -> Result<Option<String>, $crate::bindings::kit::foghorn::plugin::types::Error> {
                    $crate::glue::notify::<$plugin>(notification)
                }
            }
            $crate::bindings::notifier_plugin::export!(Guest with_types_in $crate::bindings::notifier_plugin);
        };
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncates_by_characters() {
        for (text, limit, wanted) in
            [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("äöüß", 2, "ä…"), ("ab", 0, ""), ("", 0, "")]
        {
            assert_eq!(truncate(text, limit), wanted, "{text} {limit}");
        }
    }
}
