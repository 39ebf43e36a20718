//! What can go wrong with a plugin: while it is loaded, and in a call.

use std::fmt;
use std::time::Duration;

/// What to do about an error of a call: the same seven answers in both languages and in `wit/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// May work if tried again; also traps, time-outs and scripts that end in an error.
    Retryable,
    /// The other side asks for time.
    RateLimited,
    /// Will never work as it is.
    Permanent,
    /// The credentials were refused.
    Unauthorized,
    /// A parameter is missing or wrong.
    Config,
    /// The operator has not granted this host, secret or file.
    Denied,
    /// A limit of the sandbox was reached.
    Limit,
}

impl ErrorKind {
    /// The name that scripts and `wit/` use.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorKind::Retryable => "retryable",
            ErrorKind::RateLimited => "rate-limited",
            ErrorKind::Permanent => "permanent",
            ErrorKind::Unauthorized => "unauthorized",
            ErrorKind::Config => "config",
            ErrorKind::Denied => "denied",
            ErrorKind::Limit => "limit",
        }
    }

    /// The kind of this name.
    pub fn parse(name: &str) -> Option<ErrorKind> {
        [
            ErrorKind::Retryable,
            ErrorKind::RateLimited,
            ErrorKind::Permanent,
            ErrorKind::Unauthorized,
            ErrorKind::Config,
            ErrorKind::Denied,
            ErrorKind::Limit,
        ]
        .into_iter()
        .find(|kind| kind.as_str() == name)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a host function answers when it cannot do what it was asked, and what a plugin returns.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct HostError {
    /// What to do about it.
    pub kind: ErrorKind,
    /// For people. Holds no secret.
    pub message: String,
    /// Not before this long from now.
    pub retry_after: Option<Duration>,
    /// The limit of the sandbox that was reached, with [`ErrorKind::Limit`].
    pub limit: Option<&'static str>,
}

impl HostError {
    /// An error without a time to wait.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        HostError { kind, message: message.into(), retry_after: None, limit: None }
    }

    /// The limit `name` was reached.
    pub fn limit(name: &'static str, message: impl Into<String>) -> Self {
        HostError { limit: Some(name), ..HostError::new(ErrorKind::Limit, message) }
    }
}

/// A place in a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Who is to blame for a failed call: it decides whether a plugin is put into quarantine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The plugin answered with an error: the world outside it did not do its part.
    Reported,
    /// The plugin broke: a trap, a script that ends in an error, an answer that makes no sense.
    Broken,
    /// The sandbox stopped it.
    Stopped,
}

/// A failed call of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallError {
    /// The plugin's name.
    pub plugin: String,
    /// The function that was called.
    pub function: &'static str,
    /// What to do about it.
    pub kind: ErrorKind,
    /// Who is to blame.
    pub fault: Fault,
    /// What happened, without plugin and function.
    pub message: String,
    /// The limit that was reached: `cpu`, `memory`, `time`, …
    pub limit: Option<&'static str>,
    /// Not before this long from now.
    pub retry_after: Option<Duration>,
    /// File and place in a script.
    pub place: Option<Box<(String, Place)>>,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plugin `{}`, `{}`: {}", self.plugin, self.function, self.message)?;
        if let Some(limit) = self.limit {
            write!(f, " (limit `{limit}`)")?;
        }
        if let Some((file, place)) = self.place.as_deref() {
            write!(f, " at {file}:{place}")?;
        }
        Ok(())
    }
}

impl std::error::Error for CallError {}

/// Why a plugin was not loaded. The version that ran before goes on running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    /// The file, or `bundled:NAME`.
    pub file: String,
    /// Where in it, if it is a script and the place is known.
    pub place: Option<Place>,
    /// What is wrong.
    pub message: String,
    /// What to do: for missing grants the YAML to paste.
    pub hint: Option<String>,
    /// Whether nothing is wrong with the plugin but that it is not granted what it asks for.
    pub ungranted: bool,
}

impl LoadError {
    /// An error about the file as a whole.
    pub fn new(file: impl Into<String>, message: impl Into<String>) -> Self {
        LoadError { file: file.into(), place: None, message: message.into(), hint: None, ungranted: false }
    }

    /// The same, with what to do.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(place) = self.place {
            write!(f, ":{place}")?;
        }
        write!(f, ": {}", self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for LoadError {}
