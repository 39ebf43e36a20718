//! Notifier: triggers and recovers incidents of Splunk On-Call, as Alertmanager's `victorops_configs` does.
//!
//! The entity is the group, so a group that resolves recovers its incident.

use foghorn_plugin::notifier::*;
use serde_json::{Map, Value};

struct VictorOps;

impl Notifier for VictorOps {
    const MANIFEST: &'static str = include_str!("../manifest.json");

    fn notify(notification: &Notification) -> Result<Option<String>> {
        let path = format!("{}/{}", secret("api_key")?, in_path(&text("routing_key")?));
        let request = Request::post(http::below(&text("api_url")?, &path));
        accepted(&request.json(&message(notification)?)?.send()?.check()?)
    }
}

export_notifier!(VictorOps);

const MESSAGE_LIMIT: usize = 20_480;

/// Whether it was taken: what it cannot use is answered with 200 and `"result": "failure"`.
fn accepted(answer: &Response) -> Result<Option<String>> {
    let said: Value = answer.json().unwrap_or_default();
    if said.get("result").is_some_and(|result| result == "failure") {
        let reason = said["message"].as_str().unwrap_or("no reason");
        return Err(Error::permanent(format!("Splunk On-Call refused the message: {reason}")));
    }
    Ok(None)
}

fn message(notification: &Notification) -> Result<Map<String, Value>> {
    let own: Option<String> = param("state_message")?;
    let state = own.unwrap_or_else(|| notification.lines());
    let name = param::<Option<String>>("entity_display_name")?.unwrap_or_else(|| notification.heading());
    let mut message = Map::new();
    message.insert("message_type".into(), message_type(notification.status)?.into());
    message.insert("entity_id".into(), notification.dedup_key.as_str().into());
    message.insert("entity_display_name".into(), name.into());
    message.insert("state_message".into(), truncate(&state, MESSAGE_LIMIT).into());
    message.insert("monitoring_tool".into(), text("monitoring_tool")?.into());
    message.extend(param::<Option<Map<_, _>>>("custom_fields")?.unwrap_or_default());
    Ok(message)
}

/// A type that Splunk On-Call does not know would trigger nothing.
fn message_type(status: Status) -> Result<String> {
    let wanted = text("message_type")?;
    Ok(match status {
        Status::Resolved => "RECOVERY".to_owned(),
        Status::Firing if ["CRITICAL", "WARNING", "INFO"].contains(&wanted.as_str()) => wanted,
        Status::Firing => "CRITICAL".to_owned(),
    })
}

/// `text` as a part of a path: what has a meaning further on in an address is escaped, and a `/` is one.
fn in_path(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '$' | '&' | '+' | ',' | '/' | ':' | ';' | '=' | '@' => out.push(char),
            _ => out.push_str(&url_encode(char.encode_utf8(&mut [0; 4]))),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use foghorn_plugin::fake::FakeHost;

    fn host() -> FakeHost {
        FakeHost::new()
            .manifest(VictorOps::MANIFEST)
            .secret("api_key", "k3y")
            .param("routing_key", "ops")
            .param("state_message", "it is full")
    }

    fn group(status: Status) -> Notification {
        Notification { status, title: "Disk a".into(), dedup_key: "k1".into(), ..Notification::default() }
    }

    fn sent(host: FakeHost, status: Status) -> (String, Value) {
        let host = host.answer(200, r#"{"result":"success","entity_id":"k1"}"#);
        assert_eq!(host.run(|| VictorOps::notify(&group(status))), Ok(None));
        let request = host.requests().remove(0);
        (request.url, serde_json::from_slice(&request.body).expect("a JSON body"))
    }

    #[test]
    fn triggers_and_recovers() {
        let host = host().param("custom_fields", json!({ "own": "x", "none": "" }));
        let mut wanted = json!({
            "message_type": "CRITICAL",
            "entity_id": "k1",
            "entity_display_name": "[FIRING:0] Disk a",
            "state_message": "it is full",
            "monitoring_tool": "Foghorn",
            "own": "x",
            "none": "",
        });
        let address = "https://alert.victorops.com/integrations/generic/20131114/alert/k3y/ops";
        assert_eq!(sent(host.clone(), Status::Firing), (address.to_owned(), wanted.clone()));
        wanted["message_type"] = "RECOVERY".into();
        wanted["entity_display_name"] = "[RESOLVED] Disk a".into();
        let host = host.param("message_type", "INFO");
        let message = host.run(|| message(&group(Status::Resolved))).expect("a message");
        assert_eq!(Value::from(message), wanted);
    }

    #[test]
    fn a_type_that_is_unknown_is_critical() {
        for (wanted, sent_as) in
            [("INFO", "INFO"), ("WARNING", "WARNING"), ("info", "CRITICAL"), ("", "CRITICAL")]
        {
            let (_, message) = sent(host().param("message_type", wanted), Status::Firing);
            assert_eq!(message["message_type"], sent_as, "{wanted}");
        }
    }

    #[test]
    fn a_routing_key_is_a_part_of_the_path() {
        for (key, path) in
            [("a b/c", "a%20b/c"), ("a?b#c%d!*'()e", "a%3Fb%23c%25d%21%2A%27%28%29e"), ("ä&+", "%C3%A4&+")]
        {
            let host = host().param("routing_key", key).param("api_url", "https://v.test/x");
            assert_eq!(sent(host, Status::Firing).0, format!("https://v.test/x/k3y/{path}"));
        }
    }

    #[test]
    fn texts_have_limits() {
        let (_, message) = sent(host().param("state_message", "ä".repeat(30_000)), Status::Firing);
        assert_eq!(message["state_message"], "ä".repeat(20_479) + "…");
    }

    #[test]
    fn a_refusal_is_one_whatever_its_status() {
        for (status, body, kind, said) in [
            (200, r#"{"result":"failure","message":"no such key"}"#, ErrorKind::Permanent, "no such key"),
            (200, r#"{"result":"failure"}"#, ErrorKind::Permanent, "no reason"),
            (503, "", ErrorKind::Retryable, "503"),
        ] {
            let host = host().answer(status, body);
            let error = host.run(|| VictorOps::notify(&group(Status::Firing))).expect_err("refused");
            assert_eq!(error.kind, kind);
            assert!(error.message.ends_with(said), "{error}");
        }
        let host = host().answer(200, "");
        assert_eq!(host.run(|| VictorOps::notify(&group(Status::Firing))), Ok(None));
    }
}
