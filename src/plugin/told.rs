//! What a notifier is told, and the two forms that it may ask for: single texts, and Alertmanager's JSON for webhooks.
//!
//! In: a notification and the number of the attempt. Out: texts. The JSON has Alertmanager's names in its order, version 4:
//! maps sorted by name, times in UTC without needless zeros, the zero time of year 1 where an alert has no end.

use std::sync::OnceLock;

use model::{AlertStatus, Annotations, Labels, Notification, NotifiedAlert, Timestamp};
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

/// What a notifier is told.
pub(crate) struct Told {
    pub(crate) notification: Notification,
    pub(crate) attempt: u32,
    title: OnceLock<String>,
    /// W3C trace context.
    pub(crate) traceparent: String,
}

impl Told {
    pub(crate) fn new(notification: Notification, attempt: u32, traceparent: String) -> Told {
        Told { notification, attempt, title: OnceLock::new(), traceparent }
    }

    /// One line about the group: the values of its labels. Made when it is asked for.
    pub(crate) fn title(&self) -> &str {
        self.title.get_or_init(|| title(&self.notification.group_labels, &self.notification.common_labels))
    }

    /// A text of the notification by its name in `wit/`.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let notification = &self.notification;
        Some(match name {
            "id" => &notification.id,
            "dedup-key" => &notification.dedup_key,
            "status" => notification.status.as_str(),
            "receiver" => &notification.receiver,
            "title" => self.title(),
            "external-url" => &notification.external_url,
            "traceparent" => &self.traceparent,
            "previous" => return notification.previous.as_deref(),
            "group-key" => &notification.group_key,
            "reason" => notification.reason.as_str(),
            _ => return None,
        })
    }

    /// Alertmanager's JSON about at most `limit` alerts, all if it is 0. What is cut off is counted, and what is said about
    /// all alerts is said about those that are left.
    pub(crate) fn webhook(&self, limit: usize) -> String {
        let notification = &self.notification;
        let all = &notification.alerts;
        let told = &all[..if limit == 0 { all.len() } else { all.len().min(limit) }];
        let cut = told.len() < all.len();
        let (common_labels, common_annotations) = match told.split_first().filter(|_| cut) {
            Some((first, others)) => (
                first.labels.filter(|name| {
                    others.iter().all(|other| other.labels.get(name) == first.labels.get(name))
                }),
                shared_annotations(first, others),
            ),
            None => (notification.common_labels.clone(), notification.common_annotations.clone()),
        };
        let status = match told.iter().any(|alert| alert.status == AlertStatus::Firing) {
            _ if !cut => notification.status,
            true => AlertStatus::Firing,
            false => AlertStatus::Resolved,
        };
        let message = Message {
            receiver: &notification.receiver,
            status: status.as_str(),
            alerts: Alerts(told),
            notification_reason: notification.reason.as_str(),
            group_labels: LabelMap(&notification.group_labels),
            common_labels: LabelMap(&common_labels),
            common_annotations: AnnotationMap(&common_annotations),
            route_labels: LabelMap(&notification.route_labels),
            external_url: &notification.external_url,
            version: "4",
            group_key: &notification.group_key,
            truncated_alerts: all.len() - told.len(),
        };
        let mut out = Vec::with_capacity(OF_MESSAGE + told.iter().map(bytes_of).sum::<usize>());
        serde_json::to_writer(&mut out, &message).expect("names and texts are JSON");
        String::from_utf8(out).expect("JSON is text")
    }
}

/// One line about a group: the values of its labels, and in parentheses those that its alerts share beyond them.
fn title(group: &Labels, common: &Labels) -> String {
    fn append<'a>(out: &mut String, mut first: bool, values: impl Iterator<Item = &'a str>) {
        for value in values {
            if !std::mem::take(&mut first) {
                out.push(' ');
            }
            out.push_str(value);
        }
    }
    // The alert's name comes first, as people look for it.
    let name = group.get(model::ALERT_NAME).into_iter();
    let others = group.iter().filter(|(label, _)| *label != model::ALERT_NAME).map(|(_, value)| value);
    let mut out = String::new();
    append(&mut out, true, name.chain(others));
    let mut shared = common.iter().filter(|(label, _)| group.get(label).is_none()).map(|(_, value)| value);
    if let Some(first) = shared.next() {
        out.push_str(if out.is_empty() { "(" } else { " (" });
        append(&mut out, true, std::iter::once(first).chain(shared));
        out.push(')');
    }
    out
}

/// About how many bytes the JSON has beside its alerts, and an alert beside its labels and annotations.
const OF_MESSAGE: usize = 1024;
const OF_ALERT: usize = 320;

fn bytes_of(alert: &NotifiedAlert) -> usize {
    let pairs = alert.labels.iter().chain(alert.annotations.iter());
    OF_ALERT
        + alert.generator_url.len()
        + pairs.map(|(name, text)| name.len() + text.len() + 6).sum::<usize>()
}

fn shared_annotations(first: &NotifiedAlert, others: &[NotifiedAlert]) -> Annotations {
    let has = |alert: &NotifiedAlert, pair: (&str, &str)| alert.annotations.iter().any(|other| other == pair);
    let shared = first.annotations.iter().filter(|pair| others.iter().all(|other| has(other, *pair)));
    shared.map(|(name, text)| (name.to_owned(), text.to_owned())).collect()
}

/// The whole of it, in Alertmanager's order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    receiver: &'a str,
    status: &'static str,
    alerts: Alerts<'a>,
    #[serde(rename = "notification_reason")]
    notification_reason: &'static str,
    group_labels: LabelMap<'a>,
    common_labels: LabelMap<'a>,
    common_annotations: AnnotationMap<'a>,
    route_labels: LabelMap<'a>,
    #[serde(rename = "externalURL")]
    external_url: &'a str,
    version: &'static str,
    group_key: &'a str,
    truncated_alerts: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToldAlert<'a> {
    status: &'static str,
    labels: LabelMap<'a>,
    annotations: AnnotationMap<'a>,
    starts_at: Time,
    ends_at: Time,
    #[serde(rename = "generatorURL")]
    generator_url: &'a str,
    fingerprint: Shown<model::Fingerprint>,
}

struct Alerts<'a>(&'a [NotifiedAlert]);

impl Serialize for Alerts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|alert| ToldAlert {
            status: alert.status.as_str(),
            labels: LabelMap(&alert.labels),
            annotations: AnnotationMap(&alert.annotations),
            starts_at: Time(Some(alert.starts_at)),
            ends_at: Time(alert.ends_at),
            generator_url: &alert.generator_url,
            fingerprint: Shown(alert.fingerprint),
        }))
    }
}

struct LabelMap<'a>(&'a Labels);

impl Serialize for LabelMap<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        map(serializer, self.0.iter())
    }
}

struct AnnotationMap<'a>(&'a Annotations);

impl Serialize for AnnotationMap<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        map(serializer, self.0.iter())
    }
}

fn map<'a, S: Serializer>(
    serializer: S,
    pairs: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    for (name, text) in pairs {
        map.serialize_entry(name, text)?;
    }
    map.end()
}

/// As it prints.
struct Shown<T>(T);

impl<T: std::fmt::Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A time as Go writes it; `None` is its zero.
struct Time(Option<Timestamp>);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(at) = self.0 else { return serializer.serialize_str("0001-01-01T00:00:00Z") };
        let text = at.to_string();
        // `….120Z` is `….12Z`, and `….000Z` has no fraction.
        let fraction = text.len() - ".000Z".len();
        let (seconds, digits) = text.split_at(fraction);
        let digits = digits.trim_end_matches('Z').trim_end_matches('0').trim_end_matches('.');
        let mut short = String::with_capacity(text.len());
        short.extend([seconds, digits, "Z"]);
        serializer.serialize_str(&short)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::time::Duration;

    use model::{Fingerprint, NotifyReason};
    use serde_json::{Value, json};

    use super::*;

    fn alert(host: &str, status: AlertStatus, starts: i64, ends: Option<i64>) -> NotifiedAlert {
        NotifiedAlert {
            status,
            labels: Labels::from([("alertname", "Disk"), ("host", host)]),
            annotations: [("host", host), ("note", ""), ("summary", "\"full\"\n")].into_iter().collect(),
            value: None,
            starts_at: Timestamp::from_millis(starts),
            ends_at: ends.map(Timestamp::from_millis),
            fingerprint: Fingerprint(0x0a),
            generator_url: "http://g.test/?a&b".into(),
        }
    }

    fn told() -> Told {
        let alerts = [
            alert("a", AlertStatus::Resolved, 1_700_000_000_120, Some(1_700_000_060_000)),
            alert("b", AlertStatus::Firing, 1_700_000_000_001, None),
        ];
        let notification = Notification {
            id: "i1".into(),
            dedup_key: "d1".into(),
            receiver: "höok".into(),
            integration: "webhook".into(),
            index: 0,
            group_key: "{}:{alertname=\"Disk\"}".into(),
            status: AlertStatus::Firing,
            reason: NotifyReason::NewAlertsInGroup,
            group_labels: Labels::from([("alertname", "Disk")]),
            common_labels: Labels::from([("alertname", "Disk")]),
            common_annotations: [("note", "")].into_iter().collect(),
            route_labels: Labels::from([("team", "ops")]),
            alerts: Arc::new(alerts),
            external_url: "http://fog.test:9093".into(),
            settings: Arc::new(BTreeMap::new()),
            previous: None,
            at: Timestamp::EPOCH,
            give_up_after: Duration::from_secs(60),
        };
        Told::new(notification, 2, "00-1-2-01".into())
    }

    #[test]
    fn the_json_is_alertmanagers_version_4() {
        let wanted = concat!(
            r#"{"receiver":"höok","status":"firing","alerts":["#,
            r#"{"status":"resolved","labels":{"alertname":"Disk","host":"a"},"#,
            r#""annotations":{"host":"a","note":"","summary":"\"full\"\n"},"#,
            r#""startsAt":"2023-11-14T22:13:20.12Z","endsAt":"2023-11-14T22:14:20Z","#,
            r#""generatorURL":"http://g.test/?a&b","fingerprint":"000000000000000a"},"#,
            r#"{"status":"firing","labels":{"alertname":"Disk","host":"b"},"#,
            r#""annotations":{"host":"b","note":"","summary":"\"full\"\n"},"#,
            r#""startsAt":"2023-11-14T22:13:20.001Z","endsAt":"0001-01-01T00:00:00Z","#,
            r#""generatorURL":"http://g.test/?a&b","fingerprint":"000000000000000a"}],"#,
            r#""notification_reason":"new alerts added","groupLabels":{"alertname":"Disk"},"#,
            r#""commonLabels":{"alertname":"Disk"},"commonAnnotations":{"note":""},"routeLabels":{"team":"ops"},"#,
            r#""externalURL":"http://fog.test:9093","version":"4","groupKey":"{}:{alertname=\"Disk\"}","#,
            r#""truncatedAlerts":0}"#
        );
        assert_eq!(told().webhook(0), wanted);
        assert_eq!(told().webhook(2), wanted);
    }

    #[test]
    fn what_is_cut_off_is_counted_and_not_spoken_for() {
        let json: Value = serde_json::from_str(&told().webhook(1)).expect("JSON");
        assert_eq!(json["truncatedAlerts"], 1);
        assert_eq!(json["status"], "resolved");
        assert_eq!(json["commonLabels"], json!({ "alertname": "Disk", "host": "a" }));
        assert_eq!(json["commonAnnotations"], json!({ "host": "a", "note": "", "summary": "\"full\"\n" }));
        assert_eq!(json["alerts"].as_array().map(Vec::len), Some(1));
    }

    #[test]
    fn a_title_names_the_alert_first() {
        for (group, common, expected) in [
            (&[("a", "z"), ("alertname", "Disk")][..], &[("alertname", "Disk"), ("a", "z")][..], "Disk z"),
            (&[("alertname", "Disk")], &[("alertname", "Disk"), ("severity", "page")], "Disk (page)"),
            (&[], &[("severity", "page")], "(page)"),
            (&[], &[], ""),
        ] {
            let labels = |pairs: &[(&str, &str)]| pairs.iter().copied().collect::<Labels>();
            assert_eq!(title(&labels(group), &labels(common)), expected);
        }
    }

    #[test]
    fn its_texts_have_names() {
        let told = told();
        for (name, text) in [
            ("id", Some("i1")),
            ("dedup-key", Some("d1")),
            ("status", Some("firing")),
            ("receiver", Some("höok")),
            ("title", Some("Disk")),
            ("external-url", Some("http://fog.test:9093")),
            ("traceparent", Some("00-1-2-01")),
            ("previous", None),
            ("group-key", Some("{}:{alertname=\"Disk\"}")),
            ("reason", Some("new alerts added")),
            ("nonsense", None),
        ] {
            assert_eq!(told.text(name), text, "{name}");
        }
    }
}
