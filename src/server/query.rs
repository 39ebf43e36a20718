//! PromQL put together: parse, plan, select, evaluate; with limits, a concurrency cap and counters.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use api::{Queries, QueryAnswer, QueryRequest, QueryTimings};
use futures_util::FutureExt as _;
use model::{METRIC_NAME, Matcher, Matrix, Selection, SeriesReader, Timestamp, Vector, VectorSample};
use ports::{BoxFuture, Clock, Query, QueryError, QueryErrorKind, Row, Select, SelectError, Steps};
use promql::{
    EvalError, EvalOptions, Expr, NanoClock, Node, ParseOptions, Plan, Range, Stop, Value, ValueKind,
};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::metrics::Points;
use crate::query_log::{AskedBy, LoggedQuery, QueryLog};
use crate::summary::Summary;

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
    /// Samples that answers were computed from.
    pub samples: AtomicU64,
    pub(crate) queued: Summary,
    pub(crate) prepared: Summary,
    pub(crate) evaluated: Summary,
}

impl QueryStats {
    fn note(&self, answer: &QueryAnswer) {
        self.samples.fetch_add(answer.answer.samples.total, Ordering::Relaxed);
        self.queued.observe(answer.timings.queued);
        self.prepared.observe(answer.timings.prepared);
        self.evaluated.observe(answer.timings.evaluated);
    }

    /// Under Prometheus' names.
    pub(crate) fn points(&self, points: &mut Points) {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        points.count("prometheus_engine_queries", &[], of(&self.running));
        points.count("prometheus_engine_query_samples_total", &[], of(&self.samples));
        for (slice, summary) in
            [("queue_time", &self.queued), ("prepare_time", &self.prepared), ("inner_eval", &self.evaluated)]
        {
            summary.points("prometheus_engine_query_duration_seconds", &[("slice", slice)], points);
        }
        points.count("foghorn_query_done_total", &[], of(&self.done));
        points.count("foghorn_query_failed_total", &[], of(&self.failed));
        let seconds = Duration::from_micros(of(&self.micros)).as_secs_f64();
        points.add("foghorn_query_seconds_total", &[], seconds);
    }
}

/// Answers PromQL over a store.
pub struct QueryEngine {
    store: Arc<dyn Select>,
    limits: QueryLimits,
    parse_options: ParseOptions,
    default_step: RwLock<Duration>,
    gate: Semaphore,
    parsed: Mutex<HashMap<String, Arc<Expr>>>,
    clock: Arc<dyn Clock>,
    /// Where queries are written down.
    pub(crate) log: QueryLog,
    /// How it is doing.
    pub stats: Arc<QueryStats>,
}

/// One query, and who asks.
struct Asked<'a> {
    expr: &'a str,
    range: Range,
    by: AskedBy<'a>,
    options: EvalOptions,
    /// Cut to what the server allows.
    timeout: Option<Duration>,
    /// How long it has waited for its turn.
    queued: Duration,
    /// What was selected already at this time.
    memo: Option<&'a Memo>,
}

/// The engine for the rules of one group at one time: what several of them select is looked up once.
pub(crate) struct RuleQuery<'a> {
    engine: &'a QueryEngine,
    by: AskedBy<'a>,
    memo: Memo,
}

impl RuleQuery<'_> {
    /// Forgets what rows that a rule stores may add to: a later rule may ask for it.
    pub(crate) fn forget(&self, rows: &[Row]) {
        let names: BTreeSet<&str> = rows.iter().map(|row| row.labels.metric_name()).collect();
        let touched = |selection: &Selection| {
            let of_name = || selection.matchers.iter().filter(|matcher| matcher.name() == METRIC_NAME);
            names.iter().any(|name| of_name().all(|matcher| matcher.matches(name)))
        };
        let mut found = self.memo.0.lock().unwrap_or_else(PoisonError::into_inner);
        found.retain(|_, (selection, _)| !touched(selection));
    }
}

/// Selections by their hash, and what was found.
#[derive(Default)]
struct Memo(Mutex<HashMap<u64, (Selection, Arc<dyn SeriesReader>)>>);

impl Memo {
    fn key(selection: &Selection) -> u64 {
        let mut hasher = DefaultHasher::new();
        (selection.start.as_millis(), selection.end.as_millis()).hash(&mut hasher);
        for matcher in &selection.matchers {
            (matcher.name(), matcher.op(), matcher.pattern()).hash(&mut hasher);
        }
        hasher.finish()
    }

    async fn find(
        &self,
        store: &Arc<dyn Select>,
        selection: Selection,
    ) -> Result<Arc<dyn SeriesReader>, SelectError> {
        let key = Memo::key(&selection);
        {
            let found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, reader)) = found.get(&key).filter(|(same, _)| *same == selection) {
                return Ok(Arc::clone(reader));
            }
        }
        let reader = Arc::clone(store).find(selection.clone()).await?;
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        found.insert(key, (selection, Arc::clone(&reader)));
        Ok(reader)
    }
}

/// Counts a query as under way: while somebody waits for it, and until its evaluation has ended.
struct Counted {
    stats: Arc<QueryStats>,
    started: Instant,
}

impl Counted {
    fn new(stats: &Arc<QueryStats>) -> Arc<Self> {
        stats.running.fetch_add(1, Ordering::Relaxed);
        Arc::new(Counted { stats: Arc::clone(stats), started: Instant::now() })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.stats.running.fetch_sub(1, Ordering::Relaxed);
        self.stats.done.fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.stats.micros.fetch_add(micros, Ordering::Relaxed);
    }
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
    pub fn new(
        store: Arc<dyn Select>,
        limits: QueryLimits,
        parse_options: ParseOptions,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let gate = Semaphore::new(limits.concurrency.max(1));
        QueryEngine {
            store,
            limits,
            parse_options,
            default_step: RwLock::new(Duration::from_secs(60)),
            gate,
            parsed: Mutex::default(),
            clock,
            log: QueryLog::default(),
            stats: Arc::default(),
        }
    }

    /// Asks for a rule of this group: the query log names it.
    pub(crate) fn for_rules<'a>(&'a self, file: &'a str, group: &'a str) -> RuleQuery<'a> {
        RuleQuery { engine: self, by: AskedBy::Rule { file, group }, memo: Memo::default() }
    }

    /// What it does and did, and its limits, as metrics.
    pub(crate) fn points(&self, points: &mut Points) {
        self.stats.points(points);
        points.count("prometheus_engine_queries_concurrent_max", &[], self.limits.concurrency as u64);
        points.count("prometheus_engine_query_log_enabled", &[], u64::from(self.log.is_on()));
        points.count("prometheus_engine_query_log_failures_total", &[], self.log.failures());
    }

    /// The step of subqueries that name none: the global evaluation interval.
    pub fn set_default_step(&self, step: Duration) {
        *self.default_step.write().unwrap_or_else(PoisonError::into_inner) = step;
    }

    /// The matchers of each selector of an expression; `None` if it is none.
    pub(crate) fn selectors(&self, text: &str) -> Option<Vec<Vec<Matcher>>> {
        let expr = self.parse(text).ok()?;
        let mut plan = Plan::new(&expr, Range::instant(Timestamp::from_secs(0)), &self.options(None)).ok()?;
        Some(plan.take_selections().into_iter().map(|selection| selection.matchers).collect())
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

    /// One query, counted and written down.
    async fn run(&self, asked: Asked<'_>) -> Result<QueryAnswer, QueryError> {
        let mut outcome = self.bounded(&asked).await;
        match &mut outcome {
            Ok(answer) => {
                answer.timings.queued = asked.queued;
                self.stats.note(answer);
            }
            Err(_) => {
                self.stats.failed.fetch_add(1, Ordering::Relaxed);
            }
        }
        // What cannot be understood is not a query yet: it would fill the log with somebody's typing.
        let understood = !outcome.as_ref().is_err_and(|error| error.kind == QueryErrorKind::BadData);
        if self.log.is_on() && understood {
            self.log.write(&LoggedQuery {
                at: self.clock.now(),
                expr: asked.expr,
                range: asked.range,
                by: asked.by,
                outcome: outcome.as_ref(),
            });
        }
        outcome
    }

    async fn bounded(&self, asked: &Asked<'_>) -> Result<QueryAnswer, QueryError> {
        let stop = asked.options.stop.clone();
        let _guard = StopOnDrop(stop.clone());
        let timeout = asked.timeout.unwrap_or(self.limits.timeout).min(self.limits.timeout);
        let rest = timeout.saturating_sub(asked.queued);
        match tokio::time::timeout(rest, self.evaluated(asked)).await {
            Ok(outcome) => outcome,
            Err(_) => {
                stop.time_out();
                Err(QueryError {
                    kind: QueryErrorKind::Timeout,
                    message: format!(
                        "query timed out in expression evaluation: it took longer than {}; narrow its selectors or its range, or raise --query.timeout",
                        model::format_duration(timeout)
                    ),
                })
            }
        }
    }

    async fn evaluated(&self, asked: &Asked<'_>) -> Result<QueryAnswer, QueryError> {
        let counted = Counted::new(&self.stats);
        let (range, options) = (asked.range, asked.options.clone());
        let began = Instant::now();
        let expr = self.parse(asked.expr)?;
        let kind = expr.kind();
        if !range.is_instant() && matches!(kind, ValueKind::Matrix | ValueKind::String) {
            return Err(QueryError {
                kind: QueryErrorKind::BadData,
                message: format!(
                    "invalid parameter \"query\": invalid expression type \"{}\" for range query, must be scalar or instant vector",
                    kind.describe()
                ),
            });
        }
        let mut plan = Plan::new(&expr, range, &options).map_err(|error| query_error(&error))?;
        let mut data: Vec<Arc<dyn SeriesReader>> = Vec::new();
        for selection in plan.take_selections() {
            let found = match asked.memo {
                Some(memo) => memo.find(&self.store, selection).await,
                None => {
                    let store = Arc::clone(&self.store);
                    api::aside(store, async move |store: Arc<dyn Select>| store.find(selection).await).await
                }
            };
            data.push(
                found
                    .map_err(|error| QueryError { kind: QueryErrorKind::Internal, message: error.message })?,
            );
        }
        let prepared = began.elapsed();
        let inline = work_estimate(&expr, range, &data) <= INLINE_MAX;
        let evaluate = move || {
            let _counted = counted;
            let began = Instant::now();
            let answer = plan.eval(&expr, &data, &options);
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
        let mut plan = Plan::new(&expr, Range::instant(at), &options).map_err(|error| error.to_string())?;
        let mut data = Vec::new();
        for selection in plan.take_selections() {
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
        let answer = plan.eval(&expr, &data, &options).map_err(|error| error.to_string())?;
        vector_of(answer.value).map_err(|error| error.message)
    }
}

/// About how many samples are read and values computed. Where windows overlap (many steps, subqueries) nobody knows beforehand:
/// such work is never small.
fn work_estimate(expr: &Expr, range: Range, data: &[Arc<dyn SeriesReader>]) -> usize {
    if !range.is_instant() || has_subquery(expr) {
        return usize::MAX;
    }
    let of = |reader: &Arc<dyn SeriesReader>| reader.samples_estimate().saturating_add(reader.series_len());
    data.iter().map(of).fold(1, usize::saturating_add)
}

fn has_subquery(expr: &Expr) -> bool {
    matches!(expr.node, Node::Subquery { .. }) || expr.children().into_iter().any(has_subquery)
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
        Box::pin(self.instant_by(expr, at, AskedBy::Other, None))
    }

    fn range<'a>(&'a self, expr: &'a str, steps: Steps) -> BoxFuture<'a, Result<Matrix, QueryError>> {
        Box::pin(self.range_by(expr, steps, AskedBy::Other, None))
    }
}

impl Query for RuleQuery<'_> {
    fn instant<'a>(&'a self, expr: &'a str, at: Timestamp) -> BoxFuture<'a, Result<Vector, QueryError>> {
        Box::pin(self.engine.instant_by(expr, at, self.by, Some(&self.memo)))
    }

    fn range<'a>(&'a self, expr: &'a str, steps: Steps) -> BoxFuture<'a, Result<Matrix, QueryError>> {
        Box::pin(self.engine.range_by(expr, steps, self.by, Some(&self.memo)))
    }
}

impl QueryEngine {
    fn asked<'a>(&self, expr: &'a str, range: Range, by: AskedBy<'a>, memo: Option<&'a Memo>) -> Asked<'a> {
        Asked { expr, range, by, options: self.options(None), timeout: None, queued: Duration::ZERO, memo }
    }

    async fn instant_by(
        &self,
        expr: &str,
        at: Timestamp,
        by: AskedBy<'_>,
        memo: Option<&Memo>,
    ) -> Result<Vector, QueryError> {
        vector_of(self.run(self.asked(expr, Range::instant(at), by, memo)).await?.answer.value)
    }

    async fn range_by(
        &self,
        expr: &str,
        steps: Steps,
        by: AskedBy<'_>,
        memo: Option<&Memo>,
    ) -> Result<Matrix, QueryError> {
        let range = Range::new(steps.start, steps.end, steps.step);
        match self.run(self.asked(expr, range, by, memo)).await?.answer.value {
            Value::Matrix(matrix) => Ok(matrix),
            _ => Err(QueryError {
                kind: QueryErrorKind::BadData,
                message: "the expression gives no values over time".to_owned(),
            }),
        }
    }
}

impl Queries for QueryEngine {
    fn query<'a>(&'a self, request: QueryRequest) -> BoxFuture<'a, Result<QueryAnswer, QueryError>> {
        Box::pin(async move {
            let began = Instant::now();
            let timeout = request.timeout.unwrap_or(self.limits.timeout).min(self.limits.timeout);
            // Rules never wait here: they come in through `Query`.
            let waited = tokio::time::timeout(timeout, self.gate.acquire()).await;
            let Ok(Ok(_permit)) = waited else {
                return Err(QueryError {
                    kind: QueryErrorKind::Timeout,
                    message: format!(
                        "query timed out in query queue: {} queries are under way already; try again, or raise --query.max-concurrency",
                        self.limits.concurrency
                    ),
                });
            };
            let mut options = self.options(request.lookback);
            options.per_step = request.stats;
            options.explain = request.explain.then(nano_clock);
            self.run(Asked {
                expr: &request.expr,
                range: request.range,
                by: AskedBy::Http(&request.origin),
                options,
                timeout: request.timeout,
                queued: began.elapsed(),
                memo: None,
            })
            .await
        })
    }
}

/// Nanoseconds since now, for accounts.
fn nano_clock() -> NanoClock {
    let began = Instant::now();
    NanoClock::new(move || u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
