//! What `/metrics` and our own target show: the parts' counters under the names that the field's dashboards and rules know.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use notify::QueueStatus;
use ports::FailureReason;

use crate::alerting_task::Numbers;
use crate::map;
use crate::metrics::{self, Points};
use crate::running::Running;
use crate::traffic_points::traffic_points;

impl Running {
    /// Everything that `/metrics` shows, as points.
    pub(crate) async fn points(&self) -> Vec<ports::Point> {
        let mut points = Points::default();
        let version = env!("CARGO_PKG_VERSION");
        for name in ["prometheus_build_info", "alertmanager_build_info", "foghorn_build_info"] {
            points.add(name, &[("version", version)], 1.0);
        }
        points.add("prometheus_ready", &[], f64::from(u8::from(*self.ready.borrow())));
        for program in ["prometheus", "alertmanager"] {
            let ok = f64::from(u8::from(self.reloads.ok()));
            points.add(&format!("{program}_config_last_reload_successful"), &[], ok);
            let at = self.reloads.at().as_secs_f64();
            points.add(&format!("{program}_config_last_reload_success_timestamp_seconds"), &[], at);
        }
        metrics::process(&mut points, self.started);
        self.store_points(&mut points);
        self.rule_points(&mut points);
        self.notify_points(&mut points);
        self.others.points(&mut points);
        self.alerting_points(&mut points).await;
        self.engine.points(&mut points);
        traffic_points(&self.traffic, &mut points);
        points.0.extend(self.scrape.points());
        points.0.extend(self.host.points());
        points.0
    }

    fn store_points(&self, points: &mut Points) {
        let stats = self.store.stats();
        points.count("prometheus_tsdb_head_series", &[], stats.series);
        points.count("prometheus_tsdb_head_chunks", &[], stats.chunks);
        points.count("prometheus_tsdb_head_samples_appended_total", &[], stats.samples_appended);
        points.count("prometheus_tsdb_head_series_created_total", &[], stats.series_created);
        points.count("prometheus_tsdb_head_series_removed_total", &[], stats.series_removed);
        points.count("prometheus_tsdb_out_of_order_samples_total", &[], stats.rejected.out_of_order);
        points.count("prometheus_tsdb_out_of_bound_samples_total", &[], stats.rejected.out_of_bounds);
        points.count("prometheus_tsdb_wal_segment_current", &[], stats.wal_segment);
        points.count("prometheus_tsdb_wal_corruptions_total", &[], stats.corruptions);
        points.count("prometheus_tsdb_wal_writes_failed_total", &[], stats.wal_failures);
        points.count("prometheus_tsdb_wal_storage_size_bytes", &[], stats.wal_bytes);
        points.count("foghorn_tsdb_chunk_log_bytes", &[], stats.chunk_log_bytes);
        // What Prometheus keeps in blocks is in the chunk log here.
        points.count("prometheus_tsdb_storage_blocks_bytes", &[], stats.chunk_log_bytes);
        points.count("foghorn_tsdb_chunk_saves_failed_total", &[], stats.save_failures);
        points.add("prometheus_tsdb_retention_limit_seconds", &[], self.retention.as_secs_f64());
        points.count("prometheus_tsdb_clean_start", &[], u64::from(self.clean_start));
        if let Some(newest) = stats.newest {
            points.add("prometheus_tsdb_head_max_time_seconds", &[], newest.as_secs_f64());
        }
        if let Some(oldest) = stats.oldest {
            points.add("prometheus_tsdb_lowest_timestamp_seconds", &[], oldest.as_secs_f64());
        }
        if let Some(receiver) = &self.receiver {
            let totals = receiver.totals();
            points.count("foghorn_remote_write_requests_total", &[], totals.requests);
            points.count("foghorn_remote_write_requests_failed_total", &[], totals.failed);
            points.count("foghorn_remote_write_samples_total", &[], totals.samples);
            points.count("foghorn_remote_write_histograms_total", &[], totals.histograms);
            points.count("foghorn_remote_write_exemplars_total", &[], totals.exemplars);
        }
    }

    fn rule_points(&self, points: &mut Points) {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let seconds = |micros: &AtomicU64| Duration::from_micros(of(micros)).as_secs_f64();
        for (view, stats) in self.rules.views() {
            let group = &view.group;
            let key = format!("{};{}", group.file, group.name);
            let labels = [("rule_group", key.as_str())];
            let counts = [
                ("prometheus_rule_evaluations_total", of(&stats.evaluations)),
                ("prometheus_rule_evaluation_failures_total", of(&stats.failures)),
                ("prometheus_rule_group_iterations_total", of(&stats.iterations) + of(&stats.missed)),
                ("prometheus_rule_group_iterations_missed_total", of(&stats.missed)),
                ("prometheus_rule_group_rules", group.rules.len() as u64),
                ("prometheus_rule_group_last_evaluation_samples", of(&stats.last_samples)),
            ];
            for (name, count) in counts {
                points.count(name, &labels, count);
            }
            let gauges = [
                ("prometheus_rule_group_interval_seconds", group.interval.as_secs_f64()),
                ("prometheus_rule_group_last_duration_seconds", view.evaluation_duration.as_secs_f64()),
                ("prometheus_rule_group_last_rule_duration_sum_seconds", seconds(&stats.last_rules_micros)),
            ];
            for (name, value) in gauges {
                points.add(name, &labels, value);
            }
            if let Some(at) = view.last_evaluation {
                let name = "prometheus_rule_group_last_evaluation_timestamp_seconds";
                points.add(name, &labels, at.as_secs_f64());
            }
        }
        let totals = self.rules.totals();
        for (name, times, time) in [
            ("prometheus_rule_evaluation_duration_seconds", &totals.evaluations, &totals.rule_micros),
            ("prometheus_rule_group_duration_seconds", &totals.iterations, &totals.group_micros),
        ] {
            points.add(&format!("{name}_sum"), &[], seconds(time));
            points.count(&format!("{name}_count"), &[], of(times));
        }
        let failed = of(&totals.template_errors);
        points.count("prometheus_template_text_expansion_failures_total", &[], failed);
    }

    /// Under Alertmanager's names. One process is a cluster of one.
    async fn alerting_points(&self, points: &mut Points) {
        let config = self.config();
        let integrations: usize = config.receivers.iter().map(|receiver| receiver.integrations.len()).sum();
        let inhibitions = config.alerting.as_ref().map_or(0, |alerting| alerting.inhibit_rules.len());
        let mut hasher = std::hash::DefaultHasher::new();
        std::hash::Hash::hash(config.redacted_alertmanager_yaml(), &mut hasher);
        // As upstream: 48 bits, which a float holds exactly.
        let hash = std::hash::Hasher::finish(&hasher) >> 16;
        for (name, value) in [
            ("alertmanager_receivers", config.receivers.len() as u64),
            ("alertmanager_integrations", integrations as u64),
            ("alertmanager_inhibition_rules", inhibitions as u64),
            ("alertmanager_config_hash", hash),
            ("alertmanager_cluster_enabled", 0),
            ("alertmanager_cluster_members", 1),
            ("alertmanager_cluster_failed_peers", 0),
            ("alertmanager_cluster_health_score", 0),
            ("alertmanager_peer_position", 0),
            // There is nobody to hand them on to.
            ("alertmanager_nflog_gossip_messages_propagated_total", 0),
            ("alertmanager_silences_gossip_messages_propagated_total", 0),
            // There may be any number of groups.
            ("alertmanager_dispatcher_aggregation_group_limit_reached_total", 0),
        ] {
            points.count(name, &[], value);
        }
        let limit = self.alerting_options.limits.alerts_per_name_max.unwrap_or(0);
        points.count("alertmanager_alerts_per_alert_limit", &[], limit as u64);
        let Some(Numbers { census, stats, taken_in }) = self.alerting.numbers().await else { return };
        for (state, count) in census.alerts() {
            points.count("alertmanager_alerts", &[("state", state.as_str())], count);
        }
        for (state, count) in ["active", "pending", "expired"].into_iter().zip(census.silences) {
            points.count("alertmanager_silences", &[("state", state)], count);
        }
        points.count("alertmanager_silences_state_size", &[], census.silences.iter().sum());
        points.count("alertmanager_dispatcher_aggregation_groups", &[], census.groups);
        let name = "alertmanager_dispatcher_alert_processing_duration_seconds";
        points.add(&format!("{name}_sum"), &[], taken_in.1.as_secs_f64());
        points.count(&format!("{name}_count"), &[], taken_in.0);
        for (status, count) in [("firing", stats.received_firing), ("resolved", stats.received_resolved)] {
            let labels = [("status", status), ("version", "v2")];
            points.count("alertmanager_alerts_received_total", &labels, count);
        }
        let version = [("version", "v2")];
        points.count("alertmanager_alerts_invalid_total", &version, stats.received_invalid);
        points.count("alertmanager_alerts_limited_total", &[], stats.refused_by_limit);
        for (reason, count) in [
            ("silence", stats.suppressed.by_silence),
            ("inhibition", stats.suppressed.by_inhibition),
            ("active_time_interval", stats.suppressed.by_active_time_interval),
            ("mute_time_interval", stats.suppressed.by_mute_time_interval),
        ] {
            points.count("alertmanager_notifications_suppressed_total", &[("reason", reason)], count);
        }
        points.count("foghorn_alerting_flushes_total", &[], stats.flushes);
        points.count("foghorn_alerting_commits_failed_total", &[], stats.commits_failed);
    }

    fn notify_points(&self, points: &mut Points) {
        let mut sums: BTreeMap<(Arc<str>, Arc<str>), Told> = BTreeMap::new();
        for queue in self.outbox.status() {
            let index = queue.key.index.to_string();
            let labels =
                [("receiver", &*queue.key.receiver), ("integration", &queue.key.kind), ("index", &index)];
            points.count("foghorn_notify_waiting", &labels, queue.waiting as u64);
            points.count("foghorn_notify_rate_limited_total", &labels, queue.rate_limited);
            sums.entry((queue.key.kind.clone(), queue.key.receiver.clone())).or_default().add(&queue);
        }
        for ((kind, receiver), told) in sums {
            told.points(&[("integration", &kind), ("receiver_name", &receiver)], points);
        }
    }
}

/// What one receiver was told by integrations of one kind.
#[derive(Default)]
struct Told {
    notifications: u64,
    requests: u64,
    failed_requests: u64,
    failures: BTreeMap<FailureReason, u64>,
    buckets: BTreeMap<u64, u64>,
    observed: u64,
    seconds: f64,
}

impl Told {
    fn add(&mut self, queue: &QueueStatus) {
        self.notifications += queue.delivered + queue.given_up + queue.rate_limited;
        self.requests += queue.attempts;
        self.failed_requests += queue.failed_attempts;
        for (reason, count) in &queue.failures {
            *self.failures.entry(*reason).or_default() += count;
        }
        for (bound, count) in &queue.latency.buckets {
            *self.buckets.entry(*bound).or_default() += count;
        }
        self.observed += queue.latency.count;
        self.seconds += queue.latency.sum.as_secs_f64();
    }

    fn points(&self, labels: &[(&str, &str)], points: &mut Points) {
        points.count("alertmanager_notifications_total", labels, self.notifications);
        for (reason, count) in &self.failures {
            let labels = with(labels, "reason", reason.as_str());
            points.count("alertmanager_notifications_failed_total", &labels, *count);
        }
        points.count("alertmanager_notification_requests_total", labels, self.requests);
        points.count("alertmanager_notification_requests_failed_total", labels, self.failed_requests);
        let name = "alertmanager_notification_latency_seconds";
        for (bound, count) in &self.buckets {
            points.count(&format!("{name}_bucket"), &with(labels, "le", &bound.to_string()), *count);
        }
        points.count(&format!("{name}_bucket"), &with(labels, "le", "+Inf"), self.observed);
        points.add(&format!("{name}_sum"), labels, self.seconds);
        points.count(&format!("{name}_count"), labels, self.observed);
    }
}

/// Labels, and one more.
fn with<'a>(labels: &[(&'a str, &'a str)], name: &'a str, value: &'a str) -> Vec<(&'a str, &'a str)> {
    labels.iter().copied().chain([(name, value)]).collect()
}

/// Points as a page, in the format that the client prefers.
pub(crate) fn write_points(
    points: Vec<ports::Point>,
    accept: &str,
    describe: &dyn Fn(&str) -> model::Metadata,
) -> (String, &'static str) {
    exposition::write_page(&map::families(points, describe), accept)
}
