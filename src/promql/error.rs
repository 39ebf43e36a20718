//! Errors of parsing and of evaluation.

use std::fmt;

use crate::ast::Span;

/// One mistake in the text of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Where.
    pub span: Span,
    /// What is wrong.
    pub message: String,
    /// What was probably meant.
    pub hint: Option<String>,
}

impl fmt::Display for ParseError {
    /// `1:5: parse error: MESSAGE; HINT`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: parse error: {}", self.span.line, self.span.column, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ParseError {}

/// Everything that is wrong with an expression; at least one mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseErrors(Vec<ParseError>);

impl ParseErrors {
    /// The mistakes found so far, sorted by place. `errors` is not empty.
    pub(crate) fn new(mut errors: Vec<ParseError>) -> Self {
        errors.sort_by_key(|e| e.span.start);
        ParseErrors(errors)
    }

    /// The mistakes in the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = &ParseError> {
        self.0.iter()
    }

    /// The first mistake.
    pub fn first(&self) -> &ParseError {
        &self.0[0]
    }
}

impl fmt::Display for ParseErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ParseErrors {}

/// Why an expression has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// It would need more samples than allowed.
    #[error(
        "query processing would load too many samples into memory: more than {max}; select fewer series or a shorter range"
    )]
    TooManySamples {
        /// How many are allowed.
        max: usize,
    },
    /// Somebody stopped it.
    #[error("query was canceled")]
    Canceled,
    /// It took too long.
    #[error("query timed out")]
    TimedOut,
    /// Samples cannot be read.
    #[error("{message}")]
    Storage {
        /// Which ones, and why.
        message: String,
    },
    /// The data do not fit the expression: two series where one is needed, a label name that is none.
    #[error("{message}{}", place(*.span))]
    Execution {
        /// What does not fit.
        message: String,
        /// The part of the expression it is about, if one can be named.
        span: Option<Span>,
    },
}

/// ` (LINE:COLUMN)`
fn place(span: Option<Span>) -> String {
    span.map(|span| format!(" ({}:{})", span.line, span.column)).unwrap_or_default()
}

impl EvalError {
    pub(crate) fn at(span: Span, message: impl Into<String>) -> Self {
        EvalError::Execution { message: message.into(), span: Some(span) }
    }

    /// The error without its place.
    pub fn message(&self) -> String {
        match self {
            EvalError::Execution { message, .. } => message.clone(),
            _ => self.to_string(),
        }
    }
}
