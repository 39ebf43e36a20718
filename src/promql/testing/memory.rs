//! Samples in memory, for tests of expressions.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::{
    BUCKET_LABEL, CUSTOM_BUCKETS_SCHEMA, CounterResetHint, FloatSample, Histogram, HistogramSample, Labels,
    METRIC_NAME, ReadError, SampleValue, Samples, Selection, Series, SeriesReader, StartTime, Timestamp,
};

use super::series_line;
use super::start_times::start_times;
use crate::{Answer, EvalError, EvalOptions, Expr, Range, eval, plan};

/// Samples of many series.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    series: BTreeMap<Labels, BTreeMap<Timestamp, SampleValue>>,
    /// When the counting behind samples began, by the time of the sample.
    starts: BTreeMap<Labels, BTreeMap<Timestamp, Timestamp>>,
}

/// The series of a selection, with what is known about their start times.
struct Started<'m> {
    series: Vec<Series>,
    starts: &'m BTreeMap<Labels, BTreeMap<Timestamp, Timestamp>>,
}

impl SeriesReader for Started<'_> {
    fn series_len(&self) -> usize {
        self.series.series_len()
    }

    fn labels(&self, index: usize) -> &Labels {
        self.series.labels(index)
    }

    fn read(
        &self,
        index: usize,
        start: Timestamp,
        end: Timestamp,
        samples: &mut Samples,
    ) -> Result<(), ReadError> {
        self.series.read(index, start, end, samples)?;
        if let Some(starts) = self.starts.get(self.labels(index)) {
            samples.starts.extend(starts.iter().map(|(at, start)| StartTime { at: *at, start: *start }));
        }
        Ok(())
    }

    fn samples_estimate(&self) -> usize {
        self.series.samples_estimate()
    }
}

impl Memory {
    /// Adds a sample; one at the same time is replaced.
    pub fn push(&mut self, labels: &Labels, at: Timestamp, value: SampleValue) {
        self.series.entry(labels.clone()).or_default().insert(at, value);
    }

    /// The sample of a series at exactly this time.
    pub fn sample(&self, labels: &Labels, at: Timestamp) -> Option<&SampleValue> {
        self.series.get(labels)?.get(&at)
    }

    /// The series that a selection asks for.
    pub fn select(&self, selection: &Selection) -> Vec<Series> {
        self.series
            .iter()
            .filter(|(labels, _)| selection.matchers.iter().all(|m| m.matches_labels(labels)))
            .map(|(labels, samples)| with_hints(labels, samples, selection))
            .filter(|series| !(series.floats.is_empty() && series.histograms.is_empty()))
            .collect()
    }

    /// Plans, selects and evaluates.
    pub fn query(&self, expr: &Expr, range: Range, options: &EvalOptions) -> Result<Answer, EvalError> {
        let started = |selection| Started { series: self.select(selection), starts: &self.starts };
        let data: Vec<Started<'_>> = plan(expr, range, options).iter().map(started).collect();
        eval(expr, range, &data, options)
    }

    /// Adds lines of series whose values are `step` apart, from the epoch on.
    pub fn load(&mut self, step: Duration, lines: &[&str], with_native: bool) -> Result<(), String> {
        let mut loaded: BTreeMap<Labels, BTreeMap<Timestamp, SampleValue>> = BTreeMap::new();
        let mut starts: BTreeMap<Labels, Vec<Option<i64>>> = BTreeMap::new();
        for line in lines {
            if let Some(read) = start_times(line) {
                let (labels, offsets) = read?;
                starts.insert(labels, offsets);
                continue;
            }
            let description = series_line(line)?;
            if let Some(offsets) = starts.remove(&description.labels) {
                if offsets.len() != description.values.len() {
                    let counts = [offsets.len(), description.values.len()];
                    return Err(format!("`{line}`: {} start times for {} values", counts[0], counts[1]));
                }
                let (mut at, mut known) = (Timestamp::EPOCH, BTreeMap::new());
                for offset in offsets {
                    let start = |offset| Timestamp::from_millis(at.as_millis().saturating_add(offset));
                    known.extend(offset.map(|offset| (at, start(offset))));
                    at = at + step;
                }
                self.starts.insert(description.labels.clone(), known);
            }
            let mut at = Timestamp::EPOCH;
            let mut samples = BTreeMap::new();
            for value in description.values {
                if let Some(value) = value {
                    samples.insert(at, value);
                }
                at = at + step;
            }
            // Within one load the last line for a series counts.
            loaded.insert(description.labels, samples);
        }
        if with_native {
            for (labels, samples) in native_of_classic(&loaded) {
                self.series.entry(labels).or_default().extend(samples);
            }
        }
        for (labels, samples) in loaded {
            self.series.entry(labels).or_default().extend(samples);
        }
        Ok(())
    }
}

/// The samples in the selection's span. Histograms say what storage knows about resets: whether there was one since the
/// sample before.
fn with_hints(labels: &Labels, samples: &BTreeMap<Timestamp, SampleValue>, selection: &Selection) -> Series {
    let mut series = Series { labels: labels.clone(), ..Series::default() };
    let mut previous: Option<&Arc<Histogram>> = None;
    for (at, value) in samples {
        let inside = *at >= selection.start && *at <= selection.end;
        match value {
            SampleValue::Float(value) => {
                previous = None;
                if inside {
                    series.floats.push(FloatSample { at: *at, value: *value });
                }
            }
            SampleValue::Histogram(histogram) => {
                if inside {
                    let mut value = (**histogram).clone();
                    value.counter_reset_hint = stored_hint(histogram, previous);
                    series.histograms.push(HistogramSample { at: *at, value: Arc::new(value) });
                }
                previous = Some(histogram);
            }
        }
    }
    series
}

fn stored_hint(histogram: &Histogram, previous: Option<&Arc<Histogram>>) -> CounterResetHint {
    use CounterResetHint::{Gauge, NotReset, Reset};
    match (histogram.counter_reset_hint, previous) {
        (Gauge, _) => Gauge,
        (hint, None) => hint,
        (hint, Some(previous)) if previous.counter_reset_hint == Gauge => hint,
        (_, Some(previous)) => {
            if histogram.is_reset_from(previous) {
                Reset
            } else {
                NotReset
            }
        }
    }
}

/// What one classic histogram says at one time.
#[derive(Default)]
struct Classic {
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
}

/// Native histograms with custom buckets for the classic ones among the series.
fn native_of_classic(
    loaded: &BTreeMap<Labels, BTreeMap<Timestamp, SampleValue>>,
) -> BTreeMap<Labels, BTreeMap<Timestamp, SampleValue>> {
    let mut classic: BTreeMap<Labels, BTreeMap<Timestamp, Classic>> = BTreeMap::new();
    for (labels, samples) in loaded {
        let name = labels.metric_name();
        let bound = labels.get(BUCKET_LABEL).and_then(model::parse_float);
        let base = ["_bucket", "_count", "_sum"]
            .iter()
            .find_map(|suffix| Some((name.strip_suffix(suffix)?, *suffix)));
        let Some((base, suffix)) = base else { continue };
        if (suffix == "_bucket") != bound.is_some() {
            continue;
        }
        let key = labels.filter(|n| n != BUCKET_LABEL).with(METRIC_NAME, base);
        for (at, value) in samples {
            let Some(value) = value.as_float() else { continue };
            let histogram = classic.entry(key.clone()).or_default().entry(*at).or_default();
            match (suffix, bound) {
                ("_bucket", Some(bound)) => histogram.buckets.push((bound, value)),
                ("_count", _) => histogram.count = Some(value),
                _ => histogram.sum = value,
            }
        }
    }
    classic
        .into_iter()
        .map(|(labels, samples)| {
            let native =
                |(at, one): (Timestamp, Classic)| (at, SampleValue::Histogram(Arc::new(native(one))));
            (labels, samples.into_iter().map(native).collect())
        })
        .collect()
}

fn native(mut classic: Classic) -> Histogram {
    classic.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    let highest = classic.buckets.last().map_or(0.0, |(_, count)| *count);
    let count = classic.count.unwrap_or(highest);
    let bounds: Vec<f64> =
        classic.buckets.iter().map(|(bound, _)| *bound).filter(|b| b.is_finite()).collect();
    let mut before = 0.0;
    let mut counts: Vec<(i32, f64)> = Vec::new();
    for (index, (_, cumulative)) in classic.buckets.iter().filter(|(b, _)| b.is_finite()).enumerate() {
        counts.push((i32::try_from(index).unwrap_or(i32::MAX), cumulative - before));
        before = *cumulative;
    }
    if count != before {
        counts.push((i32::try_from(bounds.len()).unwrap_or(i32::MAX), count - before));
    }
    let mut out = Histogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        count,
        sum: classic.sum,
        custom_values: bounds,
        ..Histogram::default()
    };
    out.set_positive(counts.into_iter().filter(|(_, count)| *count != 0.0));
    out
}
