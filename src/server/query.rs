//! PromQL put together: parse, plan, select, evaluate; with limits, a concurrency cap and counters.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use api::{Queries, QueryRequest};
use futures_util::FutureExt as _;
use model::{Matrix, Series, Timestamp, Vector, VectorSample};
use ports::{BoxFuture, Query, QueryError, QueryErrorKind, Select, Steps};
use promql::{Answer, EvalError, EvalOptions, Expr, ParseOptions, Range, Stop, Value};
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Parsed expressions that are kept; rules and dashboards ask the same ones again and again.
const PARSED_MAX: usize = 20_000;

/// What bounds a query.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryLimits {
    /// How old the newest sample of a series may be to count.
    pub lookback: Duration,
    /// Samples in memory.
    pub samples_max: usize,
    /// Time for one query.
    pub timeout: Duration,
    /// Queries from outside at the same time; rules do not wait for them.
    pub concurrency: usize,
    /// Whether metric names are dropped only from the final answer.
    pub delayed_name_removal: bool,
}

impl Default for QueryLimits {
    fn default() -> Self {
        QueryLimits {
            lookback: promql::lookback_default(),
            samples_max: 50_000_000,
            timeout: Duration::from_secs(120),
            concurrency: 20,
            delayed_name_removal: false,
        }
    }
}

/// Counters of the engine.
#[derive(Debug, Default)]
pub struct QueryStats {
    /// Queries under way.
    pub running: AtomicU64,
    /// Queries answered.
    pub done: AtomicU64,
    /// Queries that failed.
    pub failed: AtomicU64,
    /// Microseconds spent, in all.
    pub micros: AtomicU64,
}

/// Answers PromQL over a store.
pub struct QueryEngine {
    store: Arc<dyn Select>,
    limits: QueryLimits,
    parse_options: ParseOptions,
    default_step: RwLock<Duration>,
    gate: Semaphore,
    parsed: Mutex<HashMap<String, Arc<Expr>>>,
    /// How it is doing.
    pub stats: QueryStats,
}

/// Stops the evaluation when the one who waits for it goes away.
struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl QueryEngine {
    /// An engine over `store`.
    pub fn new(store: Arc<dyn Select>, limits: QueryLimits, parse_options: ParseOptions) -> Self {
        let gate = Semaphore::new(limits.concurrency.max(1));
        QueryEngine {
            store,
            limits,
            parse_options,
            default_step: RwLock::new(Duration::from_secs(60)),
            gate,
            parsed: Mutex::default(),
            stats: QueryStats::default(),
        }
    }

    /// The step of subqueries that name none: the global evaluation interval.
    pub fn set_default_step(&self, step: Duration) {
        *self.default_step.write().unwrap_or_else(PoisonError::into_inner) = step;
    }

    fn parse(&self, text: &str) -> Result<Arc<Expr>, QueryError> {
        if let Some(expr) = self.parsed.lock().unwrap_or_else(PoisonError::into_inner).get(text) {
            return Ok(Arc::clone(expr));
        }
        let expr = promql::parse(text, &self.parse_options).map_err(|errors| QueryError {
            kind: QueryErrorKind::BadData,
            message: format!("invalid parameter \"query\": {errors}"),
        })?;
        let expr = Arc::new(expr);
        let mut parsed = self.parsed.lock().unwrap_or_else(PoisonError::into_inner);
        if parsed.len() >= PARSED_MAX {
            parsed.clear();
        }
        parsed.insert(text.to_owned(), Arc::clone(&expr));
        Ok(expr)
    }

    fn options(&self, lookback: Option<Duration>) -> EvalOptions {
        EvalOptions {
            lookback: lookback.unwrap_or(self.limits.lookback),
            samples_max: self.limits.samples_max,
            default_step: *self.default_step.read().unwrap_or_else(PoisonError::into_inner),
            delayed_name_removal: self.limits.delayed_name_removal,
            ..EvalOptions::default()
        }
    }

    /// One query; `timeout` is cut to what the server allows.
    async fn run(
        &self,
        text: &str,
        range: Range,
        lookback: Option<Duration>,
        timeout: Option<Duration>,
    ) -> Result<Answer, QueryError> {
        let started = Instant::now();
        self.stats.running.fetch_add(1, Ordering::Relaxed);
        let outcome = self.bounded(text, range, lookback, timeout).await;
        self.stats.running.fetch_sub(1, Ordering::Relaxed);
        self.stats.done.fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.stats.micros.fetch_add(micros, Ordering::Relaxed);
        if outcome.is_err() {
            self.stats.failed.fetch_add(1, Ordering::Relaxed);
        }
        outcome
    }

    async fn bounded(
        &self,
        text: &str,
        range: Range,
        lookback: Option<Duration>,
        timeout: Option<Duration>,
    ) -> Result<Answer, QueryError> {
        let expr = self.parse(text)?;
        let options = self.options(lookback);
        let stop = options.stop.clone();
        let _guard = StopOnDrop(stop.clone());
        let timeout = timeout.unwrap_or(self.limits.timeout).min(self.limits.timeout);
        let work = async {
            let mut data: Vec<Vec<Series>> = Vec::new();
            for selection in promql::plan(&expr, range, &options) {
                let set = self
                    .store
                    .select(&selection)
                    .await
                    .map_err(|error| QueryError { kind: QueryErrorKind::Internal, message: error.message })?;
                data.push(set.series);
            }
            let expr = Arc::clone(&expr);
            let evaluated =
                tokio::task::spawn_blocking(move || promql::eval(&expr, range, &data, &options)).await;
            match evaluated {
                Ok(outcome) => outcome.map_err(|error| query_error(&error)),
                Err(_) => Err(QueryError {
                    kind: QueryErrorKind::Internal,
                    message: "the evaluation broke off; this is a mistake in Foghorn".to_owned(),
                }),
            }
        };
        match tokio::time::timeout(timeout, work).await {
            Ok(outcome) => outcome,
            Err(_) => {
                stop.time_out();
                Err(QueryError {
                    kind: QueryErrorKind::Timeout,
                    message: format!(
                        "the query took longer than {}; narrow its selectors or its range",
                        model::format_duration(timeout)
                    ),
                })
            }
        }
    }

    /// A query inside a template: evaluated at once, on this thread. Only for a store that answers without waiting.
    pub fn instant_now(&self, text: &str, at: Timestamp) -> Result<Vector, String> {
        let expr = self.parse(text).map_err(|error| error.message)?;
        let options = self.options(None);
        let range = Range::instant(at);
        let mut data = Vec::new();
        for selection in promql::plan(&expr, range, &options) {
            match self.store.select(&selection).now_or_never() {
                Some(Ok(set)) => data.push(set.series),
                Some(Err(error)) => return Err(error.message),
                None => {
                    return Err(
                        "the store does not answer at once; queries in templates need a local one".to_owned()
                    );
                }
            }
        }
        let answer = promql::eval(&expr, range, &data, &options).map_err(|error| error.to_string())?;
        vector_of(answer.value).map_err(|error| error.message)
    }
}

fn query_error(error: &EvalError) -> QueryError {
    let kind = match error {
        EvalError::TimedOut => QueryErrorKind::Timeout,
        EvalError::Canceled => QueryErrorKind::Canceled,
        _ => QueryErrorKind::Execution,
    };
    QueryError { kind, message: error.to_string() }
}

fn vector_of(value: Value) -> Result<Vector, QueryError> {
    let wrong = |what: &str| QueryError {
        kind: QueryErrorKind::BadData,
        message: format!("the expression gives a {what}; one value per series or a number is needed"),
    };
    match value {
        Value::Vector(vector) => Ok(vector),
        Value::Scalar { at, value } => {
            Ok(vec![VectorSample { labels: model::Labels::empty(), at, value: value.into() }])
        }
        Value::String { .. } => Err(wrong("string")),
        Value::Matrix(_) => Err(wrong("range vector")),
    }
}

impl Query for QueryEngine {
    fn instant<'a>(&'a self, expr: &'a str, at: Timestamp) -> BoxFuture<'a, Result<Vector, QueryError>> {
        Box::pin(async move { vector_of(self.run(expr, Range::instant(at), None, None).await?.value) })
    }

    fn range<'a>(&'a self, expr: &'a str, steps: Steps) -> BoxFuture<'a, Result<Matrix, QueryError>> {
        Box::pin(async move {
            let range = Range::new(steps.start, steps.end, steps.step);
            match self.run(expr, range, None, None).await?.value {
                Value::Matrix(matrix) => Ok(matrix),
                _ => Err(QueryError {
                    kind: QueryErrorKind::BadData,
                    message: "the expression gives no values over time".to_owned(),
                }),
            }
        })
    }
}

impl Queries for QueryEngine {
    fn query<'a>(&'a self, request: QueryRequest) -> BoxFuture<'a, Result<Answer, QueryError>> {
        Box::pin(async move {
            // Rules never wait here: they come in through `Query`.
            let waited = tokio::time::timeout(self.limits.timeout, self.gate.acquire()).await;
            let Ok(Ok(_permit)) = waited else {
                return Err(QueryError {
                    kind: QueryErrorKind::Timeout,
                    message: format!("{} queries are under way already; try again", self.limits.concurrency),
                });
            };
            self.run(&request.expr, request.range, request.lookback, request.timeout).await
        })
    }
}
