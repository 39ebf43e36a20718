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
/// The parts of an attachment that are marked up, unless the settings name others.
const MARKED: [&str; 3] = ["fallback", "pretext", "text"];

fn through_webhook(notification: &Notification) -> Result<Option<String>> {
    accepted(Request::post(secret("api_url")?).json(&message(notification)?)?)?;
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
    let answer = accepted(request.json(&body)?)?;
    let place = answer["channel"].as_str().zip(answer["ts"].as_str());
    Ok(place.map(|(channel, time)| format!("{channel} {time}")))
}

/// Sends a message. Slack says 200 to everything that it could read; what became of it stands in the body: `"ok": true` in
/// the JSON of the web API, the two letters of a webhook.
fn accepted(request: Request) -> Result<Value> {
    let answer = request.send()?.check()?;
    let outcome = match serde_json::from_slice(&answer.body) {
        Ok(Value::Object(said)) if said.get("ok") == Some(&Value::Bool(true)) => return Ok(said.into()),
        Ok(Value::Object(said)) => {
            let error = said.get("error").and_then(Value::as_str).unwrap_or("no reason");
            Error::new(kind(error), format!("Slack refused the message: {error}"))
        }
        _ if answer.header("Content-Type").is_some_and(|kind| kind.starts_with("application/json")) => {
            Error::retryable(format!("Slack's answer is not the JSON that it should be: {}", said(&answer)))
        }
        _ if answer.text().trim() == "ok" => return Ok(Value::Null),
        _ => Error::new(kind(answer.text().trim()), format!("Slack did not say `ok` but {}", said(&answer))),
    };
    let channel = text("channel")?;
    Err(if channel.is_empty() { outcome } else { outcome.at(format!("channel `{channel}`")) })
}

/// The beginning of an answer, for people.
fn said(answer: &Response) -> String {
    match answer.text().trim() {
        "" => "nothing".to_owned(),
        said => format!("`{}`", truncate(said, 300)),
    }
}

/// What Slack's name of an error means.
fn kind(error: &str) -> ErrorKind {
    match error {
        "ratelimited" | "rate_limited" => ErrorKind::RateLimited,
        "internal_error" | "fatal_error" | "service_unavailable" | "request_timeout" => ErrorKind::Retryable,
        "invalid_auth" | "not_authed" | "token_revoked" | "token_expired" | "account_inactive" => {
            ErrorKind::Unauthorized
        }
        _ => ErrorKind::Permanent,
    }
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
    put(&mut attachment, &["title_link", "pretext", "image_url", "thumb_url"])?;
    for name in ["fallback", "callback_id", "footer"] {
        attachment.insert(name.into(), text(name)?.into());
    }
    let marked: Vec<String> = param::<Option<_>>("mrkdwn_in")?.unwrap_or_default();
    let marked = if marked.is_empty() { MARKED.map(str::to_owned).into() } else { marked };
    attachment.insert("mrkdwn_in".into(), marked.into());
    for (name, list) in [("fields", fields()?), ("actions", actions()?)] {
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

/// A button leads to an address, or sends a name and a value; not both.
fn actions() -> Result<Vec<Value>> {
    let filled = |value: &Value| value.as_str().is_none_or(|text| !text.is_empty());
    let mut actions: Vec<Map<String, Value>> = param::<Option<_>>("actions")?.unwrap_or_default();
    for action in &mut actions {
        let leads = action.get("url").is_some_and(filled);
        action.retain(|name, _| !leads || !["name", "value", "confirm"].contains(&name.as_str()));
        if let Some(confirm) = action.get_mut("confirm").and_then(Value::as_object_mut) {
            confirm.retain(|name, value| name == "text" || filled(value));
        }
        action.retain(|name, value| ["type", "text"].contains(&name.as_str()) || filled(value));
    }
    Ok(actions.into_iter().map(Value::Object).collect())
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
            .param(
                "actions",
                json!([
                    { "type": "button", "text": "a", "url": "https://u.test", "name": "n", "value": "v", "style": "" },
                    { "type": "button", "text": "b", "url": "", "name": "n", "confirm": { "text": "?", "title": "" } },
                ]),
            )
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
                    "fallback": "",
                    "callback_id": "",
                    "actions": [
                        { "type": "button", "text": "a", "url": "https://u.test" },
                        { "type": "button", "text": "b", "name": "n", "confirm": { "text": "?" } },
                    ],
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
            for secret in ["app_token", "api_url"] {
                let host = host()
                    .secret(secret, "https://slack.test/x")
                    .answer(200, &json!({ "ok": false, "error": said }).to_string());
                let error = host.run(|| Slack::notify(&group())).expect_err("refused");
                assert_eq!(error.kind, kind, "{said}");
                assert_eq!(error.message, format!("channel `#ops`: Slack refused the message: {said}"));
            }
        }
    }

    #[test]
    fn a_webhook_says_ok_or_has_refused() {
        for (json, body, outcome) in [
            (false, "ok", Ok(None)),
            (false, "ok\n", Ok(None)),
            (true, r#"{"ok":true}"#, Ok(None)),
            (false, r#"{"ok":true,"ts":"1"}"#, Ok(None)),
            (false, "no_service", Err((ErrorKind::Permanent, "Slack did not say `ok` but `no_service`"))),
            (false, "", Err((ErrorKind::Permanent, "Slack did not say `ok` but nothing"))),
            (true, "{}", Err((ErrorKind::Permanent, "Slack refused the message: no reason"))),
            (true, r#"{"ok":"true"}"#, Err((ErrorKind::Permanent, "Slack refused the message: no reason"))),
            (
                true,
                r#"{"ok":tr"#,
                Err((ErrorKind::Retryable, "Slack's answer is not the JSON that it should be: `{\"ok\":tr`")),
            ),
        ] {
            let kind = if json { "application/json; charset=utf-8" } else { "text/html" };
            let headers = vec![("content-type".to_owned(), kind.to_owned())];
            let answer = Response { status: 200, headers, body: body.as_bytes().to_vec() };
            let host = host()
                .param("channel", "")
                .secret("api_url", "https://hooks.slack.test/x")
                .answer_with(Ok(answer));
            let got = host.run(|| Slack::notify(&group())).map_err(|error| (error.kind, error.message));
            assert_eq!(
                got.as_ref().map_err(|(kind, said)| (*kind, said.as_str())),
                outcome.as_ref().map_err(|e| *e),
                "{body}"
            );
        }
    }
}
