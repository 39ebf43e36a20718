//! Notifier: posts a card to a Microsoft Teams channel through an Office 365 connector, as Alertmanager's
//! `msteams_configs` does.

use foghorn_plugin::notifier::*;
use serde_json::Value;

struct Connector;

impl Notifier for Connector {
    const MANIFEST: &'static str = include_str!("../manifest.json");

    fn notify(notification: &Notification) -> Result<Option<String>> {
        let own = |name: &str| param::<Option<String>>(name);
        let title = own("title")?.unwrap_or_else(|| notification.heading());
        let summary = own("summary")?.unwrap_or_else(|| notification.heading());
        let text = own("text")?.unwrap_or_else(|| notification.lines());
        let card = card(&title, &summary, &text, notification.status);
        let answer = Request::post(secret("webhook_url")?).json(&card)?.send()?.check()?;
        match failed_inside(&answer.text()) {
            Some(status) => Response { status, ..answer }.check().map(|_| None),
            None => Ok(None),
        }
    }
}

export_notifier!(Connector);

fn card(title: &str, summary: &str, text: &str, status: Status) -> Value {
    let colour = match status {
        Status::Firing => "8C1A1A",
        Status::Resolved => "2DC72D",
    };
    json!({
        "@context": "http://schema.org/extensions",
        "type": "MessageCard",
        "title": title,
        "summary": summary,
        "text": text,
        "themeColor": colour,
    })
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use foghorn_plugin::fake::FakeHost;

    fn host() -> FakeHost {
        FakeHost::new().manifest(Connector::MANIFEST).secret("webhook_url", "https://teams.test/x")
    }

    #[test]
    fn posts_a_card() {
        for (status, colour) in [(Status::Firing, "8C1A1A"), (Status::Resolved, "2DC72D")] {
            let host = host()
                .param("title", "It broke")
                .param("summary", "Disk")
                .param("text", "now")
                .answer(200, "1");
            let group = Notification { status, ..Notification::default() };
            assert_eq!(host.run(|| Connector::notify(&group)), Ok(None));
            let body: Value = serde_json::from_slice(&host.requests()[0].body).expect("a JSON body");
            assert_eq!(
                body,
                json!({
                    "@context": "http://schema.org/extensions",
                    "type": "MessageCard",
                    "title": "It broke",
                    "summary": "Disk",
                    "text": "now",
                    "themeColor": colour,
                })
            );
        }
    }

    #[test]
    fn a_refusal_with_status_200_is_one() {
        let failed =
            "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error";
        for (said, kind) in [
            (format!("{failed} 429 with ContextId tcid=0"), Some(ErrorKind::RateLimited)),
            (format!("{failed} 502 with ContextId tcid=0"), Some(ErrorKind::Retryable)),
            (format!("{failed} 413 with ContextId tcid=0"), Some(ErrorKind::Permanent)),
            ("1".to_owned(), None),
        ] {
            let host = host().answer(200, &said);
            let outcome = host.run(|| Connector::notify(&Notification::default()));
            assert_eq!(outcome.err().map(|error| error.kind), kind, "{said}");
        }
    }
}
