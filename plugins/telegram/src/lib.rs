//! Notifier: posts to a Telegram chat through a bot, as Alertmanager's `telegram_configs` does.

use foghorn_plugin::notifier::*;
use serde_json::{Map, Value};

struct Telegram;

impl Notifier for Telegram {
    const MANIFEST: &'static str = include_str!("../manifest.json");

    fn notify(notification: &Notification) -> Result<Option<String>> {
        let (api, token) = (text("api_url")?, secret("bot_token")?);
        let url = format!("{}/bot{token}/sendMessage", api.trim_end_matches('/'));
        let answer = Request::post(url).json(&message(notification)?)?.send()?.check()?;
        let posted: Option<Value> = answer.json().ok();
        Ok(posted.and_then(|posted| posted["result"]["message_id"].as_i64()).map(|id| id.to_string()))
    }
}

export_notifier!(Telegram);

const MESSAGE_LIMIT: usize = 4096;

fn message(notification: &Notification) -> Result<Value> {
    let mode = text("parse_mode")?;
    let own = || {
        let lines = format!("{}\n{}", notification.heading(), notification.lines());
        if mode == "HTML" {
            lines.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
        } else {
            lines
        }
    };
    let words = param::<Option<String>>("message")?.unwrap_or_else(own);
    let mut body = Map::new();
    body.insert("chat_id".into(), chat()?);
    body.insert("text".into(), truncate(&words, MESSAGE_LIMIT).into());
    body.insert("disable_web_page_preview".into(), true.into());
    if !mode.is_empty() {
        body.insert("parse_mode".into(), mode.into());
    }
    if param::<Option<bool>>("disable_notifications")? == Some(true) {
        body.insert("disable_notification".into(), true.into());
    }
    if let Some(thread) = param::<Option<f64>>("message_thread_id")?.filter(|id| *id != 0.0) {
        body.insert("message_thread_id".into(), (thread as i64).into());
    }
    Ok(body.into())
}

/// A number in the settings, or else a secret.
fn chat() -> Result<Value> {
    match param::<Option<f64>>("chat_id")?.filter(|id| *id != 0.0) {
        Some(id) => Ok((id as i64).into()),
        None => Ok(secret("chat_id")?.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use foghorn_plugin::fake::FakeHost;

    fn sent(host: FakeHost) -> (String, Value) {
        let host = host.manifest(Telegram::MANIFEST).secret("bot_token", "1:ab");
        let host = host.answer(200, r#"{ "ok": true, "result": { "message_id": 7 } }"#);
        let group = Notification { title: "Disk <a>".into(), ..Notification::default() };
        assert_eq!(host.run(|| Telegram::notify(&group)), Ok(Some("7".to_owned())));
        let request = host.requests().remove(0);
        (request.url, serde_json::from_slice(&request.body).expect("a JSON body"))
    }

    #[test]
    fn posts_as_the_bot() {
        let (url, body) =
            sent(FakeHost::new().param("chat_id", -1_001_234_567_890_i64).param("message", "<b>x</b>"));
        assert_eq!(url, "https://api.telegram.org/bot1:ab/sendMessage");
        let wanted = json!({
            "chat_id": -1_001_234_567_890_i64,
            "text": "<b>x</b>",
            "parse_mode": "HTML",
            "disable_web_page_preview": true,
        });
        assert_eq!(body, wanted);
    }

    #[test]
    fn its_own_words_are_no_markup_and_the_chat_may_be_a_secret() {
        let (_, body) = sent(FakeHost::new().secret("chat_id", "-5").param("disable_notifications", true));
        assert_eq!((&body["text"], &body["chat_id"]), (&json!("[FIRING:0] Disk &lt;a&gt;\n"), &json!("-5")));
        assert_eq!(body["disable_notification"], true);
    }

    #[test]
    fn waits_as_long_as_telegram_asks() {
        let host =
            FakeHost::new().manifest(Telegram::MANIFEST).secret("bot_token", "1:ab").param("chat_id", 1);
        let host = host.answer(429, r#"{ "ok": false, "parameters": { "retry_after": 5 } }"#);
        let error = host.run(|| Telegram::notify(&Notification::default())).expect_err("refused");
        assert_eq!(
            (error.kind, error.retry_after.map(|wait| wait.as_secs())),
            (ErrorKind::RateLimited, Some(5))
        );
    }
}
