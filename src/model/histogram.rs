//! Native histograms: counts of observations in buckets that are exponential or have custom bounds.
//!
//! Here: the type, its buckets with their bounds, and its text. Adding, scaling and comparing is in `arithmetic`.

mod arithmetic;
mod buckets;

pub use arithmetic::{Aligned, Combined, HistogramMismatch};
pub use buckets::{Bucket, CUSTOM_BUCKETS_SCHEMA};

/// What is known about a counter reset between a histogram and the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CounterResetHint {
    /// Not known: compare the buckets.
    #[default]
    Unknown,
    /// There was one.
    Reset,
    /// There was none.
    NotReset,
    /// The histogram is a gauge: resets have no meaning.
    Gauge,
}

/// A run of consecutive buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// Gap to the span before it, in buckets; for the first span its first bucket's index.
    pub offset: i32,
    /// Number of buckets.
    pub length: u32,
}

/// A native histogram with float counts: exponential buckets (schema −4…8), or custom bounds (schema −53).
///
/// Buckets hold absolute counts, not differences. The sum of all buckets and `zero_count` need not equal `count` when
/// observations were NaN.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// Resolution: each power of two is divided into 2^schema buckets; −53 means `custom_values`.
    pub schema: i32,
    /// Observations with an absolute value up to this fall into the zero bucket.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: f64,
    /// All observations.
    pub count: f64,
    /// Sum of all observations; the stale marker here ends the series.
    pub sum: f64,
    /// Which buckets of positive observations are present.
    pub positive_spans: Vec<Span>,
    /// Their counts.
    pub positive_buckets: Vec<f64>,
    /// Which buckets of negative observations are present.
    pub negative_spans: Vec<Span>,
    /// Their counts.
    pub negative_buckets: Vec<f64>,
    /// Upper bounds of custom buckets, ascending, without +Inf.
    pub custom_values: Vec<f64>,
    /// What is known about a reset before this one.
    pub counter_reset_hint: CounterResetHint,
}

impl PartialEq for Histogram {
    /// Numbers are compared by their bits; layouts must be equal, not only equivalent.
    fn eq(&self, other: &Self) -> bool {
        let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        self.schema == other.schema
            && self.counter_reset_hint == other.counter_reset_hint
            && bits(&[self.zero_threshold, self.zero_count, self.count, self.sum])
                == bits(&[other.zero_threshold, other.zero_count, other.count, other.sum])
            && self.positive_spans == other.positive_spans
            && self.negative_spans == other.negative_spans
            && bits(&self.positive_buckets) == bits(&other.positive_buckets)
            && bits(&self.negative_buckets) == bits(&other.negative_buckets)
            && bits(&self.custom_values) == bits(&other.custom_values)
    }
}
