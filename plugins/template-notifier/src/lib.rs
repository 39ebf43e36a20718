//! A notifier that posts one line to a chat with incoming webhooks.

use foghorn_plugin::notifier::*;

struct MyNotifier;

impl Notifier for MyNotifier {
    const MANIFEST: &'static str = r#"{
        "name": "my_notifier",
        "about": "Posts one line to a chat.",
        "needs": { "hosts": ["{webhook_url}"], "secrets": ["webhook_url"] },
        "params": { "mark": "!" }
    }"#;

    fn notify(notification: &Notification) -> Result<Option<String>> {
        let line = format!("{} {}", text("mark")?, notification.heading());
        Request::post(secret("webhook_url")?).json(&json!({ "text": line }))?.send()?.check()?;
        Ok(None)
    }
}

export_notifier!(MyNotifier);

#[cfg(test)]
mod tests {
    use super::*;
    use foghorn_plugin::fake::FakeHost;

    #[test]
    fn posts_a_line() {
        let host = FakeHost::new()
            .manifest(MyNotifier::MANIFEST)
            .secret("webhook_url", "https://chat.test/hook")
            .answer(200, "");
        let group = Notification { title: "DiskFull".into(), ..Notification::default() };
        host.run(|| MyNotifier::notify(&group)).unwrap();
        assert_eq!(host.requests()[0].body, br#"{"text":"! [FIRING:0] DiskFull"}"#);
    }
}
