//! Snapshots of alert state as bytes.
//!
//! ```text
//! snapshot  version u8 = 1 · at i64 · count · rule…
//! rule      identity text · count · alert…
//! alert     labels pairs · annotations pairs · value f64 bits u64 · state
//! state     1 since i64                                       pending
//!           2 since i64 · fired_at i64 · 0 | 1 kept_since i64  firing
//!           3 since i64 · fired_at i64 · at i64                resolved
//! pairs     count · (name text · value text)…
//! text      count · that many bytes of UTF-8
//! ```
//!
//! Numbers are little-endian; `count` is LEB128. Times are milliseconds since the Unix epoch. A later version is refused
//! by this code, and an earlier one is read by every later code.

use model::{Annotations, Labels, Timestamp};

use crate::{ActiveAlert, AlertState, RuleSnapshot, Snapshot};

const VERSION: u8 = 1;

/// Bytes that are not a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Written by a later version.
    #[error("alert state of version {0} cannot be read by this program; it was written by a newer one")]
    Version(u8),
    /// Damaged.
    #[error("alert state is damaged at byte {at}: {what}")]
    Damaged {
        /// Where reading stopped.
        at: usize,
        /// What was expected there.
        what: &'static str,
    },
}

/// The bytes of a snapshot.
pub fn encode(snapshot: &Snapshot) -> Vec<u8> {
    let mut out = vec![VERSION];
    put_time(&mut out, snapshot.at);
    put_count(&mut out, snapshot.rules.len());
    for rule in &snapshot.rules {
        put_text(&mut out, &rule.identity);
        put_count(&mut out, rule.alerts.len());
        for alert in &rule.alerts {
            put_alert(&mut out, alert);
        }
    }
    out
}

/// The snapshot in `bytes`.
pub fn decode(bytes: &[u8]) -> Result<Snapshot, RecordError> {
    let mut reader = Reader { bytes, at: 0 };
    let version = reader.byte("a version")?;
    if version != VERSION {
        return Err(RecordError::Version(version));
    }
    let at = reader.time()?;
    let mut rules = Vec::new();
    for _ in 0..reader.count()? {
        let identity = reader.text()?;
        let mut alerts = Vec::new();
        for _ in 0..reader.count()? {
            alerts.push(reader.alert()?);
        }
        rules.push(RuleSnapshot { identity, alerts });
    }
    if reader.at != bytes.len() {
        return Err(reader.damaged("nothing after the last rule"));
    }
    Ok(Snapshot { at, rules })
}

fn put_count(out: &mut Vec<u8>, mut count: usize) {
    while count >= 0x80 {
        out.push(count as u8 | 0x80);
        count >>= 7;
    }
    out.push(count as u8);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_count(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

fn put_time(out: &mut Vec<u8>, at: Timestamp) {
    out.extend_from_slice(&at.as_millis().to_le_bytes());
}

fn put_alert(out: &mut Vec<u8>, alert: &ActiveAlert) {
    put_count(out, alert.labels.len());
    for (name, value) in &alert.labels {
        put_text(out, name);
        put_text(out, value);
    }
    put_count(out, alert.annotations.len());
    for (name, value) in &alert.annotations {
        put_text(out, name);
        put_text(out, value);
    }
    out.extend_from_slice(&alert.value.to_bits().to_le_bytes());
    match alert.state {
        AlertState::Pending { since } => {
            out.push(1);
            put_time(out, since);
        }
        AlertState::Firing { since, fired_at, kept_since } => {
            out.push(2);
            put_time(out, since);
            put_time(out, fired_at);
            out.push(u8::from(kept_since.is_some()));
            if let Some(kept_since) = kept_since {
                put_time(out, kept_since);
            }
        }
        AlertState::Resolved { since, fired_at, at } => {
            out.push(3);
            put_time(out, since);
            put_time(out, fired_at);
            put_time(out, at);
        }
    }
}

/// Reads fields one after the other.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn damaged(&self, what: &'static str) -> RecordError {
        RecordError::Damaged { at: self.at, what }
    }

    fn byte(&mut self, what: &'static str) -> Result<u8, RecordError> {
        let byte = *self.bytes.get(self.at).ok_or_else(|| self.damaged(what))?;
        self.at += 1;
        Ok(byte)
    }

    fn word(&mut self) -> Result<[u8; 8], RecordError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let word = rest.first_chunk::<8>().ok_or_else(|| self.damaged("eight bytes"))?;
        self.at += 8;
        Ok(*word)
    }

    fn count(&mut self) -> Result<usize, RecordError> {
        let (mut count, mut shift) = (0u64, 0);
        loop {
            let byte = self.byte("a count")?;
            count |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                // Everything that is counted takes at least a byte: a larger count is damage, not a reason to allocate.
                let fits = usize::try_from(count).ok().filter(|count| *count <= self.bytes.len());
                return fits.ok_or_else(|| self.damaged("a smaller count"));
            }
            shift += 7;
            if shift > 56 {
                return Err(self.damaged("a shorter count"));
            }
        }
    }

    fn text(&mut self) -> Result<String, RecordError> {
        let len = self.count()?;
        let bytes = self.bytes.get(self.at..self.at + len).ok_or_else(|| self.damaged("a text"))?;
        let text = std::str::from_utf8(bytes).map_err(|_| self.damaged("UTF-8"))?;
        self.at += len;
        Ok(text.to_owned())
    }

    fn time(&mut self) -> Result<Timestamp, RecordError> {
        Ok(Timestamp::from_millis(i64::from_le_bytes(self.word()?)))
    }

    fn pairs(&mut self) -> Result<Vec<(String, String)>, RecordError> {
        let mut pairs = Vec::new();
        for _ in 0..self.count()? {
            pairs.push((self.text()?, self.text()?));
        }
        Ok(pairs)
    }

    fn alert(&mut self) -> Result<ActiveAlert, RecordError> {
        let labels = Labels::from_pairs(self.pairs()?);
        let annotations: Annotations = self.pairs()?.into_iter().collect();
        let value = f64::from_bits(u64::from_le_bytes(self.word()?));
        let state = match self.byte("a state")? {
            1 => AlertState::Pending { since: self.time()? },
            2 => {
                let (since, fired_at) = (self.time()?, self.time()?);
                let kept_since = match self.byte("0 or 1")? {
                    0 => None,
                    1 => Some(self.time()?),
                    _ => return Err(self.damaged("0 or 1")),
                };
                AlertState::Firing { since, fired_at, kept_since }
            }
            3 => AlertState::Resolved { since: self.time()?, fired_at: self.time()?, at: self.time()? },
            _ => return Err(self.damaged("a state")),
        };
        Ok(ActiveAlert { labels, annotations, state, value })
    }
}
