//! Alerts as senders give them, and how a repeated one is merged with what is known.
//!
//! Not here: which alerts are known (`alert_store`).

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use model::{Alert, Annotations, Labels, Timestamp};

use crate::MatcherMode;

/// An alert as a sender posts it: times may be missing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlertDraft {
    /// Identifies the alert; pairs with an empty value are dropped by [`Labels`] already.
    pub labels: Labels,
    /// Text about it.
    pub annotations: Annotations,
    /// Since when it holds; now if missing.
    pub starts_at: Option<Timestamp>,
    /// When it ended or will end; `resolve_timeout` from now if missing.
    pub ends_at: Option<Timestamp>,
    /// Where it came from.
    pub generator_url: Arc<str>,
}

/// Why an alert is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AlertError {
    /// No label is left.
    #[error("invalid label set: at least one label pair required")]
    NoLabels,
    /// A label's name is not allowed.
    #[error("invalid label set: invalid name `{0}`")]
    LabelName(String),
    /// An annotation's name is not allowed.
    #[error("invalid annotations: invalid name `{0}`")]
    AnnotationName(String),
    /// It ended before it began.
    #[error("start time must be before end time")]
    EndsBeforeStart,
    /// Too many with this `alertname` fire already.
    #[error(
        "{limit} alerts named `{name}` fire already, the limit is {limit}; group them in the rule or raise the limit"
    )]
    TooMany {
        /// The value of `alertname`.
        name: String,
        /// How many may fire.
        limit: usize,
    },
}

impl AlertDraft {
    /// The alert that is meant at `now`.
    pub fn check(
        self,
        now: Timestamp,
        resolve_timeout: Duration,
        mode: MatcherMode,
    ) -> Result<Alert, AlertError> {
        if self.labels.is_empty() {
            return Err(AlertError::NoLabels);
        }
        if let Some((name, _)) = self.labels.iter().find(|(name, _)| !mode.is_label_name(name)) {
            return Err(AlertError::LabelName(name.to_owned()));
        }
        if let Some(name) = self.annotations.keys().find(|name| !mode.is_label_name(name)) {
            return Err(AlertError::AnnotationName(name.to_owned()));
        }
        let starts_at = self.starts_at.or(self.ends_at).unwrap_or(now);
        let ends_at = self.ends_at.unwrap_or(now + resolve_timeout);
        if ends_at < starts_at {
            return Err(AlertError::EndsBeforeStart);
        }
        Ok(Alert {
            labels: self.labels,
            annotations: self.annotations,
            starts_at,
            ends_at,
            updated_at: now,
            generator_url: self.generator_url,
            timeout: self.ends_at.is_none(),
            value: None,
        })
    }
}

/// What is known after `update` was heard, `known` having been known before.
///
/// Where the two overlap in time they are one alert: the earlier start counts. An end that a sender gave beats one that
/// was only assumed, unless the alert ended. Where they do not overlap, the update is a new episode.
pub fn merge_alert(known: &Alert, update: Alert, now: Timestamp) -> Alert {
    let inside = |at: Timestamp| at > known.starts_at && at < known.ends_at;
    if inside(update.ends_at) || inside(update.starts_at) {
        merge_overlapping(known, update, now)
    } else {
        update
    }
}

/// Both are the same episode of the same alert; whichever was heard of later counts, but for its times.
pub fn merge_overlapping(a: &Alert, b: Alert, now: Timestamp) -> Alert {
    if b.updated_at < a.updated_at {
        return merge_overlapping(&b, a.clone(), now);
    }
    let (older, mut merged) = (a, b);
    merged.starts_at = merged.starts_at.min(older.starts_at);
    let older_end_counts = if merged.ends_at <= now { older.ends_at <= now } else { !older.timeout };
    if older_end_counts {
        merged.ends_at = merged.ends_at.max(older.ends_at);
    }
    merged
}

/// Label sets in the order in which Alertmanager lists them: fewer labels first, then by the first label in which they
/// differ. One that is missing comes before its values.
pub fn order_of_labels(a: &Labels, b: &Labels) -> Ordering {
    let by_pairs = || {
        let (a, b) = a.iter().zip(b.iter()).find(|(a, b)| a != b)?;
        // Of two names the smaller one is missing on the other side.
        Some(b.0.cmp(a.0).then(a.1.cmp(b.1)))
    };
    a.len().cmp(&b.len()).then_with(|| by_pairs().unwrap_or(Ordering::Equal))
}

/// The place of an alert in a notification: by `job`, by `instance`, then by all labels ([`order_of_labels`]). A missing
/// `job` or `instance` comes after all values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotificationOrder<'a> {
    job: (bool, &'a str),
    instance: (bool, &'a str),
    labels: &'a Labels,
}

impl<'a> NotificationOrder<'a> {
    /// Of an alert with these labels.
    pub fn of(labels: &'a Labels) -> Self {
        let of = |name| labels.get(name).map_or((true, ""), |value| (false, value));
        NotificationOrder { job: of(model::JOB), instance: of(model::INSTANCE), labels }
    }
}

impl Ord for NotificationOrder<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let first = |order: &Self| (order.job, order.instance);
        first(self).cmp(&first(other)).then_with(|| order_of_labels(self.labels, other.labels))
    }
}

impl PartialOrd for NotificationOrder<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(seconds: i64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    fn draft(labels: Labels, starts: Option<i64>, ends: Option<i64>) -> AlertDraft {
        AlertDraft { labels, starts_at: starts.map(secs), ends_at: ends.map(secs), ..Default::default() }
    }

    fn check(labels: Labels, starts: Option<i64>, ends: Option<i64>) -> Result<Alert, AlertError> {
        draft(labels, starts, ends).check(secs(100), Duration::from_secs(300), MatcherMode::Fallback)
    }

    #[test]
    fn fills_in_times() {
        for (starts, ends, expected) in [
            (None, None, (100, 400, true)),
            (Some(50), None, (50, 400, true)),
            (None, Some(70), (70, 70, false)),
            (Some(50), Some(70), (50, 70, false)),
        ] {
            let alert = check(Labels::from([("a", "b")]), starts, ends).unwrap();
            assert_eq!(
                (alert.starts_at, alert.ends_at, alert.timeout),
                (secs(expected.0), secs(expected.1), expected.2)
            );
        }
    }

    #[test]
    fn refuses() {
        assert_eq!(check(Labels::empty(), None, None), Err(AlertError::NoLabels));
        assert_eq!(check(Labels::from([("a", "b")]), Some(80), Some(70)), Err(AlertError::EndsBeforeStart));
        let classic = draft(Labels::from([("ä", "b")]), None, None).check(
            secs(100),
            Duration::from_secs(300),
            MatcherMode::Classic,
        );
        assert_eq!(classic, Err(AlertError::LabelName("ä".into())));
    }

    #[test]
    fn merges_what_overlaps() {
        // (starts, ends, updated, timeout) of what is known and of the update, and what comes out, at second 100.
        for (known, update, expected) in [
            // An assumed end gives way to a given one, even an earlier.
            ((10, 400, 50, true), (20, 200, 100, false), (10, 200, false)),
            // A given end stays if it is later.
            ((10, 300, 50, false), (20, 200, 100, false), (10, 300, false)),
            // The end of the update has come: it counts, whatever was expected.
            ((10, 300, 50, false), (20, 90, 100, false), (10, 90, false)),
            // Both ended: the later end.
            ((10, 95, 50, false), (20, 90, 100, false), (10, 95, false)),
            // The known one ended before the update began: a new episode.
            ((10, 40, 50, false), (60, 200, 100, false), (60, 200, false)),
        ] {
            let alert = |(starts, ends, updated, timeout): (i64, i64, i64, bool)| Alert {
                starts_at: secs(starts),
                ends_at: secs(ends),
                updated_at: secs(updated),
                timeout,
                ..check(Labels::from([("a", "b")]), None, None).unwrap()
            };
            let merged = merge_alert(&alert(known), alert(update), secs(100));
            assert_eq!(
                (merged.starts_at, merged.ends_at, merged.timeout),
                (secs(expected.0), secs(expected.1), expected.2)
            );
        }
    }

    #[test]
    fn orders_by_job_and_instance_first() {
        let mut labels = [
            Labels::from([("a", "1")]),
            Labels::from([("z", "1"), ("instance", "b")]),
            Labels::from([("job", "b")]),
            Labels::from([("job", "a"), ("z", "1")]),
            Labels::from([("job", "a"), ("instance", "2")]),
            Labels::from([("a", "1"), ("b", "1")]),
            Labels::from([("b", "1"), ("c", "1")]),
            Labels::from([("a", "1"), ("c", "0")]),
        ];
        labels.sort_by(|a, b| NotificationOrder::of(a).cmp(&NotificationOrder::of(b)));
        let texts: Vec<String> = labels.iter().map(Labels::to_string).collect();
        assert_eq!(
            texts,
            [
                "{instance=\"2\", job=\"a\"}",
                "{job=\"a\", z=\"1\"}",
                "{job=\"b\"}",
                "{instance=\"b\", z=\"1\"}",
                "{a=\"1\"}",
                "{b=\"1\", c=\"1\"}",
                "{a=\"1\", c=\"0\"}",
                "{a=\"1\", b=\"1\"}",
            ]
        );
    }
}
