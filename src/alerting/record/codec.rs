//! Bytes of records, field by field.

use model::Timestamp;

use super::RecordError;

pub(super) struct Writer {
    bytes: Vec<u8>,
}

impl Default for Writer {
    /// With room for most records, so that they need not grow.
    fn default() -> Self {
        Writer { bytes: Vec::with_capacity(256) }
    }
}

impl Writer {
    pub(super) fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    pub(super) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }

    pub(super) fn time(&mut self, time: Timestamp) {
        let millis = time.as_millis();
        self.number(((millis << 1) ^ (millis >> 63)) as u64);
    }

    pub(super) fn fixed(&mut self, number: u64) {
        self.bytes.extend(number.to_le_bytes());
    }

    pub(super) fn float(&mut self, value: f64) {
        self.fixed(value.to_bits());
    }

    pub(super) fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.bytes.extend(text.as_bytes());
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes, at: 0 }
    }

    pub(super) fn damaged(&self, what: &'static str) -> RecordError {
        RecordError::Damaged { at: self.at, what }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], RecordError> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..count).ok_or_else(|| self.damaged("it ends too early"))?;
        self.at += count;
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, RecordError> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn number(&mut self) -> Result<u64, RecordError> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(self.damaged("a number has too many digits"))
    }

    pub(super) fn time(&mut self) -> Result<Timestamp, RecordError> {
        let number = self.number()?;
        Ok(Timestamp::from_millis((number >> 1) as i64 ^ -((number & 1) as i64)))
    }

    pub(super) fn fixed(&mut self) -> Result<u64, RecordError> {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(self.take(8)?);
        Ok(u64::from_le_bytes(bytes))
    }

    pub(super) fn float(&mut self) -> Result<f64, RecordError> {
        Ok(f64::from_bits(self.fixed()?))
    }

    pub(super) fn text(&mut self) -> Result<&'a str, RecordError> {
        let len = usize::try_from(self.number()?).map_err(|_| self.damaged("a text is too long"))?;
        let bytes = self.take(len)?;
        std::str::from_utf8(bytes).map_err(|_| self.damaged("a text is not UTF-8"))
    }

    pub(super) fn list<T>(
        &mut self,
        item: impl Fn(&mut Self) -> Result<T, RecordError>,
    ) -> Result<Vec<T>, RecordError> {
        let len = usize::try_from(self.number()?).map_err(|_| self.damaged("a list is too long"))?;
        // Every item takes at least a byte: a length beyond that is damage, and must not allocate.
        if len > self.bytes.len() - self.at {
            return Err(self.damaged("a list is longer than the record"));
        }
        (0..len).map(|_| item(self)).collect()
    }
}
