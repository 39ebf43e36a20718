//! `storage`: how long samples are kept, and what is accepted late.

use std::time::Duration;

use crate::reader::Fields;
use crate::scrape::read_size;
use crate::shown::Shown;

/// `storage`; `None` leaves it to the command line.
#[derive(Clone, Debug, PartialEq)]
pub struct StorageConfig {
    /// Older samples go.
    pub retention_time: Option<Duration>,
    /// More bytes than this go, oldest first.
    pub retention_bytes: Option<u64>,
    /// More of the disk than this goes, oldest first.
    pub retention_percentage: Option<f64>,
    /// How much older than the newest a sample may come in.
    pub out_of_order_time_window: Duration,
    /// Share of series without samples at which the head is rebuilt early; 0 is never.
    pub stale_series_compaction_threshold: f64,
    /// How many exemplars are kept.
    pub max_exemplars: i64,
}

/// How many exemplars are kept unless the configuration says otherwise.
const EXEMPLARS: i64 = 100_000;

impl Default for StorageConfig {
    fn default() -> Self {
        StorageConfig {
            retention_time: None,
            retention_bytes: None,
            retention_percentage: None,
            out_of_order_time_window: Duration::ZERO,
            stale_series_compaction_threshold: 0.0,
            max_exemplars: EXEMPLARS,
        }
    }
}

/// The `storage` section.
pub(crate) fn read(parent: &Fields<'_>) -> StorageConfig {
    let mut storage = StorageConfig::default();
    let Some(fields) = parent.get("storage").and_then(|at| at.fields()) else { return storage };
    if let Some(tsdb) = fields.get("tsdb").and_then(|at| at.fields()) {
        read_tsdb(&tsdb, &mut storage);
        fields.show("tsdb", tsdb.finish());
    }
    if let Some(exemplars) = fields.get("exemplars").and_then(|at| at.fields()) {
        if let Some(number) = exemplars.get("max_exemplars").and_then(|at| at.integer()) {
            exemplars.show("max_exemplars", Shown::number(number));
            storage.max_exemplars = number;
        }
        fields.show("exemplars", exemplars.finish());
    }
    parent.show("storage", fields.finish());
    storage
}

fn read_tsdb(fields: &Fields<'_>, storage: &mut StorageConfig) {
    storage.out_of_order_time_window = fields.duration("out_of_order_time_window").unwrap_or_default();
    storage.stale_series_compaction_threshold =
        read_ratio(fields, "stale_series_compaction_threshold", 1.0).unwrap_or_default();
    if let Some(retention) = fields.get("retention").and_then(|at| at.fields()) {
        storage.retention_time = retention.duration("time").filter(|time| !time.is_zero());
        storage.retention_bytes = read_size(&retention, "size").filter(|bytes| *bytes > 0);
        storage.retention_percentage = read_ratio(&retention, "percentage", 100.0).filter(|p| *p > 0.0);
        fields.show("retention", retention.finish());
    }
    if let Some(encoding) = fields.get("chunk_encoding").and_then(|at| at.fields()) {
        encoding.choice_or("floats", &["xor", "xor2"], "");
        fields.show("chunk_encoding", encoding.finish());
    }
}

/// A number from 0 to `most`.
fn read_ratio(fields: &Fields<'_>, key: &'static str, most: f64) -> Option<f64> {
    let at = fields.get(key)?;
    let number = at.float()?;
    if !(0.0..=most).contains(&number) {
        at.error(format!("{number} is not from 0 to {most}"), None);
        return None;
    }
    fields.show(key, Shown::number(number));
    Some(number)
}
