//! The store of samples: a head of compressed chunks, an index of labels, and two logs on disk.
//!
//! In: batches of samples ([`ports::Append`]). Out: series with their samples ([`ports::Select`]).
//!
//! ```text
//! append  →  wal/      every batch, one record; synced when the server ticks `Tsdb::sync`
//!         →  head      per series an open chunk and closed ones; visible when `append` returns, a batch as a whole
//! retain  →  chunks/   closed chunks, so that the write-ahead log behind them can go
//! ```
//!
//! Chunks older than `hot` are dropped from memory and read from `chunks/` when a query wants them; what is older than
//! the retention is removed everywhere. Neither memory nor disk grows without bound.
//!
//! Not here: clocks and tasks (the server ticks `sync` and `retain`), PromQL, scraping, blocks.
//! Invariants: samples of a series ascend in time; a closed chunk never changes; the log is written before the head;
//! a segment of the write-ahead log goes only when everything in it is durable elsewhere or out of retention; no lock
//! is held across an `await`. Start at [`Tsdb`].

mod bits;
mod chunk;
mod histogram;
mod xor;

mod index;
mod postings;
mod record;
mod series;

mod append;
mod reader;
mod replay;
mod retain;
mod select;
mod stats;

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod fixture_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod select_tests;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use journal::{JournalError, Log};
use model::Labels;
use ports::Disk;

pub use replay::ReplayReport;
pub use stats::{Cardinality, RejectedCounts, TsdbStats};

use append::Appender;
use chunk::Chunk;
use index::Index;
use retain::ChunkLog;
use series::MemSeries;
use stats::Counters;

const WAL_DIR: &str = "wal";
const CHUNKS_DIR: &str = "chunks";

/// How samples are kept.
#[derive(Clone, Debug)]
pub struct TsdbOptions {
    /// How long samples are kept.
    pub retention: Duration,
    /// How many series there may be; more are rejected. `None`: any number.
    pub series_max: Option<usize>,
    /// How long chunks that are on disk stay in memory as well.
    pub hot: Duration,
    /// The size at which a segment of either log ends.
    pub segment_bytes: u64,
}

impl Default for TsdbOptions {
    fn default() -> Self {
        TsdbOptions {
            retention: Duration::from_secs(15 * 24 * 60 * 60),
            series_max: None,
            hot: Duration::from_secs(2 * 60 * 60),
            segment_bytes: 32 << 20,
        }
    }
}

/// A store that cannot be opened. Damage is no reason; see [`ReplayReport`].
#[derive(Debug, thiserror::Error)]
#[error("the store of samples cannot be opened: {0}")]
pub struct OpenError(#[from] JournalError);

/// The store. All methods may be called from any thread.
///
/// Locks, in the order in which they are taken: maintenance, appender, `visible`, one series.
pub struct Tsdb {
    options: TsdbOptions,
    wal: Log,
    chunk_log: ChunkLog,
    index: Index,
    /// Orders appends, and keeps them away where nothing may change.
    appender: Mutex<Appender>,
    /// Written while a batch becomes visible: a reader sees all of it or nothing.
    visible: RwLock<()>,
    /// Series with closed chunks that are not saved.
    unsaved: Mutex<Vec<Arc<MemSeries>>>,
    /// One [`Tsdb::retain`] at a time.
    maintenance: Mutex<()>,
    /// Samples before this are neither kept nor taken.
    horizon: AtomicI64,
    /// Samples after this are not taken.
    latest: AtomicI64,
    /// The newest time that was appended; `i64::MIN` before the first.
    newest: AtomicI64,
    /// Not later than the oldest sample; exact after each [`Tsdb::retain`]. `i64::MAX`: none.
    oldest: AtomicI64,
    next_id: AtomicU64,
    closed: AtomicBool,
    counters: Counters,
}

impl Tsdb {
    /// Opens the store on a disk, with everything that a process before this one appended.
    ///
    /// Reads both logs once: the time is about that of reading the files. Call [`Tsdb::retain`] soon after.
    pub fn open(disk: Arc<dyn Disk>, options: TsdbOptions) -> Result<(Tsdb, ReplayReport), OpenError> {
        replay::open(disk, options)
    }

    /// Makes everything durable that was appended before the call. To be called each second; appends go on meanwhile.
    pub fn sync(&self) -> std::io::Result<()> {
        self.wal.sync().inspect_err(|_| self.counters.wal_failures.add(1))
    }

    /// Ends the store's work: what is in the head is saved, so that the next start has little to read. Appends fail
    /// with [`ports::AppendError::Closed`] from now on; queries still work.
    pub fn close(&self) -> std::io::Result<()> {
        self.closed.store(true, Ordering::Release);
        // Whoever appends at this moment is done when this lock is free.
        drop(self.appender());
        let synced = self.wal.sync();
        let saved = self.save_all();
        synced.and(saved)
    }

    /// The label set of a series that this store handed out; `None` if it is gone.
    pub fn labels(&self, series: model::SeriesRef) -> Option<Labels> {
        self.index.by_id(series.0).map(|series| series.labels.clone())
    }

    fn appender(&self) -> MutexGuard<'_, Appender> {
        self.appender.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bytes of a closed chunk, from memory or from the log.
    fn chunk_bytes(&self, chunk: &Chunk) -> std::io::Result<Arc<[u8]>> {
        if let Some(bytes) = chunk.memory() {
            return Ok(Arc::clone(bytes));
        }
        let position = chunk.position().ok_or(std::io::ErrorKind::NotFound)?;
        let body = self.chunk_log.log.read(position)?;
        let record = record::read_chunk(&body).filter(|record| record.first == chunk.first);
        record.map(|record| Arc::from(record.data)).ok_or_else(|| {
            std::io::Error::new(std::io::ErrorKind::InvalidData, "another record stands in its place")
        })
    }
}

fn wal_dir() -> &'static Path {
    Path::new(WAL_DIR)
}

fn chunks_dir() -> &'static Path {
    Path::new(CHUNKS_DIR)
}
