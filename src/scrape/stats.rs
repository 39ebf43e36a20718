//! Counters of this room, under the names that dashboards of Prometheus look for.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use model::{Labels, METRIC_NAME, Metadata, MetricType, SampleValue, format_duration};
use ports::Point;

/// Plain counters; loops count, whoever shows metrics lists them.
#[derive(Debug, Default)]
pub(crate) struct ScrapeStats {
    pub(crate) exceeded_sample_limit: AtomicU64,
    pub(crate) exceeded_body_size_limit: AtomicU64,
    pub(crate) exceeded_bucket_limit: AtomicU64,
    pub(crate) exceeded_label_limits: AtomicU64,
    pub(crate) exceeded_target_limit: AtomicU64,
    pub(crate) duplicate_timestamp: AtomicU64,
    pub(crate) out_of_order: AtomicU64,
    pub(crate) out_of_bounds: AtomicU64,
    pub(crate) series_refused: AtomicU64,
    pub(crate) append_failures: AtomicU64,
    pub(crate) pools_created: AtomicU64,
    pub(crate) pool_reloads: AtomicU64,
    /// By job and kind of discovery.
    discovery_failures: Mutex<BTreeMap<(String, String), u64>>,
    /// Seconds between scrapes and their number, by the interval that was asked for.
    intervals: Mutex<BTreeMap<Duration, Sum>>,
    jobs: Mutex<BTreeMap<String, JobStats>>,
}

/// A sum of seconds and how many were summed.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    seconds: f64,
    count: u64,
}

/// What is counted for each job.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct JobStats {
    syncs: Sum,
    pub(crate) failed_targets: u64,
    pub(crate) discovered: u64,
    pub(crate) targets: u64,
    pub(crate) target_limit: u64,
}

pub(crate) fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

impl ScrapeStats {
    /// `actual` seconds lay between two scrapes that were to be `interval` apart.
    pub(crate) fn interval(&self, interval: Duration, actual: Duration) {
        let mut intervals = self.intervals.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = intervals.entry(interval).or_default();
        sum.seconds += actual.as_secs_f64();
        sum.count += 1;
    }

    /// The targets of `job` were brought up to date in `took`.
    pub(crate) fn synced(&self, job: &str, took: Duration, update: impl FnOnce(&mut JobStats)) {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let stats = jobs.entry(job.to_owned()).or_default();
        stats.syncs.seconds += took.as_secs_f64();
        stats.syncs.count += 1;
        update(stats);
    }

    /// `by` lists of targets of `job` could not be read; with 0 only the counter begins.
    pub(crate) fn discovery_failed(&self, job: &str, kind: &str, by: u64) {
        let mut failures = self.discovery_failures.lock().unwrap_or_else(PoisonError::into_inner);
        *failures.entry((job.to_owned(), kind.to_owned())).or_default() += by;
    }

    pub(crate) fn forget_job(&self, job: &str) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).remove(job);
        self.discovery_failures.lock().unwrap_or_else(PoisonError::into_inner).retain(|(j, _), _| j != job);
    }

    /// Everything as samples. `families`: entries of metadata by job.
    pub(crate) fn points(&self, families: &BTreeMap<String, usize>) -> Vec<Point> {
        let mut points = Points::default();
        let counters = [
            ("prometheus_target_scrapes_exceeded_sample_limit_total", &self.exceeded_sample_limit),
            ("prometheus_target_scrapes_exceeded_body_size_limit_total", &self.exceeded_body_size_limit),
            (
                "prometheus_target_scrapes_exceeded_native_histogram_bucket_limit_total",
                &self.exceeded_bucket_limit,
            ),
            ("prometheus_target_scrape_pool_exceeded_label_limits_total", &self.exceeded_label_limits),
            ("prometheus_target_scrape_pool_exceeded_target_limit_total", &self.exceeded_target_limit),
            ("prometheus_target_scrapes_sample_duplicate_timestamp_total", &self.duplicate_timestamp),
            ("prometheus_target_scrapes_sample_out_of_order_total", &self.out_of_order),
            ("prometheus_target_scrapes_sample_out_of_bounds_total", &self.out_of_bounds),
            ("prometheus_target_scrape_pools_total", &self.pools_created),
            ("prometheus_target_scrape_pool_reloads_total", &self.pool_reloads),
            ("foghorn_scrape_series_refused_total", &self.series_refused),
            ("foghorn_scrape_append_failures_total", &self.append_failures),
        ];
        for (name, counter) in counters {
            points.push(name, &[], counter.load(Ordering::Relaxed) as f64);
        }
        for (interval, sum) in self.intervals.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let interval = format_duration(*interval);
            points.sum("prometheus_target_interval_length_seconds", &[("interval", &interval)], *sum);
        }
        for (job, stats) in self.jobs.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let by_job = [("scrape_job", job.as_str())];
            points.sum("prometheus_target_sync_length_seconds", &by_job, stats.syncs);
            let entries = families.get(job).copied().unwrap_or_default();
            for (name, value) in [
                ("prometheus_target_scrape_pool_sync_total", stats.syncs.count),
                ("prometheus_target_sync_failed_total", stats.failed_targets),
                ("prometheus_target_scrape_pool_targets", stats.targets),
                ("prometheus_target_scrape_pool_target_limit", stats.target_limit),
                ("prometheus_target_metadata_cache_entries", entries as u64),
            ] {
                points.push(name, &by_job, value as f64);
            }
            let by_config = [("config", job.as_str()), ("name", "scrape")];
            points.push("prometheus_sd_discovered_targets", &by_config, stats.discovered as f64);
        }
        let failures = self.discovery_failures.lock().unwrap_or_else(PoisonError::into_inner);
        for ((job, kind), count) in failures.iter() {
            let labels = [("config", job.as_str()), ("mechanism", kind)];
            points.push("prometheus_sd_refresh_failures_total", &labels, *count as f64);
        }
        points.list
    }
}

#[derive(Default)]
struct Points {
    list: Vec<Point>,
}

impl Points {
    fn push(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let labels = labels.iter().copied().chain([(METRIC_NAME, name)]).collect::<Labels>();
        self.list.push(Point { labels, value: SampleValue::Float(value), at: None });
    }

    fn sum(&mut self, name: &str, labels: &[(&str, &str)], sum: Sum) {
        self.push(&format!("{name}_sum"), labels, sum.seconds);
        self.push(&format!("{name}_count"), labels, sum.count as f64);
    }
}

/// Family name → what the families of [`crate::ScrapeManager::points`] mean.
pub fn metadata() -> Vec<(String, Metadata)> {
    use MetricType::{Counter, Gauge, Summary};
    let families = [
        (
            "prometheus_target_scrapes_exceeded_sample_limit_total",
            Counter,
            "Scrapes that failed for their number of samples.",
        ),
        (
            "prometheus_target_scrapes_exceeded_body_size_limit_total",
            Counter,
            "Scrapes that failed for the size of their body.",
        ),
        (
            "prometheus_target_scrapes_exceeded_native_histogram_bucket_limit_total",
            Counter,
            "Scrapes that failed for the number of buckets of a native histogram.",
        ),
        (
            "prometheus_target_scrape_pool_exceeded_label_limits_total",
            Counter,
            "Scrapes that failed for the labels of a series.",
        ),
        (
            "prometheus_target_scrape_pool_exceeded_target_limit_total",
            Counter,
            "Times that a job had more targets than its limit.",
        ),
        (
            "prometheus_target_scrapes_sample_duplicate_timestamp_total",
            Counter,
            "Samples refused because their series had another value at that time.",
        ),
        (
            "prometheus_target_scrapes_sample_out_of_order_total",
            Counter,
            "Samples refused because their series had a newer one.",
        ),
        (
            "prometheus_target_scrapes_sample_out_of_bounds_total",
            Counter,
            "Samples refused because their time was too far from now.",
        ),
        ("prometheus_target_scrape_pools_total", Counter, "Jobs started."),
        ("prometheus_target_scrape_pool_reloads_total", Counter, "Jobs changed by a reload."),
        (
            "foghorn_scrape_series_refused_total",
            Counter,
            "Samples refused because the store holds as many series as it may.",
        ),
        ("foghorn_scrape_append_failures_total", Counter, "Scrapes whose samples could not be stored."),
        ("prometheus_sd_refresh_failures_total", Counter, "Lists of targets that could not be read."),
        ("prometheus_target_interval_length_seconds", Summary, "Time between scrapes."),
        (
            "prometheus_target_sync_length_seconds",
            Summary,
            "Time taken to bring the targets of a job up to date.",
        ),
        (
            "prometheus_target_scrape_pool_sync_total",
            Counter,
            "Times that the targets of a job were brought up to date.",
        ),
        ("prometheus_target_sync_failed_total", Counter, "Targets that could not be, for their labels."),
        ("prometheus_target_scrape_pool_targets", Gauge, "Targets of a job."),
        (
            "prometheus_target_scrape_pool_target_limit",
            Gauge,
            "Targets that a job may have; 0 is any number.",
        ),
        ("prometheus_target_metadata_cache_entries", Gauge, "Metric families that targets described."),
        ("prometheus_sd_discovered_targets", Gauge, "Targets found, before relabelling."),
    ];
    let known = families.into_iter().map(|(name, kind, help)| {
        (name.to_owned(), Metadata { kind, help: help.to_owned(), unit: String::new() })
    });
    known.collect()
}
