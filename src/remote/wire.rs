//! Protobuf as it stands in a message: numbered fields, read one by one, nothing copied.
//!
//! ```text
//! message  = { key value }        key: varint, field number × 8 + wire type
//! value    = varint               wire type 0
//!          | 8 bytes              wire type 1, little-endian
//!          | length { byte }      wire type 2
//!          | 4 bytes              wire type 5, little-endian
//! ```
//!
//! Fields may come in any order; unknown ones are skipped by whoever reads. Groups are not part of proto3.

/// Bytes that are not the message they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Malformed(pub(crate) &'static str);

const CUT_OFF: Malformed = Malformed("it ends in the middle of a field");

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
    Fixed32,
}

/// The fields of one message.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    #[inline]
    pub(crate) fn of(message: &'a [u8]) -> Self {
        Fields { rest: message }
    }

    /// What has not been read yet.
    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(CUT_OFF)?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next field, or `None` at the end.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<(u64, Value<'a>)>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = take_varint(&mut self.rest)?;
        let value = match key & 7 {
            0 => Value::Varint(take_varint(&mut self.rest)?),
            1 => {
                let (eight, rest) = self.rest.split_first_chunk::<8>().ok_or(CUT_OFF)?;
                self.rest = rest;
                Value::Fixed64(*eight)
            }
            2 => {
                let len = take_varint(&mut self.rest)?;
                Value::Bytes(self.take(usize::try_from(len).map_err(|_| CUT_OFF)?)?)
            }
            5 => {
                self.take(4)?;
                Value::Fixed32
            }
            _ => return Err(Malformed("a field has a wire type that does not exist")),
        };
        match key >> 3 {
            0 => Err(Malformed("a field has the number 0")),
            number => Ok(Some((number, value))),
        }
    }
}

#[inline]
pub(crate) fn take_varint(bytes: &mut &[u8]) -> Result<u64, Malformed> {
    let (mut value, mut shift) = (0u64, 0u32);
    let mut rest = *bytes;
    loop {
        let (byte, after) = rest.split_first().ok_or(CUT_OFF)?;
        rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            *bytes = rest;
            return Ok(value);
        }
        shift += 7;
        if shift > 63 {
            return Err(Malformed("a number is longer than ten bytes"));
        }
    }
}

/// A signed number in zig-zag form.
pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

impl<'a> Value<'a> {
    #[inline]
    pub(crate) fn varint(self) -> Result<u64, Malformed> {
        match self {
            Value::Varint(value) => Ok(value),
            _ => Err(Malformed("a field that should be a whole number is something else")),
        }
    }

    #[inline]
    pub(crate) fn double(self) -> Result<f64, Malformed> {
        match self {
            Value::Fixed64(bytes) => Ok(f64::from_le_bytes(bytes)),
            _ => Err(Malformed("a field that should be a floating-point number is something else")),
        }
    }

    #[inline]
    pub(crate) fn bytes(self) -> Result<&'a [u8], Malformed> {
        match self {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(Malformed("a field that should be a message or a text is something else")),
        }
    }

    /// A repeated whole number: one of them, or several packed together.
    pub(crate) fn each_varint(self, mut visit: impl FnMut(u64)) -> Result<(), Malformed> {
        match self {
            Value::Bytes(mut packed) => {
                while !packed.is_empty() {
                    visit(take_varint(&mut packed)?);
                }
            }
            other => visit(other.varint()?),
        }
        Ok(())
    }

    /// A repeated floating-point number: one of them, or several packed together.
    pub(crate) fn each_double(self, mut visit: impl FnMut(f64)) -> Result<(), Malformed> {
        match self {
            Value::Bytes(packed) => {
                let (eights, rest) = packed.as_chunks::<8>();
                if !rest.is_empty() {
                    return Err(CUT_OFF);
                }
                eights.iter().for_each(|eight| visit(f64::from_le_bytes(*eight)));
            }
            other => visit(other.double()?),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_fields_in_any_order_and_refuses_what_is_none() {
        let message = [0x10, 0x96, 0x01, 0x0a, 0x02, b'h', b'i', 0x3d, 1, 2, 3, 4];
        let mut fields = Fields::of(&message);
        assert_eq!(fields.next(), Ok(Some((2, Value::Varint(150)))));
        assert_eq!(fields.next(), Ok(Some((1, Value::Bytes(b"hi")))));
        assert_eq!(fields.next(), Ok(Some((7, Value::Fixed32))));
        assert_eq!(fields.next(), Ok(None));
        for bad in [
            &[0x0a, 5, 1][..],
            &[0x10],
            &[0x09, 1],
            &[0x0b],
            &[0x00, 1],
            &[0x10, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1],
        ] {
            assert!(Fields::of(bad).next().is_err(), "{bad:?}");
        }
        assert_eq!([0, 1, 2, 3].map(unzigzag), [0, -1, 1, -2]);
    }
}
