//! What notifiers may call: HTTP, mail, signatures, and saying how it went.

use ports::Mail;
use rhai::{Array, Dynamic, Engine, EvalAltResult, Map};

use super::convert::{seconds, to_text};
use super::fault::{throw, thrown};
use super::http;
use super::running::{call, wait};
use crate::host::hex;
use crate::{ErrorKind, HostError};

type Outcome<T> = Result<T, Box<EvalAltResult>>;

pub(super) fn register(engine: &mut Engine) {
    http::register(engine);
    engine
        .register_fn("hmac_sha256", |secret: &str, text: &str| {
            call()?.hmac_sha256(secret, text.as_bytes()).map(|mac| hex(&mac)).map_err(thrown)
        })
        .register_fn("mail", |server: &str, message: Map| {
            let call = call()?;
            wait(call.mail_send(server, mail(&message)?))
        })
        .register_fn("retry", |message: Dynamic| retry(&message, None))
        .register_fn("retry", |message: Dynamic, after: Dynamic| retry(&message, Some(&after)))
        .register_fn("fail", |message: Dynamic| -> Outcome<()> {
            Err(throw(ErrorKind::Permanent, to_text(&message)))
        });
}

fn retry(message: &Dynamic, after: Option<&Dynamic>) -> Outcome<()> {
    let retry_after = after.map(seconds).transpose()?;
    Err(thrown(HostError { retry_after, ..HostError::new(ErrorKind::Retryable, to_text(message)) }))
}

fn mail(message: &Map) -> Outcome<Mail> {
    let mut mail = Mail::default();
    for (name, value) in message {
        match name.as_str() {
            "from" => mail.from = to_text(value),
            "to" => mail.to = recipients(value),
            "headers" => {
                let headers = value
                    .read_lock::<Map>()
                    .ok_or_else(|| throw(ErrorKind::Permanent, "the `headers` of a mail are a map"))?;
                mail.headers =
                    headers.iter().map(|(name, value)| (name.to_string(), to_text(value))).collect();
            }
            "subject" => mail.headers.push(("Subject".to_owned(), to_text(value))),
            "text" => mail.text = to_text(value),
            "html" => mail.html = to_text(value),
            other => {
                return Err(throw(
                    ErrorKind::Permanent,
                    format!("a mail has no `{other}`; known: from, to, subject, headers, text, html"),
                ));
            }
        }
    }
    Ok(mail)
}

/// A list, or a text with commas as Alertmanager's `to` has it.
fn recipients(value: &Dynamic) -> Vec<String> {
    match value.read_lock::<Array>() {
        Some(items) => items.iter().map(to_text).collect(),
        None => {
            to_text(value).split(',').map(|to| to.trim().to_owned()).filter(|to| !to.is_empty()).collect()
        }
    }
}
