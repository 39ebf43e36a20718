//! What the TSDB writes into its two logs.
//!
//! ```text
//! kind 1  series      repeated: id, number of labels, for each name and value
//! kind 2  floats      base time, then repeated: head byte, id, time, value
//! kind 3  histograms  base time, then repeated: id, time, histogram (see `histogram`)
//! kind 4  reserved for tombstones
//! kind 5  chunk       id, encoding (1 byte), number of samples, first time, last time - first time, the chunk's bytes
//! ```
//!
//! Numbers are LEB128, with the sign in the lowest bit where they may be negative; a text is its length and UTF-8. The
//! id of a row is its difference from the row before, its time the difference from the base time. The head byte of a
//! float spares most of that:
//!
//! ```text
//! bits 0-3  n, how many bytes of the value follow: its bits, big-endian, without the zero bytes at the end
//! bit 4     the time is the base time and is left out
//! bit 5     the id is one more than that of the row before and is left out
//! ```
//!
//! An id names a series from its series record on, until another series record gives it to another series. Each
//! segment repeats the series records of the ids that it uses before they are used.

use std::sync::Arc;

use model::{Histogram, Labels};

use crate::bits::{
    put_ivarint, put_uvarint, take_byte, take_ivarint, take_slice, take_uvarint, unzigzag, zigzag,
};
use crate::chunk::Encoding;
use crate::histogram::{put_histogram, take_histogram};

pub(crate) const KIND_SERIES: u8 = 1;
pub(crate) const KIND_FLOATS: u8 = 2;
pub(crate) const KIND_HISTOGRAMS: u8 = 3;
pub(crate) const KIND_CHUNK: u8 = 5;

const VALUE_BYTES: u8 = 0x0f;
const BASE_TIME: u8 = 0x10;
const NEXT_ID: u8 = 0x20;

pub(crate) fn put_series(out: &mut Vec<u8>, id: u64, labels: &Labels) {
    put_uvarint(out, id);
    put_uvarint(out, labels.len() as u64);
    for (name, value) in labels {
        for text in [name, value] {
            put_uvarint(out, text.len() as u64);
            out.extend_from_slice(text.as_bytes());
        }
    }
}

/// Shows each series. `None` if the body is not what this code writes.
pub(crate) fn read_series(mut body: &[u8], mut visit: impl FnMut(u64, Labels)) -> Option<()> {
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    while !body.is_empty() {
        let id = take_uvarint(&mut body)?;
        pairs.clear();
        for _ in 0..take_uvarint(&mut body)? {
            pairs.push((take_text(&mut body)?, take_text(&mut body)?));
        }
        visit(id, Labels::from_sorted(&pairs));
    }
    Some(())
}

fn take_text<'a>(bytes: &mut &'a [u8]) -> Option<&'a str> {
    let len = take_uvarint(bytes)?;
    std::str::from_utf8(take_slice(bytes, len)?).ok()
}

/// Writes the rows of a floats record.
pub(crate) struct FloatsWriter {
    base: i64,
    id: u64,
}

impl FloatsWriter {
    pub(crate) fn new(out: &mut Vec<u8>, base: i64) -> Self {
        put_ivarint(out, base);
        FloatsWriter { base, id: 0 }
    }

    pub(crate) fn push(&mut self, out: &mut Vec<u8>, id: u64, at: i64, value: f64) {
        let bits = value.to_bits();
        let zeros = if bits == 0 { 8 } else { bits.trailing_zeros() as usize / 8 };
        let bytes = &bits.to_be_bytes()[..8 - zeros];
        let next = id == self.id.wrapping_add(1);
        let mut head = bytes.len() as u8;
        head |= if at == self.base { BASE_TIME } else { 0 };
        head |= if next { NEXT_ID } else { 0 };
        out.push(head);
        if !next {
            put_uvarint(out, zigzag(id.wrapping_sub(self.id) as i64));
        }
        if at != self.base {
            put_ivarint(out, at.wrapping_sub(self.base));
        }
        out.extend_from_slice(bytes);
        self.id = id;
    }
}

/// Shows each row: id, time, value.
pub(crate) fn read_floats(mut body: &[u8], mut visit: impl FnMut(u64, i64, f64)) -> Option<()> {
    let base = take_ivarint(&mut body)?;
    let mut id = 0u64;
    while !body.is_empty() {
        let head = take_byte(&mut body)?;
        let step = if head & NEXT_ID != 0 { 1 } else { unzigzag(take_uvarint(&mut body)?) as u64 };
        id = id.wrapping_add(step);
        let after = if head & BASE_TIME != 0 { 0 } else { take_ivarint(&mut body)? };
        let len = usize::from(head & VALUE_BYTES);
        let mut bits = [0; 8];
        bits.get_mut(..len)?.copy_from_slice(take_slice(&mut body, len as u64)?);
        visit(id, base.wrapping_add(after), f64::from_bits(u64::from_be_bytes(bits)));
    }
    Some(())
}

/// Writes the rows of a histograms record.
pub(crate) struct HistogramsWriter {
    base: i64,
    id: u64,
}

impl HistogramsWriter {
    pub(crate) fn new(out: &mut Vec<u8>, base: i64) -> Self {
        put_ivarint(out, base);
        HistogramsWriter { base, id: 0 }
    }

    pub(crate) fn push(&mut self, out: &mut Vec<u8>, id: u64, at: i64, histogram: &Histogram) {
        put_ivarint(out, id.wrapping_sub(self.id) as i64);
        put_ivarint(out, at.wrapping_sub(self.base));
        put_histogram(out, histogram, None);
        self.id = id;
    }
}

/// Shows each row: id, time, value.
pub(crate) fn read_histograms(
    mut body: &[u8],
    mut visit: impl FnMut(u64, i64, Arc<Histogram>),
) -> Option<()> {
    let base = take_ivarint(&mut body)?;
    let mut id = 0u64;
    while !body.is_empty() {
        id = id.wrapping_add(take_ivarint(&mut body)? as u64);
        let at = base.wrapping_add(take_ivarint(&mut body)?);
        visit(id, at, Arc::new(take_histogram(&mut body, None)?));
    }
    Some(())
}

/// A chunk as it stands in the log.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ChunkRecord<'a> {
    pub(crate) id: u64,
    pub(crate) encoding: Encoding,
    pub(crate) samples: u16,
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) data: &'a [u8],
}

pub(crate) fn put_chunk(out: &mut Vec<u8>, chunk: &ChunkRecord<'_>) {
    put_uvarint(out, chunk.id);
    out.push(chunk.encoding.number());
    put_uvarint(out, u64::from(chunk.samples));
    put_ivarint(out, chunk.first);
    put_uvarint(out, chunk.last.wrapping_sub(chunk.first) as u64);
    out.extend_from_slice(chunk.data);
}

pub(crate) fn read_chunk(mut body: &[u8]) -> Option<ChunkRecord<'_>> {
    let id = take_uvarint(&mut body)?;
    let encoding = Encoding::from_number(take_byte(&mut body)?)?;
    let samples = u16::try_from(take_uvarint(&mut body)?).ok()?;
    let first = take_ivarint(&mut body)?;
    let last = first.wrapping_add(take_uvarint(&mut body)? as i64);
    (first <= last).then_some(ChunkRecord { id, encoding, samples, first, last, data: body })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::histogram::tests::histogram;

    #[test]
    fn is_drawn_as_it_is_written() {
        let mut out = Vec::new();
        put_series(&mut out, 300, &Labels::from([("a", "1"), ("__name__", "up")]));
        assert_eq!(out, b"\xac\x02\x02\x08__name__\x02up\x01a\x011");

        let mut out = Vec::new();
        let mut floats = FloatsWriter::new(&mut out, 1);
        floats.push(&mut out, 1, 1, 1.0);
        floats.push(&mut out, 2, 2, 0.0);
        floats.push(&mut out, 5, 1, 2.0);
        assert_eq!(out, [0x02, 0x32, 0x3f, 0xf0, 0x20, 0x02, 0x11, 0x06, 0x40]);

        let mut out = Vec::new();
        let chunk =
            ChunkRecord { id: 7, encoding: Encoding::Xor, samples: 2, first: -1, last: 2, data: b"xyz" };
        put_chunk(&mut out, &chunk);
        assert_eq!(out, b"\x07\x01\x02\x01\x03xyz");
        assert_eq!(read_chunk(&out), Some(chunk));
    }

    proptest! {
        #[test]
        fn floats_come_back(base in any::<i64>(), rows in prop::collection::vec((any::<u64>(), any::<i64>(), any::<u64>()), 0..50)) {
            let mut out = Vec::new();
            let mut writer = FloatsWriter::new(&mut out, base);
            for (id, at, bits) in &rows {
                writer.push(&mut out, *id, *at, f64::from_bits(*bits));
            }
            let mut found = Vec::new();
            read_floats(&out, |id, at, value| found.push((id, at, value.to_bits()))).unwrap();
            prop_assert_eq!(found, rows);
        }

        #[test]
        fn histograms_come_back(base in any::<i64>(), rows in prop::collection::vec((any::<u64>(), any::<i64>(), histogram()), 0..10)) {
            let mut out = Vec::new();
            let mut writer = HistogramsWriter::new(&mut out, base);
            for (id, at, histogram) in &rows {
                writer.push(&mut out, *id, *at, histogram);
            }
            let mut found = Vec::new();
            read_histograms(&out, |id, at, histogram| found.push((id, at, Histogram::clone(&histogram)))).unwrap();
            prop_assert_eq!(found, rows);
        }

        #[test]
        fn series_come_back(all in prop::collection::vec((any::<u64>(), prop::collection::vec((".*", ".*"), 0..5)), 0..10)) {
            let all: Vec<(u64, Labels)> = all.into_iter().map(|(id, pairs)| (id, Labels::from_pairs(pairs))).collect();
            let mut out = Vec::new();
            for (id, labels) in &all {
                put_series(&mut out, *id, labels);
            }
            let mut found = Vec::new();
            read_series(&out, |id, labels| found.push((id, labels))).unwrap();
            prop_assert_eq!(found, all);
        }

        #[test]
        fn any_bytes_are_read_or_not_but_never_panic(body in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = read_series(&body, |_, _| {});
            let _ = read_floats(&body, |_, _, _| {});
            let _ = read_histograms(&body, |_, _, _| {});
            let _ = read_chunk(&body);
        }
    }
}
