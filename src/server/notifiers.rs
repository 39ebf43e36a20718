//! Integrations of receivers: settings filled in for each notification, then the notifier plugin.

use std::cell::LazyCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use config::Setting;
use model::{Labels, Notification, Receipt};
use ports::{BoxFuture, Deadline, FailureReason, Notifier, NotifyError};
use sha2::{Digest as _, Sha256};
use template::{NotificationData, Templates};

/// One integration.
pub(crate) struct IntegrationNotifier {
    /// The notifier plugin.
    pub(crate) inner: Arc<dyn Notifier>,
    /// What the receiver says.
    pub(crate) integration: config::Integration,
    /// Defaults and the user's files.
    pub(crate) templates: Arc<Templates>,
}

impl Notifier for IntegrationNotifier {
    fn notify<'a>(
        &'a self,
        notification: &'a Notification,
        attempt: u32,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Receipt, NotifyError>> {
        Box::pin(async move {
            let told = self.filled(notification)?;
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
            told.receiver = format!("{}, via fallback {}", notification.receiver, self.name);
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
    /// The notification with the receiver's settings, and all templates filled in. A template that fails is an error: words
    /// that nobody asked for could hide that something is broken.
    fn filled(&self, notification: &Notification) -> Result<Notification, NotifyError> {
        // What templates see is a tree of the whole message, several times its size; many receivers ask for none.
        let data = LazyCell::new(|| NotificationData::from(notification));
        let mut told = notification.clone();
        if told.route_labels.iter().any(|(_, text)| text.contains("{{")) {
            let routed = self.templates.expand_route_labels(&data, notification.at);
            told.route_labels = Labels::from_pairs(routed);
        }
        told.settings = self.settings(notification, || &data)?;
        Ok(told)
    }

    /// Name → JSON text, with templates filled in.
    fn settings<'a>(
        &self,
        notification: &Notification,
        data: impl Fn() -> &'a NotificationData,
    ) -> Result<BTreeMap<String, String>, NotifyError> {
        let (mut filled, mut broken) = (BTreeMap::new(), Vec::new());
        for (name, setting) in &self.integration.settings {
            // The HTML part of a mail escapes what it is filled with.
            let mut expand = |text: &str| match name.as_str() {
                "html" => self.templates.expand_html(text, data(), notification.at),
                _ if !text.contains("{{") => Ok(text.to_owned()),
                _ => self.templates.expand_text(text, data(), notification.at),
            };
            match setting.to_json(&mut expand) {
                Ok(value) => {
                    // The host reads the file when the plugin asks for the secret.
                    let in_file = matches!(setting, Setting::SecretFile(_)) && !name.ends_with("_file");
                    filled.insert(if in_file { format!("{name}_file") } else { name.clone() }, value);
                }
                Err(error) => broken.push(format!("`{name}`: {error}")),
            }
        }
        if broken.is_empty() {
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
