//! Why an attempt to tell somebody failed.

use std::fmt;
use std::time::Duration;

/// Why an attempt did not deliver.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotifyError {
    /// May work later: no answer, a server's own fault, too many requests.
    #[error("{message}")]
    Later {
        /// What happened.
        message: String,
        /// Not before this long from now, if the other side said so.
        after: Option<Duration>,
        /// Whose fault it is. [`FailureReason::RateLimited`]: the other side asked for time (HTTP 429).
        reason: FailureReason,
        /// Whether the other side may have accepted it all the same: nobody answered. An answer that is a refusal, or a
        /// connection that never stood, is certain.
        may_have_arrived: bool,
    },
    /// Will not work as it is: other statuses, a denied host, a configuration that is missing something.
    #[error("{message}")]
    Refused {
        /// What happened and what to do.
        message: String,
        /// Whose fault it is.
        reason: FailureReason,
    },
}

impl NotifyError {
    /// Whose fault it is.
    pub fn reason(&self) -> FailureReason {
        match self {
            NotifyError::Later { reason, .. } | NotifyError::Refused { reason, .. } => *reason,
        }
    }
}

/// Whose fault a failure is, in the words of Alertmanager's metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureReason {
    /// HTTP 4xx.
    ClientError,
    /// HTTP 401 and 403.
    AuthError,
    /// HTTP 429.
    RateLimited,
    /// HTTP 5xx.
    ServerError,
    /// The attempt was broken off: the server stops, or the integration is gone.
    ContextCanceled,
    /// No answer in time.
    ContextDeadlineExceeded,
    /// Anything else: no connection, a plugin that breaks, a configuration that is missing something.
    Other,
}

impl FailureReason {
    /// All of them.
    pub const ALL: [FailureReason; 7] = [
        FailureReason::ClientError,
        FailureReason::AuthError,
        FailureReason::RateLimited,
        FailureReason::ServerError,
        FailureReason::ContextCanceled,
        FailureReason::ContextDeadlineExceeded,
        FailureReason::Other,
    ];

    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            FailureReason::ClientError => "clientError",
            FailureReason::AuthError => "authError",
            FailureReason::RateLimited => "rateLimited",
            FailureReason::ServerError => "serverError",
            FailureReason::ContextCanceled => "contextCanceled",
            FailureReason::ContextDeadlineExceeded => "contextDeadlineExceeded",
            FailureReason::Other => "other",
        }
    }

    /// What an HTTP status means; `None` if it is none of a failure.
    pub fn of_status(status: u16) -> Option<FailureReason> {
        match status {
            401 | 403 => Some(FailureReason::AuthError),
            429 => Some(FailureReason::RateLimited),
            400..=499 => Some(FailureReason::ClientError),
            500..=599 => Some(FailureReason::ServerError),
            _ => None,
        }
    }
}

impl fmt::Display for FailureReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
