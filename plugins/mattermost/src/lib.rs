//! Notifier: posts to a Mattermost channel through an incoming webhook, as Alertmanager's `mattermost_configs` does.
//!
//! The message is one attachment, or those of `attachments` with the text above them.

use foghorn_plugin::notifier::*;
use serde_json::{Map, Value};

struct Mattermost;

impl Notifier for Mattermost {
    const MANIFEST: &'static str = include_str!("../manifest.json");

    fn notify(notification: &Notification) -> Result<Option<String>> {
        let request = Request::post(secret("webhook_url")?).json(&message(notification)?)?;
        let channel = text("channel")?;
        let outcome = request.send()?.check().map(|_| None);
        outcome.map_err(|error| match channel.as_str() {
            "" => error,
            channel => error.at(format!("channel `{channel}`")),
        })
    }
}

export_notifier!(Mattermost);

const TEXT_LIMIT: usize = 16_383;

fn message(notification: &Notification) -> Result<Map<String, Value>> {
    let mut message = Map::new();
    put(&mut message, &["channel", "username", "icon_url", "icon_emoji", "type"])?;
    let words = param::<Option<String>>("text")?.unwrap_or_else(|| notification.lines());
    let mut attachments: Vec<Map<String, Value>> = param::<Option<_>>("attachments")?.unwrap_or_default();
    if attachments.is_empty() {
        attachments.push(attachment(notification, words)?);
    } else if !words.is_empty() {
        message.insert("text".into(), truncate(&words, TEXT_LIMIT).into());
    }
    let attachments: Vec<Value> = attachments.into_iter().map(|one| filled(one).into()).collect();
    message.insert("attachments".into(), attachments.into());
    let props: Map<String, Value> = param::<Option<_>>("props")?.unwrap_or_default();
    if let Some(card) = props.get("card").filter(|card| *card != "") {
        message.insert("props".into(), json!({ "card": card }));
    }
    if let Some(priority) = priority()? {
        message.insert("priority".into(), priority.into());
    }
    Ok(message)
}

/// The attachment that the settings make.
fn attachment(notification: &Notification, words: String) -> Result<Map<String, Value>> {
    let mut attachment = Map::new();
    let title = param::<Option<String>>("title")?.unwrap_or_else(|| notification.heading());
    let usual = if notification.status == Status::Firing { "danger" } else { "good" };
    let color = param::<Option<String>>("color")?.unwrap_or_else(|| usual.to_owned());
    attachment.insert("title".into(), title.into());
    attachment.insert("text".into(), words.into());
    attachment.insert("color".into(), color.into());
    put(
        &mut attachment,
        &[
            "fallback",
            "pretext",
            "author_name",
            "author_link",
            "author_icon",
            "title_link",
            "thumb_url",
            "image_url",
            "footer",
            "footer_icon",
        ],
    )?;
    attachment.insert("fields".into(), param::<Option<Vec<Value>>>("fields")?.unwrap_or_default().into());
    Ok(attachment)
}

/// An attachment without what has nothing in it, and its fields so too.
fn filled(mut attachment: Map<String, Value>) -> Map<String, Value> {
    attachment.retain(|_, value| !value.is_null() && *value != "" && *value != json!([]));
    for field in attachment.get_mut("fields").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(field) = field.as_object_mut() {
            field.retain(|_, value| !value.is_null() && value != "");
        }
    }
    attachment
}

/// How much it presses. Mattermost refuses what does not go together: an acknowledgement of what is usual, and repetitions
/// of what is not urgent.
fn priority() -> Result<Option<Map<String, Value>>> {
    let mut priority: Map<String, Value> = param::<Option<_>>("priority")?.unwrap_or_default();
    let Some(wanted) = priority.get("priority").and_then(Value::as_str) else { return Ok(None) };
    let mut known = wanted.to_lowercase();
    if !["urgent", "important", "standard"].contains(&known.as_str()) {
        log::warn(format!(
            "`priority` is `{wanted}`, which Mattermost does not have; it goes out as `standard`"
        ));
        known = "standard".to_owned();
    }
    priority.retain(|name, value| match name.as_str() {
        "requested_ack" => *value == true && known != "standard",
        "persistent_notifications" => *value == true && known == "urgent",
        _ => true,
    });
    priority.insert("priority".into(), known.into());
    Ok(Some(priority))
}

#[cfg(test)]
mod tests {
    use super::*;
    use foghorn_plugin::fake::FakeHost;

    fn host() -> FakeHost {
        FakeHost::new().manifest(Mattermost::MANIFEST).secret("webhook_url", "https://m.test/hooks/x")
    }

    fn group(status: Status) -> Notification {
        Notification { status, title: "Disk a".into(), ..Notification::default() }
    }

    fn sent(host: FakeHost, status: Status) -> Value {
        let host = host.answer(200, "ok");
        assert_eq!(host.run(|| Mattermost::notify(&group(status))), Ok(None));
        let request = host.requests().remove(0);
        assert_eq!((request.method.as_str(), request.url.as_str()), ("POST", "https://m.test/hooks/x"));
        serde_json::from_slice(&request.body).expect("a JSON body")
    }

    #[test]
    fn the_settings_make_one_attachment() {
        let attachment = json!({ "title": "[RESOLVED] Disk a", "color": "good" });
        assert_eq!(sent(host(), Status::Resolved), json!({ "attachments": [attachment] }));
        let all = host()
            .param("channel", "ops")
            .param("username", "me")
            .param("type", "custom_x")
            .param("text", "x".repeat(20_000))
            .param("title", "")
            .param("color", "red")
            .param("footer", "f")
            .param(
                "fields",
                json!([{ "title": "a", "value": "" }, { "title": "b", "value": "c", "short": false }]),
            )
            .param("props", json!({ "card": "c" }));
        assert_eq!(
            sent(all, Status::Firing),
            json!({
                "channel": "ops",
                "username": "me",
                "type": "custom_x",
                "attachments": [{
                    "text": "x".repeat(20_000),
                    "color": "red",
                    "footer": "f",
                    "fields": [{ "title": "a" }, { "title": "b", "value": "c", "short": false }],
                }],
                "props": { "card": "c" },
            })
        );
    }

    #[test]
    fn attachments_stand_below_the_text() {
        let host = host().param("text", "x".repeat(20_000)).param("title", "t").param(
            "attachments",
            json!([{ "text": "a", "title": "", "fields": [{ "title": "b", "value": "c" }] }, {}]),
        );
        assert_eq!(
            sent(host, Status::Firing),
            json!({
                "text": "x".repeat(16_382) + "…",
                "attachments": [{ "text": "a", "fields": [{ "title": "b", "value": "c" }] }, {}],
            })
        );
    }

    #[test]
    fn a_priority_has_what_goes_with_it() {
        let (ack, again) = ("requested_ack", "persistent_notifications");
        for (wanted, sent_as) in [
            (json!({ ack: true }), Value::Null),
            (
                json!({ "priority": "Urgent", ack: true, again: true }),
                json!({ "priority": "urgent", ack: true, again: true }),
            ),
            (
                json!({ "priority": "important", ack: true, again: true }),
                json!({ "priority": "important", ack: true }),
            ),
            (json!({ "priority": "urgent", ack: false }), json!({ "priority": "urgent" })),
            (json!({ "priority": "", ack: true, again: true }), json!({ "priority": "standard" })),
        ] {
            let message = sent(host().param("priority", wanted.clone()), Status::Firing);
            assert_eq!(message["priority"], sent_as, "{wanted}");
        }
    }

    #[test]
    fn what_is_refused_names_the_channel() {
        for (channel, begins) in [("ops", "channel `ops`: the server"), ("", "the server answered")] {
            let host = host().param("channel", channel).answer(500, "no such hook");
            let error = host.run(|| Mattermost::notify(&group(Status::Firing))).expect_err("refused");
            assert_eq!(error.kind, ErrorKind::Retryable);
            assert!(error.message.starts_with(begins), "{error}");
        }
    }
}
