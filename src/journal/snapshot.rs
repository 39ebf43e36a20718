//! Snapshots: what the segments before some point amount to, so that they can go.
//!
//! A snapshot stands under its name only when it is whole and durable. The one before it, and the segments after that
//! one, stay for one more generation: should the newest be damaged, the one before it and those segments give the same.

use std::io;

use crate::log::Log;
use crate::names::{FileKind, file_kind, snapshot_path, staging_path};
use crate::record::{Batch, KIND_END, Record, Records, segment_header};

/// A snapshot is written in pieces of about this size.
const PIECE_BYTES: usize = 1 << 20;

impl Log {
    /// Writes a snapshot that stands for everything appended so far, and removes what the snapshot before it covered.
    ///
    /// `records` must amount to the state after the last append; the caller keeps others from appending meanwhile.
    /// After an error the log is as it was, and goes on.
    pub fn snapshot<'a>(&self, records: impl IntoIterator<Item = (u8, &'a [u8])>) -> io::Result<()> {
        let segment = self.finish()?;
        let path = snapshot_path(self.dir(), segment);
        let staging = staging_path(&path);
        let mut file = self.disk().create(&staging)?;
        file.append(&segment_header(segment))?;
        let (mut piece, mut count) = (Batch::new(), 0u64);
        for (kind, body) in records {
            piece.push(kind, body);
            count += 1;
            if piece.oversized() {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    "a record is longer than a log can hold",
                ));
            }
            if piece.len() >= PIECE_BYTES {
                file.append(piece.bytes())?;
                piece.clear();
            }
        }
        piece.push(KIND_END, &count.to_le_bytes());
        file.append(piece.bytes())?;
        file.sync()?;
        self.disk().rename(&staging, &path)?;
        self.disk().sync_dir(self.dir())?;
        self.remove_covered(segment)
    }

    /// Removes snapshots and segments that are two generations old.
    fn remove_covered(&self, newest: u64) -> io::Result<()> {
        let mut older: Vec<u64> = self
            .disk()
            .list(self.dir())?
            .iter()
            .filter_map(|name| match file_kind(name) {
                FileKind::Snapshot(segment) if segment < newest => Some(segment),
                _ => None,
            })
            .collect();
        older.sort_unstable();
        let Some(previous) = older.pop() else { return Ok(()) };
        for segment in older {
            self.disk().remove_file(&snapshot_path(self.dir(), segment))?;
        }
        self.remove_before(previous)?;
        Ok(())
    }
}

/// Shows the records of a snapshot if it is whole; their number, or what is wrong.
pub(crate) fn read_snapshot(
    segment: u64,
    bytes: &[u8],
    visit: &mut dyn FnMut(Record<'_>),
) -> Result<u64, &'static str> {
    // Checked to its end before anything is shown: half a snapshot under another one would mix two states.
    let mut records = Records::new(segment, bytes);
    let mut count = 0u64;
    loop {
        match records.next() {
            Some(Ok(record)) if record.kind == KIND_END => {
                if record.body != count.to_le_bytes() || records.next().is_some() {
                    return Err("the end of the snapshot does not fit what is before it");
                }
                break;
            }
            Some(Ok(_)) => count += 1,
            Some(Err(bad)) => return Err(bad.flaw.as_str()),
            None => return Err("the snapshot has no end"),
        }
    }
    let mut records = Records::new(segment, bytes);
    while let Some(Ok(record)) = records.next() {
        if record.kind != KIND_END {
            visit(record);
        }
    }
    Ok(count)
}
