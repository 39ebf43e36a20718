//! One series in the head: its labels, its chunks, and what its next sample must be.

use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::{Labels, SampleValue};
use ports::Rejected;

use crate::chunk::{Chunk, OpenChunk};

/// A series. Its labels never change; the rest is behind a lock that is held for a few lines.
#[derive(Debug)]
pub(crate) struct MemSeries {
    pub(crate) id: u64,
    pub(crate) labels: Labels,
    /// The segment of the write-ahead log that holds its series record last. 0: none.
    pub(crate) declared_in_wal: AtomicU64,
    /// The segment of the chunk log that holds its series record last. 0: none.
    pub(crate) declared_in_chunks: AtomicU64,
    state: Mutex<SeriesState>,
}

#[derive(Debug, Default)]
pub(crate) struct SeriesState {
    /// Oldest first, without overlap.
    pub(crate) closed: Vec<Chunk>,
    pub(crate) open: Option<Box<OpenChunk>>,
    pub(crate) newest: Option<Newest>,
    /// The first segment of the write-ahead log that closed chunks in memory alone need; `None` if all are on disk.
    pub(crate) unsaved_since: Option<u64>,
    /// Whether the series waits in the queue of those with chunks to be saved.
    pub(crate) queued: bool,
}

/// The newest sample.
#[derive(Clone, Debug)]
pub(crate) struct Newest {
    pub(crate) at: i64,
    /// `None` after a restart, when only its chunk knows.
    pub(crate) value: Option<SampleValue>,
}

/// What is to be done with a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Append,
    /// It is there already, with this value.
    Known,
    Reject(Rejected),
    /// Its time is that of the newest sample, whose value has to be looked up in its chunk.
    Compare,
}

impl MemSeries {
    pub(crate) fn new(id: u64, labels: Labels) -> Self {
        MemSeries {
            id,
            labels,
            declared_in_wal: AtomicU64::new(0),
            declared_in_chunks: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, SeriesState> {
        // No method of the state can panic halfway through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// About how many bytes the series record of these labels takes in a log.
pub(crate) fn logged_bytes(labels: &Labels) -> u64 {
    labels.iter().map(|(name, value)| (name.len() + value.len() + 2) as u64).sum::<u64>() + 5
}

impl SeriesState {
    /// Whether a sample may be appended.
    pub(crate) fn admit(&self, at: i64, value: &SampleValue) -> Admission {
        match &self.newest {
            None => Admission::Append,
            Some(newest) if at > newest.at => Admission::Append,
            Some(newest) if at < newest.at => Admission::Reject(Rejected::OutOfOrder),
            Some(Newest { value: Some(known), .. }) if known == value => Admission::Known,
            Some(Newest { value: Some(_), .. }) => Admission::Reject(Rejected::DuplicateTimestamp),
            Some(Newest { value: None, .. }) => Admission::Compare,
        }
    }

    /// Appends a sample that was admitted; whether a chunk was closed for it.
    pub(crate) fn append(&mut self, at: i64, value: &SampleValue, segment: u64) -> bool {
        if self.open.as_mut().is_some_and(|open| open.push(at, value)) {
            return false;
        }
        let closed = self.close();
        self.open = Some(Box::new(OpenChunk::new(at, value, segment)));
        closed
    }

    /// Closes the open chunk, if there is one.
    pub(crate) fn close(&mut self) -> bool {
        let Some(open) = self.open.take() else { return false };
        let since = self.unsaved_since.map_or(open.logged_in, |since| since.min(open.logged_in));
        self.unsaved_since = Some(since);
        self.closed.push(open.to_chunk());
        true
    }

    /// Adds a chunk from the chunk log; `false` if it is not later than all others, so already there.
    pub(crate) fn restore(&mut self, chunk: Chunk) -> bool {
        if self.newest.as_ref().is_some_and(|newest| chunk.first <= newest.at) {
            return false;
        }
        self.newest = Some(Newest { at: chunk.last(), value: None });
        self.closed.push(chunk);
        true
    }

    /// The first segment of the write-ahead log that this series still needs.
    pub(crate) fn needs_wal_since(&self) -> Option<u64> {
        match (self.unsaved_since, &self.open) {
            (Some(since), Some(open)) => Some(since.min(open.logged_in)),
            (Some(since), None) => Some(since),
            (None, Some(open)) => Some(open.logged_in),
            (None, None) => None,
        }
    }

    /// Takes out the chunks that end before `horizon`.
    pub(crate) fn drop_before(&mut self, horizon: i64) -> Vec<Chunk> {
        let old = self.closed.partition_point(|chunk| chunk.last() < horizon);
        let mut dropped: Vec<Chunk> = self.closed.drain(..old).collect();
        if self.closed.is_empty() && self.open.as_ref().is_some_and(|open| open.last < horizon) {
            dropped.extend(self.open.take().map(|open| open.to_chunk()));
        }
        if old > 0 && self.closed.len() * 4 < self.closed.capacity() {
            self.closed.shrink_to_fit();
        }
        if self.closed.iter().all(|chunk| chunk.position().is_some()) {
            self.unsaved_since = None;
        }
        dropped
    }

    /// Forgets the bytes of chunks that are on disk and end before `before`; how many bytes those were.
    pub(crate) fn unload_before(&mut self, before: i64) -> usize {
        self.closed.iter_mut().take_while(|chunk| chunk.last() < before).map(Chunk::unload).sum()
    }

    /// Whether chunks reach into the span, and about how many samples of it they hold.
    pub(crate) fn samples_between(&self, start: i64, end: i64) -> (bool, u32) {
        let from = self.closed.partition_point(|chunk| chunk.last() < start);
        let closed = self.closed[from..].iter().take_while(|chunk| chunk.first <= end);
        let closed = closed.map(|chunk| (chunk.first, chunk.last(), chunk.samples));
        let open = self.open.iter().filter(|open| open.first <= end && open.last >= start);
        let open = open.map(|open| (open.first, open.last, open.samples));
        let (mut any, mut samples) = (false, 0);
        for (first, last, count) in closed.chain(open).filter(|_| start <= end) {
            any = true;
            // Samples are taken to be spread evenly; a chunk is at most two hours long, so nothing overflows.
            let inside = last.min(end) - first.max(start) + 1;
            samples += (i64::from(count) * inside / (last - first + 1)) as u32;
        }
        (any, samples)
    }

    /// Whether a chunk begins or ends in the span: there certainly is a sample.
    pub(crate) fn has_edge_between(&self, start: i64, end: i64) -> bool {
        let inside = |at: i64| (start..=end).contains(&at);
        let open = self.open.as_ref().is_some_and(|open| inside(open.first) || inside(open.last));
        let from = self.closed.partition_point(|chunk| chunk.last() < start);
        open || self.closed.get(from).is_some_and(|chunk| inside(chunk.first) || inside(chunk.last()))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.closed.is_empty() && self.open.is_none()
    }

    pub(crate) fn first(&self) -> Option<i64> {
        let open = self.open.as_ref().map(|open| open.first);
        self.closed.first().map(|chunk| chunk.first).or(open)
    }

    pub(crate) fn last(&self) -> Option<i64> {
        let open = self.open.as_ref().map(|open| open.last);
        open.or(self.closed.last().map(Chunk::last))
    }
}
