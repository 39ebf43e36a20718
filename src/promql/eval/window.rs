//! Windows: the samples of one series after one time and not after another.

use model::{FloatSample, Histogram, HistogramSample, Samples, Timestamp};
use std::sync::Arc;

use super::series::Val;
use crate::plan::Moment;

/// Index ranges into the samples of one series. They only move forward while windows do.
#[derive(Clone, Debug, Default)]
pub(super) struct Cursor {
    pub(super) floats: (usize, usize),
    pub(super) histograms: (usize, usize),
}

impl Cursor {
    /// To the samples after `start` and not after `end`.
    pub(super) fn move_to(&mut self, samples: &Samples, start: i64, end: i64) {
        let (start, end) = (Timestamp::from_millis(start), Timestamp::from_millis(end));
        let (floats, histograms) = (&samples.floats, &samples.histograms);
        advance(&mut self.floats.0, floats, |s| s.at <= start);
        advance(&mut self.floats.1, floats, |s| s.at <= end);
        advance(&mut self.histograms.0, histograms, |s| s.at <= start);
        advance(&mut self.histograms.1, histograms, |s| s.at <= end);
        self.floats.0 = self.floats.0.min(self.floats.1);
        self.histograms.0 = self.histograms.0.min(self.histograms.1);
    }
}

/// Moves an index over all elements that are `before` the wanted one: step by step if it is near, else by halves.
#[inline]
pub(super) fn advance<T>(index: &mut usize, items: &[T], before: impl Fn(&T) -> bool) {
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
    /// When it ends.
    pub(super) moment: Moment,
    pub(super) range: i64,
    /// How far beyond its borders `anchored` and `smoothed` may look.
    pub(super) lookback: i64,
}

impl Times {
    /// The end of the window.
    #[inline]
    pub(super) fn end(&self, time: i64) -> i64 {
        self.moment.of(time)
    }

    /// The window that belongs to a step at `time`.
    pub(super) fn window<'w>(
        &self,
        all: &'w Samples,
        cursor: &mut Cursor,
        step: usize,
        time: i64,
    ) -> Window<'w> {
        let end = self.end(time);
        let start = end.saturating_sub(self.range);
        cursor.move_to(all, start, end);
        Window { all, bounds: cursor.clone(), start, end, step, time, lookback: self.lookback }
    }
}

/// The samples of one series after `start` and not after `end`.
#[derive(Debug)]
pub(super) struct Window<'w> {
    /// All samples of the series, without stale markers.
    pub(super) all: &'w Samples,
    pub(super) bounds: Cursor,
    pub(super) start: i64,
    pub(super) end: i64,
    /// The step it belongs to.
    pub(super) step: usize,
    /// The time of that step.
    pub(super) time: i64,
    pub(super) lookback: i64,
}

impl<'w> Window<'w> {
    pub(super) fn floats(&self) -> &'w [FloatSample] {
        &self.all.floats[self.bounds.floats.0..self.bounds.floats.1]
    }

    pub(super) fn histograms(&self) -> &'w [HistogramSample] {
        &self.all.histograms[self.bounds.histograms.0..self.bounds.histograms.1]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.floats().is_empty() && self.histograms().is_empty()
    }

    /// How many samples it holds, as the statistics of queries count them.
    pub(super) fn weight(&self) -> u64 {
        let histograms: u64 = self.histograms().iter().map(|s| weight(&s.value)).sum();
        self.floats().len() as u64 + histograms
    }

    /// All samples in order of time: numbers and histograms as they come.
    pub(super) fn values(&self) -> Vec<(i64, Val)> {
        let floats = self.floats().iter().map(|s| (s.at.as_millis(), Val::Float(s.value)));
        let histograms =
            self.histograms().iter().map(|s| (s.at.as_millis(), Val::Histogram(Arc::clone(&s.value))));
        let mut all: Vec<(i64, Val)> = floats.chain(histograms).collect();
        if !self.floats().is_empty() && !self.histograms().is_empty() {
            all.sort_by_key(|(at, _)| *at);
        }
        all
    }
}

/// A histogram counts as many samples as take its space, 16 bytes each.
pub(super) fn weight(histogram: &Histogram) -> u64 {
    // The numbers, five lists and the time.
    const FIXED_BYTES: usize = 176;
    let numbers =
        histogram.positive_buckets.len() + histogram.negative_buckets.len() + histogram.custom_values.len();
    let spans = histogram.positive_spans.len() + histogram.negative_spans.len();
    ((FIXED_BYTES + 8 * (numbers + spans)) / 16) as u64
}
