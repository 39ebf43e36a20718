//! Reading samples: the newest value at each step, and what windows are cut from.
//!
//! Series are read one after the other into the same buffer, and shown to whoever works with them.

use std::sync::Arc;

use model::{
    CounterResetHint, FloatSample, Histogram, HistogramSample, Labels, SampleValue, Samples, SeriesReader,
    Timestamp, is_stale,
};

use super::series::{Grid, Output, Ser, Val};
use super::window::{Cursor, Times, advance, weight};
use super::{Evaluator, rate};
use crate::EvalError;
use crate::ast::{Edges, Expr, Node, Selector, Span};
use crate::plan::{Moment, Resolver};

/// Takes the series of a vector one by one; may take the values out.
pub(super) type Sink<'s, 'a> = &'s mut dyn FnMut(&mut Evaluator<'a>, &mut Ser) -> Result<(), EvalError>;

/// Takes what an instant selector found in one series, with the times of the samples.
type SelectedSink<'s, 'a> =
    &'s mut dyn FnMut(&mut Evaluator<'a>, &mut Ser, &[SampleTime]) -> Result<(), EvalError>;

/// When the sample was taken that is the value at a step, and when its counting began, if that is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct SampleTime {
    pub(super) step: u32,
    pub(super) at: i64,
    pub(super) start: Option<i64>,
}

/// Whether the times of samples are wanted besides their values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WithTimes {
    Yes,
    No,
}

/// How the values of an instant vector are looked up.
#[derive(Clone, Copy)]
pub(super) struct Look {
    pub(super) moment: Moment,
    /// Whether values are interpolated between samples.
    pub(super) smoothed: bool,
    pub(super) times: WithTimes,
    /// Where the vector stands.
    pub(super) span: Span,
}

impl<'a> Evaluator<'a> {
    /// The series of a selection.
    pub(super) fn source(&self, selection: Option<usize>) -> Option<&'a dyn SeriesReader> {
        selection.and_then(|index| self.data.get(index)).copied()
    }

    /// The newest value at each step that is younger than the lookback.
    pub(super) fn instant_selector(
        &mut self,
        expr: &Expr,
        selector: &Selector,
        grid: Grid,
        times: WithTimes,
        sink: SelectedSink<'_, 'a>,
    ) -> Result<(), EvalError> {
        if selector.edges == Edges::Anchored {
            return Err(EvalError::at(expr.span, "anchored modifier is not supported for instant vectors"));
        }
        let moment = self.resolver.moment(&selector.time)?;
        let look = Look { moment, smoothed: selector.edges == Edges::Smoothed, times, span: expr.span };
        match self.source(self.plan.of_selector(selector)) {
            Some(source) => self.instant_values(source, look, grid, &|_| true, sink),
            None => Ok(()),
        }
    }

    /// The same for series that were selected by other means, of which those with `wanted` labels are read.
    pub(super) fn instant_values(
        &mut self,
        source: &'a dyn SeriesReader,
        look: Look,
        grid: Grid,
        wanted: &dyn Fn(&Labels) -> bool,
        sink: SelectedSink<'_, 'a>,
    ) -> Result<(), EvalError> {
        let Look { moment, smoothed, times: with_times, span } = look;
        let lookback = self.resolver.lookback_ms;
        let when = |step: usize| moment.of(grid.time(step));
        if grid.len == 0 {
            return Ok(());
        }
        let (first, last) = (when(0), when(grid.len - 1));
        let end = if smoothed { last.saturating_add(lookback) } else { last };
        let start = Timestamp::from_millis(first.saturating_sub(lookback).saturating_add(1));
        let mut samples = self.buffers.pop().unwrap_or_default();
        let mut series = Ser::default();
        let mut times: Vec<SampleTime> = Vec::new();
        for index in 0..source.series_len() {
            self.options.stop.check()?;
            if !wanted(source.labels(index)) {
                continue;
            }
            series.renew(source.labels(index));
            times.clear();
            let known = if grid.len == 1 && !smoothed && with_times == WithTimes::No {
                source.newest(index, Timestamp::from_millis(last))
            } else {
                None
            };
            if let Some((at, value)) = known {
                if at >= start {
                    push_known(&mut series, value);
                }
            } else {
                self.read(source, index, start, Timestamp::from_millis(end), &mut samples)?;
                if smoothed {
                    let mut cursor = Cursor::default();
                    for step in 0..grid.len {
                        let at = when(step);
                        cursor.move_to(&samples, i64::MIN, at);
                        let labels = source.labels(index);
                        if let Some(value) = rate::interpolated_at(self, span, labels, &samples, &cursor, at)
                        {
                            series.push(step, value);
                            times.push(SampleTime { step: step as u32, at, start: None });
                        }
                    }
                } else if samples.histograms.is_empty() && with_times == WithTimes::No {
                    newest_floats(&samples.floats, grid.len, when, lookback, &mut series.floats);
                } else {
                    newest_of_both(&samples, grid.len, when, lookback, &mut series, &mut times);
                }
            }
            if series.is_empty() {
                continue;
            }
            self.count_values(&series);
            let weight = series.weight();
            self.charge(weight)?;
            sink(self, &mut series, &times)?;
            self.release(weight);
        }
        self.buffers.push(samples);
        Ok(())
    }

    /// Reads the samples of one series.
    pub(super) fn read(
        &mut self,
        source: &dyn SeriesReader,
        index: usize,
        start: Timestamp,
        end: Timestamp,
        samples: &mut Samples,
    ) -> Result<(), EvalError> {
        let began = self.recorder.now();
        let read = source.read(index, start, end, samples);
        self.recorder.has_read(began, samples.len());
        read.map_err(|error| EvalError::Storage { message: error.message })
    }

    /// What a range vector argument holds, for windows to be cut from.
    pub(super) fn range_input(&mut self, expr: &Expr, grid: Grid) -> Result<RangeInput<'a>, EvalError> {
        let lookback = self.resolver.lookback_ms;
        match &expr.without_parens().node {
            Node::Range { selector, range, .. } => {
                let time = Times {
                    moment: self.resolver.moment(&selector.time)?,
                    range: self.resolver.length(range)?,
                    lookback,
                };
                let source = self.source(self.plan.of_selector(selector)).map(RangeSource::Stored);
                let source = source.unwrap_or_else(|| RangeSource::Made(Vec::new()));
                Ok(RangeInput { source, time, edges: selector.edges })
            }
            Node::Subquery { expr: inner, range, step, time } => {
                let time = Times {
                    moment: self.resolver.moment(time)?,
                    range: self.resolver.length(range)?,
                    lookback,
                };
                let step =
                    step.as_ref().map_or(Ok(self.resolver.default_step_ms), |s| self.resolver.length(s))?;
                let first = time.end(grid.time(0)).saturating_sub(time.range);
                let last = time.end(grid.time(grid.len.saturating_sub(1)));
                let inner_grid = Grid::new(Resolver::subquery_start(first, step), last, step);
                let series = if inner_grid.len == 0 || grid.len == 0 {
                    Vec::new()
                } else {
                    let counting = self.recorder.enter_subquery();
                    let series = self.subquery_series(inner, inner_grid)?;
                    self.recorder.leave_subquery(counting);
                    series
                };
                Ok(RangeInput { source: RangeSource::Made(series), time, edges: Edges::Plain })
            }
            _ => Err(EvalError::at(expr.span, "expected a range vector")),
        }
    }

    fn subquery_series(&mut self, inner: &Expr, grid: Grid) -> Result<Vec<MadeSeries>, EvalError> {
        // More steps than samples are allowed cannot be held; refuse before allocating them.
        if grid.len > self.options.samples_max {
            return Err(EvalError::TooManySamples { max: self.options.samples_max });
        }
        let output = self.eval(inner, grid)?;
        self.release(output.weight());
        let Output::Vector(series) = output else {
            return Err(EvalError::at(inner.span, "expected an instant vector"));
        };
        let at = |step: u32| Timestamp::from_millis(grid.time(step as usize));
        let histogram =
            |(step, value): (u32, Arc<Histogram>)| HistogramSample { at: at(step), value: unhinted(value) };
        Ok(series
            .into_iter()
            .map(|s| MadeSeries {
                labels: s.labels,
                drop_name: s.drop_name,
                samples: Samples {
                    floats: s.floats.into_iter().map(|(t, value)| FloatSample { at: at(t), value }).collect(),
                    histograms: s.histograms.into_iter().map(histogram).collect(),
                    starts: Vec::new(),
                },
            })
            .collect())
    }

    /// Shows the series of a range vector, without stale markers, one after the other.
    pub(super) fn each_range(
        &mut self,
        input: &RangeInput<'a>,
        grid: Grid,
        show: &mut dyn FnMut(&mut Self, &Labels, bool, &Samples) -> Result<(), EvalError>,
    ) -> Result<(), EvalError> {
        if grid.len == 0 {
            return Ok(());
        }
        match &input.source {
            RangeSource::Made(series) => {
                for one in series {
                    self.options.stop.check()?;
                    show(self, &one.labels, one.drop_name, &one.samples)?;
                }
            }
            RangeSource::Stored(source) => {
                let time = &input.time;
                let beyond = if input.edges == Edges::Plain { 0 } else { time.lookback };
                let first = time.end(grid.time(0)).saturating_sub(time.range);
                let start = Timestamp::from_millis(first.saturating_sub(beyond).saturating_add(1));
                let last = time.end(grid.time(grid.len - 1));
                let end = Timestamp::from_millis(last.saturating_add(beyond));
                let mut samples = self.buffers.pop().unwrap_or_default();
                for index in 0..source.series_len() {
                    self.options.stop.check()?;
                    self.read(*source, index, start, end, &mut samples)?;
                    drop_stale(&mut samples);
                    if samples.is_empty() {
                        continue;
                    }
                    show(self, source.labels(index), false, &samples)?;
                }
                self.buffers.push(samples);
            }
        }
        Ok(())
    }
}

fn push_known(series: &mut Ser, value: SampleValue) {
    match value {
        SampleValue::Float(value) if !is_stale(value) => series.floats.push((0, value)),
        SampleValue::Histogram(value) if !is_stale(value.sum) => series.histograms.push((0, value)),
        _ => {}
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

/// At each step the value of the newest sample that is younger than `lookback`, unless the series has ended.
fn newest_floats(
    floats: &[FloatSample],
    steps: usize,
    when: impl Fn(usize) -> i64,
    lookback: i64,
    out: &mut Vec<(u32, f64)>,
) {
    let mut next = 0;
    for step in 0..steps {
        let at = Timestamp::from_millis(when(step));
        advance(&mut next, floats, |s| s.at <= at);
        let Some(newest) = next.checked_sub(1).map(|i| floats[i]) else { continue };
        if newest.at.as_millis() > at.as_millis().saturating_sub(lookback) && !is_stale(newest.value) {
            out.push((step as u32, newest.value));
        }
    }
}

/// The same for series that may have histograms, with the times of the samples.
fn newest_of_both(
    samples: &Samples,
    steps: usize,
    when: impl Fn(usize) -> i64,
    lookback: i64,
    out: &mut Ser,
    times: &mut Vec<SampleTime>,
) {
    let mut cursor = Cursor::default();
    for step in 0..steps {
        let at = when(step);
        cursor.move_to(samples, i64::MIN, at);
        let oldest = Timestamp::from_millis(at.saturating_sub(lookback));
        let float = cursor.floats.1.checked_sub(1).map(|i| &samples.floats[i]).filter(|f| f.at > oldest);
        let histogram = cursor.histograms.1.checked_sub(1).map(|i| &samples.histograms[i]);
        let histogram = histogram.filter(|h| h.at > oldest);
        let found = match (float, histogram) {
            (Some(f), h) if h.is_none_or(|h| h.at < f.at) => {
                (!is_stale(f.value)).then_some((Val::Float(f.value), f.at))
            }
            (_, Some(h)) => (!is_stale(h.value.sum)).then(|| (Val::Histogram(Arc::clone(&h.value)), h.at)),
            _ => None,
        };
        if let Some((value, at)) = found {
            out.push(step, value);
            let start = super::started::start_of(samples, at);
            times.push(SampleTime { step: step as u32, at: at.as_millis(), start });
        }
    }
}

/// Ranges do not see stale markers.
fn drop_stale(samples: &mut Samples) {
    if samples.floats.iter().any(|s| is_stale(s.value)) {
        samples.floats.retain(|s| !is_stale(s.value));
    }
    if samples.histograms.iter().any(|s| is_stale(s.value.sum)) {
        samples.histograms.retain(|s| !is_stale(s.value.sum));
    }
}

/// A range vector argument.
pub(super) struct RangeInput<'a> {
    source: RangeSource<'a>,
    pub(super) time: Times,
    pub(super) edges: Edges,
}

enum RangeSource<'a> {
    /// Read from the store, one at a time.
    Stored(&'a dyn SeriesReader),
    /// The values of a subquery.
    Made(Vec<MadeSeries>),
}

struct MadeSeries {
    labels: Labels,
    drop_name: bool,
    samples: Samples,
}

impl Ser {
    /// Another series, without values yet; the space is kept.
    pub(super) fn renew(&mut self, labels: &Labels) {
        self.labels.clone_from(labels);
        self.drop_name = false;
        self.unnamed = false;
        self.floats.clear();
        self.histograms.clear();
    }
}

impl Evaluator<'_> {
    /// Counts the values of a selector for the statistics.
    fn count_values(&mut self, series: &Ser) {
        for (step, _) in &series.floats {
            self.recorder.count_at(*step as usize, 1);
        }
        for (step, histogram) in &series.histograms {
            self.recorder.count_at(*step as usize, weight(histogram));
        }
    }
}
