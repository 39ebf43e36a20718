//! Groups of an aggregation, and what each has seen at each step.
//!
//! Series come one by one and go into the columns of their group; nothing else is kept of them.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;

use model::{Histogram, Labels, METRIC_NAME};

use super::kahan::{Kahan, Mean};
use super::native::{HistogramSum, Total};
use super::series::{Ser, describes_metric};
use super::window::weight;
use crate::ast::AggregateOp;

/// Which labels of a series are those of its group.
#[derive(Clone, Copy)]
pub(super) enum Keep<'g> {
    /// Those of an aggregation `by`.
    By(&'g [String]),
    /// All but those of an aggregation `without`, and but those that describe the metric.
    Without(&'g [String]),
    /// Those that a matching is `on`.
    On(&'g [String]),
    /// All but the name and those that a matching is `ignoring`.
    Ignoring(&'g [String]),
}

impl Keep<'_> {
    fn accepts(self, name: &str, unnamed: bool) -> bool {
        let listed = |names: &[String]| names.iter().any(|listed| listed == name);
        match self {
            Keep::By(names) => listed(names) && !(unnamed && describes_metric(name)),
            Keep::Without(names) => !listed(names) && !describes_metric(name),
            Keep::On(names) => listed(names),
            Keep::Ignoring(names) => name != METRIC_NAME && !listed(names),
        }
    }
}

/// Finds the group of a series without building its labels.
pub(super) struct GroupIndex<'g> {
    keep: Keep<'g>,
    /// Groups by the hash of their labels; labels come from targets, so the hash is a secret.
    places: HashMap<u64, Vec<usize>>,
    hasher: RandomState,
    /// The labels of each group, in the order of their first series.
    pub(super) labels: Vec<Labels>,
    /// Whether the name of the group's first series is to be dropped.
    pub(super) drop_name: Vec<bool>,
    /// The group of the series before: often that of the next one, too.
    latest: usize,
}

impl<'g> GroupIndex<'g> {
    pub(super) fn new(keep: Keep<'g>) -> Self {
        GroupIndex {
            keep,
            places: HashMap::new(),
            hasher: RandomState::new(),
            labels: Vec::new(),
            drop_name: Vec::new(),
            latest: 0,
        }
    }

    /// The group of a series. A number that is one higher than all before is a new group.
    pub(super) fn place(&mut self, series: &Ser) -> usize {
        if matches!(self.keep, Keep::By([])) && !self.labels.is_empty() {
            return 0;
        }
        if self.labels.get(self.latest).is_some_and(|labels| self.kept(series).eq(labels.iter())) {
            return self.latest;
        }
        let hash = self.hash(series);
        self.latest = self.known(series, hash).unwrap_or_else(|| {
            let pairs: Vec<(&str, &str)> = self.kept(series).collect();
            let place = self.labels.len();
            self.labels.push(Labels::from_sorted(&pairs));
            self.drop_name.push(series.drop_name);
            self.places.entry(hash).or_default().push(place);
            place
        });
        self.latest
    }

    /// The group of a series, if it has one already.
    pub(super) fn find(&self, series: &Ser) -> Option<usize> {
        self.known(series, self.hash(series))
    }

    fn hash(&self, series: &Ser) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        for (name, value) in self.kept(series) {
            hasher.write(name.as_bytes());
            hasher.write_u8(0xff);
            hasher.write(value.as_bytes());
            hasher.write_u8(0xff);
        }
        hasher.finish()
    }

    fn known(&self, series: &Ser, hash: u64) -> Option<usize> {
        let places = self.places.get(&hash)?;
        places.iter().copied().find(|place| self.kept(series).eq(self.labels[*place].iter()))
    }

    /// The labels of a series that are its group's.
    fn kept<'s>(&self, series: &'s Ser) -> impl Iterator<Item = (&'s str, &'s str)> + use<'s, 'g> {
        let (keep, unnamed) = (self.keep, series.unnamed);
        series.labels.iter().filter(move |(name, _)| keep.accepts(name, unnamed))
    }
}

/// What a group has seen, one entry a step.
pub(super) enum Columns {
    Sum { sums: Vec<Kahan>, counts: Vec<u32>, histograms: Histograms },
    Avg { means: Vec<Mean>, histograms: Histograms },
    Count(Vec<u32>),
    Group(Vec<bool>),
    Extreme { values: Vec<f64>, present: Vec<bool>, largest: bool },
    Deviation { columns: Vec<Deviation>, root: bool },
    Quantile(Vec<Vec<f64>>),
}

/// What came of adding a series.
#[derive(Clone, Copy, Debug)]
pub(super) struct Added {
    /// How many more samples the group holds now, besides its columns.
    pub(super) held: usize,
    /// Whether it has histograms and they mean nothing here.
    pub(super) ignored: bool,
}

/// Sums of histograms; empty as long as there was none.
pub(super) type Histograms = Vec<Option<Box<HistogramSum>>>;

/// Source: Welford, "Note on a method for calculating corrected sums of squares and products".
#[derive(Clone, Copy, Default)]
pub(super) struct Deviation {
    pub(super) count: f64,
    mean: Kahan,
    pub(super) sum: Kahan,
}

impl Columns {
    pub(super) fn new(op: AggregateOp, steps: usize) -> Self {
        match op {
            AggregateOp::Sum => Columns::Sum {
                sums: vec![Kahan::default(); steps],
                counts: vec![0; steps],
                histograms: Vec::new(),
            },
            AggregateOp::Avg => Columns::Avg { means: vec![Mean::default(); steps], histograms: Vec::new() },
            AggregateOp::Count => Columns::Count(vec![0; steps]),
            AggregateOp::Min | AggregateOp::Max => Columns::Extreme {
                values: vec![0.0; steps],
                present: vec![false; steps],
                largest: op == AggregateOp::Max,
            },
            AggregateOp::Stddev | AggregateOp::Stdvar => Columns::Deviation {
                columns: vec![Deviation::default(); steps],
                root: op == AggregateOp::Stddev,
            },
            AggregateOp::Quantile => Columns::Quantile(vec![Vec::new(); steps]),
            _ => Columns::Group(vec![false; steps]),
        }
    }

    /// Adds a series.
    pub(super) fn add(&mut self, series: &Ser, steps: usize) -> Added {
        let floats = series.floats.iter().map(|(step, value)| (*step as usize, *value));
        match self {
            Columns::Sum { sums, counts, .. } => floats.for_each(|(step, value)| {
                sums[step].add(value);
                counts[step] += 1;
            }),
            Columns::Avg { means, .. } => floats.for_each(|(step, value)| means[step].add(value)),
            Columns::Count(counts) => floats.for_each(|(step, _)| counts[step] += 1),
            Columns::Group(any) => floats.for_each(|(step, _)| any[step] = true),
            Columns::Extreme { values, present, largest: true } => floats.for_each(|(step, value)| {
                if !present[step] || value > values[step] || values[step].is_nan() {
                    (values[step], present[step]) = (value, true);
                }
            }),
            Columns::Extreme { values, present, .. } => floats.for_each(|(step, value)| {
                if !present[step] || value < values[step] || values[step].is_nan() {
                    (values[step], present[step]) = (value, true);
                }
            }),
            Columns::Deviation { columns, .. } => floats.for_each(|(step, value)| columns[step].add(value)),
            Columns::Quantile(values) => floats.for_each(|(step, value)| values[step].push(value)),
        }
        // Only quantiles keep all values.
        let kept = if matches!(self, Columns::Quantile(_)) { series.floats.len() } else { 0 };
        let mut added = Added { held: kept, ignored: false };
        let metric = if series.unnamed { "" } else { series.labels.metric_name() };
        for (step, histogram) in &series.histograms {
            match self.add_histogram(*step as usize, histogram, steps, metric) {
                Some(held) => added.held += held,
                None => {
                    added.ignored = true;
                    break;
                }
            }
        }
        added
    }

    /// How many samples are held for it; `None` if it means nothing here.
    fn add_histogram(
        &mut self,
        step: usize,
        histogram: &Arc<Histogram>,
        steps: usize,
        metric: &str,
    ) -> Option<usize> {
        let (sums, total) = match self {
            Columns::Sum { histograms, .. } => (histograms, Total::Sum),
            Columns::Avg { histograms, .. } => (histograms, Total::Mean),
            Columns::Count(counts) => {
                counts[step] += 1;
                return Some(0);
            }
            Columns::Group(any) => {
                any[step] = true;
                return Some(0);
            }
            _ => return None,
        };
        sums.resize_with(steps, || None);
        match &mut sums[step] {
            Some(sum) => {
                sum.add(histogram, total, metric);
                Some(0)
            }
            none => {
                *none = Some(Box::new(HistogramSum::new(histogram)));
                Some(weight(histogram) as usize)
            }
        }
    }
}

impl Deviation {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        let delta = value - self.mean.total();
        self.mean.add(delta / self.count);
        self.sum.add(delta * (value - self.mean.total()));
    }
}
