//! The evaluator: a pure function from syntax tree and samples to an answer.
//!
//! Every part of an expression is evaluated once, over all steps: labels are built, hashed and matched per series, not
//! per step, and samples are read through indexes that only move forward. A part whose value cannot change from step to
//! step (everything under `@`) is evaluated at one step and repeated.

mod aggregate;
mod binary;
mod buckets;
mod call;
mod classic;
mod dates;
mod elements;
mod group;
mod info;
mod kahan;
mod labels;
mod native;
mod notes;
mod over_time;
mod rate;
mod recorder;
mod select;
mod series;
mod sliding;
mod started;
mod stream;
mod topk;
mod window;

use model::{
    FloatSample, HistogramSample, SampleValue, Samples, Series, SeriesReader, Timestamp, VectorSample,
};

use crate::ast::{Expr, Node, TimeModifier, ValueKind};
use crate::functions::FunctionId;
use crate::plan::{Moment, Plan, Resolver, moment_of};
use crate::{Answer, EvalError, EvalOptions, Range, Value};
use notes::Notes;
use recorder::Recorder;
use series::{Grid, Output, Ser, merged, without_metric};
use window::Cursor;

/// Evaluates `expr` over `range`.
///
/// `data` holds for each selection of [`crate::plan`], in its order, a reader of the series that match it, each with at least
/// the samples of the selection's span; `Vec<Series>` is one. Each series is read once for each selector that needs it. The
/// answer to a range is a matrix, sorted by labels.
pub fn eval<S: SeriesReader>(
    expr: &Expr,
    range: Range,
    data: &[S],
    options: &EvalOptions,
) -> Result<Answer, EvalError> {
    Plan::new(expr, range, options)?.eval(expr, data, options)
}

pub(crate) fn eval_planned(
    expr: &Expr,
    plan: &Plan,
    data: &[&dyn SeriesReader],
    options: &EvalOptions,
) -> Result<Answer, EvalError> {
    let range = plan.range;
    let resolver = Resolver::new(range, options);
    let steps = Grid::of(range).len;
    // More steps than samples are allowed cannot be held; refuse before allocating them.
    if steps > options.samples_max {
        return Err(EvalError::TooManySamples { max: options.samples_max });
    }
    let mut evaluator = Evaluator {
        plan,
        resolver,
        data,
        options,
        notes: Notes::default(),
        live: 0,
        recorder: Recorder::new(options, steps),
        buffers: Vec::new(),
    };
    let value = evaluator.answer(expr, range)?;
    let (warnings, infos) = evaluator.notes.finish();
    let (samples, explain) = evaluator.recorder.finish();
    Ok(Answer { value, warnings, infos, samples, explain })
}

struct Evaluator<'a> {
    plan: &'a Plan,
    resolver: Resolver,
    data: &'a [&'a dyn SeriesReader],
    options: &'a EvalOptions,
    notes: Notes,
    /// Samples held at the moment.
    live: usize,
    recorder: Recorder,
    /// Buffers that series were read into, for the next ones.
    buffers: Vec<Samples>,
}

impl<'a> Evaluator<'a> {
    fn answer(&mut self, expr: &Expr, range: Range) -> Result<Value, EvalError> {
        let at = range.start;
        let start = at.as_millis();
        if expr.kind() == ValueKind::Matrix {
            if !range.is_instant() {
                return Err(EvalError::at(
                    expr.span,
                    "invalid expression type \"range vector\" for range query, must be scalar or instant vector",
                ));
            }
            return self.matrix(expr, Grid::one(start));
        }
        if range.is_instant() {
            return Ok(match self.eval(expr, Grid::one(start))? {
                Output::Scalar(values) => {
                    Value::Scalar { at, value: values.first().copied().unwrap_or(f64::NAN) }
                }
                Output::Text(value) => Value::String { at, value },
                Output::Vector(series) => Value::Vector(instant_vector(self.named(series)?, at)),
            });
        }
        let grid = Grid::of(range);
        let series = match self.eval(expr, grid)? {
            Output::Vector(series) => self.named(series)?,
            Output::Scalar(values) => {
                vec![Ser::of_floats(values)]
            }
            Output::Text(_) => {
                return Err(EvalError::at(
                    expr.span,
                    "invalid expression type \"string\" for range query, must be scalar or instant vector",
                ));
            }
        };
        let mut matrix: Vec<Series> =
            series.into_iter().filter(|s| !s.is_empty()).map(|s| samples_of(s, grid)).collect();
        matrix.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(Value::Matrix(matrix))
    }

    /// The range vector itself, for an instant query.
    fn matrix(&mut self, expr: &Expr, grid: Grid) -> Result<Value, EvalError> {
        self.recorder.begin(expr);
        let input = self.range_input(expr, grid)?;
        let (mut matrix, time) = (Vec::new(), input.time);
        self.each_range(&input, grid, &mut |evaluator, labels, drop_name, samples| {
            let window = time.window(samples, &mut Cursor::default(), 0, grid.time(0));
            let labels = if drop_name { without_metric(labels) } else { labels.clone() };
            let (floats, histograms) = (window.floats().to_vec(), window.histograms().to_vec());
            evaluator.recorder.count_at(0, window.weight());
            if !(floats.is_empty() && histograms.is_empty()) {
                evaluator.charge(window.weight() as usize)?;
                matrix.push(Series { labels, floats, histograms });
            }
            Ok(())
        })?;
        let values = matrix.iter().map(|s| s.floats.len() + s.histograms.len()).sum();
        self.recorder.end(matrix.len(), values, 0);
        matrix.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(Value::Matrix(matrix))
    }

    /// Drops the metric names that were to be dropped, now at the latest.
    fn named(&self, mut series: Vec<Ser>) -> Result<Vec<Ser>, EvalError> {
        for one in series.iter_mut().filter(|s| s.drop_name) {
            one.labels = without_metric(&one.labels);
        }
        merged(series)
    }

    /// The value of `expr` at each step of `grid`.
    fn eval(&mut self, expr: &Expr, grid: Grid) -> Result<Output, EvalError> {
        self.options.stop.check()?;
        self.recorder.begin(expr);
        let output = if repeats(expr, grid, &self.resolver) {
            let counting = self.recorder.enter_subquery();
            let output = self.eval_node(expr, Grid::one(grid.start))?;
            self.recorder.repeat(counting, grid.len);
            if output.weight().saturating_mul(grid.len) > self.options.samples_max {
                return Err(EvalError::TooManySamples { max: self.options.samples_max });
            }
            repeated(output, grid.len)
        } else {
            self.eval_node(expr, grid)?
        };
        self.charge(output.weight())?;
        self.recorder.end(output.series_len(), output.len(), 0);
        Ok(output)
    }

    fn eval_node(&mut self, expr: &Expr, grid: Grid) -> Result<Output, EvalError> {
        if self.is_stream(expr) {
            return self.collect(expr, grid).map(Output::Vector);
        }
        match &expr.node {
            Node::Number { value, .. } => Ok(Output::Scalar(vec![*value; grid.len])),
            Node::String(bytes) => Ok(Output::Text(String::from_utf8_lossy(bytes).into_owned())),
            Node::Paren(inner) => {
                let output = self.eval(inner, grid)?;
                self.release(output.weight());
                Ok(output)
            }
            Node::Unary { negative, expr: inner } => {
                let values = self.scalar(inner, grid)?;
                let signed = |value: f64| if *negative { -value } else { value };
                Ok(Output::Scalar(values.into_iter().map(signed).collect()))
            }
            Node::Binary { .. } => self.binary(expr, grid),
            Node::Aggregate { .. } => self.aggregate(expr, grid).map(Output::Vector),
            Node::Call { function, args } => self.call(expr, function, args, grid),
            Node::Selector(_) | Node::Range { .. } | Node::Subquery { .. } => {
                Err(EvalError::at(expr.span, "a range vector has no value of its own"))
            }
        }
    }

    /// The vector that `expr` evaluates to. Its samples no longer count: what is made of them will.
    fn vector(&mut self, expr: &Expr, grid: Grid) -> Result<Vec<Ser>, EvalError> {
        let output = self.eval(expr, grid)?;
        self.release(output.weight());
        match output {
            Output::Vector(series) => Ok(series),
            _ => Err(EvalError::at(expr.span, "expected an instant vector")),
        }
    }

    /// The number that `expr` evaluates to, for each step.
    fn scalar(&mut self, expr: &Expr, grid: Grid) -> Result<Vec<f64>, EvalError> {
        let output = self.eval(expr, grid)?;
        self.release(output.weight());
        match output {
            Output::Scalar(values) => Ok(values),
            _ => Err(EvalError::at(expr.span, "expected a scalar")),
        }
    }

    /// The text of a literal.
    fn text(&mut self, expr: &Expr) -> Result<String, EvalError> {
        match &expr.without_parens().node {
            Node::String(bytes) => String::from_utf8(bytes.clone())
                .map_err(|_| EvalError::at(expr.span, "label names and values must be UTF-8")),
            _ => Err(EvalError::at(expr.span, "expected a string literal")),
        }
    }

    /// Series without their metric name, as most functions answer them: at once, or at the end if names are kept.
    fn unnamed(&self, mut series: Vec<Ser>) -> Result<Vec<Ser>, EvalError> {
        if self.options.delayed_name_removal {
            series.iter_mut().for_each(|s| s.drop_name = true);
            return Ok(series);
        }
        for one in &mut series {
            one.labels = without_metric(&one.labels);
        }
        merged(series)
    }

    /// Counts samples that are held from now on. A histogram counts as many as take its space.
    fn charge(&mut self, samples: usize) -> Result<(), EvalError> {
        self.live = self.live.saturating_add(samples);
        self.recorder.holds(self.live);
        if self.live > self.options.samples_max {
            return Err(EvalError::TooManySamples { max: self.options.samples_max });
        }
        Ok(())
    }

    fn release(&mut self, samples: usize) {
        self.live = self.live.saturating_sub(samples);
    }
}

fn instant_vector(series: Vec<Ser>, at: Timestamp) -> Vec<VectorSample> {
    let value_of = |series: &Ser| match (series.floats.first(), series.histograms.first()) {
        (Some((_, value)), _) => Some(SampleValue::Float(*value)),
        (None, Some((_, histogram))) => Some(SampleValue::Histogram(histogram.clone())),
        (None, None) => None,
    };
    series
        .into_iter()
        .filter_map(|series| value_of(&series).map(|value| VectorSample { labels: series.labels, at, value }))
        .collect()
}

/// A series with times in place of steps.
fn samples_of(series: Ser, grid: Grid) -> Series {
    let at = |step: u32| Timestamp::from_millis(grid.time(step as usize));
    Series {
        labels: series.labels,
        floats: series.floats.into_iter().map(|(s, value)| FloatSample { at: at(s), value }).collect(),
        histograms: series
            .histograms
            .into_iter()
            .map(|(s, value)| HistogramSample { at: at(s), value })
            .collect(),
    }
}

/// The value at the first step, at each of `len` steps.
fn repeated(output: Output, len: usize) -> Output {
    match output {
        Output::Scalar(values) => Output::Scalar(vec![values.first().copied().unwrap_or(f64::NAN); len]),
        Output::Vector(mut series) => {
            for one in &mut series {
                one.floats = one.floats.iter().flat_map(|(_, v)| (0..len as u32).map(|s| (s, *v))).collect();
                one.histograms = one
                    .histograms
                    .iter()
                    .flat_map(|(_, h)| (0..len as u32).map(|s| (s, h.clone())))
                    .collect();
            }
            Output::Vector(series)
        }
        text @ Output::Text(_) => text,
    }
}

/// Whether `expr` is evaluated once for all steps.
fn repeats(expr: &Expr, grid: Grid, resolver: &Resolver) -> bool {
    grid.len > 1 && !matches!(expr.node, Node::Number { .. } | Node::String(_)) && is_constant(expr, resolver)
}

/// Whether the value is the same at every step.
fn is_constant(expr: &Expr, resolver: &Resolver) -> bool {
    let fixed = |time: &TimeModifier| time.at.is_some();
    match &expr.node {
        Node::Number { .. } | Node::String(_) => true,
        Node::Selector(selector) | Node::Range { selector, .. } => fixed(&selector.time),
        Node::Subquery { time, .. } => fixed(time),
        Node::Call { function, args } if function.id == FunctionId::Info => {
            // Series of one time may be described at every step anew.
            let base = &args[0];
            is_constant(base, resolver) && matches!(moment_of(base, resolver), Ok(Moment::Fixed(_)))
        }
        Node::Call { function, args } => {
            let looks_at_the_time = match function.id {
                FunctionId::Time | FunctionId::PredictLinear | FunctionId::Timestamp => true,
                FunctionId::DaysInMonth
                | FunctionId::DayOfMonth
                | FunctionId::DayOfWeek
                | FunctionId::DayOfYear
                | FunctionId::Hour
                | FunctionId::Minute
                | FunctionId::Month
                | FunctionId::Year => args.is_empty(),
                _ => false,
            };
            !looks_at_the_time && args.iter().all(|arg| is_constant(arg, resolver))
        }
        _ => expr.children().into_iter().all(|child| is_constant(child, resolver)),
    }
}
