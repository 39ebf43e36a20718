//! Notifier: posts a card to a Microsoft Teams channel through a workflow, as Alertmanager's `msteamsv2_configs` does.

use foghorn_plugin::notifier::*;
use serde_json::Value;

struct Teams;

impl Notifier for Teams {
    const MANIFEST: &'static str = include_str!("../manifest.json");

    fn notify(notification: &Notification) -> Result<Option<String>> {
        let title = param::<Option<String>>("title")?.unwrap_or_else(|| notification.heading());
        let text = param::<Option<String>>("text")?.unwrap_or_else(|| notification.lines());
        let card = card(&title, &text, notification.status);
        Request::post(secret("webhook_url")?).json(&card)?.send()?.check()?;
        Ok(None)
    }
}

export_notifier!(Teams);

/// An adaptive card: a heading in the colour of the status, and the text.
fn card(title: &str, text: &str, status: Status) -> Value {
    let colour = match status {
        Status::Firing => "Attention",
        Status::Resolved => "Good",
    };
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "body": [
                    {
                        "type": "TextBlock",
                        "text": title,
                        "weight": "Bolder",
                        "size": "Medium",
                        "wrap": true,
                        "style": "heading",
                        "color": colour,
                    },
                    { "type": "TextBlock", "text": text, "wrap": true },
                ],
                "msteams": { "width": "full" },
            },
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use foghorn_plugin::fake::FakeHost;

    #[test]
    fn posts_a_card() {
        let host = FakeHost::new()
            .manifest(Teams::MANIFEST)
            .param("title", "It broke")
            .secret("webhook_url", "https://teams.test/x")
            .answer(202, "");
        let resolved = Notification { status: Status::Resolved, ..Notification::default() };
        assert_eq!(host.run(|| Teams::notify(&resolved)), Ok(None));
        let body: Value = serde_json::from_slice(&host.requests()[0].body).expect("a JSON body");
        let heading = &body["attachments"][0]["content"]["body"][0];
        assert_eq!((&heading["text"], &heading["color"]), (&json!("It broke"), &json!("Good")));
    }
}
