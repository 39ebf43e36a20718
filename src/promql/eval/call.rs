//! Calls of functions.

use std::collections::HashMap;

use model::{Histogram, Labels};

use super::classic;
use super::notes::Repairs;
use super::over_time::absent_series;
use super::select::{SampleTime, Sink, WithTimes};
use super::series::{Grid, Output, Ser, merged};
use super::{Evaluator, dates, elements, native};
use crate::EvalError;
use crate::ast::{Expr, Node, Selector, Span};
use crate::functions::{Function, FunctionId as F};
use crate::print::quote;

impl<'a> Evaluator<'a> {
    pub(super) fn call(
        &mut self,
        expr: &Expr,
        function: &'static Function,
        args: &[Expr],
        grid: Grid,
    ) -> Result<Output, EvalError> {
        let span = expr.span;
        let everywhere = |value: f64| Output::Scalar(vec![value; grid.len]);
        let vector = match function.id {
            F::Time => {
                let times = (0..grid.len).map(|step| grid.time(step) as f64 / 1000.0).collect();
                return Ok(Output::Scalar(times));
            }
            F::Pi => return Ok(everywhere(std::f64::consts::PI)),
            F::Start => return Ok(everywhere(self.resolver.range.start.as_secs_f64())),
            F::End => return Ok(everywhere(self.resolver.range.end.as_secs_f64())),
            F::Step => return Ok(everywhere(self.resolver.step_seconds())),
            F::Range => return Ok(everywhere(self.resolver.range_seconds())),
            F::MinOf | F::MaxOf => {
                let (left, right) = (self.scalar(&args[0], grid)?, self.scalar(&args[1], grid)?);
                let choose = if function.id == F::MinOf { smaller } else { larger };
                return Ok(Output::Scalar(left.into_iter().zip(right).map(|(l, r)| choose(l, r)).collect()));
            }
            F::Scalar => {
                let series = self.vector(&args[0], grid)?;
                return Ok(Output::Scalar(only_values(&series, grid)));
            }
            F::Vector => {
                vec![Ser::of_floats(self.scalar(&args[0], grid)?)]
            }
            F::Absent => {
                let series = self.vector(&args[0], grid)?;
                let mut present = vec![false; grid.len];
                series.iter().flat_map(Ser::values).for_each(|(step, _)| present[step] = true);
                absent_series(Self::absent_labels(&args[0]), &present)
            }
            F::Sort | F::SortDesc | F::SortByLabel | F::SortByLabelDesc => {
                self.sorted(function.id, args, span, grid)?
            }
            F::LabelReplace => self.label_replace(args, span, grid)?,
            F::LabelJoin => self.label_join(args, span, grid)?,
            F::Timestamp => self.timestamp(args, grid)?,
            F::StartTimestamp => self.start_timestamp(args, grid)?,
            F::AbsentOverTime => self.absent_over_time(&args[0], grid)?,
            F::Info => self.info(args, span, grid)?,
            F::HistogramQuantile => {
                let q = self.scalar(&args[0], grid)?;
                self.warn_of_quantiles(&q, place_of(&args[0]));
                let input = self.vector(&args[1], grid)?;
                // Of native histograms the notes name the first argument, whatever it is.
                let spans = [place_of(&args[1]), place_of(&args[0])];
                self.histogram_quantile(&q, input, spans, None, grid)?
            }
            F::HistogramQuantiles => self.histogram_quantiles(args, grid)?,
            F::HistogramFraction => {
                let (lower, upper) = (self.scalar(&args[0], grid)?, self.scalar(&args[1], grid)?);
                let input = self.vector(&args[2], grid)?;
                let spans = [place_of(&args[2]), place_of(&args[0])];
                self.histogram_fraction(&lower, &upper, input, spans)?
            }
            // What is left are parts of a date without an argument; all others are streams.
            id => {
                let values = (0..grid.len).map(|step| dates::part(id, grid.time(step) as f64 / 1000.0));
                vec![Ser::of_floats(values)]
            }
        };
        Ok(Output::Vector(vector))
    }

    /// Functions that change value after value; see [`super::stream`].
    pub(super) fn each_changed(
        &mut self,
        id: F,
        args: &[Expr],
        grid: Grid,
        sink: Sink<'_, 'a>,
    ) -> Result<(), EvalError> {
        let mut scalars = Vec::new();
        for arg in &args[1..] {
            scalars.push(self.scalar(arg, grid)?);
        }
        self.each(&args[0], grid, &mut |evaluator, series| {
            change(id, series, &scalars);
            evaluator.pass_on(series, sink)
        })
    }

    /// A series whose values were computed: it has lost its name, and it counts only if a value is left.
    pub(super) fn pass_on(&mut self, series: &mut Ser, sink: Sink<'_, 'a>) -> Result<(), EvalError> {
        if series.is_empty() {
            return Ok(());
        }
        self.unname(series);
        sink(self, series)
    }

    /// The times of samples: of those that a selector found, else of the evaluation.
    fn timestamp(&mut self, args: &[Expr], grid: Grid) -> Result<Vec<Ser>, EvalError> {
        let arg = args[0].without_parens();
        if let Node::Selector(selector) = &arg.node {
            return self.of_times(arg, selector, grid, |time| time.at as f64 / 1000.0);
        }
        let mut input = self.vector(arg, grid)?;
        for series in &mut input {
            let histograms = std::mem::take(&mut series.histograms);
            series.floats.extend(histograms.into_iter().map(|(step, _)| (step, 0.0)));
            series.sort();
            for (step, value) in &mut series.floats {
                *value = grid.time(*step as usize) as f64 / 1000.0;
            }
        }
        self.unnamed(input)
    }

    /// The times at which the counting behind samples began; 0 if that is not known. Only samples that a selector found
    /// have such times.
    fn start_timestamp(&mut self, args: &[Expr], grid: Grid) -> Result<Vec<Ser>, EvalError> {
        let arg = args[0].without_parens();
        if let Node::Selector(selector) = &arg.node {
            return self.of_times(arg, selector, grid, |time| time.start.unwrap_or(0) as f64 / 1000.0);
        }
        self.vector(arg, grid)?;
        Ok(Vec::new())
    }

    fn of_times(
        &mut self,
        arg: &Expr,
        selector: &Selector,
        grid: Grid,
        value_of: impl Fn(&SampleTime) -> f64,
    ) -> Result<Vec<Ser>, EvalError> {
        let mut out = Vec::new();
        self.recorder.begin(arg);
        self.instant_selector(arg, selector, grid, WithTimes::Yes, &mut |evaluator, series, times| {
            evaluator.charge(times.len())?;
            let floats = times.iter().map(|time| (time.step, value_of(time))).collect();
            out.push(Ser { floats, ..Ser::new(series.labels.clone(), series.drop_name) });
            Ok(())
        })?;
        let len = out.iter().map(Ser::len).sum();
        self.recorder.end(out.len(), len, 0);
        self.release(len);
        self.unnamed(out)
    }

    fn sorted(&mut self, id: F, args: &[Expr], span: Span, grid: Grid) -> Result<Vec<Ser>, EvalError> {
        if !self.resolver.range.is_instant() {
            self.notes.warn(
                span,
                "sort is ineffective for range queries since results are always ordered by labels",
            );
        }
        if matches!(id, F::SortByLabel | F::SortByLabelDesc) {
            return self.sort_by_label(args, id == F::SortByLabelDesc, grid);
        }
        let mut series = self.vector(&args[0], grid)?;
        if grid.len != 1 {
            return Ok(series);
        }
        series.iter_mut().for_each(|s| s.histograms.clear());
        series.retain(|s| !s.is_empty());
        series.sort_by(|a, b| {
            let (a, b) = (a.floats[0].1, b.floats[0].1);
            // NaN stands last in either direction.
            match (a.is_nan(), b.is_nan()) {
                (false, false) if id == F::Sort => a.total_cmp(&b),
                (false, false) => b.total_cmp(&a),
                (a_nan, b_nan) => a_nan.cmp(&b_nan),
            }
        });
        Ok(series)
    }

    fn warn_of_quantiles(&mut self, quantiles: &[f64], span: Span) {
        for q in quantiles.iter().filter(|q| !(0.0..=1.0).contains(*q)) {
            self.notes.warn(span, elements::quantile_range(*q));
        }
    }

    /// `histogram_quantiles(v, label, q…)`
    fn histogram_quantiles(&mut self, args: &[Expr], grid: Grid) -> Result<Vec<Ser>, EvalError> {
        let label = self.text(&args[1])?;
        let mut quantiles = Vec::new();
        for arg in &args[2..] {
            let q = self.scalar(arg, grid)?;
            self.warn_of_quantiles(&q, place_of(arg));
            quantiles.push(q);
        }
        let input = self.vector(&args[0], grid)?;
        let mut out = Vec::new();
        for q in quantiles {
            let spans = [place_of(&args[0]); 2];
            out.extend(self.histogram_quantile(&q, input.clone(), spans, Some(&label), grid)?);
        }
        merged(out)
    }

    /// Quantiles of classic and native histograms. With a label, it holds the quantile. `span` is where notes point, and
    /// where those of native histograms do.
    fn histogram_quantile(
        &mut self,
        quantiles: &[f64],
        input: Vec<Ser>,
        [span, native_span]: [Span; 2],
        label: Option<&str>,
        grid: Grid,
    ) -> Result<Vec<Ser>, EvalError> {
        let mut results = Labelled::default();
        let classic = self.classic_groups(&input, span);
        // Names that are dropped at once are gone before anything is said.
        let delayed = self.options.delayed_name_removal;
        let about = |name: &str| about(if delayed { name } else { "" });
        classic.each(&input, |group, step, buckets| {
            self.options.stop.check()?;
            let q = quantiles[step as usize];
            let found = classic::quantile(q, buckets);
            if let Some(repair) = found.repair {
                let time = grid.time(step as usize);
                let message = "input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)";
                let repairs = Repairs {
                    bounds: (repair.first, repair.last),
                    largest_drop: repair.largest_drop,
                    times: (time, time),
                    count: 1,
                };
                self.notes.repaired(span, format!("{message}{}", about(&group.name)), repairs);
            }
            results.push(&group.labels, label.map(|label| (label, q)), true, step, found.value);
            Ok(())
        })?;
        for series in input.iter().filter(|s| !s.histograms.is_empty()) {
            let beside = classic.beside(&series.labels, &input);
            for (step, histogram) in series.histograms.iter().filter(|(step, _)| !beside.contains(step)) {
                let q = quantiles[*step as usize];
                let found = native::quantile(q, histogram);
                if found.nan_observed {
                    let what = if found.value.is_nan() {
                        "input to histogram_quantile has NaN observations, result is NaN"
                    } else {
                        "input to histogram_quantile has NaN observations, result is skewed higher"
                    };
                    let about = about(series.labels.metric_name());
                    self.notes.info(native_span, format_args!("{what}{about}"));
                }
                let label = label.map(|label| (label, q));
                results.push(&series.labels, label, series.drop_name, *step, found.value);
            }
        }
        self.warn_of_mixed(&classic, &input, span);
        self.unnamed(results.finish(span)?)
    }

    fn histogram_fraction(
        &mut self,
        lower: &[f64],
        upper: &[f64],
        input: Vec<Ser>,
        [span, native_span]: [Span; 2],
    ) -> Result<Vec<Ser>, EvalError> {
        let mut results = Labelled::default();
        let classic = self.classic_groups(&input, span);
        // Names that are dropped at once are gone before anything is said.
        let delayed = self.options.delayed_name_removal;
        let about = |name: &str| about(if delayed { name } else { "" });
        classic.each(&input, |group, step, buckets| {
            self.options.stop.check()?;
            let value = classic::fraction(lower[step as usize], upper[step as usize], buckets);
            results.push(&group.labels, None, true, step, value);
            Ok(())
        })?;
        for series in input.iter().filter(|s| !s.histograms.is_empty()) {
            let beside = classic.beside(&series.labels, &input);
            for (step, histogram) in series.histograms.iter().filter(|(step, _)| !beside.contains(step)) {
                let found = native::fraction(lower[*step as usize], upper[*step as usize], histogram);
                if found.nan_observed {
                    let what = "input to histogram_fraction has NaN observations, which are excluded from all fractions";
                    let about = about(series.labels.metric_name());
                    self.notes.info(native_span, format_args!("{what}{about}"));
                }
                results.push(&series.labels, None, series.drop_name, *step, found.value);
            }
        }
        self.warn_of_mixed(&classic, &input, span);
        self.unnamed(results.finish(span)?)
    }
}

/// Results by labels, in order of their first.
#[derive(Default)]
struct Labelled {
    series: Vec<Ser>,
    places: HashMap<Labels, usize>,
    /// The labels of the value before, as they were given, and its place: those of the next one, mostly.
    latest: Option<(Labels, Option<u64>, usize)>,
}

impl Labelled {
    /// Adds a value; its labels are those given, with the number in the label of this name.
    fn push(&mut self, labels: &Labels, with: Option<(&str, f64)>, drop_name: bool, step: u32, value: f64) {
        let bits = with.map(|(_, number)| number.to_bits());
        let place = match &self.latest {
            Some((latest, number, place)) if latest == labels && *number == bits => *place,
            _ => {
                let own = match with {
                    Some((name, number)) => labels.with(name, &with_point(number)),
                    None => labels.clone(),
                };
                let place = *self.places.entry(own.clone()).or_insert_with(|| {
                    self.series.push(Ser::new(own, drop_name));
                    self.series.len() - 1
                });
                self.latest = Some((labels.clone(), bits, place));
                place
            }
        };
        self.series[place].floats.push((step, value));
    }

    fn finish(mut self, span: Span) -> Result<Vec<Ser>, EvalError> {
        self.series.iter_mut().for_each(Ser::sort);
        if self.series.iter().any(Ser::has_two_at_once) {
            return Err(EvalError::at(span, "vector cannot contain metrics with the same labelset"));
        }
        Ok(self.series)
    }
}

/// A number as exposition formats write label values: whole numbers keep a point.
fn with_point(value: f64) -> String {
    let text = model::format_float_shortest(value);
    if value.is_finite() && !text.contains(['.', 'e']) { format!("{text}.0") } else { text }
}

/// Where notes about an argument point: inside of its parentheses.
pub(super) fn place_of(arg: &Expr) -> Span {
    arg.without_parens().span
}

pub(super) fn about(metric: &str) -> String {
    if metric.is_empty() { String::new() } else { format!(" for metric name {}", quote(metric.as_bytes())) }
}

/// The smaller of two; NaN if one is, but for the smallest of all.
fn smaller(a: f64, b: f64) -> f64 {
    if a == f64::NEG_INFINITY || b == f64::NEG_INFINITY {
        f64::NEG_INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else {
        a.min(b)
    }
}

/// The larger of two; NaN if one is, but for the largest of all.
fn larger(a: f64, b: f64) -> f64 {
    -smaller(-a, -b)
}

/// At each step the number of the one series that has one, else NaN.
fn only_values(series: &[Ser], grid: Grid) -> Vec<f64> {
    let mut found: Vec<Option<f64>> = vec![None; grid.len];
    let mut many = vec![false; grid.len];
    for (step, value) in series.iter().flat_map(|s| s.floats.iter()) {
        let step = *step as usize;
        many[step] |= found[step].is_some();
        found[step] = Some(*value);
    }
    found
        .into_iter()
        .zip(many)
        .map(|(value, many)| if many { f64::NAN } else { value.unwrap_or(f64::NAN) })
        .collect()
}

/// Changes the values of one series; `scalars` are the further arguments. Numbers that the function makes of histograms
/// replace those; other functions leave histograms out.
fn change(id: F, series: &mut Ser, scalars: &[Vec<f64>]) {
    let histograms = std::mem::take(&mut series.histograms);
    let floats = &mut series.floats;
    match id {
        F::HistogramCount | F::HistogramSum | F::HistogramAvg | F::HistogramStddev | F::HistogramStdvar => {
            floats.clear();
            floats.extend(histograms.iter().map(|(step, histogram)| (*step, of_histogram(id, histogram))));
        }
        F::Clamp | F::ClampMin | F::ClampMax => {
            let bounds = |step: usize| match id {
                F::ClampMin => (scalars[0][step], f64::INFINITY),
                F::ClampMax => (f64::NEG_INFINITY, scalars[0][step]),
                _ => (scalars[0][step], scalars[1][step]),
            };
            floats.retain_mut(|(step, value)| {
                let (low, high) = bounds(*step as usize);
                *value = larger(low, smaller(high, *value));
                // Between bounds that cross lies nothing.
                low <= high || low.is_nan() || high.is_nan()
            });
        }
        F::Round => {
            for (step, value) in floats {
                let to = scalars.first().map_or(1.0, |to| to[*step as usize]);
                let inverse = 1.0 / to;
                *value = (*value * inverse + 0.5).floor() / inverse;
            }
        }
        F::Minute
        | F::Hour
        | F::DayOfWeek
        | F::DayOfMonth
        | F::DayOfYear
        | F::DaysInMonth
        | F::Month
        | F::Year => {
            floats.iter_mut().for_each(|(_, value)| *value = dates::part(id, *value));
        }
        _ => floats.iter_mut().for_each(|(_, value)| *value = of_float(id, *value)),
    }
}

fn of_histogram(id: F, histogram: &Histogram) -> f64 {
    match id {
        F::HistogramCount => histogram.count,
        F::HistogramSum => histogram.sum,
        F::HistogramAvg => histogram.sum / histogram.count,
        F::HistogramStddev => native::variance(histogram).sqrt(),
        _ => native::variance(histogram),
    }
}

/// Whether the function computes a number from a number; see [`of_float`].
pub(super) fn is_arithmetic(id: F) -> bool {
    matches!(
        id,
        F::Abs
            | F::Ceil
            | F::Floor
            | F::Sqrt
            | F::Exp
            | F::Ln
            | F::Log2
            | F::Log10
            | F::Sin
            | F::Cos
            | F::Tan
            | F::Asin
            | F::Acos
            | F::Atan
            | F::Sinh
            | F::Cosh
            | F::Tanh
            | F::Asinh
            | F::Acosh
            | F::Atanh
            | F::Deg
            | F::Rad
            | F::Sgn
    )
}

fn of_float(id: F, value: f64) -> f64 {
    match id {
        F::Abs => value.abs(),
        F::Ceil => value.ceil(),
        F::Floor => value.floor(),
        F::Sqrt => value.sqrt(),
        F::Exp => value.exp(),
        F::Ln => value.ln(),
        F::Log2 => value.log2(),
        F::Log10 => value.log10(),
        F::Sin => value.sin(),
        F::Cos => value.cos(),
        F::Tan => value.tan(),
        F::Asin => value.asin(),
        F::Acos => value.acos(),
        F::Atan => value.atan(),
        // Infinite where half of the exponential is, as everywhere in the field, though the number might still be held.
        F::Sinh | F::Cosh if value.abs() > 21.0 => {
            let half = value.abs().exp() * 0.5;
            if id == F::Sinh { half.copysign(value) } else { half }
        }
        F::Sinh => value.sinh(),
        F::Cosh => value.cosh(),
        F::Tanh => value.tanh(),
        F::Asinh => value.asinh(),
        F::Acosh => value.acosh(),
        F::Atanh => value.atanh(),
        F::Deg => value * 180.0 / std::f64::consts::PI,
        F::Rad => value * std::f64::consts::PI / 180.0,
        F::Sgn if value < 0.0 => -1.0,
        F::Sgn if value > 0.0 => 1.0,
        _ => value,
    }
}
