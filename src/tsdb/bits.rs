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

/// Takes bits from bytes. All it knows is its place, so that little has to be kept while a chunk is read.
#[derive(Clone, Debug)]
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    /// The next bit.
    at: usize,
}

impl<'a> BitReader<'a> {
    /// So many of the bits that [`BitReader::peek`] shows are certain.
    pub(crate) const PEEKED: u32 = 57;

    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        BitReader { bytes, at: 0 }
    }

    /// The next bits without taking them, the first of them highest. Behind the end there are zeros.
    #[inline(always)]
    pub(crate) fn peek(&self) -> u64 {
        let rest = self.bytes.get(self.at / 8..).unwrap_or_default();
        let word = match rest.first_chunk::<8>() {
            Some(eight) => u64::from_be_bytes(*eight),
            None => peek_end(rest),
        };
        word << (self.at % 8)
    }

    /// Takes bits that were looked at.
    #[inline(always)]
    pub(crate) fn skip(&mut self, count: u32) {
        self.at += count as usize;
    }

    /// Whether more bits were taken than there are.
    #[inline(always)]
    pub(crate) fn is_overrun(&self) -> bool {
        self.at > self.bytes.len() * 8
    }

    /// The next `count` bits, from 1 to 64; zeros behind the end.
    #[inline]
    pub(crate) fn read(&mut self, count: u32) -> u64 {
        if count > Self::PEEKED {
            let high = self.read(count - 32);
            return high << 32 | self.read(32);
        }
        let value = self.peek() >> (64 - count);
        self.skip(count);
        value
    }
}

#[cold]
fn peek_end(rest: &[u8]) -> u64 {
    let mut eight = [0; 8];
    eight[..rest.len()].copy_from_slice(rest);
    u64::from_be_bytes(eight)
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
        fn bits_come_back(parts in prop::collection::vec((any::<u64>(), 1u32..=64), 0..100)) {
            let mut writer = BitWriter::default();
            for (value, count) in &parts {
                writer.write(*value, *count);
            }
            let mut reader = BitReader::new(writer.bytes());
            for (value, count) in &parts {
                prop_assert_eq!(reader.read(*count), value & (u64::MAX >> (64 - count)));
                prop_assert!(!reader.is_overrun());
            }
            prop_assert_eq!(reader.peek() >> 56, 0);
            reader.skip(8);
            prop_assert!(reader.is_overrun());
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
