//! Integrations of receivers: settings filled in for each notification, then the notifier plugin.

use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use config::Setting;
use model::{Labels, Notification, Receipt};
use ports::{BoxFuture, Deadline, FailureReason, Notifier, NotifyError};
use sha2::{Digest as _, Sha256};
use template::{NotificationData, Templates};

/// One integration.
pub(crate) struct IntegrationNotifier {
    /// The notifier plugin.
    inner: Arc<dyn Notifier>,
    form: Arc<Form>,
}

/// A receiver's settings, to be filled in.
struct Form {
    /// What the receiver says.
    integration: config::Integration,
    /// Defaults and the user's files.
    templates: Arc<Templates>,
    /// The settings as they are for every message, if no template has a say in them.
    fixed: OnceLock<Arc<BTreeMap<String, String>>>,
}

impl Notifier for IntegrationNotifier {
    fn notify<'a>(
        &'a self,
        notification: &'a Notification,
        attempt: u32,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Receipt, NotifyError>> {
        Box::pin(async move {
            let told = match self.form.as_it_is(notification) {
                Some(told) => told,
                None => {
                    // A template may compute for a second before it is stopped: not on the thread of all deliveries.
                    let (form, notification) = (Arc::clone(&self.form), notification.clone());
                    let filling = tokio::task::spawn_blocking(move || form.filled(&notification));
                    match filling.await.map_err(tokio::task::JoinError::try_into_panic) {
                        Ok(filled) => filled?,
                        Err(Ok(panic)) => std::panic::resume_unwind(panic),
                        Err(Err(_)) => return Err(stopping()),
                    }
                }
            };
            self.inner.notify(&told, attempt, deadline).await
        })
    }
}

/// Tells another receiver while an integration's own notifier is missing.
pub(crate) struct FallbackNotifier {
    /// The other receiver.
    pub(crate) name: String,
    /// Its integrations; not empty.
    pub(crate) integrations: Vec<IntegrationNotifier>,
}

impl Notifier for FallbackNotifier {
    fn notify<'a>(
        &'a self,
        notification: &'a Notification,
        attempt: u32,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Receipt, NotifyError>> {
        Box::pin(async move {
            let mut told = notification.clone();
            // Whoever reads it sees for whom it was.
            told.receiver = format!("{}, via fallback {}", notification.receiver, self.name).into();
            // What another notifier wanted to remember says nothing here.
            told.previous = None;
            let began = tokio::time::Instant::now();
            let (mut accepted, mut failed) = (false, None);
            for integration in &self.integrations {
                let left = Deadline::after(deadline.left.saturating_sub(began.elapsed()));
                match integration.notify(&told, attempt, left).await {
                    Ok(_) => accepted = true,
                    Err(error) => failed = Some(error),
                }
            }
            // Somebody knows. Asking again for the others would tell those twice who took it.
            match failed.filter(|_| !accepted) {
                None => Ok(Receipt::default()),
                Some(error) => Err(error),
            }
        })
    }
}

impl IntegrationNotifier {
    /// `inner`, told what `integration` says.
    pub(crate) fn new(
        inner: Arc<dyn Notifier>,
        integration: config::Integration,
        templates: Arc<Templates>,
    ) -> IntegrationNotifier {
        let form = Form { integration, templates, fixed: OnceLock::new() };
        IntegrationNotifier { inner, form: Arc::new(form) }
    }
}

impl Form {
    /// The notification with the receiver's settings, if it is known that no template has a say in it.
    fn as_it_is(&self, notification: &Notification) -> Option<Notification> {
        let settings = Arc::clone(self.fixed.get()?);
        let routed = has_templates(&notification.route_labels);
        (!routed).then(|| Notification { settings, ..notification.clone() })
    }

    /// The notification with the receiver's settings, and all templates filled in. A template that fails is an error: words
    /// that nobody asked for could hide that something is broken.
    fn filled(&self, notification: &Notification) -> Result<Notification, NotifyError> {
        // What templates see is a tree of the whole message, several times its size; many receivers ask for none.
        let data = LazyCell::new(|| NotificationData::from(notification));
        let mut told = notification.clone();
        if has_templates(&told.route_labels) {
            let routed = self.templates.expand_route_labels(&data, notification.at);
            told.route_labels = Labels::from_pairs(routed);
        }
        told.settings = match self.fixed.get() {
            Some(fixed) => Arc::clone(fixed),
            None => self.settings(notification, || &data)?,
        };
        Ok(told)
    }

    /// Name → JSON text, with templates filled in.
    fn settings<'a>(
        &self,
        notification: &Notification,
        data: impl Fn() -> &'a NotificationData,
    ) -> Result<Arc<BTreeMap<String, String>>, NotifyError> {
        let (mut filled, mut broken) = (BTreeMap::new(), Vec::new());
        let mut fixed = true;
        for (name, setting) in &self.integration.settings {
            let mut expand = |text: &str| match () {
                () if is_html(&self.integration, name) => {
                    fixed = false;
                    self.templates.expand_html(text, data(), notification.at)
                }
                () if !text.contains("{{") => Ok(text.to_owned()),
                () => {
                    fixed = false;
                    self.templates.expand_text(text, data(), notification.at)
                }
            };
            let is_address = matches!(setting, Setting::Secret { template: true, .. });
            match setting.to_json(&mut expand) {
                Ok(value) if is_address && value == "\"\"" => broken.push(format!(
                    "`{name}` comes to nothing for this group, and without it nobody can be told; let the template give \
                     one for every group, or route this group to another receiver"
                )),
                Ok(value) => {
                    // The host reads the file when the plugin asks for the secret.
                    let in_file = matches!(setting, Setting::SecretFile(_)) && !name.ends_with("_file");
                    filled.insert(if in_file { format!("{name}_file") } else { name.clone() }, value);
                }
                Err(error) => broken.push(format!("`{name}`: {error}")),
            }
        }
        if broken.is_empty() {
            let filled = Arc::new(filled);
            if fixed {
                // Another message may have been faster.
                return Ok(Arc::clone(self.fixed.get_or_init(|| filled)));
            }
            return Ok(filled);
        }
        // It fails for these alerts in the same way each time: nothing to try again before they change.
        Err(NotifyError::Refused {
            message: format!(
                "receiver `{}`, {}[{}]: a template failed, and nothing was sent: {}",
                notification.receiver,
                self.integration.kind,
                self.integration.index,
                broken.join("; ")
            ),
            reason: FailureReason::Other,
        })
    }
}

/// The thread pool is gone: the next start sends what was not sent.
fn stopping() -> NotifyError {
    NotifyError::Later {
        message: "Foghorn is stopping".to_owned(),
        after: None,
        reason: FailureReason::Other,
        may_have_arrived: false,
    }
}

fn has_templates(labels: &Labels) -> bool {
    labels.iter().any(|(_, text)| text.contains("{{"))
}

/// Whether a setting is HTML, so that what a template fills in is escaped: a service that is told so refuses a message
/// with a bare `<` in it.
fn is_html(integration: &config::Integration, name: &str) -> bool {
    let setting =
        |name: &str| integration.settings.iter().find(|(own, _)| own == name).map(|(_, value)| value);
    match (integration.plugin.name.as_str(), name) {
        (_, "html") => true,
        // It is the notifier's default.
        ("telegram", "message") => {
            setting("parse_mode").is_none_or(|mode| mode.as_str().is_none_or(|mode| mode == "HTML"))
        }
        ("pushover", "message") => setting("html").and_then(Setting::as_bool) == Some(true),
        _ => false,
    }
}

/// Names the address of an integration with a rate limit, so that those with the same one share it. A digest: it may hold
/// secrets.
pub(crate) fn address(integration: &config::Integration) -> Option<String> {
    integration.rate_limit?;
    let mut digest = Sha256::new();
    digest.update(integration.plugin.name.as_bytes());
    let mut said = false;
    for (name, setting) in integration.addresses() {
        // Unexpanded: what a template makes of it differs from message to message.
        let text = setting.to_json::<std::convert::Infallible>(&mut |text| Ok(text.to_owned()));
        let Ok(text) = text;
        digest.update(format!("\0{name}\0{text}"));
        said = true;
    }
    said.then(|| format!("{:x}", digest.finalize()))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use model::{AlertStatus, NotifyReason, Timestamp};

    use super::*;

    fn notification() -> Notification {
        Notification {
            id: "1".into(),
            dedup_key: "g".into(),
            receiver: "r".into(),
            integration: "i".into(),
            index: 0,
            group_key: "{}".into(),
            status: AlertStatus::Firing,
            reason: NotifyReason::FirstNotification,
            group_labels: Labels::from_pairs([("alertname", "A<&>\"b_c")]),
            common_labels: Labels::empty(),
            common_annotations: Default::default(),
            route_labels: Labels::empty(),
            alerts: Default::default(),
            external_url: Default::default(),
            settings: Arc::default(),
            previous: None,
            at: Timestamp::EPOCH,
            give_up_after: Duration::from_secs(10),
        }
    }

    /// The integration of a receiver's entry `configs`; its plugin takes everything.
    fn notifier(configs: &str) -> IntegrationNotifier {
        let text = format!("route: {{receiver: r}}\nreceivers:\n- name: r\n  {configs}\n");
        let mut files = config::MemoryFiles::default();
        files.files.insert(PathBuf::from("a.yml"), text.into_bytes());
        let catalog = config::Catalog {
            notifiers: ["telegram", "pushover", "opsgenie", "webhook", "slack", "email"]
                .map(str::to_owned)
                .into(),
            ..config::Catalog::default()
        };
        let loaded =
            config::load_with(&files, &[PathBuf::from("a.yml")], &catalog, &config::LoadOptions::default());
        let config = loaded.unwrap_or_else(|problems| panic!("{configs}: {problems:?}")).config;
        struct Unused;
        impl Notifier for Unused {
            fn notify<'a>(
                &'a self,
                _: &'a Notification,
                _: u32,
                _: Deadline,
            ) -> BoxFuture<'a, Result<Receipt, NotifyError>> {
                Box::pin(async { Ok(Receipt::default()) })
            }
        }
        IntegrationNotifier::new(
            Arc::new(Unused),
            config.receivers[0].integrations[0].clone(),
            Arc::new(Templates::parse::<&str, &str>(&[]).unwrap()),
        )
    }

    /// What a receiver's entry `configs` makes of the setting `name`.
    fn filled(configs: &str, name: &str) -> Result<String, String> {
        let filled = notifier(configs).form.filled(&notification());
        let settings = filled.map_err(|error| error.to_string())?.settings;
        Ok(serde_json::from_str(&settings[name]).unwrap())
    }

    #[test]
    fn templates_do_not_run_on_the_thread_of_deliveries() {
        use futures_util::FutureExt as _;
        let fixed = "webhook_configs: [{url: 'http://h.test/'}]";
        let templated = "webhook_configs: [{url: 'http://h.test/{{ .Receiver }}'}]";
        for (configs, at_once) in [(fixed, true), (templated, false)] {
            let (notifier, notification) = (notifier(configs), notification());
            let tell = || notifier.notify(&notification, 1, Deadline::after(Duration::from_secs(10)));
            let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build();
            let told = runtime.expect("a runtime").block_on(async {
                assert!(tell().await.is_ok(), "{configs}");
                // The only other thread is busy until it is let go.
                let (go, waits) = std::sync::mpsc::channel::<()>();
                let busy = tokio::task::spawn_blocking(move || waits.recv());
                let told = tell().now_or_never().is_some();
                drop(go);
                let _ = busy.await;
                told
            });
            assert_eq!(told, at_once, "{configs}");
        }
    }

    #[test]
    fn what_a_service_reads_as_html_is_escaped() {
        let name = "{{ .GroupLabels.alertname }}";
        let (plain, escaped) = ("<b>A<&>\"b_c</b>", "<b>A&lt;&amp;&gt;&#34;b_c</b>");
        for (settings, expected) in [
            ("telegram_configs: [{bot_token: t, chat_id: 1, message: M}]", escaped),
            ("telegram_configs: [{bot_token: t, chat_id: 1, message: M, parse_mode: HTML}]", escaped),
            ("telegram_configs: [{bot_token: t, chat_id: 1, message: M, parse_mode: ''}]", plain),
            ("telegram_configs: [{bot_token: t, chat_id: 1, message: M, parse_mode: Markdown}]", plain),
            ("telegram_configs: [{bot_token: t, chat_id: 1, message: M, parse_mode: MarkdownV2}]", plain),
            ("pushover_configs: [{user_key: u, token: t, message: M, html: true}]", escaped),
            ("pushover_configs: [{user_key: u, token: t, message: M}]", plain),
            ("pushover_configs: [{user_key: u, token: t, message: M, monospace: true}]", plain),
        ] {
            let configs = settings.replace("message: M", &format!("message: '<b>{name}</b>'"));
            assert_eq!(filled(&configs, "message").as_deref(), Ok(expected), "{settings}");
        }
        let mail = format!(
            "email_configs: [{{to: a@x.test, from: b@x.test, smarthost: 'x:25', html: '<b>{name}</b>', text: '<b>{name}</b>'}}]"
        );
        assert_eq!(filled(&mail, "html").as_deref(), Ok(escaped));
        assert_eq!(filled(&mail, "text").as_deref(), Ok(plain));
        let title =
            format!("pushover_configs: [{{user_key: u, token: t, title: '<b>{name}</b>', html: true}}]");
        assert_eq!(filled(&title, "title").as_deref(), Ok(plain), "a title is plain text there");
    }

    #[test]
    fn a_key_may_be_the_groups_own() {
        for (settings, name) in [
            ("pushover_configs: [{user_key: 'T', token: t}]", "user_key"),
            ("pushover_configs: [{user_key: u, token: 'T'}]", "token"),
            ("opsgenie_configs: [{api_key: 'T'}]", "api_key"),
        ] {
            let key = |template: &str| filled(&settings.replace('T', template), name);
            assert_eq!(key("k-{{ .Status }}").as_deref(), Ok("k-firing"), "{settings}");
            let said = key("{{ .CommonLabels.none }}").unwrap_err();
            assert!(said.contains(&format!("`{name}` comes to nothing for this group")), "{said}");
        }
    }

    #[test]
    fn a_message_without_an_address_says_why() {
        let said = |url: &str| filled(&format!("webhook_configs: [{{url: '{url}'}}]"), "url").unwrap_err();
        let begins = "receiver `r`, webhook[0]: a template failed, and nothing was sent: `url`";
        let empty = said("{{ .CommonLabels.hook }}");
        assert!(empty.starts_with(&format!("{begins} comes to nothing for this group")), "{empty}");
        let fails = said("http://x/{{ template \"nowhere\" . }}");
        assert!(fails.starts_with(&format!("{begins}: template ")), "{fails}");
        let url = filled("webhook_configs: [{url: 'http://x/{{ .Status }}'}]", "url");
        assert_eq!(url.as_deref(), Ok("http://x/firing"));
    }
}
