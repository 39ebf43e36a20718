//! The series that a rule wrote at its last evaluation, to end those that vanish.

use std::collections::BTreeMap;

use model::{Labels, SampleValue, SeriesRef, Timestamp, stale_nan};
use ports::{Rejected, Row};

/// The series that a rule wrote at its last successful evaluation.
#[derive(Clone, Debug, Default)]
pub(crate) struct WrittenSeries {
    last: BTreeMap<Labels, Option<SeriesRef>>,
}

impl WrittenSeries {
    /// The rows for `samples`, and a stale marker for each series that was there last time and is not among them.
    pub(crate) fn rows(&mut self, samples: Vec<(Labels, SampleValue)>, at: Timestamp) -> Vec<Row> {
        let mut gone = std::mem::take(&mut self.last);
        let mut rows = Vec::with_capacity(samples.len());
        for (labels, value) in samples {
            let hint = gone.remove(&labels).flatten();
            self.last.insert(labels.clone(), hint);
            rows.push(Row { labels, hint, at, value });
        }
        rows.extend(gone.into_iter().map(|(labels, hint)| stale_row(labels, hint, at)));
        rows
    }

    /// Takes series as written last time: they were, by the process before this one.
    pub(crate) fn expect(&mut self, series: impl Iterator<Item = Labels>) {
        for labels in series {
            self.last.entry(labels).or_insert(None);
        }
    }

    /// Stale markers for everything that was written: the rule is gone.
    pub(crate) fn end(&mut self, at: Timestamp) -> Vec<Row> {
        let last = std::mem::take(&mut self.last);
        last.into_iter().map(|(labels, hint)| stale_row(labels, hint, at)).collect()
    }

    /// Remembers where rows were stored, so that the next ones are found faster.
    pub(crate) fn stored(&mut self, rows: &[Row], outcome: &[Result<SeriesRef, Rejected>]) {
        for (row, outcome) in rows.iter().zip(outcome) {
            if let (Ok(series), Some(hint)) = (outcome, self.last.get_mut(&row.labels)) {
                *hint = Some(*series);
            }
        }
    }
}

fn stale_row(labels: Labels, hint: Option<SeriesRef>, at: Timestamp) -> Row {
    Row { labels, hint, at, value: SampleValue::Float(stale_nan()) }
}
