//! Our own metrics, under the names that the field's dashboards and rules know.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use model::{Labels, METRIC_NAME, Metadata, MetricType, Timestamp};
use ports::Point;

/// Names that need a type other than what their ending says, and a help text.
const DESCRIBED: &[(&str, MetricType, &str)] = {
    use MetricType::{Counter, Gauge, Histogram, Summary};
    &[
        ("prometheus_build_info", Gauge, "A constant 1 with the version in its labels."),
        ("alertmanager_build_info", Gauge, "A constant 1 with the version in its labels."),
        ("foghorn_build_info", Gauge, "A constant 1 with the version in its labels."),
        ("prometheus_ready", Gauge, "Whether the server answers."),
        (
            "prometheus_config_last_reload_successful",
            Gauge,
            "Whether the last reload of the configuration worked.",
        ),
        (
            "prometheus_config_last_reload_success_timestamp_seconds",
            Gauge,
            "When the configuration was last read.",
        ),
        (
            "alertmanager_config_last_reload_successful",
            Gauge,
            "Whether the last reload of the configuration worked.",
        ),
        (
            "alertmanager_config_last_reload_success_timestamp_seconds",
            Gauge,
            "When the configuration was last read.",
        ),
        ("process_start_time_seconds", Gauge, "When the process started."),
        ("process_resident_memory_bytes", Gauge, "Memory in use."),
        ("process_virtual_memory_bytes", Gauge, "Address space in use."),
        ("process_virtual_memory_max_bytes", Gauge, "Address space that may be in use."),
        ("process_open_fds", Gauge, "Open files."),
        ("process_max_fds", Gauge, "Files that may be open."),
        ("process_cpu_seconds_total", Counter, "Processor time used."),
        ("prometheus_tsdb_head_series", Gauge, "Series in the store."),
        ("prometheus_tsdb_head_samples_appended_total", Counter, "Samples stored since the start."),
        ("prometheus_tsdb_storage_blocks_bytes", Gauge, "Bytes of the closed chunks on disk."),
        (
            "prometheus_tsdb_clean_start",
            Gauge,
            "Whether the stop before this start was clean, or there was none.",
        ),
        ("prometheus_tsdb_retention_limit_seconds", Gauge, "How long samples are kept."),
        ("prometheus_engine_queries", Gauge, "Queries under way."),
        ("prometheus_engine_queries_concurrent_max", Gauge, "Queries from outside that may be under way."),
        (
            "prometheus_engine_query_duration_seconds",
            Summary,
            "Where the time of queries went: waiting, preparing, evaluating.",
        ),
        ("prometheus_engine_query_samples_total", Counter, "Samples that answers were computed from."),
        ("prometheus_engine_query_log_enabled", Gauge, "Whether queries are written down."),
        ("prometheus_engine_query_log_failures_total", Counter, "Queries that could not be written down."),
        ("prometheus_http_requests_total", Counter, "Requests, by route and status."),
        ("prometheus_http_request_duration_seconds", Histogram, "How long requests took, by route."),
        ("prometheus_http_response_size_bytes", Histogram, "How long answers were, by route."),
        ("prometheus_rule_evaluations_total", Counter, "Evaluations of rules."),
        ("prometheus_rule_evaluation_failures_total", Counter, "Evaluations of rules that failed."),
        ("prometheus_rule_evaluation_duration_seconds", Summary, "How long evaluations of rules took."),
        ("prometheus_rule_group_duration_seconds", Summary, "How long evaluations of groups took."),
        (
            "prometheus_rule_group_iterations_missed_total",
            Counter,
            "Evaluations of groups that were due and did not take place.",
        ),
        (
            "prometheus_notifications_alertmanagers_discovered",
            Gauge,
            "Alertmanagers that alerts are handed to, this server among them.",
        ),
        (
            "prometheus_notifications_latency_seconds",
            Summary,
            "How long other Alertmanagers took to take alerts.",
        ),
        (
            "alertmanager_notifications_total",
            Counter,
            "Notifications that came to an end: delivered, given up, or asked to wait.",
        ),
        (
            "alertmanager_notifications_failed_total",
            Counter,
            "Notifications given up, and those asked to wait, by whose fault it was.",
        ),
        (
            "alertmanager_notifications_suppressed_total",
            Counter,
            "Alerts left out of flushes, at each one again, by what muted them.",
        ),
        ("alertmanager_notification_latency_seconds", Histogram, "How long attempts took."),
        ("alertmanager_alerts", Gauge, "Alerts that are known, by state."),
        (
            "alertmanager_alerts_per_alert_limit",
            Gauge,
            "Alerts that may have the same name; 0 is any number.",
        ),
        ("alertmanager_silences", Gauge, "Silences, by state."),
        ("alertmanager_silences_state_size", Gauge, "Silences, expired ones included."),
        ("alertmanager_dispatcher_aggregation_groups", Gauge, "Groups of alerts."),
        (
            "alertmanager_dispatcher_aggregation_group_limit_reached_total",
            Counter,
            "Groups that were not made because there were too many; there is no limit.",
        ),
        (
            "alertmanager_nflog_gossip_messages_propagated_total",
            Counter,
            "Entries of the notification log handed on to peers; there are none.",
        ),
        (
            "alertmanager_silences_gossip_messages_propagated_total",
            Counter,
            "Silences handed on to peers; there are none.",
        ),
        (
            "alertmanager_http_concurrency_limit_exceeded_total",
            Counter,
            "Requests to read from API v2 that were turned away because too many were under way; none ever is.",
        ),
        (
            "alertmanager_dispatcher_alert_processing_duration_seconds",
            Summary,
            "How long it took to take alerts in and to group them.",
        ),
        ("alertmanager_http_request_duration_seconds", Histogram, "How long requests to API v2 took."),
        ("alertmanager_http_response_size_bytes", Histogram, "How long answers of API v2 were."),
        ("alertmanager_http_requests_in_flight", Gauge, "Requests to read from API v2 under way."),
        ("foghorn_notify_waiting", Gauge, "Notifications that wait for an integration, or are under way."),
    ]
};

/// What is known about a metric of ours by its name.
pub(crate) fn metadata(name: &str) -> Metadata {
    if let Some((_, kind, help)) = DESCRIBED.iter().find(|(known, ..)| *known == name) {
        return Metadata { kind: *kind, help: (*help).to_owned(), unit: String::new() };
    }
    let kind = if name.ends_with("_total") || name.ends_with("_sum") || name.ends_with("_count") {
        MetricType::Counter
    } else {
        MetricType::Gauge
    };
    Metadata { kind, help: String::new(), unit: String::new() }
}

/// Collects points.
#[derive(Default)]
pub(crate) struct Points(pub(crate) Vec<Point>);

impl Points {
    pub(crate) fn add(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let labels = Labels::from_pairs(labels.iter().copied().chain([(METRIC_NAME, name)]));
        self.0.push(Point { labels, value: value.into(), at: None });
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "metrics are floats; counters that large have lost nothing yet"
    )]
    pub(crate) fn count(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        self.add(name, labels, value as f64);
    }
}

/// How reloading went.
#[derive(Debug)]
pub(crate) struct ReloadState {
    ok: AtomicBool,
    at_millis: AtomicI64,
    pub(crate) count: AtomicU64,
}

impl ReloadState {
    pub(crate) fn new(now: Timestamp) -> Self {
        ReloadState {
            ok: AtomicBool::new(true),
            at_millis: AtomicI64::new(now.as_millis()),
            count: AtomicU64::new(0),
        }
    }

    pub(crate) fn note(&self, ok: bool, now: Timestamp) {
        self.ok.store(ok, Ordering::Relaxed);
        if ok {
            self.at_millis.store(now.as_millis(), Ordering::Relaxed);
        }
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn ok(&self) -> bool {
        self.ok.load(Ordering::Relaxed)
    }

    pub(crate) fn at(&self) -> Timestamp {
        Timestamp::from_millis(self.at_millis.load(Ordering::Relaxed))
    }
}

/// How the kernel counts a limit that is none.
const NO_LIMIT: f64 = u64::MAX as f64;

/// `process_*`, from the kernel's own accounts; nothing where there are none.
pub(crate) fn process(points: &mut Points, started: Timestamp) {
    points.add("process_start_time_seconds", &[], started.as_secs_f64());
    // Our own entry, read by the server itself: no plugin can name it.
    let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else { return };
    // After the program's name, which may hold anything and ends at the last parenthesis.
    let fields: Vec<&str> =
        stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
    let field = |index: usize| fields.get(index).and_then(|text| text.parse::<f64>().ok());
    // Ticks are a hundredth of a second, pages 4 KiB, on every Linux that we build for.
    if let (Some(user), Some(system)) = (field(11), field(12)) {
        points.add("process_cpu_seconds_total", &[], (user + system) / 100.0);
    }
    if let Some(bytes) = field(20) {
        points.add("process_virtual_memory_bytes", &[], bytes);
    }
    if let Some(pages) = field(21) {
        points.add("process_resident_memory_bytes", &[], pages * 4096.0);
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        points.count("process_open_fds", &[], open.count() as u64);
    }
    if let Ok(limits) = std::fs::read_to_string("/proc/self/limits") {
        // The soft limit comes first after the name, which is padded.
        let limit = |name: &str| {
            let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next().map(str::to_owned)
        };
        if let Some(max) = limit("Max open files").and_then(|text| text.parse().ok()) {
            points.add("process_max_fds", &[], max);
        }
        match limit("Max address space").as_deref() {
            Some("unlimited") => points.add("process_virtual_memory_max_bytes", &[], NO_LIMIT),
            Some(text) => {
                text.parse()
                    .into_iter()
                    .for_each(|max| points.add("process_virtual_memory_max_bytes", &[], max));
            }
            None => {}
        }
    }
}
