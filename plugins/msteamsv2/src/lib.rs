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
        let answer = Request::post(secret("webhook_url")?).json(&card)?.send()?.check()?;
        match failed_inside(&answer.text()) {
            Some(status) => Response { status, ..answer }.check().map(|_| None),
            None => Ok(None),
        }
    }
}

export_notifier!(Teams);

/// The status with which the channel refused a message that its connector took: connectors answer 200 all the same.
fn failed_inside(said: &str) -> Option<u16> {
    if !said.contains("Webhook message delivery failed") {
        return None;
    }
    let status =
        said.split_once("HTTP error ").map(|(_, behind)| behind.chars().take_while(char::is_ascii_digit));
    let status = status.and_then(|digits| digits.collect::<String>().parse().ok());
    Some(status.filter(|status| (300..600).contains(status)).unwrap_or(400))
}

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
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.2",
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

    #[test]
    fn a_refusal_with_status_200_is_one() {
        let failed =
            "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error";
        for (said, kind) in [
            (format!("{failed} 429 with ContextId tcid=0"), Some(ErrorKind::RateLimited)),
            (format!("{failed} 502 with ContextId tcid=0"), Some(ErrorKind::Retryable)),
            (format!("{failed} 413 with ContextId tcid=0"), Some(ErrorKind::Permanent)),
            ("Webhook message delivery failed".to_owned(), Some(ErrorKind::Permanent)),
            ("1".to_owned(), None),
            (String::new(), None),
        ] {
            let host = FakeHost::new().manifest(Teams::MANIFEST);
            let host = host.secret("webhook_url", "https://teams.test/x").answer(200, &said);
            let outcome = host.run(|| Teams::notify(&Notification::default()));
            assert_eq!(outcome.err().map(|error| error.kind), kind, "{said}");
        }
    }
}
