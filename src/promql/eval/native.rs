//! Quantiles, fractions, deviations and sums of native histograms.

use std::sync::Arc;

use model::{Bucket, Histogram};

/// The sum of many histograms.
pub(super) struct HistogramSum {
    sum: Histogram,
    count: f64,
    /// Whether histograms with exponential and with custom buckets were added.
    pub(super) mixed: bool,
    /// Whether some said that there was a reset and others that there was none.
    pub(super) resets_conflict: bool,
    /// Whether custom bounds differed.
    pub(super) bounds_reconciled: bool,
}

impl HistogramSum {
    pub(super) fn new(first: &Arc<Histogram>) -> Self {
        HistogramSum {
            sum: (**first).clone(),
            count: 1.0,
            mixed: false,
            resets_conflict: false,
            bounds_reconciled: false,
        }
    }

    pub(super) fn add(&mut self, next: &Histogram) {
        self.count += 1.0;
        match self.sum.plus(next) {
            Ok(combined) => {
                self.sum = combined.histogram;
                self.resets_conflict |= combined.resets_conflict;
                self.bounds_reconciled |= combined.bounds_reconciled;
            }
            Err(_) => self.mixed = true,
        }
    }

    pub(super) fn total(self) -> Histogram {
        self.sum.compacted()
    }

    pub(super) fn mean(self) -> Histogram {
        self.sum.divided(self.count).compacted()
    }
}

/// A value, and whether observations that were no numbers had a part in it.
pub(super) struct WithNaN {
    pub(super) value: f64,
    pub(super) nan_observed: bool,
}

/// Bounds of the zero bucket of a histogram that has only seen values on one side of it.
fn one_sided(histogram: &Histogram, mut bucket: Bucket) -> Bucket {
    let (negative, positive) = (histogram.negative_buckets.is_empty(), histogram.positive_buckets.is_empty());
    if bucket.lower < 0.0 && bucket.upper > 0.0 {
        if negative && !positive {
            bucket.lower = 0.0;
        } else if positive && !negative {
            bucket.upper = 0.0;
        }
    }
    bucket
}

/// The value below which the part `q` of all observations lies.
///
/// Inside a bucket the position is interpolated: in proportion for custom buckets and the zero bucket, else in proportion
/// of logarithms, which is how exponential buckets are divided further.
pub(super) fn quantile(q: f64, histogram: &Histogram) -> WithNaN {
    let exact = |value| WithNaN { value, nan_observed: false };
    if q < 0.0 {
        return exact(f64::NEG_INFINITY);
    }
    if q > 1.0 {
        return exact(f64::INFINITY);
    }
    if histogram.count == 0.0 || q.is_nan() {
        return exact(f64::NAN);
    }
    let nan_observed = histogram.sum.is_nan();
    let buckets = histogram.populated_buckets();
    // From the nearer end, so that rounding errors of the sum stay small. Observations of NaN are in no bucket: with
    // them only the order from the start is known.
    let forward = nan_observed || q < 0.5;
    let rank = if forward { q * histogram.count } else { (1.0 - q) * histogram.count };
    let mut count = 0.0;
    let mut found = None;
    let mut search = |bucket: &Bucket| {
        count += bucket.count;
        found = Some(*bucket);
        count >= rank
    };
    if forward {
        let _ = buckets.iter().any(&mut search);
    } else {
        let _ = buckets.iter().rev().any(&mut search);
    }
    let Some(bucket) = found else { return WithNaN { value: f64::NAN, nan_observed } };
    let mut bucket = one_sided(histogram, bucket);
    if histogram.uses_custom_buckets() {
        if bucket.lower == f64::NEG_INFINITY {
            if bucket.upper <= 0.0 {
                return WithNaN { value: bucket.upper, nan_observed };
            }
            bucket.lower = 0.0;
        } else if bucket.upper == f64::INFINITY {
            return WithNaN { value: bucket.lower, nan_observed };
        }
    }
    let count = count.min(histogram.count);
    if count < rank {
        let value = if nan_observed { f64::NAN } else { bucket.upper };
        return WithNaN { value, nan_observed };
    }
    let into_bucket = if forward { rank - (count - bucket.count) } else { count - rank };
    let fraction = into_bucket / bucket.count;
    WithNaN { value: position(histogram, &bucket, fraction), nan_observed }
}

/// The value at a fraction of a bucket.
fn position(histogram: &Histogram, bucket: &Bucket, fraction: f64) -> f64 {
    if is_linear(histogram, bucket) {
        return bucket.lower + (bucket.upper - bucket.lower) * fraction;
    }
    let (lower, upper) = (bucket.lower.abs().log2(), bucket.upper.abs().log2());
    if bucket.lower > 0.0 {
        (lower + (upper - lower) * fraction).exp2()
    } else {
        -(upper + (lower - upper) * (1.0 - fraction)).exp2()
    }
}

fn is_linear(histogram: &Histogram, bucket: &Bucket) -> bool {
    histogram.uses_custom_buckets() || (bucket.lower <= 0.0 && bucket.upper >= 0.0)
}

/// Which part of a bucket's observations lies below `value`, which lies inside of it.
fn part_below(histogram: &Histogram, bucket: &Bucket, value: f64) -> f64 {
    if is_linear(histogram, bucket) {
        if bucket.lower.is_infinite() || bucket.upper.is_infinite() {
            return 0.0;
        }
        return (value - bucket.lower) / (bucket.upper - bucket.lower);
    }
    let (lower, upper, at) = (bucket.lower.abs().log2(), bucket.upper.abs().log2(), value.abs().log2());
    if value > 0.0 { (at - lower) / (upper - lower) } else { 1.0 - (at - upper) / (lower - upper) }
}

/// Which part of all observations lies between `lower` and `upper`.
pub(super) fn fraction(lower: f64, upper: f64, histogram: &Histogram) -> WithNaN {
    let nan_observed = histogram.sum.is_nan();
    if histogram.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return WithNaN { value: f64::NAN, nan_observed: false };
    }
    if lower >= upper {
        return WithNaN { value: 0.0, nan_observed: false };
    }
    let value = (rank_of(upper, histogram) - rank_of(lower, histogram)) / histogram.count;
    WithNaN { value, nan_observed }
}

/// How many observations lie below `value`.
fn rank_of(value: f64, histogram: &Histogram) -> f64 {
    let mut rank = 0.0;
    for bucket in histogram.populated_buckets() {
        let mut bucket = one_sided(histogram, bucket);
        if histogram.uses_custom_buckets() && bucket.lower == f64::NEG_INFINITY {
            // The lowest bucket of positive values starts at zero; one that reaches below it has no start.
            if bucket.upper > 0.0 {
                bucket.lower = 0.0;
            } else if value < bucket.upper {
                return if value == f64::NEG_INFINITY { rank } else { rank };
            }
        }
        if bucket.lower >= value {
            return rank;
        }
        if bucket.upper > value {
            return rank + bucket.count * part_below(histogram, &bucket, value);
        }
        rank += bucket.count;
    }
    rank.min(histogram.count)
}

/// The variance of the observations, each taken to be in the middle of its bucket.
pub(super) fn variance(histogram: &Histogram) -> f64 {
    let mean = histogram.sum / histogram.count;
    let mut sum = super::kahan::Kahan::default();
    for bucket in histogram.populated_buckets() {
        let middle = if histogram.uses_custom_buckets() {
            // The outermost buckets have no middle; what is known of them is their bound.
            if bucket.upper == f64::INFINITY {
                bucket.lower
            } else if bucket.lower == f64::NEG_INFINITY {
                if bucket.upper > 0.0 { bucket.upper / 2.0 } else { bucket.upper }
            } else {
                f64::midpoint(bucket.lower, bucket.upper)
            }
        } else if bucket.lower <= 0.0 && bucket.upper >= 0.0 {
            0.0
        } else {
            let middle = (bucket.upper * bucket.lower).sqrt();
            if bucket.upper < 0.0 { -middle } else { middle }
        };
        let delta = middle - mean;
        sum.add(bucket.count * delta * delta);
    }
    sum.total() / histogram.count
}

/// Which observations stay.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    Below,
    Above,
}

/// The observations on one side of `value`; the bucket around it is divided as for quantiles.
pub(super) fn trimmed(histogram: &Histogram, value: f64, keep: Keep) -> Histogram {
    let mut out = histogram.clone();
    let kept = |bucket: &Bucket| -> f64 {
        let mut bucket = one_sided(histogram, *bucket);
        if histogram.uses_custom_buckets() && bucket.lower == f64::NEG_INFINITY && bucket.upper > 0.0 {
            bucket.lower = 0.0;
        }
        let below = if bucket.upper <= value {
            1.0
        } else if bucket.lower >= value {
            0.0
        } else {
            part_below(histogram, &bucket, value)
        };
        bucket.count * if keep == Keep::Below { below } else { 1.0 - below }
    };
    if value.is_nan() {
        return out;
    }
    let positive: Vec<(i32, f64)> = histogram
        .positive()
        .zip(histogram.positive_buckets_bounded())
        .map(|((i, _), b)| (i, kept(&b)))
        .collect();
    let negative: Vec<(i32, f64)> = histogram
        .negative()
        .zip(histogram.negative_buckets_bounded())
        .map(|((i, _), b)| (i, kept(&b)))
        .collect();
    out.zero_count = kept(&histogram.zero_bucket());
    out.set_positive(positive);
    out.set_negative(negative);
    out.count =
        out.zero_count + out.positive_buckets.iter().sum::<f64>() + out.negative_buckets.iter().sum::<f64>();
    out.compacted()
}
