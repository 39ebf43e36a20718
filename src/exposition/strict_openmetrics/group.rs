//! The samples of one metric stand together, and their time goes forward.

use std::collections::HashSet;

use model::{Labels, MetricType, Timestamp};

/// The metrics of one family.
#[derive(Debug, Default)]
pub(super) struct Groups {
    seen: HashSet<Labels>,
    current: Option<Labels>,
    /// The time of the current metric's last sample.
    at: Option<Timestamp>,
    /// Series of the current metric without a time.
    untimed: HashSet<String>,
}

impl Groups {
    /// Takes the next sample: the labels of its metric, its series as written, its time.
    pub(super) fn add(
        &mut self,
        group: &Labels,
        series: &str,
        at: Option<Timestamp>,
        kind: MetricType,
    ) -> Result<(), String> {
        if self.current.as_ref() == Some(group) {
            if at.is_some() != self.at.is_some() {
                return Err(format!("`{series}`: samples of one metric with and without timestamps"));
            }
            if at < self.at && kind != MetricType::Info {
                return Err(format!("`{series}`: an earlier timestamp than the sample before it"));
            }
        } else {
            if !self.seen.insert(group.clone()) {
                return Err(format!("`{series}`: the samples of this metric do not stand together"));
            }
            self.current = Some(group.clone());
            self.untimed.clear();
        }
        self.at = at;
        if at.is_none() && !self.untimed.insert(series.to_owned()) {
            return Err(format!("`{series}`: a second sample of the same series without a timestamp"));
        }
        Ok(())
    }
}
