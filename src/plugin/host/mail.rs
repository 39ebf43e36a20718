//! Mail, for notifiers with a granted SMTP server. The host speaks the protocol and holds the password.

use ports::Mail;

use super::http::unanswered;
use super::{Call, Exchange, limit};
use crate::limits::MAILS;
use crate::{ErrorKind, HostError};

const RECIPIENTS: usize = 100;

impl Call {
    /// Hands one mail to a granted server; the answer is its `Message-Id`.
    pub(crate) async fn mail_send(&self, server: &str, mail: Mail) -> Result<String, HostError> {
        let outcome = self.mail(server, mail).await;
        self.counted("mail", outcome)
    }

    async fn mail(&self, name: &str, mail: Mail) -> Result<String, HostError> {
        let server = self.smtp.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.smtp.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            HostError::new(
                ErrorKind::Denied,
                format!("the SMTP server `{name}` is not granted (granted: {known}); add it under `smtp:` in `allow:`"),
            )
        })?;
        self.check_mail(&mail)?;
        let sent = self.in_time(self.profile.services.outgoing.mail(server, mail)).await;
        self.note_exchange(match &sent {
            Ok(Ok(_)) => Exchange::Status { status: 250, pause: None },
            Ok(Err(error)) => unanswered(error),
            Err(_) => Exchange::TimedOut,
        });
        sent?.map_err(|error| {
            let kind = match &error {
                ports::OutgoingError::Denied(_) => ErrorKind::Denied,
                ports::OutgoingError::Invalid(_) => ErrorKind::Permanent,
                _ => ErrorKind::Retryable,
            };
            HostError::new(kind, error.to_string())
        })
    }

    fn check_mail(&self, mail: &Mail) -> Result<(), HostError> {
        {
            let mut used = self.used();
            if used.mails >= MAILS {
                return Err(limit("mails", format!("more than {MAILS} mails in one call")));
            }
            used.mails += 1;
        }
        let size = mail.text.len() + mail.html.len();
        if size > self.limits.request_bytes {
            return Err(limit(
                "request_bytes",
                format!("a mail of {size} bytes; {} are allowed", self.limits.request_bytes),
            ));
        }
        if mail.to.is_empty() {
            return Err(HostError::new(ErrorKind::Config, "the mail has no recipient"));
        }
        if mail.to.len() > RECIPIENTS {
            return Err(limit("recipients", format!("more than {RECIPIENTS} recipients of one mail")));
        }
        let breaks = |text: &str| text.contains(['\r', '\n', '\0']);
        let broken = mail.headers.iter().any(|(n, v)| n.is_empty() || breaks(n) || breaks(v))
            || breaks(&mail.from)
            || mail.to.iter().any(|to| breaks(to));
        if broken {
            return Err(HostError::new(
                ErrorKind::Permanent,
                "an address or a header of the mail has a line break in it",
            ));
        }
        Ok(())
    }
}
