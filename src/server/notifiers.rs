//! Integrations of receivers: settings filled in for each notification, then the notifier plugin.

use std::collections::BTreeMap;
use std::sync::Arc;

use config::Setting;
use model::{Notification, Receipt};
use ports::{BoxFuture, Deadline, Notifier, NotifyError};
use serde_json::{Map, Value, json};
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
            let mut told = notification.clone();
            told.settings = self.settings(notification);
            self.inner.notify(&told, attempt, deadline).await
        })
    }
}

impl IntegrationNotifier {
    /// Name → JSON text, with templates filled in.
    fn settings(&self, notification: &Notification) -> BTreeMap<String, String> {
        let data = NotificationData::from(notification);
        let mut filled = Map::new();
        for (name, setting) in &self.integration.settings {
            // The HTML part of a mail escapes what it is filled with.
            let html = name == "html";
            match setting {
                Setting::SecretFile(path) => {
                    filled.insert(format!("{name}_file"), json!(path.to_string_lossy()));
                }
                setting => match self.fill(setting, html, &data, notification) {
                    Ok(value) => {
                        filled.insert(name.clone(), value);
                    }
                    // The plugin's own words are better than none: a notification is never lost to a template.
                    Err(error) => tracing::warn!(
                        receiver = %notification.receiver, setting = %name, %error,
                        "A template failed; the notifier's own default stands in its place."
                    ),
                },
            }
        }
        filled.into_iter().map(|(name, value)| (name, value.to_string())).collect()
    }

    fn fill(
        &self,
        setting: &Setting,
        html: bool,
        data: &NotificationData,
        about: &Notification,
    ) -> Result<Value, template::TemplateError> {
        let expand = |text: &str| {
            if html {
                self.templates.expand_html(text, data, about.at)
            } else {
                self.templates.expand_text(text, data, about.at)
            }
        };
        Ok(match setting {
            Setting::Null => Value::Null,
            Setting::Bool(value) => json!(value),
            Setting::Number(value) => json!(value),
            Setting::Text(text) => json!(text),
            Setting::Template(text) => json!(expand(text)?),
            Setting::Secret { value, template: true } => json!(expand(value.expose())?),
            Setting::Secret { value, template: false } => json!(value.expose()),
            Setting::SecretFile(path) => json!(std::fs::read_to_string(path).unwrap_or_default().trim_end()),
            Setting::List(items) => Value::Array(
                items.iter().map(|item| self.fill(item, html, data, about)).collect::<Result<_, _>>()?,
            ),
            Setting::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|(name, value)| Ok((name.clone(), self.fill(value, html, data, about)?)))
                    .collect::<Result<_, template::TemplateError>>()?,
            ),
        })
    }
}
