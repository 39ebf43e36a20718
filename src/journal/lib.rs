//! An append-only record log: segments, checksums, an fsync policy, replay, snapshots.
//!
//! In: records, that is a kind and bytes. Out: after a crash, everything that was synced, in order, and what of the rest
//! the disk still has. It knows bytes, not meanings: what a record says is written down by whoever appends it.
//!
//! Two users, two policies. *State* ([`LocalCoord`]): commits that arrive together share one fsync and are answered
//! after it. *Samples* (the TSDB's log): written at once, so that a killed process loses nothing, and synced when the
//! caller ticks [`Log::sync`].
//!
//! Damage is found, contained and reported, and never stops a start: see [`Log::open`].
//!
//! Not here: clocks, tasks (the caller ticks), the meaning of records, logging ([`Replay`] says what happened).
//! Everything goes through [`ports::Disk`]; [`RealDisk`] and [`DataDir`] are the only code that touches real files.
//! Start at [`Log`] and [`LocalCoord`].

mod names;
mod record;

mod data_dir;
mod real_disk;

mod log;
mod replay;
mod snapshot;

mod state;

mod local_coord;

#[cfg(any(test, feature = "simulated"))]
pub mod simulated;

#[cfg(test)]
mod crash_tests;

use std::io;
use std::path::{Path, PathBuf};

pub use data_dir::{DataDir, DataDirError, Shutdown};
pub use local_coord::{Commit, LocalCoord, LocalCoordOptions, StateLog};
pub use log::{Appended, Log, LogOptions};
pub use names::DAMAGED_DIR;
pub use real_disk::RealDisk;
pub use record::{Batch, Position, RECORD_BYTES_MAX, Record};
pub use replay::{Damage, Replay};

/// A log that cannot be opened or written.
#[derive(Debug, thiserror::Error)]
#[error("`{}`: {doing}: {source}", .path.display())]
pub struct JournalError {
    /// Relative to the data directory.
    pub path: PathBuf,
    /// What was being done.
    pub doing: &'static str,
    /// What the disk said.
    #[source]
    pub source: io::Error,
}

impl JournalError {
    fn at(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> JournalError {
        let path = path.to_owned();
        move |source| JournalError { path, doing, source }
    }
}
