//! Native histograms as bytes: alone in the log, one after the other in chunks.
//!
//! ```text
//! flags    1  bit 0: laid out as the histogram before; bit 1: counts are whole numbers; bits 2-3: reset hint
//! layout      if not as before: schema (zig-zag LEB128), zero threshold (8), spans of positive buckets, number of
//!             positive buckets, the same of negative ones, number of custom bounds, bounds (8 each)
//!             spans are a number (LEB128) and for each its offset (zig-zag) and length (LEB128)
//! sum      8  bits, big-endian
//! counts      count, zero count, positive buckets, negative buckets: whole numbers as differences (zig-zag LEB128)
//!             from the same number of the histogram before, if that has the same layout and whole numbers too;
//!             else 8 bytes each
//! ```
//!
//! A chunk is the number of samples (2 bytes, big-endian), and for each the time since the sample before (zig-zag
//! LEB128; for the first since the epoch) and the histogram. Every bit of every number comes back.

use std::ops::ControlFlow;
use std::sync::Arc;

use model::{BucketSpan, CounterResetHint, Histogram};

use crate::bits::{put_ivarint, put_uvarint, take_byte, take_f64, take_ivarint, take_slice, take_uvarint};

const SAME_LAYOUT: u8 = 1;
const WHOLE: u8 = 2;
const HINT_SHIFT: u8 = 2;

/// Whole numbers up to here are exact in a float.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// A chunk that is being written.
#[derive(Clone, Debug)]
pub(crate) struct HistogramEncoder {
    bytes: Vec<u8>,
    samples: u16,
    at: i64,
    previous: Option<Arc<Histogram>>,
}

impl HistogramEncoder {
    pub(crate) fn new() -> Self {
        HistogramEncoder { bytes: vec![0, 0], samples: 0, at: 0, previous: None }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn push(&mut self, at: i64, histogram: &Arc<Histogram>) {
        put_ivarint(&mut self.bytes, at.wrapping_sub(self.at));
        put_histogram(&mut self.bytes, histogram, self.previous.as_deref());
        self.at = at;
        self.previous = Some(Arc::clone(histogram));
        self.samples += 1;
        self.bytes[..2].copy_from_slice(&self.samples.to_be_bytes());
    }
}

/// Shows the samples in order until `visit` breaks. `None` if the bytes are not a chunk.
pub(crate) fn decode(
    bytes: &[u8],
    mut visit: impl FnMut(i64, &Arc<Histogram>) -> ControlFlow<()>,
) -> Option<()> {
    let (head, mut rest) = bytes.split_first_chunk::<2>()?;
    let mut at = 0i64;
    let mut previous: Option<Arc<Histogram>> = None;
    for _ in 0..u16::from_be_bytes(*head) {
        at = at.wrapping_add(take_ivarint(&mut rest)?);
        let histogram = Arc::new(take_histogram(&mut rest, previous.as_deref())?);
        if visit(at, &histogram).is_break() {
            break;
        }
        previous = Some(histogram);
    }
    Some(())
}

/// Writes one histogram, shorter if it resembles the one before.
pub(crate) fn put_histogram(out: &mut Vec<u8>, histogram: &Histogram, previous: Option<&Histogram>) {
    let previous = previous.filter(|previous| same_layout(previous, histogram));
    let whole = counts(histogram).all(is_whole);
    let hint = match histogram.counter_reset_hint {
        CounterResetHint::Unknown => 0,
        CounterResetHint::Reset => 1,
        CounterResetHint::NotReset => 2,
        CounterResetHint::Gauge => 3,
    };
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    out.push(flag(previous.is_some(), SAME_LAYOUT) | flag(whole, WHOLE) | hint << HINT_SHIFT);
    if previous.is_none() {
        put_layout(out, histogram);
    }
    put_f64(out, histogram.sum);
    if !whole {
        for count in counts(histogram) {
            put_f64(out, count);
        }
        return;
    }
    let base = previous.filter(|previous| counts(previous).all(is_whole));
    let mut before = base.into_iter().flat_map(counts);
    for count in counts(histogram) {
        let from = before.next().unwrap_or(0.0) as i64;
        put_ivarint(out, count as i64 - from);
    }
}

/// Reads one histogram. `previous` must be the one that was given when it was written.
pub(crate) fn take_histogram(bytes: &mut &[u8], previous: Option<&Histogram>) -> Option<Histogram> {
    let flags = take_byte(bytes)?;
    let same = flags & SAME_LAYOUT != 0;
    let previous = if same { Some(previous?) } else { None };
    let mut histogram = match previous {
        Some(previous) => previous.clone(),
        None => take_layout(bytes)?,
    };
    histogram.counter_reset_hint = match flags >> HINT_SHIFT & 3 {
        0 => CounterResetHint::Unknown,
        1 => CounterResetHint::Reset,
        2 => CounterResetHint::NotReset,
        _ => CounterResetHint::Gauge,
    };
    histogram.sum = take_f64(bytes)?;
    let whole = flags & WHOLE != 0;
    let differences = previous.is_some_and(|previous| counts(previous).all(is_whole));
    let mut read = |before: f64| -> Option<f64> {
        if !whole {
            return take_f64(bytes);
        }
        let from = if differences { before as i64 } else { 0 };
        Some(from.wrapping_add(take_ivarint(bytes)?) as f64)
    };
    histogram.count = read(histogram.count)?;
    histogram.zero_count = read(histogram.zero_count)?;
    for bucket in histogram.positive_buckets.iter_mut().chain(&mut histogram.negative_buckets) {
        *bucket = read(*bucket)?;
    }
    Some(histogram)
}

fn put_f64(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(&value.to_bits().to_be_bytes());
}

/// Negative zero is not whole: it would come back as zero.
fn is_whole(count: f64) -> bool {
    count.abs() <= WHOLE_MAX && (count as i64 as f64).to_bits() == count.to_bits()
}

fn counts(histogram: &Histogram) -> impl Iterator<Item = f64> + '_ {
    [histogram.count, histogram.zero_count]
        .into_iter()
        .chain(histogram.positive_buckets.iter().copied())
        .chain(histogram.negative_buckets.iter().copied())
}

fn same_layout(a: &Histogram, b: &Histogram) -> bool {
    let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    a.schema == b.schema
        && a.zero_threshold.to_bits() == b.zero_threshold.to_bits()
        && a.positive_spans == b.positive_spans
        && a.negative_spans == b.negative_spans
        && a.positive_buckets.len() == b.positive_buckets.len()
        && a.negative_buckets.len() == b.negative_buckets.len()
        && bits(&a.custom_values) == bits(&b.custom_values)
}

fn put_layout(out: &mut Vec<u8>, histogram: &Histogram) {
    put_ivarint(out, i64::from(histogram.schema));
    put_f64(out, histogram.zero_threshold);
    let sides = [
        (&histogram.positive_spans, histogram.positive_buckets.len()),
        (&histogram.negative_spans, histogram.negative_buckets.len()),
    ];
    for (spans, buckets) in sides {
        put_uvarint(out, spans.len() as u64);
        for span in spans {
            put_ivarint(out, i64::from(span.offset));
            put_uvarint(out, u64::from(span.length));
        }
        put_uvarint(out, buckets as u64);
    }
    put_uvarint(out, histogram.custom_values.len() as u64);
    for bound in &histogram.custom_values {
        put_f64(out, *bound);
    }
}

fn take_layout(bytes: &mut &[u8]) -> Option<Histogram> {
    let schema = i32::try_from(take_ivarint(bytes)?).ok()?;
    let zero_threshold = take_f64(bytes)?;
    let (positive_spans, positive_buckets) = take_side(bytes)?;
    let (negative_spans, negative_buckets) = take_side(bytes)?;
    let bounds = take_uvarint(bytes)?;
    let mut bounds_bytes = take_slice(bytes, bounds.checked_mul(8)?)?;
    let mut custom_values = Vec::with_capacity(bounds as usize);
    while let Some(bound) = take_f64(&mut bounds_bytes) {
        custom_values.push(bound);
    }
    Some(Histogram {
        schema,
        zero_threshold,
        positive_spans,
        positive_buckets,
        negative_spans,
        negative_buckets,
        custom_values,
        ..Histogram::default()
    })
}

fn take_side(bytes: &mut &[u8]) -> Option<(Vec<BucketSpan>, Vec<f64>)> {
    let mut spans = Vec::new();
    for _ in 0..take_uvarint(bytes)? {
        let offset = i32::try_from(take_ivarint(bytes)?).ok()?;
        let length = u32::try_from(take_uvarint(bytes)?).ok()?;
        spans.push(BucketSpan { offset, length });
    }
    let buckets = take_uvarint(bytes)?;
    // Each bucket takes a byte at least: no length can ask for more memory than a few times what is there.
    let buckets = usize::try_from(buckets).ok().filter(|buckets| *buckets <= bytes.len())?;
    Some((spans, vec![0.0; buckets]))
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![(0..1000i32).prop_map(f64::from), any::<u64>().prop_map(f64::from_bits), Just(-0.0)]
    }

    fn side(buckets: usize) -> impl Strategy<Value = (Vec<BucketSpan>, Vec<f64>)> {
        let spans = prop::collection::vec(
            (any::<i32>(), any::<u32>()).prop_map(|(offset, length)| BucketSpan { offset, length }),
            0..3,
        );
        let whole = prop::collection::vec((0..1000i32).prop_map(f64::from), buckets);
        (spans, prop_oneof![3 => whole, 1 => prop::collection::vec(number(), buckets)])
    }

    pub(crate) fn histogram() -> impl Strategy<Value = Histogram> {
        let hint = prop_oneof![
            Just(CounterResetHint::Unknown),
            Just(CounterResetHint::Reset),
            Just(CounterResetHint::NotReset),
            Just(CounterResetHint::Gauge)
        ];
        let custom = prop::collection::vec(number(), 0..3);
        let numbers = (-53..9, number(), number(), number(), number());
        (numbers, 0usize..5, 0usize..3, custom, hint).prop_flat_map(|(numbers, p, n, custom, hint)| {
            (side(p), side(n)).prop_map(move |(positive, negative)| Histogram {
                schema: numbers.0,
                zero_threshold: numbers.1,
                zero_count: numbers.2,
                count: numbers.3,
                sum: numbers.4,
                positive_spans: positive.0,
                positive_buckets: positive.1,
                negative_spans: negative.0,
                negative_buckets: negative.1,
                custom_values: custom.clone(),
                counter_reset_hint: hint,
            })
        })
    }

    fn chunk(samples: &[(i64, Arc<Histogram>)]) -> Vec<u8> {
        let mut encoder = HistogramEncoder::new();
        for (at, histogram) in samples {
            encoder.push(*at, histogram);
        }
        encoder.bytes().to_vec()
    }

    fn decoded(bytes: &[u8]) -> Option<Vec<(i64, Arc<Histogram>)>> {
        let mut samples = Vec::new();
        decode(bytes, |at, histogram| {
            samples.push((at, Arc::clone(histogram)));
            ControlFlow::Continue(())
        })?;
        Some(samples)
    }

    #[test]
    fn a_growing_histogram_takes_few_bytes() {
        let grown = |n: u32| {
            let buckets = (0..20).map(|b| f64::from(b * n)).collect::<Vec<_>>();
            Arc::new(Histogram {
                schema: 3,
                count: buckets.iter().sum(),
                sum: f64::from(n) * 1.5,
                positive_spans: vec![BucketSpan { offset: -3, length: 20 }],
                positive_buckets: buckets,
                ..Histogram::default()
            })
        };
        let samples: Vec<_> = (0..100).map(|n| (i64::from(n) * 15_000, grown(n as u32))).collect();
        let bytes = chunk(&samples);
        assert!(bytes.len() < 100 * 40, "{}", bytes.len());
        assert_eq!(decoded(&bytes).unwrap(), samples);
    }

    proptest! {
        #[test]
        fn histograms_come_back_bit_for_bit(
            samples in prop::collection::vec((any::<i64>(), histogram().prop_map(Arc::new)), 0..20),
            repeats in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
        ) {
            let mut samples = samples;
            for repeat in repeats.iter().filter(|_| !samples.is_empty()).collect::<Vec<_>>() {
                let mut again = samples[repeat.index(samples.len())].clone();
                Arc::make_mut(&mut again.1).count += 1.0;
                let at = repeat.index(samples.len());
                samples.insert(at, again);
            }
            prop_assert_eq!(decoded(&chunk(&samples)), Some(samples));
        }

        #[test]
        fn any_bytes_decode_or_not_but_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decoded(&bytes);
            let mut rest = &bytes[..];
            let _ = take_histogram(&mut rest, None);
        }
    }
}
