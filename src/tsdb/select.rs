//! Selecting: find the series, and read them at once or one by one.
//!
//! Series are found while no batch becomes visible: of a batch, a selection sees everything or nothing.

use std::sync::{Arc, PoisonError};

use model::{Labels, Matcher, Samples, Selection, Series, SeriesReader, Timestamp};
use ports::{BoxFuture, Select, SelectError, SeriesSet};

use crate::Tsdb;
use crate::reader::{FoundSeries, HeadReader};
use crate::series::MemSeries;

impl Select for Tsdb {
    fn select<'a>(&'a self, selection: &'a Selection) -> BoxFuture<'a, Result<SeriesSet, SelectError>> {
        Box::pin(async move { self.select_now(selection) })
    }

    fn find(
        self: Arc<Self>,
        selection: Selection,
    ) -> BoxFuture<'static, Result<Arc<dyn SeriesReader>, SelectError>> {
        let (start, end) = (selection.start.as_millis(), selection.end.as_millis());
        let found = self.found_series(&selection.matchers, start, end);
        let reader: Arc<dyn SeriesReader> = Arc::new(HeadReader::new(self, found));
        Box::pin(std::future::ready(Ok(reader)))
    }

    fn series<'a>(
        &'a self,
        matchers: &'a [Matcher],
        start: Timestamp,
        end: Timestamp,
    ) -> BoxFuture<'a, Result<Vec<Labels>, SelectError>> {
        Box::pin(async move { self.series_now(matchers, start, end) })
    }

    fn label_names<'a>(
        &'a self,
        matchers: &'a [Matcher],
        start: Timestamp,
        end: Timestamp,
    ) -> BoxFuture<'a, Result<Vec<String>, SelectError>> {
        Box::pin(async move {
            if matchers.is_empty() {
                return Ok(if self.spans(start, end) { self.index.label_names() } else { Vec::new() });
            }
            let found = self.found(matchers, start, end)?;
            let names = found.iter().flat_map(|series| series.labels.iter().map(|(name, _)| name));
            Ok(sorted(names))
        })
    }

    fn label_values<'a>(
        &'a self,
        name: &'a str,
        matchers: &'a [Matcher],
        start: Timestamp,
        end: Timestamp,
    ) -> BoxFuture<'a, Result<Vec<String>, SelectError>> {
        Box::pin(async move {
            if matchers.is_empty() {
                return Ok(if self.spans(start, end) { self.index.label_values(name) } else { Vec::new() });
            }
            let found = self.found(matchers, start, end)?;
            Ok(sorted(found.iter().filter_map(|series| series.labels.get(name))))
        })
    }
}

fn sorted<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut texts: Vec<&str> = texts.collect();
    texts.sort_unstable();
    texts.dedup();
    texts.into_iter().map(str::to_owned).collect()
}

impl Tsdb {
    /// [`Select::select`], for callers that may block for as long as the disk needs.
    pub fn select_now(&self, selection: &Selection) -> Result<SeriesSet, SelectError> {
        let (start, end) = (selection.start.as_millis(), selection.end.as_millis());
        let mut series = Vec::new();
        for found in self.found_series(&selection.matchers, start, end) {
            let mut samples = Samples::default();
            self.read_into(&found, start, end, &mut samples)
                .map_err(|error| SelectError { message: error.message })?;
            if !samples.is_empty() {
                let Samples { floats, histograms, .. } = samples;
                series.push(Series { labels: found.series.labels.clone(), floats, histograms });
            }
        }
        series.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        Ok(SeriesSet { series })
    }

    /// [`Select::series`], for callers that may block for as long as the disk needs.
    pub fn series_now(
        &self,
        matchers: &[Matcher],
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<Labels>, SelectError> {
        let mut labels: Vec<Labels> =
            self.found(matchers, start, end)?.iter().map(|series| series.labels.clone()).collect();
        labels.sort_unstable();
        Ok(labels)
    }

    /// Whether any sample can be in this time.
    fn spans(&self, start: Timestamp, end: Timestamp) -> bool {
        let stats = self.stats();
        match (stats.oldest, stats.newest) {
            (Some(oldest), Some(newest)) => start <= newest && oldest <= end,
            _ => false,
        }
    }

    /// Series that match and may have a sample from `start` to `end`, in order of their ids.
    fn found_series(&self, matchers: &[Matcher], start: i64, end: i64) -> Vec<FoundSeries> {
        let _visible = self.visible.read().unwrap_or_else(PoisonError::into_inner);
        let found = self.index.find(matchers);
        found.into_iter().filter_map(|series| FoundSeries::new(series, start, end)).collect()
    }

    /// Series that match and have a sample from `start` to `end`.
    fn found(
        &self,
        matchers: &[Matcher],
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<Arc<MemSeries>>, SelectError> {
        let (start, end) = (start.as_millis(), end.as_millis());
        let mut certain = Vec::new();
        let mut samples = Samples::default();
        for found in self.found_series(matchers, start, end) {
            // A chunk's first and last times are samples. Only if the span lies inside a chunk, its samples decide.
            let has_sample = found.series.state().has_edge_between(start, end) || {
                samples.clear();
                self.read_into(&found, start, end, &mut samples)
                    .map_err(|error| SelectError { message: error.message })?;
                !samples.is_empty()
            };
            if has_sample {
                certain.push(found.series);
            }
        }
        Ok(certain)
    }
}
