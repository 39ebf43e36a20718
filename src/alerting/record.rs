//! What alerting writes down, and how: keys and values of [`crate::Change`].
//!
//! In: alerts, silences, groups' timers and the notification log. Out: bytes, and back. Pure; every value starts with a
//! version. Readers ignore what follows the fields they know, so that a later program may append fields and an earlier one
//! still reads the rest; anything else needs another version.
//!
//! Numbers are LEB128 varints, signed ones zigzag first; a time is milliseconds since the epoch; a text is its length in
//! bytes and UTF-8; a list is its length and its items; an optional value is `0`, or `1` and the value.
//!
//! ```text
//! key      'A' labels                     alert          labels: list of (name text, value text), sorted by name
//!          'G' key text                   group
//!          'L' group text, receiver text, kind text, index  what an integration was told of a group
//!          'S' id text                    silence
//!
//! alert    1 starts ends updated flags [value: 8 bytes, IEEE 754, little endian] generator-URL annotations
//!          flags: 1 the end was assumed, 2 a flush found that it ended, 4 there is a value
//! group    1 next-flush flags             flags: 1 was flushed before
//! log      1 sequence optional(told) optional(attempt) optional(failed attempt)
//!          told:    at reason firing resolved held optional(remember text) keep-until
//!          attempt: at reason firing resolved
//!          firing, resolved, held: list of fingerprints, 8 bytes each, little endian, ascending
//!          reason: 0 first, 1 new alerts, 2 new resolved, 3 all resolved, 4 repeat
//! silence  1 list of lists of (name text, op, pattern text) starts ends updated created-by text comment text annotations
//!          op: 0 =, 1 !=, 2 =~, 3 !~
//! ```

mod codec;

use std::sync::Arc;

use model::{Alert, Annotations, Fingerprint, Labels, MatchOp, Matcher, NotifyReason};

use crate::Few;
use crate::notification_log::{Attempt, Destination, LogEntry, Told};
use crate::{Silence, SilenceId};
use codec::{Reader, Writer};

/// Bytes that are not a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// They end too early, or say something that cannot be.
    #[error("damaged at byte {at}: {what}")]
    Damaged {
        /// Where.
        at: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// A later program wrote them.
    #[error("written by a later version (format {0}); this program reads format {VERSION}")]
    Version(u8),
}

const VERSION: u8 = 1;

/// What a record is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Key {
    Alert(Labels),
    Group(Arc<str>),
    Log(Arc<str>, Destination),
    Silence(SilenceId),
}

impl Key {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        match self {
            Key::Alert(labels) => {
                writer.byte(b'A');
                writer.labels(labels);
            }
            Key::Group(key) => {
                writer.byte(b'G');
                writer.text(key);
            }
            Key::Log(group, destination) => {
                writer.byte(b'L');
                writer.text(group);
                writer.text(&destination.receiver);
                writer.text(&destination.kind);
                writer.number(destination.index as u64);
            }
            Key::Silence(id) => {
                writer.byte(b'S');
                writer.text(id.as_str());
            }
        }
        writer.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new(bytes);
        Ok(match reader.byte()? {
            b'A' => Key::Alert(reader.labels()?),
            b'G' => Key::Group(reader.text()?.into()),
            b'L' => {
                let group = reader.text()?.into();
                let (receiver, kind) = (reader.text()?.into(), reader.text()?.into());
                let index = reader.number()? as usize;
                Key::Log(group, Destination { receiver, kind, index })
            }
            b'S' => Key::Silence(SilenceId::new(reader.text()?)),
            _ => return Err(reader.damaged("unknown kind of record")),
        })
    }
}

/// An alert without its labels, which are its key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AlertRecord {
    pub alert: Alert,
    pub ended: bool,
}

/// A group's timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupRecord {
    pub next_flush: model::Timestamp,
    pub flushed: bool,
}

fn versioned() -> Writer {
    let mut writer = Writer::default();
    writer.byte(VERSION);
    writer
}

fn open(bytes: &[u8]) -> Result<Reader<'_>, RecordError> {
    let mut reader = Reader::new(bytes);
    match reader.byte()? {
        VERSION => Ok(reader),
        other => Err(RecordError::Version(other)),
    }
}

pub(crate) fn encode_alert(alert: &Alert, ended: bool) -> Vec<u8> {
    let mut writer = versioned();
    writer.time(alert.starts_at);
    writer.time(alert.ends_at);
    writer.time(alert.updated_at);
    writer.byte(u8::from(alert.timeout) | u8::from(ended) << 1 | u8::from(alert.value.is_some()) << 2);
    if let Some(value) = alert.value {
        writer.float(value);
    }
    writer.text(&alert.generator_url);
    writer.annotations(&alert.annotations);
    writer.finish()
}

pub(crate) fn decode_alert(labels: Labels, bytes: &[u8]) -> Result<AlertRecord, RecordError> {
    let mut reader = open(bytes)?;
    let (starts_at, ends_at, updated_at) = (reader.time()?, reader.time()?, reader.time()?);
    let flags = reader.byte()?;
    let value = if flags & 4 != 0 { Some(reader.float()?) } else { None };
    let generator_url = reader.text()?.into();
    let annotations = reader.annotations()?;
    let timeout = flags & 1 != 0;
    let alert = Alert { labels, annotations, starts_at, ends_at, updated_at, generator_url, timeout, value };
    Ok(AlertRecord { alert, ended: flags & 2 != 0 })
}

pub(crate) fn encode_group(group: GroupRecord) -> Vec<u8> {
    let mut writer = versioned();
    writer.time(group.next_flush);
    writer.byte(u8::from(group.flushed));
    writer.finish()
}

pub(crate) fn decode_group(bytes: &[u8]) -> Result<GroupRecord, RecordError> {
    let mut reader = open(bytes)?;
    Ok(GroupRecord { next_flush: reader.time()?, flushed: reader.byte()? & 1 != 0 })
}

const REASONS: [NotifyReason; 5] = [
    NotifyReason::FirstNotification,
    NotifyReason::NewAlertsInGroup,
    NotifyReason::NewResolvedAlerts,
    NotifyReason::AllAlertsResolved,
    NotifyReason::RepeatIntervalElapsed,
];

const OPS: [MatchOp; 4] = [MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex];

fn position_of<T: PartialEq>(all: &[T], one: &T) -> u8 {
    all.iter().position(|other| other == one).expect("the table lists every variant") as u8
}

pub(crate) fn encode_log(entry: &LogEntry) -> Vec<u8> {
    let mut writer = versioned();
    writer.number(entry.sequence);
    writer.byte(u8::from(entry.told.is_some()));
    if let Some(told) = &entry.told {
        writer.time(told.at);
        writer.byte(position_of(&REASONS, &told.reason));
        writer.fingerprints(&told.firing);
        writer.fingerprints(&told.resolved);
        writer.fingerprints(&told.held);
        writer.byte(u8::from(told.remember.is_some()));
        if let Some(remember) = &told.remember {
            writer.text(remember);
        }
        writer.time(told.keep_until);
    }
    for attempt in [&entry.attempt, &entry.failed] {
        writer.byte(u8::from(attempt.is_some()));
        if let Some(attempt) = attempt {
            writer.time(attempt.at);
            writer.byte(position_of(&REASONS, &attempt.reason));
            writer.fingerprints(&attempt.firing);
            writer.fingerprints(&attempt.resolved);
        }
    }
    writer.finish()
}

fn reason(reader: &mut Reader<'_>) -> Result<NotifyReason, RecordError> {
    let number = reader.byte()?;
    REASONS.get(usize::from(number)).copied().ok_or_else(|| reader.damaged("unknown reason"))
}

fn fingerprints(reader: &mut Reader<'_>) -> Result<Few<Fingerprint>, RecordError> {
    let list = reader.fingerprints()?;
    match list.is_sorted() {
        true => Ok(list.into_iter().collect()),
        false => Err(reader.damaged("fingerprints out of order")),
    }
}

pub(crate) fn decode_log(bytes: &[u8]) -> Result<LogEntry, RecordError> {
    let mut reader = open(bytes)?;
    let sequence = reader.number()?;
    let told = match reader.byte()? {
        0 => None,
        _ => Some(Box::new(Told {
            at: reader.time()?,
            reason: reason(&mut reader)?,
            firing: fingerprints(&mut reader)?,
            resolved: fingerprints(&mut reader)?,
            held: fingerprints(&mut reader)?,
            remember: match reader.byte()? {
                0 => None,
                _ => Some(reader.text()?.to_owned()),
            },
            keep_until: reader.time()?,
        })),
    };
    let attempt = attempt(&mut reader, true)?;
    let failed = self::attempt(&mut reader, false)?;
    Ok(LogEntry { sequence, told, attempt, failed, waited: None, skipped: None })
}

fn attempt(reader: &mut Reader<'_>, recovered: bool) -> Result<Option<Box<Attempt>>, RecordError> {
    if reader.byte()? == 0 {
        return Ok(None);
    }
    let (at, reason) = (reader.time()?, reason(reader)?);
    let (firing, resolved) = (fingerprints(reader)?, fingerprints(reader)?);
    Ok(Some(Box::new(Attempt { at, reason, firing, resolved, recovered, in_doubt: recovered })))
}

pub(crate) fn encode_silence(silence: &Silence) -> Vec<u8> {
    let mut writer = versioned();
    writer.number(silence.matcher_sets.len() as u64);
    for set in &silence.matcher_sets {
        writer.number(set.len() as u64);
        for matcher in set {
            writer.text(matcher.name());
            writer.byte(position_of(&OPS, &matcher.op()));
            writer.text(matcher.pattern());
        }
    }
    writer.time(silence.starts_at);
    writer.time(silence.ends_at);
    writer.time(silence.updated_at);
    writer.text(&silence.created_by);
    writer.text(&silence.comment);
    writer.annotations(&silence.annotations);
    writer.finish()
}

pub(crate) fn decode_silence(id: SilenceId, bytes: &[u8]) -> Result<Silence, RecordError> {
    let mut reader = open(bytes)?;
    let matcher_sets = reader.list(|reader| reader.list(matcher))?;
    Ok(Silence {
        id,
        matcher_sets,
        starts_at: reader.time()?,
        ends_at: reader.time()?,
        updated_at: reader.time()?,
        created_by: reader.text()?.to_owned(),
        comment: reader.text()?.to_owned(),
        annotations: reader.annotations()?,
    })
}

fn matcher(reader: &mut Reader<'_>) -> Result<Matcher, RecordError> {
    let name = reader.text()?.to_owned();
    let number = reader.byte()?;
    let op = OPS.get(usize::from(number)).copied().ok_or_else(|| reader.damaged("unknown operator"))?;
    let pattern = reader.text()?.to_owned();
    Matcher::for_alerts(name, op, pattern)
        .map_err(|_| reader.damaged("a pattern is not a regular expression"))
}

impl Writer {
    fn labels(&mut self, labels: &Labels) {
        self.number(labels.len() as u64);
        for (name, value) in labels {
            self.text(name);
            self.text(value);
        }
    }

    fn annotations(&mut self, annotations: &Annotations) {
        self.number(annotations.len() as u64);
        for (name, text) in annotations {
            self.text(name);
            self.text(text);
        }
    }

    fn fingerprints(&mut self, fingerprints: &[Fingerprint]) {
        self.number(fingerprints.len() as u64);
        for fingerprint in fingerprints {
            self.fixed(fingerprint.0);
        }
    }
}

impl Reader<'_> {
    fn labels(&mut self) -> Result<Labels, RecordError> {
        let pairs = self.list(|reader| Ok((reader.text()?.to_owned(), reader.text()?.to_owned())))?;
        Ok(Labels::from_pairs(pairs))
    }

    fn annotations(&mut self) -> Result<Annotations, RecordError> {
        let pairs = self.list(|reader| Ok((reader.text()?.to_owned(), reader.text()?.to_owned())))?;
        Ok(pairs.into_iter().collect())
    }

    fn fingerprints(&mut self) -> Result<Vec<Fingerprint>, RecordError> {
        self.list(|reader| Ok(Fingerprint(reader.fixed()?)))
    }
}

#[cfg(test)]
mod tests;
