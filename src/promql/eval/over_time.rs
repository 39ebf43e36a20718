//! Functions that make one value of all samples in a window.

use std::cell::RefCell;

use model::{FloatSample, Labels, Samples};

use super::Evaluator;
use super::call::place_of;
use super::elements;
use super::kahan::{Kahan, Mean};
use super::native::{HistogramSum, Total};
use super::notes::Notes;
use super::rate;
use super::select::Sink;
use super::series::{Grid, Ser, Val};
use super::sliding::slide;
use super::window::{Cursor, Times, Window};
use crate::EvalError;
use crate::ast::{Edges, Expr, Span};
use crate::functions::{Function, FunctionId};
use crate::print::quote;

/// What a function over a window knows besides its samples.
pub(super) struct Call<'c> {
    pub(super) id: FunctionId,
    /// The place of the range vector.
    pub(super) span: Span,
    /// The metric name of the series, for messages.
    pub(super) metric: &'c str,
    pub(super) edges: Edges,
    /// Length of the window in seconds.
    pub(super) range_seconds: f64,
    /// Scalar arguments, for each step.
    pub(super) scalars: &'c [Vec<f64>],
    pub(super) notes: &'c RefCell<&'c mut Notes>,
}

impl Call<'_> {
    pub(super) fn warn(&self, message: impl std::fmt::Display) {
        self.notes.borrow_mut().warn(self.span, message);
    }

    pub(super) fn info(&self, message: impl std::fmt::Display) {
        self.notes.borrow_mut().info(self.span, message);
    }

    pub(super) fn warn_mixed(&self) {
        self.warn(mixed_samples(self.metric));
    }

    pub(super) fn warn_mixed_buckets(&self) {
        self.warn(mixed_buckets(self.metric));
    }

    fn ignored_histograms(&self, window: &Window<'_>) {
        if !window.histograms().is_empty() {
            let what = "ignored histograms in a range containing both floats and histograms";
            self.info(format_args!("{what} for metric name {}", quote(self.metric.as_bytes())));
        }
    }

    fn scalar(&self, index: usize, step: usize) -> f64 {
        self.scalars.get(index).and_then(|values| values.get(step)).copied().unwrap_or(f64::NAN)
    }
}

/// What to say of numbers and histograms side by side.
pub(super) fn mixed_samples(metric: &str) -> String {
    format!("encountered a mix of histograms and floats for metric name {}", quote(metric.as_bytes()))
}

/// What to say of histograms that cannot be added up.
pub(super) fn mixed_buckets(metric: &str) -> String {
    let what = "vector contains a mix of histograms with exponential and custom buckets schemas";
    format!("{what} for metric name {}", quote(metric.as_bytes()))
}

impl<'a> Evaluator<'a> {
    /// A call of a function with a range vector among its arguments.
    pub(super) fn over_windows(
        &mut self,
        function: &Function,
        args: &[Expr],
        span: Span,
        grid: Grid,
        sink: Sink<'_, 'a>,
    ) -> Result<(), EvalError> {
        let mut scalars = Vec::new();
        let mut range = None;
        for arg in args {
            if arg.kind() == crate::ValueKind::Matrix {
                range = Some(arg);
            } else {
                scalars.push(self.scalar(arg, grid)?);
            }
        }
        let Some(range) = range else { return Err(EvalError::at(span, "expected a range vector")) };
        let no_quantiles = function.id == FunctionId::QuantileOverTime
            && scalars[0].iter().any(|q| !(0.0..=1.0).contains(q));
        let input = self.range_input(range, grid)?;
        check_edges(function, input.edges, range.span)?;
        let keeps_name = matches!(function.id, FunctionId::LastOverTime | FunctionId::FirstOverTime);
        let counter = matches!(function.id, FunctionId::Rate | FunctionId::Increase);
        let job = Job {
            id: function.id,
            // With a quantile, all notes name that.
            span: if function.id == FunctionId::QuantileOverTime {
                place_of(&args[0])
            } else {
                place_of(range)
            },
            edges: input.edges,
            time: input.time,
            scalars: &scalars,
            grid,
        };
        let mut result = Ser::default();
        // Series that follow each other mostly have the same name: what is to be said about it is said once.
        let mut noted = Labels::empty();
        self.each_range(&input, grid, &mut |evaluator, labels, drop_name, samples| {
            result.renew(labels);
            result.drop_name = drop_name;
            let widest = evaluator.apply(&job, samples, &mut result)?;
            if function.id == FunctionId::DoubleExponentialSmoothing && widest > 0 {
                check_factors(args, &scalars)?;
            }
            evaluator.charge(widest)?;
            evaluator.release(widest);
            if result.is_empty() {
                return Ok(());
            }
            if no_quantiles {
                evaluator.note_quantiles(&result, &scalars[0], place_of(&args[0]));
            }
            if counter && !result.floats.is_empty() && noted.metric_name() != labels.metric_name() {
                evaluator.note_if_no_counter(labels, place_of(range));
                if !labels.iter().any(|(name, _)| name == "__type__") {
                    noted.clone_from(labels);
                }
            }
            if !result.histograms.is_empty() {
                result.sort();
            }
            if !keeps_name {
                evaluator.unname(&mut result);
            }
            let weight = result.weight();
            evaluator.charge(weight)?;
            sink(evaluator, &mut result)?;
            evaluator.release(weight);
            Ok(())
        })
    }

    /// One series; answers how many samples the largest window holds.
    fn apply(&mut self, job: &Job<'_>, samples: &Samples, result: &mut Ser) -> Result<usize, EvalError> {
        let Job { id, span, edges, time, scalars, grid } = *job;
        // Each window by itself, if there is more in it than numbers.
        let plain = edges == Edges::Plain && samples.histograms.is_empty() && samples.starts.is_empty();
        let stop = &self.options.stop;
        if plain
            && let Some(widest) = slide(job, &samples.floats, stop, &mut self.recorder, &mut result.floats)
        {
            stop.check()?;
            return Ok(widest);
        }
        let notes = RefCell::new(&mut self.notes);
        let labels = result.labels.clone();
        let call = Call {
            id,
            span,
            metric: labels.metric_name(),
            edges,
            range_seconds: time.range as f64 / 1000.0,
            scalars,
            notes: &notes,
        };
        let mut cursor = Cursor::default();
        let mut widest = 0;
        for step in 0..grid.len {
            let window = time.window(samples, &mut cursor, step, grid.time(step));
            if window.is_empty() && edges == Edges::Plain {
                continue;
            }
            stop.check()?;
            let weight = window.weight();
            self.recorder.count_at(step, weight);
            widest = widest.max(weight as usize);
            if let Some(value) = value_of(&call, &window) {
                result.push(step, value);
            }
        }
        Ok(widest)
    }

    fn note_if_no_counter(&mut self, labels: &model::Labels, span: Span) {
        let name = labels.metric_name();
        let counter = ["_total", "_sum", "_count", "_bucket"].iter().any(|suffix| name.ends_with(suffix));
        let typed = matches!(labels.value("__type__"), "counter" | "histogram");
        if !name.is_empty() && !counter && !typed {
            let what = "metric might not be a counter, name does not end in _total/_sum/_count/_bucket";
            self.notes.info(span, format_args!("{what}: {}", quote(name.as_bytes())));
        }
    }

    /// Quantiles that are none, where there was something to take them of.
    fn note_quantiles(&mut self, result: &Ser, quantiles: &[f64], span: Span) {
        let used = result.floats.iter().filter_map(|(step, _)| quantiles.get(*step as usize));
        for q in used.filter(|q| !(0.0..=1.0).contains(*q)) {
            self.notes.warn(span, elements::quantile_range(*q));
        }
    }

    pub(super) fn absent_over_time(&mut self, range: &Expr, grid: Grid) -> Result<Vec<Ser>, EvalError> {
        let input = self.range_input(range, grid)?;
        check_edges_of("absent_over_time", FunctionId::AbsentOverTime, input.edges, range.span)?;
        let (mut present, time) = (vec![false; grid.len], input.time);
        self.each_range(&input, grid, &mut |evaluator, _, _, samples| {
            let mut cursor = Cursor::default();
            for (step, present) in present.iter_mut().enumerate() {
                evaluator.options.stop.check()?;
                let window = time.window(samples, &mut cursor, step, grid.time(step));
                evaluator.recorder.count_at(step, window.weight());
                *present |= !window.is_empty();
            }
            Ok(())
        })?;
        Ok(absent_series(Self::absent_labels(range), &present))
    }
}

/// A factor that is none is an error if there is anything to smooth.
fn check_factors(args: &[Expr], scalars: &[Vec<f64>]) -> Result<(), EvalError> {
    for (at, name) in [(0, "smoothing"), (1, "trend")] {
        if let Some(factor) = scalars[at].iter().find(|f| **f <= 0.0 || **f >= 1.0) {
            let short = &name[..1];
            let message = format!("invalid {name} factor. Expected: 0 < {short}f < 1, got: {factor:.6}");
            return Err(EvalError::at(args[at + 1].span, message));
        }
    }
    Ok(())
}

/// What is done with every series of a range vector.
pub(super) struct Job<'j> {
    pub(super) id: FunctionId,
    pub(super) span: Span,
    pub(super) edges: Edges,
    pub(super) time: Times,
    /// Scalar arguments, for each step.
    pub(super) scalars: &'j [Vec<f64>],
    pub(super) grid: Grid,
}

/// The value 1 at every step that is not `present`.
pub(super) fn absent_series(labels: model::Labels, present: &[bool]) -> Vec<Ser> {
    let mut series = Ser::new(labels, false);
    series.floats =
        present.iter().enumerate().filter(|(_, p)| !**p).map(|(step, _)| (step as u32, 1.0)).collect();
    if series.is_empty() { Vec::new() } else { vec![series] }
}

fn check_edges(function: &Function, edges: Edges, span: Span) -> Result<(), EvalError> {
    check_edges_of(function.name, function.id, edges, span)
}

fn check_edges_of(function: &str, id: FunctionId, edges: Edges, span: Span) -> Result<(), EvalError> {
    use FunctionId::{Changes, Delta, Increase, Rate, Resets};
    let (name, allowed): (_, &[FunctionId]) = match edges {
        Edges::Plain => return Ok(()),
        Edges::Anchored => ("anchored", &[Changes, Delta, Increase, Rate, Resets]),
        Edges::Smoothed => ("smoothed", &[Delta, Increase, Rate]),
    };
    if allowed.contains(&id) {
        return Ok(());
    }
    let message = format!("{name} modifier cannot be used with {function}");
    Err(EvalError::at(span, message))
}

pub(super) fn value_of(call: &Call<'_>, window: &Window<'_>) -> Option<Val> {
    use FunctionId as F;
    let (floats, histograms) = (window.floats(), window.histograms());
    match call.id {
        F::Rate | F::Increase | F::Delta => rate::extrapolated(call, window),
        F::Irate | F::Idelta => rate::of_last_two(call, window),
        // An anchor alone is no sample of the window.
        _ if window.is_empty() => None,
        F::Changes => Some(rate::changes(call, window).into()),
        F::Resets => Some(rate::resets(call, window).into()),
        F::CountOverTime => Some(((floats.len() + histograms.len()) as f64).into()),
        F::PresentOverTime => Some(1.0.into()),
        F::LastOverTime => window_end(window, true).map(|(_, value)| value),
        F::FirstOverTime => window_end(window, false).map(|(_, value)| value),
        F::TsOfLastOverTime => window_end(window, true).map(|(at, _)| (at as f64 / 1000.0).into()),
        F::TsOfFirstOverTime => window_end(window, false).map(|(at, _)| (at as f64 / 1000.0).into()),
        F::SumOverTime | F::AvgOverTime => total(call, window),
        _ if floats.is_empty() => None,
        id => {
            call.ignored_histograms(window);
            of_floats(id, call, window, floats).map(Val::Float)
        }
    }
}

/// The newest or oldest sample with its time.
fn window_end(window: &Window<'_>, newest: bool) -> Option<(i64, Val)> {
    let (floats, histograms) = (window.floats(), window.histograms());
    let (float, histogram) =
        if newest { (floats.last(), histograms.last()) } else { (floats.first(), histograms.first()) };
    let float = float.map(|s| (s.at.as_millis(), Val::Float(s.value)));
    let histogram = histogram.map(|s| (s.at.as_millis(), Val::Histogram(s.value.clone())));
    match (float, histogram) {
        (Some(f), Some(h)) => Some(if (f.0 > h.0) == newest { f } else { h }),
        (f, h) => f.or(h),
    }
}

fn total(call: &Call<'_>, window: &Window<'_>) -> Option<Val> {
    let (floats, histograms) = (window.floats(), window.histograms());
    let mean = call.id == FunctionId::AvgOverTime;
    let Some((first, rest)) = histograms.split_first() else {
        let mut sum = Kahan::default();
        floats.iter().for_each(|s| sum.add(s.value));
        if !mean {
            return Some(sum.total().into());
        }
        if sum.sum.is_finite() {
            let count = floats.len() as f64;
            return Some((sum.sum / count + sum.compensation / count).into());
        }
        // The mean may be finite where the sum is not.
        let mut careful = Mean::default();
        floats.iter().for_each(|s| careful.add(s.value));
        return Some(careful.total().into());
    };
    if !floats.is_empty() {
        call.warn_mixed();
        return None;
    }
    let mut sum = HistogramSum::new(&first.value);
    let wanted = if mean { Total::Mean } else { Total::Sum };
    rest.iter().for_each(|s| sum.add(&s.value, wanted, call.metric));
    if sum.mixed_by.is_some() {
        call.warn_mixed_buckets();
        return None;
    }
    if sum.resets_conflict() {
        call.warn("conflicting counter resets during histogram aggregation");
    }
    if sum.bounds_reconciled {
        call.info("mismatched custom buckets were reconciled during aggregation");
    }
    Some(sum.finish(wanted).into())
}

/// Functions that know numbers only. There is at least one.
fn of_floats(id: FunctionId, call: &Call<'_>, window: &Window<'_>, floats: &[FloatSample]) -> Option<f64> {
    use FunctionId as F;
    let values = || floats.iter().map(|s| s.value).collect::<Vec<f64>>();
    Some(match id {
        F::MaxOverTime => extreme(floats, |new, best| new > best).value,
        F::MinOverTime => extreme(floats, |new, best| new < best).value,
        F::TsOfMaxOverTime => extreme(floats, |new, best| new >= best).at.as_secs_f64(),
        F::TsOfMinOverTime => extreme(floats, |new, best| new <= best).at.as_secs_f64(),
        F::StddevOverTime => variance(floats).sqrt(),
        F::StdvarOverTime => variance(floats),
        F::QuantileOverTime => elements::quantile(call.scalar(0, window.step), values()),
        F::MadOverTime => {
            let median = elements::quantile(0.5, values());
            elements::quantile(0.5, values().into_iter().map(|v| (v - median).abs()).collect())
        }
        F::Deriv if floats.len() < 2 => return None,
        F::Deriv => regression(floats, floats[0].at.as_millis()).0,
        F::PredictLinear if floats.len() < 2 => return None,
        F::PredictLinear => {
            let (slope, intercept) = regression(floats, window.time);
            slope * call.scalar(0, window.step) + intercept
        }
        F::DoubleExponentialSmoothing if floats.len() < 2 => return None,
        F::DoubleExponentialSmoothing => {
            smoothed(floats, call.scalar(0, window.step), call.scalar(1, window.step))
        }
        _ => return None,
    })
}

/// The sample that no later one is better than; anything is better than NaN, even another NaN.
pub(super) fn extreme(floats: &[FloatSample], better: impl Fn(f64, f64) -> bool) -> FloatSample {
    let mut best = floats[0];
    for sample in &floats[1..] {
        if better(sample.value, best.value) || best.value.is_nan() {
            best = *sample;
        }
    }
    best
}

/// Source: Welford, "Note on a method for calculating corrected sums of squares and products".
fn variance(floats: &[FloatSample]) -> f64 {
    let (mut count, mut mean, mut sum) = (0.0, Kahan::default(), Kahan::default());
    for sample in floats {
        count += 1.0;
        let delta = sample.value - mean.total();
        mean.add(delta / count);
        sum.add(delta * (sample.value - mean.total()));
    }
    sum.total() / count
}

/// Slope per second and value at `origin` of the line through the samples, by least squares.
fn regression(floats: &[FloatSample], origin: i64) -> (f64, f64) {
    let first = floats[0].value;
    if floats.iter().all(|s| s.value == first) {
        // No rounding error may tilt a constant.
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    let (mut x_sum, mut y_sum) = (Kahan::default(), Kahan::default());
    let (mut xy_sum, mut xx_sum) = (Kahan::default(), Kahan::default());
    for sample in floats {
        let x = (sample.at.as_millis() - origin) as f64 / 1000.0;
        x_sum.add(x);
        y_sum.add(sample.value);
        xy_sum.add(x * sample.value);
        xx_sum.add(x * x);
    }
    let n = floats.len() as f64;
    let (x, y, xy, xx) = (x_sum.total(), y_sum.total(), xy_sum.total(), xx_sum.total());
    let slope = (xy - x * y / n) / (xx - x * x / n);
    (slope, y / n - slope * x / n)
}

/// Double exponential smoothing. Source: Holt, "Forecasting seasonals and trends by exponentially weighted averages".
fn smoothed(floats: &[FloatSample], smoothing: f64, trending: f64) -> f64 {
    let (mut before, mut level) = (0.0, floats[0].value);
    let mut trend = floats[1].value - floats[0].value;
    for (at, sample) in floats.iter().enumerate().skip(1) {
        if at > 1 {
            trend = trending * (level - before) + (1.0 - trending) * trend;
        }
        before = level;
        level = smoothing * sample.value + (1.0 - smoothing) * (level + trend);
    }
    level
}
