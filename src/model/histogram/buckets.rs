//! Buckets with their bounds.

use std::fmt;
use std::sync::LazyLock;

use super::{Histogram, Span};
use crate::float::format_float_shortest;

/// The schema of histograms with custom bounds.
pub const CUSTOM_BUCKETS_SCHEMA: i32 = -53;

/// A bucket with its bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// Lower bound.
    pub lower: f64,
    /// Upper bound.
    pub upper: f64,
    /// Whether the lower bound itself belongs to it.
    pub lower_inclusive: bool,
    /// Whether the upper bound itself belongs to it.
    pub upper_inclusive: bool,
    /// Observations in it.
    pub count: f64,
}

impl fmt::Display for Bucket {
    /// `(0.5,1]:3`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = if self.lower_inclusive { '[' } else { '(' };
        let close = if self.upper_inclusive { ']' } else { ')' };
        let [lower, upper, count] = [self.lower, self.upper, self.count].map(format_float_shortest);
        write!(f, "{open}{lower},{upper}{close}:{count}")
    }
}

/// Index and count of each bucket that the spans name, in order of the index.
pub(super) fn indexed<'a>(spans: &'a [Span], counts: &'a [f64]) -> impl Iterator<Item = (i32, f64)> + 'a {
    let mut next = 0i32;
    let indexes = spans.iter().flat_map(move |span| {
        let start = next.wrapping_add(span.offset);
        next = start.wrapping_add(span.length as i32);
        start..next
    });
    indexes.zip(counts.iter().copied())
}

/// Spans and counts of buckets in order of the index.
pub(super) fn laid_out(buckets: impl IntoIterator<Item = (i32, f64)>) -> (Vec<Span>, Vec<f64>) {
    let (mut spans, mut counts): (Vec<Span>, Vec<f64>) = (Vec::new(), Vec::new());
    let mut next = 0i32;
    for (index, count) in buckets {
        match spans.last_mut() {
            Some(span) if index == next => span.length += 1,
            _ => spans.push(Span { offset: index.wrapping_sub(next), length: 1 }),
        }
        counts.push(count);
        next = index.wrapping_add(1);
    }
    (spans, counts)
}

/// 2^exponent, exactly; infinite or zero beyond what a float holds.
fn power_of_two(exponent: i64) -> f64 {
    match exponent {
        1024.. => f64::INFINITY,
        -1022..=1023 => f64::from_bits(((exponent + 1023) as u64) << 52),
        -1074..=-1023 => f64::from_bits(1 << (exponent + 1074)),
        _ => 0.0,
    }
}

/// The finest resolution that is in use.
const SCHEMA_MAX: i32 = 8;

/// 2^(1/2), 2^(1/4), … 2^(1/256). The first is one unit in the last place below the true value: bounds that all of the
/// field's programs agree on were once multiplied from it, and are compared and shown digit by digit.
const ROOTS: [f64; SCHEMA_MAX as usize] = [
    std::f64::consts::SQRT_2.next_down(),
    1.189207115002721,
    1.0905077326652577,
    1.0442737824274138,
    1.0218971486541166,
    1.0108892860517005,
    1.0054299011128027,
    1.0027112750502025,
];

/// Bounds from 1 up to 2 at the finest resolution. Coarser ones share theirs: every second, every fourth, …
static FRACTIONS: LazyLock<Vec<f64>> = LazyLock::new(|| {
    ROOTS
        .iter()
        .fold(vec![1.0], |coarser, root| coarser.iter().flat_map(|bound| [*bound, bound * root]).collect())
});

/// 2^(part / 2^schema), for a part of a power of two.
fn fraction_bound(part: i32, schema: i32) -> f64 {
    let finest = usize::try_from(part).unwrap_or(0) << (SCHEMA_MAX - schema).max(0);
    match FRACTIONS.get(finest) {
        Some(bound) if schema <= SCHEMA_MAX => *bound,
        _ => (f64::from(part) / f64::from(1 << schema.min(30))).exp2(),
    }
}

/// The upper bound of an exponential bucket: 2^(index / 2^schema).
pub(super) fn exponential_bound(index: i32, schema: i32) -> f64 {
    let bound = if schema < 0 {
        let exponent = i64::from(index) << schema.unsigned_abs().min(31);
        power_of_two(exponent)
    } else {
        let per_power = 1i32 << schema.min(30);
        let (whole, part) = (index.div_euclid(per_power), index.rem_euclid(per_power));
        fraction_bound(part, schema) * power_of_two(i64::from(whole))
    };
    // The highest bucket of finite numbers ends at the largest of them.
    let last_finite = if schema < 0 { 1024 >> schema.unsigned_abs().min(31) } else { 1024 << schema.min(20) };
    if index == last_finite { f64::MAX } else { bound }
}

impl Histogram {
    /// Whether buckets have custom bounds.
    pub fn uses_custom_buckets(&self) -> bool {
        self.schema == CUSTOM_BUCKETS_SCHEMA
    }

    /// Index and count of each positive bucket, in order of the index.
    pub fn positive(&self) -> impl Iterator<Item = (i32, f64)> + '_ {
        indexed(&self.positive_spans, &self.positive_buckets)
    }

    /// Index and count of each negative bucket, in order of the index: from zero downwards.
    pub fn negative(&self) -> impl Iterator<Item = (i32, f64)> + '_ {
        indexed(&self.negative_spans, &self.negative_buckets)
    }

    /// Replaces the positive buckets; in order of the index.
    pub fn set_positive(&mut self, buckets: impl IntoIterator<Item = (i32, f64)>) {
        (self.positive_spans, self.positive_buckets) = laid_out(buckets);
    }

    /// Replaces the negative buckets; in order of the index.
    pub fn set_negative(&mut self, buckets: impl IntoIterator<Item = (i32, f64)>) {
        (self.negative_spans, self.negative_buckets) = laid_out(buckets);
    }

    /// Bounds of the positive bucket with this index.
    pub fn positive_bounds(&self, index: i32) -> (f64, f64) {
        if self.uses_custom_buckets() {
            let bound = |i: i32| usize::try_from(i).ok().and_then(|i| self.custom_values.get(i).copied());
            let lower =
                if index <= 0 { f64::NEG_INFINITY } else { bound(index - 1).unwrap_or(f64::INFINITY) };
            return (lower, bound(index).unwrap_or(f64::INFINITY));
        }
        (exponential_bound(index.wrapping_sub(1), self.schema), exponential_bound(index, self.schema))
    }

    /// The positive buckets with their bounds, ascending.
    pub fn positive_buckets_bounded(&self) -> impl DoubleEndedIterator<Item = Bucket> + '_ {
        let all: Vec<Bucket> = self
            .positive()
            .map(|(index, count)| {
                let (lower, upper) = self.positive_bounds(index);
                Bucket {
                    lower,
                    upper,
                    lower_inclusive: lower == f64::NEG_INFINITY,
                    upper_inclusive: true,
                    count,
                }
            })
            .collect();
        all.into_iter()
    }

    /// The negative buckets with their bounds, from zero downwards.
    pub fn negative_buckets_bounded(&self) -> impl DoubleEndedIterator<Item = Bucket> + '_ {
        let all: Vec<Bucket> = self
            .negative()
            .map(|(index, count)| {
                let (lower, upper) = self.positive_bounds(index);
                let (lower, upper) = (-upper, -lower);
                Bucket { lower, upper, lower_inclusive: true, upper_inclusive: upper == f64::INFINITY, count }
            })
            .collect();
        all.into_iter()
    }

    /// The bucket around zero.
    pub fn zero_bucket(&self) -> Bucket {
        Bucket {
            lower: -self.zero_threshold,
            upper: self.zero_threshold,
            lower_inclusive: true,
            upper_inclusive: true,
            count: self.zero_count,
        }
    }

    /// All buckets with observations, ascending.
    pub fn populated_buckets(&self) -> Vec<Bucket> {
        // A negative count, as a difference has it, is shown in every bucket but this one: so do others.
        self.buckets_with((self.zero_count > 0.0).then(|| self.zero_bucket()))
    }

    fn buckets_with(&self, zero: Option<Bucket>) -> Vec<Bucket> {
        let negative = self.negative_buckets_bounded().rev();
        negative.chain(zero).chain(self.positive_buckets_bounded()).filter(|b| b.count != 0.0).collect()
    }
}

impl fmt::Display for Histogram {
    /// `{count:3, sum:4.5, [-0.1,0.1]:1, (0.5,1]:2}`: only buckets with observations, ascending.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [count, sum] = [self.count, self.sum].map(format_float_shortest);
        write!(f, "{{count:{count}, sum:{sum}")?;
        // As text, the zero bucket is like the others.
        for bucket in self.buckets_with(Some(self.zero_bucket())) {
            write!(f, ", {bucket}")?;
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zero_bucket_with_a_negative_count_is_shown_as_text_alone() {
        let mut difference = Histogram { zero_threshold: 0.5, zero_count: -2.0, ..Histogram::default() };
        difference.set_positive([(1, -3.0)]);
        assert_eq!(difference.to_string(), "{count:0, sum:0, [-0.5,0.5]:-2, (1,2]:-3}");
        assert_eq!(difference.populated_buckets().len(), 1);
    }

    #[test]
    fn bounds_are_powers_of_two() {
        for (index, schema, bound) in [
            (0, 0, 1.0),
            (1, 0, 2.0),
            (-1, 0, 0.5),
            (1, 1, std::f64::consts::SQRT_2.next_down()),
            (3, 2, 1.6817928305074288),
            (9, 5, 2.0 * 0.6076236799902344),
            (25, 5, 2.0 * 0.8593096490612387),
            (-27, 5, 0.5 * 1.1143867425958924),
            (4, 8, 1.0108892860517005),
            (256, 8, 2.0),
            (2, 1, 2.0),
            (1, -1, 4.0),
            (1024, 0, f64::MAX),
            (-1074, 0, 5e-324),
        ] {
            assert_eq!(exponential_bound(index, schema), bound, "{index} in schema {schema}");
        }
    }

    #[test]
    fn spans_and_indexes_are_two_views_of_the_same() {
        let buckets = [(-3, 1.0), (-2, 2.0), (0, 3.0), (5, 4.0), (6, 5.0)];
        let (spans, counts) = laid_out(buckets);
        assert_eq!(spans.len(), 3);
        assert_eq!(indexed(&spans, &counts).collect::<Vec<_>>(), buckets);
    }

    #[test]
    fn prints_populated_buckets() {
        let mut histogram =
            Histogram { count: 4.0, sum: 2.5, zero_count: 1.0, zero_threshold: 0.1, ..Histogram::default() };
        histogram.set_positive([(0, 2.0), (1, 0.0)]);
        histogram.set_negative([(1, 1.0)]);
        assert_eq!(histogram.to_string(), "{count:4, sum:2.5, [-2,-1):1, [-0.1,0.1]:1, (0.5,1]:2}");
    }
}
