//! Classic histograms among the series of a vector: one series per bucket, joined by their other labels.

use std::collections::{HashMap, HashSet};

use model::Labels;

use super::classic::{self, ClassicBucket};
use super::series::{Ser, without_metric};
use super::{Evaluator, call::about};
use crate::EvalError;
use crate::ast::Span;
use crate::print::quote;

/// The classic histograms of a vector, and where native ones stand beside them.
pub(super) struct ClassicGroups {
    pub(super) groups: Vec<ClassicGroup>,
    /// Steps at which there is a native histogram, by labels without the metric.
    native: HashMap<Labels, HashSet<u32>>,
}

/// The buckets of one classic histogram.
pub(super) struct ClassicGroup {
    key: Labels,
    pub(super) labels: Labels,
    /// The metric name of its buckets.
    pub(super) name: String,
    /// Upper bounds in ascending order, each with the index of its series.
    buckets: Vec<(f64, usize)>,
}

impl Evaluator<'_> {
    /// Series with a bound in their label, joined by the other labels.
    pub(super) fn classic_groups(&mut self, input: &[Ser], span: Span) -> ClassicGroups {
        let mut out = ClassicGroups { groups: Vec::new(), native: HashMap::new() };
        let mut places: HashMap<Labels, usize> = HashMap::new();
        for (index, series) in input.iter().enumerate() {
            if !series.histograms.is_empty() {
                let steps = series.histograms.iter().map(|(step, _)| *step);
                out.native.entry(without_metric(&series.labels)).or_default().extend(steps);
            }
            if series.floats.is_empty() {
                continue;
            }
            let text = series.labels.value(classic::LABEL);
            let Some(upper) = classic::bound(text) else {
                let message = format!(
                    "bucket label \"le\" is missing or has a malformed value of {}",
                    quote(text.as_bytes())
                );
                self.notes.warn(span, format_args!("{message}{}", about(series.labels.metric_name())));
                continue;
            };
            let labels = series.labels.filter(|name| name != classic::LABEL);
            // With names that are dropped only at the end, two metrics' buckets stay apart until then.
            let labels = if self.options.delayed_name_removal { labels } else { without_metric(&labels) };
            let place = *places.entry(labels).or_insert_with_key(|labels| {
                out.groups.push(ClassicGroup {
                    key: without_metric(labels),
                    labels: labels.clone(),
                    name: series.labels.metric_name().to_owned(),
                    buckets: Vec::new(),
                });
                out.groups.len() - 1
            });
            out.groups[place].buckets.push((upper, index));
        }
        for group in &mut out.groups {
            group.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        }
        out
    }

    pub(super) fn warn_of_mixed(&mut self, classic: &ClassicGroups, input: &[Ser], span: Span) {
        for group in classic.groups.iter().filter(|group| classic.native.contains_key(&group.key)) {
            let native = &classic.native[&group.key];
            if group.steps(input).iter().any(|step| native.contains(step)) {
                let message = "vector contains a mix of classic and native histograms";
                self.notes.warn(span, format_args!("{message}{}", about(&group.name)));
            }
        }
    }
}

impl ClassicGroups {
    /// Shows the buckets of each group at each step at which there is no native histogram. What is shown may be changed.
    pub(super) fn each(
        &self,
        input: &[Ser],
        mut show: impl FnMut(&ClassicGroup, u32, &mut Vec<ClassicBucket>) -> Result<(), EvalError>,
    ) -> Result<(), EvalError> {
        let mut buckets = Vec::new();
        let mut cursors: Vec<usize> = Vec::new();
        for group in &self.groups {
            let native = self.native.get(&group.key);
            cursors.clear();
            cursors.resize(group.buckets.len(), 0);
            let next = |cursors: &[usize]| {
                let heads = group.buckets.iter().zip(cursors);
                heads
                    .filter_map(|((_, series), at)| input[*series].floats.get(*at))
                    .map(|(step, _)| *step)
                    .min()
            };
            while let Some(step) = next(&cursors) {
                buckets.clear();
                for ((upper, series), at) in group.buckets.iter().zip(&mut cursors) {
                    if let Some((_, count)) = input[*series].floats.get(*at).filter(|(s, _)| *s == step) {
                        buckets.push(ClassicBucket { upper: *upper, count: *count });
                        *at += 1;
                    }
                }
                if !native.is_some_and(|steps| steps.contains(&step)) {
                    show(group, step, &mut buckets)?;
                }
            }
        }
        Ok(())
    }

    /// The steps at which a native histogram with these labels would meet a classic one.
    pub(super) fn beside(&self, labels: &Labels, input: &[Ser]) -> HashSet<u32> {
        if self.groups.is_empty() {
            return HashSet::new();
        }
        let key = without_metric(labels);
        self.groups.iter().filter(|group| group.key == key).flat_map(|group| group.steps(input)).collect()
    }
}

impl ClassicGroup {
    /// The steps at which it has a bucket.
    fn steps(&self, input: &[Ser]) -> HashSet<u32> {
        self.buckets
            .iter()
            .flat_map(|(_, series)| input[*series].floats.iter().map(|(step, _)| *step))
            .collect()
    }
}
