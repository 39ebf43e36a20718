//! XOR chunks: floats at increasing times, as in "Gorilla" (Pelkonen et al., VLDB 2015), in the layout that Prometheus
//! writes (its encoding 1), bit for bit.
//!
//! ```text
//! 2 bytes          number of samples, big-endian
//! first sample     time: zig-zag LEB128; value: 64 bits
//! second sample    time since the first: LEB128; value: as below
//! further samples  change of the time step, then value:
//!     0                        no change
//!     10   + 14 bits           -8191 ..= 8192
//!     110  + 17 bits           -65535 ..= 65536
//!     1110 + 20 bits           -524287 ..= 524288
//!     1111 + 64 bits           anything
//!   value, XORed with the one before:
//!     0                        equal
//!     10 + n bits              the n bits in the window of the value before; its other bits are zero
//!     11 + 5 bits + 6 bits + n number of leading zeros (31 at most), n (0 means 64), the n bits in that window
//! ```
//!
//! In: times in ascending order. Arithmetic wraps, so that any `i64` comes back.

use model::{FloatSample, Timestamp};

use crate::bits::{BitReader, BitWriter, put_ivarint, put_uvarint, take_f64, take_ivarint, take_uvarint};

/// No window yet: fewer leading zeros than any value has are needed to use one.
const NO_WINDOW: u32 = 0xff;

/// A chunk that is being written.
#[derive(Clone, Debug)]
pub(crate) struct XorEncoder {
    bits: BitWriter,
    samples: u16,
    at: i64,
    step: u64,
    value: u64,
    leading: u32,
    trailing: u32,
}

impl XorEncoder {
    pub(crate) fn new() -> Self {
        let mut bytes = Vec::with_capacity(64);
        bytes.extend_from_slice(&[0, 0]);
        XorEncoder {
            bits: BitWriter::with_bytes(bytes),
            samples: 0,
            at: 0,
            step: 0,
            value: 0,
            leading: NO_WINDOW,
            trailing: 0,
        }
    }

    /// The chunk so far; readable at any time.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bits.bytes()
    }

    pub(crate) fn push(&mut self, at: i64, value: f64) {
        let value = value.to_bits();
        match self.samples {
            0 => {
                let mut time = Vec::with_capacity(10);
                put_ivarint(&mut time, at);
                self.write_bytes(&time);
                self.bits.write(value, 64);
            }
            1 => {
                self.step = at.wrapping_sub(self.at) as u64;
                let mut time = Vec::with_capacity(10);
                put_uvarint(&mut time, self.step);
                self.write_bytes(&time);
                self.write_value(value);
            }
            _ => {
                let step = at.wrapping_sub(self.at) as u64;
                self.write_step_change(step.wrapping_sub(self.step) as i64);
                self.step = step;
                self.write_value(value);
            }
        }
        self.at = at;
        self.value = value;
        self.samples += 1;
        self.bits.bytes_mut()[..2].copy_from_slice(&self.samples.to_be_bytes());
    }

    fn write_bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.bits.write(u64::from(*byte), 8);
        }
    }

    fn write_step_change(&mut self, change: i64) {
        let fits = |bits: u32| (-((1i64 << (bits - 1)) - 1)..=1i64 << (bits - 1)).contains(&change);
        if change == 0 {
            self.bits.write(0, 1);
        } else if fits(14) {
            self.bits.write(0b10, 2);
            self.bits.write(change as u64, 14);
        } else if fits(17) {
            self.bits.write(0b110, 3);
            self.bits.write(change as u64, 17);
        } else if fits(20) {
            self.bits.write(0b1110, 4);
            self.bits.write(change as u64, 20);
        } else {
            self.bits.write(0b1111, 4);
            self.bits.write(change as u64, 64);
        }
    }

    fn write_value(&mut self, value: u64) {
        let xor = value ^ self.value;
        if xor == 0 {
            self.bits.write(0, 1);
            return;
        }
        let leading = xor.leading_zeros().min(31);
        let trailing = xor.trailing_zeros();
        if self.leading != NO_WINDOW && leading >= self.leading && trailing >= self.trailing {
            self.bits.write(0b10, 2);
            self.bits.write(xor >> self.trailing, 64 - self.leading - self.trailing);
            return;
        }
        (self.leading, self.trailing) = (leading, trailing);
        let significant = 64 - leading - trailing;
        self.bits.write(0b11, 2);
        self.bits.write(u64::from(leading), 5);
        self.bits.write(u64::from(significant), 6);
        self.bits.write(xor >> trailing, significant);
    }
}

/// Appends the samples from `start` to `end`, both included. `None` if the bytes are not a chunk.
///
/// A sample's bits are mostly in one word, which is looked at in place.
pub(crate) fn decode(bytes: &[u8], start: i64, end: i64, out: &mut Vec<FloatSample>) -> Option<()> {
    let (head, mut rest) = bytes.split_first_chunk::<2>()?;
    let samples = u16::from_be_bytes(*head);
    if samples == 0 {
        return Some(());
    }
    let mut at = take_ivarint(&mut rest)?;
    let mut value = take_f64(&mut rest)?.to_bits();
    let mut keep = |at: i64, value: u64| {
        if at >= start && at <= end {
            out.push(FloatSample { at: Timestamp::from_millis(at), value: f64::from_bits(value) });
        }
    };
    keep(at, value);
    if samples == 1 || at >= end {
        return Some(());
    }
    let mut step = take_uvarint(&mut rest)?;
    let mut bits = BitReader::new(rest);
    // The window of the values' bits: how many there are, and how many zeros follow.
    let (mut significant, mut trailing) = (64u32, 0u32);
    for number in 1..samples {
        let mut word = bits.peek();
        let mut seen = 0;
        if number > 1 {
            if word >> 63 == 0 {
                (word, seen) = (word << 1, 1);
            } else {
                step = step.wrapping_add(read_step_change(&mut bits, word) as u64);
                word = bits.peek();
            }
        }
        at = at.wrapping_add(step as i64);
        if word >> 63 == 0 {
            bits.skip(seen + 1);
        } else {
            let control = if word >> 62 == 0b10 {
                2
            } else {
                let leading = (word << 2 >> 59) as u32;
                significant = match (word << 7 >> 58) as u32 {
                    0 => 64,
                    n => n,
                };
                trailing = 64u32.checked_sub(leading + significant)?;
                13
            };
            bits.skip(seen + control);
            let xor = if significant + seen + control <= BitReader::PEEKED {
                bits.skip(significant);
                word << control >> (64 - significant)
            } else {
                bits.read(significant)
            };
            value ^= xor << trailing;
        }
        if bits.is_overrun() {
            return None;
        }
        keep(at, value);
        if at >= end {
            break;
        }
    }
    Some(())
}

/// The change of the step that `word` begins with, whose first bit is 1.
#[inline]
fn read_step_change(bits: &mut BitReader<'_>, word: u64) -> i64 {
    let (size, prefix) = match word >> 60 {
        0b1111 => (64, 4),
        0b1110 => (20, 4),
        0b1100 | 0b1101 => (17, 3),
        _ => (14, 2),
    };
    bits.skip(prefix);
    let raw = bits.read(size);
    // The range of n bits is one up from two's complement: its highest number is 2^(n-1), not -2^(n-1).
    let wraps = size < 64 && raw > 1 << (size - 1);
    if wraps { raw as i64 - (1i64 << size) } else { raw as i64 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encode(samples: &[(i64, f64)]) -> Vec<u8> {
        let mut encoder = XorEncoder::new();
        for (at, value) in samples {
            encoder.push(*at, *value);
        }
        encoder.bytes().to_vec()
    }

    fn decoded(bytes: &[u8]) -> Option<Vec<(i64, u64)>> {
        let mut samples = Vec::new();
        decode(bytes, i64::MIN, i64::MAX, &mut samples)?;
        Some(samples.into_iter().map(|sample| (sample.at.as_millis(), sample.value.to_bits())).collect())
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    /// Worked out by hand from the drawing above.
    #[test]
    fn is_drawn_as_it_is_written() {
        for (samples, bytes) in [
            (vec![], "0000"),
            // 2 is 1 in zig-zag; 1.0 is 3ff0….
            (vec![(1, 1.0)], "0001023ff0000000000000"),
            // Step 15; equal value: one bit, 0.
            (vec![(1, 1.0), (16, 1.0)], "0002023ff00000000000000f00"),
            // Step 15 again (0), then 2.0: 3ff0… ^ 4000… = 7ff0…: 1 leading zero, 11 bits: 11 00001 001011 11111111111.
            (vec![(1, 1.0), (16, 1.0), (31, 2.0)], "0003023ff00000000000000f3097ffc0"),
            // Step one shorter: 10 and -1 in 14 bits, equal value.
            (vec![(1, 1.0), (16, 1.0), (30, 1.0)], "0003023ff00000000000000f5fff80"),
        ] {
            assert_eq!(hex(&encode(&samples)), bytes, "{samples:?}");
        }
    }

    #[test]
    fn every_step_change_at_the_edges_of_its_size_comes_back() {
        for edge in [1i64 << 13, 1 << 16, 1 << 19, 1 << 40] {
            for change in [-edge - 1, -edge, -edge + 1, -1, 1, edge - 1, edge, edge + 1] {
                let samples = [(0, 1.0), (1 << 50, 1.0), ((2 << 50) + change, 1.0), (4 << 50, 2.0)];
                let expected: Vec<_> = samples.iter().map(|(t, v)| (*t, f64::to_bits(*v))).collect();
                assert_eq!(decoded(&encode(&samples)).unwrap(), expected, "{change}");
            }
        }
    }

    #[test]
    fn a_cut_chunk_is_none() {
        let bytes = encode(&[(1, 1.5), (2, 2.5), (3, f64::NAN)]);
        for len in 0..bytes.len() - 1 {
            assert_eq!(decoded(&bytes[..len]), None, "{len}");
        }
    }

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            (0..100i32).prop_map(f64::from),
            any::<f64>(),
            any::<u64>().prop_map(f64::from_bits),
            Just(f64::from_bits(model::STALE_NAN_BITS)),
            Just(-0.0),
        ]
    }

    fn step() -> impl Strategy<Value = i64> {
        prop_oneof![Just(15_000), 14_990..15_010i64, 1..1_000_000i64, any::<i64>()]
    }

    proptest! {
        #[test]
        fn samples_come_back_bit_for_bit(
            first in any::<i64>(),
            rest in prop::collection::vec((step(), value()), 1..200),
        ) {
            let mut at = first;
            let samples: Vec<(i64, f64)> = rest.into_iter().map(|(step, value)| {
                at = at.wrapping_add(step);
                (at, value)
            }).collect();
            let expected: Vec<_> = samples.iter().map(|(at, value)| (*at, value.to_bits())).collect();
            prop_assert_eq!(decoded(&encode(&samples)), Some(expected));
        }

        #[test]
        fn any_bytes_decode_or_not_but_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decoded(&bytes);
        }
    }
}
