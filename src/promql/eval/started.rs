//! Rates of samples that say when their counting began.
//!
//! A start time after the sample before it is a counter reset, also where the value did not fall; and one inside of the window
//! is a sample of value zero, which saves extrapolating to the left.

use std::sync::Arc;

use model::{CounterResetHint, Histogram, HistogramSample, Samples, Timestamp};

use super::over_time::Call;
use super::window::Window;
use crate::print::quote;

/// The start time of the sample at `at`, if it is known.
pub(super) fn start_of(samples: &Samples, at: Timestamp) -> Option<i64> {
    let found = samples.starts.binary_search_by_key(&at, |start| start.at).ok()?;
    // The epoch says that nothing is known.
    Some(samples.starts[found].start.as_millis()).filter(|start| *start != 0)
}

/// A sample's time and the start of its counting.
#[derive(Clone, Copy, Debug)]
pub(super) struct Started {
    at: i64,
    start: Option<i64>,
}

impl Started {
    pub(super) fn of(samples: &Samples, at: Timestamp) -> Self {
        Started { at: at.as_millis(), start: start_of(samples, at) }
    }

    /// Whether the counter was reset between the sample before and this one.
    pub(super) fn is_reset_from(self, before: Started) -> bool {
        let Some(start) = self.start.filter(|start| *start < self.at) else { return false };
        // A sample that starts where the one before it was taken is a difference, unless that one, too, is where all
        // began: then the start is that of unknown counting.
        start > before.at || (start == before.at && before.start.is_some_and(|earlier| earlier < before.at))
    }

    /// Whether the two claim the same time for what they counted.
    fn overlaps(self, before: Started) -> bool {
        self.start.is_some_and(|start| start < before.at && Some(start) != before.start)
    }

    /// The time of the zero that comes before the first sample of a window.
    pub(super) fn zero_after(self, window_start: i64) -> Option<i64> {
        self.start.filter(|start| *start > window_start && *start < self.at)
    }
}

/// Says so if samples of the window overlap.
pub(super) fn warn_of_overlaps(call: &Call<'_>, window: &Window<'_>) {
    let mut times: Vec<Timestamp> = window.floats().iter().map(|s| s.at).collect();
    times.extend(window.histograms().iter().map(|s| s.at));
    times.sort_unstable();
    let started: Vec<Started> = times.into_iter().map(|at| Started::of(window.all, at)).collect();
    if started.windows(2).any(|pair| pair[1].overlaps(pair[0])) {
        let what = "sample has start time that overlaps with previous sample timestamp";
        call.warn(format_args!("{what} for metric {}", quote(call.metric.as_bytes())));
    }
}

/// How much a counter grew, resets included, since `zero` if there is one.
pub(super) fn increase(window: &Window<'_>, zero: Option<i64>) -> f64 {
    let floats = window.floats();
    let from = if zero.is_some() { 0.0 } else { floats[0].value };
    let mut total = floats[floats.len() - 1].value - from;
    for pair in floats.windows(2) {
        let started = [pair[0].at, pair[1].at].map(|at| Started::of(window.all, at));
        if pair[1].value < pair[0].value || started[1].is_reset_from(started[0]) {
            total += pair[0].value;
        }
    }
    total
}

/// The histograms of a window, those that start anew marked as such; before them, if it is known when counting began, an
/// empty one at that time.
pub(super) fn marked(
    samples: &Samples,
    histograms: &[HistogramSample],
    zero: Option<i64>,
) -> Vec<HistogramSample> {
    let mut all = Vec::with_capacity(histograms.len() + 1);
    let Some(first) = histograms.first() else { return all };
    if let Some(zero) = zero {
        let value = Histogram {
            schema: first.value.schema,
            custom_values: first.value.custom_values.clone(),
            zero_threshold: first.value.zero_threshold,
            counter_reset_hint: first.value.counter_reset_hint,
            ..Histogram::default()
        };
        all.push(HistogramSample { at: Timestamp::from_millis(zero), value: Arc::new(value) });
    }
    all.push(first.clone());
    for pair in histograms.windows(2) {
        let mut sample = pair[1].clone();
        if is_reset(samples, pair[0].at.as_millis(), sample.at.as_millis()) {
            Arc::make_mut(&mut sample.value).counter_reset_hint = CounterResetHint::Reset;
        }
        all.push(sample);
    }
    all
}

/// Whether the start times say that there was a reset between two samples.
pub(super) fn is_reset(samples: &Samples, before: i64, now: i64) -> bool {
    if samples.starts.is_empty() {
        return false;
    }
    let [before, now] = [before, now].map(|at| Started::of(samples, Timestamp::from_millis(at)));
    now.is_reset_from(before)
}
