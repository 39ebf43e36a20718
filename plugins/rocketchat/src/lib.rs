//! Notifier: posts to a Rocket.Chat channel, as Alertmanager's `rocketchat_configs` does.

use std::time::Duration;

use foghorn_plugin::notifier::*;
use serde_json::{Map, Value};

struct RocketChat;

impl Notifier for RocketChat {
    const MANIFEST: &'static str = include_str!("../manifest.json");

    fn notify(notification: &Notification) -> Result<Option<String>> {
        let request = Request::post(http::below(&text("api_url")?, "api/v1/chat.postMessage"))
            .header("X-Auth-Token", secret("token")?)
            .header("X-User-Id", secret("token_id")?)
            .json(&message(notification)?)?;
        let channel = text("channel")?;
        let place = if channel.is_empty() { "no channel".to_owned() } else { format!("channel `{channel}`") };
        accepted(request.send()?).map_err(|error| error.at(place))
    }
}

export_notifier!(RocketChat);

const TITLE_LIMIT: usize = 1024;

/// Whether it was posted: the answer says `"success": true` then.
fn accepted(answer: Response) -> Result<Option<String>> {
    let said = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    let error = said["error"].as_str().unwrap_or("no reason");
    if error.contains("error-too-many-requests") {
        let refused = Error::new(ErrorKind::RateLimited, format!("Rocket.Chat refused the message: {error}"));
        return Err(Error { retry_after: wait(error), ..refused });
    }
    answer.check()?;
    match &said["success"] {
        Value::Bool(true) => Ok(None),
        _ if said.is_object() => Err(Error::permanent(format!("Rocket.Chat refused the message: {error}"))),
        _ => Err(Error::retryable("Rocket.Chat's answer is not the JSON that it should be")),
    }
}

/// `… You must wait 58 seconds before trying …`.
fn wait(error: &str) -> Option<Duration> {
    let (_, behind) = error.split_once("must wait ")?;
    behind.split(' ').next()?.parse().ok().map(Duration::from_secs)
}

fn message(notification: &Notification) -> Result<Map<String, Value>> {
    let mut message = Map::new();
    for (name, setting) in [("channel", "channel"), ("emoji", "emoji"), ("avatar", "icon_url")] {
        let value = text(setting)?;
        if !value.is_empty() {
            message.insert(name.into(), value.into());
        }
    }
    message.insert("attachments".into(), json!([attachment(notification)?]));
    Ok(message)
}

fn attachment(notification: &Notification) -> Result<Map<String, Value>> {
    let mut attachment = Map::new();
    let title = param::<Option<String>>("title")?.unwrap_or_else(|| notification.heading());
    let words = param::<Option<String>>("text")?.unwrap_or_else(|| notification.lines());
    let usual = if notification.status == Status::Firing { "red" } else { "green" };
    let color = param::<Option<String>>("color")?.unwrap_or_else(|| usual.to_owned());
    for (name, value) in [("title", truncate(&title, TITLE_LIMIT)), ("text", words), ("color", color)] {
        if !value.is_empty() {
            attachment.insert(name.into(), value.into());
        }
    }
    put(&mut attachment, &["title_link", "image_url", "thumb_url"])?;
    for (name, list) in [("fields", fields()?), ("actions", actions()?)] {
        if !list.is_empty() {
            attachment.insert(name.into(), list.into());
        }
    }
    Ok(attachment)
}

/// Fields are short if they say so, or else if all are.
fn fields() -> Result<Vec<Value>> {
    let short = param::<Option<bool>>("short_fields")? == Some(true);
    let mut fields: Vec<Map<String, Value>> = param::<Option<_>>("fields")?.unwrap_or_default();
    for field in &mut fields {
        field.retain(|_, value| !value.is_null() && value != "");
        field.entry("short").or_insert_with(|| short.into());
    }
    Ok(fields.into_iter().map(Value::Object).collect())
}

/// Buttons; Rocket.Chat has no other actions.
fn actions() -> Result<Vec<Value>> {
    let actions: Vec<Map<String, Value>> = param::<Option<_>>("actions")?.unwrap_or_default();
    let button = |mut action: Map<String, Value>| {
        action.retain(|_, value| !value.is_null() && value != "");
        action.insert("type".into(), "button".into());
        action.insert("is_webview".into(), false.into());
        action.insert("msg_in_chat_window".into(), false.into());
        Value::Object(action)
    };
    Ok(actions.into_iter().map(button).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use foghorn_plugin::fake::FakeHost;

    fn host() -> FakeHost {
        FakeHost::new().manifest(RocketChat::MANIFEST).secret("token", "t0k").secret("token_id", "me")
    }

    fn group(status: Status) -> Notification {
        Notification { status, title: "Disk a".into(), ..Notification::default() }
    }

    fn sent(host: FakeHost, status: Status) -> Value {
        let host = host.answer(200, r#"{"success":true}"#);
        assert_eq!(host.run(|| RocketChat::notify(&group(status))), Ok(None));
        let request = host.requests().remove(0);
        assert_eq!(request.url, "https://open.rocket.chat/api/v1/chat.postMessage");
        let header = |at: usize| (request.headers[at].0.as_str(), request.headers[at].1.as_str());
        assert_eq!((header(0), header(1)), (("X-Auth-Token", "t0k"), ("X-User-Id", "me")));
        serde_json::from_slice(&request.body).expect("a JSON body")
    }

    #[test]
    fn posts_an_attachment() {
        let message = sent(host().param("channel", "#ops"), Status::Resolved);
        let attachment = json!({ "title": "[RESOLVED] Disk a", "color": "green" });
        assert_eq!(message, json!({ "channel": "#ops", "attachments": [attachment] }));
        let all = host()
            .param("title", "ä".repeat(2000))
            .param("title_link", "http://l")
            .param("text", "t")
            .param("color", "")
            .param("emoji", ":x:")
            .param("icon_url", "http://i")
            .param("short_fields", true)
            .param(
                "fields",
                json!([{ "title": "a", "value": "" }, { "title": "b", "value": "c", "short": false }]),
            )
            .param("actions", json!([{ "type": "menu", "text": "go", "url": "http://u", "msg": "" }]));
        assert_eq!(
            sent(all, Status::Firing),
            json!({
                "emoji": ":x:",
                "avatar": "http://i",
                "attachments": [{
                    "title": "ä".repeat(1023) + "…",
                    "title_link": "http://l",
                    "text": "t",
                    "fields": [{ "title": "a", "short": true }, { "title": "b", "value": "c", "short": false }],
                    "actions": [{
                        "type": "button", "text": "go", "url": "http://u", "is_webview": false, "msg_in_chat_window": false,
                    }],
                }],
            })
        );
    }

    #[test]
    fn a_refusal_is_one_whatever_its_status() {
        let many = r#"{"success":false,"error":"Too many. You must wait 58 seconds before trying. [error-too-many-requests]"}"#;
        for (status, body, kind, wait) in [
            (200, r#"{"success":false,"error":"no such channel"}"#, ErrorKind::Permanent, None),
            (200, "{}", ErrorKind::Permanent, None),
            (200, "<html>", ErrorKind::Retryable, None),
            (400, r#"{"success":false,"error":"no such channel"}"#, ErrorKind::Permanent, None),
            (401, "", ErrorKind::Unauthorized, None),
            (502, "", ErrorKind::Retryable, None),
            (429, many, ErrorKind::RateLimited, Some(58)),
            (400, many, ErrorKind::RateLimited, Some(58)),
            (429, "", ErrorKind::RateLimited, None),
        ] {
            let host = host().param("channel", "#ops").answer(status, body);
            let error = host.run(|| RocketChat::notify(&group(Status::Firing))).expect_err("refused");
            assert_eq!(
                (error.kind, error.retry_after.map(|wait| wait.as_secs())),
                (kind, wait),
                "{status} {body}"
            );
            assert!(error.message.starts_with("channel `#ops`: "), "{error}");
        }
    }
}
