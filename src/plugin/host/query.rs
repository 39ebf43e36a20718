//! PromQL for rules.
//!
//! An evaluation borrows its [`Query`], while a component's store and a script's thread own everything they touch. So
//! the plugin asks over a channel, and the evaluation itself answers: see [`serve`].

use std::time::Duration;

use model::{Matrix, Timestamp, Vector};
use ports::{Query, QueryError, QueryErrorKind, Steps};
use tokio::sync::{mpsc, oneshot};

use super::{Call, limit};
use crate::{ErrorKind, HostError};

/// The plugin's end.
#[derive(Clone)]
pub(crate) struct Asker(mpsc::Sender<Question>);

/// The evaluation's end.
pub(crate) struct Questions(mpsc::Receiver<Question>);

enum Question {
    Instant { expr: String, at: Timestamp, answer: oneshot::Sender<Result<Vector, QueryError>> },
    Range { expr: String, steps: Steps, answer: oneshot::Sender<Result<Matrix, QueryError>> },
}

impl Questions {
    /// Both ends. A plugin waits for each answer, so one place is enough.
    pub(crate) fn channel() -> (Asker, Questions) {
        let (ask, asked) = mpsc::channel(1);
        (Asker(ask), Questions(asked))
    }
}

/// Runs a plugin's call and answers its queries, until it is done.
pub(crate) async fn serve<T>(
    query: &dyn Query,
    mut questions: Questions,
    call: impl Future<Output = T>,
) -> T {
    let mut call = std::pin::pin!(call);
    loop {
        tokio::select! {
            biased;
            done = &mut call => return done,
            // With no question any more the sender is gone, and the call is about to end.
            Some(question) = questions.0.recv() => match question {
                // A plugin that does not wait for its answer has been stopped.
                Question::Instant { expr, at, answer } => drop(answer.send(query.instant(&expr, at).await)),
                Question::Range { expr, steps, answer } => drop(answer.send(query.range(&expr, steps).await)),
            },
        }
    }
}

impl Call {
    /// One value per series, at the evaluation's own time unless another is given.
    pub(crate) async fn query_instant(&self, expr: &str, at: Option<Timestamp>) -> Result<Vector, HostError> {
        let outcome = self.instant(expr, at.unwrap_or_else(|| self.now())).await;
        self.counted("query", outcome)
    }

    /// Values over time.
    pub(crate) async fn query_range(
        &self,
        expr: &str,
        start: Timestamp,
        end: Timestamp,
        step: Duration,
    ) -> Result<Matrix, HostError> {
        let outcome = self.range(expr, start, end, step).await;
        self.counted("query_range", outcome)
    }

    async fn instant(&self, expr: &str, at: Timestamp) -> Result<Vector, HostError> {
        let asker = self.ask()?;
        let (answer, answered) = oneshot::channel();
        let question = Question::Instant { expr: expr.to_owned(), at, answer };
        asker.0.send(question).await.map_err(|_| gone())?;
        let vector = self.in_time(answered).await?.map_err(|_| gone())?.map_err(|e| failed(expr, &e))?;
        self.samples(vector.len())?;
        Ok(vector)
    }

    async fn range(
        &self,
        expr: &str,
        start: Timestamp,
        end: Timestamp,
        step: Duration,
    ) -> Result<Matrix, HostError> {
        let asker = self.ask()?;
        let wrong = |message: &str| Err(HostError::new(ErrorKind::Permanent, message));
        if step.is_zero() {
            return wrong("`step` is zero; it must be a length of time such as `1m`");
        }
        if end < start {
            return wrong("`end` is before `start`");
        }
        let points = end.since(start).as_millis() / step.as_millis().max(1);
        if points > 11_000 {
            return Err(limit("steps", format!("{points} steps are more than 11000; ask for a wider step")));
        }
        let (answer, answered) = oneshot::channel();
        let question = Question::Range { expr: expr.to_owned(), steps: Steps { start, end, step }, answer };
        asker.0.send(question).await.map_err(|_| gone())?;
        let matrix = self.in_time(answered).await?.map_err(|_| gone())?.map_err(|e| failed(expr, &e))?;
        self.samples(matrix.iter().map(|series| series.floats.len()).sum())?;
        Ok(matrix)
    }

    fn ask(&self) -> Result<&Asker, HostError> {
        let asker = self.asker.as_ref().ok_or_else(|| {
            HostError::new(ErrorKind::Denied, "only rules may query; this call is not an evaluation")
        })?;
        let mut used = self.used();
        if used.queries >= self.limits.queries {
            return Err(limit("queries", format!("more than {} queries in one call", self.limits.queries)));
        }
        used.queries += 1;
        Ok(asker)
    }

    fn samples(&self, more: usize) -> Result<(), HostError> {
        let mut used = self.used();
        used.samples = used.samples.saturating_add(more);
        if used.samples > self.limits.samples {
            return Err(limit(
                "samples",
                format!("more than {} samples in the answers of one call", self.limits.samples),
            ));
        }
        Ok(())
    }
}

fn gone() -> HostError {
    HostError::new(ErrorKind::Retryable, "the evaluation was given up")
}

fn failed(expr: &str, error: &QueryError) -> HostError {
    let kind = match error.kind {
        QueryErrorKind::BadData | QueryErrorKind::Execution => ErrorKind::Permanent,
        QueryErrorKind::Timeout | QueryErrorKind::Canceled | QueryErrorKind::Internal => ErrorKind::Retryable,
    };
    HostError::new(kind, format!("query `{expr}`: {}", error.message))
}
