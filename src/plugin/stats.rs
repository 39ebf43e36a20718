//! Counters of one plugin, and how they look on `/metrics`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use model::{BUCKET_LABEL, LabelsBuilder, METRIC_NAME, Timestamp, format_float};
use ports::Point;

use crate::host::{LogBudget, OwnMetrics, lock};
use crate::{CallError, Kind};

/// How many calls are remembered for people.
const REMEMBERED: usize = 20;
/// Upper bounds of the buckets of call durations.
const BUCKETS: [f64; 9] = [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];

/// One call, for people.
#[derive(Clone, Debug, PartialEq)]
pub struct CallRecord {
    /// When it began.
    pub at: Timestamp,
    /// How long it took.
    pub duration: Duration,
    /// CPU time of the plugin itself.
    pub cpu: Duration,
    /// What came of it: `3 findings`, `120 points`, `delivered`; or the error.
    pub outcome: Result<String, CallError>,
}

/// Counters of one plugin. They survive its replacement.
#[derive(Debug)]
pub(crate) struct PluginStats {
    pub(crate) log: LogBudget,
    pub(crate) own: OwnMetrics,
    log_dropped: AtomicU64,
    memory_peak: AtomicU64,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Outcome → calls.
    calls: BTreeMap<&'static str, u64>,
    buckets: [u64; BUCKETS.len()],
    count: u64,
    duration: Duration,
    cpu: Duration,
    queued: Duration,
    host_calls: BTreeMap<(&'static str, &'static str), u64>,
    last: VecDeque<CallRecord>,
}

impl PluginStats {
    pub(crate) fn new() -> Self {
        PluginStats {
            log: LogBudget::new(),
            own: OwnMetrics::default(),
            log_dropped: AtomicU64::new(0),
            memory_peak: AtomicU64::new(0),
            inner: Mutex::default(),
        }
    }

    pub(crate) fn log_dropped(&self) {
        self.log_dropped.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn memory(&self, bytes: usize) {
        self.memory_peak.fetch_max(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn queued(&self, time: Duration) {
        lock(&self.inner).queued += time;
    }

    pub(crate) fn host_calls(&self, calls: BTreeMap<(&'static str, &'static str), u64>) {
        let mut inner = lock(&self.inner);
        for (key, count) in calls {
            *inner.host_calls.entry(key).or_default() += count;
        }
    }

    pub(crate) fn called(&self, record: CallRecord) {
        let outcome = match &record.outcome {
            Ok(_) => "ok",
            Err(error) => error.limit.unwrap_or(error.kind.as_str()),
        };
        let seconds = record.duration.as_secs_f64();
        let mut inner = lock(&self.inner);
        *inner.calls.entry(outcome).or_default() += 1;
        for (bucket, _) in inner.buckets.iter_mut().zip(BUCKETS).filter(|(_, bound)| seconds <= *bound) {
            *bucket += 1;
        }
        inner.count += 1;
        inner.duration += record.duration;
        inner.cpu += record.cpu;
        if inner.last.len() == REMEMBERED {
            inner.last.pop_front();
        }
        inner.last.push_back(record);
    }

    /// The last calls, the newest first.
    pub(crate) fn last(&self) -> Vec<CallRecord> {
        lock(&self.inner).last.iter().rev().cloned().collect()
    }

    /// As samples.
    pub(crate) fn points(&self, plugin: &str, kind: Kind, out: &mut Vec<Point>) {
        let inner = lock(&self.inner);
        let mut push = |name: &str, more: &[(&str, &str)], value: f64| {
            let mut labels = LabelsBuilder::new();
            labels.set(METRIC_NAME, name).set("plugin", plugin).set("kind", kind.as_str());
            for (name, value) in more {
                labels.set(name, value);
            }
            out.push(Point { labels: labels.build(), value: value.into(), at: None });
        };
        for (outcome, count) in &inner.calls {
            push("foghorn_plugin_calls_total", &[("outcome", outcome)], *count as f64);
        }
        for (bound, count) in BUCKETS.iter().zip(inner.buckets) {
            push(
                "foghorn_plugin_duration_seconds_bucket",
                &[(BUCKET_LABEL, &format_float(*bound))],
                count as f64,
            );
        }
        push("foghorn_plugin_duration_seconds_bucket", &[(BUCKET_LABEL, "+Inf")], inner.count as f64);
        push("foghorn_plugin_duration_seconds_sum", &[], inner.duration.as_secs_f64());
        push("foghorn_plugin_duration_seconds_count", &[], inner.count as f64);
        push("foghorn_plugin_cpu_seconds_total", &[], inner.cpu.as_secs_f64());
        push("foghorn_plugin_queue_seconds_total", &[], inner.queued.as_secs_f64());
        push("foghorn_plugin_memory_peak_bytes", &[], self.memory_peak.load(Ordering::Relaxed) as f64);
        push("foghorn_plugin_log_dropped_total", &[], self.log_dropped.load(Ordering::Relaxed) as f64);
        for ((call, outcome), count) in &inner.host_calls {
            push("foghorn_plugin_host_calls_total", &[("call", call), ("outcome", outcome)], *count as f64);
        }
        drop(inner);
        self.own.points(plugin, out);
    }
}
