//! Notifier: posts Alertmanager's JSON, version 4, to an address: the door to everything that has no notifier yet.

use foghorn_plugin::lean::*;
use serde_json::Value;

struct Webhook;

impl LeanNotifier for Webhook {
    const MANIFEST: &'static str = include_str!("../manifest.json");

    fn notify(told: &Told) -> Result<Option<String>> {
        let body = match param::<Option<Value>>("payload")? {
            Some(payload) => serde_json::to_vec(&payload)?,
            None => {
                let limit: Option<f64> = param("max_alerts")?;
                told.webhook(limit.unwrap_or_default() as u32).into_bytes()
            }
        };
        let request = Request::post(secret("url")?).header("Content-Type", "application/json").body(body);
        request.send()?.check()?;
        Ok(None)
    }
}

export_lean_notifier!(Webhook);

#[cfg(test)]
mod tests {
    use super::*;
    use foghorn_plugin::fake::FakeHost;
    use foghorn_plugin::notifier::{Alert, Annotations, Notification, Status};

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
        let host = host.told(group());
        host.run(|| Webhook::notify(&Told::now())).expect("accepted");
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
        let error = host.run(|| Webhook::notify(&Told::now())).expect_err("refused");
        assert_eq!(error.kind, ErrorKind::Retryable);
    }
}
