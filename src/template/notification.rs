//! Templates in messages: what they see.

use model::Notification;

/// What a message's template sees: `.Alerts`, `.CommonLabels`, `.Status`, …
#[derive(Clone, Debug)]
pub struct NotificationData {
    notification: Notification,
}

impl From<&Notification> for NotificationData {
    fn from(notification: &Notification) -> Self {
        NotificationData { notification: notification.clone() }
    }
}

impl NotificationData {
    /// The receiver's name.
    pub fn receiver(&self) -> &str {
        &self.notification.receiver
    }
}
