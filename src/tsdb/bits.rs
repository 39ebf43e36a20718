//! Bits, most significant first, and variable-length integers, as chunks and log records use them.
//!
//! In: numbers. Out: bytes, and back. Reading past the end is `None`, never a panic.

/// Appends bits to bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits of the last byte that are not used yet.
    free: u32,
}

impl BitWriter {
    pub(crate) fn with_bytes(bytes: Vec<u8>) -> Self {
        BitWriter { bytes, free: 0 }
    }

    /// The lowest `count` bits of `value`, at most 64.
    pub(crate) fn write(&mut self, value: u64, count: u32) {
        let mut left = count;
        while left > 0 {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            let taken = left.min(self.free);
            let part = (value >> (left - taken)) & (u64::MAX >> (64 - taken));
            if let Some(last) = self.bytes.last_mut() {
                *last |= (part << (self.free - taken)) as u8;
            }
            self.free -= taken;
            left -= taken;
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

/// Takes bits from bytes.
#[derive(Clone, Debug)]
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    /// The next bits, the first of them highest.
    buffer: u64,
    /// How many bits the buffer holds. Below zero after more were skipped than there are.
    held: i32,
}

impl<'a> BitReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        BitReader { bytes, buffer: 0, held: 0 }
    }

    /// Brings the buffer to 56 bits at least, as long as there are bytes.
    #[inline]
    pub(crate) fn fill(&mut self) {
        if self.held >= 56 || self.held < 0 {
            return;
        }
        if let Some(eight) = self.bytes.first_chunk::<8>() {
            // Bits beyond those that are counted are written again with the same values by the next fill.
            self.buffer |= u64::from_be_bytes(*eight) >> self.held;
            let taken = (63 - self.held) / 8;
            self.bytes = &self.bytes[taken as usize..];
            self.held += taken * 8;
            return;
        }
        self.fill_from_rest();
    }

    #[cold]
    fn fill_from_rest(&mut self) {
        while self.held <= 56 {
            let Some((byte, rest)) = self.bytes.split_first() else { return };
            self.buffer |= u64::from(*byte) << (56 - self.held);
            self.held += 8;
            self.bytes = rest;
        }
    }

    /// The next bits without taking them: `count` from 1 to 64. What the buffer does not hold is zero.
    #[inline]
    pub(crate) fn peek(&self, count: u32) -> u64 {
        self.buffer >> (64 - count)
    }

    /// Takes bits, fewer than 64, that were looked at.
    #[inline]
    pub(crate) fn skip(&mut self, count: u32) {
        self.buffer <<= count;
        self.held -= count as i32;
    }

    /// Whether more bits were skipped than there are.
    #[inline]
    pub(crate) fn is_overrun(&self) -> bool {
        self.held < 0
    }

    /// The next `count` bits, at most 64.
    #[inline(always)]
    pub(crate) fn read(&mut self, count: u32) -> Option<u64> {
        if count > 56 {
            let high = self.read_short(count - 32)?;
            return Some(high << 32 | self.read_short(32)?);
        }
        self.read_short(count)
    }

    /// The next `count` bits, at most 56.
    #[inline(always)]
    fn read_short(&mut self, count: u32) -> Option<u64> {
        if self.held < count as i32 {
            self.fill();
            if self.held < count as i32 {
                return None;
            }
        }
        // Two shifts, since a shift by all 64 bits is none.
        let value = self.buffer >> 1 >> (63 - count);
        self.buffer <<= count;
        self.held -= count as i32;
        Some(value)
    }

    /// A variable-length integer whose bytes are taken from the bits.
    pub(crate) fn read_uvarint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = self.read(8)?;
            value |= (byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

/// LEB128.
pub(crate) fn put_uvarint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// LEB128 of the number with its sign in the lowest bit.
pub(crate) fn put_ivarint(out: &mut Vec<u8>, value: i64) {
    put_uvarint(out, zigzag(value));
}

pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

pub(crate) fn take_byte(bytes: &mut &[u8]) -> Option<u8> {
    let (byte, rest) = bytes.split_first()?;
    *bytes = rest;
    Some(*byte)
}

pub(crate) fn take_uvarint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..70).step_by(7) {
        let byte = take_byte(bytes)?;
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

pub(crate) fn take_ivarint(bytes: &mut &[u8]) -> Option<i64> {
    take_uvarint(bytes).map(unzigzag)
}

pub(crate) fn take_slice<'a>(bytes: &mut &'a [u8], len: u64) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(usize::try_from(len).ok()?)?;
    *bytes = rest;
    Some(taken)
}

pub(crate) fn take_f64(bytes: &mut &[u8]) -> Option<f64> {
    let (eight, rest) = bytes.split_first_chunk::<8>()?;
    *bytes = rest;
    Some(f64::from_bits(u64::from_be_bytes(*eight)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bits_come_back(parts in prop::collection::vec((any::<u64>(), 0u32..=64), 0..100)) {
            let mut writer = BitWriter::default();
            for (value, count) in &parts {
                writer.write(*value, *count);
            }
            let mut reader = BitReader::new(writer.bytes());
            for (value, count) in &parts {
                let expected = if *count == 0 { 0 } else { value & (u64::MAX >> (64 - count)) };
                prop_assert_eq!(reader.read(*count), Some(expected));
            }
            prop_assert_eq!(reader.read(8), None);
        }

        #[test]
        fn integers_come_back(values in prop::collection::vec(any::<i64>(), 0..20)) {
            let mut out = Vec::new();
            for value in &values {
                put_ivarint(&mut out, *value);
            }
            let mut bytes = &out[..];
            for value in &values {
                prop_assert_eq!(take_ivarint(&mut bytes), Some(*value));
            }
            prop_assert_eq!(take_ivarint(&mut bytes), None);
        }
    }
}
