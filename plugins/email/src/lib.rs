//! Notifier: sends mail, as Alertmanager's `email_configs` does. The host speaks SMTP.

use std::collections::BTreeMap;

use foghorn_plugin::notifier::*;
use serde_json::Value;

struct Email;

impl Notifier for Email {
    const MANIFEST: &'static str = include_str!("../manifest.json");

    fn notify(notification: &Notification) -> Result<Option<String>> {
        let mail = message(notification)?;
        mail::send(&text("server")?, mail).map(Some)
    }
}

export_notifier!(Email);

fn message(notification: &Notification) -> Result<mail::Message> {
    let (from, to) = (text("from")?, text("to")?);
    let mut headers: Vec<(String, String)> = Vec::new();
    let own: BTreeMap<String, String> = param::<Option<_>>("headers")?.unwrap_or_default();
    let named = |name: &str| own.keys().any(|key| key.eq_ignore_ascii_case(name));
    for (name, value) in [("Subject", notification.heading()), ("From", from.clone()), ("To", to.clone())] {
        if !named(name) {
            headers.push((name.to_owned(), value));
        }
    }
    // A template may bring a line break, which would begin a header of its own.
    headers.extend(own.iter().map(|(name, value)| (name.clone(), value.replace(['\r', '\n'], " "))));
    let threading: Value = param::<Option<_>>("threading")?.unwrap_or_default();
    if threading["enabled"].as_bool() == Some(true) {
        let thread = thread(notification, threading["thread_by_date"].as_str() != Some("none"));
        headers.push(("References".to_owned(), thread.clone()));
        headers.push(("In-Reply-To".to_owned(), thread));
    }
    let (html, mut plain) = (text("html")?, text("text")?);
    if html.is_empty() && plain.is_empty() {
        plain = notification.lines();
    }
    Ok(mail::Message { from, to: addressees(&to), headers, text: plain, html })
}

/// The message that all mails of a group answer. It was never sent; mail programs do not mind.
fn thread(notification: &Notification, by_date: bool) -> String {
    let day = if by_date { clock::now().rfc3339()[..10].to_owned() } else { String::new() };
    let key: String = notification.dedup_key.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("<alert-{key}-{day}@foghorn>")
}

/// Addresses stand between commas; a name in quotes may hold one.
fn addressees(list: &str) -> Vec<String> {
    let mut quoted = false;
    let parts = list.split(|c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    });
    parts.map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use foghorn_plugin::fake::FakeHost;

    fn host() -> FakeHost {
        let host = FakeHost::new().manifest(Email::MANIFEST).now(1_700_000_000_000);
        host.param("from", "fog@x.test").param("to", "\"Ops, night\" <ops@x.test>, b@x.test")
    }

    fn sent(host: &FakeHost) -> mail::Message {
        let alerts = vec![Alert { labels: Labels::from([("alertname", "Disk")]), ..Alert::default() }];
        let group = Notification {
            title: "Disk".into(),
            dedup_key: "ab/1".into(),
            alerts,
            ..Notification::default()
        };
        assert_eq!(host.run(|| Email::notify(&group)), Ok(Some("<1@fake>".to_owned())));
        let (server, mail) = host.mails().remove(0);
        assert_eq!(server, "smarthost");
        mail
    }

    fn header<'a>(mail: &'a mail::Message, name: &str) -> Vec<&'a str> {
        mail.headers.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_str()).collect()
    }

    #[test]
    fn has_a_subject_and_a_text_of_its_own() {
        let mail = sent(&host());
        assert_eq!((header(&mail, "Subject"), mail.text.as_str()), (vec!["[FIRING:1] Disk"], "firing: Disk"));
        assert_eq!(mail.to, ["\"Ops, night\" <ops@x.test>", "b@x.test"]);
    }

    #[test]
    fn settings_go_first_and_break_no_lines() {
        let headers = json!({ "subject": "down\r\nBcc: all@x.test", "X-Team": "ops" });
        let mail = sent(&host().param("headers", headers).param("html", "<b>x</b>"));
        assert_eq!(header(&mail, "subject"), ["down  Bcc: all@x.test"]);
        assert_eq!((header(&mail, "Subject").len(), header(&mail, "X-Team")), (0, vec!["ops"]));
        assert_eq!((mail.html.as_str(), mail.text.as_str()), ("<b>x</b>", ""));
    }

    #[test]
    fn mails_of_a_group_are_a_thread() {
        let day = sent(&host().param("threading", json!({ "enabled": true })));
        assert_eq!(header(&day, "References"), ["<alert-ab1-2023-11-14@foghorn>"]);
        let ever = sent(&host().param("threading", json!({ "enabled": true, "thread_by_date": "none" })));
        assert_eq!(header(&ever, "In-Reply-To"), ["<alert-ab1-@foghorn>"]);
    }
}
