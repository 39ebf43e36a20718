//! Notifier: posts to a Slack channel, as Alertmanager's `slack_configs` does.
//!
//! Two ways: a webhook (the secret `api_url`), or an app with a token (`app_token`), which can also change the message
//! that it posted: what is remembered is the message's channel and time.

use foghorn_plugin::notifier::*;
use serde_json::{Map, Value};

struct Slack;

impl Notifier for Slack {
    const MANIFEST: &'static str = include_str!("../manifest.json");

    fn notify(notification: &Notification) -> Result<Option<String>> {
        match secret("app_token") {
            Ok(token) => as_app(notification, &token),
            Err(_) => through_webhook(notification),
        }
    }
}

export_notifier!(Slack);

const TITLE_LIMIT: usize = 1024;

fn through_webhook(notification: &Notification) -> Result<Option<String>> {
    Request::post(secret("api_url")?).json(&message(notification)?)?.send()?.check()?;
    Ok(None)
}

fn as_app(notification: &Notification, token: &str) -> Result<Option<String>> {
    let mut body = message(notification)?;
    let mut url = text("app_url")?;
    let update: Option<bool> = param("update_message")?;
    let posted = notification.previous.as_deref().and_then(|previous| previous.split_once(' '));
    if let Some((channel, time)) = posted.filter(|_| update == Some(true)) {
        url = url.replace("chat.postMessage", "chat.update");
        body.insert("channel".into(), channel.into());
        body.insert("ts".into(), time.into());
    }
    let request = Request::post(url).header("Authorization", format!("Bearer {token}"));
    let answer: Value = request.json(&body)?.send()?.check()?.json()?;
    // Slack says 200 to everything that it could read.
    if answer["ok"].as_bool() != Some(true) {
        let said = answer["error"].as_str().unwrap_or("no reason");
        let kind = match said {
            "ratelimited" | "rate_limited" => ErrorKind::RateLimited,
            "internal_error" | "fatal_error" | "service_unavailable" | "request_timeout" => {
                ErrorKind::Retryable
            }
            "invalid_auth" | "not_authed" | "token_revoked" | "token_expired" | "account_inactive" => {
                ErrorKind::Unauthorized
            }
            _ => ErrorKind::Permanent,
        };
        return Err(Error::new(kind, format!("Slack refused the message: {said}")));
    }
    let place = answer["channel"].as_str().zip(answer["ts"].as_str());
    Ok(place.map(|(channel, time)| format!("{channel} {time}")))
}

fn message(notification: &Notification) -> Result<Map<String, Value>> {
    let mut body = Map::new();
    put(&mut body, &["channel", "username", "icon_emoji", "icon_url"])?;
    let above = text("message_text")?;
    if !above.is_empty() {
        body.insert("text".into(), above.into());
    }
    if param::<Option<bool>>("link_names")? == Some(true) {
        body.insert("link_names".into(), true.into());
    }
    body.insert("attachments".into(), json!([attachment(notification)?]));
    Ok(body)
}

fn attachment(notification: &Notification) -> Result<Map<String, Value>> {
    let mut attachment = Map::new();
    let title = param::<Option<String>>("title")?.unwrap_or_else(|| notification.heading());
    attachment.insert("title".into(), truncate(&title, TITLE_LIMIT).into());
    let words = param::<Option<String>>("text")?.unwrap_or_else(|| notification.lines());
    attachment.insert("text".into(), words.into());
    let usual = if notification.status == Status::Firing { "danger" } else { "good" };
    attachment
        .insert("color".into(), param::<Option<String>>("color")?.unwrap_or_else(|| usual.to_owned()).into());
    let optional = ["title_link", "pretext", "fallback", "callback_id", "footer", "image_url", "thumb_url"];
    put(&mut attachment, &optional)?;
    attachment.insert("mrkdwn_in".into(), param("mrkdwn_in")?);
    for (name, list) in
        [("fields", fields()?), ("actions", param::<Option<Vec<Value>>>("actions")?.unwrap_or_default())]
    {
        if !list.is_empty() {
            attachment.insert(name.into(), list.into());
        }
    }
    Ok(attachment)
}

/// Fields are short if they say so, or else if all are.
fn fields() -> Result<Vec<Value>> {
    let short: Option<bool> = param("short_fields")?;
    let mut fields: Vec<Value> = param::<Option<_>>("fields")?.unwrap_or_default();
    for field in &mut fields {
        if let Some(field) = field.as_object_mut()
            && field.get("short").is_none_or(Value::is_null)
        {
            field.insert("short".into(), short.unwrap_or(false).into());
        }
    }
    Ok(fields)
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

    fn host() -> FakeHost {
        FakeHost::new().manifest(Slack::MANIFEST).param("channel", "#ops")
    }

    fn group() -> Notification {
        Notification { title: "Disk a".into(), alerts: vec![Alert::default()], ..Notification::default() }
    }

    fn posted(host: &FakeHost) -> Value {
        serde_json::from_slice(&host.requests()[0].body).expect("a JSON body")
    }

    #[test]
    fn posts_through_a_webhook() {
        let host = host()
            .param("title", "It broke")
            .param("text", "now")
            .param("footer", "Foghorn")
            .param(
                "fields",
                json!([{ "title": "a", "value": "b" }, { "title": "c", "value": "d", "short": false }]),
            )
            .param("short_fields", true)
            .secret("api_url", "https://hooks.slack.test/x")
            .answer(200, "ok");
        assert_eq!(host.run(|| Slack::notify(&group())), Ok(None));
        assert_eq!(host.requests()[0].url, "https://hooks.slack.test/x");
        assert_eq!(
            posted(&host),
            json!({
                "channel": "#ops",
                "attachments": [{
                    "title": "It broke",
                    "text": "now",
                    "color": "danger",
                    "footer": "Foghorn",
                    "mrkdwn_in": ["fallback", "pretext", "text"],
                    "fields": [
                        { "title": "a", "value": "b", "short": true },
                        { "title": "c", "value": "d", "short": false },
                    ],
                }],
            })
        );
    }

    #[test]
    fn an_app_changes_its_message() {
        let answer = r#"{ "ok": true, "channel": "C1", "ts": "17.5" }"#;
        let host = host().secret("app_token", "xoxb").param("update_message", true).answer(200, answer);
        assert_eq!(host.run(|| Slack::notify(&group())), Ok(Some("C1 17.5".to_owned())));
        assert_eq!(host.requests()[0].url, "https://slack.com/api/chat.postMessage");
        let host = host.answer(200, answer);
        let resolved = Notification {
            status: Status::Resolved,
            previous: Some("C1 17.5".into()),
            ..Notification::default()
        };
        host.run(|| Slack::notify(&resolved)).expect("accepted");
        let request = &host.requests()[1];
        let body: Value = serde_json::from_slice(&request.body).expect("a JSON body");
        assert_eq!(request.url, "https://slack.com/api/chat.update");
        assert_eq!(
            (&body["channel"], &body["ts"], &body["attachments"][0]["color"]),
            (&json!("C1"), &json!("17.5"), &json!("good"))
        );
        assert_eq!(request.headers[0], ("Authorization".to_owned(), "Bearer xoxb".to_owned()));
    }

    #[test]
    fn a_refusal_with_status_200_is_one() {
        for (said, kind) in [
            ("channel_not_found", ErrorKind::Permanent),
            ("invalid_auth", ErrorKind::Unauthorized),
            ("ratelimited", ErrorKind::RateLimited),
            ("internal_error", ErrorKind::Retryable),
        ] {
            let host = host()
                .secret("app_token", "xoxb")
                .answer(200, &json!({ "ok": false, "error": said }).to_string());
            assert_eq!(host.run(|| Slack::notify(&group())).expect_err("refused").kind, kind, "{said}");
        }
    }
}
