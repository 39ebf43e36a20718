//! Chunks: runs of samples of one series, compressed. Closed ones never change.

use std::ops::ControlFlow;
use std::sync::Arc;

use journal::Position;
use model::{HistogramSample, SampleValue, Samples, Timestamp};

use crate::histogram::HistogramEncoder;
use crate::record::ChunkRecord;
use crate::xor::XorEncoder;
use crate::{histogram, xor};

/// A chunk is closed at this many samples: half an hour at 15 s.
pub(crate) const SAMPLES_MAX: u16 = 120;
/// A chunk is closed when its first sample is older than this, so that the log need not be kept for slow series.
pub(crate) const SPAN_MAX_MS: i64 = 2 * 60 * 60 * 1000;

/// How a chunk's bytes are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Floats; see [`xor`].
    Xor,
    /// Native histograms; see [`histogram`].
    Histogram,
}

impl Encoding {
    /// As it stands in the log. 1 is what Prometheus calls it; its numbers for histograms are other formats.
    pub(crate) fn number(self) -> u8 {
        match self {
            Encoding::Xor => 1,
            Encoding::Histogram => 128,
        }
    }

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        [Encoding::Xor, Encoding::Histogram].into_iter().find(|e| e.number() == number)
    }

    fn of(value: &SampleValue) -> Self {
        match value {
            SampleValue::Float(_) => Encoding::Xor,
            SampleValue::Histogram(_) => Encoding::Histogram,
        }
    }
}

/// A chunk that is finished. There are many: with 15 s and 15 days 720 for each series, so this is packed.
///
/// It is in memory, on disk, or both; it leaves memory only when it is durable.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    pub(crate) first: i64,
    /// From the first to the last sample, which is less than [`SPAN_MAX_MS`].
    span_ms: u32,
    pub(crate) samples: u16,
    pub(crate) encoding: Encoding,
    memory: Option<Arc<[u8]>>,
    /// Where its record stands; segment 0 is no segment.
    segment: u32,
    offset: u32,
    bytes: u32,
}

impl Chunk {
    /// A chunk from the log; `None` if this code would not have written it.
    pub(crate) fn on_disk(record: &ChunkRecord<'_>, position: Position) -> Option<Self> {
        let mut chunk = Chunk {
            first: record.first,
            span_ms: u32::try_from(record.last.checked_sub(record.first)?).ok()?,
            samples: record.samples,
            encoding: record.encoding,
            memory: None,
            segment: 0,
            offset: 0,
            bytes: 0,
        };
        chunk.saved_at(position).then_some(chunk)
    }

    pub(crate) fn last(&self) -> i64 {
        self.first + i64::from(self.span_ms)
    }

    pub(crate) fn memory(&self) -> Option<&Arc<[u8]>> {
        self.memory.as_ref()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory.as_ref().map_or(0, |bytes| bytes.len())
    }

    pub(crate) fn position(&self) -> Option<Position> {
        (self.segment != 0).then(|| Position {
            segment: u64::from(self.segment),
            offset: u64::from(self.offset),
            bytes: self.bytes,
        })
    }

    /// Notes where the chunk is durable; `false` if no segment is as large as that.
    pub(crate) fn saved_at(&mut self, position: Position) -> bool {
        let (Ok(segment), Ok(offset)) = (u32::try_from(position.segment), u32::try_from(position.offset))
        else {
            return false;
        };
        (self.segment, self.offset, self.bytes) = (segment, offset, position.bytes);
        true
    }

    /// Forgets the bytes if they are durable; how many they were.
    pub(crate) fn unload(&mut self) -> usize {
        if self.segment == 0 {
            return 0;
        }
        self.memory.take().map_or(0, |bytes| bytes.len())
    }
}

/// A chunk that takes samples.
#[derive(Debug)]
pub(crate) struct OpenChunk {
    encoder: Encoder,
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) samples: u16,
    /// The segment of the write-ahead log that holds its first sample.
    pub(crate) logged_in: u64,
}

#[derive(Debug)]
enum Encoder {
    Xor(XorEncoder),
    Histogram(HistogramEncoder),
}

impl OpenChunk {
    pub(crate) fn new(at: i64, value: &SampleValue, logged_in: u64) -> Self {
        let encoder = match Encoding::of(value) {
            Encoding::Xor => Encoder::Xor(XorEncoder::new()),
            Encoding::Histogram => Encoder::Histogram(HistogramEncoder::new()),
        };
        let mut chunk = OpenChunk { encoder, first: at, last: at, samples: 0, logged_in };
        let fits = chunk.push(at, value);
        debug_assert!(fits, "an empty chunk takes the value it was made for");
        chunk
    }

    /// Appends a sample that is later than all before; `false` if the chunk has to be closed first.
    pub(crate) fn push(&mut self, at: i64, value: &SampleValue) -> bool {
        if self.samples >= SAMPLES_MAX || at.saturating_sub(self.first) >= SPAN_MAX_MS {
            return false;
        }
        match (&mut self.encoder, value) {
            (Encoder::Xor(encoder), SampleValue::Float(value)) => encoder.push(at, *value),
            (Encoder::Histogram(encoder), SampleValue::Histogram(value)) => encoder.push(at, value),
            _ => return false,
        }
        self.last = at;
        self.samples += 1;
        true
    }

    pub(crate) fn encoding(&self) -> Encoding {
        match &self.encoder {
            Encoder::Xor(_) => Encoding::Xor,
            Encoder::Histogram(_) => Encoding::Histogram,
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.encoder {
            Encoder::Xor(encoder) => encoder.bytes(),
            Encoder::Histogram(encoder) => encoder.bytes(),
        }
    }

    /// The chunk as it is now.
    pub(crate) fn to_chunk(&self) -> Chunk {
        // `push` keeps the span below two hours.
        let span_ms = self.last.abs_diff(self.first) as u32;
        Chunk {
            first: self.first,
            span_ms,
            samples: self.samples,
            encoding: self.encoding(),
            memory: Some(Arc::from(self.bytes())),
            segment: 0,
            offset: 0,
            bytes: 0,
        }
    }
}

/// Appends the samples from `start` to `end`, both included. `None` if the bytes are not a chunk.
pub(crate) fn decode_into(
    samples: &mut Samples,
    encoding: Encoding,
    bytes: &[u8],
    start: i64,
    end: i64,
) -> Option<()> {
    match encoding {
        Encoding::Xor => xor::decode(bytes, start, end, &mut samples.floats),
        Encoding::Histogram => histogram::decode(bytes, |at, value| {
            if at > end {
                return ControlFlow::Break(());
            }
            if at >= start {
                let value = Arc::clone(value);
                samples.histograms.push(HistogramSample { at: Timestamp::from_millis(at), value });
            }
            ControlFlow::Continue(())
        }),
    }
}
