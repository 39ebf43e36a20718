//! Notifier: posts to a Webex room, as Alertmanager's `webex_configs` does.
//!
//! The bot's token is the operator's `http_config.authorization`, which the host adds.

use foghorn_plugin::notifier::*;
use serde_json::{Map, Value};

struct Webex;

impl Notifier for Webex {
    const MANIFEST: &'static str = include_str!("../manifest.json");

    fn notify(notification: &Notification) -> Result<Option<String>> {
        let own: Option<String> = param("message")?;
        let message =
            own.unwrap_or_else(|| format!("{}\n\n{}", notification.heading(), notification.lines()));
        let mut body = Map::from_iter([("markdown".to_owned(), truncated(&message).into())]);
        let room = text("room_id")?;
        if !room.is_empty() {
            body.insert("roomId".into(), room.into());
        }
        let answer = Request::post(text("api_url")?).json(&body)?.send()?.check()?;
        Ok(serde_json::from_slice::<Value>(&answer.body)
            .ok()
            .and_then(|said| said["id"].as_str().map(str::to_owned)))
    }
}

export_notifier!(Webex);

/// Webex refuses longer messages.
const MESSAGE_BYTES_MAX: usize = 7439;

/// At most [`MESSAGE_BYTES_MAX`] bytes of `text`; the last character is `…` if something was cut off.
fn truncated(text: &str) -> String {
    if text.len() <= MESSAGE_BYTES_MAX {
        return text.to_owned();
    }
    let kept = text.floor_char_boundary(MESSAGE_BYTES_MAX - '…'.len_utf8());
    format!("{}…", &text[..kept])
}

#[cfg(test)]
mod tests {
    use super::*;
    use foghorn_plugin::fake::FakeHost;

    fn host() -> FakeHost {
        FakeHost::new().manifest(Webex::MANIFEST).param("room_id", "Y2lz")
    }

    fn posted(host: &FakeHost) -> Value {
        serde_json::from_slice(&host.requests()[0].body).expect("a JSON body")
    }

    #[test]
    fn posts_markdown_to_a_room() {
        let host = host().param("message", "**it** broke").answer(200, r#"{ "id": "m1" }"#);
        assert_eq!(host.run(|| Webex::notify(&Notification::default())), Ok(Some("m1".to_owned())));
        assert_eq!(host.requests()[0].url, "https://webexapis.com/v1/messages");
        assert_eq!(posted(&host), json!({ "markdown": "**it** broke", "roomId": "Y2lz" }));
        let host = host.answer(204, "");
        assert_eq!(host.run(|| Webex::notify(&Notification::default())), Ok(None), "delivered all the same");
    }

    #[test]
    fn cuts_by_bytes_between_characters() {
        for (message, kept) in [
            ("a".repeat(7439), "a".repeat(7439)),
            ("a".repeat(7440), format!("{}…", "a".repeat(7436))),
            ("ü".repeat(4000), format!("{}…", "ü".repeat(3718))),
            (format!("a{}", "ü".repeat(4000)), format!("a{}…", "ü".repeat(3717))),
        ] {
            let host = host().param("message", message).answer(200, "{}");
            host.run(|| Webex::notify(&Notification::default())).expect("accepted");
            assert_eq!(posted(&host)["markdown"], kept);
        }
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        for (status, kind) in
            [(401, ErrorKind::Unauthorized), (404, ErrorKind::Permanent), (429, ErrorKind::RateLimited)]
        {
            let host = host().answer(status, "");
            let error = host.run(|| Webex::notify(&Notification::default())).expect_err("refused");
            assert_eq!(error.kind, kind, "{status}");
        }
    }
}
