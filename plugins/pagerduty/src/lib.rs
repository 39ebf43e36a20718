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
        let key = secret("service_key");
        let first = key.is_ok();
        let request = match key {
            Ok(key) => {
                let event = first_version(notification, &key)?;
                Request::post(V1).json(&bounded(event, |event| &mut event["details"])?)?
            }
            Err(_) => {
                let event = second_version(notification, &secret("routing_key")?)?;
                Request::post(text("url")?)
                    .json(&bounded(event, |event| &mut event["payload"]["custom_details"])?)?
            }
        };
        let answer = request.send()?;
        let status = answer.status;
        answer.check().map_err(|error| match status {
            // Of the first version, this is the answer to too many events.
            403 if first => Error { kind: ErrorKind::RateLimited, ..error },
            _ => error,
        })?;
        Ok(Some(notification.dedup_key.clone()))
    }
}

export_notifier!(PagerDuty);

const V1: &str = "https://events.pagerduty.com/generic/2010-04-15/create_event.json";
const DESCRIPTION_LIMIT: usize = 1024;
/// PagerDuty refuses a larger event.
const EVENT_BYTES_MAX: usize = 512_000;

/// `event`, without its details if it would be too large with them.
fn bounded(mut event: Value, details: fn(&mut Value) -> &mut Value) -> Result<Value> {
    let bytes = serde_json::to_vec(&event)?.len();
    if bytes > EVENT_BYTES_MAX {
        let said = format!(
            "the details were left out: with them the event had {bytes} bytes, and PagerDuty takes {EVENT_BYTES_MAX}"
        );
        log::write(log::Level::Warn, &said, &[]);
        *details(&mut event) = json!({ "error": said });
    }
    Ok(event)
}

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
    // One that has lost its address to an empty template would have the event refused.
    for (name, address, keys) in
        [("images", "src", &["src", "alt", "href"][..]), ("links", "href", &["href", "text"])]
    {
        let list: Vec<Value> = param::<Option<_>>(name)?.unwrap_or_default();
        let full = |item: &Value| {
            let texts =
                keys.iter().map(|key| ((*key).to_owned(), item[key].as_str().unwrap_or_default().into()));
            Value::Object(texts.collect())
        };
        let list: Vec<Value> = list.iter().map(full).filter(|item| item[address] != "").collect();
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
        let host = FakeHost::new()
            .secret("routing_key", "r1")
            .param("details", json!({ "num_firing": 1 }))
            .param("links", json!([{ "href": "", "text": "gone" }, { "href": "https://x.test" }]))
            .param("images", json!([{ "src": "", "href": "https://y.test" }, { "src": "https://z.test" }]));
        let (url, event) = sent(host, Status::Firing);
        assert_eq!(url, "https://events.pagerduty.com/v2/enqueue");
        assert_eq!(
            event,
            json!({
                "routing_key": "r1",
                "dedup_key": "k1",
                "event_action": "trigger",
                "client": "Foghorn",
                "links": [{ "href": "https://x.test", "text": "" }],
                "images": [{ "src": "https://z.test", "alt": "", "href": "" }],
                "payload": {
                    "summary": "[FIRING:0] Disk a",
                    "severity": "error",
                    "source": "Foghorn",
                    "custom_details": { "num_firing": 1 },
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

    #[test]
    fn details_that_are_too_large_are_left_out() {
        for (key, at) in [("routing_key", "/payload/custom_details"), ("service_key", "/details")] {
            let host =
                FakeHost::new().secret(key, "k").param("details", json!({ "all": "x".repeat(600_000) }));
            let (_, event) = sent(host, Status::Firing);
            let said = event.pointer(at).and_then(|details| details["error"].as_str());
            assert!(said.is_some_and(|said| said.starts_with("the details were left out: ")), "{event}");
        }
    }

    #[test]
    fn the_first_version_refuses_for_a_while_with_403() {
        for (key, kind) in [("routing_key", ErrorKind::Unauthorized), ("service_key", ErrorKind::RateLimited)]
        {
            let host = FakeHost::new().manifest(PagerDuty::MANIFEST).secret(key, "k").answer(403, "");
            let error = host.run(|| PagerDuty::notify(&Notification::default())).expect_err("refused");
            assert_eq!(error.kind, kind);
        }
    }
}
