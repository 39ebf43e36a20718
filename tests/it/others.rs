//! Rules here, the pager elsewhere: alerts are sent to other Alertmanagers too.

use serde_json::Value;

use crate::world::{Foghorn, Target, eventually};

/// The alerts of an Alertmanager, by label `alertname` and state of the alert's end.
fn names(at: &Foghorn) -> Vec<String> {
    let alerts = at.get("/api/v2/alerts");
    let mut names: Vec<String> = alerts
        .as_array()
        .into_iter()
        .flatten()
        .map(|alert| format!("{} {}", alert["labels"]["alertname"], alert["labels"]["cluster"]))
        .collect();
    names.sort();
    names
}

const RULES: &str = "
groups:
  - name: g
    interval: 200ms
    rules:
      - {alert: Down, expr: up_here == 0, annotations: {summary: gone}}
      - {alert: Secret, expr: up_here == 0}
";

#[test]
fn alerts_of_rules_reach_another_alertmanager_and_end_there() {
    let target = Target::start("up_here 0\n");
    let pager = Foghorn::start(&[("foghorn.yml", "route: {receiver: none}\nreceivers: [{name: none}]\n")]);
    let config = format!(
        "
global: {{scrape_interval: 200ms, evaluation_interval: 200ms, external_labels: {{cluster: home}}}}
rule_files: [rules.yml]
scrape_configs:
  - {{job_name: a, scrape_timeout: 200ms, static_configs: [{{targets: ['127.0.0.1:{target}']}}]}}
alerting:
  alertmanagers:
    - static_configs: [{{targets: ['127.0.0.1:{pager}']}}]
      alert_relabel_configs: [{{source_labels: [alertname], regex: Secret, action: drop}}]
    - static_configs: [{{targets: ['127.0.0.1:1']}}]
",
        target = target.port,
        pager = pager.alertmanager_port,
    );
    let foghorn = Foghorn::start(&[("prometheus.yml", config.as_str()), ("rules.yml", RULES)]);

    eventually("the alert at the pager", || (names(&pager) == [r#""Down" "home""#]).then_some(()));
    // Here both are known, and who is sent to can be seen.
    eventually("both alerts here", || (names(&foghorn).len() == 2).then_some(()));
    let active = foghorn.get("/api/v1/alertmanagers")["data"]["activeAlertmanagers"].clone();
    let urls: Vec<&str> = active.as_array().into_iter().flatten().filter_map(|a| a["url"].as_str()).collect();
    let pager_url = format!("http://127.0.0.1:{}/api/v2/alerts", pager.alertmanager_port);
    assert!(urls.contains(&pager_url.as_str()), "{urls:?}");

    // One that does not answer is counted and named, and holds up nobody.
    let sum = |metric: &str| {
        let page = crate::world::get(foghorn.port, "/metrics").body;
        let lines = page.lines().filter(|line| line.starts_with(metric));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>()
    };
    eventually("errors are counted", || (sum("prometheus_notifications_errors_total") > 0.0).then_some(()));
    eventually("what is lost is counted", || {
        (sum("prometheus_notifications_dropped_total") > 0.0).then_some(())
    });
    // The pager may show an alert before its answer has come here.
    eventually("what was sent is counted", || {
        (sum("prometheus_notifications_sent_total") > 0.0).then_some(())
    });
    for (metric, expected) in [
        ("alertmanager_alerts{state=\"active\"}", 2.0),
        ("alertmanager_alerts_received_total{status=\"resolved\"", 0.0),
        ("alertmanager_dispatcher_aggregation_groups", 1.0),
        ("alertmanager_cluster_members", 1.0),
        ("prometheus_notifications_alertmanagers_discovered", 3.0),
        ("prometheus_rule_group_rules", 2.0),
        ("prometheus_rule_evaluation_failures_total", 0.0),
    ] {
        let shown = crate::world::get(foghorn.port, "/metrics").body;
        assert!(shown.contains(metric), "{metric} is missing: {shown}");
        assert!((sum(metric) - expected).abs() < 0.5, "{metric}: {}", sum(metric));
    }
    let log = foghorn.process.log();
    assert!(log.contains("Alerts were not taken by another Alertmanager"), "{log}");

    // The end is told as well.
    target.set("up_here 1\n");
    eventually("the end at the pager", || pager_alerts(&pager).is_empty().then_some(()));
}

fn pager_alerts(pager: &Foghorn) -> Vec<Value> {
    pager.get("/api/v2/alerts").as_array().cloned().unwrap_or_default()
}
