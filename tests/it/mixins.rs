//! What people alert on about Prometheus and Alertmanager themselves holds for us: each name is there, with labels that match.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::world::{Foghorn, escape, eventually, get, http};

/// What is watched, in the way in which it usually is; windows are short, since the test does not wait for minutes.
const WATCHED: [(&str, &str); 29] = [
    ("prometheus config", "max_over_time(prometheus_config_last_reload_successful{job=\"self\"}[1m]) == 0"),
    (
        "alertmanager config",
        "min_over_time(alertmanager_config_last_reload_successful{job=\"self\"}[1m]) == 0",
    ),
    (
        "cluster members",
        "max_over_time(alertmanager_cluster_members[1m]) < on (job) group_left count by (job) (max_over_time(alertmanager_cluster_members[1m]))",
    ),
    ("cluster configs", "count by (job) (count_values by (job) (\"hash\", alertmanager_config_hash)) != 1"),
    (
        "cluster down",
        "count by (job) (avg_over_time(up{job=\"self\"}[1m]) < 0.5) / count by (job) (up{job=\"self\"}) >= 0.5",
    ),
    (
        "crash loop",
        "count by (job) (changes(process_start_time_seconds[1m]) > 4) / count by (job) (up{job=\"self\"}) >= 0.5",
    ),
    (
        "failed notifications",
        "rate(alertmanager_notifications_failed_total[1m]) / ignoring (reason) group_left rate(alertmanager_notifications_total[1m]) > 0.01",
    ),
    ("suppressed", "sum by (reason) (rate(alertmanager_notifications_suppressed_total[1m])) > 0"),
    (
        "slow notifications",
        "histogram_quantile(0.99, sum by (le, integration) (rate(alertmanager_notification_latency_seconds_bucket[1m]))) > 30",
    ),
    (
        "invalid alerts",
        "rate(alertmanager_alerts_invalid_total[1m]) / ignoring (version) rate(alertmanager_alerts_received_total{status=\"firing\"}[1m]) > 0.01",
    ),
    (
        "slow alertmanager",
        "rate(alertmanager_http_request_duration_seconds_sum[1m]) / rate(alertmanager_http_request_duration_seconds_count[1m]) > 10",
    ),
    ("long answers", "histogram_quantile(0.9, rate(alertmanager_http_response_size_bytes_bucket[1m])) > 1e9"),
    ("busy alertmanager", "alertmanager_http_requests_in_flight > 100"),
    ("target lists", "increase(prometheus_sd_refresh_failures_total[1m]) > 0"),
    (
        "queue of alerts",
        "predict_linear(prometheus_notifications_queue_length[1m], 1800) > min_over_time(prometheus_notifications_queue_capacity[1m])",
    ),
    (
        "lost alerts",
        "rate(prometheus_notifications_errors_total[1m]) / rate(prometheus_notifications_sent_total[1m]) > 0.01",
    ),
    ("dropped alerts", "rate(prometheus_notifications_dropped_total[1m]) > 0"),
    ("no alertmanager", "max_over_time(prometheus_notifications_alertmanagers_discovered[1m]) < 1"),
    (
        "nothing comes in",
        "sum without (type) (rate(prometheus_tsdb_head_samples_appended_total[1m])) <= 0 and (sum without (scrape_job) (prometheus_target_metadata_cache_entries) > 0 or sum without (rule_group) (prometheus_rule_group_rules) > 0)",
    ),
    ("duplicates", "rate(prometheus_target_scrapes_sample_duplicate_timestamp_total[1m]) > 0"),
    ("late samples", "rate(prometheus_target_scrapes_sample_out_of_order_total[1m]) > 0"),
    ("failing rules", "increase(prometheus_rule_evaluation_failures_total[1m]) > 0"),
    (
        "targets over a limit",
        "increase(prometheus_target_scrape_pool_exceeded_target_limit_total[1m]) + increase(prometheus_target_scrape_pool_exceeded_label_limits_total[1m]) > 0",
    ),
    (
        "scrapes over a limit",
        "increase(prometheus_target_scrapes_exceeded_body_size_limit_total[1m]) + increase(prometheus_target_scrapes_exceeded_sample_limit_total[1m]) > 0",
    ),
    ("targets that cannot be", "increase(prometheus_target_sync_failed_total[1m]) > 0"),
    (
        "too many queries",
        "avg_over_time(prometheus_engine_queries[1m]) / max_over_time(prometheus_engine_queries_concurrent_max[1m]) > 0.8",
    ),
    ("slow queries", "max by (slice) (prometheus_engine_query_duration_seconds{quantile=\"0.9\"}) > 100"),
    ("server errors", "sum by (handler) (rate(prometheus_http_requests_total{code=~\"5..\"}[1m])) > 0"),
    (
        "slow pages",
        "histogram_quantile(0.9, rate(prometheus_http_request_duration_seconds_bucket[1m])) > 120 or rate(prometheus_http_response_size_bytes_sum[1m]) > 1e9",
    ),
];

/// Missed evaluations happen on a machine as busy as one that tests: the name is looked for, the value is not.
const NAMES: &str = "prometheus_rule_group_iterations_missed_total prometheus_rule_group_iterations_total \
    prometheus_rule_group_last_duration_seconds prometheus_rule_group_interval_seconds prometheus_rule_evaluations_total \
    prometheus_rule_group_last_evaluation_timestamp_seconds prometheus_rule_group_last_evaluation_samples \
    prometheus_rule_evaluation_duration_seconds_sum prometheus_template_text_expansion_failures_total prometheus_ready \
    prometheus_build_info alertmanager_build_info alertmanager_alerts alertmanager_silences alertmanager_receivers \
    alertmanager_integrations alertmanager_inhibition_rules alertmanager_dispatcher_aggregation_groups \
    alertmanager_dispatcher_alert_processing_duration_seconds_count alertmanager_notification_requests_total \
    alertmanager_notification_requests_failed_total alertmanager_cluster_failed_peers alertmanager_peer_position \
    alertmanager_http_concurrency_limit_exceeded_total alertmanager_silences_state_size \
    alertmanager_silences_gossip_messages_propagated_total alertmanager_nflog_gossip_messages_propagated_total \
    alertmanager_dispatcher_aggregation_group_limit_reached_total \
    alertmanager_alerts_limited_total alertmanager_alerts_per_alert_limit prometheus_notifications_latency_seconds_count \
    prometheus_target_interval_length_seconds_sum prometheus_target_sync_length_seconds_sum \
    prometheus_sd_discovered_targets prometheus_tsdb_head_series prometheus_tsdb_head_chunks \
    prometheus_tsdb_head_max_time_seconds prometheus_tsdb_lowest_timestamp_seconds prometheus_tsdb_wal_corruptions_total \
    prometheus_tsdb_wal_segment_current prometheus_tsdb_clean_start prometheus_tsdb_storage_blocks_bytes \
    prometheus_engine_query_samples_total process_cpu_seconds_total process_resident_memory_bytes process_open_fds \
    process_max_fds";

fn names() -> BTreeSet<&'static str> {
    let words = WATCHED.iter().map(|(_, expr)| *expr).chain([NAMES]);
    let words = words.flat_map(|text| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
    words
        .filter(|word| {
            word.starts_with("prometheus_")
                || word.starts_with("alertmanager_")
                || word.starts_with("process_")
        })
        .collect()
}

fn ask(foghorn: &Foghorn, expr: &str) -> Vec<Value> {
    let answer = get(foghorn.port, &format!("/api/v1/query?query={}", escape(expr))).json();
    assert_eq!(answer["status"], "success", "{expr}: {answer}");
    answer["data"]["result"].as_array().cloned().unwrap_or_default()
}

#[test]
fn what_is_watched_about_prometheus_and_alertmanager_can_be_watched_here() {
    let pager = Foghorn::start(&[("foghorn.yml", "route: {receiver: none}\nreceivers: [{name: none}]\n")]);
    let config = format!(
        "
global: {{scrape_interval: 200ms, evaluation_interval: 200ms}}
rule_files: [rules.yml]
scrape_configs:
  - {{job_name: self, plugin: foghorn, static_configs: [{{targets: [localhost]}}]}}
  - {{job_name: found, file_sd_configs: [{{files: [none.json]}}]}}
alerting:
  alertmanagers:
    - static_configs: [{{targets: ['127.0.0.1:{alertmanager}']}}]
route: {{receiver: gone, group_wait: 0s, group_interval: 200ms}}
receivers:
  - name: gone
    webhook_configs: [{{url: 'http://127.0.0.1:{page}/nowhere'}}]
",
        alertmanager = pager.alertmanager_port,
        page = pager.port,
    );
    let rules =
        "groups: [{name: g, rules: [{alert: Always, expr: vector(1), annotations: {summary: yes}}]}]\n";
    let foghorn = Foghorn::start(&[("foghorn.yml", config.as_str()), ("rules.yml", rules)]);

    for name in names() {
        let shows = |line: &str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        eventually(name, || {
            // What is asked for counts itself.
            get(foghorn.port, "/api/v2/alerts");
            get(foghorn.port, "/metrics").body.lines().any(shows).then_some(())
        });
    }

    // A message that nobody takes is the one thing that is wrong.
    let failed = WATCHED.iter().find(|(what, _)| *what == "failed notifications").unwrap().1;
    let told = eventually("failed notifications are found", || {
        let found = ask(&foghorn, failed);
        (!found.is_empty()).then_some(found)
    });
    assert_eq!(told[0]["metric"]["integration"], "webhook", "{told:?}");
    assert_eq!(told[0]["metric"]["reason"], "clientError", "{told:?}");
    for (what, expr) in WATCHED {
        let found = ask(&foghorn, expr);
        assert!(what == "failed notifications" || found.is_empty(), "{what}: {found:?}");
    }

    // And a configuration that cannot be read, of either program.
    foghorn.write("foghorn.yml", "route: [\n");
    assert_eq!(http(foghorn.port, "POST", "/-/reload", &[], "").unwrap().status, 500);
    for program in ["prometheus", "alertmanager"] {
        let expr = format!("min_over_time({program}_config_last_reload_successful[10s]) == 0");
        eventually("a failed reload is found", || (!ask(&foghorn, &expr).is_empty()).then_some(()));
    }
}
