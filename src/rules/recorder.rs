//! Recording rules: what the condition gives becomes samples of a new series.

use std::collections::BTreeSet;

use model::{Labels, METRIC_NAME};
use ports::{Rejected, Row};

use crate::written::WrittenSeries;
use crate::{Evaluation, Found, Rule, RuleError};

/// Turns what a recording rule's condition gives into rows; one per rule.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    written: WrittenSeries,
}

impl Recorder {
    /// The rows of one evaluation: a sample per element, and stale markers for series that are no longer given.
    pub fn record(
        &mut self,
        rule: &Rule,
        found: Found,
        evaluation: &Evaluation<'_>,
    ) -> Result<Vec<Row>, RuleError> {
        let mut seen = BTreeSet::new();
        let mut samples = Vec::new();
        for (labels, value, _) in found.into_elements() {
            let labels = recorded_labels(rule, &labels);
            if !seen.insert(labels.clone()) {
                return Err(RuleError::Duplicate { labels });
            }
            samples.push((labels, value));
        }
        if evaluation.limit > 0 && samples.len() > evaluation.limit {
            let (count, limit) = (samples.len(), evaluation.limit);
            return Err(RuleError::Limit { count, what: "series", limit });
        }
        Ok(self.written.rows(samples, evaluation.sample_time()))
    }

    /// Stale markers for all its series: the rule is gone.
    pub fn end(&mut self, at: model::Timestamp) -> Vec<Row> {
        self.written.end(at)
    }

    /// Remembers where rows were stored.
    pub fn stored(&mut self, rows: &[Row], outcome: &[Result<model::SeriesRef, Rejected>]) {
        self.written.stored(rows, outcome);
    }
}

fn recorded_labels(rule: &Rule, labels: &Labels) -> Labels {
    let mut builder = labels.edit();
    builder.set(METRIC_NAME, &rule.name);
    for (name, value) in &rule.labels {
        builder.set(name, value.source());
    }
    builder.build()
}
