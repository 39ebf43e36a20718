//! Metric families as they are collected.

use std::collections::BTreeMap;

/// What kind of numbers a family holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MetricType {
    /// Only goes up, or back to zero.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by upper bounds.
    Histogram,
    /// Quantiles.
    Summary,
    /// Not known.
    Untyped,
}

impl MetricType {
    /// As the text format writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            MetricType::Counter => "counter",
            MetricType::Gauge => "gauge",
            MetricType::Histogram => "histogram",
            MetricType::Summary => "summary",
            MetricType::Untyped => "untyped",
        }
    }
}

/// A metric family.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: MetricType,
    /// What it means.
    pub help: String,
    /// Its points.
    pub points: Vec<Point>,
}

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// What follows the family's name: nothing, `_bucket`, `_sum`, `_count`.
    pub suffix: &'static str,
    /// Names and values; never an empty value, which is no label.
    pub labels: Vec<(String, String)>,
    /// The value.
    pub value: f64,
}

/// Families by name. The first to name a family says what it is.
#[derive(Default)]
pub(crate) struct Families(BTreeMap<String, Family>);

impl Families {
    /// The family of that name.
    pub(crate) fn family(&mut self, name: &str, kind: MetricType, help: &str) -> &mut Family {
        if !self.0.contains_key(name) {
            let family = Family { name: name.to_owned(), kind, help: help.to_owned(), points: Vec::new() };
            self.0.insert(name.to_owned(), family);
        }
        self.0.get_mut(name).expect("it was put there a line above")
    }

    pub(crate) fn into_sorted(self) -> Vec<Family> {
        self.0.into_values().collect()
    }
}

impl Family {
    /// Adds a point.
    pub(crate) fn point(&mut self, labels: &[(&str, &str)], value: f64) {
        let labels = labels.iter().filter(|(_, value)| !value.is_empty());
        let labels = labels.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.points.push(Point { suffix: "", labels, value });
    }
}
