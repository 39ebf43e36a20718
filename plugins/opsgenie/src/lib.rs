//! Notifier: opens and closes alerts in Opsgenie, as Alertmanager's `opsgenie_configs` does.
//!
//! An alert's alias is the group's key, so a group that resolves closes its alert, and one that is told again is the same
//! alert. Opsgenie leaves an open alert as it is; with `update_alerts` its message and description are changed by requests
//! of their own.

use foghorn_plugin::notifier::*;
use serde_json::{Map, Value};

struct Opsgenie;

impl Notifier for Opsgenie {
    const MANIFEST: &'static str = include_str!("../manifest.json");

    fn notify(notification: &Notification) -> Result<Option<String>> {
        let (api, key) = (text("api_url")?, secret("api_key")?);
        for (method, path, body) in calls(notification)? {
            let request = Request::new(method, http::below(&api, &path));
            let request = request.header("Authorization", format!("GenieKey {key}"));
            request.json(&body)?.send()?.check()?;
        }
        Ok(None)
    }
}

export_notifier!(Opsgenie);

const MESSAGE_LIMIT: usize = 130;

type Body = Map<String, Value>;

/// Methods, paths and bodies, in the order in which they are sent.
fn calls(notification: &Notification) -> Result<Vec<(&'static str, String, Body)>> {
    let alias = &notification.dedup_key;
    let of_alert = |what: &str| format!("v2/alerts/{alias}/{what}?identifierType=alias");
    if notification.status == Status::Resolved {
        let body = Body::from_iter([("source".to_owned(), text("source")?.into())]);
        return Ok(vec![("POST", of_alert("close"), body)]);
    }
    let message = param::<Option<String>>("message")?.unwrap_or_else(|| notification.heading());
    let description = param::<Option<String>>("description")?.unwrap_or_else(|| notification.lines());
    let mut said = Body::new();
    said.insert("message".into(), truncate(&message, MESSAGE_LIMIT).into());
    said.insert("description".into(), description.into());
    let mut calls = vec![("POST", "v2/alerts".to_owned(), alert(notification, &said)?)];
    if param::<Option<bool>>("update_alerts")? == Some(true) {
        for name in ["message", "description"] {
            let mut body = said.clone();
            body.retain(|own, value| own == name && value != "");
            calls.push(("PUT", of_alert(name), body));
        }
    }
    Ok(calls)
}

/// An alert with message and description from `said`.
fn alert(notification: &Notification, said: &Body) -> Result<Body> {
    let mut alert = said.clone();
    alert.retain(|name, value| name == "message" || value != "");
    alert.insert("alias".into(), notification.dedup_key.as_str().into());
    alert.insert("source".into(), text("source")?.into());
    let labels = notification.common_labels.iter();
    let mut details: Body = labels.map(|(name, value)| (name.to_owned(), value.into())).collect();
    details.extend(param::<Option<Body>>("details")?.unwrap_or_default());
    alert.insert("details".into(), details.into());
    put(&mut alert, &["note", "priority", "entity"])?;
    for (name, list) in [
        ("responders", responders()?),
        ("tags", parts(text("tags")?.trim())),
        ("actions", parts(text("actions")?.trim())),
    ] {
        if !list.is_empty() {
            alert.insert(name.into(), list.into());
        }
    }
    Ok(alert)
}

/// What stands between commas, but for nothing.
fn parts(text: &str) -> Vec<Value> {
    text.split(',').filter(|part| !part.is_empty()).map(Value::from).collect()
}

/// Responders with what their templates came to: one of which nothing is left is none, and `teams` are the teams that its
/// name lists.
fn responders() -> Result<Vec<Value>> {
    let mut out = Vec::new();
    for mut responder in param::<Option<Vec<Body>>>("responders")?.unwrap_or_default() {
        responder.retain(|_, value| value != "" && !value.is_null());
        if responder.get("type").is_some_and(|kind| kind == "teams") {
            let names = responder.get("name").and_then(Value::as_str).unwrap_or_default().trim();
            out.extend(parts(names).into_iter().map(|name| json!({ "name": name, "type": "team" })));
        } else if !responder.is_empty() {
            // Opsgenie wants to see it, even if nothing is in it.
            responder.entry("type").or_insert_with(|| "".into());
            out.push(responder.into());
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use foghorn_plugin::fake::FakeHost;

    fn host() -> FakeHost {
        FakeHost::new().manifest(Opsgenie::MANIFEST).secret("api_key", "k3y")
    }

    fn group(status: Status) -> Notification {
        Notification {
            status,
            title: "Disk a".into(),
            dedup_key: "a1ias".into(),
            common_labels: Labels::from([("alertname", "Disk"), ("host", "a")]),
            ..Notification::default()
        }
    }

    /// Methods, addresses and bodies.
    fn sent(host: FakeHost, status: Status, requests: usize) -> Vec<(String, Value)> {
        let host =
            (0..requests).fold(host, |host, _| host.answer(202, r#"{"result":"Request will be processed"}"#));
        assert_eq!(host.run(|| Opsgenie::notify(&group(status))), Ok(None));
        let requests = host.requests().into_iter().map(|request| {
            assert_eq!(request.headers[0], ("Authorization".to_owned(), "GenieKey k3y".to_owned()));
            let body = serde_json::from_slice(&request.body).expect("a JSON body");
            (format!("{} {}", request.method, request.url), body)
        });
        requests.collect()
    }

    #[test]
    fn opens_an_alert_and_closes_it() {
        let host = || {
            host()
                .param("description", "")
                .param("source", "us")
                .param("details", json!({ "host": "", "own": "x" }))
                .param("tags", " a, b,,")
                .param("actions", "x,y")
                .param("priority", "P2")
        };
        let alert = json!({
            "alias": "a1ias",
            "message": "[FIRING:0] Disk a",
            "source": "us",
            "details": { "alertname": "Disk", "host": "", "own": "x" },
            "tags": ["a", " b"],
            "actions": ["x", "y"],
            "priority": "P2",
        });
        let opened = sent(host(), Status::Firing, 1);
        assert_eq!(opened, [("POST https://api.opsgenie.com/v2/alerts".to_owned(), alert)]);
        let close = "POST https://og.test/x/v2/alerts/a1ias/close?t=1&identifierType=alias";
        let host = host().param("api_url", "https://og.test/x?t=1").param("update_alerts", true);
        assert_eq!(sent(host, Status::Resolved, 1), [(close.to_owned(), json!({ "source": "us" }))]);
    }

    #[test]
    fn an_open_alert_is_changed_if_it_is_wanted() {
        let long = "x".repeat(200);
        let host = host().param("update_alerts", true).param("message", long).param("description", "d");
        let sent = sent(host, Status::Firing, 3);
        let message = "x".repeat(129) + "…";
        assert_eq!(sent[0].1["message"], message);
        let put =
            |what: &str| format!("PUT https://api.opsgenie.com/v2/alerts/a1ias/{what}?identifierType=alias");
        assert_eq!(sent[1], (put("message"), json!({ "message": message })));
        assert_eq!(sent[2], (put("description"), json!({ "description": "d" })));
    }

    #[test]
    fn responders_are_what_their_templates_came_to() {
        let host = host().param(
            "responders",
            json!([
                { "name": "", "type": "team" },
                { "name": "a,, b", "type": "teams" },
                { "id": "1", "name": "", "type": "user" },
                { "username": "u", "type": "" },
                { "name": "", "type": "" },
            ]),
        );
        assert_eq!(
            sent(host, Status::Firing, 1)[0].1["responders"],
            json!([
                { "type": "team" },
                { "name": "a", "type": "team" },
                { "name": " b", "type": "team" },
                { "id": "1", "type": "user" },
                { "username": "u", "type": "" },
            ])
        );
    }

    #[test]
    fn what_is_refused_ends_the_call() {
        for (status, kind) in
            [(429, ErrorKind::RateLimited), (503, ErrorKind::Retryable), (422, ErrorKind::Permanent)]
        {
            let host = host().param("update_alerts", true).answer(202, "").answer(status, "");
            let error = host.run(|| Opsgenie::notify(&group(Status::Firing))).expect_err("refused");
            assert_eq!((error.kind, host.requests().len()), (kind, 2));
        }
    }
}
