//! Columns on the wire, rows in the house: query results out, expositions in.

use std::collections::HashMap;

use model::{Labels, METRIC_NAME, Matrix, Metadata, MetricType, Timestamp, Vector};
use ports::{Payload, Point, Scrape};

use super::bindings::exports::foghorn::plugin::exporter::{self, Exposition};
use super::bindings::foghorn::plugin::types;

/// Label sets in two lists of numbers, and the texts that they count in.
#[derive(Default)]
struct Columns {
    symbols: Vec<String>,
    index: HashMap<String, u32>,
    counts: Vec<u32>,
    pairs: Vec<u32>,
}

impl Columns {
    fn push(&mut self, labels: &Labels) {
        let mut count = 0;
        for (name, value) in labels.iter() {
            let (name, value) = (self.symbol(name), self.symbol(value));
            self.pairs.extend([name, value]);
            count += 1;
        }
        self.counts.push(count);
    }

    fn symbol(&mut self, text: &str) -> u32 {
        if let Some(index) = self.index.get(text) {
            return *index;
        }
        let index = u32::try_from(self.symbols.len()).expect("an answer has less than a million samples");
        self.symbols.push(text.to_owned());
        self.index.insert(text.to_owned(), index);
        index
    }

    fn finish(self) -> (Vec<String>, types::LabelColumns) {
        (self.symbols, types::LabelColumns { counts: self.counts, pairs: self.pairs })
    }
}

/// Native histograms have no single value and are left out.
pub(super) fn vector(vector: Vector) -> types::Vector {
    let mut columns = Columns::default();
    let (mut timestamps, mut values) = (Vec::with_capacity(vector.len()), Vec::with_capacity(vector.len()));
    for sample in &vector {
        if let Some(value) = sample.value.as_float() {
            columns.push(&sample.labels);
            timestamps.push(sample.at.as_millis());
            values.push(value);
        }
    }
    let (symbols, labels) = columns.finish();
    types::Vector { symbols, labels, timestamps, values }
}

pub(super) fn matrix(matrix: Matrix) -> types::Matrix {
    let mut columns = Columns::default();
    let points = matrix.iter().map(|series| series.floats.len()).sum();
    let (mut timestamps, mut values) = (Vec::with_capacity(points), Vec::with_capacity(points));
    let mut lengths = Vec::with_capacity(matrix.len());
    for series in matrix.iter().filter(|series| !series.floats.is_empty()) {
        columns.push(&series.labels);
        lengths.push(u32::try_from(series.floats.len()).unwrap_or(u32::MAX));
        for sample in &series.floats {
            timestamps.push(sample.at.as_millis());
            values.push(sample.value);
        }
    }
    let (symbols, labels) = columns.finish();
    types::Matrix { symbols, labels, lengths, timestamps, values }
}

/// Rows of an exposition. An error says which column does not fit.
pub(super) fn scrape(exposition: Exposition, max: usize) -> Result<Scrape, ScrapeError> {
    let rows = exposition.values.len();
    if rows > max {
        return Err(ScrapeError::TooMany(rows));
    }
    let Exposition { families, symbols, suffixes, labels, values, timestamps } = exposition;
    let wire_bytes = symbols.iter().map(String::len).sum::<usize>()
        + 4 * (suffixes.len() + labels.counts.len() + labels.pairs.len())
        + 8 * (values.len() + timestamps.len());
    let odd = |what: String| Err(ScrapeError::Odd(what));
    if suffixes.len() != rows || labels.counts.len() != rows {
        return odd(format!(
            "has {rows} values, {} suffixes and {} label counts",
            suffixes.len(),
            labels.counts.len()
        ));
    }
    if !timestamps.is_empty() && timestamps.len() != rows {
        return odd(format!("has {rows} values and {} timestamps", timestamps.len()));
    }
    let of_families: u64 = families.iter().map(|family| u64::from(family.points)).sum();
    if of_families != rows as u64 {
        return odd(format!("has {rows} values, and families with {of_families} points"));
    }
    let mut reader = Rows { symbols: &symbols, pairs: &labels.pairs, at: 0 };
    let mut points = Vec::with_capacity(rows);
    let mut row = 0;
    for family in &families {
        for _ in 0..family.points {
            let suffix = reader.symbol(suffixes[row])?;
            let labels = reader.labels(&format!("{}{suffix}", family.name), labels.counts[row])?;
            let at = timestamps.get(row).map(|at| Timestamp::from_millis(*at));
            points.push(Point { labels, value: values[row].into(), at });
            row += 1;
        }
    }
    if reader.at != labels.pairs.len() {
        return odd(format!(
            "has {} label pairs, of which {} belong to points",
            labels.pairs.len() / 2,
            reader.at / 2
        ));
    }
    let metadata =
        families.into_iter().map(|family| (family.name, metadata(family.type_, family.help, family.unit)));
    Ok(Scrape { metadata: metadata.collect(), payload: Payload::Points(points), wire_bytes })
}

/// Why an exposition is not one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ScrapeError {
    /// More points than allowed.
    TooMany(usize),
    /// Columns that do not fit each other.
    Odd(String),
}

struct Rows<'a> {
    symbols: &'a [String],
    pairs: &'a [u32],
    at: usize,
}

impl Rows<'_> {
    fn symbol(&self, index: u32) -> Result<&str, ScrapeError> {
        self.symbols.get(index as usize).map(String::as_str).ok_or_else(|| {
            ScrapeError::Odd(format!("has an index {index} into {} symbols", self.symbols.len()))
        })
    }

    fn labels(&mut self, name: &str, count: u32) -> Result<Labels, ScrapeError> {
        if name.is_empty() {
            return Err(ScrapeError::Odd("has a metric without a name".to_owned()));
        }
        let end = self.at.saturating_add(2 * count as usize);
        let pairs = self.pairs.get(self.at..end).ok_or_else(|| {
            ScrapeError::Odd(format!("has {} label pairs, which are too few", self.pairs.len() / 2))
        })?;
        self.at = end;
        let mut labels = Vec::with_capacity(count as usize + 1);
        labels.push((METRIC_NAME, name));
        for pair in pairs.chunks_exact(2) {
            let label = self.symbol(pair[0])?;
            if label.is_empty() || label == METRIC_NAME {
                return Err(ScrapeError::Odd(format!("has the label name `{label}`")));
            }
            labels.push((label, self.symbol(pair[1])?));
        }
        labels.sort_unstable_by_key(|(label, _)| *label);
        if let Some(twice) = labels.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(ScrapeError::Odd(format!("has the label `{}` twice on one point", twice[0].0)));
        }
        Ok(Labels::from_sorted(&labels))
    }
}

fn metadata(kind: exporter::MetricType, help: String, unit: String) -> Metadata {
    let kind = match kind {
        exporter::MetricType::Counter => MetricType::Counter,
        exporter::MetricType::Gauge => MetricType::Gauge,
        exporter::MetricType::Histogram => MetricType::Histogram,
        exporter::MetricType::Summary => MetricType::Summary,
        exporter::MetricType::Unknown => MetricType::Unknown,
    };
    Metadata { kind, help, unit }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::VectorSample;
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    fn exposition() -> Exposition {
        Exposition {
            families: vec![exporter::Family {
                name: "c".into(),
                type_: exporter::MetricType::Counter,
                help: "Help.".into(),
                unit: String::new(),
                points: 2,
            }],
            symbols: vec!["_total".into(), "z".into(), "1".into(), "a".into()],
            suffixes: vec![0, 0],
            labels: types::LabelColumns { counts: vec![2, 0], pairs: vec![1, 2, 3, 2] },
            values: vec![1.0, 2.0],
            timestamps: vec![],
        }
    }

    #[test]
    fn columns_become_rows() {
        let scrape = scrape(exposition(), 10).unwrap();
        let Payload::Points(points) = scrape.payload else { panic!("not points") };
        assert_eq!(points[0].labels.to_string(), "c_total{a=\"1\", z=\"1\"}");
        assert_eq!(points[1].labels.to_string(), "c_total");
        assert_eq!(scrape.metadata[0].1.kind, MetricType::Counter);
    }

    #[test]
    fn columns_that_do_not_fit_are_an_error() {
        let change = |change: fn(&mut Exposition)| {
            let mut wrong = exposition();
            change(&mut wrong);
            scrape(wrong, 10).unwrap_err()
        };
        let odd = [
            change(|e| e.suffixes = vec![0]),
            change(|e| e.suffixes = vec![0, 9]),
            change(|e| e.labels.counts = vec![2, 1]),
            change(|e| e.labels.counts = vec![1, 0]),
            change(|e| e.labels.pairs = vec![1, 2, 1, 2]),
            change(|e| e.labels.pairs = vec![1, 2, 3]),
            change(|e| e.labels.counts = vec![u32::MAX, 0]),
            change(|e| e.families[0].points = 3),
            change(|e| e.timestamps = vec![1]),
            change(|e| e.symbols[1] = METRIC_NAME.into()),
        ];
        for error in odd {
            assert!(matches!(error, ScrapeError::Odd(_)), "{error:?}");
        }
        assert_eq!(scrape(exposition(), 1).unwrap_err(), ScrapeError::TooMany(2));
    }

    proptest! {
        /// Whatever numbers a component hands over: rows or an error, and never more rows than values.
        #[test]
        fn any_columns_are_read(
            families in vec((0u32..5, "[a-z]{0,2}"), 0..4),
            symbols in vec("[a-z_]{0,3}", 0..4),
            suffixes in vec(0u32..5, 0..6),
            counts in vec(0u32..4, 0..6),
            pairs in vec(0u32..5, 0..12),
            values in vec(any::<f64>(), 0..6),
            timestamps in vec(any::<i64>(), 0..6),
        ) {
            let rows = values.len();
            let family = |(points, name): (u32, String)| exporter::Family {
                name,
                type_: exporter::MetricType::Gauge,
                help: String::new(),
                unit: String::new(),
                points,
            };
            let exposition = Exposition {
                families: families.into_iter().map(family).collect(),
                symbols,
                suffixes,
                labels: types::LabelColumns { counts, pairs },
                values,
                timestamps,
            };
            if let Ok(scrape) = scrape(exposition, 100) {
                let Payload::Points(points) = scrape.payload else { panic!("not points") };
                prop_assert_eq!(points.len(), rows);
                prop_assert!(points.iter().all(|point| !point.labels.metric_name().is_empty()));
            }
        }

        /// What goes out as columns says what stood in the rows.
        #[test]
        fn columns_hold_the_rows(rows in vec(btree_map("[a-c]", "[x-z]{1,2}", 0..4), 0..6)) {
            let labels: Vec<Labels> = rows.iter().map(|row| row.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect()).collect();
            let sample = |labels: &Labels| VectorSample { labels: labels.clone(), at: Timestamp::EPOCH, value: 1.0.into() };
            let out = vector(labels.iter().map(sample).collect());
            let mut pairs = out.labels.pairs.chunks_exact(2).map(|pair| {
                (out.symbols[pair[0] as usize].clone(), out.symbols[pair[1] as usize].clone())
            });
            let back: Vec<Labels> =
                out.labels.counts.iter().map(|count| pairs.by_ref().take(*count as usize).collect()).collect();
            prop_assert_eq!(back, labels);
        }
    }

    #[test]
    fn rows_become_columns() {
        let sample = |pairs: &[(&str, &str)], value: f64| VectorSample {
            labels: pairs.iter().copied().collect(),
            at: Timestamp::from_millis(5),
            value: value.into(),
        };
        let out = vector(vec![
            sample(&[("a", "1"), ("b", "1")], 1.0),
            sample(&[], 2.0),
            sample(&[("a", "b")], 3.0),
        ]);
        assert_eq!(out.symbols, ["a", "1", "b"]);
        assert_eq!(out.labels.counts, [2, 0, 1]);
        assert_eq!(out.labels.pairs, [0, 1, 2, 1, 0, 2]);
        assert_eq!(out.values, [1.0, 2.0, 3.0]);
    }
}
