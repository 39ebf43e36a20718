//! The one error of plugins: what to do about it, and a text for people.

use std::fmt;
use std::time::Duration;

/// What a plugin's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// May work if tried again: timeouts, refused connections, HTTP 408, 425 and 5xx.
    Retryable,
    /// The other side asks for time: HTTP 429.
    RateLimited,
    /// Will never work as it is: other HTTP 4xx, an answer that makes no sense.
    Permanent,
    /// The credentials were refused: HTTP 401 and 403. Not tried again until the configuration or a secret changes.
    Unauthorized,
    /// A parameter is missing or wrong.
    Config,
    /// The operator has not granted this host, secret or file.
    Denied,
    /// A limit of the sandbox was reached.
    Limit,
}

/// Why a call failed. Write the message for the person who has to act: lower case, no full stop, what and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What to do about it.
    pub kind: ErrorKind,
    /// For people.
    pub message: String,
    /// Not before this long from now. Only with [`ErrorKind::RateLimited`] and [`ErrorKind::Retryable`].
    pub retry_after: Option<Duration>,
}

impl Error {
    /// An error of a kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), retry_after: None }
    }

    /// An error that may go away by itself.
    pub fn retryable(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::Retryable, message)
    }

    /// An error that stays until something is changed.
    pub fn permanent(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::Permanent, message)
    }

    /// A parameter is missing or wrong.
    pub fn config(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::Config, message)
    }

    /// The same error, with its place in front of the message.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Error::permanent(format!("not the JSON that was expected: {error}"))
    }
}
