//! Reading one series after the other.
//!
//! A [`HeadReader`] keeps the series that were found, and for each the time of its newest sample at that moment: since samples of
//! a series ascend in time, what came later is told apart by its time. A series is locked for as long as it takes to note
//! which chunks are wanted; they are decoded without a lock.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::{Labels, ReadError, SampleValue, Samples, SeriesReader, Timestamp};

use crate::Tsdb;
use crate::chunk::{Chunk, Encoding, decode_into};
use crate::series::{MemSeries, SeriesState};

/// A series as it was when it was found.
pub(crate) struct FoundSeries {
    pub(crate) series: Arc<MemSeries>,
    /// The time of its newest sample.
    last: i64,
    /// The value of that sample, if it is at hand.
    newest: Option<SampleValue>,
    /// About how many samples lie in the span.
    samples: u32,
}

impl FoundSeries {
    /// The series as it is now, if it may have samples from `start` to `end`.
    pub(crate) fn new(series: Arc<MemSeries>, start: i64, end: i64) -> Option<Self> {
        let state = series.state();
        let last = state.last()?;
        let (wanted, samples) = state.samples_between(start, end);
        if !wanted {
            return None;
        }
        // A sample of a batch that is not visible yet may be known as the newest one already.
        let newest = state.newest.as_ref().filter(|newest| newest.at == last);
        let newest = newest.and_then(|newest| newest.value.clone());
        drop(state);
        Some(FoundSeries { series, last, newest, samples })
    }
}

/// The answer to a selection.
pub(crate) struct HeadReader {
    tsdb: Arc<Tsdb>,
    found: Vec<FoundSeries>,
}

impl HeadReader {
    pub(crate) fn new(tsdb: Arc<Tsdb>, found: Vec<FoundSeries>) -> Self {
        HeadReader { tsdb, found }
    }
}

impl SeriesReader for HeadReader {
    fn series_len(&self) -> usize {
        self.found.len()
    }

    fn labels(&self, index: usize) -> &Labels {
        &self.found[index].series.labels
    }

    fn read(
        &self,
        index: usize,
        start: Timestamp,
        end: Timestamp,
        samples: &mut Samples,
    ) -> Result<(), ReadError> {
        samples.clear();
        self.tsdb.read_into(&self.found[index], start.as_millis(), end.as_millis(), samples)
    }

    fn newest(&self, index: usize, end: Timestamp) -> Option<(Timestamp, SampleValue)> {
        let found = &self.found[index];
        if found.last > end.as_millis() {
            return None;
        }
        Some((Timestamp::from_millis(found.last), found.newest.clone()?))
    }

    fn samples_estimate(&self) -> usize {
        self.found.iter().map(|found| found.samples as usize).sum()
    }
}

/// What is noted of a series while it is locked.
#[derive(Default)]
struct Noted {
    closed: Vec<Chunk>,
    open: Vec<u8>,
}

thread_local! {
    /// Space for it, from series to series.
    static NOTED: RefCell<Noted> = RefCell::default();
}

impl Tsdb {
    /// Appends the samples from `start` to `end` that the series had when it was found.
    pub(crate) fn read_into(
        &self,
        found: &FoundSeries,
        start: i64,
        end: i64,
        samples: &mut Samples,
    ) -> Result<(), ReadError> {
        let end = end.min(found.last);
        if start > end {
            return Ok(());
        }
        NOTED.with_borrow_mut(|Noted { closed, open }| {
            closed.clear();
            let open_encoding = note(&found.series.state(), start, end, closed, open);
            for chunk in closed.drain(..) {
                let decoded = match chunk.memory() {
                    Some(bytes) => decode(samples, chunk.encoding, bytes, start, end),
                    None => self
                        .chunk_bytes(&chunk)
                        .and_then(|bytes| decode(samples, chunk.encoding, &bytes, start, end)),
                };
                if let Err(error) = decoded {
                    self.unreadable(&found.series, &chunk, &error)?;
                }
            }
            if let Some(encoding) = open_encoding
                && let Err(error) = decode(samples, encoding, open, start, end)
            {
                let message =
                    format!("the newest samples of `{}` cannot be read: {error}", found.series.labels);
                return Err(ReadError { message });
            }
            Ok(())
        })
    }

    /// A chunk that cannot be read. One that the retention has just removed is no loss. One that is damaged is said once
    /// and then left out, so that it does not fail every query from now on.
    fn unreadable(&self, series: &MemSeries, chunk: &Chunk, error: &io::Error) -> Result<(), ReadError> {
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
        Err(ReadError { message })
    }
}

fn decode(samples: &mut Samples, encoding: Encoding, bytes: &[u8], start: i64, end: i64) -> io::Result<()> {
    decode_into(samples, encoding, bytes, start, end)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "its bytes are not those of a chunk"))
}

/// Notes the closed chunks that reach into the span, and copies the open one if it does; its encoding.
fn note(
    state: &SeriesState,
    start: i64,
    end: i64,
    closed: &mut Vec<Chunk>,
    open_bytes: &mut Vec<u8>,
) -> Option<Encoding> {
    let from = state.closed.partition_point(|chunk| chunk.last() < start);
    closed.extend(state.closed[from..].iter().take_while(|chunk| chunk.first <= end).cloned());
    let open = state.open.as_ref().filter(|open| open.first <= end && open.last >= start)?;
    open_bytes.clear();
    open_bytes.extend_from_slice(open.bytes());
    Some(open.encoding())
}
