//! Notifier: posts Alertmanager's JSON, version 4, to an address: the door to everything that has no notifier yet.
//!
//! Whatever reads Alertmanager's webhooks reads this: the same names, the same order, the zero time of year 1 where an
//! alert has no end.

use std::collections::BTreeMap;

use foghorn_plugin::notifier::*;
use serde::{Serialize, Serializer};
use serde_json::Value;

struct Webhook;

impl Notifier for Webhook {
    const MANIFEST: &'static str = include_str!("../manifest.json");

    fn notify(notification: &Notification) -> Result<Option<String>> {
        let body = match param::<Option<Value>>("payload")? {
            Some(payload) => serde_json::to_vec(&payload)?,
            None => serde_json::to_vec(&message(notification, param::<Option<f64>>("max_alerts")?))?,
        };
        let request = Request::post(secret("url")?).header("Content-Type", "application/json").body(body);
        request.send()?.check()?;
        Ok(None)
    }
}

export_notifier!(Webhook);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    receiver: &'a str,
    status: &'static str,
    alerts: Vec<Told<'a>>,
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

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told<'a> {
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

fn message(notification: &Notification, limit: Option<f64>) -> Message<'_> {
    let all = &notification.alerts;
    let limit = limit.filter(|limit| *limit >= 1.0).map_or(all.len(), |limit| all.len().min(limit as usize));
    let told = &all[..limit];
    let extra = |name: &str| notification.extra.get(name).map(String::as_str).unwrap_or_default();
    // What is said about all alerts is said about those that are told.
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
        version: "4",
        group_key: extra("group_key"),
        truncated_alerts: all.len() - told.len() + notification.truncated as usize,
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

#[cfg(test)]
mod tests {
    use super::*;
    use foghorn_plugin::fake::FakeHost;

    fn alert(host: &str, status: Status, ends_at: Option<i64>) -> Alert {
        Alert {
            status,
            labels: Labels::from([("alertname", "Disk"), ("host", host)]),
            annotations: Annotations::from([("summary".to_owned(), String::new())]),
            starts_at: Timestamp(1_700_000_000_123),
            ends_at: ends_at.map(Timestamp),
            fingerprint: format!("f{host}"),
            generator_url: "http://g.test/".into(),
            ..Alert::default()
        }
    }

    fn group() -> Notification {
        let extra = [
            ("group_key", "{}:{alertname=\"Disk\"}"),
            ("reason", "first notification"),
            ("route_labels", r#"{"team":"ops"}"#),
        ];
        Notification {
            receiver: "hook".into(),
            group_labels: Labels::from([("alertname", "Disk")]),
            common_labels: Labels::from([("alertname", "Disk")]),
            alerts: vec![
                alert("a", Status::Resolved, Some(1_700_000_060_000)),
                alert("b", Status::Firing, None),
            ],
            external_url: "http://fog.test:9093".into(),
            extra: extra.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            ..Notification::default()
        }
    }

    fn sent(host: FakeHost) -> String {
        let host = host.manifest(Webhook::MANIFEST).secret("url", "https://h.test/x").answer(200, "");
        host.run(|| Webhook::notify(&group())).expect("accepted");
        let request = &host.requests()[0];
        assert_eq!((request.method.as_str(), request.url.as_str()), ("POST", "https://h.test/x"));
        assert_eq!(request.headers, [("Content-Type".to_owned(), "application/json".to_owned())]);
        String::from_utf8(request.body.clone()).expect("text")
    }

    #[test]
    fn the_body_is_alertmanagers_version_4() {
        let wanted = concat!(
            r#"{"receiver":"hook","status":"firing","alerts":["#,
            r#"{"status":"resolved","labels":{"alertname":"Disk","host":"a"},"annotations":{"summary":""},"#,
            r#""startsAt":"2023-11-14T22:13:20.123Z","endsAt":"2023-11-14T22:14:20Z","#,
            r#""generatorURL":"http://g.test/","fingerprint":"fa"},"#,
            r#"{"status":"firing","labels":{"alertname":"Disk","host":"b"},"annotations":{"summary":""},"#,
            r#""startsAt":"2023-11-14T22:13:20.123Z","endsAt":"0001-01-01T00:00:00Z","#,
            r#""generatorURL":"http://g.test/","fingerprint":"fb"}],"#,
            r#""notification_reason":"first notification","groupLabels":{"alertname":"Disk"},"#,
            r#""commonLabels":{"alertname":"Disk"},"commonAnnotations":{},"routeLabels":{"team":"ops"},"#,
            r#""externalURL":"http://fog.test:9093","version":"4","groupKey":"{}:{alertname=\"Disk\"}","#,
            r#""truncatedAlerts":0}"#
        );
        assert_eq!(sent(FakeHost::new()), wanted);
    }

    #[test]
    fn what_is_cut_off_is_counted_and_not_spoken_for() {
        let body: Value = serde_json::from_str(&sent(FakeHost::new().param("max_alerts", 1))).expect("JSON");
        assert_eq!((&body["truncatedAlerts"], &body["status"]), (&json!(1), &json!("resolved")));
        assert_eq!(body["commonLabels"], json!({ "alertname": "Disk", "host": "a" }));
        assert_eq!(body["alerts"].as_array().map(Vec::len), Some(1));
    }

    #[test]
    fn another_payload_goes_as_json() {
        assert_eq!(
            sent(FakeHost::new().param("payload", json!({ "text": ["x", 1] }))),
            r#"{"text":["x",1]}"#
        );
        assert_eq!(sent(FakeHost::new().param("payload", "plain")), "\"plain\"");
    }

    #[test]
    fn a_server_that_is_down_may_be_up_later() {
        let host =
            FakeHost::new().manifest(Webhook::MANIFEST).secret("url", "https://h.test/x").answer(503, "");
        let error = host.run(|| Webhook::notify(&group())).expect_err("refused");
        assert_eq!(error.kind, ErrorKind::Retryable);
    }
}
