//! Reading samples: the newest value at each step, and windows over time.

use std::borrow::Cow;
use std::sync::Arc;

use model::{CounterResetHint, FloatSample, Histogram, HistogramSample, Labels, Series, Timestamp, is_stale};

use super::series::{Grid, Output, Ser, Val};
use super::{Evaluator, rate};
use crate::EvalError;
use crate::ast::{Edges, Expr, Node, Selector, Span};
use crate::plan::Resolver;

/// The answer of an instant selector.
pub(super) struct Selected {
    pub(super) values: Vec<Ser>,
    /// For each series the times of its values, in the order of steps.
    pub(super) times: Vec<Vec<(u32, i64)>>,
}

impl<'a> Evaluator<'a> {
    /// The series of a selection.
    pub(super) fn source(&self, selection: Option<usize>) -> &'a [Series] {
        selection.and_then(|index| self.data.get(index)).map_or(&[], Vec::as_slice)
    }

    /// The newest value at each step that is younger than the lookback.
    pub(super) fn instant_selector(
        &mut self,
        expr: &Expr,
        selector: &Selector,
        grid: Grid,
    ) -> Result<Selected, EvalError> {
        if selector.edges == Edges::Anchored {
            return Err(EvalError::at(expr.span, "anchored modifier is not supported for instant vectors"));
        }
        let source = self.source(self.plan.of_selector(selector));
        self.instant_values(source, selector, grid, expr.span)
    }

    /// The same for series that were selected by other means.
    pub(super) fn instant_values(
        &mut self,
        source: &[Series],
        selector: &Selector,
        grid: Grid,
        span: Span,
    ) -> Result<Selected, EvalError> {
        let (fixed, offset) = (self.resolver.at(&selector.time), self.resolver.offset(&selector.time)?);
        let mut selected = Selected { values: Vec::new(), times: Vec::new() };
        for series in source {
            self.options.stop.check()?;
            let (mut values, mut times) = (Ser::new(series.labels.clone(), false), Vec::new());
            let mut cursor = Cursor::default();
            for step in 0..grid.len {
                let at = fixed.unwrap_or_else(|| grid.time(step)).saturating_sub(offset);
                let found = if selector.edges == Edges::Smoothed {
                    self.smoothed_value(span, series, &mut cursor, at).map(|value| (value, at))
                } else {
                    newest(series, &mut cursor, at, self.resolver.lookback_ms)
                };
                if let Some((value, time)) = found {
                    values.push(step, value);
                    times.push((step as u32, time));
                }
            }
            if !values.is_empty() {
                self.charge(values.len())?;
                selected.values.push(values);
                selected.times.push(times);
            }
        }
        self.release(selected.values.iter().map(Ser::len).sum());
        Ok(selected)
    }

    fn smoothed_value(&mut self, span: Span, series: &Series, cursor: &mut Cursor, at: i64) -> Option<Val> {
        cursor.move_to(&series.floats, &series.histograms, i64::MIN, at);
        rate::interpolated_at(self, span, series, cursor.floats.1, cursor.histograms.1, at)
    }

    /// What a range vector argument holds, for windows to be cut from.
    pub(super) fn range_input(&mut self, expr: &Expr, grid: Grid) -> Result<RangeInput<'a>, EvalError> {
        match &expr.without_parens().node {
            Node::Range { selector, range, .. } => {
                let time = Times {
                    fixed: self.resolver.at(&selector.time),
                    offset: self.resolver.offset(&selector.time)?,
                    range: self.resolver.length(range)?,
                };
                let series =
                    self.source(self.plan.of_selector(selector)).iter().map(RangeSeries::borrowed).collect();
                Ok(RangeInput { series, time, edges: selector.edges, lookback: self.resolver.lookback_ms })
            }
            Node::Subquery { expr: inner, range, step, time } => {
                let time = Times {
                    fixed: self.resolver.at(time),
                    offset: self.resolver.offset(time)?,
                    range: self.resolver.length(range)?,
                };
                let step =
                    step.as_ref().map_or(Ok(self.resolver.default_step_ms), |s| self.resolver.length(s))?;
                let first = time.at(grid.time(0)).saturating_sub(time.range);
                let last = time.at(grid.time(grid.len.saturating_sub(1)));
                let inner_grid = Grid::new(Resolver::subquery_start(first, step), last, step);
                let series = if inner_grid.len == 0 || grid.len == 0 {
                    Vec::new()
                } else {
                    self.subquery_series(inner, inner_grid)?
                };
                Ok(RangeInput { series, time, edges: Edges::Plain, lookback: self.resolver.lookback_ms })
            }
            _ => Err(EvalError::at(expr.span, "expected a range vector")),
        }
    }

    fn subquery_series(&mut self, inner: &Expr, grid: Grid) -> Result<Vec<RangeSeries<'a>>, EvalError> {
        // More steps than samples are allowed cannot be held; refuse before allocating them.
        if grid.len > self.options.samples_max {
            return Err(EvalError::TooManySamples { max: self.options.samples_max });
        }
        let output = self.eval(inner, grid)?;
        self.release(output.len());
        let Output::Vector(series) = output else {
            return Err(EvalError::at(inner.span, "expected an instant vector"));
        };
        let at = |step: u32| Timestamp::from_millis(grid.time(step as usize));
        let histogram =
            |(step, value): (u32, Arc<Histogram>)| HistogramSample { at: at(step), value: unhinted(value) };
        Ok(series
            .into_iter()
            .map(|s| RangeSeries {
                labels: s.labels,
                drop_name: s.drop_name,
                floats: s.floats.into_iter().map(|(t, value)| FloatSample { at: at(t), value }).collect(),
                histograms: s.histograms.into_iter().map(histogram).collect(),
            })
            .collect())
    }
}

/// A histogram without what is known about resets since the sample before it: another one stands before it now.
fn unhinted(histogram: Arc<Histogram>) -> Arc<Histogram> {
    match histogram.counter_reset_hint {
        CounterResetHint::Gauge | CounterResetHint::Unknown => histogram,
        CounterResetHint::Reset | CounterResetHint::NotReset => {
            Arc::new(Histogram { counter_reset_hint: CounterResetHint::Unknown, ..(*histogram).clone() })
        }
    }
}

/// The value and time of the newest sample not after `at` and younger than `lookback`, unless the series has ended.
fn newest(series: &Series, cursor: &mut Cursor, at: i64, lookback: i64) -> Option<(Val, i64)> {
    cursor.move_to(&series.floats, &series.histograms, i64::MIN, at);
    let float = cursor.floats.1.checked_sub(1).map(|i| &series.floats[i]);
    let histogram = cursor.histograms.1.checked_sub(1).map(|i| &series.histograms[i]);
    let oldest = Timestamp::from_millis(at.saturating_sub(lookback));
    let float = float.filter(|f| f.at > oldest);
    let histogram = histogram.filter(|h| h.at > oldest);
    match (float, histogram) {
        (Some(f), h) if h.is_none_or(|h| h.at < f.at) => {
            (!is_stale(f.value)).then(|| (Val::Float(f.value), f.at.as_millis()))
        }
        (_, Some(h)) => (!is_stale(h.value.sum)).then(|| (Val::Histogram(h.value.clone()), h.at.as_millis())),
        _ => None,
    }
}

/// Index ranges into the samples of one series. They only move forward while windows do.
#[derive(Clone, Debug, Default)]
pub(super) struct Cursor {
    pub(super) floats: (usize, usize),
    pub(super) histograms: (usize, usize),
}

impl Cursor {
    /// To the samples after `start` and not after `end`.
    fn move_to(&mut self, floats: &[FloatSample], histograms: &[HistogramSample], start: i64, end: i64) {
        let (start, end) = (Timestamp::from_millis(start), Timestamp::from_millis(end));
        advance(&mut self.floats.0, floats, |s| s.at <= start);
        advance(&mut self.floats.1, floats, |s| s.at <= end);
        advance(&mut self.histograms.0, histograms, |s| s.at <= start);
        advance(&mut self.histograms.1, histograms, |s| s.at <= end);
        self.floats.0 = self.floats.0.min(self.floats.1);
        self.histograms.0 = self.histograms.0.min(self.histograms.1);
    }
}

/// Moves an index over all elements that are `before` the wanted one: step by step if it is near, else by halves.
fn advance<T>(index: &mut usize, items: &[T], before: impl Fn(&T) -> bool) {
    for _ in 0..16 {
        match items.get(*index) {
            Some(item) if before(item) => *index += 1,
            _ => return,
        }
    }
    *index += items[*index..].partition_point(before);
}

/// Which window belongs to an evaluation time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    fixed: Option<i64>,
    offset: i64,
    pub(super) range: i64,
}

impl Times {
    /// The end of the window.
    fn at(&self, time: i64) -> i64 {
        self.fixed.unwrap_or(time).saturating_sub(self.offset)
    }
}

/// A range vector argument.
pub(super) struct RangeInput<'a> {
    pub(super) series: Vec<RangeSeries<'a>>,
    pub(super) time: Times,
    pub(super) edges: Edges,
    pub(super) lookback: i64,
}

/// One series of it, without stale markers.
pub(super) struct RangeSeries<'a> {
    pub(super) labels: Labels,
    pub(super) drop_name: bool,
    pub(super) floats: Cow<'a, [FloatSample]>,
    pub(super) histograms: Cow<'a, [HistogramSample]>,
}

impl<'a> RangeSeries<'a> {
    fn borrowed(series: &'a Series) -> Self {
        let floats = if series.floats.iter().any(|s| is_stale(s.value)) {
            Cow::Owned(series.floats.iter().filter(|s| !is_stale(s.value)).copied().collect())
        } else {
            Cow::Borrowed(series.floats.as_slice())
        };
        let histograms = if series.histograms.iter().any(|s| is_stale(s.value.sum)) {
            Cow::Owned(series.histograms.iter().filter(|s| !is_stale(s.value.sum)).cloned().collect())
        } else {
            Cow::Borrowed(series.histograms.as_slice())
        };
        RangeSeries { labels: series.labels.clone(), drop_name: false, floats, histograms }
    }
}

impl RangeInput<'_> {
    /// The window that belongs to a step at `time`.
    pub(super) fn window<'w>(
        &self,
        series: &'w RangeSeries<'_>,
        cursor: &mut Cursor,
        step: usize,
        time: i64,
    ) -> Window<'w> {
        let end = self.time.at(time);
        let start = end.saturating_sub(self.time.range);
        cursor.move_to(&series.floats, &series.histograms, start, end);
        Window {
            all_floats: &series.floats,
            all_histograms: &series.histograms,
            bounds: cursor.clone(),
            start,
            end,
            step,
            time,
            lookback: self.lookback,
        }
    }
}

/// The samples of one series after `start` and not after `end`.
#[derive(Debug)]
pub(super) struct Window<'w> {
    pub(super) all_floats: &'w [FloatSample],
    pub(super) all_histograms: &'w [HistogramSample],
    pub(super) bounds: Cursor,
    pub(super) start: i64,
    pub(super) end: i64,
    /// The step it belongs to.
    pub(super) step: usize,
    /// The time of that step.
    pub(super) time: i64,
    /// How far beyond its borders `anchored` and `smoothed` may look.
    pub(super) lookback: i64,
}

impl<'w> Window<'w> {
    pub(super) fn floats(&self) -> &'w [FloatSample] {
        &self.all_floats[self.bounds.floats.0..self.bounds.floats.1]
    }

    pub(super) fn histograms(&self) -> &'w [HistogramSample] {
        &self.all_histograms[self.bounds.histograms.0..self.bounds.histograms.1]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.floats().is_empty() && self.histograms().is_empty()
    }

    /// All samples in order of time: numbers and histograms as they come.
    pub(super) fn values(&self) -> Vec<(i64, Val)> {
        let floats = self.floats().iter().map(|s| (s.at.as_millis(), Val::Float(s.value)));
        let histograms =
            self.histograms().iter().map(|s| (s.at.as_millis(), Val::Histogram(s.value.clone())));
        let mut all: Vec<(i64, Val)> = floats.chain(histograms).collect();
        if !self.floats().is_empty() && !self.histograms().is_empty() {
            all.sort_by_key(|(at, _)| *at);
        }
        all
    }
}
