//! Values on the way: series over the steps of an evaluation.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use model::{Histogram, Labels, METRIC_NAME};

use super::window::weight;
use crate::{EvalError, Range};

/// The times of an evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) start: i64,
    pub(crate) step: i64,
    pub(crate) len: usize,
}

impl Grid {
    /// From `start` to `end`, inclusive. `step` is positive.
    pub(crate) fn new(start: i64, end: i64, step: i64) -> Grid {
        let len = if end < start { 0 } else { (end.saturating_sub(start) / step) as usize + 1 };
        Grid { start, step, len }
    }

    /// The steps of a query.
    pub(crate) fn of(range: Range) -> Grid {
        if range.is_instant() {
            return Grid::one(range.start.as_millis());
        }
        Grid::new(range.start.as_millis(), range.end.as_millis(), range.step_ms.max(1))
    }

    pub(crate) fn one(at: i64) -> Grid {
        Grid { start: at, step: 1, len: 1 }
    }

    /// The time of step `at`.
    pub(crate) fn time(&self, at: usize) -> i64 {
        self.start.saturating_add(self.step.saturating_mul(at as i64))
    }
}

/// One value.
#[derive(Clone, Debug)]
pub(crate) enum Val {
    Float(f64),
    Histogram(Arc<Histogram>),
}

impl From<f64> for Val {
    fn from(value: f64) -> Self {
        Val::Float(value)
    }
}

impl From<Histogram> for Val {
    fn from(value: Histogram) -> Self {
        Val::Histogram(Arc::new(value))
    }
}

/// A series over the steps: at most one value a step, sorted by step.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ser {
    pub(crate) labels: Labels,
    /// Whether the metric name is to be dropped from the final answer.
    pub(crate) drop_name: bool,
    /// Whether the labels that describe the metric are gone already, though they still stand in `labels`: while series are
    /// handed on one by one, labels are built only for those that are kept.
    pub(crate) unnamed: bool,
    pub(crate) floats: Vec<(u32, f64)>,
    pub(crate) histograms: Vec<(u32, Arc<Histogram>)>,
}

impl Ser {
    pub(crate) fn new(labels: Labels, drop_name: bool) -> Ser {
        Ser { labels, drop_name, unnamed: false, floats: Vec::new(), histograms: Vec::new() }
    }

    /// One number for each step, without labels.
    pub(crate) fn of_floats(values: impl IntoIterator<Item = f64>) -> Ser {
        let floats = values.into_iter().enumerate().map(|(step, value)| (step as u32, value)).collect();
        Ser { floats, ..Ser::default() }
    }

    pub(crate) fn push(&mut self, step: usize, value: Val) {
        let step = step as u32;
        match value {
            Val::Float(value) => self.floats.push((step, value)),
            Val::Histogram(value) => self.histograms.push((step, value)),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.floats.len() + self.histograms.len()
    }

    /// How many samples it takes to hold its values.
    pub(crate) fn weight(&self) -> usize {
        self.floats.len() + weight_of(&self.histograms)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.floats.is_empty() && self.histograms.is_empty()
    }

    /// Restores the order of steps after pushes in any order.
    pub(crate) fn sort(&mut self) {
        self.floats.sort_by_key(|(step, _)| *step);
        self.histograms.sort_by_key(|(step, _)| *step);
    }

    /// Whether a step has more than one value. Sorted.
    pub(crate) fn has_two_at_once(&self) -> bool {
        self.floats.windows(2).any(|w| w[0].0 == w[1].0)
            || self.histograms.windows(2).any(|w| w[0].0 == w[1].0)
            || (!self.histograms.is_empty()
                && self.floats.iter().any(|(s, _)| self.histograms.binary_search_by_key(s, |h| h.0).is_ok()))
    }

    /// All values with their steps, numbers first.
    pub(crate) fn values(&self) -> impl Iterator<Item = (usize, Val)> + '_ {
        let floats = self.floats.iter().map(|(step, value)| (*step as usize, Val::Float(*value)));
        let histograms = self.histograms.iter().map(|(step, h)| (*step as usize, Val::Histogram(h.clone())));
        floats.chain(histograms)
    }
}

fn weight_of(histograms: &[(u32, Arc<Histogram>)]) -> usize {
    histograms.iter().map(|(_, histogram)| weight(histogram) as usize).sum()
}

/// What a part of an expression evaluates to.
pub(crate) enum Output {
    /// One number for each step.
    Scalar(Vec<f64>),
    Text(String),
    Vector(Vec<Ser>),
}

impl Output {
    /// How many series it is.
    pub(crate) fn series_len(&self) -> usize {
        match self {
            Output::Vector(series) => series.len(),
            Output::Scalar(_) | Output::Text(_) => 1,
        }
    }

    /// How many values it holds.
    pub(crate) fn len(&self) -> usize {
        match self {
            Output::Scalar(values) => values.len(),
            Output::Text(_) => 1,
            Output::Vector(series) => series.iter().map(Ser::len).sum(),
        }
    }

    /// How many samples it takes to hold them.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Output::Vector(series) => series.iter().map(Ser::weight).sum(),
            Output::Scalar(_) | Output::Text(_) => self.len(),
        }
    }
}

/// The last, in order of names, of the labels that describe a metric.
pub(crate) const UNIT: &str = "__unit__";

/// Labels that say what a metric is, and so no longer fit once its values are computed with.
pub(crate) fn describes_metric(name: &str) -> bool {
    matches!(name, METRIC_NAME | "__type__" | UNIT)
}

/// Without the labels that describe the metric.
pub(crate) fn without_metric(labels: &Labels) -> Labels {
    if labels.iter().any(|(name, _)| describes_metric(name)) {
        labels.filter(|name| !describes_metric(name))
    } else {
        labels.clone()
    }
}

/// Joins series with equal labels into one, in order of their first. Two values for one step are an error.
pub(crate) fn merged(series: Vec<Ser>) -> Result<Vec<Ser>, EvalError> {
    let mut places: HashMap<Labels, usize> = HashMap::with_capacity(series.len());
    let mut out: Vec<Ser> = Vec::with_capacity(series.len());
    for one in series {
        match places.entry(one.labels.clone()) {
            Entry::Vacant(place) => {
                place.insert(out.len());
                out.push(one);
            }
            Entry::Occupied(place) => {
                let into = &mut out[*place.get()];
                into.floats.extend(one.floats);
                into.histograms.extend(one.histograms);
                into.sort();
                if into.has_two_at_once() {
                    return Err(EvalError::Execution {
                        message: "vector cannot contain metrics with the same labelset".to_owned(),
                        span: None,
                    });
                }
            }
        }
    }
    Ok(out)
}
