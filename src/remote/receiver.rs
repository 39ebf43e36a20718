//! One request: unpacked, read, stored, and what to say about it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{Labels, Metadata, SampleValue, SeriesRef, Timestamp};
use ports::{Append, AppendError, Appended, Row, WriteBatch};

use crate::histogram;
use crate::labels::{self, RawLabels};
use crate::protocol::Protocol;
use crate::refusals::{self, Refusals, Why};
use crate::series_cache::{KnownSeries, SeriesCache};
use crate::wire::Malformed;
use crate::{v1, v2};

/// A sample further ahead of the clock than this is refused.
const AHEAD_MAX: Duration = Duration::from_secs(10 * 60);
/// Families whose description is kept; of further ones nothing is known.
const FAMILIES_MAX: usize = 10_000;
/// Buffers that have grown beyond this are given back instead of being kept for the next request.
const SPARE_BYTES_MAX: usize = 4 << 20;
const SPARE_ROWS_MAX: usize = 100_000;
/// Buffers that wait for the next request.
const SPARES_MAX: usize = 8;

/// Ends the reading of a request that has more samples than it may.
const TOO_MANY_SAMPLES: Malformed = Malformed("too many samples");

/// How large a request may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// As it comes, compressed.
    pub body_bytes_max: usize,
    /// Decompressed.
    pub message_bytes_max: usize,
    /// Samples and histograms.
    pub samples_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { body_bytes_max: 32 << 20, message_bytes_max: 64 << 20, samples_max: 2_000_000 }
    }
}

/// How much of a request was stored; what protocol 2.0 answers with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Numbers.
    pub samples: usize,
    /// Native histograms.
    pub histograms: usize,
    /// Exemplars that were good. They are counted, and not stored.
    pub exemplars: usize,
}

/// Why a request, or a part of it, was not stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteProblem {
    /// Beyond a limit; nothing was stored.
    #[error("{0}")]
    TooLarge(String),
    /// Not what it says it is; nothing was stored.
    #[error("{0}")]
    Malformed(String),
    /// Something in it cannot be stored, now or later; the rest was.
    #[error("{0}")]
    Refused(String),
    /// The store could not write; nothing was stored, and the same request may go through later.
    #[error("{0}")]
    Storage(String),
}

/// What became of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// What was stored.
    pub written: Written,
    /// What was not.
    pub problem: Option<WriteProblem>,
}

/// Totals since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceivedTotals {
    /// Requests.
    pub requests: u64,
    /// Of these, requests that were answered with a problem.
    pub failed: u64,
    /// Numbers stored.
    pub samples: u64,
    /// Native histograms stored.
    pub histograms: u64,
    /// Exemplars that came.
    pub exemplars: u64,
}

/// Takes requests. May be used from any thread.
pub struct Receiver {
    append: Arc<dyn Append>,
    limits: Limits,
    series: Mutex<SeriesCache>,
    families: Mutex<BTreeMap<String, Metadata>>,
    spare: Mutex<Vec<Buffers>>,
    requests: AtomicU64,
    failed: AtomicU64,
    samples: AtomicU64,
    histograms: AtomicU64,
    exemplars: AtomicU64,
}

/// Space that requests use one after the other.
#[derive(Default)]
struct Buffers {
    message: Vec<u8>,
    batch: WriteBatch,
    runs: Vec<Run>,
}

/// Rows of one series that follow one another.
struct Run {
    key: u64,
    first_row: usize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whatever a panic left behind in a cache or a buffer is checked or cleared before it is used.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Receiver {
    /// Writes into `append`.
    pub fn new(append: Arc<dyn Append>, limits: Limits) -> Self {
        Receiver {
            append,
            limits,
            series: Mutex::default(),
            families: Mutex::default(),
            spare: Mutex::default(),
            requests: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            samples: AtomicU64::new(0),
            histograms: AtomicU64::new(0),
            exemplars: AtomicU64::new(0),
        }
    }

    /// How large a request may be.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Totals since the start.
    pub fn totals(&self) -> ReceivedTotals {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ReceivedTotals {
            requests: get(&self.requests),
            failed: get(&self.failed),
            samples: get(&self.samples),
            histograms: get(&self.histograms),
            exemplars: get(&self.exemplars),
        }
    }

    /// Metric families that senders described, by name.
    pub fn families(&self) -> Vec<(String, Metadata)> {
        lock(&self.families).iter().map(|(name, metadata)| (name.clone(), metadata.clone())).collect()
    }

    /// Stores what a compressed body holds. Takes the processor for about a microsecond for each few samples: not for
    /// the thread of an event loop.
    pub fn receive(&self, protocol: Protocol, body: &[u8], now: Timestamp) -> Received {
        let mut buffers = lock(&self.spare).pop().unwrap_or_default();
        let received = self
            .receive_into(&mut buffers, protocol, body, now)
            .unwrap_or_else(|problem| Received { written: Written::default(), problem: Some(problem) });
        self.keep(buffers);
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.failed.fetch_add(u64::from(received.problem.is_some()), Ordering::Relaxed);
        for (counter, count) in [
            (&self.samples, received.written.samples),
            (&self.histograms, received.written.histograms),
            (&self.exemplars, received.written.exemplars),
        ] {
            counter.fetch_add(count as u64, Ordering::Relaxed);
        }
        received
    }

    fn receive_into(
        &self,
        buffers: &mut Buffers,
        protocol: Protocol,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Received, WriteProblem> {
        let Buffers { message, batch, runs } = buffers;
        self.unpack(body, message)?;
        let mut series = lock(&self.series);
        series.turn(now);
        let mut intake = Intake {
            series: &mut series,
            families: &self.families,
            batch,
            runs,
            refusals: Refusals::default(),
            exemplars: 0,
            latest: now + AHEAD_MAX,
            samples_left: self.limits.samples_max,
        };
        let read = match protocol {
            Protocol::V1 => v1::read(message, &mut intake),
            Protocol::V2 => v2::read(message, &mut intake),
        };
        let Intake { refusals, exemplars, .. } = intake;
        drop(series);
        if read == Err(TOO_MANY_SAMPLES) {
            return Err(WriteProblem::TooLarge(format!(
                "the request has more than {} samples; send fewer at a time",
                self.limits.samples_max
            )));
        }
        read.map_err(|malformed| {
            WriteProblem::Malformed(format!("the body is not a remote write message: {malformed}"))
        })?;
        self.store(batch, runs, refusals, exemplars)
    }

    fn unpack(&self, body: &[u8], message: &mut Vec<u8>) -> Result<(), WriteProblem> {
        let Limits { body_bytes_max, message_bytes_max, .. } = self.limits;
        if body.len() > body_bytes_max {
            return Err(WriteProblem::TooLarge(format!(
                "the body has {} bytes, and {body_bytes_max} are allowed; send fewer samples at a time",
                body.len()
            )));
        }
        let broken = |error: snap::Error| {
            WriteProblem::Malformed(format!("the body is not snappy's block format: {error}"))
        };
        let len = snap::raw::decompress_len(body).map_err(broken)?;
        if len > message_bytes_max {
            return Err(WriteProblem::TooLarge(format!(
                "the body has {len} bytes when it is decompressed, and {message_bytes_max} are allowed; send fewer samples at a time"
            )));
        }
        message.resize(len, 0);
        snap::raw::Decoder::new().decompress(body, message).map_err(broken)?;
        Ok(())
    }

    fn store(
        &self,
        batch: &WriteBatch,
        runs: &[Run],
        mut refusals: Refusals,
        exemplars: usize,
    ) -> Result<Received, WriteProblem> {
        let mut written = Written { exemplars, ..Written::default() };
        if !batch.rows.is_empty() {
            let appended = self.append.append(batch).map_err(|error| match error {
                AppendError::Log(_) | AppendError::Closed => WriteProblem::Storage(error.to_string()),
            })?;
            self.remember(batch, runs, &appended);
            for (row, outcome) in batch.rows.iter().zip(&appended.outcome) {
                match (outcome, &row.value) {
                    (Ok(_), SampleValue::Float(_)) => written.samples += 1,
                    (Ok(_), SampleValue::Histogram(_)) => written.histograms += 1,
                    (Err(why), _) => {
                        refusals
                            .add(Why::Store(*why), 1, || refusals::sample(&row.labels.to_string(), row.at));
                    }
                }
            }
        }
        let problem = (!refusals.is_empty()).then(|| WriteProblem::Refused(refusals.message()));
        Ok(Received { written, problem })
    }

    /// Notes where series went that were not known, or are somewhere else now.
    fn remember(&self, batch: &WriteBatch, runs: &[Run], appended: &Appended) {
        let mut series = None;
        for run in runs {
            let row = &batch.rows[run.first_row];
            if let Some(Ok(stored)) = appended.outcome.get(run.first_row)
                && row.hint != Some(*stored)
            {
                series.get_or_insert_with(|| lock(&self.series)).stored(run.key, &row.labels, *stored);
            }
        }
    }

    fn keep(&self, mut buffers: Buffers) {
        buffers.batch.rows.clear();
        buffers.runs.clear();
        if buffers.message.capacity() > SPARE_BYTES_MAX || buffers.batch.rows.capacity() > SPARE_ROWS_MAX {
            return;
        }
        let mut spare = lock(&self.spare);
        if spare.len() < SPARES_MAX {
            spare.push(buffers);
        }
    }
}

/// One series of a request, as it was read.
#[derive(Default)]
pub(crate) struct SeriesMessage<'a> {
    pub(crate) labels: RawLabels<'a>,
    /// The bytes that the labels stand in, if they stand in one piece.
    pub(crate) label_bytes: Option<&'a [u8]>,
    pub(crate) samples: Vec<(i64, f64)>,
    pub(crate) histograms: Vec<&'a [u8]>,
    pub(crate) exemplars: usize,
}

impl SeriesMessage<'_> {
    /// Samples of either kind.
    pub(crate) fn len(&self) -> usize {
        self.samples.len() + self.histograms.len()
    }

    pub(crate) fn clear(&mut self) {
        self.labels.clear();
        self.label_bytes = None;
        self.samples.clear();
        self.histograms.clear();
        self.exemplars = 0;
    }
}

/// Where the series of a request go.
pub(crate) struct Intake<'a> {
    series: &'a mut SeriesCache,
    families: &'a Mutex<BTreeMap<String, Metadata>>,
    batch: &'a mut WriteBatch,
    runs: &'a mut Vec<Run>,
    refusals: Refusals,
    exemplars: usize,
    latest: Timestamp,
    samples_left: usize,
}

impl Intake<'_> {
    /// Takes one series; whether it was not known until now.
    pub(crate) fn take(&mut self, message: &SeriesMessage<'_>) -> Result<bool, Malformed> {
        if message.len() > self.samples_left {
            return Err(TOO_MANY_SAMPLES);
        }
        self.samples_left -= message.len();
        let key = match message.label_bytes {
            Some(bytes) => self.series.key(std::iter::once(bytes)),
            None => self.series.key(message.labels.iter().flat_map(|(name, value)| [*name, *value])),
        };
        let known = self.series.get(key).filter(|known| labels::are(&message.labels, &known.labels));
        let (known, is_new) = match known {
            Some(known) => (known.clone(), false),
            None => match labels::check(&message.labels) {
                Ok(labels) => {
                    let known = KnownSeries { labels, stored: None };
                    self.series.put(key, known.clone());
                    (known, true)
                }
                Err(problem) => {
                    let shown = || format!("{}: {problem}", labels::shown(&message.labels));
                    self.refusals.add(Why::Labels, message.len().max(1), shown);
                    return Ok(false);
                }
            },
        };
        self.exemplars += message.exemplars;
        let first_row = self.batch.rows.len();
        self.push_samples(&known, &message.samples);
        self.push_histograms(&known, &message.histograms)?;
        if self.batch.rows.len() > first_row {
            self.runs.push(Run { key, first_row });
        }
        Ok(is_new)
    }

    fn push_samples(&mut self, known: &KnownSeries, samples: &[(i64, f64)]) {
        for (at, value) in samples {
            self.push(&known.labels, known.stored, Timestamp::from_millis(*at), SampleValue::Float(*value));
        }
    }

    fn push_histograms(&mut self, known: &KnownSeries, histograms: &[&[u8]]) -> Result<(), Malformed> {
        for message in histograms {
            let (at, histogram) = histogram::read(message)?;
            let at = Timestamp::from_millis(at);
            match histogram {
                Ok(histogram) => {
                    self.push(&known.labels, known.stored, at, SampleValue::Histogram(Arc::new(histogram)));
                }
                Err(problem) => {
                    let shown = || format!("{}: {problem}", refusals::sample(&known.labels.to_string(), at));
                    self.refusals.add(Why::Histogram, 1, shown);
                }
            }
        }
        Ok(())
    }

    #[inline]
    fn push(&mut self, labels: &Labels, hint: Option<SeriesRef>, at: Timestamp, value: SampleValue) {
        if at > self.latest {
            self.refusals.add(Why::Ahead, 1, || refusals::sample(&labels.to_string(), at));
            return;
        }
        self.batch.rows.push(Row { labels: labels.clone(), hint, at, value });
    }

    pub(crate) fn refuse(&mut self, why: Why, times: usize, example: String) {
        self.refusals.add(why, times, || example);
    }

    /// Notes what a sender says about a family.
    pub(crate) fn describe(&mut self, name: String, metadata: Metadata) {
        let mut families = lock(self.families);
        if !name.is_empty() && (families.len() < FAMILIES_MAX || families.contains_key(&name)) {
            families.insert(name, metadata);
        }
    }
}
