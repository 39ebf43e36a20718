//! Whole queries, in CPU milliseconds of this process: planning, finding, reading and computing.
//!
//! `cargo bench -p benches --bench queries [NAME…]`; `TARGETS=100` machines of about 850 series each, one hour at five seconds.
//! Not criterion: loading the data takes longer than all queries.

#![allow(clippy::unwrap_used, reason = "a bench")]

use std::time::Duration;

use benches::World;

/// Name, expression, and for a range query its length and step in seconds.
type Case = (&'static str, &'static str, Option<(u64, u64)>);

#[rustfmt::skip]
const CASES: &[Case] = &[
    ("count_targets", "count(bench_heartbeat)", None),
    ("plain_gauge", "node_load1", None),
    ("rate_by_instance", "sum by (instance) (rate(http_requests_total[5m]))", None),
    ("rate_by_instance_15m_5s", "sum by (instance) (rate(http_requests_total[5m]))", Some((900, 5))),
    ("rate_by_instance_1h_15s", "sum by (instance) (rate(http_requests_total[5m]))", Some((3300, 15))),
    ("cpu_by_mode_1h_15s", "sum by (mode) (rate(node_cpu_seconds_total[5m]))", Some((3300, 15))),
    ("cpu_busy_15m_5s", "100 - avg by (instance) (rate(node_cpu_seconds_total{mode=\"idle\"}[1m])) * 100", Some((900, 5))),
    ("histogram_p99", "histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))", None),
    ("histogram_p95_handler_15m_15s", "histogram_quantile(0.95, sum by (le, handler) (rate(http_request_duration_seconds_bucket[5m])))", Some((900, 15))),
    ("histogram_p95_service_15m_5s", "histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket{service=\"svc-1\",handler=\"/login\"}[5m])))", Some((900, 5))),
    ("topk", "topk(10, sum by (pod, namespace) (rate(container_cpu_usage_seconds_total[5m])))", None),
    ("topk_15m_15s", "topk(10, sum by (pod, namespace) (rate(container_cpu_usage_seconds_total[5m])))", Some((900, 15))),
    ("join_group_left", "sum by (namespace, phase) (container_memory_working_set_bytes * on (instance, pod) group_left (phase) kube_pod_info)", None),
    ("join_ratio", "container_memory_working_set_bytes / on (instance, pod) container_spec_memory_limit_bytes > 0.9", None),
    ("join_ratio_15m_15s", "sum by (namespace) (container_memory_working_set_bytes / on (instance, pod) container_spec_memory_limit_bytes)", Some((900, 15))),
    ("error_ratio_regex_1h_15s", "sum by (service) (rate(http_requests_total{code=~\"5..\",handler=~\"/api/.*\"}[5m])) / sum by (service) (rate(http_requests_total{handler=~\"/api/.*\"}[5m]))", Some((3300, 15))),
    ("regex_instance", "node_load1{instance=~\"node-00[0-4].|node-0099\"}", None),
    ("regex_name_count", "count({__name__=~\"node_.*\",mode!~\"idle|user\"})", None),
    ("subquery_30m_1m", "max_over_time(sum(rate(http_requests_total[1m]))[30m:1m])", None),
    ("max_over_1h", "max by (instance) (max_over_time(node_load1[1h]))", None),
    ("quantile_over_30m", "quantile_over_time(0.9, node_memory_MemAvailable_bytes[30m])", None),
    ("predict_linear", "predict_linear(node_filesystem_avail_bytes[30m], 4 * 3600)", None),
    ("avg_over_10m", "avg by (namespace) (avg_over_time(container_memory_rss[10m]))", None),
    ("count_by_name", "count by (__name__) ({job=\"bench\"})", None),
    ("net_by_namespace_15m_5s", "sum by (namespace) (rate(container_network_receive_bytes_total[5m]))", Some((900, 5))),
    ("one_host_disk_1h_15s", "node_filesystem_avail_bytes{instance=\"node-0042\"} / node_filesystem_size_bytes{instance=\"node-0042\"}", Some((3300, 15))),
    ("one_host_net_15m_5s", "rate(node_network_receive_bytes_total{instance=\"node-0042\"}[1m]) * 8", Some((900, 5))),
    ("one_host_cpu_15m_5s", "avg by (mode) (rate(node_cpu_seconds_total{instance=\"node-0042\"}[1m]))", Some((900, 5))),
    ("raw_15m_15s", "container_memory_rss", Some((900, 15))),
    ("increase_1h", "sum(increase(kube_pod_container_status_restarts_total[1h]))", None),
    ("avg_over_5m_15m_5s", "avg by (namespace) (avg_over_time(container_memory_rss[5m]))", Some((900, 5))),
    ("max_over_5m_15m_5s", "max by (namespace) (max_over_time(container_memory_rss[5m]))", Some((900, 5))),
    ("quantile_over_5m_15m_5s", "quantile_over_time(0.9, node_memory_MemAvailable_bytes[5m])", Some((900, 5))),
    ("rule_threshold", "node_load5{instance=\"node-0042\"} > 100", None),
    ("rule_ratio", "node_filesystem_avail_bytes{instance=\"node-0042\",mountpoint=\"/\"} / node_filesystem_size_bytes{instance=\"node-0042\",mountpoint=\"/\"} < 0.01", None),
    ("rule_rate", "rate(http_requests_total{instance=\"node-0042\",code=\"500\",service=\"svc-1\"}[5m]) > 50", None),
    ("rule_sum_rate", "sum by (service) (rate(http_request_duration_seconds_count{instance=\"node-0042\"}[5m])) > 10000000", None),
    ("rule_quantile", "histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket{instance=\"node-0042\",service=\"svc-1\"}[5m]))) > 20", None),
];

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let targets = std::env::var("TARGETS").ok().and_then(|text| text.parse().ok()).unwrap_or(100);
    let seconds = std::env::var("SECONDS_LOADED").ok().and_then(|text| text.parse().ok()).unwrap_or(3600);
    // On a thread of its own, so that a profile tells it apart.
    let load = std::thread::Builder::new().name("load".to_owned());
    let world =
        load.spawn(move || World::load(targets, Duration::from_secs(seconds))).unwrap().join().unwrap();
    let mut total = 0.0;
    println!("{:<32} {:>12} {:>12} {:>10}", "query", "least ms", "median ms", "samples");
    for (name, expr, range) in CASES {
        if !wanted.is_empty() && !wanted.iter().any(|w| name.contains(w.as_str())) {
            continue;
        }
        // Short ones many times, long ones eight.
        let mut took: Vec<u64> = Vec::new();
        let mut samples = 0;
        while took.len() < 8 || (took.iter().sum::<u64>() < 20_000_000 && took.len() < 2000) {
            let before = cpu_nanos();
            let answer = world.query(expr, *range);
            took.push(cpu_nanos() - before);
            samples = answer.samples.read;
        }
        took.sort_unstable();
        let median = took[took.len() / 2] as f64 / 1e6;
        total += median;
        println!("{name:<32} {:>12.3} {median:>12.3} {samples:>10}", took[0] as f64 / 1e6);
    }
    println!("{:<32} {:>12} {total:>12.1}", "all", "");
}

/// What this thread has used, in nanoseconds.
fn cpu_nanos() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
