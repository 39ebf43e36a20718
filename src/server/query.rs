//! PromQL put together: parse, plan, select, evaluate; with limits, a concurrency cap and counters.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use api::{Queries, QueryAnswer, QueryRequest, QueryTimings};
use futures_util::FutureExt as _;
use model::{Matrix, SeriesReader, Timestamp, Vector, VectorSample};
use ports::{BoxFuture, Query, QueryError, QueryErrorKind, Select, Steps};
use promql::{EvalError, EvalOptions, Expr, NanoClock, ParseOptions, Range, Stop, Value};
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Parsed expressions that are kept; rules and dashboards ask the same ones again and again.
const PARSED_MAX: usize = 20_000;

/// So many samples and values at most are worked on at once, on the thread that asks: less than a millisecond. Larger work goes
/// to threads that may block.
const INLINE_MAX: usize = 40_000;

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
            ..EvalOptions::default()
        }
    }

    /// One query, counted; `timeout` is cut to what the server allows.
    async fn run(
        &self,
        text: &str,
        range: Range,
        options: EvalOptions,
        timeout: Option<Duration>,
    ) -> Result<QueryAnswer, QueryError> {
        let started = Instant::now();
        self.stats.running.fetch_add(1, Ordering::Relaxed);
        let outcome = self.bounded(text, range, options, timeout).await;
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
        options: EvalOptions,
        timeout: Option<Duration>,
    ) -> Result<QueryAnswer, QueryError> {
        let stop = options.stop.clone();
        let _guard = StopOnDrop(stop.clone());
        let timeout = timeout.unwrap_or(self.limits.timeout).min(self.limits.timeout);
        match tokio::time::timeout(timeout, self.evaluated(text, range, options)).await {
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

    async fn evaluated(
        &self,
        text: &str,
        range: Range,
        options: EvalOptions,
    ) -> Result<QueryAnswer, QueryError> {
        let began = Instant::now();
        let expr = self.parse(text)?;
        let mut data: Vec<Arc<dyn SeriesReader>> = Vec::new();
        for selection in promql::plan(&expr, range, &options) {
            let found = Arc::clone(&self.store).find(selection).await;
            data.push(
                found
                    .map_err(|error| QueryError { kind: QueryErrorKind::Internal, message: error.message })?,
            );
        }
        let prepared = began.elapsed();
        let inline = work_estimate(range, &data) <= INLINE_MAX;
        let evaluate = move || {
            let began = Instant::now();
            let answer = promql::eval(&expr, range, &data, &options);
            answer.map(|answer| (answer, began.elapsed())).map_err(|error| query_error(&error))
        };
        let outcome = if inline {
            catch_unwind(AssertUnwindSafe(evaluate)).ok()
        } else {
            tokio::task::spawn_blocking(evaluate).await.ok()
        };
        let (answer, evaluated) = outcome.unwrap_or_else(|| {
            Err(QueryError {
                kind: QueryErrorKind::Internal,
                message: "the evaluation broke off; this is a mistake in Foghorn".to_owned(),
            })
        })?;
        Ok(QueryAnswer { answer, timings: QueryTimings { queued: Duration::ZERO, prepared, evaluated } })
    }

    /// A query inside a template: evaluated at once, on this thread. Only for a store that answers without waiting.
    pub fn instant_now(&self, text: &str, at: Timestamp) -> Result<Vector, String> {
        let expr = self.parse(text).map_err(|error| error.message)?;
        let options = self.options(None);
        let range = Range::instant(at);
        let mut data = Vec::new();
        for selection in promql::plan(&expr, range, &options) {
            match Arc::clone(&self.store).find(selection).now_or_never() {
                Some(Ok(found)) => data.push(found),
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

/// About how many samples are read and values computed.
fn work_estimate(range: Range, data: &[Arc<dyn SeriesReader>]) -> usize {
    let span = range.end.as_millis().saturating_sub(range.start.as_millis());
    let steps = usize::try_from(span / range.step_ms.max(1)).unwrap_or(usize::MAX).saturating_add(1);
    let of = |reader: &Arc<dyn SeriesReader>| {
        reader.samples_estimate().saturating_add(reader.series_len().saturating_mul(steps))
    };
    data.iter().map(of).fold(steps, usize::saturating_add)
}

fn query_error(error: &EvalError) -> QueryError {
    let kind = match error {
        EvalError::TimedOut => QueryErrorKind::Timeout,
        EvalError::Canceled => QueryErrorKind::Canceled,
        EvalError::Storage { .. } => QueryErrorKind::Internal,
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
        Box::pin(async move {
            let options = self.options(None);
            vector_of(self.run(expr, Range::instant(at), options, None).await?.answer.value)
        })
    }

    fn range<'a>(&'a self, expr: &'a str, steps: Steps) -> BoxFuture<'a, Result<Matrix, QueryError>> {
        Box::pin(async move {
            let range = Range::new(steps.start, steps.end, steps.step);
            match self.run(expr, range, self.options(None), None).await?.answer.value {
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
    fn query<'a>(&'a self, request: QueryRequest) -> BoxFuture<'a, Result<QueryAnswer, QueryError>> {
        Box::pin(async move {
            let began = Instant::now();
            // Rules never wait here: they come in through `Query`.
            let waited = tokio::time::timeout(self.limits.timeout, self.gate.acquire()).await;
            let Ok(Ok(_permit)) = waited else {
                return Err(QueryError {
                    kind: QueryErrorKind::Timeout,
                    message: format!("{} queries are under way already; try again", self.limits.concurrency),
                });
            };
            let queued = began.elapsed();
            let mut options = self.options(request.lookback);
            options.per_step = request.stats;
            options.explain = request.explain.then(nano_clock);
            let mut answer = self.run(&request.expr, request.range, options, request.timeout).await?;
            answer.timings.queued = queued;
            Ok(answer)
        })
    }
}

/// Nanoseconds since now, for accounts.
fn nano_clock() -> NanoClock {
    let began = Instant::now();
    NanoClock::new(move || u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX))
}
