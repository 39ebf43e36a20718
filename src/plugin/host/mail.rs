//! Mail, for notifiers with a granted SMTP server. The host speaks the protocol and holds the password.

use ports::Mail;

use super::http::{no_answer, unanswered};
use super::{Call, Exchange, IDEMPOTENCY_KEY, limit};
use crate::limits::MAILS;
use crate::{ErrorKind, HostError};

const RECIPIENTS: usize = 100;

impl Call {
    /// Hands one mail to a granted server; the answer is its `Message-Id`.
    pub(crate) async fn mail_send(&self, server: &str, mail: Mail) -> Result<String, HostError> {
        let outcome = self.mail(server, mail).await;
        self.counted("mail", outcome)
    }

    async fn mail(&self, name: &str, mut mail: Mail) -> Result<String, HostError> {
        let server = self.terms.smtp.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.terms.smtp.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            HostError::new(
                ErrorKind::Denied,
                format!("the SMTP server `{name}` is not granted (granted: {known}); add it under `smtp:` in `allow:`"),
            )
        })?;
        let number = self.check_mail(&mail)?;
        // One notification has one key however often it is tried; its mails are told apart by their order.
        let key = self.http_headers.iter().find(|(name, _)| *name == IDEMPOTENCY_KEY);
        mail.id = key.map(|(_, key)| format!("{key}/{number}")).unwrap_or_default();
        let sent = self.in_time(self.profile.services.outgoing.mail(server, mail)).await;
        self.note_exchange(match &sent {
            Ok(Ok(_)) => Exchange::Status { status: 250, pause: None },
            Ok(Err(error)) => unanswered(error),
            Err(_) => Exchange::TimedOut,
        });
        sent?.map_err(no_answer)
    }

    /// Whether it may be sent; then the answer is the how many-th of the call it is.
    fn check_mail(&self, mail: &Mail) -> Result<u32, HostError> {
        let number = {
            let mut used = self.used();
            if used.mails >= MAILS {
                return Err(limit("mails", format!("more than {MAILS} mails in one call")));
            }
            used.mails += 1;
            used.mails
        };
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
        Ok(number)
    }
}
