//! Quantiles, fractions, deviations and sums of native histograms.

use std::collections::BTreeMap;

use model::{Bucket, CounterResetHint, Histogram};

use super::kahan::Kahan;

/// The sum and the mean of many histograms, with what ordinary addition loses kept beside it.
pub(super) struct HistogramSum {
    sum: Histogram,
    /// What is missing in `sum`, in the same buckets.
    compensation: Histogram,
    count: f64,
    hint: CounterResetHint,
    /// Whether `sum` is the mean so far: the sum would have been infinite.
    incremental: bool,
    seen_reset: bool,
    seen_no_reset: bool,
    /// The metric whose histogram has exponential buckets where those before it have custom ones, or the other way round.
    pub(super) mixed_by: Option<String>,
    /// Whether custom bounds differed.
    pub(super) bounds_reconciled: bool,
}

/// Whether the mean is wanted, which may be finite where the sum is not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Total {
    Sum,
    Mean,
}

impl HistogramSum {
    pub(super) fn new(first: &Histogram) -> Self {
        HistogramSum {
            sum: first.clone(),
            compensation: first.scaled(0.0),
            count: 1.0,
            hint: first.counter_reset_hint,
            incremental: false,
            seen_reset: first.counter_reset_hint == CounterResetHint::Reset,
            seen_no_reset: first.counter_reset_hint == CounterResetHint::NotReset,
            mixed_by: None,
            bounds_reconciled: false,
        }
    }

    /// Whether some said that there was a reset and others that there was none.
    pub(super) fn resets_conflict(&self) -> bool {
        self.seen_reset && self.seen_no_reset
    }

    pub(super) fn add(&mut self, next: &Histogram, total: Total, metric: &str) {
        self.count += 1.0;
        self.hint = self.hint.joined(next.counter_reset_hint).0;
        self.seen_reset |= next.counter_reset_hint == CounterResetHint::Reset;
        self.seen_no_reset |= next.counter_reset_hint == CounterResetHint::NotReset;
        let Ok(aligned) = self.sum.aligned_with(next) else {
            self.mixed_by.get_or_insert_with(|| metric.to_owned());
            return;
        };
        self.bounds_reconciled |= aligned.bounds_reconciled;
        let compensation = self.compensation.laid_out_like(&aligned.left);
        if !self.incremental {
            let (sum, rest) = added(&aligned.left, &compensation, &aligned.right);
            if total == Total::Sum || !is_infinite(&sum) {
                (self.sum, self.compensation) = (sum, rest);
                return;
            }
            self.incremental = true;
            let before = self.count - 1.0;
            self.sum = aligned.left.divided(before);
            self.compensation = compensation.divided(before);
        } else {
            (self.sum, self.compensation) = (aligned.left, compensation);
        }
        let weight = (self.count - 1.0) / self.count;
        let (mean, rest) = (self.sum.scaled(weight), self.compensation.scaled(weight));
        (self.sum, self.compensation) = added(&mean, &rest, &aligned.right.divided(self.count));
    }

    pub(super) fn finish(self, total: Total) -> Histogram {
        let divisor = if total == Total::Mean && !self.incremental { self.count } else { 1.0 };
        let (sum, rest) = (self.sum.divided(divisor), self.compensation.divided(divisor));
        let whole = |sum: f64, rest: f64| if sum.is_infinite() { sum } else { sum + rest };
        let mut out = Histogram {
            count: whole(sum.count, rest.count),
            sum: whole(sum.sum, rest.sum),
            zero_count: whole(sum.zero_count, rest.zero_count),
            counter_reset_hint: self.hint,
            ..sum.clone()
        };
        let with_rest = |buckets: Vec<(i32, f64)>, rest: BTreeMap<i32, f64>| {
            let complete = move |(index, count): (i32, f64)| {
                (index, whole(count, rest.get(&index).copied().unwrap_or(0.0)))
            };
            buckets.into_iter().map(complete).collect::<Vec<_>>()
        };
        out.set_positive(with_rest(sum.positive().collect(), rest.positive().collect()));
        out.set_negative(with_rest(sum.negative().collect(), rest.negative().collect()));
        out.compacted()
    }
}

/// `sum + next`, and the new compensation. All three are in the same buckets.
fn added(sum: &Histogram, compensation: &Histogram, next: &Histogram) -> (Histogram, Histogram) {
    let one = |sum: f64, compensation: f64, next: f64| {
        let mut total = Kahan { sum, compensation };
        total.add(next);
        (total.sum, total.compensation)
    };
    let (mut out, mut rest) = (sum.clone(), compensation.clone());
    (out.count, rest.count) = one(sum.count, compensation.count, next.count);
    (out.sum, rest.sum) = one(sum.sum, compensation.sum, next.sum);
    (out.zero_count, rest.zero_count) = one(sum.zero_count, compensation.zero_count, next.zero_count);
    let side = |sums: Vec<(i32, f64)>, rests: Vec<(i32, f64)>, nexts: Vec<(i32, f64)>| {
        let mut buckets: BTreeMap<i32, (f64, f64)> =
            sums.into_iter().map(|(i, count)| (i, (count, 0.0))).collect();
        rests.into_iter().for_each(|(i, rest)| buckets.entry(i).or_default().1 = rest);
        for (i, count) in nexts {
            let bucket = buckets.entry(i).or_default();
            *bucket = one(bucket.0, bucket.1, count);
        }
        buckets
    };
    let positive =
        side(sum.positive().collect(), compensation.positive().collect(), next.positive().collect());
    let negative =
        side(sum.negative().collect(), compensation.negative().collect(), next.negative().collect());
    out.set_positive(positive.iter().map(|(i, (sum, _))| (*i, *sum)));
    rest.set_positive(positive.iter().map(|(i, (_, rest))| (*i, *rest)));
    out.set_negative(negative.iter().map(|(i, (sum, _))| (*i, *sum)));
    rest.set_negative(negative.iter().map(|(i, (_, rest))| (*i, *rest)));
    (out, rest)
}

fn is_infinite(histogram: &Histogram) -> bool {
    [histogram.count, histogram.sum, histogram.zero_count]
        .iter()
        .chain(&histogram.positive_buckets)
        .chain(&histogram.negative_buckets)
        .any(|value| value.is_infinite())
}

/// A value, and whether observations that were no numbers had a part in it.
pub(super) struct WithNaN {
    pub(super) value: f64,
    pub(super) nan_observed: bool,
}

/// Bounds of the zero bucket of a histogram that has only seen values on one side of it.
fn one_sided(histogram: &Histogram, mut bucket: Bucket) -> Bucket {
    let (negative, positive) = (histogram.negative_buckets.is_empty(), histogram.positive_buckets.is_empty());
    if !histogram.uses_custom_buckets() && bucket.lower < 0.0 && bucket.upper > 0.0 {
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
        // Nothing is known about where observations lie in a bucket without end; they are taken to lie at the bound that
        // it has.
        if bucket.lower.is_infinite() || bucket.upper.is_infinite() {
            return if bucket.upper.is_infinite() { 0.0 } else { 1.0 };
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
            // The lowest bucket of positive values starts at zero.
            if bucket.upper > 0.0 {
                bucket.lower = 0.0;
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
    let mut sum = Kahan::default();
    for bucket in histogram.populated_buckets() {
        let middle = if histogram.uses_custom_buckets() {
            // The outermost buckets have no middle: observations there may lie anywhere.
            f64::midpoint(bucket.lower, bucket.upper)
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

/// The observations on one side of `value`; the bucket around it is divided as for quantiles. The sum is estimated from
/// where in their buckets the observations are taken to lie, unless all of them stay.
pub(super) fn trimmed(histogram: &Histogram, value: f64, keep: Keep) -> Histogram {
    let mut out = histogram.clone();
    if value.is_nan() {
        return out;
    }
    let (mut count, mut sum, mut complete) = (Kahan::default(), Kahan::default(), true);
    let mut side = |index: i32, bucket: &Bucket| -> (i32, f64) {
        let (kept, middle) = part_kept(histogram, bucket, value, keep);
        complete &= kept == bucket.count;
        if kept != 0.0 {
            count.add(kept);
            sum.add(kept * middle);
        }
        (index, kept)
    };
    let positive: Vec<(i32, f64)> = histogram
        .positive()
        .zip(histogram.positive_buckets_bounded())
        .map(|((index, _), bucket)| side(index, &bucket))
        .collect();
    let negative: Vec<(i32, f64)> = histogram
        .negative()
        .zip(histogram.negative_buckets_bounded())
        .map(|((index, _), bucket)| side(index, &bucket))
        .collect();
    let zero = side(0, &histogram.zero_bucket()).1;
    if complete {
        return out;
    }
    out.zero_count = zero;
    out.set_positive(positive);
    out.set_negative(negative);
    (out.count, out.sum) = (count.total(), sum.total());
    out.compacted()
}

/// How many observations of a bucket stay, and the middle of the part that they are in.
fn part_kept(histogram: &Histogram, bucket: &Bucket, value: f64, keep: Keep) -> (f64, f64) {
    let mut bucket = one_sided(histogram, *bucket);
    if histogram.uses_custom_buckets() && bucket.lower == f64::NEG_INFINITY {
        if bucket.upper == f64::INFINITY {
            // Observations anywhere: no part of them can be named.
            let all = if keep == Keep::Below { value == f64::INFINITY } else { value == f64::NEG_INFINITY };
            return (if all { bucket.count } else { 0.0 }, 0.0);
        }
        if bucket.upper > 0.0 {
            // It is taken to start at zero; what lies below that and above `value` cannot be told from the rest.
            if keep == Keep::Above && value < 0.0 && value != f64::NEG_INFINITY {
                return (0.0, 0.0);
            }
            bucket.lower = 0.0;
        }
    }
    let below = if bucket.upper <= value {
        1.0
    } else if bucket.lower >= value {
        0.0
    } else {
        part_below(histogram, &bucket, value)
    };
    let (part, lower, upper) = match keep {
        Keep::Below => (below, bucket.lower, bucket.upper.min(value)),
        Keep::Above => (1.0 - below, bucket.lower.max(value), bucket.upper),
    };
    let middle = if lower.is_infinite() {
        upper
    } else if upper.is_infinite() {
        lower
    } else if is_linear(histogram, &bucket) {
        f64::midpoint(lower, upper)
    } else {
        let middle = (lower * upper).sqrt();
        if upper < 0.0 || lower < 0.0 { -middle } else { middle }
    };
    (bucket.count * part, middle)
}
