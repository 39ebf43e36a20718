//! Series as queries see them.

use std::sync::Arc;

use crate::{Histogram, Labels, Matcher, SampleValue, Timestamp};

/// Handle of a series inside one open TSDB. Means nothing to another process or after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesRef(pub u64);

/// Which samples a query needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// All of them must match.
    pub matchers: Vec<Matcher>,
    /// The first timestamp that is needed, inclusive.
    pub start: Timestamp,
    /// The last timestamp that is needed, inclusive.
    pub end: Timestamp,
}

/// One number at one time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FloatSample {
    /// When.
    pub at: Timestamp,
    /// What; may be the stale marker.
    pub value: f64,
}

/// One native histogram at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct HistogramSample {
    /// When.
    pub at: Timestamp,
    /// What.
    pub value: Arc<Histogram>,
}

/// A label set and its samples, oldest first, stale markers included.
///
/// Numbers and histograms stand apart: nearly every series has only one kind, and the evaluator's loops run over plain
/// slices. No timestamp occurs twice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Which series.
    pub labels: Labels,
    /// Its numbers in order of time.
    pub floats: Vec<FloatSample>,
    /// Its histograms in order of time.
    pub histograms: Vec<HistogramSample>,
}

/// One element of an instant vector.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorSample {
    /// Which series.
    pub labels: Labels,
    /// When: the evaluation time.
    pub at: Timestamp,
    /// What.
    pub value: SampleValue,
}

/// The answer of an instant query: one value for each of many series.
pub type Vector = Vec<VectorSample>;

/// The answer of a range query: many series over time.
pub type Matrix = Vec<Series>;
