//! What a body says, one thing at a time.

use std::borrow::Cow;

use model::{BUCKET_LABEL, Labels, METRIC_NAME, MetricType, SampleValue, Timestamp};

use crate::label_block::{Dialect, LabelToken, NameSlot, is_name_start, name_end, scan_block, unescape};
use crate::number::{format_float_always, parse_number};

/// One statement of a body.
#[derive(Clone, Debug)]
pub enum Entry<'a> {
    /// The type of a family.
    Type {
        /// The family's name.
        family: Cow<'a, str>,
        /// Its type.
        kind: MetricType,
    },
    /// The description of a family.
    Help {
        /// The family's name.
        family: Cow<'a, str>,
        /// Escapes are resolved.
        help: Cow<'a, str>,
    },
    /// The unit of a family.
    Unit {
        /// The family's name.
        family: Cow<'a, str>,
        /// May be empty.
        unit: Cow<'a, str>,
    },
    /// A line that means nothing; with its `#`, not necessarily UTF-8.
    Comment(&'a [u8]),
    /// A sample.
    Sample(SampleEntry<'a>),
}

/// One sample. Its labels are built when asked for: who has seen [`SampleEntry::series`] before need not ask.
#[derive(Clone, Debug)]
pub struct SampleEntry<'a> {
    /// The series as it is written. Equal text in bodies of one target is the same series; the same series may be
    /// written in several ways.
    pub series: Cow<'a, str>,
    /// The value.
    pub value: SampleValue,
    /// When, if the body says so.
    pub at: Option<Timestamp>,
    /// When counting began, if the body says so and [`crate::Options::start_times`] asks for it.
    pub start: Option<Timestamp>,
    pub(crate) labels: LabelSource,
    pub(crate) exemplars: ExemplarSource<'a>,
}

/// An example of what was counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// What it was: a trace id, say.
    pub labels: Labels,
    /// What was observed.
    pub value: f64,
    /// When, if the body says so.
    pub at: Option<Timestamp>,
}

/// A label name that stands twice in one series.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("label `{0}` stands there twice")]
pub struct DuplicateLabel(pub String);

#[derive(Clone, Debug)]
pub(crate) enum LabelSource {
    /// They stand in the series text. The type of the family decides whether bounds are normalised.
    Text(MetricType),
    Known(Labels),
}

#[derive(Clone, Debug)]
pub(crate) enum ExemplarSource<'a> {
    None,
    /// The label block without its opening brace.
    Text {
        block: &'a str,
        value: f64,
        at: Option<Timestamp>,
    },
    Known(Vec<Exemplar>),
}

impl SampleEntry<'_> {
    /// The labels, metric name included. Bounds of classic buckets and quantiles are in float form (`1` → `1.0`), so that
    /// a series is the same in all formats.
    pub fn labels(&self) -> Result<Labels, DuplicateLabel> {
        match &self.labels {
            LabelSource::Known(labels) => Ok(labels.clone()),
            LabelSource::Text(kind) => read_labels(&self.series, *kind),
        }
    }

    /// The same with bounds as they are written.
    pub(crate) fn labels_as_written(&self) -> Result<Labels, DuplicateLabel> {
        match &self.labels {
            LabelSource::Known(labels) => Ok(labels.clone()),
            LabelSource::Text(_) => read_labels(&self.series, MetricType::Unknown),
        }
    }

    /// Names of labels that are written with an empty value, which [`SampleEntry::labels`] leaves out.
    pub fn empty_labels(&self) -> Vec<String> {
        let mut names = Vec::new();
        let (LabelSource::Text(_), Some(brace)) = (&self.labels, self.series.find('{')) else { return names };
        let _ = scan_block(
            self.series.as_bytes(),
            brace + 1,
            Dialect::Prometheus,
            &mut NameSlot::Free,
            |token| {
                if let LabelToken::Pair(name, b"") = token {
                    names.push(unescaped(name).into_owned());
                }
            },
        );
        names
    }

    /// Its exemplars.
    pub fn exemplars(&self) -> Vec<Exemplar> {
        match &self.exemplars {
            ExemplarSource::None => Vec::new(),
            ExemplarSource::Text { block, value, at } => {
                let mut pairs = Vec::new();
                // The block was scanned when the entry was made.
                let _ = scan_block(
                    block.as_bytes(),
                    0,
                    Dialect::OpenMetrics,
                    &mut NameSlot::Forbidden,
                    |token| {
                        if let LabelToken::Pair(name, value) = token {
                            pairs.push((unescaped(name), unescaped(value)));
                        }
                    },
                );
                vec![Exemplar { labels: Labels::from_pairs(pairs), value: *value, at: *at }]
            }
            ExemplarSource::Known(exemplars) => exemplars.clone(),
        }
    }
}

/// Bytes of a text that is known to be UTF-8.
fn unescaped(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => unescape(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

/// The labels of a series text that was scanned before.
fn read_labels(series: &str, kind: MetricType) -> Result<Labels, DuplicateLabel> {
    let bytes = series.as_bytes();
    let mut pairs: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::with_capacity(8);
    let mut block = 0;
    if bytes.first().is_some_and(|b| is_name_start(*b)) {
        block = name_end(bytes, 0, true);
        pairs.push((METRIC_NAME.into(), series[..block].into()));
    }
    if let Some(brace) = bytes[block..].iter().position(|b| *b == b'{') {
        // Blanks are where the scan allowed them: the lax dialect reads both.
        let _ = scan_block(bytes, block + brace + 1, Dialect::Prometheus, &mut NameSlot::Free, |token| {
            pairs.push(match token {
                LabelToken::Name(name) => (METRIC_NAME.into(), unescaped(name)),
                LabelToken::Pair(name, value) => {
                    let (name, value) = (unescaped(name), unescaped(value));
                    let value = normalise_bound(kind, &name, value);
                    (name, value)
                }
            });
        });
    }
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    if let Some(twice) = pairs.windows(2).find(|w| w[0].0 == w[1].0) {
        return Err(DuplicateLabel(twice[0].0.clone().into_owned()));
    }
    let pairs: Vec<(&str, &str)> =
        pairs.iter().filter(|(_, v)| !v.is_empty()).map(|(n, v)| (n.as_ref(), v.as_ref())).collect();
    Ok(Labels::from_sorted(&pairs))
}

/// `value` in float form if it is the bound of a bucket or a quantile.
fn normalise_bound<'a>(kind: MetricType, name: &str, value: Cow<'a, str>) -> Cow<'a, str> {
    let is_bound = match kind {
        MetricType::Histogram => name == BUCKET_LABEL,
        MetricType::Summary => name == "quantile",
        _ => false,
    };
    match is_bound.then(|| parse_number(&value)).flatten() {
        Some(bound) => format_float_always(bound).into(),
        None => value,
    }
}
