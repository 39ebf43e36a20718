//! Our own metrics, under the names that the field's dashboards and rules know.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use model::{Labels, METRIC_NAME, Metadata, MetricType, Timestamp};
use ports::Point;

/// Names that need a type other than what their ending says, and a help text.
const DESCRIBED: [(&str, MetricType, &str); 25] = [
    ("prometheus_build_info", MetricType::Gauge, "A constant 1 with the version in its labels."),
    ("alertmanager_build_info", MetricType::Gauge, "A constant 1 with the version in its labels."),
    ("foghorn_build_info", MetricType::Gauge, "A constant 1 with the version in its labels."),
    ("prometheus_ready", MetricType::Gauge, "Whether the server answers."),
    (
        "prometheus_config_last_reload_successful",
        MetricType::Gauge,
        "Whether the last reload of the configuration worked.",
    ),
    (
        "prometheus_config_last_reload_success_timestamp_seconds",
        MetricType::Gauge,
        "When the configuration was last read.",
    ),
    (
        "alertmanager_config_last_reload_successful",
        MetricType::Gauge,
        "Whether the last reload of the configuration worked.",
    ),
    (
        "alertmanager_config_last_reload_success_timestamp_seconds",
        MetricType::Gauge,
        "When the configuration was last read.",
    ),
    ("process_start_time_seconds", MetricType::Gauge, "When the process started."),
    ("process_resident_memory_bytes", MetricType::Gauge, "Memory in use."),
    ("process_virtual_memory_bytes", MetricType::Gauge, "Address space in use."),
    ("process_open_fds", MetricType::Gauge, "Open files."),
    ("process_max_fds", MetricType::Gauge, "Files that may be open."),
    ("process_cpu_seconds_total", MetricType::Counter, "Processor time used."),
    ("prometheus_tsdb_head_series", MetricType::Gauge, "Series in the store."),
    ("prometheus_tsdb_head_samples_appended_total", MetricType::Counter, "Samples stored since the start."),
    ("prometheus_rule_evaluations_total", MetricType::Counter, "Evaluations of rules."),
    ("prometheus_rule_evaluation_failures_total", MetricType::Counter, "Evaluations of rules that failed."),
    (
        "prometheus_rule_group_iterations_missed_total",
        MetricType::Counter,
        "Evaluations of groups that were due and did not take place.",
    ),
    (
        "alertmanager_notifications_total",
        MetricType::Counter,
        "Notifications that came to an end: delivered, given up, or asked to wait.",
    ),
    (
        "alertmanager_notifications_failed_total",
        MetricType::Counter,
        "Notifications given up, and those asked to wait, by whose fault it was.",
    ),
    ("alertmanager_notification_latency_seconds", MetricType::Histogram, "How long attempts took."),
    ("alertmanager_alerts", MetricType::Gauge, "Alerts that are known, by state."),
    ("alertmanager_silences", MetricType::Gauge, "Silences, by state."),
    (
        "foghorn_notify_waiting",
        MetricType::Gauge,
        "Notifications that wait for an integration, or are under way.",
    ),
];

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
        let line = limits.lines().find(|line| line.starts_with("Max open files"));
        if let Some(max) =
            line.and_then(|line| line.split_whitespace().nth(3)).and_then(|text| text.parse().ok())
        {
            points.add("process_max_fds", &[], max);
        }
    }
}
