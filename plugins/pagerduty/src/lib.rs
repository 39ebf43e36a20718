//! Notifier: triggers and resolves PagerDuty incidents, as Alertmanager's `pagerduty_configs` does.
//!
//! With the secret `routing_key` through the Events API v2, with `service_key` through v1. The incident's key is the
//! group's, so a group that resolves resolves its incident.

use foghorn_plugin::notifier::*;
use serde_json::{Map, Value};

struct PagerDuty;

impl Notifier for PagerDuty {
    const MANIFEST: &'static str = include_str!("../manifest.json");

    fn notify(notification: &Notification) -> Result<Option<String>> {
        let request = match secret("service_key") {
            Ok(key) => Request::post(V1).json(&first_version(notification, &key)?)?,
            Err(_) => {
                Request::post(text("url")?).json(&second_version(notification, &secret("routing_key")?)?)?
            }
        };
        request.send()?.check()?;
        Ok(Some(notification.dedup_key.clone()))
    }
}

export_notifier!(PagerDuty);

const V1: &str = "https://events.pagerduty.com/generic/2010-04-15/create_event.json";
const DESCRIPTION_LIMIT: usize = 1024;

fn description(notification: &Notification) -> Result<String> {
    let own: Option<String> = param("description")?;
    Ok(truncate(&own.unwrap_or_else(|| notification.heading()), DESCRIPTION_LIMIT))
}

fn action(notification: &Notification) -> &'static str {
    match notification.status {
        Status::Firing => "trigger",
        Status::Resolved => "resolve",
    }
}

fn second_version(notification: &Notification, key: &str) -> Result<Value> {
    let mut payload = Map::new();
    payload.insert("summary".into(), description(notification)?.into());
    let severity = text("severity")?;
    payload.insert("severity".into(), if severity.is_empty() { "error".into() } else { severity.into() });
    // An event without a source is refused.
    let source = [text("source")?, text("client")?].into_iter().find(|source| !source.is_empty());
    payload.insert("source".into(), source.unwrap_or_else(|| "Foghorn".to_owned()).into());
    put(&mut payload, &["class", "component", "group"])?;
    payload.insert("custom_details".into(), details()?);
    let mut event = Map::new();
    event.insert("routing_key".into(), key.into());
    event.insert("dedup_key".into(), notification.dedup_key.as_str().into());
    event.insert("event_action".into(), action(notification).into());
    event.insert("payload".into(), payload.into());
    put(&mut event, &["client", "client_url"])?;
    for name in ["images", "links"] {
        let list: Vec<Value> = param::<Option<_>>(name)?.unwrap_or_default();
        // One that has lost its address to an empty template would have the event refused.
        let list: Vec<Value> = list
            .into_iter()
            .filter(|item| {
                ["src", "href"].iter().any(|key| item[key].as_str().is_some_and(|url| !url.is_empty()))
            })
            .collect();
        if !list.is_empty() {
            event.insert(name.into(), list.into());
        }
    }
    Ok(event.into())
}

fn first_version(notification: &Notification, key: &str) -> Result<Value> {
    let mut event = Map::new();
    event.insert("service_key".into(), key.into());
    event.insert("incident_key".into(), notification.dedup_key.as_str().into());
    event.insert("event_type".into(), action(notification).into());
    event.insert("description".into(), description(notification)?.into());
    event.insert("details".into(), details()?);
    if notification.status == Status::Firing {
        put(&mut event, &["client", "client_url"])?;
    }
    Ok(event.into())
}

fn details() -> Result<Value> {
    Ok(param::<Option<Map<String, Value>>>("details")?.unwrap_or_default().into())
}

/// Puts settings that are not empty.
fn put(into: &mut Map<String, Value>, names: &[&str]) -> Result<()> {
    for name in names {
        let value = text(name)?;
        if !value.is_empty() {
            into.insert((*name).into(), value.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use foghorn_plugin::fake::FakeHost;

    fn sent(host: FakeHost, status: Status) -> (String, Value) {
        let host = host.manifest(PagerDuty::MANIFEST).answer(202, "{}");
        let group = Notification {
            status,
            title: "Disk a".into(),
            dedup_key: "k1".into(),
            ..Notification::default()
        };
        assert_eq!(host.run(|| PagerDuty::notify(&group)), Ok(Some("k1".to_owned())));
        let request = host.requests().remove(0);
        (request.url, serde_json::from_slice(&request.body).expect("a JSON body"))
    }

    #[test]
    fn triggers_and_resolves() {
        let host =
            FakeHost::new().secret("routing_key", "r1").param("details", json!({ "num_firing": "1" })).param(
                "links",
                json!([{ "href": "", "text": "gone" }, { "href": "https://x.test", "text": "x" }]),
            );
        let (url, event) = sent(host, Status::Firing);
        assert_eq!(url, "https://events.pagerduty.com/v2/enqueue");
        assert_eq!(
            event,
            json!({
                "routing_key": "r1",
                "dedup_key": "k1",
                "event_action": "trigger",
                "client": "Foghorn",
                "links": [{ "href": "https://x.test", "text": "x" }],
                "payload": {
                    "summary": "[FIRING:0] Disk a",
                    "severity": "error",
                    "source": "Foghorn",
                    "custom_details": { "num_firing": "1" },
                },
            })
        );
        let (_, event) = sent(FakeHost::new().secret("routing_key", "r1"), Status::Resolved);
        assert_eq!(event["event_action"], "resolve");
    }

    #[test]
    fn speaks_the_first_version() {
        let (url, event) = sent(FakeHost::new().secret("service_key", "s1"), Status::Resolved);
        assert_eq!(url, V1);
        assert_eq!(
            event,
            json!({
                "service_key": "s1",
                "incident_key": "k1",
                "event_type": "resolve",
                "description": "[RESOLVED] Disk a",
                "details": {},
            })
        );
    }
}
