//! Opening a log after anything that may have happened to it.
//!
//! In: a log's directory. Out: its records, and what was found wrong. What is moved or cut off is kept in `damaged/`
//! first; a repair deletes nothing. Every step can be cut short by a crash and is then done again.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use ports::Disk;

use crate::JournalError;
use crate::names::{
    DAMAGED_DIR, FileKind, damaged_name, file_kind, segment_path, snapshot_path, staging_path,
};
use crate::record::{BadRecord, Record, Records, segment_header};
use crate::snapshot::read_snapshot;

/// What opening a log found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replay {
    /// Records that were shown, those of the snapshot included.
    pub records: u64,
    /// Bytes of the files they came from.
    pub bytes: u64,
    /// Segments that were read.
    pub segments: usize,
    /// Bytes cut off the end of the last segment: a power cut, or a crash in the middle of a write.
    pub torn_bytes: u64,
    /// What was wrong otherwise. Empty after any crash of a healthy disk.
    pub damaged: Vec<Damage>,
}

/// One file that was not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file, relative to the data directory.
    pub path: PathBuf,
    /// What is wrong with it, and where.
    pub what: String,
    /// Where it is kept now; `None` if it could not be moved.
    pub moved_to: Option<PathBuf>,
}

pub(crate) struct Found {
    /// Segments that are there, and their sizes.
    pub(crate) finished: BTreeMap<u64, u64>,
    pub(crate) next_segment: u64,
    pub(crate) replay: Replay,
}

pub(crate) fn replay(
    disk: &dyn Disk,
    dir: &Path,
    visit: &mut dyn FnMut(Record<'_>),
) -> Result<Found, JournalError> {
    let mut segments = Vec::new();
    let mut snapshots = Vec::new();
    for name in disk.list(dir).map_err(JournalError::at(dir, "listing the directory"))? {
        match file_kind(&name) {
            FileKind::Segment(segment) => segments.push(segment),
            FileKind::Snapshot(segment) => snapshots.push(segment),
            // Left by a crash before its rename. Nothing relies on it, so a failure to remove it means nothing either.
            FileKind::Staging => drop(disk.remove_file(&dir.join(name))),
            FileKind::Foreign => {}
        }
    }
    segments.sort_unstable();
    snapshots.sort_unstable();
    let next_segment = match (segments.last(), snapshots.last()) {
        (Some(segment), Some(snapshot)) => (segment + 1).max(*snapshot),
        (Some(segment), None) => segment + 1,
        (None, Some(snapshot)) => *snapshot,
        (None, None) => 1,
    };

    let mut replay = Replay::default();
    let mut opening = Opening { disk, dir, replay: &mut replay, finished: BTreeMap::new() };
    let covered = opening.newest_snapshot(&snapshots, visit);
    let last = segments.last().copied();
    let mut expected = None;
    for segment in segments {
        if segment < covered {
            // Covered by the snapshot; kept until the next one in case that this one goes bad.
            opening.keep(segment);
            continue;
        }
        if let Some(expected) = expected.filter(|e| *e < segment) {
            opening.missing(expected, segment);
        }
        expected = Some(segment + 1);
        opening.segment(segment, Some(segment) == last, visit);
    }
    let finished = std::mem::take(&mut opening.finished);
    Ok(Found { finished, next_segment, replay })
}

/// How much of a segment is read at once, unless a record is longer.
const WINDOW_BYTES: usize = 4 << 20;

/// Why the records of a segment end before the segment does.
enum Stop {
    Bad(BadRecord),
    Unreadable { good: u64, error: io::Error },
}

struct Opening<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    replay: &'a mut Replay,
    finished: BTreeMap<u64, u64>,
}

impl Opening<'_> {
    /// Shows the records of the newest snapshot that is whole; the first segment after it.
    fn newest_snapshot(&mut self, snapshots: &[u64], visit: &mut dyn FnMut(Record<'_>)) -> u64 {
        for segment in snapshots.iter().rev() {
            let path = snapshot_path(self.dir, *segment);
            let what = match self.disk.read(&path) {
                Ok(bytes) => match read_snapshot(*segment, &bytes, visit) {
                    Ok(records) => {
                        self.replay.records += records;
                        self.replay.bytes += bytes.len() as u64;
                        return *segment;
                    }
                    Err(what) => what.to_owned(),
                },
                Err(error) => error.to_string(),
            };
            self.put_aside(&path, what);
        }
        0
    }

    fn keep(&mut self, segment: u64) {
        let bytes = self.disk.len(&segment_path(self.dir, segment)).unwrap_or(0);
        self.finished.insert(segment, bytes);
    }

    fn segment(&mut self, segment: u64, last: bool, visit: &mut dyn FnMut(Record<'_>)) {
        let path = segment_path(self.dir, segment);
        self.replay.segments += 1;
        let bad = match self.read_segment(segment, &path, visit) {
            Ok(bytes) => {
                self.replay.bytes += bytes;
                self.finished.insert(segment, bytes);
                return;
            }
            Err(Stop::Bad(bad)) => bad,
            Err(Stop::Unreadable { good, error }) => return self.salvage(segment, &path, good, &error),
        };
        match self.disk.read(&path) {
            Ok(bytes) => {
                self.replay.bytes += bytes.len() as u64;
                if last { self.cut_tail(segment, &bytes, bad) } else { self.repair(segment, &bytes, bad) }
            }
            Err(error) => self.salvage(segment, &path, bad.offset, &error),
        }
    }

    /// Shows the records of a segment, a window at a time: a log of a large store has large segments. Answers with its size.
    fn read_segment(
        &mut self,
        segment: u64,
        path: &Path,
        visit: &mut dyn FnMut(Record<'_>),
    ) -> Result<u64, Stop> {
        let mut good = 0u64;
        let end = self.disk.len(path).map_err(|error| Stop::Unreadable { good, error })?;
        let mut window = WINDOW_BYTES;
        loop {
            let bytes =
                self.disk.read_at(path, good, window).map_err(|error| Stop::Unreadable { good, error })?;
            let rest = end.saturating_sub(good + bytes.len() as u64);
            let mut records = Records::from_part(segment, good, &bytes);
            let bad = loop {
                match records.next() {
                    Some(Ok(record)) => {
                        self.replay.records += 1;
                        visit(record);
                    }
                    Some(Err(bad)) => break Some(bad),
                    None => break None,
                }
            };
            match bad {
                None if rest == 0 => return Ok(end),
                None => good += bytes.len() as u64,
                // The window ended within a record: go on from that, or look further.
                Some(bad) if rest > 0 && bad.offset > good => good = bad.offset,
                Some(bad) if rest > 0 && bad.flaw.is_cut_off() => window *= 2,
                Some(bad) => return Err(Stop::Bad(bad)),
            }
        }
    }

    /// A file that can be read up to some byte only: the file as it is goes to `damaged/`, its start stays.
    fn salvage(&mut self, segment: u64, path: &Path, good: u64, error: &io::Error) {
        let start = self.disk.read_at(path, 0, usize::try_from(good).unwrap_or(usize::MAX));
        self.put_aside(path, error.to_string());
        match start {
            Ok(bytes) if !bytes.is_empty() && bytes.len() as u64 == good => {
                if self.replace(path, &bytes).is_ok() {
                    self.finished.insert(segment, good);
                }
            }
            _ => self.leave_empty(segment),
        }
    }

    /// The end of the last segment: cut off, so that it is not found again when the segment is not the last any more.
    fn cut_tail(&mut self, segment: u64, bytes: &[u8], bad: BadRecord) {
        let path = segment_path(self.dir, segment);
        let good = bad.offset as usize;
        let tail = &bytes[good..];
        self.replay.torn_bytes += tail.len() as u64;
        // Most likely half a record. But should it be a flipped bit in front of good records, they are not lost.
        if tail.iter().any(|b| *b != 0) && self.save(&damaged_name(&path), "-tail", tail).is_err() {
            self.finished.insert(segment, bytes.len() as u64);
            return;
        }
        if good == 0 {
            return self.leave_empty(segment);
        }
        let kept = match self.disk.truncate(&path, bad.offset) {
            Ok(()) => good,
            // Still there: the next start will find it and say that it is damaged.
            Err(_) => bytes.len(),
        };
        self.finished.insert(segment, kept as u64);
    }

    /// A segment without records in place of one that held none: a gap in the numbers always means a lost file.
    fn leave_empty(&mut self, segment: u64) {
        let header = segment_header(segment);
        if self.replace(&segment_path(self.dir, segment), &header).is_ok() {
            self.finished.insert(segment, header.len() as u64);
        }
    }

    /// Damage in the middle of the log: the whole segment goes to `damaged/`, its good start stays.
    fn repair(&mut self, segment: u64, bytes: &[u8], bad: BadRecord) {
        let path = segment_path(self.dir, segment);
        let what = format!("{} at byte {} of {}", bad.flaw.as_str(), bad.offset, bytes.len());
        let header = segment_header(segment);
        let good = if bad.offset == 0 { &header[..] } else { &bytes[..bad.offset as usize] };
        let moved_to = self
            .save(&damaged_name(&path), "", bytes)
            .and_then(|saved| self.replace(&path, good).map(|()| saved))
            .ok();
        let kept = if moved_to.is_some() { good.len() } else { bytes.len() };
        self.finished.insert(segment, kept as u64);
        self.replay.damaged.push(Damage { path, what, moved_to });
    }

    fn missing(&mut self, from: u64, to: u64) {
        let what = match to - from {
            1 => "the segment is missing".to_owned(),
            n => format!("{n} segments from here on are missing"),
        };
        self.replay.damaged.push(Damage { path: segment_path(self.dir, from), what, moved_to: None });
    }

    /// Moves a file that cannot be read at all, or is wrong as a whole.
    fn put_aside(&mut self, path: &Path, what: String) {
        let moved_to = self
            .free_name(&damaged_name(path))
            .and_then(|to| {
                self.disk.rename(path, &to)?;
                self.disk.sync_dir(Path::new(DAMAGED_DIR))?;
                self.disk.sync_dir(self.dir)?;
                Ok(to)
            })
            .ok();
        self.replay.damaged.push(Damage { path: path.to_owned(), what, moved_to });
    }

    /// Writes a durable copy into `damaged/`.
    fn save(&self, name: &str, suffix: &str, bytes: &[u8]) -> io::Result<PathBuf> {
        let path = self.free_name(&format!("{name}{suffix}"))?;
        let mut file = self.disk.create(&path)?;
        file.append(bytes)?;
        file.sync()?;
        self.disk.sync_dir(Path::new(DAMAGED_DIR))?;
        Ok(path)
    }

    /// Gives the file new content, in one step.
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let staging = staging_path(path);
        let mut file = self.disk.create(&staging)?;
        file.append(bytes)?;
        file.sync()?;
        self.disk.rename(&staging, path)?;
        self.disk.sync_dir(self.dir)
    }

    fn free_name(&self, name: &str) -> io::Result<PathBuf> {
        let damaged = Path::new(DAMAGED_DIR);
        self.disk.create_dir_all(damaged)?;
        self.disk.sync_dir(Path::new(""))?;
        let taken = self.disk.list(damaged)?;
        let free = |name: &String| !taken.iter().any(|t| t == Path::new(name));
        let mut names =
            std::iter::once(name.to_owned()).chain((1u64..).map(|n| format!("{name}.{n}"))).filter(free);
        Ok(damaged.join(names.next().expect("there are more numbers than files")))
    }
}
