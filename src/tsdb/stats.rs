//! What the store can say about itself: plain counters, and which labels cost most.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use model::{METRIC_NAME, Timestamp};
use ports::Rejected;

use crate::Tsdb;

/// A number that grows, or goes up and down.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn sub(&self, n: u64) {
        self.0.fetch_sub(n, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) samples_appended: Counter,
    pub(crate) out_of_order: Counter,
    pub(crate) duplicate: Counter,
    pub(crate) out_of_bounds: Counter,
    pub(crate) series_limit: Counter,
    pub(crate) series_created: Counter,
    pub(crate) series_removed: Counter,
    pub(crate) label_pairs: Counter,
    pub(crate) label_bytes: Counter,
    pub(crate) open_chunks: Counter,
    pub(crate) closed_chunks: Counter,
    pub(crate) chunk_memory_bytes: Counter,
    pub(crate) corruptions: Counter,
    pub(crate) wal_failures: Counter,
    pub(crate) save_failures: Counter,
}

impl Counters {
    pub(crate) fn rejected(&self, why: Rejected) {
        match why {
            Rejected::OutOfOrder => self.out_of_order.add(1),
            Rejected::DuplicateTimestamp => self.duplicate.add(1),
            Rejected::OutOfBounds => self.out_of_bounds.add(1),
            Rejected::SeriesLimit => self.series_limit.add(1),
        }
    }
}

/// How many samples were rejected since the start, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RejectedCounts {
    /// Older than the series' newest.
    pub out_of_order: u64,
    /// Another value at the same time.
    pub duplicate: u64,
    /// Older than the retention, or more than a day ahead.
    pub out_of_bounds: u64,
    /// No room for another series.
    pub series_limit: u64,
}

/// The state of the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TsdbStats {
    /// Series with samples.
    pub series: u64,
    /// Labels of all series together.
    pub label_pairs: u64,
    /// Chunks, open and closed, in memory or on disk.
    pub chunks: u64,
    /// Bytes of closed chunks that are in memory.
    pub chunk_memory_bytes: u64,
    /// Samples stored since the start.
    pub samples_appended: u64,
    /// Samples not stored since the start.
    pub rejected: RejectedCounts,
    /// Series made since the start.
    pub series_created: u64,
    /// Series without samples that were removed since the start.
    pub series_removed: u64,
    /// The oldest sample; at most a minute behind what is removed.
    pub oldest: Option<Timestamp>,
    /// The newest sample.
    pub newest: Option<Timestamp>,
    /// The segment of the write-ahead log that is written to.
    pub wal_segment: u64,
    /// Bytes of the write-ahead log.
    pub wal_bytes: u64,
    /// Bytes of the chunks on disk.
    pub chunk_log_bytes: u64,
    /// Files and chunks that were found damaged, at the start and since.
    pub corruptions: u64,
    /// Batches and syncs that failed because the log could not be written.
    pub wal_failures: u64,
    /// Times that chunks could not be saved; they are kept in memory and in the write-ahead log, and tried again.
    pub save_failures: u64,
}

/// What takes most room, each list with the largest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cardinality {
    /// Metric names by their number of series.
    pub series_by_metric: Vec<(String, u64)>,
    /// Label names by their number of values.
    pub values_by_label: Vec<(String, u64)>,
    /// Label names by the bytes that their values take in all series.
    pub bytes_by_label: Vec<(String, u64)>,
    /// `name=value` by the number of series that have it.
    pub series_by_pair: Vec<(String, u64)>,
}

impl Tsdb {
    /// The state of the store. Cheap.
    pub fn stats(&self) -> TsdbStats {
        let counters = &self.counters;
        let time =
            |millis: i64| (millis != i64::MIN && millis != i64::MAX).then(|| Timestamp::from_millis(millis));
        TsdbStats {
            series: self.index.len() as u64,
            label_pairs: counters.label_pairs.get(),
            chunks: counters.open_chunks.get() + counters.closed_chunks.get(),
            chunk_memory_bytes: counters.chunk_memory_bytes.get(),
            samples_appended: counters.samples_appended.get(),
            rejected: RejectedCounts {
                out_of_order: counters.out_of_order.get(),
                duplicate: counters.duplicate.get(),
                out_of_bounds: counters.out_of_bounds.get(),
                series_limit: counters.series_limit.get(),
            },
            series_created: counters.series_created.get(),
            series_removed: counters.series_removed.get(),
            oldest: time(self.oldest.load(Ordering::Relaxed)),
            newest: time(self.newest.load(Ordering::Relaxed)),
            wal_segment: self.wal.segment(),
            wal_bytes: self.wal.bytes(),
            chunk_log_bytes: self.chunk_log.log.bytes(),
            corruptions: counters.corruptions.get(),
            wal_failures: counters.wal_failures.get(),
            save_failures: counters.save_failures.get(),
        }
    }

    /// What takes most room: at most `limit` entries a list. Looks at every label value.
    pub fn cardinality(&self, limit: usize) -> Cardinality {
        let mut series_by_metric = Vec::new();
        let mut series_by_pair = Vec::new();
        let mut by_label: HashMap<String, (u64, u64)> = HashMap::new();
        self.index.for_each_pair(|name, value, series| {
            let series = series as u64;
            if name == METRIC_NAME {
                series_by_metric.push((value.to_owned(), series));
            }
            series_by_pair.push((format!("{name}={value}"), series));
            let (values, bytes) = match by_label.get_mut(name) {
                Some(label) => label,
                None => by_label.entry(name.to_owned()).or_default(),
            };
            *values += 1;
            *bytes += value.len() as u64 * series;
        });
        let values_by_label = by_label.iter().map(|(name, (values, _))| (name.clone(), *values)).collect();
        let bytes_by_label = by_label.iter().map(|(name, (_, bytes))| (name.clone(), *bytes)).collect();
        Cardinality {
            series_by_metric: largest(series_by_metric, limit),
            values_by_label: largest(values_by_label, limit),
            bytes_by_label: largest(bytes_by_label, limit),
            series_by_pair: largest(series_by_pair, limit),
        }
    }
}

/// The largest entries; of equal ones, the first by name.
fn largest(mut entries: Vec<(String, u64)>, limit: usize) -> Vec<(String, u64)> {
    entries.sort_unstable_by(|a, b| (Reverse(a.1), &a.0).cmp(&(Reverse(b.1), &b.0)));
    entries.truncate(limit);
    entries
}
