//! Mail: the host's side of e-mail notifiers.
//!
//! In: a mail in parts, and the server that takes it. Out: its `Message-Id`. The conversation with the server is in `smtp`.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use lettre::message::header::{self, HeaderName, HeaderValue, Headers};
use lettre::message::{Mailbox, Mailboxes, MultiPart, SinglePart};
use model::Timestamp;
use ports::{Clock as _, Mail, OutgoingError, SmtpServer};
use rustls::ClientConfig;
use sha2::{Digest as _, Sha256};

use crate::clock::SystemClock;
use crate::outgoing::tls_config;
use crate::smtp::{Envelope, hand_over};

const MESSAGE_ID: &str = "Message-ID";

/// For the whole conversation with the server.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Hands one mail to `server`. The answer is its `Message-Id`.
pub(crate) async fn send(server: &SmtpServer, mail: Mail) -> Result<String, OutgoingError> {
    let host = server.smarthost.rsplit_once(':').map_or("localhost", |(host, _)| host);
    let letter = compose(mail, host, SystemClock.now())?;
    let tls = if server.implicit_tls || server.require_tls { Some(prepared(server).await?) } else { None };
    match tokio::time::timeout(TIMEOUT, hand_over(server, tls.as_ref(), &letter.envelope, &letter.bytes))
        .await
    {
        Ok(outcome) => outcome.map(|()| letter.id),
        Err(_) => Err(OutgoingError::Timeout(TIMEOUT)),
    }
}

async fn prepared(server: &SmtpServer) -> Result<Arc<ClientConfig>, OutgoingError> {
    let options = server.tls.clone();
    // Reading the machine's certificate authorities takes a while.
    match tokio::task::spawn_blocking(move || tls_config(&options)).await {
        Ok(config) => config.map(Arc::new),
        Err(_) => {
            Err(OutgoingError::Invalid("TLS could not be prepared; this is a mistake in Foghorn".to_owned()))
        }
    }
}

/// A mail as it is handed over.
struct Letter {
    envelope: Envelope,
    id: String,
    bytes: Vec<u8>,
}

fn compose(mail: Mail, host: &str, now: Timestamp) -> Result<Letter, OutgoingError> {
    let envelope = Envelope {
        from: mailbox(&mail.from)?.email.to_string(),
        to: mail.to.iter().map(|to| Ok(mailbox(to)?.email.to_string())).collect::<Result<_, _>>()?,
    };
    let mut headers = Headers::new();
    for (name, value) in &mail.headers {
        let parsed = HeaderName::new_from_ascii(name.clone())
            .map_err(|_| OutgoingError::Invalid(format!("`{name}` is not a mail header")))?;
        // The parts say themselves what they are.
        if ["content-type", "content-transfer-encoding", "mime-version"]
            .iter()
            .any(|own| name.eq_ignore_ascii_case(own))
        {
            continue;
        }
        set(&mut headers, parsed, value);
    }
    let id = format!("<{}@{host}>", message_id(&mail.id));
    for (name, value) in [("From", &mail.from), ("To", &mail.to.join(", ")), (MESSAGE_ID, &id)] {
        if headers.get_raw(name).is_none() {
            set(&mut headers, HeaderName::new_from_ascii_str(name), value);
        }
    }
    if headers.get_raw("Date").is_none() {
        let since = Duration::from_millis(u64::try_from(now.as_millis()).unwrap_or(0));
        headers.set(header::Date::new(UNIX_EPOCH + since));
    }
    headers.set(header::MIME_VERSION_1_0);
    let id = headers.get_raw(MESSAGE_ID).unwrap_or(&id).to_owned();
    let parts = match (mail.text.is_empty(), mail.html.is_empty()) {
        (false, false) => MultiPart::alternative_plain_html(mail.text, mail.html).formatted(),
        (true, false) => SinglePart::html(mail.html).formatted(),
        _ => SinglePart::plain(mail.text).formatted(),
    };
    let mut bytes = headers.to_string().into_bytes();
    bytes.extend(parts);
    Ok(Letter { envelope, id, bytes })
}

fn mailbox(text: &str) -> Result<Mailbox, OutgoingError> {
    text.trim()
        .parse()
        .map_err(|error| OutgoingError::Invalid(format!("`{text}` is not a mail address: {error}")))
}

/// Addresses are encoded as such, so that only their names are; everything else as text.
fn set(headers: &mut Headers, name: HeaderName, value: &str) {
    let people = value.parse::<Mailboxes>();
    match (name.to_ascii_lowercase().as_str(), people) {
        ("from", Ok(people)) => headers.set(header::From::from(people)),
        ("to", Ok(people)) => headers.set(header::To::from(people)),
        ("cc", Ok(people)) => headers.set(header::Cc::from(people)),
        ("reply-to", Ok(people)) => headers.set(header::ReplyTo::from(people)),
        _ => headers.insert_raw(HeaderValue::new(name, value.to_owned())),
    }
}

/// The same for each attempt at the same message; of one that has no name, never the same.
fn message_id(id: &str) -> String {
    if id.is_empty() {
        return format!("{:032x}", rand::random::<u128>());
    }
    let digest = Sha256::digest(id.as_bytes());
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
