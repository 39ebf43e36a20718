//! Samples: one timestamp and one value.

use std::sync::Arc;

use crate::{Histogram, Timestamp};

/// The bits of the NaN that says "this series has ended here".
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;

/// The NaN that says "this series has ended here".
pub fn stale_nan() -> f64 {
    f64::from_bits(STALE_NAN_BITS)
}

/// Whether `value` is the stale marker and not just any NaN.
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_NAN_BITS
}

/// The value of a sample.
#[derive(Clone, Debug)]
pub enum SampleValue {
    /// A number; may be the stale marker.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<Histogram>),
}

impl SampleValue {
    /// Whether this marks the end of a series: the stale NaN, or a histogram whose sum is it.
    pub fn is_stale(&self) -> bool {
        match self {
            SampleValue::Float(value) => is_stale(*value),
            SampleValue::Histogram(histogram) => is_stale(histogram.sum),
        }
    }

    /// The number, if it is one.
    pub fn as_float(&self) -> Option<f64> {
        match self {
            SampleValue::Float(value) => Some(*value),
            SampleValue::Histogram(_) => None,
        }
    }
}

impl PartialEq for SampleValue {
    /// Numbers are compared by their bits, so that a stale marker equals itself.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (SampleValue::Float(a), SampleValue::Float(b)) => a.to_bits() == b.to_bits(),
            (SampleValue::Histogram(a), SampleValue::Histogram(b)) => a == b,
            _ => false,
        }
    }
}

impl From<f64> for SampleValue {
    fn from(value: f64) -> Self {
        SampleValue::Float(value)
    }
}

/// One timestamp and one value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// When.
    pub at: Timestamp,
    /// What.
    pub value: SampleValue,
}
