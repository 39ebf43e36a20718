//! Observations with their sum, and quantiles of the recent ones: what the field calls a summary.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::metrics::Points;

/// Quantiles are of observations no older than this, as in the programs whose dashboards read them.
const WINDOW: Duration = Duration::from_secs(600);
/// Of more observations in that time the last ones count.
const WINDOW_MAX: usize = 2_048;
const QUANTILES: [(&str, f64); 3] = [("0.5", 0.5), ("0.9", 0.9), ("0.99", 0.99)];

/// Durations of something that is done again and again.
#[derive(Debug, Default)]
pub(crate) struct Summary(Mutex<Observed>);

#[derive(Debug, Default)]
struct Observed {
    count: u64,
    sum: Duration,
    recent: VecDeque<(Instant, Duration)>,
}

impl Summary {
    pub(crate) fn observe(&self, took: Duration) {
        self.observe_at(Instant::now(), took);
    }

    fn observe_at(&self, now: Instant, took: Duration) {
        let mut observed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        observed.count += 1;
        observed.sum += took;
        if observed.recent.len() >= WINDOW_MAX {
            observed.recent.pop_front();
        }
        observed.recent.push_back((now, took));
    }

    /// As series of `name` with `labels`.
    pub(crate) fn points(&self, name: &str, labels: &[(&str, &str)], points: &mut Points) {
        let (count, sum, recent) = self.look(Instant::now());
        for (text, quantile) in QUANTILES {
            let labels: Vec<_> = labels.iter().copied().chain([("quantile", text)]).collect();
            points.add(name, &labels, quantile_of(&recent, quantile));
        }
        points.add(&format!("{name}_sum"), labels, sum.as_secs_f64());
        points.count(&format!("{name}_count"), labels, count);
    }

    /// How many, their sum, and the recent ones in order of size.
    fn look(&self, now: Instant) -> (u64, Duration, Vec<Duration>) {
        let mut observed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while observed.recent.front().is_some_and(|(at, _)| now.duration_since(*at) > WINDOW) {
            observed.recent.pop_front();
        }
        let mut recent: Vec<Duration> = observed.recent.iter().map(|(_, took)| *took).collect();
        let (count, sum) = (observed.count, observed.sum);
        drop(observed);
        recent.sort_unstable();
        (count, sum, recent)
    }
}

/// The smallest of them that so large a part is not above; NaN of none.
fn quantile_of(sorted: &[Duration], quantile: f64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a few thousand at most, and a quantile between 0 and 1"
    )]
    let rank = (sorted.len() as f64 * quantile).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).map_or(f64::NAN, Duration::as_secs_f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_forget_what_is_old_and_sums_do_not() {
        let (summary, began) = (Summary::default(), Instant::now());
        assert!(quantile_of(&summary.look(began).2, 0.5).is_nan());
        (1..=100).for_each(|seconds| summary.observe_at(began, Duration::from_secs(seconds)));
        let (count, sum, recent) = summary.look(began);
        assert_eq!((count, sum), (100, Duration::from_secs(5_050)));
        let all: Vec<f64> = QUANTILES.iter().map(|(_, quantile)| quantile_of(&recent, *quantile)).collect();
        assert_eq!(all, [50.0, 90.0, 99.0]);
        let later = began + WINDOW + Duration::from_secs(1);
        summary.observe_at(later, Duration::from_secs(7));
        let (count, sum, recent) = summary.look(later);
        assert_eq!((count, sum, recent), (101, Duration::from_secs(5_057), vec![Duration::from_secs(7)]));
        (0..2 * WINDOW_MAX).for_each(|_| summary.observe_at(later, Duration::ZERO));
        assert_eq!(summary.look(later).2.len(), WINDOW_MAX);
    }
}
