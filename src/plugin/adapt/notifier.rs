//! A notifier tells people or machines.

use std::sync::{Arc, OnceLock};

use model::{Notification, NotifiedAlert, Receipt};
use ports::{BoxFuture, Deadline, FailureReason, Notifier, NotifyError};
use sha2::{Digest, Sha256};

use crate::host::{Call, CallSetup, Exchange, IDEMPOTENCY_KEY, hex};
use crate::told::Told;
use crate::{CallError, ErrorKind, Fault, Plugin};

struct Integration(Arc<Plugin>);

/// `plugin` as an integration of receivers.
pub(crate) fn notifier(plugin: Arc<Plugin>) -> Arc<dyn Notifier> {
    Arc::new(Integration(plugin))
}

impl Notifier for Integration {
    fn notify<'a>(
        &'a self,
        notification: &'a Notification,
        attempt: u32,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Receipt, NotifyError>> {
        Box::pin(async move {
            let traceparent = traceparent(&notification.id, attempt);
            let told = Arc::new(Told::new(notification.clone(), attempt, traceparent));
            let setup = CallSetup {
                time: Some(deadline.left),
                settings: Arc::clone(&notification.settings),
                http_headers: vec![
                    ("traceparent", told.traceparent.clone()),
                    (IDEMPOTENCY_KEY, notification.id.to_string()),
                ],
                handed: size(notification),
                ..CallSetup::default()
            };
            let made: OnceLock<Arc<Call>> = OnceLock::new();
            let summary = |remember: &Option<String>| match remember {
                Some(remember) => format!("delivered, `{remember}`"),
                None => "delivered".to_owned(),
            };
            let outcome = self
                .0
                .call(setup, summary, |version, call| {
                    let _ = made.set(Arc::clone(&call));
                    async move { version.program.notify(call, told).await }
                })
                .await;
            let (exchange, may_have_arrived) = made.get().map(|call| call.exchanged()).unwrap_or_default();
            match outcome {
                Ok(remember) => {
                    let pause = match exchange {
                        Exchange::Status { pause, .. } => pause,
                        _ => None,
                    };
                    Ok(Receipt { remember, pause })
                }
                Err(error) => Err(refused_or_later(error, exchange, may_have_arrived)),
            }
        })
    }
}

/// About how many bytes a notification has.
fn size(notification: &Notification) -> usize {
    fn bytes<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> usize {
        pairs.map(|(name, text)| name.len() + text.len()).sum()
    }
    let alert = |alert: &NotifiedAlert| {
        bytes(alert.labels.iter()) + bytes(alert.annotations.iter()) + alert.generator_url.len() + ALERT_BYTES
    };
    let settings = notification.settings.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    notification.alerts.iter().map(alert).sum::<usize>() + bytes(settings)
}

/// Times, status and fingerprint of an alert.
const ALERT_BYTES: usize = 160;

/// What a failed call means for the message. Plugins say what to do; the host saw what was answered.
fn refused_or_later(error: CallError, exchange: Exchange, may_have_arrived: bool) -> NotifyError {
    let (message, after) = (error.to_string(), error.retry_after);
    let reason = reason(&error, exchange);
    match error.kind {
        ErrorKind::Retryable | ErrorKind::Limit => {
            NotifyError::Later { message, after, reason, may_have_arrived }
        }
        // An answer, whatever its status.
        ErrorKind::RateLimited => NotifyError::Later { message, after, reason, may_have_arrived: false },
        ErrorKind::Permanent | ErrorKind::Unauthorized | ErrorKind::Config | ErrorKind::Denied => {
            NotifyError::Refused { message, reason }
        }
    }
}

fn reason(error: &CallError, exchange: Exchange) -> FailureReason {
    match (error.kind, exchange) {
        (ErrorKind::RateLimited, _) => FailureReason::RateLimited,
        (ErrorKind::Unauthorized, _) => FailureReason::AuthError,
        _ if error.limit == Some("time") => FailureReason::ContextDeadlineExceeded,
        (_, Exchange::TimedOut) => FailureReason::ContextDeadlineExceeded,
        // Some services refuse with a 200 and say so in the body.
        (ErrorKind::Permanent, Exchange::Status { status: 200..300, .. })
            if error.fault == Fault::Reported =>
        {
            FailureReason::ClientError
        }
        (_, Exchange::Status { status, .. }) => {
            // Only what the plugin took for a request to wait is one.
            match FailureReason::of_status(status) {
                Some(FailureReason::RateLimited) => FailureReason::ClientError,
                reason => reason.unwrap_or(FailureReason::Other),
            }
        }
        _ => FailureReason::Other,
    }
}

/// A trace of its own for each notification, and a span for each attempt: the same on every replica.
fn traceparent(id: &str, attempt: u32) -> String {
    let trace = Sha256::digest(id.as_bytes());
    let span = Sha256::digest(format!("{id}/{attempt}").as_bytes());
    format!("00-{}-{}-01", hex(&trace[..16]), hex(&span[..8]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_fault_it_is() {
        let status = |status| Exchange::Status { status, pause: None };
        for (kind, fault, exchange, expected) in [
            (ErrorKind::Permanent, Fault::Reported, status(404), FailureReason::ClientError),
            (ErrorKind::Retryable, Fault::Reported, status(503), FailureReason::ServerError),
            (ErrorKind::Permanent, Fault::Reported, status(200), FailureReason::ClientError),
            (ErrorKind::Unauthorized, Fault::Reported, status(200), FailureReason::AuthError),
            (ErrorKind::RateLimited, Fault::Reported, status(200), FailureReason::RateLimited),
            (ErrorKind::Permanent, Fault::Broken, status(200), FailureReason::Other),
            (ErrorKind::Permanent, Fault::Reported, Exchange::Nothing, FailureReason::Other),
        ] {
            let error = CallError {
                plugin: "p".into(),
                function: "notify",
                kind,
                fault,
                message: String::new(),
                limit: None,
                retry_after: None,
                place: None,
            };
            assert_eq!(reason(&error, exchange), expected, "{kind:?} {fault:?} {exchange:?}");
        }
    }

    #[test]
    fn a_traceparent_is_the_same_for_the_same_attempt() {
        let first = traceparent("id", 1);
        assert_eq!(first.len(), 55);
        assert_eq!(first, traceparent("id", 1));
        assert_eq!(first[..36], traceparent("id", 2)[..36]);
        assert_ne!(first, traceparent("id", 2));
    }
}
