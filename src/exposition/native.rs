//! Classic histograms turned into native ones with custom bounds.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use model::{BUCKET_LABEL, BucketSpan, Histogram, Labels, METRIC_NAME, MetricType, SampleValue, Timestamp};

use crate::entry::{ExemplarSource, LabelSource};
use crate::number::parse_number;
use crate::{Entry, Exemplar, ParseError, SampleEntry};

/// The schema of histograms with custom bounds.
const CUSTOM_BOUNDS_SCHEMA: i32 = -53;

/// Collects the samples of each classic histogram and gives out one native histogram behind them.
///
/// The classic samples are left out unless they are to be kept. A histogram that cannot be converted, because its buckets
/// shrink or do not fit its count, stays classic. One that comes with exponential buckets as well is not converted.
#[derive(Debug)]
pub(crate) struct ClassicToNative<'a, I> {
    inner: I,
    keep_classic: bool,
    /// The family whose type was said last, if it is a histogram.
    family: Option<String>,
    collecting: Option<Classic<'a>>,
    /// The labels of the last exponential histogram.
    exponential: Option<Labels>,
    ready: VecDeque<Result<Entry<'a>, ParseError>>,
}

/// A classic histogram in the making.
#[derive(Debug)]
struct Classic<'a> {
    /// With the family's name, without the bound.
    labels: Labels,
    /// Upper bound and cumulative count.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
    at: Option<Timestamp>,
    start: Option<Timestamp>,
    exemplars: Vec<Exemplar>,
    /// The samples themselves, unless they were given out already.
    held: Vec<SampleEntry<'a>>,
}

/// Which part of a classic histogram a sample is.
enum Part {
    Bucket(f64),
    Count,
    Sum,
}

impl<'a, I: Iterator<Item = Result<Entry<'a>, ParseError>>> ClassicToNative<'a, I> {
    pub(crate) fn new(inner: I, keep_classic: bool) -> Self {
        ClassicToNative {
            inner,
            keep_classic,
            family: None,
            collecting: None,
            exponential: None,
            ready: VecDeque::new(),
        }
    }

    fn take(&mut self, entry: Entry<'a>) {
        let entry = match entry {
            Entry::Sample(sample) => match self.classic_part(&sample) {
                Some((part, labels)) => return self.collect(sample, part, labels),
                None => {
                    if let SampleValue::Histogram(_) = sample.value {
                        self.exponential = sample.labels().ok();
                    }
                    Entry::Sample(sample)
                }
            },
            Entry::Type { family, kind } => {
                self.family = (kind == MetricType::Histogram).then(|| family.clone().into_owned());
                Entry::Type { family, kind }
            }
            other => other,
        };
        self.flush();
        self.ready.push_back(Ok(entry));
    }

    /// Which part of a histogram to convert this is, and the histogram's labels.
    fn classic_part(&self, sample: &SampleEntry<'_>) -> Option<(Part, Labels)> {
        let (Some(family), SampleValue::Float(_)) = (&self.family, &sample.value) else { return None };
        let labels = sample.labels().ok()?;
        let part = match labels.metric_name().strip_prefix(family.as_str())? {
            "_bucket" => {
                Part::Bucket(parse_number(labels.get(BUCKET_LABEL)?).filter(|bound| !bound.is_nan())?)
            }
            "_count" => Part::Count,
            "_sum" => Part::Sum,
            _ => return None,
        };
        let mut base = labels.edit();
        if let Part::Bucket(_) = part {
            base.remove(BUCKET_LABEL);
        }
        base.set(METRIC_NAME, family);
        let base = base.build();
        (self.exponential.as_ref() != Some(&base)).then_some((part, base))
    }

    fn collect(&mut self, sample: SampleEntry<'a>, part: Part, labels: Labels) {
        if self.collecting.as_ref().is_some_and(|classic| classic.labels != labels) {
            self.flush();
        }
        let classic = self.collecting.get_or_insert_with(|| Classic {
            labels,
            buckets: Vec::new(),
            count: None,
            sum: 0.0,
            at: None,
            start: sample.start,
            exemplars: Vec::new(),
            held: Vec::new(),
        });
        let value = sample.value.as_float().unwrap_or_default();
        match part {
            Part::Bucket(bound) => classic.buckets.push((bound, value)),
            Part::Count => classic.count = Some(value),
            Part::Sum => classic.sum = value,
        }
        classic.at = sample.at;
        classic.exemplars.extend(sample.exemplars());
        if self.keep_classic {
            self.ready.push_back(Ok(Entry::Sample(sample)));
        } else {
            classic.held.push(sample);
        }
    }

    /// Gives out what was collected.
    fn flush(&mut self) {
        let Some(mut classic) = self.collecting.take() else { return };
        match convert(&mut classic.buckets, classic.count, classic.sum) {
            Some(histogram) => self.ready.push_back(Ok(Entry::Sample(SampleEntry {
                series: Cow::Owned(classic.labels.to_string()),
                value: SampleValue::Histogram(Arc::new(histogram)),
                at: classic.at,
                start: classic.start,
                labels: LabelSource::Known(classic.labels),
                exemplars: ExemplarSource::Known(classic.exemplars),
            }))),
            None => self.ready.extend(classic.held.into_iter().map(|sample| Ok(Entry::Sample(sample)))),
        }
    }
}

/// `None` if the numbers contradict one another.
fn convert(buckets: &mut Vec<(f64, f64)>, count: Option<f64>, sum: f64) -> Option<Histogram> {
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    buckets.dedup();
    if buckets.windows(2).any(|w| w[0].0 == w[1].0) {
        return None;
    }
    let count = count.or_else(|| buckets.last().map(|(_, count)| *count))?;
    if buckets.last().is_none_or(|(bound, _)| *bound != f64::INFINITY) {
        buckets.push((f64::INFINITY, count));
    }
    let mut histogram = Histogram {
        schema: CUSTOM_BOUNDS_SCHEMA,
        count,
        sum,
        custom_values: buckets[..buckets.len() - 1].iter().map(|(bound, _)| *bound).collect(),
        ..Histogram::default()
    };
    let (mut below, mut gap, mut in_span) = (0.0, 0, false);
    for (_, cumulative) in buckets.iter() {
        let own = cumulative - below;
        if own.is_nan() || own < 0.0 {
            return None;
        }
        below = *cumulative;
        if own == 0.0 {
            (gap, in_span) = (gap + 1, false);
            continue;
        }
        match histogram.positive_spans.last_mut() {
            Some(span) if in_span => span.length += 1,
            _ => histogram.positive_spans.push(BucketSpan { offset: gap, length: 1 }),
        }
        (gap, in_span) = (0, true);
        histogram.positive_buckets.push(own);
    }
    (below == count).then_some(histogram)
}

impl<'a, I: Iterator<Item = Result<Entry<'a>, ParseError>>> Iterator for ClassicToNative<'a, I> {
    type Item = Result<Entry<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Some(ready);
            }
            match self.inner.next() {
                Some(Ok(entry)) => self.take(entry),
                Some(Err(error)) => return Some(Err(error)),
                None => {
                    self.flush();
                    return self.ready.pop_front();
                }
            }
        }
    }
}
