//! Mail, for notifiers with a granted SMTP server. The host speaks the protocol.

use crate::{Result, host};

/// One mail. `Message-Id`, `Date` and the MIME headers are the host's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The sender.
    pub from: String,
    /// The addressees.
    pub to: Vec<String>,
    /// In order.
    pub headers: Vec<(String, String)>,
    /// The body as plain text; may be empty.
    pub text: String,
    /// The body as HTML; may be empty.
    pub html: String,
}

/// Sends a mail through one of the operator's granted servers; returns its `Message-Id`.
pub fn send(server: &str, message: Message) -> Result<String> {
    host::mail_send(server, message)
}
