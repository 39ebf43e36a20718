//! `storage`: how long samples are kept, and what is accepted late.

use std::time::Duration;

/// `storage`; `None` leaves it to the command line.
#[derive(Clone, Debug, Default, PartialEq)]
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
