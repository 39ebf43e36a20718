//! What parsing and evaluation are given, and what they answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use model::{Matrix, Timestamp, Vector};

use crate::{EvalError, Explain, NanoClock, QuerySamples};

/// Which parts of the language are allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseOptions {
    /// Functions and aggregations whose meaning may still change.
    pub experimental_functions: bool,
    /// Arithmetic where a duration stands: `x[2 * step()]`.
    pub duration_expressions: bool,
    /// `anchored` and `smoothed`.
    pub extended_selectors: bool,
    /// `fill`, `fill_left`, `fill_right`.
    pub fill_modifiers: bool,
}

impl ParseOptions {
    /// The whole language.
    pub fn all() -> Self {
        ParseOptions {
            experimental_functions: true,
            duration_expressions: true,
            extended_selectors: true,
            fill_modifiers: true,
        }
    }
}

impl Default for ParseOptions {
    /// What a server allows that was not told otherwise: the stable language.
    fn default() -> Self {
        ParseOptions {
            experimental_functions: false,
            duration_expressions: true,
            extended_selectors: false,
            fill_modifiers: false,
        }
    }
}

/// The times of evaluation: `start`, `start + step`, … up to and including `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first one.
    pub start: Timestamp,
    /// None is later.
    pub end: Timestamp,
    /// Distance in milliseconds; without meaning for one time.
    pub step_ms: i64,
}

impl Range {
    /// One time: an instant query.
    pub fn instant(at: Timestamp) -> Self {
        Range { start: at, end: at, step_ms: 0 }
    }

    /// Many times: a range query. A step below one millisecond counts as one.
    pub fn new(start: Timestamp, end: Timestamp, step: Duration) -> Self {
        Range { start, end, step_ms: i64::try_from(step.as_millis()).unwrap_or(i64::MAX).max(1) }
    }

    /// Whether this is an instant query: `step_ms` is 0 and there is one time.
    pub fn is_instant(self) -> bool {
        self.start == self.end && self.step_ms == 0
    }
}

/// The lookback that a server uses unless told otherwise: five minutes.
pub const fn lookback_default() -> Duration {
    Duration::from_secs(300)
}

/// How to evaluate.
#[derive(Clone, Debug)]
pub struct EvalOptions {
    /// How old the newest sample of a series may be to count as its value.
    pub lookback: Duration,
    /// How many samples may be in memory at a time, besides the data given.
    pub samples_max: usize,
    /// The step of subqueries that name none: the global evaluation interval.
    pub default_step: Duration,
    /// Whether metric names are dropped only from the final answer, so that `by (__name__)` works on the way.
    pub delayed_name_removal: bool,
    /// How the evaluation is ended early.
    pub stop: Stop,
    /// Whether [`QuerySamples::per_step`] is wanted.
    pub per_step: bool,
    /// Whether [`Answer::explain`] is wanted, and the clock for it.
    pub explain: Option<NanoClock>,
}

impl Default for EvalOptions {
    fn default() -> Self {
        EvalOptions {
            lookback: lookback_default(),
            samples_max: 50_000_000,
            default_step: Duration::from_secs(60),
            delayed_name_removal: false,
            stop: Stop::default(),
            per_step: false,
            explain: None,
        }
    }
}

/// Ends evaluations from outside. Clones speak to the same evaluations.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicU8>);

const RUNNING: u8 = 0;
const CANCELED: u8 = 1;
const TIMED_OUT: u8 = 2;

impl Stop {
    /// The caller no longer wants an answer.
    pub fn cancel(&self) {
        self.0.store(CANCELED, Ordering::Relaxed);
    }

    /// The time for an answer is over.
    pub fn time_out(&self) {
        self.0.store(TIMED_OUT, Ordering::Relaxed);
    }

    /// An error if the evaluation has to end.
    pub(crate) fn check(&self) -> Result<(), EvalError> {
        match self.0.load(Ordering::Relaxed) {
            RUNNING => Ok(()),
            TIMED_OUT => Err(EvalError::TimedOut),
            _ => Err(EvalError::Canceled),
        }
    }
}

/// The answer to a query.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// What was found.
    pub value: Value,
    /// What may make it wrong, each with its place in the expression.
    pub warnings: Vec<String>,
    /// What is worth knowing, each with its place in the expression.
    pub infos: Vec<String>,
    /// How many samples it took.
    pub samples: QuerySamples,
    /// The account of the evaluation, if [`EvalOptions::explain`] asks for it.
    pub explain: Option<Explain>,
}

/// What an expression evaluates to.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number, of an instant query.
    Scalar {
        /// The time of evaluation.
        at: Timestamp,
        /// The number.
        value: f64,
    },
    /// A text.
    String {
        /// The time of evaluation.
        at: Timestamp,
        /// The text.
        value: String,
    },
    /// One value for each of many series, of an instant query. In the order that `sort` and `topk` give.
    Vector(Vector),
    /// Samples over time, of a range query or of an instant query for a range vector. Sorted by labels.
    Matrix(Matrix),
}
