//! Reading: find the series, note what of them is wanted, decode it.
//!
//! What is wanted is noted while no batch becomes visible; decoding needs no lock, since closed chunks never change and
//! an open one is copied.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use model::{Labels, Matcher, Selection, Series, Timestamp};
use ports::{BoxFuture, Select, SelectError, SeriesSet};

use crate::Tsdb;
use crate::chunk::{Chunk, decode_into};
use crate::series::{MemSeries, SeriesState};

/// A series and the chunks that may hold what is wanted.
struct Wanted {
    series: Arc<MemSeries>,
    chunks: Vec<Chunk>,
    samples: usize,
}

impl Select for Tsdb {
    fn select<'a>(&'a self, selection: &'a Selection) -> BoxFuture<'a, Result<SeriesSet, SelectError>> {
        Box::pin(async move { self.select_now(selection) })
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
                return Ok(self.index.label_names());
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
                return Ok(self.index.label_values(name));
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
        for wanted in self.wanted(&selection.matchers, start, end) {
            let found = self.decode(&wanted, start, end)?;
            if !found.floats.is_empty() || !found.histograms.is_empty() {
                series.push(found);
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

    fn wanted(&self, matchers: &[Matcher], start: i64, end: i64) -> Vec<Wanted> {
        let _visible = self.visible.read().unwrap_or_else(PoisonError::into_inner);
        let found = self.index.find(matchers);
        let wanted = found.into_iter().filter_map(|series| {
            let chunks = chunks_between(&series.state(), start, end);
            let samples = chunks.iter().map(|chunk| usize::from(chunk.samples)).sum();
            (!chunks.is_empty()).then_some(Wanted { series, chunks, samples })
        });
        wanted.collect()
    }

    fn decode(&self, wanted: &Wanted, start: i64, end: i64) -> Result<Series, SelectError> {
        let mut series = Series { labels: wanted.series.labels.clone(), ..Series::default() };
        if wanted.chunks.iter().any(|chunk| chunk.encoding == crate::chunk::Encoding::Xor) {
            series.floats.reserve(wanted.samples);
        }
        for chunk in &wanted.chunks {
            let decoded = self.chunk_bytes(chunk).and_then(|bytes| {
                decode_into(&mut series, chunk.encoding, &bytes, start, end).ok_or_else(|| {
                    io::Error::new(io::ErrorKind::InvalidData, "its bytes are not those of a chunk")
                })
            });
            if let Err(error) = decoded {
                self.unreadable(&wanted.series, chunk, &error)?;
            }
        }
        Ok(series)
    }

    /// A chunk that cannot be read. One that the retention has just removed is no loss. One that is damaged is said once
    /// and then left out, so that it does not fail every query from now on.
    fn unreadable(&self, series: &MemSeries, chunk: &Chunk, error: &io::Error) -> Result<(), SelectError> {
        if error.kind() == io::ErrorKind::NotFound && chunk.last() < self.horizon.load(Ordering::Relaxed) {
            return Ok(());
        }
        if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) {
            let mut state = series.state();
            let before = state.closed.len();
            state.closed.retain(|other| other.position().is_none() || other.position() != chunk.position());
            let removed = before - state.closed.len();
            self.counters.corruptions.add(removed as u64);
            self.counters.closed_chunks.sub(removed as u64);
        }
        let (from, to) = (Timestamp::from_millis(chunk.first), Timestamp::from_millis(chunk.last()));
        let message = format!("samples of `{}` from {from} to {to} cannot be read: {error}", series.labels);
        Err(SelectError { message })
    }

    /// Series that match and have a sample from `start` to `end`.
    fn found(
        &self,
        matchers: &[Matcher],
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Vec<Arc<MemSeries>>, SelectError> {
        let (start, end) = (start.as_millis(), end.as_millis());
        let mut found = Vec::new();
        for wanted in self.wanted(matchers, start, end) {
            // A chunk's first and last times are samples. Only if the span lies inside a chunk, its samples decide.
            let inside = |at: i64| (start..=end).contains(&at);
            let certain = wanted.chunks.iter().any(|chunk| inside(chunk.first) || inside(chunk.last()));
            let has_sample = certain || {
                let series = self.decode(&wanted, start, end)?;
                !series.floats.is_empty() || !series.histograms.is_empty()
            };
            if has_sample {
                found.push(wanted.series);
            }
        }
        Ok(found)
    }
}

fn chunks_between(state: &SeriesState, start: i64, end: i64) -> Vec<Chunk> {
    if start > end {
        return Vec::new();
    }
    let from = state.closed.partition_point(|chunk| chunk.last() < start);
    let closed = state.closed[from..].iter().take_while(|chunk| chunk.first <= end).cloned();
    let open = state.open.iter().filter(|open| open.first <= end && open.last >= start);
    closed.chain(open.map(|open| open.to_chunk())).collect()
}
