//! PromQL, for rules: against the local store or the configured remote one.

use std::time::Duration;

use crate::{Labels, Result, Timestamp, clock, host};

/// One series of an instant query. A scalar is one series without labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its labels.
    pub labels: Labels,
    /// Its value.
    pub value: f64,
    /// Of when the value is.
    pub at: Timestamp,
}

impl Series {
    /// The value of a label; `""` if it is not there, as in PromQL.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name)
    }
}

/// One series over a range of time.
#[derive(Clone, Debug, PartialEq)]
pub struct RangeSeries {
    /// Its labels.
    pub labels: Labels,
    /// Its points, oldest first.
    pub points: Vec<(Timestamp, f64)>,
}

impl RangeSeries {
    /// The value of a label; `""` if it is not there, as in PromQL.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name)
    }

    /// The values without their times, oldest first.
    pub fn values(&self) -> Vec<f64> {
        self.points.iter().map(|(_, value)| *value).collect()
    }
}

/// An instant query at the evaluation's time.
pub fn instant(promql: &str) -> Result<Vec<Series>> {
    host::query_instant(promql, None)
}

/// An instant query at another time.
pub fn instant_at(promql: &str, at: Timestamp) -> Result<Vec<Series>> {
    host::query_instant(promql, Some(at))
}

/// The value of the first series of an instant query, if there is one.
pub fn value(promql: &str) -> Result<Option<f64>> {
    Ok(instant(promql)?.first().map(|series| series.value))
}

/// A range query from `start` to `end`, both included.
pub fn range(promql: &str, start: Timestamp, end: Timestamp, step: Duration) -> Result<Vec<RangeSeries>> {
    host::query_range(promql, start, end, step)
}

/// A range query over the time that ends now.
pub fn back(promql: &str, span: Duration, step: Duration) -> Result<Vec<RangeSeries>> {
    let end = clock::now();
    range(promql, end - span, end, step)
}
