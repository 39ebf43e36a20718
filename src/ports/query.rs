//! Asking PromQL.

use std::time::Duration;

use model::{Matrix, Timestamp, Vector};

use crate::BoxFuture;

/// What scripts and components ask: plan, select and evaluate in one.
pub trait Query: Send + Sync {
    /// One value per series at `at`. A scalar is one sample without labels; a string is an error.
    fn instant<'a>(&'a self, expr: &'a str, at: Timestamp) -> BoxFuture<'a, Result<Vector, QueryError>>;
    /// Values over time.
    fn range<'a>(&'a self, expr: &'a str, steps: Steps) -> BoxFuture<'a, Result<Matrix, QueryError>>;
}

/// The evaluation times of a range query: `start`, `start + step`, … up to and including `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    /// The first.
    pub start: Timestamp,
    /// Not after this.
    pub end: Timestamp,
    /// From one to the next; more than zero.
    pub step: Duration,
}

/// What to do about a failed query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QueryErrorKind {
    /// The expression or a parameter is wrong.
    BadData,
    /// It was right, and could not be computed: a limit, an ambiguous match.
    Execution,
    /// It took too long.
    Timeout,
    /// Nobody waits for the answer any more.
    Canceled,
    /// The store failed.
    Internal,
}

/// A query without an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct QueryError {
    /// What to do about it.
    pub kind: QueryErrorKind,
    /// What happened, with the place in the expression where there is one.
    pub message: String,
}
