//! Adding, scaling and comparing native histograms.
//!
//! Two histograms with exponential buckets are brought to the lower resolution and the wider zero bucket of the two; two
//! with custom bounds to the bounds that both have. One of each kind cannot be combined.

use std::collections::BTreeMap;

use super::{CounterResetHint, Histogram};

/// One histogram has exponential buckets, the other custom bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a histogram with exponential buckets cannot be combined with one with custom buckets")]
pub struct HistogramMismatch;

/// Two histograms in one.
#[derive(Clone, Debug, PartialEq)]
pub struct Combined {
    /// The result.
    pub histogram: Histogram,
    /// Whether one said that there was a reset and the other that there was none.
    pub resets_conflict: bool,
    /// Whether the two had different custom bounds.
    pub bounds_reconciled: bool,
}

/// Two histograms in the same buckets.
#[derive(Clone, Debug, PartialEq)]
pub struct Aligned {
    /// The first.
    pub left: Histogram,
    /// The second.
    pub right: Histogram,
    /// Whether the two had different custom bounds.
    pub bounds_reconciled: bool,
}

type Buckets = BTreeMap<i32, f64>;

impl CounterResetHint {
    /// What is known about resets of the sum of two, and whether they contradict each other.
    pub fn joined(self, other: CounterResetHint) -> (CounterResetHint, bool) {
        use CounterResetHint::{Gauge, NotReset, Reset, Unknown};
        match (self, other) {
            (a, b) if a == b => (a, false),
            (Gauge, _) | (_, Gauge) => (Gauge, false),
            (Reset, NotReset) | (NotReset, Reset) => (Unknown, true),
            _ => (Unknown, false),
        }
    }
}

impl Histogram {
    /// The sum of two histograms.
    pub fn plus(&self, other: &Histogram) -> Result<Combined, HistogramMismatch> {
        self.combine(other, 1.0)
    }

    /// The difference of two histograms. Counts may become negative.
    pub fn minus(&self, other: &Histogram) -> Result<Combined, HistogramMismatch> {
        self.combine(other, -1.0)
    }

    fn combine(&self, other: &Histogram, sign: f64) -> Result<Combined, HistogramMismatch> {
        let Aligned { left, right, bounds_reconciled } = self.aligned_with(other)?;
        let (counter_reset_hint, resets_conflict) = self.counter_reset_hint.joined(other.counter_reset_hint);
        let mut histogram = Histogram {
            schema: left.schema,
            zero_threshold: left.zero_threshold,
            zero_count: left.zero_count + sign * right.zero_count,
            count: left.count + sign * right.count,
            sum: left.sum + sign * right.sum,
            custom_values: left.custom_values.clone(),
            counter_reset_hint,
            ..Histogram::default()
        };
        histogram.set_positive(merged(left.positive(), right.positive(), sign));
        histogram.set_negative(merged(left.negative(), right.negative(), sign));
        Ok(Combined { histogram, resets_conflict, bounds_reconciled })
    }

    /// Both in the same buckets.
    pub fn aligned_with(&self, other: &Histogram) -> Result<Aligned, HistogramMismatch> {
        let same = |bounds_reconciled, left, right| Ok(Aligned { left, right, bounds_reconciled });
        match (self.uses_custom_buckets(), other.uses_custom_buckets()) {
            (true, true) if self.custom_values == other.custom_values => {
                same(false, self.clone(), other.clone())
            }
            (true, true) => {
                let bounds = common_bounds(&self.custom_values, &other.custom_values);
                same(true, self.with_bounds(&bounds), other.with_bounds(&bounds))
            }
            (false, false) => {
                let schema = self.schema.min(other.schema);
                let (mut left, mut right) = (self.with_schema(schema), other.with_schema(schema));
                // Widening one may take in a bucket and so ask the other to widen in turn. A threshold that is no
                // number is never reached.
                while left.zero_threshold != right.zero_threshold {
                    if left.zero_threshold < right.zero_threshold {
                        left = left.with_zero_threshold(right.zero_threshold);
                    } else if right.zero_threshold < left.zero_threshold {
                        right = right.with_zero_threshold(left.zero_threshold);
                    } else {
                        break;
                    }
                }
                same(false, left, right)
            }
            _ => Err(HistogramMismatch),
        }
    }

    /// The same counts in the buckets of `other`, which are wider than its own, whatever is in them.
    #[must_use]
    pub fn laid_out_like(&self, other: &Histogram) -> Histogram {
        if other.uses_custom_buckets() {
            return if self.custom_values == other.custom_values {
                self.clone()
            } else {
                self.with_bounds(&other.custom_values)
            };
        }
        let mut out = self.with_schema(other.schema);
        let threshold = other.zero_threshold;
        let inside =
            |(index, count): (i32, f64)| if out.positive_bounds(index).0 < threshold { count } else { 0.0 };
        let zero_count = out.zero_count + out.positive().chain(out.negative()).map(inside).sum::<f64>();
        let outside = |(index, _): &(i32, f64)| out.positive_bounds(*index).0 >= threshold;
        let (positive, negative): (Vec<_>, Vec<_>) =
            (out.positive().filter(outside).collect(), out.negative().filter(outside).collect());
        out.set_positive(positive);
        out.set_negative(negative);
        Histogram { zero_count, zero_threshold: threshold, ..out }
    }

    /// All counts and the sum times `factor`. A negative factor makes it a gauge.
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Histogram {
        self.map_counts(factor, |count| count * factor)
    }

    /// All counts and the sum divided by `divisor`. A negative divisor makes it a gauge; zero leaves no buckets.
    #[must_use]
    pub fn divided(&self, divisor: f64) -> Histogram {
        let mut out = self.map_counts(divisor, |count| count / divisor);
        if divisor == 0.0 {
            out.set_positive([]);
            out.set_negative([]);
        }
        out
    }

    fn map_counts(&self, sign: f64, map: impl Fn(f64) -> f64) -> Histogram {
        let mut out = self.clone();
        for value in [&mut out.zero_count, &mut out.count, &mut out.sum]
            .into_iter()
            .chain(&mut out.positive_buckets)
            .chain(&mut out.negative_buckets)
        {
            *value = map(*value);
        }
        if sign < 0.0 {
            out.counter_reset_hint = CounterResetHint::Gauge;
        }
        out
    }

    /// Without empty buckets, and with spans that do not touch.
    #[must_use]
    pub fn compacted(&self) -> Histogram {
        let mut out = self.clone();
        out.set_positive(self.positive().filter(|(_, count)| *count != 0.0));
        out.set_negative(self.negative().filter(|(_, count)| *count != 0.0));
        out
    }

    /// The same observations in wider buckets. `schema` is lower than its own, both exponential.
    #[must_use]
    pub fn with_schema(&self, schema: i32) -> Histogram {
        if self.uses_custom_buckets() || schema >= self.schema {
            return self.clone();
        }
        let shift = self.schema.saturating_sub(schema).min(31);
        let mut out = Histogram { schema, ..self.clone() };
        out.set_positive(regrouped(self.positive(), |index| (index.wrapping_sub(1) >> shift) + 1));
        out.set_negative(regrouped(self.negative(), |index| (index.wrapping_sub(1) >> shift) + 1));
        out
    }

    /// The same observations with a wider zero bucket; it grows further if `threshold` falls into a bucket that is not
    /// empty.
    fn with_zero_threshold(&self, threshold: f64) -> Histogram {
        let (zero_count, zero_threshold) = self.zero_count_for(threshold);
        let mut out = Histogram { zero_count, zero_threshold, ..self.clone() };
        let outside = |(index, _): &(i32, f64)| self.positive_bounds(*index).0 >= zero_threshold;
        out.set_positive(self.positive().filter(outside));
        out.set_negative(self.negative().filter(outside));
        out
    }

    /// Count and threshold that the zero bucket has if it reaches at least up to `threshold`.
    fn zero_count_for(&self, mut threshold: f64) -> (f64, f64) {
        loop {
            let mut count = self.zero_count;
            let mut wider = threshold;
            for (index, in_bucket) in self.positive().chain(self.negative()) {
                let (lower, upper) = self.positive_bounds(index);
                if lower >= threshold {
                    continue;
                }
                count += in_bucket;
                if upper > threshold && in_bucket != 0.0 {
                    wider = wider.max(upper);
                }
            }
            // Not even larger if it is no number.
            if wider.partial_cmp(&threshold) != Some(std::cmp::Ordering::Greater) {
                return (count, threshold);
            }
            threshold = wider;
        }
    }

    /// The same observations with fewer custom bounds; `bounds` are among its own.
    fn with_bounds(&self, bounds: &[f64]) -> Histogram {
        let mut out = Histogram { custom_values: bounds.to_vec(), ..self.clone() };
        let target = |index: i32| {
            let upper = self.positive_bounds(index).1;
            i32::try_from(bounds.partition_point(|bound| *bound < upper)).unwrap_or(i32::MAX)
        };
        out.set_positive(regrouped(self.positive(), target));
        out
    }

    /// Whether counting started anew between `previous` and this one.
    pub fn is_reset_from(&self, previous: &Histogram) -> bool {
        match self.counter_reset_hint {
            CounterResetHint::Reset => return true,
            CounterResetHint::NotReset => return false,
            CounterResetHint::Unknown | CounterResetHint::Gauge => {}
        }
        if self.uses_custom_buckets() != previous.uses_custom_buckets() || self.count < previous.count {
            return true;
        }
        if self.uses_custom_buckets() {
            let bounds = common_bounds(&self.custom_values, &previous.custom_values);
            let fell = |now: &Histogram, before: &Histogram| any_fell(now.positive(), before.positive());
            if bounds.len() == self.custom_values.len() && bounds.len() == previous.custom_values.len() {
                return fell(self, previous);
            }
            return fell(&self.with_bounds(&bounds), &previous.with_bounds(&bounds));
        }
        if self.schema > previous.schema || self.zero_threshold < previous.zero_threshold {
            return true;
        }
        let previous = previous.with_schema(self.schema).with_zero_threshold(self.zero_threshold);
        previous.zero_threshold != self.zero_threshold
            || self.zero_count < previous.zero_count
            || any_fell(self.positive(), previous.positive())
            || any_fell(self.negative(), previous.negative())
    }

    /// Whether both say the same about the same observations; empty buckets and hints do not count.
    pub fn is_equivalent(&self, other: &Histogram) -> bool {
        let same = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan());
        let buckets = |histogram: &Histogram| -> (Vec<(i32, f64)>, Vec<(i32, f64)>) {
            let populated = |(_, count): &(i32, f64)| *count != 0.0;
            (
                histogram.positive().filter(populated).collect(),
                histogram.negative().filter(populated).collect(),
            )
        };
        self.schema == other.schema
            && same(self.count, other.count)
            && same(self.sum, other.sum)
            && (self.uses_custom_buckets()
                || (self.zero_threshold == other.zero_threshold && same(self.zero_count, other.zero_count)))
            && (!self.uses_custom_buckets() || self.custom_values == other.custom_values)
            && buckets(self) == buckets(other)
    }
}

fn common_bounds(left: &[f64], right: &[f64]) -> Vec<f64> {
    left.iter()
        .copied()
        .filter(|bound| right.binary_search_by(|other| other.total_cmp(bound)).is_ok())
        .collect()
}

/// Counts of both by index; those of `right` times `sign`. Buckets that are empty in both are left out.
fn merged(
    left: impl Iterator<Item = (i32, f64)>,
    right: impl Iterator<Item = (i32, f64)>,
    sign: f64,
) -> Vec<(i32, f64)> {
    let mut buckets: Buckets = left.collect();
    for (index, count) in right {
        *buckets.entry(index).or_insert(0.0) += sign * count;
    }
    buckets.into_iter().filter(|(_, count)| *count != 0.0).collect()
}

/// Counts by the new index that `target` gives; it keeps the order.
fn regrouped(buckets: impl Iterator<Item = (i32, f64)>, target: impl Fn(i32) -> i32) -> Buckets {
    let mut out = Buckets::new();
    for (index, count) in buckets {
        *out.entry(target(index)).or_insert(0.0) += count;
    }
    out
}

/// Whether a bucket holds less than it did before.
fn any_fell(now: impl Iterator<Item = (i32, f64)>, before: impl Iterator<Item = (i32, f64)>) -> bool {
    let now: Buckets = now.collect();
    before.into_iter().any(|(index, count)| count > now.get(&index).copied().unwrap_or(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CUSTOM_BUCKETS_SCHEMA;

    fn histogram(schema: i32, buckets: &[(i32, f64)]) -> Histogram {
        let count = buckets.iter().map(|(_, c)| c).sum();
        let mut out = Histogram { schema, count, sum: count, ..Histogram::default() };
        out.set_positive(buckets.iter().copied());
        out
    }

    fn custom(bounds: &[f64], buckets: &[(i32, f64)]) -> Histogram {
        Histogram { custom_values: bounds.to_vec(), ..histogram(CUSTOM_BUCKETS_SCHEMA, buckets) }
    }

    #[test]
    fn adds_at_the_lower_resolution() {
        let sum = histogram(1, &[(1, 1.0), (2, 2.0), (3, 3.0)])
            .plus(&histogram(0, &[(1, 10.0)]))
            .unwrap()
            .histogram;
        assert_eq!(sum.schema, 0);
        assert_eq!(sum.positive().collect::<Vec<_>>(), [(1, 13.0), (2, 3.0)]);
        assert_eq!(sum.count, 16.0);
    }

    #[test]
    fn widens_the_zero_bucket_over_a_whole_bucket() {
        let wide = Histogram { zero_threshold: 0.6, zero_count: 1.0, count: 1.0, ..Histogram::default() };
        let narrow = histogram(0, &[(0, 2.0), (2, 1.0)]);
        let sum = narrow.plus(&wide).unwrap().histogram;
        // 0.6 lies in the bucket from 0.5 to 1.
        assert_eq!((sum.zero_threshold, sum.zero_count), (1.0, 3.0));
        assert_eq!(sum.positive().collect::<Vec<_>>(), [(2, 1.0)]);
    }

    #[test]
    fn keeps_the_bounds_that_both_have() {
        let left = custom(&[1.0, 2.0, 4.0], &[(0, 1.0), (1, 1.0), (2, 1.0), (3, 1.0)]);
        let right = custom(&[2.0, 3.0, 4.0], &[(0, 10.0), (1, 10.0), (3, 10.0)]);
        let sum = left.plus(&right).unwrap();
        assert!(sum.bounds_reconciled);
        assert_eq!(sum.histogram.custom_values, [2.0, 4.0]);
        assert_eq!(sum.histogram.positive().collect::<Vec<_>>(), [(0, 12.0), (1, 11.0), (2, 11.0)]);
        assert_eq!(left.plus(&histogram(0, &[])), Err(HistogramMismatch));
    }

    #[test]
    fn sees_resets() {
        let before = histogram(0, &[(1, 2.0), (2, 2.0)]);
        assert!(!histogram(0, &[(1, 2.0), (2, 3.0)]).is_reset_from(&before));
        assert!(histogram(0, &[(1, 1.0), (2, 4.0)]).is_reset_from(&before));
        assert!(histogram(1, &[(1, 9.0)]).is_reset_from(&before));
        let hinted = Histogram { counter_reset_hint: CounterResetHint::NotReset, ..histogram(0, &[]) };
        assert!(!hinted.is_reset_from(&before));
    }
}
