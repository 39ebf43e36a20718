//! How much series change: rates, differences, resets; also between samples.

use std::sync::Arc;

use model::{
    CounterResetHint, FloatSample, Histogram, HistogramMismatch, HistogramSample, Labels, Samples, Timestamp,
};

use super::Evaluator;
use super::over_time::{Call, mixed_buckets, mixed_samples};
use super::series::Val;
use super::started::{self, Started};
use super::window::{Cursor, Window};
use crate::ast::{Edges, Span};
use crate::functions::FunctionId;
use crate::print::quote;

/// `rate`, `increase` and `delta`: the difference between the ends of the window, with what counters lost by resets.
///
/// Samples rarely lie at the borders of a window. The difference is extrapolated to a border if the distance to it is that of
/// samples to each other, give or take a tenth; else by half that distance. A counter is not extrapolated to below zero.
pub(super) fn extrapolated(call: &Call<'_>, window: &Window<'_>) -> Option<Val> {
    if call.edges != Edges::Plain {
        return between_edges(call, window);
    }
    let (floats, histograms) = (window.floats(), window.histograms());
    let counter = call.id != FunctionId::Delta;
    if !floats.is_empty() && !histograms.is_empty() {
        call.warn_mixed();
        return None;
    }
    if counter && !window.all.starts.is_empty() {
        return since_start(call, window);
    }
    if floats.len() > 1 {
        let change =
            if counter { increase(floats) } else { floats[floats.len() - 1].value - floats[0].value };
        let ends = Ends::of(floats[0].at, floats[floats.len() - 1].at, floats.len());
        let factor = ends.factor(call, window, counter.then_some((floats[0].value, change)));
        return Some((change * factor).into());
    }
    let [first, .., last] = histograms else { return None };
    let change = histogram_change(call, histograms, counter)?;
    let ends = Ends::of(first.at, last.at, histograms.len());
    let factor = ends.factor(call, window, counter.then_some((first.value.count, change.count)));
    Some(change.scaled(factor).into())
}

/// The same for samples that say when their counting began.
fn since_start(call: &Call<'_>, window: &Window<'_>) -> Option<Val> {
    let (floats, histograms) = (window.floats(), window.histograms());
    started::warn_of_overlaps(call, window);
    let (first, last, count) = match (floats, histograms) {
        ([first, ..], _) => (first.at, floats[floats.len() - 1].at, floats.len()),
        (_, [first, ..]) => (first.at, histograms[histograms.len() - 1].at, histograms.len()),
        _ => return None,
    };
    let zero = Started::of(window.all, first).zero_after(window.start);
    if count < 2 && zero.is_none() {
        return None;
    }
    let ends = Ends { zero, ..Ends::of(first, last, count) };
    if !floats.is_empty() {
        let change = started::increase(window, zero);
        return Some((change * ends.factor(call, window, Some((floats[0].value, change)))).into());
    }
    let marked = started::marked(window.all, histograms, zero);
    let change = histogram_change(call, &marked, true)?;
    let factor = ends.factor(call, window, Some((histograms[0].value.count, change.count)));
    Some(change.scaled(factor).into())
}

/// Where the samples of a window lie.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    first: i64,
    last: i64,
    count: usize,
    /// When counting began, if that is inside of the window and known.
    zero: Option<i64>,
}

impl Ends {
    pub(super) fn of(first: Timestamp, last: Timestamp, count: usize) -> Self {
        Ends { first: first.as_millis(), last: last.as_millis(), count, zero: None }
    }

    fn factor(self, call: &Call<'_>, window: &Window<'_>, counter: Option<(f64, f64)>) -> f64 {
        let factor = self.extrapolation(window.start, window.end, counter);
        if call.id == FunctionId::Rate { factor / call.range_seconds } else { factor }
    }

    /// What the change between the samples is multiplied with to be that of the whole window. `counter`: the first value
    /// and the change of a counter.
    #[inline]
    pub(super) fn extrapolation(self, start: i64, end: i64, counter: Option<(f64, f64)>) -> f64 {
        let mut to_start = (self.first - start) as f64 / 1000.0;
        let mut to_end = (end - self.last) as f64 / 1000.0;
        let mut sampled = (self.last - self.first) as f64 / 1000.0;
        // A single sample tells nothing about the distance to the next one.
        let distance = if self.count > 1 { sampled / (self.count - 1) as f64 } else { 0.0 };
        let threshold = distance * 1.1;
        if to_start >= threshold {
            to_start = distance / 2.0;
        }
        if let Some((first, change)) = counter
            && change > 0.0
            && first >= 0.0
        {
            to_start = to_start.min(sampled * (first / change));
        }
        if to_end >= threshold {
            to_end = distance / 2.0;
        }
        if let Some(zero) = self.zero {
            sampled = (self.last - zero) as f64 / 1000.0;
            to_start = 0.0;
        }
        (sampled + to_start + to_end) / sampled
    }
}

/// How much a counter grew, resets included.
fn increase(floats: &[FloatSample]) -> f64 {
    let mut total = floats[floats.len() - 1].value - floats[0].value;
    for pair in floats.windows(2) {
        if pair[1].value < pair[0].value {
            total += pair[0].value;
        }
    }
    total
}

/// The same for histograms, as a gauge.
fn histogram_change(call: &Call<'_>, histograms: &[HistogramSample], counter: bool) -> Option<Histogram> {
    warn_of_kind(call, histograms, counter);
    let (first, last) = (&histograms[0].value, &histograms[histograms.len() - 1].value);
    // What came before a reset between the first two does not matter, not even its buckets.
    let empty = Histogram {
        schema: histograms[1].value.schema,
        custom_values: histograms[1].value.custom_values.clone(),
        zero_threshold: histograms[1].value.zero_threshold,
        ..Histogram::default()
    };
    let reset_at_once = counter && histograms[1].value.is_reset_from(first);
    let start = if reset_at_once { &empty } else { first };
    let custom = start.uses_custom_buckets();
    if counter && histograms[1..].iter().any(|s| s.value.uses_custom_buckets() != custom)
        || last.uses_custom_buckets() != custom
    {
        call.warn_mixed_buckets();
        return None;
    }
    let mut total = noted(call, last.minus(start), "subtraction")?;
    if counter {
        // The resolution is the lowest of all, so that the rate does not depend on where resets lie.
        let lowest = histograms.iter().skip(usize::from(reset_at_once)).map(|s| s.value.schema).min();
        total = total.with_schema(lowest.unwrap_or(total.schema));
        let mut previous = start;
        for sample in &histograms[1..] {
            if sample.value.is_reset_from(previous) {
                total = noted(call, total.plus(previous), "addition")?;
            }
            previous = &sample.value;
        }
    }
    total.counter_reset_hint = CounterResetHint::Gauge;
    Some(total.compacted())
}

/// Says so if gauges are used as counters, or counters as gauges.
fn warn_of_kind(call: &Call<'_>, histograms: &[HistogramSample], counter: bool) {
    let is_gauge = |s: &HistogramSample| s.value.counter_reset_hint == CounterResetHint::Gauge;
    let metric = quote(call.metric.as_bytes());
    if counter && histograms.iter().any(is_gauge) {
        call.warn(format_args!("this native histogram metric is not a counter: {metric}"));
    }
    let ends = [histograms.first(), histograms.last()];
    if !counter && ends.into_iter().flatten().any(|s| !is_gauge(s)) {
        call.warn(format_args!("this native histogram metric is not a gauge: {metric}"));
    }
}

/// The combined histogram; notes what happened to its bounds.
fn noted(
    call: &Call<'_>,
    combined: Result<model::Combined, HistogramMismatch>,
    verb: &str,
) -> Option<Histogram> {
    match combined {
        Ok(combined) => {
            if combined.bounds_reconciled {
                call.info(format_args!("mismatched custom buckets were reconciled during {verb}"));
            }
            Some(combined.histogram)
        }
        Err(_) => {
            call.warn_mixed_buckets();
            None
        }
    }
}

/// `irate` and `idelta`: from the last but one sample to the last.
pub(super) fn of_last_two(call: &Call<'_>, window: &Window<'_>) -> Option<Val> {
    let is_rate = call.id == FunctionId::Irate;
    let values = last_two(window)?;
    let [(before_at, before), (at, now)] = values;
    let restarted = is_rate && started::is_reset(window.all, before_at, at);
    let seconds = (at - before_at) as f64 / 1000.0;
    if seconds == 0.0 {
        return None;
    }
    match (before, now) {
        (Val::Float(before), Val::Float(now)) => {
            let reset = is_rate && (now < before || restarted);
            let change = if reset { now } else { now - before };
            Some(if is_rate { change / seconds } else { change }.into())
        }
        (Val::Histogram(before), Val::Histogram(now)) => {
            let ends = [&before, &now].map(|h| HistogramSample { at: Default::default(), value: h.clone() });
            warn_of_kind(call, &ends, is_rate);
            let mut change = if restarted || is_rate && now.is_reset_from(&before) {
                (*now).clone()
            } else {
                noted(call, now.minus(&before), "subtraction")?
            };
            change.counter_reset_hint = CounterResetHint::Gauge;
            let change = if is_rate { change.divided(seconds) } else { change };
            Some(change.compacted().into())
        }
        _ => {
            call.warn_mixed();
            None
        }
    }
}

/// The last two samples of either kind, with their times.
fn last_two(window: &Window<'_>) -> Option<[(i64, Val); 2]> {
    let floats = window.floats().iter().rev().take(2).map(|s| (s.at.as_millis(), Val::Float(s.value)));
    let histograms =
        window.histograms().iter().rev().take(2).map(|s| (s.at.as_millis(), Val::Histogram(s.value.clone())));
    let mut all: Vec<(i64, Val)> = floats.chain(histograms).collect();
    all.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    let mut all = all.into_iter();
    let (last, before) = (all.next()?, all.next()?);
    Some([before, last])
}

/// The samples in which `changes` and `resets` look for them: anchored, with the last one before the window.
fn counted_samples(call: &Call<'_>, window: &Window<'_>) -> Vec<(i64, Val)> {
    let mut values = window.values();
    if let Some(anchor) = sample_before(window).filter(|_| call.edges == Edges::Anchored) {
        values.insert(0, anchor);
    }
    values
}

/// How often the value changed.
pub(super) fn changes(call: &Call<'_>, window: &Window<'_>) -> f64 {
    let values = counted_samples(call, window);
    let changed = |pair: &[(i64, Val)]| match (&pair[0].1, &pair[1].1) {
        (Val::Float(a), Val::Float(b)) => a != b && !(a.is_nan() && b.is_nan()),
        (Val::Histogram(a), Val::Histogram(b)) => !a.is_equivalent(b),
        _ => true,
    };
    values.windows(2).filter(|pair| changed(pair)).count() as f64
}

/// How often a counter started anew.
pub(super) fn resets(call: &Call<'_>, window: &Window<'_>) -> f64 {
    let values = counted_samples(call, window);
    let reset = |pair: &[(i64, Val)]| {
        is_reset(&pair[0].1, &pair[1].1) || started::is_reset(window.all, pair[0].0, pair[1].0)
    };
    values.windows(2).filter(|pair| reset(pair)).count() as f64
}

/// The newest sample at or before the window's start, if it is not too old.
fn sample_before(window: &Window<'_>) -> Option<(i64, Val)> {
    let oldest = window.start.saturating_sub(window.lookback);
    let float = window.bounds.floats.0.checked_sub(1).map(|i| &window.all.floats[i]);
    let histogram = window.bounds.histograms.0.checked_sub(1).map(|i| &window.all.histograms[i]);
    let float = float.map(|s| (s.at.as_millis(), Val::Float(s.value)));
    let histogram = histogram.map(|s| (s.at.as_millis(), Val::Histogram(s.value.clone())));
    let newest = match (float, histogram) {
        (Some(f), Some(h)) => Some(if f.0 > h.0 { f } else { h }),
        (f, h) => f.or(h),
    };
    newest.filter(|(at, _)| *at > oldest)
}

/// The oldest sample after the window's end, if it is not too far.
fn sample_after(window: &Window<'_>) -> Option<(i64, Val)> {
    let latest = window.end.saturating_add(window.lookback);
    let float =
        window.all.floats.get(window.bounds.floats.1).map(|s| (s.at.as_millis(), Val::Float(s.value)));
    let histogram = window.all.histograms.get(window.bounds.histograms.1);
    let histogram = histogram.map(|s| (s.at.as_millis(), Val::Histogram(s.value.clone())));
    let next = match (float, histogram) {
        (Some(f), Some(h)) => Some(if f.0 < h.0 { f } else { h }),
        (f, h) => f.or(h),
    };
    next.filter(|(at, _)| *at <= latest)
}

/// The difference between the values at the borders of the window: those of the last samples before them, or
/// interpolated.
fn between_edges(call: &Call<'_>, window: &Window<'_>) -> Option<Val> {
    let counter = call.id != FunctionId::Delta;
    let smoothed = call.edges == Edges::Smoothed;
    let mut samples = window.values();
    let before = sample_before(window);
    let needs_after = smoothed && samples.last().is_none_or(|(at, _)| *at < window.end);
    let after = if needs_after { sample_after(window) } else { None };
    // Only before, or only after, is not enough to know a difference.
    if samples.is_empty() && (before.is_none() || after.is_none()) {
        return None;
    }
    let all_kinds =
        before.iter().chain(&samples).chain(&after).map(|(_, value)| matches!(value, Val::Float(_)));
    let floats = all_kinds.clone().filter(|is_float| *is_float).count();
    if floats > 0 && floats < all_kinds.count() {
        call.warn_mixed();
        return None;
    }
    if floats == 0 {
        let histograms: Vec<HistogramSample> = before
            .iter()
            .chain(&samples)
            .chain(&after)
            .filter_map(|(at, value)| match value {
                Val::Histogram(h) => {
                    Some(HistogramSample { at: model::Timestamp::from_millis(*at), value: h.clone() })
                }
                Val::Float(_) => None,
            })
            .collect();
        warn_of_kind(call, &histograms, counter);
        let custom = histograms.first().is_some_and(|s| s.value.uses_custom_buckets());
        if histograms.iter().any(|s| s.value.uses_custom_buckets() != custom) {
            call.warn_mixed_buckets();
            return None;
        }
    }
    // The value at the left border.
    let first = samples.first().or(after.as_ref())?.clone();
    let mut crossed_reset = false;
    let left = match &before {
        Some(before) if smoothed && before.0 < window.start => {
            crossed_reset = counter && is_reset(&before.1, &first.1);
            interpolated(before, &first, window.start, counter)?
        }
        Some(before) => before.1.clone(),
        None => samples.remove(0).1,
    };
    // The value at the right border.
    if let Some(after) = &after {
        let last = samples.last().or(before.as_ref()).cloned().unwrap_or((first.0, left.clone()));
        samples.push((window.end, interpolated(&last, after, window.end, counter)?));
    }
    let right = samples.last().map_or_else(|| left.clone(), |(_, value)| value.clone());
    let mut total = difference(call, &right, &left)?;
    if counter {
        let mut previous = left;
        for (at, (_, value)) in samples.into_iter().enumerate() {
            // The reset that the left value was interpolated across is in that value already.
            let counted = at == 0 && crossed_reset;
            if !counted && is_reset(&previous, &value) {
                total = sum(call, &total, &previous)?;
            }
            previous = value;
        }
    }
    let factor = if call.id == FunctionId::Rate { call.range_seconds } else { 1.0 };
    Some(match total {
        Val::Float(total) => (total / factor).into(),
        Val::Histogram(total) => {
            let mut total = total.divided(factor).compacted();
            total.counter_reset_hint = CounterResetHint::Gauge;
            total.into()
        }
    })
}

fn is_reset(before: &Val, now: &Val) -> bool {
    match (before, now) {
        (Val::Float(before), Val::Float(now)) => now < before,
        (Val::Histogram(before), Val::Histogram(now)) => now.is_reset_from(before),
        _ => true,
    }
}

fn difference(call: &Call<'_>, left: &Val, right: &Val) -> Option<Val> {
    match (left, right) {
        (Val::Float(left), Val::Float(right)) => Some((left - right).into()),
        (Val::Histogram(left), Val::Histogram(right)) => {
            noted(call, left.minus(right), "subtraction").map(Val::from)
        }
        _ => None,
    }
}

fn sum(call: &Call<'_>, left: &Val, right: &Val) -> Option<Val> {
    match (left, right) {
        (Val::Float(left), Val::Float(right)) => Some((left + right).into()),
        (Val::Histogram(left), Val::Histogram(right)) => {
            noted(call, left.plus(right), "addition").map(Val::from)
        }
        _ => None,
    }
}

/// The value at `at` on the line between two samples. A counter that was reset between them started at zero at the first.
fn interpolated(before: &(i64, Val), after: &(i64, Val), at: i64, counter: bool) -> Option<Val> {
    let fraction = (at - before.0) as f64 / (after.0 - before.0) as f64;
    match (&before.1, &after.1) {
        (Val::Float(from), Val::Float(to)) => {
            let from = if counter && to < from { 0.0 } else { *from };
            Some((from + (to - from) * fraction).into())
        }
        (Val::Histogram(from), Val::Histogram(to)) => {
            if counter && to.is_reset_from(from) {
                let mut value = to.scaled(fraction);
                value.counter_reset_hint = CounterResetHint::Reset;
                return Some(value.into());
            }
            let grown = to.minus(from).ok()?.histogram.scaled(fraction);
            let mut value = from.plus(&grown).ok()?.histogram;
            value.counter_reset_hint = if to.counter_reset_hint == CounterResetHint::Gauge {
                CounterResetHint::Gauge
            } else {
                CounterResetHint::NotReset
            };
            Some(value.into())
        }
        _ => None,
    }
}

/// The value of a series at `at`, interpolated between the samples around it; the cursor ends behind those that are not
/// after `at`.
pub(super) fn interpolated_at(
    evaluator: &mut Evaluator<'_>,
    span: Span,
    labels: &Labels,
    series: &Samples,
    cursor: &Cursor,
    at: i64,
) -> Option<Val> {
    let lookback = evaluator.resolver.lookback_ms;
    let (floats, histograms) = (cursor.floats.1, cursor.histograms.1);
    let float = |s: &FloatSample| (s.at.as_millis(), Val::Float(s.value));
    let histogram = |s: &HistogramSample| (s.at.as_millis(), Val::Histogram(Arc::clone(&s.value)));
    let stale = |(_, value): &(i64, Val)| match value {
        Val::Float(value) => model::is_stale(*value),
        Val::Histogram(value) => model::is_stale(value.sum),
    };
    let before = [
        floats.checked_sub(1).map(|i| float(&series.floats[i])),
        histograms.checked_sub(1).map(|i| histogram(&series.histograms[i])),
    ];
    let after = [series.floats.get(floats).map(float), series.histograms.get(histograms).map(histogram)];
    let before = before.into_iter().flatten().max_by_key(|(at, _)| *at);
    let before = before.filter(|s| s.0 > at.saturating_sub(lookback) && !stale(s));
    let after = after.into_iter().flatten().min_by_key(|(at, _)| *at);
    let after = after.filter(|s| s.0 <= at.saturating_add(lookback) && !stale(s));
    let (before, after) = match (before, after) {
        (Some(before), _) if before.0 == at => return Some(before.1),
        (Some(before), Some(after)) => (before, after),
        (before, None) => return before.map(|(_, value)| value),
        (None, Some(_)) => return None,
    };
    let name = labels.metric_name();
    match (&before.1, &after.1) {
        (Val::Float(_), Val::Float(_)) => {}
        (Val::Histogram(a), Val::Histogram(b)) if a.uses_custom_buckets() == b.uses_custom_buckets() => {}
        (Val::Histogram(_), Val::Histogram(_)) => {
            evaluator.notes.warn(span, mixed_buckets(name));
            return None;
        }
        _ => {
            evaluator.notes.warn(span, mixed_samples(name));
            return None;
        }
    }
    // A number may be a gauge, and falls as it likes; a histogram says what it is.
    let counter = match &after.1 {
        Val::Float(_) => false,
        Val::Histogram(h) => h.counter_reset_hint != CounterResetHint::Gauge,
    };
    interpolated(&before, &after, at, counter)
}
