//! Delimited `MetricFamily` messages, one entry at a time.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use model::{
    BUCKET_LABEL, BucketSpan, CounterResetHint, Histogram, Labels, METRIC_NAME, MetricType, SampleValue,
    Timestamp,
};
use prost::Message;

use crate::entry::{ExemplarSource, LabelSource};
use crate::number::format_float_always;
use crate::proto::{
    BucketSpanMessage, ExemplarMessage, HistogramMessage, LabelPairMessage, MetricFamilyMessage,
    MetricMessage, SummaryMessage, TimestampMessage,
};
use crate::{Entry, Exemplar, Options, ParseError, SampleEntry};

/// Schemas of exponential histograms that can be stored.
const EXPONENTIAL_SCHEMAS: std::ops::RangeInclusive<i32> = -4..=8;

/// Reads a body message by message.
#[derive(Debug)]
pub(crate) struct ProtobufParser<'a> {
    rest: &'a [u8],
    /// Number of the message that was read last, from 1.
    message: usize,
    options: Options,
    ready: VecDeque<Entry<'a>>,
    done: bool,
}

impl<'a> ProtobufParser<'a> {
    pub(crate) fn new(bytes: &'a [u8], options: Options) -> Self {
        ProtobufParser { rest: bytes, message: 0, options, ready: VecDeque::new(), done: false }
    }

    fn read_message(&mut self) -> Result<(), ParseError> {
        self.message += 1;
        let line = self.message;
        let wrong = |message: String| ParseError { line, column: 1, message };
        let family = MetricFamilyMessage::decode_length_delimited(&mut self.rest)
            .map_err(|error| wrong(format!("expected a MetricFamily message: {error}")))?;
        // A family without metrics says nothing about any series.
        if family.metric.is_empty() {
            return Ok(());
        }
        let entries =
            FamilyReader::new(&family, self.options).map_err(wrong)?.read(&family.metric).map_err(wrong)?;
        self.ready.extend(entries);
        Ok(())
    }
}

impl<'a> Iterator for ProtobufParser<'a> {
    type Item = Result<Entry<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.ready.pop_front() {
                return Some(Ok(entry));
            }
            if self.done || self.rest.is_empty() {
                return None;
            }
            if let Err(error) = self.read_message() {
                self.done = true;
                return Some(Err(error));
            }
        }
    }
}

/// Turns the metrics of one family into entries.
struct FamilyReader<'a> {
    name: String,
    kind: MetricType,
    options: Options,
    entries: Vec<Entry<'a>>,
}

/// What the samples of one metric have in common.
struct Common<'m> {
    labels: &'m [LabelPairMessage],
    at: Option<Timestamp>,
    start: Option<Timestamp>,
}

impl<'a> FamilyReader<'a> {
    fn new(family: &MetricFamilyMessage, options: Options) -> Result<Self, String> {
        let name = family.name.clone().filter(|name| !name.is_empty()).ok_or("a family without a name")?;
        let kind = match family.kind.unwrap_or_default() {
            0 => MetricType::Counter,
            1 => MetricType::Gauge,
            2 => MetricType::Summary,
            3 => MetricType::Unknown,
            4 => MetricType::Histogram,
            5 => MetricType::GaugeHistogram,
            other => return Err(format!("family `{name}` has the unknown type {other}")),
        };
        let of = || Cow::Owned(name.clone());
        let mut entries = vec![
            Entry::Help { family: of(), help: Cow::Owned(family.help.clone().unwrap_or_default()) },
            Entry::Type { family: of(), kind },
        ];
        if let Some(unit) = family.unit.clone().filter(|unit| !unit.is_empty()) {
            entries.push(Entry::Unit { family: of(), unit: Cow::Owned(unit) });
        }
        Ok(FamilyReader { name, kind, options, entries })
    }

    fn read(mut self, metrics: &[MetricMessage]) -> Result<Vec<Entry<'a>>, String> {
        for metric in metrics {
            self.read_metric(metric)?;
        }
        Ok(self.entries)
    }

    fn read_metric(&mut self, metric: &MetricMessage) -> Result<(), String> {
        let at = metric.timestamp_ms.filter(|millis| *millis != 0).map(Timestamp::from_millis);
        let mut common = Common { labels: &metric.label, at, start: None };
        match self.kind {
            MetricType::Counter => {
                let counter = metric.counter.as_ref().ok_or_else(|| self.lacks("counter"))?;
                common.start = self.start(counter.created_timestamp.as_ref());
                let exemplars = counter.exemplar.iter().map(exemplar).collect();
                self.push(&common, "", None, counter.value.unwrap_or_default(), exemplars)
            }
            MetricType::Gauge => {
                let gauge = metric.gauge.as_ref().ok_or_else(|| self.lacks("gauge"))?;
                self.push(&common, "", None, gauge.value.unwrap_or_default(), Vec::new())
            }
            MetricType::Unknown => {
                let untyped = metric.untyped.as_ref().ok_or_else(|| self.lacks("untyped"))?;
                self.push(&common, "", None, untyped.value.unwrap_or_default(), Vec::new())
            }
            MetricType::Summary => {
                let summary = metric.summary.as_ref().ok_or_else(|| self.lacks("summary"))?;
                common.start = self.start(summary.created_timestamp.as_ref());
                self.read_summary(&common, summary)
            }
            _ => {
                let histogram = metric.histogram.as_ref().ok_or_else(|| self.lacks("histogram"))?;
                common.start = self.start(histogram.created_timestamp.as_ref());
                self.read_histogram(&common, histogram)
            }
        }
    }

    fn lacks(&self, what: &str) -> String {
        format!("a metric of family `{}` has no {what}", self.name)
    }

    fn start(&self, created: Option<&TimestampMessage>) -> Option<Timestamp> {
        created.filter(|_| self.options.start_times).map(timestamp)
    }

    fn read_summary(&mut self, common: &Common<'_>, summary: &SummaryMessage) -> Result<(), String> {
        self.push(common, "_count", None, summary.sample_count.unwrap_or_default() as f64, Vec::new())?;
        self.push(common, "_sum", None, summary.sample_sum.unwrap_or_default(), Vec::new())?;
        for quantile in &summary.quantile {
            let bound = ("quantile", quantile.quantile.unwrap_or_default());
            self.push(common, "", Some(bound), quantile.value.unwrap_or_default(), Vec::new())?;
        }
        Ok(())
    }

    fn read_histogram(&mut self, common: &Common<'_>, histogram: &HistogramMessage) -> Result<(), String> {
        let is_native = is_native(histogram) && self.options.native_histograms;
        if is_native {
            let value =
                native(histogram, self.kind).map_err(|problem| format!("`{}`: {problem}", self.name))?;
            let exemplars: Vec<Exemplar> = match histogram.exemplars.as_slice() {
                [] => histogram.bucket.iter().filter_map(|b| b.exemplar.as_ref()).map(exemplar).collect(),
                own => own.iter().map(exemplar).collect(),
            };
            self.push_value(common, "", None, SampleValue::Histogram(Arc::new(value)), exemplars)?;
        }
        if !is_native || (self.options.keep_classic && !histogram.bucket.is_empty()) {
            self.read_classic(common, histogram)?;
        }
        Ok(())
    }

    fn read_classic(&mut self, common: &Common<'_>, histogram: &HistogramMessage) -> Result<(), String> {
        let count = float_or(histogram.sample_count_float, histogram.sample_count);
        self.push(common, "_count", None, count, Vec::new())?;
        self.push(common, "_sum", None, histogram.sample_sum.unwrap_or_default(), Vec::new())?;
        let mut last = f64::NEG_INFINITY;
        for bucket in &histogram.bucket {
            last = bucket.upper_bound.unwrap_or_default();
            let count = float_or(bucket.cumulative_count_float, bucket.cumulative_count);
            let exemplars = bucket.exemplar.iter().map(exemplar).collect();
            self.push(common, "_bucket", Some((BUCKET_LABEL, last)), count, exemplars)?;
        }
        if last != f64::INFINITY {
            self.push(common, "_bucket", Some((BUCKET_LABEL, f64::INFINITY)), count, Vec::new())?;
        }
        Ok(())
    }

    fn push(
        &mut self,
        common: &Common<'_>,
        suffix: &str,
        bound: Option<(&str, f64)>,
        value: f64,
        exemplars: Vec<Exemplar>,
    ) -> Result<(), String> {
        // Any NaN but the stale marker: that one is ours alone.
        let value = if value.is_nan() { f64::NAN } else { value };
        self.push_value(common, suffix, bound, SampleValue::Float(value), exemplars)
    }

    fn push_value(
        &mut self,
        common: &Common<'_>,
        suffix: &str,
        bound: Option<(&str, f64)>,
        value: SampleValue,
        exemplars: Vec<Exemplar>,
    ) -> Result<(), String> {
        let name = format!("{}{suffix}", self.name);
        let bound_text = bound.map(|(_, value)| format_float_always(value)).unwrap_or_default();
        let mut pairs: Vec<(&str, &str)> = vec![(METRIC_NAME, &name)];
        for label in common.labels {
            pairs.push((
                label.name.as_deref().unwrap_or_default(),
                label.value.as_deref().unwrap_or_default(),
            ));
        }
        if let Some((bound, _)) = bound {
            pairs.push((bound, &bound_text));
        }
        pairs.sort_by_key(|(name, _)| *name);
        if let Some(twice) = pairs.windows(2).find(|w| w[0].0 == w[1].0) {
            return Err(format!("`{name}`: label `{}` stands there twice", twice[0].0));
        }
        if pairs[0].0.is_empty() {
            return Err(format!("`{name}`: a label without a name"));
        }
        pairs.retain(|(_, value)| !value.is_empty());
        let labels = Labels::from_sorted(&pairs);
        self.entries.push(Entry::Sample(SampleEntry {
            series: Cow::Owned(labels.to_string()),
            value,
            at: common.at,
            start: common.start,
            labels: LabelSource::Known(labels),
            exemplars: if exemplars.is_empty() {
                ExemplarSource::None
            } else {
                ExemplarSource::Known(exemplars)
            },
        }));
        Ok(())
    }
}

/// A histogram has exponential buckets if anything about them is said; an empty one says so with a span of length 0.
fn is_native(histogram: &HistogramMessage) -> bool {
    !histogram.positive_span.is_empty()
        || !histogram.negative_span.is_empty()
        || histogram.zero_threshold.unwrap_or_default() > 0.0
        || histogram.zero_count.unwrap_or_default() > 0
        || histogram.zero_count_float.unwrap_or_default() > 0.0
}

/// The float form of a number that may be given in either.
fn float_or(float: Option<f64>, integer: Option<u64>) -> f64 {
    float.filter(|value| *value > 0.0).unwrap_or(integer.unwrap_or_default() as f64)
}

fn native(message: &HistogramMessage, kind: MetricType) -> Result<Histogram, String> {
    let schema = message.schema.unwrap_or_default();
    if !EXPONENTIAL_SCHEMAS.contains(&schema) {
        return Err(format!("schema {schema} of a native histogram is not supported; −4 to 8 are"));
    }
    let (positive_spans, positive_buckets) =
        side(&message.positive_span, &message.positive_delta, &message.positive_count)?;
    let (negative_spans, negative_buckets) =
        side(&message.negative_span, &message.negative_delta, &message.negative_count)?;
    Ok(Histogram {
        schema,
        zero_threshold: message.zero_threshold.unwrap_or_default(),
        zero_count: float_or(message.zero_count_float, message.zero_count),
        count: float_or(message.sample_count_float, message.sample_count),
        sum: match message.sample_sum.unwrap_or_default() {
            sum if sum.is_nan() => f64::NAN,
            sum => sum,
        },
        positive_spans,
        positive_buckets,
        negative_spans,
        negative_buckets,
        custom_values: Vec::new(),
        counter_reset_hint: match kind {
            MetricType::GaugeHistogram => CounterResetHint::Gauge,
            _ => CounterResetHint::Unknown,
        },
    })
}

/// Spans and absolute counts of one side.
fn side(
    spans: &[BucketSpanMessage],
    deltas: &[i64],
    counts: &[f64],
) -> Result<(Vec<BucketSpan>, Vec<f64>), String> {
    let buckets: Vec<f64> = if counts.is_empty() {
        let mut count = 0i64;
        let absolute = deltas.iter().map(|delta| {
            count = count.saturating_add(*delta);
            count as f64
        });
        absolute.collect()
    } else {
        counts.to_vec()
    };
    let spans: Vec<BucketSpan> = spans
        .iter()
        .map(|span| BucketSpan {
            offset: span.offset.unwrap_or_default(),
            length: span.length.unwrap_or_default(),
        })
        .collect();
    let expected: u64 = spans.iter().map(|span| u64::from(span.length)).sum();
    if expected != buckets.len() as u64 {
        return Err(format!("spans of {expected} buckets, but {} counts", buckets.len()));
    }
    if spans.iter().skip(1).any(|span| span.offset < 0) {
        return Err("a span that begins before the one in front of it ends".to_owned());
    }
    if buckets.iter().any(|count| *count < 0.0) {
        return Err("a bucket with a negative count".to_owned());
    }
    Ok((spans, buckets))
}

fn timestamp(message: &TimestampMessage) -> Timestamp {
    Timestamp::from_secs(message.seconds).plus_millis(i64::from(message.nanos) / 1_000_000)
}

fn exemplar(message: &ExemplarMessage) -> Exemplar {
    let pair = |label: &LabelPairMessage| {
        (label.name.clone().unwrap_or_default(), label.value.clone().unwrap_or_default())
    };
    Exemplar {
        labels: message.label.iter().map(pair).collect(),
        value: message.value.unwrap_or_default(),
        at: message.timestamp.as_ref().map(timestamp),
    }
}
