//! Buckets, count and sum of a histogram agree.

use model::{Labels, Timestamp};

/// The histograms of one family, one at a time.
#[derive(Debug, Default)]
pub(super) struct Histograms {
    current: Option<Current>,
}

/// One histogram at one time.
#[derive(Debug)]
struct Current {
    family: String,
    group: Labels,
    at: Option<Timestamp>,
    /// Bound and count of the last bucket.
    last: Option<(f64, f64)>,
    count: Option<f64>,
    has_sum: bool,
    has_gauge_sum: bool,
    has_negative_gauge_sum: bool,
    has_negative_bounds: bool,
}

impl Histograms {
    /// Takes the next sample of the family.
    pub(super) fn add(
        &mut self,
        name: &str,
        group: &Labels,
        at: Option<Timestamp>,
        suffix: &str,
        bound: Option<f64>,
        value: f64,
    ) -> Result<(), String> {
        if self.current.as_ref().is_some_and(|current| current.group != *group || current.at != at) {
            std::mem::take(self).end()?;
        }
        let current = self.current.get_or_insert_with(|| Current {
            family: name.strip_suffix(suffix).unwrap_or(name).to_owned(),
            group: group.clone(),
            at,
            last: None,
            count: None,
            has_sum: false,
            has_gauge_sum: false,
            has_negative_gauge_sum: false,
            has_negative_bounds: false,
        });
        match suffix {
            "_bucket" => current.bucket(bound.unwrap_or(f64::NAN), value)?,
            "_count" | "_gcount" => current.count = Some(value),
            "_sum" => current.has_sum = true,
            "_gsum" => {
                current.has_gauge_sum = true;
                current.has_negative_gauge_sum |= value < 0.0;
            }
            _ => {}
        }
        Ok(())
    }

    /// Checks the last one.
    pub(super) fn end(&self) -> Result<(), String> {
        self.current.as_ref().map_or(Ok(()), Current::check)
    }
}

impl Current {
    fn bucket(&mut self, bound: f64, count: f64) -> Result<(), String> {
        if let Some((last_bound, last_count)) = self.last {
            if bound <= last_bound {
                return Err(format!("`{}`: bounds of buckets must ascend", self.family));
            }
            if count < last_count {
                return Err(format!("`{}`: a bucket counts less than the one below it", self.family));
            }
        }
        self.has_negative_bounds |= bound < 0.0;
        self.last = Some((bound, count));
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        let wrong = |problem: &str| Err(format!("`{}`: {problem}", self.family));
        let has_any_sum = self.has_sum || self.has_gauge_sum;
        let total = match self.last {
            Some((f64::INFINITY, total)) => total,
            _ => return wrong("there is no bucket with the bound `+Inf`"),
        };
        match self.count {
            Some(count) if count != total => wrong("the count differs from the bucket `+Inf`"),
            Some(_) if !has_any_sum => wrong("there is a count and no sum"),
            None if has_any_sum => wrong("there is a sum and no count"),
            _ if self.has_negative_bounds && self.has_sum => {
                wrong("with negative bounds there may be no sum")
            }
            _ if !self.has_negative_bounds && self.has_negative_gauge_sum => {
                wrong("without negative bounds the sum may not be negative")
            }
            _ => Ok(()),
        }
    }
}
