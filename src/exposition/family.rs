//! Families of samples, as they are written out.

use std::collections::BTreeMap;

use model::{Labels, Metadata, MetricType, SampleValue, Timestamp};

/// The samples of one metric, with what is known about it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Family {
    /// The metric's name; for histograms and summaries without the suffixes of their samples.
    pub name: String,
    /// Type, help, unit.
    pub metadata: Metadata,
    /// In the order in which they are written.
    pub samples: Vec<FamilySample>,
}

/// One sample of a family.
#[derive(Clone, Debug, PartialEq)]
pub struct FamilySample {
    /// With the metric name.
    pub labels: Labels,
    /// The value.
    pub value: f64,
    /// When, if it is to be said.
    pub at: Option<Timestamp>,
}

/// Sorts samples into families by name. `metadata` maps the names of families to what is known about them. The order of
/// samples within a family is kept. Native histograms are left out: no text format holds them.
pub fn group_families(
    samples: impl IntoIterator<Item = (Labels, SampleValue, Option<Timestamp>)>,
    metadata: &[(String, Metadata)],
) -> Vec<Family> {
    let known: BTreeMap<&str, &Metadata> =
        metadata.iter().map(|(name, known)| (name.as_str(), known)).collect();
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    for (labels, value, at) in samples {
        let SampleValue::Float(value) = value else { continue };
        let name = family_name(labels.metric_name(), &known);
        let family = families.entry(name.to_owned()).or_insert_with(|| Family {
            name: name.to_owned(),
            metadata: known.get(name).map(|known| (*known).clone()).unwrap_or_default(),
            samples: Vec::new(),
        });
        family.samples.push(FamilySample { labels, value, at });
    }
    families.into_values().collect()
}

/// The family that a sample called `name` belongs to: its own name, or that of a known family whose type has such samples.
fn family_name<'n>(name: &'n str, known: &BTreeMap<&str, &Metadata>) -> &'n str {
    if known.contains_key(name) {
        return name;
    }
    for suffix in ["_bucket", "_count", "_sum", "_gcount", "_gsum", "_created", "_total", "_info"] {
        let Some(base) = name.strip_suffix(suffix) else { continue };
        let belongs = known.get(base).is_some_and(|metadata| match metadata.kind {
            MetricType::Histogram => matches!(suffix, "_bucket" | "_count" | "_sum" | "_created"),
            MetricType::GaugeHistogram => matches!(suffix, "_bucket" | "_gcount" | "_gsum"),
            MetricType::Summary => matches!(suffix, "_count" | "_sum" | "_created"),
            MetricType::Counter => matches!(suffix, "_total" | "_created"),
            MetricType::Info => suffix == "_info",
            _ => false,
        });
        if belongs {
            return base;
        }
    }
    name
}
