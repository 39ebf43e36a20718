//! Quantiles and fractions of classic histograms: one series per bucket, with its upper bound in the label `le`.

use model::BUCKET_LABEL;

/// A cumulative bucket.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClassicBucket {
    pub(super) upper: f64,
    pub(super) count: f64,
}

/// What had to be done to buckets that did not grow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Repair {
    pub(super) first: f64,
    pub(super) last: f64,
    pub(super) largest_drop: f64,
}

/// A quantile and how it was had.
pub(super) struct ClassicQuantile {
    pub(super) value: f64,
    pub(super) repair: Option<Repair>,
}

/// The upper bound in a label value; `None` if it is no number.
pub(super) fn bound(text: &str) -> Option<f64> {
    model::parse_float(text)
}

/// The label that holds it.
pub(super) const LABEL: &str = BUCKET_LABEL;

/// Relative difference below which a drop from bucket to bucket is a rounding error.
const TOLERANCE: f64 = 1e-12;

/// The value below which the part `q` of all observations lies, taking them to be spread evenly inside of buckets.
pub(super) fn quantile(q: f64, buckets: &mut Vec<ClassicBucket>) -> ClassicQuantile {
    let exact = |value| ClassicQuantile { value, repair: None };
    if q.is_nan() {
        return exact(f64::NAN);
    }
    if q < 0.0 {
        return exact(f64::NEG_INFINITY);
    }
    if q > 1.0 {
        return exact(f64::INFINITY);
    }
    let Some(repair) = prepare(buckets) else { return exact(f64::NAN) };
    if buckets.len() < 2 {
        return exact(f64::NAN);
    }
    let last = buckets.len() - 1;
    let observations = buckets[last].count;
    if observations == 0.0 {
        return exact(f64::NAN);
    }
    let rank = q * observations;
    let at = buckets[..last].partition_point(|b| b.count < rank);
    let value = if at == last {
        buckets[last - 1].upper
    } else if at == 0 && buckets[0].upper <= 0.0 {
        buckets[0].upper
    } else {
        let (start, before) =
            if at == 0 { (0.0, 0.0) } else { (buckets[at - 1].upper, buckets[at - 1].count) };
        let (end, count) = (buckets[at].upper, buckets[at].count - before);
        start + (end - start) * ((rank - before) / count)
    };
    ClassicQuantile { value, repair }
}

/// Which part of all observations lies between `lower` and `upper`.
pub(super) fn fraction(lower: f64, upper: f64, buckets: &mut Vec<ClassicBucket>) -> f64 {
    // Counts that fall are left as they are: so do others.
    if !complete(buckets) {
        return f64::NAN;
    }
    let observations = buckets[buckets.len() - 1].count;
    if observations == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    (rank_of(upper, buckets) - rank_of(lower, buckets)) / observations
}

fn rank_of(value: f64, buckets: &[ClassicBucket]) -> f64 {
    let mut before = 0.0;
    for (at, bucket) in buckets.iter().enumerate() {
        let start = match at.checked_sub(1) {
            Some(previous) => buckets[previous].upper,
            // The lowest bucket of positive values starts at zero; one that reaches below it has no start.
            None if bucket.upper > 0.0 => 0.0,
            None => f64::NEG_INFINITY,
        };
        if start >= value {
            return before;
        }
        if bucket.upper > value {
            let inside = bucket.count - before;
            // In a bucket without end, observations are taken to lie at the bound that it has.
            if bucket.upper.is_infinite() {
                return before;
            }
            if start.is_infinite() {
                before = bucket.count;
                continue;
            }
            return before + inside * (value - start) / (bucket.upper - start);
        }
        before = bucket.count;
    }
    before
}

/// Sorts and joins equal bounds. `false` without a bucket for everything.
fn complete(buckets: &mut Vec<ClassicBucket>) -> bool {
    buckets.sort_by(|a, b| a.upper.total_cmp(&b.upper));
    if buckets.last().is_none_or(|b| b.upper != f64::INFINITY) {
        return false;
    }
    buckets.dedup_by(|next, kept| {
        let same = next.upper == kept.upper;
        if same {
            kept.count += next.count;
        }
        same
    });
    true
}

/// Makes counts grow besides. `None` without a bucket for everything.
fn prepare(buckets: &mut Vec<ClassicBucket>) -> Option<Option<Repair>> {
    if !complete(buckets) {
        return None;
    }
    let mut repair: Option<Repair> = None;
    let mut previous = f64::NEG_INFINITY;
    for bucket in buckets {
        if almost_equal(bucket.count, previous) {
            bucket.count = previous;
        } else if bucket.count < previous {
            let drop = previous - bucket.count;
            let repair =
                repair.get_or_insert(Repair { first: bucket.upper, last: bucket.upper, largest_drop: drop });
            repair.last = bucket.upper;
            repair.largest_drop = repair.largest_drop.max(drop);
            bucket.count = previous;
        } else {
            previous = bucket.count;
        }
    }
    Some(repair)
}

fn almost_equal(a: f64, b: f64) -> bool {
    if a == b {
        return true;
    }
    let size = a.abs() + b.abs();
    let difference = (a - b).abs();
    if a == 0.0 || b == 0.0 || size < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / size.min(f64::MAX) < TOLERANCE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(pairs: &[(f64, f64)]) -> Vec<ClassicBucket> {
        pairs.iter().map(|(upper, count)| ClassicBucket { upper: *upper, count: *count }).collect()
    }

    #[test]
    fn interpolates_inside_of_buckets() {
        let inf = f64::INFINITY;
        let some = [(1.0, 2.0), (2.0, 4.0), (inf, 4.0)];
        for (q, wanted) in [(0.0, 0.0), (0.25, 0.5), (0.5, 1.0), (0.75, 1.5), (1.0, 2.0)] {
            assert_eq!(quantile(q, &mut buckets(&some)).value, wanted, "{q}");
        }
        assert_eq!(quantile(0.9, &mut buckets(&[(1.0, 1.0), (inf, 10.0)])).value, 1.0);
        assert!(quantile(0.5, &mut buckets(&[(1.0, 1.0)])).value.is_nan());
        assert!(quantile(0.5, &mut buckets(&[(inf, 1.0)])).value.is_nan());
    }

    #[test]
    fn repairs_counts_that_fall() {
        let found = quantile(0.5, &mut buckets(&[(1.0, 4.0), (2.0, 3.0), (f64::INFINITY, 4.0)]));
        assert_eq!(found.repair, Some(Repair { first: 2.0, last: 2.0, largest_drop: 1.0 }));
        assert_eq!(found.value, 0.5);
    }

    #[test]
    fn counts_between_values() {
        let some = [(1.0, 2.0), (2.0, 4.0), (f64::INFINITY, 8.0)];
        assert_eq!(fraction(0.0, 1.0, &mut buckets(&some)), 0.25);
        assert_eq!(fraction(0.5, 1.5, &mut buckets(&some)), 0.25);
        assert_eq!(fraction(0.0, f64::INFINITY, &mut buckets(&some)), 1.0);
        let falling = [(1.0, 4.0), (2.0, 2.0), (f64::INFINITY, 8.0)];
        assert_eq!(fraction(1.0, 2.0, &mut buckets(&falling)), -0.25);
    }
}
