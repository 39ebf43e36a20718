//! `_created` samples as the start times of the series they stand beside.

use std::collections::HashMap;

use model::{BUCKET_LABEL, Labels, METRIC_NAME, MetricType, SampleValue, Timestamp};

use crate::text::TextParser;
use crate::{Entry, ParseError, SampleEntry};

/// Leaves out the `_created` samples of counters, histograms and summaries, and gives their value to the samples of the same
/// family with the same labels, `le` and `quantile` aside.
///
/// A `_created` sample may stand anywhere in an unbroken run of samples of its family: each run is read ahead once.
#[derive(Clone, Debug)]
pub(crate) struct StartTimes<'a> {
    inner: TextParser<'a>,
    /// Start times of the current run.
    run: HashMap<Labels, Timestamp>,
    /// Samples of the current run that are still to come.
    left_in_run: usize,
}

impl<'a> StartTimes<'a> {
    pub(crate) fn new(inner: TextParser<'a>) -> Self {
        StartTimes { inner, run: HashMap::new(), left_in_run: 0 }
    }

    /// Reads the run that begins at `ahead`.
    fn read_run(&mut self, mut ahead: TextParser<'a>) {
        self.run.clear();
        self.left_in_run = 0;
        while let Some(Ok(Entry::Sample(sample))) = ahead.next() {
            let (family, kind) = ahead.family();
            let Some(member) = Member::of(&sample, family, kind) else { return };
            self.left_in_run += 1;
            if let (true, SampleValue::Float(seconds)) = (member.is_created, &sample.value) {
                self.run.insert(member.group, Timestamp::from_secs_f64(*seconds));
            }
        }
    }
}

/// A sample that belongs to a family whose type has start times.
struct Member {
    group: Labels,
    is_created: bool,
}

impl Member {
    fn of(sample: &SampleEntry<'_>, family: &str, kind: MetricType) -> Option<Member> {
        let (suffixes, bound): (&[&str], &str) = match kind {
            MetricType::Counter => (&["_total", ""], ""),
            MetricType::Histogram => (&["_bucket", "_count", "_sum"], BUCKET_LABEL),
            MetricType::Summary => (&["", "_count", "_sum"], "quantile"),
            _ => return None,
        };
        let labels = sample.labels().ok()?;
        let suffix = labels.metric_name().strip_prefix(family)?;
        let is_created = suffix == "_created";
        (is_created || suffixes.contains(&suffix))
            .then(|| Member { group: labels.filter(|name| name != METRIC_NAME && name != bound), is_created })
    }
}

impl<'a> Iterator for StartTimes<'a> {
    type Item = Result<Entry<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let before = self.inner.clone();
            let mut sample = match self.inner.next()? {
                Ok(Entry::Sample(sample)) => sample,
                other => return Some(other),
            };
            let (family, kind) = self.inner.family();
            let Some(member) = Member::of(&sample, family, kind) else {
                self.left_in_run = 0;
                return Some(Ok(Entry::Sample(sample)));
            };
            if self.left_in_run == 0 {
                self.read_run(before);
            }
            self.left_in_run = self.left_in_run.saturating_sub(1);
            if !member.is_created {
                sample.start = self.run.get(&member.group).copied();
                return Some(Ok(Entry::Sample(sample)));
            }
        }
    }
}
