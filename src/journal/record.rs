//! How records and segments look on disk.
//!
//! A segment is a header and then records without gaps; all numbers are little-endian:
//!
//! ```text
//! segment   0  8  magic: "foghorn" and the byte 1, the version of this format
//!           8  8  number of the segment, as in its name
//!          16  4  CRC-32 (IEEE) of the 16 bytes before
//!          20  …  records
//!
//! record    0  4  length of the body
//!           4  1  kind; 0 is no kind, so that a run of zeros is no record; 255 ends a snapshot
//!           5  4  CRC-32 (IEEE) of the 5 bytes before and the body
//!           9  …  body
//! ```
//!
//! A snapshot has the same shape; the number in its header is the first segment that it does not cover, and its last
//! record is of kind 255 with the number of records before it (8 bytes).
//!
//! In: bytes. Out: records, or where they stop being records. Not here: files.

use std::fmt;

const MAGIC: [u8; 8] = *b"foghorn\x01";
/// Bytes before the first record of a segment.
pub(crate) const HEADER_BYTES: usize = 20;
/// Bytes before the body of a record.
pub(crate) const RECORD_HEADER_BYTES: usize = 9;
/// The longest body. A longer length is damage, not a record.
pub const RECORD_BYTES_MAX: usize = 256 << 20;
/// Ends a snapshot.
pub(crate) const KIND_END: u8 = 255;

/// Where a record is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Which segment.
    pub segment: u64,
    /// Where in it the record starts.
    pub offset: u64,
    /// Its length with its header.
    pub bytes: u32,
}

/// One record, as replay shows it.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    /// What the appender called it.
    pub kind: u8,
    /// What the appender wrote.
    pub body: &'a [u8],
    /// Where it is kept; of a snapshot's record, inside the snapshot.
    pub position: Position,
}

impl fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position { segment, offset, .. } = self.position;
        write!(f, "record of kind {} with {} bytes at {segment}:{offset}", self.kind, self.body.len())
    }
}

pub(crate) fn segment_header(segment: u64) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(&MAGIC);
    header[8..16].copy_from_slice(&segment.to_le_bytes());
    let crc = crc32fast::hash(&header[..16]);
    header[16..].copy_from_slice(&crc.to_le_bytes());
    header
}

/// Records that are appended together.
#[derive(Default)]
pub struct Batch {
    bytes: Vec<u8>,
    oversized: bool,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Batch::default()
    }

    /// Adds a record. Kinds 1 to 254 are the appender's.
    pub fn push(&mut self, kind: u8, body: &[u8]) {
        self.push_with(kind, |bytes| bytes.extend_from_slice(body));
    }

    /// Adds a record whose body `write` appends to the buffer it is given; it must not touch what is there.
    pub fn push_with(&mut self, kind: u8, write: impl FnOnce(&mut Vec<u8>)) {
        debug_assert!(kind != 0, "kind 0 is no kind");
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; RECORD_HEADER_BYTES]);
        write(&mut self.bytes);
        let (head, body) = self.bytes[start..].split_at_mut(RECORD_HEADER_BYTES);
        self.oversized |= body.len() > RECORD_BYTES_MAX;
        head[..4].copy_from_slice(&(body.len() as u32).to_le_bytes());
        head[4] = kind;
        let crc = record_crc(&head[..5], body);
        head[5..].copy_from_slice(&crc.to_le_bytes());
    }

    /// Bytes so far, headers included: where the next record starts.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes all records out and keeps the space.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.oversized = false;
    }

    /// Whether a record is longer than replay would read.
    pub(crate) fn oversized(&self) -> bool {
        self.oversized
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

fn record_crc(head: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head);
    hasher.update(body);
    hasher.finalize()
}

/// The records in the bytes of a segment, or in a part of them, up to the first that is none.
pub(crate) struct Records<'a> {
    segment: u64,
    /// Where the bytes start in the segment.
    base: u64,
    bytes: &'a [u8],
    offset: usize,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Header,
    Records,
    Ended,
}

/// Why the records of a segment stop before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadRecord {
    /// Bytes of the segment before it are good.
    pub(crate) offset: u64,
    pub(crate) flaw: Flaw,
}

/// Why bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    SegmentHeader,
    HeaderCutOff,
    NoHeader,
    BodyCutOff,
    Checksum,
}

impl Flaw {
    /// Whether more bytes could make it a record.
    pub(crate) fn is_cut_off(self) -> bool {
        matches!(self, Flaw::HeaderCutOff | Flaw::BodyCutOff)
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Flaw::SegmentHeader => "the segment's header is not what it should be",
            Flaw::HeaderCutOff => "the header of a record is cut off",
            Flaw::NoHeader => "not the header of a record",
            Flaw::BodyCutOff => "the body of a record is cut off",
            Flaw::Checksum => "the checksum of a record does not fit",
        }
    }
}

impl<'a> Records<'a> {
    /// Of a whole segment.
    pub(crate) fn new(segment: u64, bytes: &'a [u8]) -> Self {
        Records { segment, base: 0, bytes, offset: 0, state: State::Header }
    }

    /// Of a part that starts at `base`, with a record unless that is 0.
    pub(crate) fn from_part(segment: u64, base: u64, bytes: &'a [u8]) -> Self {
        let state = if base == 0 { State::Header } else { State::Records };
        Records { segment, base, bytes, offset: 0, state }
    }

    /// The next record, the place where there should be one, or `None` at the end.
    pub(crate) fn next(&mut self) -> Option<Result<Record<'a>, BadRecord>> {
        if self.state == State::Header {
            if self.bytes.get(..HEADER_BYTES) != Some(&segment_header(self.segment)[..]) {
                return Some(Err(self.bad(Flaw::SegmentHeader)));
            }
            self.offset = HEADER_BYTES;
            self.state = State::Records;
        }
        if self.state == State::Ended || self.offset == self.bytes.len() {
            return None;
        }
        match parse_record(&self.bytes[self.offset..]) {
            Ok((kind, body)) => {
                let bytes = RECORD_HEADER_BYTES + body.len();
                let offset = self.base + self.offset as u64;
                let position = Position { segment: self.segment, offset, bytes: bytes as u32 };
                self.offset += bytes;
                Some(Ok(Record { kind, body, position }))
            }
            Err(flaw) => Some(Err(self.bad(flaw))),
        }
    }

    fn bad(&mut self, flaw: Flaw) -> BadRecord {
        self.state = State::Ended;
        BadRecord { offset: self.base + self.offset as u64, flaw }
    }
}

/// Kind and body of the record at the start of `bytes`.
pub(crate) fn parse_record(bytes: &[u8]) -> Result<(u8, &[u8]), Flaw> {
    let Some((head, rest)) = bytes.split_at_checked(RECORD_HEADER_BYTES) else {
        return Err(Flaw::HeaderCutOff);
    };
    let len = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
    let kind = head[4];
    if kind == 0 || len > RECORD_BYTES_MAX {
        return Err(Flaw::NoHeader);
    }
    let Some(body) = rest.get(..len) else { return Err(Flaw::BodyCutOff) };
    let crc = u32::from_le_bytes([head[5], head[6], head[7], head[8]]);
    if record_crc(&head[..5], body) != crc {
        return Err(Flaw::Checksum);
    }
    Ok((kind, body))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn segment(records: &[(u8, Vec<u8>)]) -> Vec<u8> {
        let mut batch = Batch::new();
        for (kind, body) in records {
            batch.push(*kind, body);
        }
        let mut bytes = segment_header(3).to_vec();
        bytes.extend_from_slice(batch.bytes());
        bytes
    }

    fn read(bytes: &[u8]) -> (Vec<(u8, Vec<u8>)>, Option<BadRecord>) {
        let (mut records, mut found) = (Records::new(3, bytes), Vec::new());
        while let Some(record) = records.next() {
            match record {
                Ok(record) => found.push((record.kind, record.body.to_vec())),
                Err(bad) => return (found, Some(bad)),
            }
        }
        (found, None)
    }

    #[test]
    fn is_drawn_as_it_is_written() {
        let bytes = segment(&[(7, b"ab".to_vec())]);
        assert_eq!(&bytes[..8], b"foghorn\x01");
        assert_eq!(&bytes[8..16], &3u64.to_le_bytes());
        assert_eq!(&bytes[20..25], &[2, 0, 0, 0, 7]);
        assert_eq!(&bytes[29..], b"ab");
    }

    #[test]
    fn zeros_are_no_record() {
        let mut bytes = segment(&[(1, b"x".to_vec())]);
        let good = bytes.len();
        bytes.extend_from_slice(&[0; 64]);
        let (records, bad) = read(&bytes);
        assert_eq!(records.len(), 1);
        assert_eq!(bad.unwrap().offset, good as u64);
    }

    #[test]
    fn another_segments_header_is_refused() {
        let bytes = segment_header(4).to_vec();
        assert_eq!(read(&bytes).1.unwrap().offset, 0);
    }

    proptest! {
        #[test]
        fn reads_what_was_written(records in prop::collection::vec((1u8..255, prop::collection::vec(any::<u8>(), 0..40)), 0..20)) {
            let (found, bad) = read(&segment(&records));
            prop_assert_eq!(found, records);
            prop_assert_eq!(bad, None);
        }

        #[test]
        fn a_cut_or_a_changed_byte_ends_the_records_and_changes_none(
            records in prop::collection::vec((1u8..255, prop::collection::vec(any::<u8>(), 0..40)), 1..20),
            at in any::<prop::sample::Index>(),
            flip in 0u8..=255,
        ) {
            let mut bytes = segment(&records);
            let at = at.index(bytes.len());
            if flip == 0 { bytes.truncate(at) } else { bytes[at] ^= flip }
            let (found, bad) = read(&bytes);
            prop_assert_eq!(&records[..found.len()], &found[..]);
            if flip != 0 {
                prop_assert!(bad.unwrap().offset <= at as u64);
            }
        }
    }
}
