//! Notifier: posts to a Discord channel through a webhook, as Alertmanager's `discord_configs` does.
//!
//! One message with one embed a notification: its colour says whether the group fires. Returns the message's id.
//! Unlike there, 429 is an answer that means "later", and is not the end of a message.

use foghorn_plugin::notifier::*;
use serde_json::{Map, Value};

struct Discord;

impl Notifier for Discord {
    const MANIFEST: &'static str = include_str!("../manifest.json");

    fn notify(notification: &Notification) -> Result<Option<String>> {
        // With `wait`, the answer comes when the message stands in the channel, and has its id.
        let request = Request::post(secret("webhook_url")?).query("wait", "true");
        let answer = request.json(&message(notification)?)?.send()?.check()?;
        let posted: Option<Value> = answer.json().ok();
        Ok(posted.and_then(|posted| posted["id"].as_str().map(str::to_owned)))
    }
}

export_notifier!(Discord);

const TITLE_LIMIT: usize = 256;
const DESCRIPTION_LIMIT: usize = 4096;
const CONTENT_LIMIT: usize = 2000;

fn message(notification: &Notification) -> Result<Value> {
    let title: Option<String> = param("title")?;
    let message: Option<String> = param("message")?;
    let title = title.unwrap_or_else(|| notification.heading());
    let embed = json!({
        "title": shortened("title", &title, TITLE_LIMIT),
        "description": shortened("message", &message.unwrap_or_else(|| notification.lines()), DESCRIPTION_LIMIT),
        "color": colour(notification.status),
    });
    let mut body = Map::new();
    body.insert("content".into(), shortened("content", &text("content")?, CONTENT_LIMIT).into());
    for name in ["username", "avatar_url"] {
        let text = text(name)?;
        if !text.is_empty() {
            body.insert(name.into(), text.into());
        }
    }
    body.insert("embeds".into(), json!([embed]));
    Ok(Value::Object(body))
}

/// Dark red and emerald.
fn colour(status: Status) -> u32 {
    match status {
        Status::Firing => 0x99_2D_22,
        Status::Resolved => 0x2E_CC_71,
    }
}

/// Discord refuses longer texts as a whole.
fn shortened(what: &str, text: &str, limit: usize) -> String {
    let short = truncate(text, limit);
    if short.len() != text.len() {
        log::write(
            log::Level::Warn,
            "a text was longer than Discord takes and has been cut off",
            &[("what", what)],
        );
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use foghorn_plugin::fake::FakeHost;
    use std::time::Duration;

    const URL: &str = "https://discord.test/api/webhooks/1/abc";

    fn host() -> FakeHost {
        FakeHost::new().manifest(Discord::MANIFEST).secret("webhook_url", URL)
    }

    fn group(status: Status) -> Notification {
        let alert = Alert {
            status,
            labels: Labels::from([("alertname", "DiskFull"), ("host", "a")]),
            annotations: Annotations::from([("summary".to_owned(), "96 % used".to_owned())]),
            ..Alert::default()
        };
        Notification { status, title: "DiskFull a".into(), alerts: vec![alert], ..Notification::default() }
    }

    fn posted(host: &FakeHost) -> Value {
        serde_json::from_slice(&host.requests()[0].body).expect("a JSON body")
    }

    #[test]
    fn posts_what_alertmanager_posts() {
        let host = host()
            .param("title", "[FIRING:1] DiskFull a")
            .param("message", "Alerts Firing:\n…")
            .param("content", "<@1>")
            .param("username", "Lab")
            .param("avatar_url", "https://a.test/x.png")
            .answer(200, r#"{ "id": "42", "content": "" }"#);
        let remembered = host.run(|| Discord::notify(&group(Status::Firing)));
        assert_eq!(remembered, Ok(Some("42".to_owned())));
        let request = &host.requests()[0];
        assert_eq!((request.method.as_str(), request.url.as_str()), ("POST", &*format!("{URL}?wait=true")));
        assert_eq!(
            posted(&host),
            json!({
                "content": "<@1>",
                "username": "Lab",
                "avatar_url": "https://a.test/x.png",
                "embeds": [{ "title": "[FIRING:1] DiskFull a", "description": "Alerts Firing:\n…", "color": 10038562 }],
            })
        );
    }

    #[test]
    fn has_words_of_its_own() {
        let host = host().answer(204, "");
        assert_eq!(host.run(|| Discord::notify(&group(Status::Resolved))), Ok(None));
        assert_eq!(
            posted(&host),
            json!({
                "content": "",
                "embeds": [{
                    "title": "[RESOLVED] DiskFull a",
                    "description": "resolved: DiskFull: 96 % used",
                    "color": 3066993,
                }],
            })
        );
    }

    #[test]
    fn long_texts_are_cut_off_by_characters() {
        let long = "ü".repeat(5000);
        let host = host()
            .param("title", long.as_str())
            .param("message", long.as_str())
            .param("content", long.as_str())
            .answer(204, "");
        host.run(|| Discord::notify(&group(Status::Firing))).expect("accepted");
        let posted = posted(&host);
        let length = |value: &Value| value.as_str().map(|text| text.chars().count());
        assert_eq!(length(&posted["embeds"][0]["title"]), Some(256));
        assert_eq!(length(&posted["embeds"][0]["description"]), Some(4096));
        assert_eq!(length(&posted["content"]), Some(2000));
        assert_eq!(host.lines().len(), 3);
    }

    #[test]
    fn answers_mean_what_they_mean() {
        for (status, body, kind, wait) in [
            (429, r#"{ "retry_after": 0.65, "global": false }"#, ErrorKind::RateLimited, Some(650)),
            (401, "", ErrorKind::Unauthorized, None),
            (404, r#"{ "message": "Unknown Webhook", "code": 10015 }"#, ErrorKind::Permanent, None),
            (502, "", ErrorKind::Retryable, None),
        ] {
            let host = host().answer(status, body);
            let error = host.run(|| Discord::notify(&group(Status::Firing))).expect_err("refused");
            assert_eq!((error.kind, error.retry_after), (kind, wait.map(Duration::from_millis)), "{status}");
        }
    }

    #[test]
    fn without_a_webhook_it_says_so() {
        let host = FakeHost::new().manifest(Discord::MANIFEST);
        let error = host.run(|| Discord::notify(&group(Status::Firing))).expect_err("no secret");
        assert_eq!(error.kind, ErrorKind::Denied);
        assert!(host.requests().is_empty());
    }
}
