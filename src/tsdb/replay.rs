//! Opening the store: chunks first, then the samples that came after them.
//!
//! The ids in the logs are those of the processes that wrote them. Here every series gets a new one, and a map from the
//! logged ids follows the series records: a later record for an id replaces an earlier one.
//!
//! Samples stand in the log by time, and each belongs to another series than the one before it, somewhere else in memory.
//! They are collected, and given to the head series by series: that is several times faster.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use journal::{Damage, Log, LogOptions, Record, Replay};
use model::{Labels, SampleValue};
use ports::Disk;

use crate::append::Appender;
use crate::chunk::Chunk;
use crate::index::{IdMap, Index};
use crate::record::{
    KIND_CHUNK, KIND_FLOATS, KIND_HISTOGRAMS, KIND_SERIES, read_chunk, read_floats, read_histograms,
    read_series,
};
use crate::retain::{ChunkLog, Spans};
use crate::series::{MemSeries, Newest, logged_bytes};
use crate::stats::Counters;
use crate::{OpenError, Tsdb, TsdbOptions, chunks_dir, wal_dir};

/// What opening the store found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplayReport {
    /// What the write-ahead log was like.
    pub wal: Replay,
    /// What the log of chunks was like.
    pub chunks: Replay,
    /// Series that have samples.
    pub series: u64,
    /// Samples that were taken from the write-ahead log.
    pub samples: u64,
    /// Chunks that were found.
    pub chunks_found: u64,
    /// Samples and chunks whose series record was lost with a damaged segment.
    pub orphans: u64,
    /// Records that this program does not understand; written by a newer one.
    pub unknown_records: u64,
}

impl ReplayReport {
    /// Everything that was damaged, in both logs.
    pub fn damaged(&self) -> impl Iterator<Item = &Damage> {
        self.chunks.damaged.iter().chain(&self.wal.damaged)
    }
}

pub(crate) fn open(disk: Arc<dyn Disk>, options: TsdbOptions) -> Result<(Tsdb, ReplayReport), OpenError> {
    let log_options = LogOptions { segment_bytes: options.segment_bytes };
    let mut loading = Loading::default();
    let (chunk_log, chunks) = Log::open(Arc::clone(&disk), chunks_dir(), log_options, &mut |record| {
        loading.chunk_record(record);
    })?;
    // Ids of one log mean nothing in the other.
    loading.by_logged_id.clear();
    let (wal, wal_replay) =
        Log::open(disk, wal_dir(), log_options, &mut |record| loading.wal_record(record))?;

    loading.hand_over();
    let Loading { index, series, spans, unsaved, counters, mut report, .. } = loading;
    report.chunks = chunks;
    report.wal = wal_replay;
    counters.corruptions.add(report.damaged().count() as u64);
    let tsdb = Tsdb {
        options,
        wal,
        chunk_log: ChunkLog { log: chunk_log, spans: Mutex::new(spans) },
        index,
        appender: Mutex::new(Appender::default()),
        visible: RwLock::new(()),
        unsaved: Mutex::new(unsaved),
        maintenance: Mutex::new(()),
        horizon: AtomicI64::new(i64::MIN),
        latest: AtomicI64::new(i64::MAX),
        newest: AtomicI64::new(i64::MIN),
        oldest: AtomicI64::new(i64::MAX),
        next_id: AtomicU64::new(series.len() as u64),
        closed: AtomicBool::new(false),
        counters,
    };
    tsdb.settle();
    report.series = tsdb.index.len() as u64;
    Ok((tsdb, report))
}

impl Tsdb {
    /// Brings the figures up to what was replayed, and removes series that came without samples.
    fn settle(&self) {
        let mut empty = Vec::new();
        self.index.for_each(|series| {
            let state = series.state();
            match (state.first(), state.last()) {
                (Some(first), Some(last)) => {
                    self.oldest.fetch_min(first, Ordering::Relaxed);
                    self.newest.fetch_max(last, Ordering::Relaxed);
                    self.counters.label_pairs.add(series.labels.len() as u64);
                    self.counters.label_bytes.add(logged_bytes(&series.labels));
                    self.counters.open_chunks.add(u64::from(state.open.is_some()));
                    self.counters.closed_chunks.add(state.closed.len() as u64);
                    let bytes: usize = state.closed.iter().map(Chunk::memory_bytes).sum();
                    self.counters.chunk_memory_bytes.add(bytes as u64);
                }
                _ => empty.push(Arc::clone(series)),
            }
        });
        self.index.remove(&empty);
        self.size_segments();
    }
}

/// Logged ids below this are looked up in a list, the others in a map.
const LISTED_IDS: u64 = 1 << 24;
const NO_ID: u32 = u32::MAX;

/// The new id for a logged one. A process counts its ids up and logs its series about in that order, so a list is both
/// small and kind to the cache.
#[derive(Default)]
struct LoggedIds {
    listed: Vec<u32>,
    others: IdMap<u32>,
}

impl LoggedIds {
    fn get(&self, logged_id: u64) -> Option<u32> {
        if logged_id < LISTED_IDS {
            return self.listed.get(logged_id as usize).copied().filter(|id| *id != NO_ID);
        }
        self.others.get(&logged_id).copied()
    }

    fn insert(&mut self, logged_id: u64, id: u32) {
        if logged_id >= LISTED_IDS {
            self.others.insert(logged_id, id);
            return;
        }
        let at = logged_id as usize;
        if at >= self.listed.len() {
            self.listed.resize((at + 1).next_power_of_two(), NO_ID);
        }
        self.listed[at] = id;
    }

    fn clear(&mut self) {
        *self = LoggedIds::default();
    }
}

/// Samples are collected until there are this many, and this many for each series.
const COLLECTED_MIN: usize = 1 << 18;
const COLLECTED_PER_SERIES: usize = 8;

#[derive(Default)]
struct Loading {
    index: Index,
    /// By their new ids.
    series: Vec<Arc<MemSeries>>,
    by_logged_id: LoggedIds,
    /// Samples of one segment, in their order, by new ids.
    collected: Vec<(u32, i64, SampleValue)>,
    collected_from: u64,
    spans: Spans,
    unsaved: Vec<Arc<MemSeries>>,
    counters: Counters,
    report: ReplayReport,
}

impl Loading {
    fn chunk_record(&mut self, record: Record<'_>) {
        match record.kind {
            KIND_SERIES => self.series_record(record.body),
            KIND_CHUNK => {
                let Some(chunk) = read_chunk(record.body) else { return self.unknown() };
                self.spans.add(record.position.segment, chunk.first, chunk.last);
                let Some(id) = self.by_logged_id.get(chunk.id) else {
                    self.report.orphans += 1;
                    return;
                };
                let Some(chunk) = Chunk::on_disk(&chunk, record.position) else { return self.unknown() };
                let restored = self.series[id as usize].state().restore(chunk);
                self.report.chunks_found += u64::from(restored);
            }
            _ => self.unknown(),
        }
    }

    fn wal_record(&mut self, record: Record<'_>) {
        let enough = COLLECTED_MIN.max(COLLECTED_PER_SERIES * self.series.len());
        if record.position.segment != self.collected_from || self.collected.len() >= enough {
            self.hand_over();
            self.collected_from = record.position.segment;
        }
        let understood = match record.kind {
            KIND_SERIES => return self.series_record(record.body),
            KIND_FLOATS => read_floats(record.body, |id, at, value| {
                self.collect(id, at, SampleValue::Float(value));
            }),
            KIND_HISTOGRAMS => read_histograms(record.body, |id, at, histogram| {
                self.collect(id, at, SampleValue::Histogram(histogram));
            }),
            _ => None,
        };
        if understood.is_none() {
            self.unknown();
        }
    }

    fn series_record(&mut self, body: &[u8]) {
        let understood = read_series(body, |logged_id, labels| {
            // Each segment says it again; most often it is known.
            let known = self.by_logged_id.get(logged_id);
            if known.is_none_or(|id| self.series[id as usize].labels != labels) {
                let id = self.id_of(labels);
                self.by_logged_id.insert(logged_id, id);
            }
        });
        if understood.is_none() {
            self.unknown();
        }
    }

    fn id_of(&mut self, labels: Labels) -> u32 {
        if let Some(series) = self.index.by_labels(&labels) {
            return series.id as u32;
        }
        let id = u32::try_from(self.series.len()).expect("memory ends before four billion series");
        let series = Arc::new(MemSeries::new(u64::from(id), labels));
        self.index.insert(&series);
        self.series.push(series);
        id
    }

    fn collect(&mut self, logged_id: u64, at: i64, value: SampleValue) {
        match self.by_logged_id.get(logged_id) {
            Some(id) => self.collected.push((id, at, value)),
            None => self.report.orphans += 1,
        }
    }

    /// Appends the collected samples, series by series, those of one series in their order.
    fn hand_over(&mut self) {
        let collected = std::mem::take(&mut self.collected);
        let mut starts = vec![0u32; self.series.len() + 1];
        for (id, ..) in &collected {
            starts[*id as usize + 1] += 1;
        }
        for id in 1..starts.len() {
            starts[id] += starts[id - 1];
        }
        let mut order = vec![0u32; collected.len()];
        let mut next = starts.clone();
        for (number, (id, ..)) in collected.iter().enumerate() {
            let place = &mut next[*id as usize];
            order[*place as usize] = number as u32;
            *place += 1;
        }
        for (id, range) in starts.windows(2).enumerate().filter(|(_, range)| range[0] < range[1]) {
            let numbers = &order[range[0] as usize..range[1] as usize];
            let samples = numbers.iter().map(|number| {
                let (_, at, value) = &collected[*number as usize];
                (*at, value)
            });
            self.restore_samples(id, samples);
        }
        self.collected = collected;
        self.collected.clear();
    }

    fn restore_samples<'a>(&mut self, id: usize, samples: impl Iterator<Item = (i64, &'a SampleValue)>) {
        let series = &self.series[id];
        let mut state = series.state();
        let mut newest = state.newest.take();
        for (at, value) in samples {
            // It is in a chunk already, or its record stands in the log twice because a file failed.
            if newest.as_ref().is_some_and(|newest| at <= newest.at) {
                continue;
            }
            let closed = state.append(at, value, self.collected_from);
            newest = Some(Newest { at, value: Some(value.clone()) });
            self.report.samples += 1;
            if closed && !std::mem::replace(&mut state.queued, true) {
                self.unsaved.push(Arc::clone(series));
            }
        }
        state.newest = newest;
    }

    fn unknown(&mut self) {
        self.report.unknown_records += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logged_ids_of_any_size_are_found() {
        let mut ids = LoggedIds::default();
        for (new, logged) in [0, 7, LISTED_IDS - 1, LISTED_IDS, u64::MAX].into_iter().enumerate() {
            ids.insert(logged, new as u32);
        }
        for (logged, new) in
            [(0, Some(0)), (7, Some(1)), (8, None), (u64::MAX, Some(4)), (u64::MAX - 1, None)]
        {
            assert_eq!(ids.get(logged), new, "{logged}");
        }
        assert_eq!((ids.get(LISTED_IDS - 1), ids.get(LISTED_IDS)), (Some(2), Some(3)));
    }
}
