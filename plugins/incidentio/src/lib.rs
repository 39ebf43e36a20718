//! Notifier: sends alerts to incident.io, as Alertmanager's `incidentio_configs` does.
//!
//! The token of the alert source is a secret of the receiver; without one, `http_config` has to bring credentials.

use foghorn_plugin::notifier::*;
use foghorn_plugin::webhook::Message;

struct IncidentIo;

impl Notifier for IncidentIo {
    const MANIFEST: &'static str = include_str!("../manifest.json");

    fn notify(notification: &Notification) -> Result<Option<String>> {
        let request = Request::post(secret("url")?).header("Content-Type", "application/json");
        let request = match secret("alert_source_token") {
            Ok(token) => request.header("Authorization", format!("Bearer {token}")),
            Err(error) if error.kind == ErrorKind::Denied => request,
            Err(error) => return Err(error),
        };
        request.body(body(notification)?).send()?.check()?;
        Ok(None)
    }
}

export_notifier!(IncidentIo);

/// incident.io refuses a larger message.
const BODY_BYTES_MAX: usize = 512 * 1024;

/// What is sent: all alerts if they fit, else the first alone. incident.io makes one alert of the group in any case.
fn body(notification: &Notification) -> Result<Vec<u8>> {
    let limit: Option<f64> = param("max_alerts")?;
    let mut message = Message::new(notification, limit.unwrap_or_default() as usize, "1");
    let body = serde_json::to_vec(&message)?;
    if body.len() <= BODY_BYTES_MAX {
        return Ok(body);
    }
    message.alerts.truncate(1);
    let shorter = serde_json::to_vec(&message)?;
    let all = body.len();
    log::warn(&if shorter.len() <= BODY_BYTES_MAX {
        format!(
            "only the first alert is told: with all of them the message had {all} bytes, and incident.io takes {BODY_BYTES_MAX}"
        )
    } else {
        format!(
            "the first alert alone makes {} bytes, and incident.io takes {BODY_BYTES_MAX}: it may refuse it",
            shorter.len()
        )
    });
    Ok(shorter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use foghorn_plugin::fake::FakeHost;
    use serde_json::Value;

    fn host() -> FakeHost {
        FakeHost::new().manifest(IncidentIo::MANIFEST).secret("url", "https://i.test/x")
    }

    fn group(alerts: usize, bytes_each: usize) -> Notification {
        let alert = |n: usize| Alert {
            labels: Labels::from([("alertname", "Disk"), ("n", n.to_string().as_str())]),
            annotations: Annotations::from([("summary".to_owned(), "x".repeat(bytes_each))]),
            ..Alert::default()
        };
        Notification { alerts: (0..alerts).map(alert).collect(), ..Notification::default() }
    }

    fn sent(host: FakeHost, group: &Notification) -> (Vec<(String, String)>, Value, usize) {
        let host = host.answer(202, r#"{"status":"success"}"#);
        assert_eq!(host.run(|| IncidentIo::notify(group)), Ok(None));
        let request = host.requests().remove(0);
        assert_eq!((request.method.as_str(), request.url.as_str()), ("POST", "https://i.test/x"));
        (request.headers, serde_json::from_slice(&request.body).expect("JSON"), host.lines().len())
    }

    #[test]
    fn sends_with_the_token_of_the_source() {
        let json = ("Content-Type".to_owned(), "application/json".to_owned());
        let token = ("Authorization".to_owned(), "Bearer t0k".to_owned());
        let (headers, body, _) = sent(host().secret("alert_source_token", "t0k"), &group(2, 1));
        assert_eq!(headers, [json.clone(), token]);
        assert_eq!((&body["version"], &body["truncatedAlerts"]), (&json!("1"), &json!(0)));
        assert_eq!(body["alerts"].as_array().map(Vec::len), Some(2));
        let (headers, body, _) = sent(host().param("max_alerts", 1), &group(2, 1));
        assert_eq!(headers, [json]);
        assert_eq!((&body["alerts"][1], &body["truncatedAlerts"]), (&Value::Null, &json!(1)));
    }

    #[test]
    fn too_many_alerts_are_told_by_the_first() {
        for (alerts, bytes_each, told, warnings) in
            [(5, 100_000, 5, 0), (6, 100_000, 1, 1), (2, 600_000, 1, 1), (1, 600_000, 1, 1)]
        {
            let (_, body, warned) = sent(host(), &group(alerts, bytes_each));
            let alerts = body["alerts"].as_array().expect("alerts");
            assert_eq!((alerts.len(), warned), (told, warnings));
            assert_eq!(alerts[0]["labels"]["n"], "0");
        }
    }

    #[test]
    fn what_is_refused_says_why() {
        for (status, kind) in
            [(429, ErrorKind::RateLimited), (500, ErrorKind::Retryable), (404, ErrorKind::Permanent)]
        {
            let host = host().answer(status, r#"{"message":"no such source"}"#);
            let error = host.run(|| IncidentIo::notify(&group(1, 1))).expect_err("refused");
            assert_eq!(error.kind, kind);
            assert!(error.message.contains("no such source"), "{error}");
        }
    }
}
