//! The log: appending, syncing, going on to the next segment, removing old ones.
//!
//! One lock orders appends; syncing holds it only to note how far it goes, so that nobody waits for the disk but the one
//! who asked for it. What is not yet synced is also kept in memory: when a file fails, its pages may be gone, so the
//! file is given up and those records are written again into the next segment ("failed" in the sense of fsync returning
//! an error once: a second fsync that succeeds proves nothing).
//!
//! Invariants: no segment is begun before the one before it is synced, so that only the last one can have a torn tail;
//! a file that failed is never appended to again; segment numbers are used once, and ascend.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ports::{Disk, DiskFile};

use crate::JournalError;
use crate::names::segment_path;
use crate::record::{Batch, HEADER_BYTES, Position, Record, parse_record, segment_header};
use crate::replay::{Found, Replay, replay};

/// How a log cuts its segments.
#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// A segment that has grown to this is ended at the next sync; one that has grown to twice this, at the next append.
    pub segment_bytes: u64,
}

impl Default for LogOptions {
    fn default() -> Self {
        LogOptions { segment_bytes: 32 << 20 }
    }
}

/// Where a batch went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Into this segment.
    pub segment: u64,
    /// Here its first record starts.
    pub offset: u64,
    /// Grows whenever records that were not yet synced had to move to another segment: if [`Log::moves`] still says
    /// the same after a sync, the records are where this says.
    pub moves: u64,
}

/// An open log. All methods may be called from any thread.
pub struct Log {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    segment_bytes: AtomicU64,
    /// Held by whoever waits for the disk. Taken before `writer`, never after.
    syncing: Mutex<()>,
    writer: Mutex<Writer>,
    moves: AtomicU64,
}

struct Writer {
    /// The segment that is appended to, or that the next append begins.
    segment: u64,
    open: Option<OpenSegment>,
    /// Records that are not known to be durable, in order: the end of the open segment, or what the next one starts with.
    unsynced: Vec<u8>,
    /// Finished segments and their sizes.
    finished: BTreeMap<u64, u64>,
    scratch: Batch,
}

struct OpenSegment {
    file: Box<dyn DiskFile>,
    /// A second handle, so that an fsync needs no lock. Opened together with the first, so that it sees every error.
    sync_handle: Option<Box<dyn DiskFile>>,
    /// Bytes in the file that are whole records.
    bytes: u64,
    /// Of these, bytes known to be durable.
    synced: u64,
}

impl Log {
    /// Opens the log in `dir` and shows `visit` every record that can be read: those of the newest good snapshot, then
    /// those of the segments after it, in order.
    ///
    /// Damage does not stop it. A torn end of the last segment is what a power cut leaves: it is cut off. A bad record
    /// elsewhere, or a file that cannot be read, is moved to `damaged/`; what stands before the damage is kept, and
    /// reading goes on with the next segment. [`Replay`] lists what happened. An error means that the directory itself
    /// cannot be made or listed.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: LogOptions,
        visit: &mut dyn FnMut(Record<'_>),
    ) -> Result<(Log, Replay), JournalError> {
        disk.create_dir_all(dir).map_err(JournalError::at(dir, "creating the directory"))?;
        let mut parents: Vec<&Path> = dir.ancestors().skip(1).collect();
        parents.reverse();
        for above in parents {
            disk.sync_dir(above).map_err(JournalError::at(above, "syncing the directory"))?;
        }
        let Found { finished, next_segment, replay } = replay(disk.as_ref(), dir, visit)?;
        let writer = Writer {
            segment: next_segment,
            open: None,
            unsynced: Vec::new(),
            finished,
            scratch: Batch::new(),
        };
        let log = Log {
            disk,
            dir: dir.to_owned(),
            segment_bytes: AtomicU64::new(options.segment_bytes),
            syncing: Mutex::default(),
            writer: Mutex::new(writer),
            moves: AtomicU64::new(0),
        };
        Ok((log, replay))
    }

    /// Appends the records that `fill` puts into the batch; they are with the operating system when this returns, and
    /// durable after the next [`Log::sync`]. `fill` learns which segment they go to: whoever repeats records in each
    /// segment needs to know. An empty batch is not an error and writes nothing.
    ///
    /// After an error nothing of the batch is kept, and the next append tries again.
    pub fn append_with(&self, fill: impl FnOnce(u64, &mut Batch)) -> io::Result<Appended> {
        let mut writer = self.writer_with_segment()?;
        let mut batch = std::mem::take(&mut writer.scratch);
        batch.clear();
        fill(writer.segment, &mut batch);
        let result = self.write(&mut writer, &batch);
        writer.scratch = batch;
        result
    }

    /// Appends one batch; see [`Log::append_with`].
    pub fn append(&self, batch: &Batch) -> io::Result<Appended> {
        let mut writer = self.writer_with_segment()?;
        self.write(&mut writer, batch)
    }

    fn writer_with_segment(&self) -> io::Result<MutexGuard<'_, Writer>> {
        let mut writer = self.writer();
        // Not while somebody waits for the disk: its answer is about this segment, and memory must not have forgotten
        // the records by then.
        let full = |open: &OpenSegment| open.bytes >= 2 * self.segment_bytes() && open.sync_handle.is_some();
        if writer.open.as_ref().is_some_and(full) {
            self.finish_segment(&mut writer)?;
        }
        if writer.open.is_none() {
            self.begin_segment(&mut writer)?;
        }
        Ok(writer)
    }

    fn write(&self, writer: &mut Writer, batch: &Batch) -> io::Result<Appended> {
        if batch.oversized() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a record is longer than a log can hold",
            ));
        }
        let segment = writer.segment;
        let moves = self.moves();
        let Some(open) = &mut writer.open else {
            return Err(io::Error::other("no segment is open"));
        };
        let appended = Appended { segment, offset: open.bytes, moves };
        if batch.is_empty() {
            return Ok(appended);
        }
        match open.file.append(batch.bytes()) {
            Ok(()) => {
                open.bytes += batch.len() as u64;
                writer.unsynced.extend_from_slice(batch.bytes());
                Ok(appended)
            }
            Err(error) => {
                // Half of the batch may be in the file. Cut off, the file is as it was; else it is done with.
                if self.disk.truncate(&segment_path(&self.dir, segment), open.bytes).is_err() {
                    self.give_up_segment(writer);
                }
                Err(error)
            }
        }
    }

    /// Makes everything appended before the call durable, and ends the segment if it has grown. Appends go on meanwhile.
    ///
    /// A file that fails is given up, and what it may have lost is written to a new one; only if that fails too is this
    /// an error. The records stay in memory then, and the next call tries again.
    pub fn sync(&self) -> io::Result<()> {
        let _syncing = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut writer = self.writer();
        if writer.unsynced.is_empty() {
            return self.finish_if_grown(&mut writer);
        }
        if writer.open.is_none() {
            self.begin_segment(&mut writer)?;
        }
        let segment = writer.segment;
        let Some((mut handle, target)) =
            writer.open.as_mut().and_then(|open| open.sync_handle.take().map(|handle| (handle, open.bytes)))
        else {
            return Err(io::Error::other("the segment's second handle is gone"));
        };
        drop(writer);
        let result = handle.sync();
        let mut writer = self.writer();
        if writer.segment != segment {
            // Given up by a failed append meanwhile. Whatever was not synced is still in memory.
            drop(writer);
            return self.sync_rewritten();
        }
        match result {
            Ok(()) => {
                let Writer { open, unsynced, .. } = &mut *writer;
                if let Some(open) = open {
                    unsynced.drain(..(target - open.synced) as usize);
                    open.synced = target;
                    open.sync_handle = Some(handle);
                }
                self.finish_if_grown(&mut writer)
            }
            Err(_) => {
                self.give_up_segment(&mut writer);
                drop(writer);
                self.sync_rewritten()
            }
        }
    }

    /// Writes what a given-up segment may have lost into a new one and syncs that.
    fn sync_rewritten(&self) -> io::Result<()> {
        let mut writer = self.writer();
        if writer.unsynced.is_empty() {
            return Ok(());
        }
        if writer.open.is_none() {
            self.begin_segment(&mut writer)?;
        }
        self.sync_locked(&mut writer)
    }

    /// Syncs the open segment while appends wait.
    fn sync_locked(&self, writer: &mut Writer) -> io::Result<()> {
        let Writer { open, unsynced, .. } = &mut *writer;
        let Some(open) = open else { return Ok(()) };
        match open.file.sync() {
            Ok(()) => {
                unsynced.clear();
                open.synced = open.bytes;
                Ok(())
            }
            Err(error) => {
                self.give_up_segment(writer);
                Err(error)
            }
        }
    }

    fn finish_if_grown(&self, writer: &mut Writer) -> io::Result<()> {
        match &writer.open {
            Some(open) if open.bytes >= self.segment_bytes() => self.finish_segment(writer),
            _ => Ok(()),
        }
    }

    /// Ends the open segment, so that the next append begins a new one. Answers with the number of that new one: all
    /// records appended so far are in segments before it, and durable.
    pub fn finish(&self) -> io::Result<u64> {
        let _syncing = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut writer = self.writer();
        if writer.open.is_none() && !writer.unsynced.is_empty() {
            self.begin_segment(&mut writer)?;
        }
        self.finish_segment(&mut writer)?;
        Ok(writer.segment)
    }

    fn finish_segment(&self, writer: &mut Writer) -> io::Result<()> {
        if writer.open.is_some() {
            self.sync_locked(writer)?;
        }
        if let Some(open) = writer.open.take() {
            writer.finished.insert(writer.segment, open.bytes);
            writer.segment += 1;
        }
        Ok(())
    }

    /// Makes the file of `writer.segment`, with what is not yet synced from before.
    fn begin_segment(&self, writer: &mut Writer) -> io::Result<()> {
        let path = segment_path(&self.dir, writer.segment);
        let mut file = self.disk.create(&path)?;
        let sync_handle = Some(self.disk.open_append(&path)?);
        file.append(&segment_header(writer.segment))?;
        if !writer.unsynced.is_empty() {
            file.append(&writer.unsynced)?;
        }
        self.disk.sync_dir(&self.dir)?;
        let bytes = (HEADER_BYTES + writer.unsynced.len()) as u64;
        writer.open = Some(OpenSegment { file, sync_handle, bytes, synced: HEADER_BYTES as u64 });
        Ok(())
    }

    /// Never writes to the open file again; what it may not have is in `unsynced` and goes to the next one.
    fn give_up_segment(&self, writer: &mut Writer) {
        let Some(open) = writer.open.take() else { return };
        // Without its doubtful end the file is a good segment. If that fails too, replay finds the end of what is good.
        let segment = writer.segment;
        let bytes = match self.disk.truncate(&segment_path(&self.dir, segment), open.synced) {
            Ok(()) => open.synced,
            Err(_) => open.bytes,
        };
        writer.finished.insert(segment, bytes);
        writer.segment += 1;
        self.moves.fetch_add(1, Ordering::Relaxed);
    }

    /// Forgets what was appended since the last sync. `Ok` means that it is gone for certain; after an error, a restart
    /// may still find it.
    pub fn take_back(&self) -> io::Result<()> {
        let _syncing = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut writer = self.writer();
        writer.unsynced.clear();
        let Some(open) = writer.open.take() else { return Ok(()) };
        let segment = writer.segment;
        writer.finished.insert(segment, open.synced);
        writer.segment += 1;
        self.moves.fetch_add(1, Ordering::Relaxed);
        self.disk.truncate(&segment_path(&self.dir, segment), open.synced)
    }

    /// The body of a record, read from its segment and checked.
    pub fn read(&self, position: Position) -> io::Result<Vec<u8>> {
        let path = segment_path(&self.dir, position.segment);
        let bytes = self.disk.read_at(&path, position.offset, position.bytes as usize)?;
        match parse_record(&bytes) {
            Ok((_, body)) => Ok(body.to_vec()),
            Err(flaw) => Err(io::Error::new(io::ErrorKind::InvalidData, flaw.as_str())),
        }
    }

    /// Removes a finished segment that is needed no more. The open one and unknown ones stay.
    pub fn remove(&self, segment: u64) -> io::Result<()> {
        let mut writer = self.writer();
        if writer.finished.contains_key(&segment) {
            match self.disk.remove_file(&segment_path(&self.dir, segment)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            // One by one: were a later one gone after a power cut and an earlier one not, it would look like a loss.
            self.disk.sync_dir(&self.dir)?;
            writer.finished.remove(&segment);
        }
        Ok(())
    }

    /// Removes all finished segments before `segment`; the number of those removed.
    pub fn remove_before(&self, segment: u64) -> io::Result<usize> {
        let old: Vec<u64> = self.writer().finished.range(..segment).map(|(s, _)| *s).collect();
        for segment in &old {
            self.remove(*segment)?;
        }
        Ok(old.len())
    }

    /// Changes [`LogOptions::segment_bytes`].
    pub fn set_segment_bytes(&self, bytes: u64) {
        self.segment_bytes.store(bytes, Ordering::Relaxed);
    }

    fn segment_bytes(&self) -> u64 {
        self.segment_bytes.load(Ordering::Relaxed)
    }

    /// The segment that is appended to, or that the next append begins.
    pub fn segment(&self) -> u64 {
        self.writer().segment
    }

    /// How often records that were not yet synced had to move; see [`Appended::moves`].
    pub fn moves(&self) -> u64 {
        self.moves.load(Ordering::Relaxed)
    }

    /// Finished segments, ascending, with their sizes.
    pub fn finished(&self) -> Vec<(u64, u64)> {
        self.writer().finished.iter().map(|(segment, bytes)| (*segment, *bytes)).collect()
    }

    /// Bytes of the segment that is appended to.
    pub fn open_bytes(&self) -> u64 {
        self.writer().open.as_ref().map_or(0, |open| open.bytes)
    }

    /// Bytes of all segments.
    pub fn bytes(&self) -> u64 {
        let writer = self.writer();
        writer.finished.values().sum::<u64>() + writer.open.as_ref().map_or(0, |open| open.bytes)
    }

    /// Bytes that the next sync makes durable.
    pub fn unsynced_bytes(&self) -> usize {
        self.writer().unsynced.len()
    }

    pub(crate) fn disk(&self) -> &dyn Disk {
        self.disk.as_ref()
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        // A panic cannot leave half a change here: every method finishes with the fields before it calls out.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
