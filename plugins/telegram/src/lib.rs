//! Notifier: posts to a Telegram chat through a bot, as Alertmanager's `telegram_configs` does.

mod html;

use foghorn_plugin::notifier::*;
use serde_json::{Map, Value};

struct Telegram;

impl Notifier for Telegram {
    const MANIFEST: &'static str = include_str!("../manifest.json");

    fn notify(notification: &Notification) -> Result<Option<String>> {
        let (api, token) = (text("api_url")?, secret("bot_token")?);
        let url = format!("{}/bot{token}/sendMessage", api.trim_end_matches('/'));
        let mut body = message(notification)?;
        let mut answer = Request::post(&url).json(&body)?.send()?;
        if answer.status == 400 && answer.text().contains("can't parse entities") {
            // Told without its looks is better than not told.
            log::warn(
                "Telegram cannot read the message as its `parse_mode` has it; it goes out as plain text",
            );
            without_markup(&mut body);
            answer = Request::post(&url).json(&body)?.send()?;
        }
        let answer = answer.check()?;
        let said: Value = answer.json().map_err(|error| Error::retryable(error.message))?;
        if said["ok"] != Value::Bool(true) {
            return Err(refusal(answer, &said));
        }
        Ok(said["result"]["message_id"].as_i64().map(|id| id.to_string()))
    }
}

export_notifier!(Telegram);

const MESSAGE_LIMIT: usize = 4096;

/// An answer that says `"ok": false`, whatever its status.
fn refusal(answer: Response, said: &Value) -> Error {
    let code = said["error_code"].as_u64().and_then(|code| u16::try_from(code).ok());
    let status = code.filter(|code| *code >= 300).unwrap_or(400);
    match (Response { status, ..answer }).check() {
        Err(error) => error,
        Ok(_) => Error::permanent("Telegram refused the message"),
    }
}

/// The same message as plain text.
fn without_markup(body: &mut Map<String, Value>) {
    let mode = body.remove("parse_mode");
    if mode.is_some_and(|mode| mode == "HTML")
        && let Some(words) = body.get_mut("text")
    {
        *words = html::plain(words.as_str().unwrap_or_default()).into();
    }
}

fn message(notification: &Notification) -> Result<Map<String, Value>> {
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
    // All values are texts: Telegram takes them, and so does whatever reads what Alertmanager sends.
    let mut body = Map::new();
    body.insert("chat_id".into(), chat()?);
    let words =
        if mode == "HTML" { html::truncate(&words, MESSAGE_LIMIT) } else { truncate(&words, MESSAGE_LIMIT) };
    body.insert("text".into(), words.into());
    body.insert("disable_web_page_preview".into(), "true".into());
    if !mode.is_empty() {
        body.insert("parse_mode".into(), mode.into());
    }
    if param::<Option<bool>>("disable_notifications")? == Some(true) {
        body.insert("disable_notification".into(), "true".into());
    }
    if let Some(thread) = param::<Option<f64>>("message_thread_id")?.filter(|id| *id != 0.0) {
        body.insert("message_thread_id".into(), (thread as i64).to_string().into());
    }
    Ok(body)
}

/// A number in the settings, or else a secret.
fn chat() -> Result<Value> {
    match param::<Option<f64>>("chat_id")?.filter(|id| *id != 0.0) {
        Some(id) => Ok((id as i64).to_string().into()),
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
            "chat_id": "-1001234567890",
            "text": "<b>x</b>",
            "parse_mode": "HTML",
            "disable_web_page_preview": "true",
        });
        assert_eq!(body, wanted);
    }

    #[test]
    fn its_own_words_are_no_markup_and_the_chat_may_be_a_secret() {
        let (_, body) = sent(FakeHost::new().secret("chat_id", "-5").param("disable_notifications", true));
        assert_eq!((&body["text"], &body["chat_id"]), (&json!("[FIRING:0] Disk &lt;a&gt;\n"), &json!("-5")));
        assert_eq!(body["disable_notification"], "true");
    }

    fn host() -> FakeHost {
        FakeHost::new().manifest(Telegram::MANIFEST).secret("bot_token", "1:ab").param("chat_id", 1)
    }

    #[test]
    fn a_refusal_with_status_200_is_one() {
        for (said, kind) in [
            (r#"{"ok":false,"error_code":400,"description":"no such chat"}"#, ErrorKind::Permanent),
            (r#"{"ok":false,"error_code":429,"parameters":{"retry_after":5}}"#, ErrorKind::RateLimited),
            (r#"{"ok":false,"error_code":502}"#, ErrorKind::Retryable),
            (r#"{"ok":false}"#, ErrorKind::Permanent),
            ("<html>", ErrorKind::Retryable),
        ] {
            let host = host().answer(200, said);
            let error = host.run(|| Telegram::notify(&Notification::default())).expect_err("refused");
            assert_eq!(error.kind, kind, "{said}");
        }
    }

    #[test]
    fn markup_that_telegram_cannot_read_goes_out_as_text() {
        let cannot = r#"{"ok":false,"error_code":400,"description":"Bad Request: can't parse entities: x"}"#;
        for (mode, text) in
            [("HTML", "disk_a < 5 & falling"), ("MarkdownV2", "<b>disk_a</b> &lt; 5 & falling")]
        {
            let host = host().param("parse_mode", mode).param("message", "<b>disk_a</b> &lt; 5 & falling");
            let host = host.answer(400, cannot).answer(200, r#"{"ok":true,"result":{"message_id":7}}"#);
            assert_eq!(host.run(|| Telegram::notify(&Notification::default())), Ok(Some("7".to_owned())));
            let bodies = host.requests().into_iter().map(|request| serde_json::from_slice(&request.body));
            let bodies: Vec<Value> = bodies.collect::<Result<_, _>>().expect("JSON bodies");
            assert_eq!((&bodies[0]["parse_mode"], &bodies[1]["parse_mode"]), (&json!(mode), &Value::Null));
            assert_eq!(bodies[1]["text"], text);
        }
        let host = host().answer(400, r#"{"ok":false,"description":"chat not found"}"#);
        assert!(host.run(|| Telegram::notify(&Notification::default())).is_err());
        assert_eq!(host.requests().len(), 1);
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
