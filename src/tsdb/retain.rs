//! Keeping memory and disk within bounds: saving closed chunks, cutting the logs, forgetting what is too old.
//!
//! Every step can fail (a full disk) without harm: what is not saved stays in memory and in the write-ahead log, and
//! the next tick tries again.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use journal::{Appended, Batch, Log, Position};
use model::Timestamp;

use crate::Tsdb;
use crate::chunk::{Chunk, SPAN_MAX_MS};
use crate::record::{ChunkRecord, KIND_CHUNK, KIND_SERIES, put_chunk, put_series};
use crate::series::{MemSeries, SeriesState, logged_bytes};

/// Chunks are written in pieces of about this size.
const PIECE_BYTES: usize = 1 << 20;

/// How far ahead of the clock samples are taken. Further is a mistake (microseconds for milliseconds, say), and would
/// stay for as long as it is ahead.
const AHEAD_MAX_MS: i64 = 24 * 60 * 60 * 1000;

/// A segment is at least this many times as long as the series records that it repeats.
const SEGMENT_TO_LABELS: u64 = 4;
/// And no longer than this: it is read as a whole when it is damaged.
const SEGMENT_BYTES_MAX: u64 = 1 << 30;

/// The log of closed chunks, and from when to when each of its segments reaches.
pub(crate) struct ChunkLog {
    pub(crate) log: Log,
    pub(crate) spans: Mutex<Spans>,
}

/// First and last time of each segment.
#[derive(Default)]
pub(crate) struct Spans(BTreeMap<u64, (i64, i64)>);

impl Spans {
    pub(crate) fn add(&mut self, segment: u64, first: i64, last: i64) {
        let span = self.0.entry(segment).or_insert((first, last));
        *span = (span.0.min(first), span.1.max(last));
    }
}

/// A chunk that was written and is not yet known to be durable.
struct Written {
    series: Arc<MemSeries>,
    first: i64,
    last: i64,
    position: Position,
    moves: u64,
}

impl Tsdb {
    /// Forgets samples older than the retention, counted back from `now` or from the newest sample, whichever is earlier
    /// (so that neither a clock that is wrong nor a sample from the future empties the store); saves closed chunks; cuts
    /// the write-ahead log; removes series without samples. From now on samples are rejected that are more than a day
    /// ahead of `now`. To be called right after the start and then each minute.
    ///
    /// The first error, after everything else was done all the same.
    pub fn retain(&self, now: Timestamp) -> io::Result<()> {
        let _maintenance = self.maintenance.lock().unwrap_or_else(PoisonError::into_inner);
        self.latest.store(now.plus_millis(AHEAD_MAX_MS).as_millis(), Ordering::Relaxed);
        self.size_segments();
        let newest = self.newest.load(Ordering::Relaxed);
        if newest == i64::MIN {
            return Ok(());
        }
        let reference = Timestamp::from_millis(newest.min(now.as_millis()));
        let horizon = (reference - self.options.retention).as_millis();
        self.horizon.store(horizon, Ordering::Relaxed);
        let empty = self.age(reference, horizon);
        let saved = self.save();
        let wal_cut = self.cut_wal();
        let chunks_cut = self.cut_chunks(horizon);
        self.remove_empty(empty);
        saved.and(wal_cut).and(chunks_cut)
    }

    /// Lets segments grow with the number of series, so that repeating their records stays a small part of a segment.
    pub(crate) fn size_segments(&self) {
        let labels = self.counters.label_bytes.get().saturating_mul(SEGMENT_TO_LABELS);
        let bytes = labels.max(self.options.segment_bytes).min(SEGMENT_BYTES_MAX);
        self.wal.set_segment_bytes(bytes);
        self.chunk_log.log.set_segment_bytes(bytes);
    }

    /// Saves everything in the head and empties the write-ahead log, unless that is so short that reading it at the next
    /// start costs nothing: chunks that are closed early are small.
    pub(crate) fn save_all(&self) -> io::Result<()> {
        let _maintenance = self.maintenance.lock().unwrap_or_else(PoisonError::into_inner);
        if self.wal.bytes() >= self.options.segment_bytes {
            let mut unsaved = Vec::new();
            self.index.for_each(|series| self.close_chunk(series, &mut series.state(), &mut unsaved));
            self.queue_unsaved(unsaved);
        }
        self.save()?;
        self.wal.finish()?;
        self.cut_wal()
    }

    pub(crate) fn queue_unsaved(&self, series: Vec<Arc<MemSeries>>) {
        if !series.is_empty() {
            self.unsaved().extend(series);
        }
    }

    fn unsaved(&self) -> MutexGuard<'_, Vec<Arc<MemSeries>>> {
        self.unsaved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops, closes and unloads chunks by their age. Answers with the series that have none left.
    fn age(&self, reference: Timestamp, horizon: i64) -> Vec<Arc<MemSeries>> {
        let (mut unsaved, mut empty, mut oldest) = (Vec::new(), Vec::new(), i64::MAX);
        let close_before = reference.as_millis().saturating_sub(SPAN_MAX_MS);
        let unload_before = (reference - self.options.hot).as_millis();
        self.index.for_each(|series| {
            let mut state = series.state();
            let had_open = state.open.is_some();
            let dropped = state.drop_before(horizon);
            self.forget(&dropped, had_open && state.open.is_none());
            if state.open.as_ref().is_some_and(|open| open.first <= close_before) {
                self.close_chunk(series, &mut state, &mut unsaved);
            }
            let freed = state.unload_before(unload_before);
            self.counters.chunk_memory_bytes.sub(freed as u64);
            oldest = oldest.min(state.first().unwrap_or(i64::MAX));
            if state.is_empty() {
                empty.push(Arc::clone(series));
            }
        });
        self.oldest.store(oldest, Ordering::Relaxed);
        self.queue_unsaved(unsaved);
        empty
    }

    fn forget(&self, dropped: &[Chunk], open_too: bool) {
        let closed = dropped.len() - usize::from(open_too);
        self.counters.closed_chunks.sub(closed as u64);
        self.counters.open_chunks.sub(u64::from(open_too));
        let bytes: usize = dropped[..closed].iter().map(Chunk::memory_bytes).sum();
        self.counters.chunk_memory_bytes.sub(bytes as u64);
    }

    fn close_chunk(
        &self,
        series: &Arc<MemSeries>,
        state: &mut SeriesState,
        unsaved: &mut Vec<Arc<MemSeries>>,
    ) {
        if !state.close() {
            return;
        }
        self.counters.open_chunks.sub(1);
        self.counters.closed_chunks.add(1);
        let bytes = state.closed.last().map_or(0, Chunk::memory_bytes);
        self.counters.chunk_memory_bytes.add(bytes as u64);
        if !std::mem::replace(&mut state.queued, true) {
            unsaved.push(Arc::clone(series));
        }
    }

    /// Writes all closed chunks that are in memory alone.
    fn save(&self) -> io::Result<()> {
        let queue = std::mem::take(&mut *self.unsaved());
        if queue.is_empty() {
            return Ok(());
        }
        let mut written = Vec::new();
        let result = self.write_chunks(&queue, &mut written).and_then(|()| self.chunk_log.log.sync());
        match &result {
            Ok(()) => self.mark_saved(written),
            Err(_) => {
                self.counters.save_failures.add(1);
                for series in &queue {
                    series.declared_in_chunks.store(0, Ordering::Relaxed);
                }
            }
        }
        self.requeue(queue);
        result
    }

    fn write_chunks(&self, queue: &[Arc<MemSeries>], written: &mut Vec<Written>) -> io::Result<()> {
        let mut queue = queue.iter();
        loop {
            let mut piece = Vec::new();
            let Appended { segment, offset, moves } = self.chunk_log.log.append_with(|segment, batch| {
                while batch.len() < PIECE_BYTES {
                    let Some(series) = queue.next() else { break };
                    put_unsaved(series, segment, batch, &mut piece);
                }
            })?;
            if piece.is_empty() {
                return Ok(());
            }
            written.extend(piece.into_iter().map(|mut chunk: Written| {
                chunk.position.segment = segment;
                chunk.position.offset += offset;
                chunk.moves = moves;
                chunk
            }));
        }
    }

    fn mark_saved(&self, written: Vec<Written>) {
        let moves = self.chunk_log.log.moves();
        let mut spans = self.chunk_log.spans.lock().unwrap_or_else(PoisonError::into_inner);
        for Written { series, first, last, position, .. } in
            written.into_iter().filter(|chunk| chunk.moves == moves)
        {
            spans.add(position.segment, first, last);
            let mut state = series.state();
            if let Ok(at) = state.closed.binary_search_by_key(&first, |chunk| chunk.first) {
                let fits = state.closed[at].saved_at(position);
                debug_assert!(fits, "segments are far smaller than 4 GiB");
            }
        }
    }

    /// Puts series back that still have unsaved chunks, and takes the mark off the others.
    fn requeue(&self, queue: Vec<Arc<MemSeries>>) {
        let waiting: Vec<_> = queue
            .into_iter()
            .filter(|series| {
                let mut state = series.state();
                let unsaved = state.closed.iter().rev().any(|chunk| chunk.position().is_none());
                if !unsaved {
                    state.queued = false;
                    state.unsaved_since = None;
                }
                unsaved
            })
            .collect();
        self.queue_unsaved(waiting);
    }

    /// Removes the segments of the write-ahead log that no series needs.
    fn cut_wal(&self) -> io::Result<()> {
        // Read while nobody appends: a batch that is on its way into the head is in this segment or a later one.
        let appender = self.appender();
        let mut needed = self.wal.segment();
        drop(appender);
        if self.wal.finished().is_empty() {
            return Ok(());
        }
        self.index.for_each(|series| {
            needed = needed.min(series.state().needs_wal_since().unwrap_or(u64::MAX));
        });
        self.wal.remove_before(needed).map(drop)
    }

    /// Removes the segments of the chunk log that are out of retention, and ends one that reaches too far.
    fn cut_chunks(&self, horizon: i64) -> io::Result<()> {
        let log = &self.chunk_log.log;
        let mut spans = self.chunk_log.spans.lock().unwrap_or_else(PoisonError::into_inner);
        let retention = i64::try_from(self.options.retention.as_millis()).unwrap_or(i64::MAX);
        let reach = (retention / 16).max(SPAN_MAX_MS);
        if spans.0.get(&log.segment()).is_some_and(|(first, last)| last.saturating_sub(*first) > reach) {
            log.finish()?;
        }
        // From the front only: a gap in the numbers would look like a lost file.
        for (segment, _) in log.finished() {
            if spans.0.get(&segment).is_some_and(|(_, last)| *last >= horizon) {
                break;
            }
            log.remove(segment)?;
            spans.0.remove(&segment);
        }
        Ok(())
    }

    fn remove_empty(&self, candidates: Vec<Arc<MemSeries>>) {
        if candidates.is_empty() {
            return;
        }
        let _appender = self.appender();
        let empty: Vec<_> = candidates.into_iter().filter(|series| series.state().is_empty()).collect();
        self.index.remove(&empty);
        self.counters.series_removed.add(empty.len() as u64);
        for series in &empty {
            self.counters.label_pairs.sub(series.labels.len() as u64);
            self.counters.label_bytes.sub(logged_bytes(&series.labels));
        }
    }
}

/// Adds the unsaved chunks of a series to the batch, after its series record if the segment has none yet. The positions
/// are within the batch.
fn put_unsaved(series: &Arc<MemSeries>, segment: u64, batch: &mut Batch, piece: &mut Vec<Written>) {
    let unsaved: Vec<(Chunk, Arc<[u8]>)> = series
        .state()
        .closed
        .iter()
        .filter(|chunk| chunk.position().is_none())
        .filter_map(|chunk| Some((chunk.clone(), Arc::clone(chunk.memory()?))))
        .collect();
    if unsaved.is_empty() {
        return;
    }
    if series.declared_in_chunks.swap(segment, Ordering::Relaxed) != segment {
        batch.push_with(KIND_SERIES, |out| put_series(out, series.id, &series.labels));
    }
    for (chunk, data) in unsaved {
        let offset = batch.len() as u64;
        batch.push_with(KIND_CHUNK, |out| {
            let Chunk { first, samples, encoding, .. } = chunk;
            let last = chunk.last();
            put_chunk(out, &ChunkRecord { id: series.id, encoding, samples, first, last, data: &data });
        });
        let bytes = (batch.len() as u64 - offset) as u32;
        piece.push(Written {
            series: Arc::clone(series),
            first: chunk.first,
            last: chunk.last(),
            position: Position { segment, offset, bytes },
            moves: 0,
        });
    }
}
