//! Alert state on this machine alone: [`ports::Coord`] over a log.
//!
//! Changes go to one thread, which writes all that are waiting, syncs once, and answers them: the slower the disk, the
//! more commits share an fsync. What is committed is kept in memory as well; when the log has outgrown it, a snapshot
//! takes its place.
//!
//! ```text
//! kind 1  changes, all or none:   op (1 put, 2 remove), key, and for put the value; repeated
//! kind 2  an entry of a snapshot: key, value
//! ```
//!
//! Keys and values are a length (LEB128) and bytes. Start at [`LocalCoord::open`]; at [`StateLog`] for the same without
//! a thread.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use ports::{BoxFuture, Change, Condition, Coord, CoordError, Disk, Revision};
use tokio::sync::oneshot;

use crate::names::RESERVE_FILE;
use crate::record::{Batch, RECORD_BYTES_MAX};
use crate::state::{Entry, State};
use crate::{JournalError, Log, LogOptions, Record, Replay};

const KIND_CHANGES: u8 = 1;
const KIND_ENTRY: u8 = 2;
const OP_PUT: u8 = 1;
const OP_REMOVE: u8 = 2;

/// Commits that share one fsync at most.
const GROUP_MAX: usize = 256;
/// Commits that wait for the disk. When there are more, `commit` waits to hand its own over.
const WAITING_MAX: usize = 1024;

/// How state is kept.
#[derive(Clone, Copy, Debug)]
pub struct LocalCoordOptions {
    /// A snapshot is written when the log since the last one is longer than this and four times as long as the state.
    pub snapshot_bytes: u64,
    /// Space held back for state, and given up when the disk is full, so that a silence can still be made. Zero: none.
    pub reserve_bytes: u64,
}

impl Default for LocalCoordOptions {
    fn default() -> Self {
        LocalCoordOptions { snapshot_bytes: 1 << 20, reserve_bytes: 0 }
    }
}

/// Changes that are made if what they are tied to still holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// What must hold.
    pub only_if: Vec<Condition>,
    /// All of them, or none.
    pub changes: Vec<Change>,
}

impl Commit {
    /// Without conditions.
    pub fn of(changes: Vec<Change>) -> Self {
        Commit { only_if: Vec::new(), changes }
    }
}

type Outcome = Result<Revision, CoordError>;

/// State of one process, durable.
pub struct LocalCoord {
    state: Arc<Mutex<State>>,
    /// `None` when it is being dropped.
    commits: Option<SyncSender<Waiting>>,
    committer: Option<JoinHandle<()>>,
}

struct Waiting {
    commit: Commit,
    reply: oneshot::Sender<Outcome>,
}

impl LocalCoord {
    /// Opens the state in `dir`, whatever happened to it; see [`Log::open`].
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: LocalCoordOptions,
    ) -> Result<(LocalCoord, Replay), JournalError> {
        let (log, replay) = StateLog::open(disk, dir, options)?;
        let state = Arc::clone(&log.state);
        let (commits, queue) = sync_channel(WAITING_MAX);
        let committer = std::thread::Builder::new()
            .name("state-commit".to_owned())
            .spawn(move || commit_all(log, &queue))
            .map_err(JournalError::at(dir, "starting the thread that commits"))?;
        Ok((LocalCoord { state, commits: Some(commits), committer: Some(committer) }, replay))
    }

    /// [`Coord::commit`] for code that may block.
    pub fn commit_blocking(&self, only_if: &[Condition], changes: &[Change]) -> Outcome {
        self.enqueue(only_if, changes.to_vec())
            .and_then(|answer| answer.blocking_recv().unwrap_or_else(|_| Err(gone())))
    }

    /// The value of one key.
    pub fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.state().get(key).map(|entry| entry.value().to_vec())
    }

    /// The committed keys that start with `prefix`, and their values, in order.
    pub fn list(&self, prefix: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        list(&self.state(), prefix)
    }

    fn enqueue(
        &self,
        only_if: &[Condition],
        changes: Vec<Change>,
    ) -> Result<oneshot::Receiver<Outcome>, CoordError> {
        let (reply, answer) = oneshot::channel();
        let commit = Commit { only_if: only_if.to_vec(), changes };
        // A full queue blocks the caller for as long as the disk needs for 256 commits: state is small and rare, and
        // a disk that slow stops alerting anyway.
        match &self.commits {
            Some(commits) => commits.send(Waiting { commit, reply }).map_err(|_| gone())?,
            None => return Err(gone()),
        }
        Ok(answer)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn gone() -> CoordError {
    CoordError::Unknown("the thread that commits has ended".to_owned())
}

impl Coord for LocalCoord {
    fn commit<'a>(&'a self, only_if: &'a [Condition], changes: Vec<Change>) -> BoxFuture<'a, Outcome> {
        // Handed over now, not when first polled: two commits reach the disk in the order in which they were asked for.
        let answer = self.enqueue(only_if, changes);
        Box::pin(async move { answer?.await.unwrap_or_else(|_| Err(gone())) })
    }

    fn load(&self) -> Result<Vec<(Vec<u8>, Vec<u8>)>, CoordError> {
        Ok(self.list(b""))
    }
}

impl Drop for LocalCoord {
    /// Waits until everything that was handed over is durable.
    fn drop(&mut self) {
        drop(self.commits.take());
        if let Some(committer) = self.committer.take() {
            // A panic of that thread has been reported where it happened; whoever waited got `Unknown`.
            let _ = committer.join();
        }
    }
}

/// The thread that writes.
fn commit_all(mut log: StateLog, queue: &Receiver<Waiting>) {
    while let Ok(first) = queue.recv() {
        let group = std::iter::once(first).chain(queue.try_iter()).take(GROUP_MAX);
        let (commits, replies): (Vec<_>, Vec<_>) =
            group.map(|waiting| (waiting.commit, waiting.reply)).unzip();
        for (reply, result) in replies.into_iter().zip(log.commit(commits)) {
            answer(reply, result);
        }
        log.tidy();
    }
}

/// The log and the state that it adds up to. Whoever owns it waits for the disk.
pub struct StateLog {
    log: Log,
    state: Arc<Mutex<State>>,
    options: LocalCoordOptions,
    reserve: Reserve,
    /// Bytes since the last snapshot.
    logged_bytes: u64,
    /// Of the last commit.
    revision: Revision,
}

impl StateLog {
    /// Opens the state in `dir`, whatever happened to it; see [`Log::open`].
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: LocalCoordOptions,
    ) -> Result<(StateLog, Replay), JournalError> {
        let mut state = State::default();
        let (log, replay) = Log::open(Arc::clone(&disk), dir, LogOptions::default(), &mut |record| {
            restore(&mut state, record);
        })?;
        let reserve = Reserve { disk, path: dir.join(RESERVE_FILE), bytes: options.reserve_bytes };
        reserve.take();
        let (state, logged_bytes) = (Arc::new(Mutex::new(state)), log.bytes());
        let revision = Revision::default();
        Ok((StateLog { log, state, options, reserve, logged_bytes, revision }, replay))
    }

    /// Everything that is committed, in the order of keys.
    pub fn entries(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        list(&state, b"")
    }

    /// Makes these commits durable, each of them all or none, with one fsync. The answers are in their order. A condition
    /// sees the commits that stand before its own.
    pub fn commit(&mut self, commits: Vec<Commit>) -> Vec<Outcome> {
        let mut batch = Batch::new();
        let mut answers: Vec<Outcome> = Vec::with_capacity(commits.len());
        // Keys that conditions are about, each with what the commits before did to it; `None` if it is gone.
        let conditions = commits.iter().flat_map(|commit| &commit.only_if);
        let mut staged: BTreeMap<&[u8], Option<Revision>> =
            conditions.map(|Condition { key, .. }| (&key[..], self.revision_of(key))).collect();
        for Commit { only_if, changes } in &commits {
            answers.push(
                if only_if.iter().any(|condition| staged[&condition.key[..]] != Some(condition.revision)) {
                    Err(CoordError::Conflict)
                } else if changes_bytes(changes) > RECORD_BYTES_MAX {
                    Err(CoordError::Failed("the change is larger than 256 MiB".to_owned()))
                } else {
                    self.revision = Revision(self.revision.0 + 1);
                    Ok(self.revision)
                },
            );
            if answers.last().is_some_and(Result::is_ok) && !changes.is_empty() {
                batch.push_with(KIND_CHANGES, |bytes| encode_changes(changes, bytes));
                for change in changes {
                    if let Some(last) = staged.get_mut(&change.key[..]) {
                        *last = change.value.as_ref().map(|_| self.revision);
                    }
                }
            }
        }
        if batch.is_empty() {
            return answers;
        }
        drop(staged);
        let result = self.write(&batch).or_else(|error| match error {
            // Nothing is in the log, and giving up the reserve may make room.
            CoordError::Failed(_) if self.reserve.release() => self.write(&batch),
            error => Err(error),
        });
        if let Err(error) = &result {
            // What stood in the way of these was not written either.
            for (commit, answer) in commits.iter().zip(&mut answers) {
                let holds =
                    |condition: &Condition| self.revision_of(&condition.key) == Some(condition.revision);
                if *answer == Err(CoordError::Conflict) && commit.only_if.iter().all(holds) {
                    *answer = Err(error.clone());
                }
            }
        }
        if result.is_ok() {
            self.logged_bytes += batch.len() as u64;
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            for (commit, answer) in commits.into_iter().zip(&answers) {
                let Ok(revision) = *answer else { continue };
                for Change { key, value } in commit.changes {
                    match value {
                        Some(value) => state.put(&key, &value, revision),
                        None => state.remove(&key),
                    }
                }
            }
        }
        let answer = |answer: Outcome| match (&result, answer) {
            (Err(error), Ok(_)) => Err(error.clone()),
            (_, answer) => answer,
        };
        answers.into_iter().map(answer).collect()
    }

    fn revision_of(&self, key: &[u8]) -> Option<Revision> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.get(key).map(Entry::revision)
    }

    fn write(&self, batch: &Batch) -> Result<(), CoordError> {
        self.log.append(batch).map_err(|error| CoordError::Failed(error.to_string()))?;
        self.log.sync().map_err(|error| match self.log.take_back() {
            Ok(()) => CoordError::Failed(error.to_string()),
            Err(_) => CoordError::Unknown(error.to_string()),
        })
    }

    /// Writes a snapshot if the log has grown enough. One that fails is tried again when the log has grown as much once
    /// more; the log is complete without it.
    pub fn tidy(&mut self) {
        if self.logged_bytes < self.options.snapshot_bytes {
            return;
        }
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if self.logged_bytes < 4 * state.bytes() {
            return;
        }
        let entries: Vec<Vec<u8>> = state
            .with_prefix(b"")
            .map(|entry| {
                let (key, value) = (entry.key(), entry.value());
                let mut bytes = Vec::with_capacity(key.len() + value.len() + 8);
                put_bytes(&mut bytes, key);
                put_bytes(&mut bytes, value);
                bytes
            })
            .collect();
        drop(state);
        let result = self.log.snapshot(entries.iter().map(|bytes| (KIND_ENTRY, &bytes[..])));
        self.logged_bytes = 0;
        if result.is_ok() {
            self.reserve.take();
        }
    }
}

/// Whoever asked may have stopped waiting; the change is committed all the same.
fn answer(reply: oneshot::Sender<Outcome>, result: Outcome) {
    let _ = reply.send(result);
}

/// A file that holds space.
struct Reserve {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    bytes: u64,
}

impl Reserve {
    /// Fills the file if it is not there. On a full disk there is none: nothing is lost but the reserve.
    fn take(&self) {
        if self.bytes == 0 || self.disk.len(&self.path).is_ok_and(|bytes| bytes >= self.bytes) {
            return;
        }
        if self.fill().is_err() {
            let _ = self.disk.remove_file(&self.path);
        }
    }

    fn fill(&self) -> io::Result<()> {
        let mut file = self.disk.create(&self.path)?;
        // Not zeros: some file systems keep those for free.
        let piece = vec![0xa5; 1 << 20];
        let mut left = self.bytes as usize;
        while left > 0 {
            let len = left.min(piece.len());
            file.append(&piece[..len])?;
            left -= len;
        }
        file.sync()
    }

    /// Gives the space back; whether there was any.
    fn release(&self) -> bool {
        self.bytes > 0 && self.disk.remove_file(&self.path).is_ok()
    }
}

/// Keys that start with `prefix`, and their values, in order.
fn list(state: &State, prefix: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    state.with_prefix(prefix).map(|entry| (entry.key().to_vec(), entry.value().to_vec())).collect()
}

fn changes_bytes(changes: &[Change]) -> usize {
    changes.iter().map(|change| 21 + change.key.len() + change.value.as_ref().map_or(0, Vec::len)).sum()
}

fn encode_changes(changes: &[Change], bytes: &mut Vec<u8>) {
    for change in changes {
        bytes.push(if change.value.is_some() { OP_PUT } else { OP_REMOVE });
        put_bytes(bytes, &change.key);
        if let Some(value) = &change.value {
            put_bytes(bytes, value);
        }
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut len = bytes.len();
    while len >= 0x80 {
        out.push(len as u8 | 0x80);
        len >>= 7;
    }
    out.push(len as u8);
    out.extend_from_slice(bytes);
}

fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (mut len, mut shift) = (0usize, 0u32);
    loop {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        len |= usize::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            break;
        }
        shift += 7;
    }
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(taken)
}

/// Applies one record. Its checksum fits, so it is what was written; what a newer version wrote is left out.
fn restore(state: &mut State, record: Record<'_>) {
    let mut body = record.body;
    match record.kind {
        KIND_ENTRY => {
            if let (Some(key), Some(value)) = (take_bytes(&mut body), take_bytes(&mut body)) {
                state.put(key, value, Revision::default());
            }
        }
        KIND_CHANGES => {
            while let Some((op, rest)) = body.split_first() {
                body = rest;
                let Some(key) = take_bytes(&mut body) else { return };
                match *op {
                    OP_PUT => match take_bytes(&mut body) {
                        Some(value) => state.put(key, value, Revision::default()),
                        None => return,
                    },
                    OP_REMOVE => state.remove(key),
                    _ => return,
                }
            }
        }
        _ => {}
    }
}
