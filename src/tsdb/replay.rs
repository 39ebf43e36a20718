//! Opening the store: chunks first, then the samples that came after them.
//!
//! The ids in the logs are those of the processes that wrote them. Here every series gets a new one, and a map from the
//! logged ids follows the series records: a later record for an id replaces an earlier one.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use journal::{Damage, Log, LogOptions, Record, Replay};
use model::{Labels, SampleValue};
use ports::Disk;

use crate::append::Appender;
use crate::chunk::{Chunk, Place};
use crate::index::{IdMap, Index};
use crate::record::{
    KIND_CHUNK, KIND_FLOATS, KIND_HISTOGRAMS, KIND_SERIES, read_chunk, read_floats, read_histograms,
    read_series,
};
use crate::retain::{ChunkLog, Spans};
use crate::series::{MemSeries, Newest};
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

    let Loading { index, spans, unsaved, counters, mut report, next_id, .. } = loading;
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
        newest: AtomicI64::new(i64::MIN),
        oldest: AtomicI64::new(i64::MAX),
        next_id: AtomicU64::new(next_id),
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
                    self.counters.open_chunks.add(u64::from(state.open.is_some()));
                    self.counters.closed_chunks.add(state.closed.len() as u64);
                    let bytes: usize = state.closed.iter().map(Chunk::memory_bytes).sum();
                    self.counters.chunk_memory_bytes.add(bytes as u64);
                }
                _ => empty.push(Arc::clone(series)),
            }
        });
        self.index.remove(&empty);
    }
}

#[derive(Default)]
struct Loading {
    index: Index,
    by_logged_id: IdMap<Arc<MemSeries>>,
    spans: Spans,
    unsaved: Vec<Arc<MemSeries>>,
    counters: Counters,
    report: ReplayReport,
    next_id: u64,
}

impl Loading {
    fn chunk_record(&mut self, record: Record<'_>) {
        match record.kind {
            KIND_SERIES => self.series_record(record.body),
            KIND_CHUNK => {
                let Some(chunk) = read_chunk(record.body) else { return self.unknown() };
                self.spans.add(record.position.segment, chunk.first, chunk.last);
                let Some(series) = self.by_logged_id.get(&chunk.id) else {
                    self.report.orphans += 1;
                    return;
                };
                let restored = series.state().restore(Chunk {
                    first: chunk.first,
                    last: chunk.last,
                    samples: chunk.samples,
                    encoding: chunk.encoding,
                    place: Place::Disk(record.position),
                });
                self.report.chunks_found += u64::from(restored);
            }
            _ => self.unknown(),
        }
    }

    fn wal_record(&mut self, record: Record<'_>) {
        let segment = record.position.segment;
        let understood = match record.kind {
            KIND_SERIES => return self.series_record(record.body),
            KIND_FLOATS => read_floats(record.body, |id, at, value| {
                self.sample(id, at, SampleValue::Float(value), segment);
            }),
            KIND_HISTOGRAMS => read_histograms(record.body, |id, at, histogram| {
                self.sample(id, at, SampleValue::Histogram(histogram), segment);
            }),
            _ => None,
        };
        if understood.is_none() {
            self.unknown();
        }
    }

    fn series_record(&mut self, body: &[u8]) {
        let understood = read_series(body, |id, labels| {
            let series = self.series(labels);
            self.by_logged_id.insert(id, series);
        });
        if understood.is_none() {
            self.unknown();
        }
    }

    fn series(&mut self, labels: Labels) -> Arc<MemSeries> {
        if let Some(series) = self.index.by_labels(&labels) {
            return series;
        }
        let series = Arc::new(MemSeries::new(self.next_id, labels));
        self.next_id += 1;
        self.index.insert(&series);
        series
    }

    fn sample(&mut self, id: u64, at: i64, value: SampleValue, segment: u64) {
        let Some(series) = self.by_logged_id.get(&id) else {
            self.report.orphans += 1;
            return;
        };
        let mut state = series.state();
        // It is in a chunk already, or its record stands in the log twice because a file failed.
        if state.newest.as_ref().is_some_and(|newest| at <= newest.at) {
            return;
        }
        let closed = state.append(at, &value, segment);
        state.newest = Some(Newest { at, value: Some(value) });
        self.report.samples += 1;
        if closed && !std::mem::replace(&mut state.queued, true) {
            self.unsaved.push(Arc::clone(series));
        }
    }

    fn unknown(&mut self) {
        self.report.unknown_records += 1;
    }
}
