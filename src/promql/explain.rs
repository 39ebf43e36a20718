//! What an evaluation did: samples read, and an account of each part of the expression.
//!
//! Every [`crate::Answer`] carries [`QuerySamples`]. With [`crate::EvalOptions::per_step`] they are also counted by
//! step; with [`crate::EvalOptions::explain`] the answer holds an [`Explain`] tree. A pure room reads no clock: the
//! caller brings one, and a caller without one (tests) gives `NanoClock::none()`.
//!
//! ```
//! let expr = promql::parse("sum(rate(x[5m]))", &promql::ParseOptions::default()).unwrap();
//! let range = promql::Range::instant(model::Timestamp::from_secs(600));
//! let started = std::cell::Cell::new(0);
//! let options = promql::EvalOptions { explain: Some(promql::NanoClock::none()), ..Default::default() };
//! let answer = promql::eval(&expr, range, &[Vec::<model::Series>::new()], &options).unwrap();
//! let explain = answer.explain.unwrap();
//! assert_eq!(explain.text, "sum(rate(x[5m]))");
//! assert_eq!(explain.children[0].text, "rate(x[5m])");
//! # let _ = started.get();
//! ```

use std::fmt;
use std::sync::Arc;

use crate::Span;

/// A clock that only goes forward, in nanoseconds from any beginning.
#[derive(Clone)]
pub struct NanoClock(Arc<dyn Fn() -> u64 + Send + Sync>);

impl NanoClock {
    /// A clock that asks `now`.
    pub fn new(now: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        NanoClock(Arc::new(now))
    }

    /// A clock that stands still: everything is accounted for but time.
    pub fn none() -> Self {
        NanoClock::new(|| 0)
    }

    /// What it shows.
    pub fn now(&self) -> u64 {
        (self.0)()
    }
}

impl fmt::Debug for NanoClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NanoClock")
    }
}

/// How many samples a query looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuerySamples {
    /// The samples that selectors gave, of each step: a sample in the windows of ten steps counts ten times. A histogram
    /// counts as many as take its space.
    pub total: u64,
    /// The same for each step of the query, if [`crate::EvalOptions::per_step`] is set. The samples of subqueries stand at the last
    /// one.
    pub per_step: Vec<u64>,
    /// The most that were held at the same time.
    pub peak: u64,
    /// How many were read from the store: each once for every selector that needs it.
    pub read: u64,
}

/// One part of an expression, and what its evaluation took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explain {
    /// The part, as it is printed.
    pub text: String,
    /// Its place in the text of the query.
    pub span: Span,
    /// What it is: the name of a function or aggregation, an operator, `selector`, `range`, `subquery`, `number`,
    /// `string`, `parens`, `sign`.
    pub kind: &'static str,
    /// How many series came out; of a range, how many went in.
    pub series: u64,
    /// How many values came out, of all steps.
    pub values: u64,
    /// How many samples it and its children read from the store.
    pub samples: u64,
    /// The most samples that were held while it was evaluated.
    pub peak: u64,
    /// The time that it and its children took. Of a range: reading alone.
    pub nanos: u64,
    /// Its parts, in the order of their evaluation.
    pub children: Vec<Explain>,
}
