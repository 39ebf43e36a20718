//! Unit tests of rules, as users of Prometheus write them: series in, expected alerts and samples out.
//!
//! In: a [`TestGroup`] and the rule groups that it is about. Out: every [`Failure`]. Time is simulated: rules are evaluated
//! from the start to the last time that is asked for, on samples up to that time and nothing later.
//! Not here: reading YAML, finding rule files. Start at [`run`].

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use model::{
    ALERT_NAME, Annotations, Labels, SampleValue, Timestamp, Vector, VectorSample, format_duration,
    format_float,
};
use ports::{BoxFuture, Query, QueryError, QueryErrorKind, Steps};
use promql::testing::Memory;
use promql::{EvalOptions, ParseOptions, Range, format_histogram, parse, parse_labels, parse_series};

use crate::{AlertState, External, GroupState, RuleGroup};

/// One entry of `tests`.
#[derive(Clone, Debug, PartialEq)]
pub struct TestGroup {
    /// Its name, for messages.
    pub name: String,
    /// Distance of the values of input series.
    pub interval: Duration,
    /// From one evaluation of the rules to the next: the file's `evaluation_interval`.
    pub evaluation_interval: Duration,
    /// When time starts.
    pub start: Timestamp,
    /// Series and their values, in the notation for series.
    pub input_series: Vec<(String, String)>,
    /// Expected alerts.
    pub alert_tests: Vec<AlertTest>,
    /// Expected answers.
    pub expr_tests: Vec<ExprTest>,
    /// What templates know about the server.
    pub external: External,
    /// Whether numbers may differ in their last bit.
    pub fuzzy_compare: bool,
    /// Names of groups in the order in which they are evaluated, the others following.
    pub group_order: Vec<String>,
    /// Which parts of PromQL expressions may use.
    pub promql: ParseOptions,
}

impl Default for TestGroup {
    fn default() -> Self {
        TestGroup {
            name: String::new(),
            interval: Duration::from_secs(60),
            evaluation_interval: Duration::from_secs(60),
            start: Timestamp::EPOCH,
            input_series: Vec::new(),
            alert_tests: Vec::new(),
            expr_tests: Vec::new(),
            external: External::default(),
            fuzzy_compare: false,
            group_order: Vec::new(),
            promql: ParseOptions::default(),
        }
    }
}

/// Which alerts of a rule fire at a time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlertTest {
    /// When, from the start.
    pub eval_time: Duration,
    /// Which rule.
    pub alertname: String,
    /// All of its alerts that fire then; labels without `alertname`.
    pub expected: Vec<(BTreeMap<String, String>, Annotations)>,
}

/// What an expression gives at a time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExprTest {
    /// The expression.
    pub expr: String,
    /// When, from the start.
    pub eval_time: Duration,
    /// All samples of its answer.
    pub expected: Vec<ExpectedSample>,
}

/// One sample of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExpectedSample {
    /// Its series, as in a query: `up{job="a"}`.
    pub labels: String,
    /// Its value, unless it is a histogram.
    pub value: f64,
    /// The histogram in the notation for series, or empty.
    pub histogram: String,
}

/// Something that is not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The test's name; may be empty.
    pub test: String,
    /// When, from the start, if it is about a time.
    pub at: Option<Duration>,
    /// What is wrong: what was expected and what came instead.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.test.is_empty() {
            write!(f, "{}: ", self.test)?;
        }
        if let Some(at) = self.at {
            write!(f, "at {}: ", format_duration(at))?;
        }
        f.write_str(&self.what)
    }
}

/// Runs one test. Conditions that are plugins may wait for whatever they wait for; nothing else does.
pub async fn run(test: &TestGroup, groups: &[RuleGroup]) -> Vec<Failure> {
    let mut run = match Run::new(test, groups) {
        Ok(run) => run,
        Err(failures) => return failures,
    };
    let end = test.start + last_eval_time(test);
    let mut at = test.start;
    loop {
        run.feed(at);
        if !run.evaluate(at).await {
            // A rule that cannot be evaluated now cannot be later, and nothing that follows from it is worth a look.
            return run.failures;
        }
        run.check_alerts(at);
        let next = at + test.evaluation_interval.max(Duration::from_millis(1));
        if next > end || next <= at {
            break;
        }
        at = next;
    }
    // Expressions see what had come by the last evaluation, as promtool has it: input behind it never arrives.
    for expr_test in &test.expr_tests {
        run.check_expr(expr_test);
    }
    run.failures
}

/// The last time that is asked for, from the start.
fn last_eval_time(test: &TestGroup) -> Duration {
    let alerts = test.alert_tests.iter().map(|alert| alert.eval_time);
    alerts.chain(test.expr_tests.iter().map(|expr| expr.eval_time)).max().unwrap_or_default()
}

/// A test at work.
struct Run<'t> {
    test: &'t TestGroup,
    /// Input that is not in storage yet, the latest first.
    ahead: Vec<(Timestamp, Labels, SampleValue)>,
    storage: Storage,
    groups: Vec<GroupState>,
    failures: Vec<Failure>,
}

impl<'t> Run<'t> {
    fn new(test: &'t TestGroup, groups: &[RuleGroup]) -> Result<Self, Vec<Failure>> {
        let mut failures = Vec::new();
        let mut ahead = Vec::new();
        for (series, values) in &test.input_series {
            match input(test, series, values) {
                Ok(samples) => ahead.extend(samples),
                Err(what) => failures.push(Failure { test: test.name.clone(), at: None, what }),
            }
        }
        if !failures.is_empty() {
            return Err(failures);
        }
        // Stable: of two values at one time the later line counts, as it is stored later.
        ahead.sort_by_key(|(at, _, _)| *at);
        ahead.reverse();
        let mut ordered: Vec<&RuleGroup> = groups.iter().collect();
        let position = |group: &RuleGroup| test.group_order.iter().position(|name| *name == group.name);
        ordered.sort_by_key(|group| position(group).unwrap_or(usize::MAX));
        let options = EvalOptions { default_step: test.evaluation_interval, ..EvalOptions::default() };
        Ok(Run {
            test,
            ahead,
            storage: Storage { memory: Memory::default(), options, parse: test.promql.clone() },
            groups: ordered.into_iter().map(|group| GroupState::new(Arc::new(group.clone()))).collect(),
            failures,
        })
    }

    fn fail(&mut self, at: Option<Duration>, what: String) {
        self.failures.push(Failure { test: self.test.name.clone(), at, what });
    }

    /// Input up to `at` arrives.
    fn feed(&mut self, at: Timestamp) {
        while let Some((time, labels, value)) = self.ahead.pop_if(|(time, _, _)| *time <= at) {
            if let Some(flaw) = flaw(&value) {
                let what = format!("input series `{labels}`: storage refuses its histogram: {flaw}");
                self.fail(Some(time.since(self.test.start)), what);
            }
            self.storage.memory.push(&labels, time, value);
        }
    }

    /// Every rule of every group, in order. Whether all could be evaluated.
    async fn evaluate(&mut self, at: Timestamp) -> bool {
        let mut problems = Vec::new();
        for state in &mut self.groups {
            let group = Arc::clone(state.group());
            for (index, rule) in group.rules.iter().enumerate() {
                let found = rule.condition.evaluate(at - group.query_offset, &self.storage).await;
                let storage = &self.storage;
                let mut query = |expr: &str| storage.vector(expr, at).map_err(|error| error.message);
                let external = &self.test.external;
                match state.apply(index, found, at, Duration::ZERO, external, &mut query) {
                    Ok(evaluated) => {
                        for row in evaluated.rows {
                            let there = self.storage.memory.sample(&row.labels, row.at);
                            match there.map(|there| same_bits(there, &row.value)) {
                                None => self.storage.memory.push(&row.labels, row.at, row.value),
                                // The end of a series is not written over what another rule says of it.
                                Some(false) if !row.value.is_stale() => problems.push(format!(
                                    "rule `{}`: there is another sample of `{}` at this time",
                                    rule.name, row.labels
                                )),
                                Some(_) => {}
                            }
                        }
                    }
                    Err(error) => problems.push(format!("rule `{}`: {error}", rule.name)),
                }
            }
        }
        let (from_start, sound) = (at.since(self.test.start), problems.is_empty());
        for problem in problems {
            self.fail(Some(from_start), problem);
        }
        sound
    }

    /// The alert tests whose time falls between this evaluation and the next.
    fn check_alerts(&mut self, at: Timestamp) {
        let (from, to) =
            (at.since(self.test.start), at.since(self.test.start) + self.test.evaluation_interval);
        let test = self.test;
        for alert_test in test.alert_tests.iter().filter(|t| from <= t.eval_time && t.eval_time < to) {
            let expected = alert_test.expected.iter().map(|(labels, annotations)| {
                let labels: Labels = labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
                (labels.with(ALERT_NAME, &alert_test.alertname), annotations.clone())
            });
            let mut expected: Vec<(Labels, Annotations)> = expected.collect();
            let mut got = self.firing(&alert_test.alertname);
            expected.sort();
            got.sort();
            if expected != got {
                let (expected, got) = (alerts_text(&expected), alerts_text(&got));
                let what = format!("alert `{}`:\n  expected: {expected}\n  got: {got}", alert_test.alertname);
                self.fail(Some(alert_test.eval_time), what);
            }
        }
    }

    fn firing(&self, alertname: &str) -> Vec<(Labels, Annotations)> {
        let mut firing = Vec::new();
        for state in &self.groups {
            for (index, rule) in state.group().rules.iter().enumerate() {
                let tracker = state.tracker(index).filter(|_| rule.name == alertname);
                let alerts = tracker.into_iter().flat_map(|tracker| tracker.active());
                let alerts = alerts.filter(|alert| matches!(alert.state, AlertState::Firing { .. }));
                firing.extend(alerts.map(|alert| (alert.labels.clone(), alert.annotations.clone())));
            }
        }
        firing
    }

    fn check_expr(&mut self, expr_test: &ExprTest) {
        let at = Some(expr_test.eval_time);
        let got = match self.storage.vector(&expr_test.expr, self.test.start + expr_test.eval_time) {
            Ok(vector) => vector,
            Err(error) => return self.fail(at, format!("`{}`: {}", expr_test.expr, error.message)),
        };
        let mut expected = Vec::new();
        for sample in &expr_test.expected {
            match expected_sample(sample) {
                Ok(sample) => expected.push(sample),
                Err(what) => return self.fail(at, format!("`{}`: {what}", expr_test.expr)),
            }
        }
        let got = got.into_iter().map(|VectorSample { labels, value, .. }| (labels, value));
        let mut got: Vec<(Labels, SampleValue)> = got.collect();
        got.sort_by(|a, b| a.0.cmp(&b.0));
        expected.sort_by(|a, b| a.0.cmp(&b.0));
        let fuzzy = self.test.fuzzy_compare;
        let same = got.len() == expected.len()
            && got.iter().zip(&expected).all(|((labels, value), (wanted_labels, wanted, beside))| {
                labels == wanted_labels
                    && equal_values(value, wanted, fuzzy)
                    && equal_numbers(0.0, *beside, fuzzy)
            });
        if !same {
            let expected: Vec<_> = expected.into_iter().map(|(labels, value, _)| (labels, value)).collect();
            let (expected, got) = (samples_text(&expected), samples_text(&got));
            self.fail(at, format!("`{}`:\n  expected: {expected}\n  got: {got}", expr_test.expr));
        }
    }
}

/// The samples of an input series.
fn input(
    test: &TestGroup,
    series: &str,
    values: &str,
) -> Result<Vec<(Timestamp, Labels, SampleValue)>, String> {
    let described = parse_series(&format!("{series} {values}"))
        .map_err(|error| format!("input series `{series}`: {error}"))?;
    if described.labels.is_empty() && described.values.iter().any(Option::is_some) {
        return Err(format!("input series `{series}`: a series has at least one label, or a name"));
    }
    let mut samples = Vec::new();
    let mut at = test.start;
    for value in described.values {
        if let Some(value) = value {
            samples.push((at, described.labels.clone(), value));
        }
        at = at + test.interval;
    }
    Ok(samples)
}

/// Why storage does not take a histogram that can be written down.
fn flaw(value: &SampleValue) -> Option<&'static str> {
    let SampleValue::Histogram(histogram) = value else { return None };
    let bounds = &histogram.custom_values;
    if histogram.positive_buckets.iter().chain(&histogram.negative_buckets).any(|count| *count < 0.0) {
        return Some("a bucket has a negative count");
    }
    if !histogram.uses_custom_buckets() {
        return (!bounds.is_empty()).then_some("custom values go with schema -53");
    }
    let has_negative = !histogram.negative_buckets.is_empty();
    if has_negative || histogram.zero_count != 0.0 || histogram.zero_threshold != 0.0 {
        return Some("with custom values there is neither a zero bucket nor a negative one");
    }
    if bounds.iter().zip(bounds.iter().skip(1)).any(|(a, b)| a >= b) {
        return Some("custom values must go up");
    }
    if bounds.last().is_some_and(|last| last.is_infinite()) {
        return Some("the bound +Inf must be left out");
    }
    let last = histogram
        .positive_spans
        .iter()
        .map(|span| i64::from(span.offset) + i64::from(span.length))
        .sum::<i64>();
    (last > i64::try_from(bounds.len()).unwrap_or(i64::MAX) + 1)
        .then_some("there are more buckets than bounds")
}

/// Its labels, and its value. A histogram has no number beside it, so that 0 is the only one that fits there.
fn expected_sample(sample: &ExpectedSample) -> Result<(Labels, SampleValue, f64), String> {
    let labels = match sample.labels.trim() {
        "" => Labels::empty(),
        text => parse_labels(text).map_err(|error| format!("expected sample `{text}`: {error}"))?,
    };
    if sample.histogram.is_empty() {
        return Ok((labels, SampleValue::Float(sample.value), 0.0));
    }
    let described = parse_series(&format!("x {}", sample.histogram))
        .map_err(|error| format!("expected histogram `{}`: {error}", sample.histogram))?;
    match described.values.into_iter().flatten().next() {
        Some(value) => Ok((labels, value, sample.value)),
        None => Err(format!("expected histogram `{}` is empty", sample.histogram)),
    }
}

fn equal_values(a: &SampleValue, b: &SampleValue, fuzzy: bool) -> bool {
    match (a, b) {
        (SampleValue::Float(a), SampleValue::Float(b)) => equal_numbers(*a, *b, fuzzy),
        (SampleValue::Histogram(a), SampleValue::Histogram(b)) => format_histogram(a) == format_histogram(b),
        _ => false,
    }
}

/// Whether storage takes them for the same sample.
fn same_bits(a: &SampleValue, b: &SampleValue) -> bool {
    match (a, b) {
        (SampleValue::Float(a), SampleValue::Float(b)) => a.to_bits() == b.to_bits(),
        (SampleValue::Histogram(a), SampleValue::Histogram(b)) => a == b,
        _ => false,
    }
}

/// As promtool compares: NaN is not equal to NaN.
fn equal_numbers(a: f64, b: f64, fuzzy: bool) -> bool {
    a == b || (fuzzy && (a.next_up() == b || a.next_down() == b))
}

fn alerts_text(alerts: &[(Labels, Annotations)]) -> String {
    let text = |(labels, annotations): &(Labels, Annotations)| format!("\n    {labels} {annotations:?}");
    if alerts.is_empty() { "nothing".to_owned() } else { alerts.iter().map(text).collect() }
}

fn samples_text(samples: &[(Labels, SampleValue)]) -> String {
    let text = |(labels, value): &(Labels, SampleValue)| match value {
        SampleValue::Float(value) => format!("\n    {labels} {}", format_float(*value)),
        SampleValue::Histogram(histogram) => format!("\n    {labels} {}", format_histogram(histogram)),
    };
    if samples.is_empty() { "nothing".to_owned() } else { samples.iter().map(text).collect() }
}

/// Samples in memory that answer queries.
struct Storage {
    memory: Memory,
    options: EvalOptions,
    parse: ParseOptions,
}

impl Storage {
    fn answer(&self, expr: &str, range: Range) -> Result<promql::Value, QueryError> {
        let error = |kind, message| QueryError { kind, message };
        let expr = parse(expr, &self.parse).map_err(|e| error(QueryErrorKind::BadData, e.to_string()))?;
        let answer = self.memory.query(&expr, range, &self.options);
        answer.map(|answer| answer.value).map_err(|e| error(QueryErrorKind::Execution, e.to_string()))
    }

    fn vector(&self, expr: &str, at: Timestamp) -> Result<Vector, QueryError> {
        let wrong = |message: &str| QueryError { kind: QueryErrorKind::BadData, message: message.to_owned() };
        match self.answer(expr, Range::instant(at))? {
            promql::Value::Vector(vector) => Ok(vector),
            promql::Value::Scalar { value, .. } => {
                Ok(vec![VectorSample { labels: Labels::empty(), at, value: SampleValue::Float(value) }])
            }
            promql::Value::String { .. } => Err(wrong("the answer is a string, not samples")),
            promql::Value::Matrix(_) => Err(wrong("the answer is a range of samples, not one per series")),
        }
    }
}

impl Query for Storage {
    fn instant<'a>(&'a self, expr: &'a str, at: Timestamp) -> BoxFuture<'a, Result<Vector, QueryError>> {
        Box::pin(async move { self.vector(expr, at) })
    }

    fn range<'a>(&'a self, expr: &'a str, steps: Steps) -> BoxFuture<'a, Result<model::Matrix, QueryError>> {
        Box::pin(async move {
            match self.answer(expr, Range::new(steps.start, steps.end, steps.step))? {
                promql::Value::Matrix(matrix) => Ok(matrix),
                _ => Err(QueryError {
                    kind: QueryErrorKind::BadData,
                    message: "the answer is no range of samples".to_owned(),
                }),
            }
        })
    }
}
