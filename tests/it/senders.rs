//! Others find that something is wrong and tell it here: a real Prometheus, a real vmalert.

use std::process::Command;

use serde_json::Value;

use crate::peers::newer;
use crate::world::{Foghorn, Process, Sink, Target, eventually, write};

const RULES: &str = r#"
groups:
  - name: g
    interval: 1s
    rules:
      - alert: Down
        expr: up_here == 0
        labels: { severity: page }
        annotations: { summary: "{{ $labels.instance }} shows {{ $value }}" }
"#;

/// Tells everything at once, and soon again.
fn start(sink: &Sink, target: &Target) -> Foghorn {
    let config = format!(
        r#"
global: {{ scrape_interval: 200ms, scrape_timeout: 200ms }}
scrape_configs:
  - {{ job_name: here, static_configs: [{{ targets: ["127.0.0.1:{}"] }}] }}
route: {{ receiver: hook, group_wait: 0s, group_interval: 200ms }}
receivers:
  - name: hook
    webhook_configs: [{{ url: "http://127.0.0.1:{}/hook" }}]
"#,
        target.port, sink.port
    );
    Foghorn::start(&[("foghorn.yml", &config)])
}

/// The alert begins, is told with everything that its sender said, and ends.
fn begins_and_ends(sink: &Sink, target: &Target, check: impl Fn(&Value)) {
    let message = &sink.wait_for(1)[0]["body"];
    assert_eq!((&message["status"], &message["receiver"]), (&"firing".into(), &"hook".into()), "{message}");
    let alert = &message["alerts"][0];
    let labels = &alert["labels"];
    assert_eq!(labels["alertname"], "Down");
    assert_eq!(labels["severity"], "page");
    assert_eq!(labels["cluster"], "home");
    assert_eq!(labels["job"], "here");
    assert_eq!(labels["instance"], format!("127.0.0.1:{}", target.port));
    assert_eq!(alert["annotations"]["summary"], format!("127.0.0.1:{} shows 0", target.port));
    assert_eq!(alert["endsAt"], "0001-01-01T00:00:00Z");
    check(alert);
    target.set("up_here 1\n");
    let message = &sink.wait_for(2)[1]["body"];
    assert_eq!(
        (&message["status"], &message["alerts"][0]["status"]),
        (&"resolved".into(), &"resolved".into())
    );
    let ended = &message["alerts"][0];
    assert_eq!(ended["fingerprint"], alert["fingerprint"]);
    assert_eq!(ended["startsAt"], alert["startsAt"]);
    assert!(ended["endsAt"].as_str().unwrap() > ended["startsAt"].as_str().unwrap(), "{ended}");
}

#[test]
fn a_real_prometheus_sends_its_alerts_here() {
    let Some(prometheus) = newer("prometheus") else { return };
    let (target, sink) = (Target::start("up_here 0\n"), Sink::start());
    let foghorn = start(&sink, &target);
    let directory = tempfile::TempDir::new().unwrap();
    let config = format!(
        r#"
global: {{ scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 1s, external_labels: {{ cluster: home }} }}
rule_files: [rules.yml]
scrape_configs:
  - {{ job_name: here, static_configs: [{{ targets: ["127.0.0.1:{}"] }}] }}
alerting:
  alertmanagers: [{{ static_configs: [{{ targets: ["127.0.0.1:{}"] }}] }}]
"#,
        target.port, foghorn.alertmanager_port
    );
    write(directory.path(), "prometheus.yml", &config);
    write(directory.path(), "rules.yml", RULES);
    let mut process = Process::start(
        Command::new(prometheus)
            .current_dir(directory.path())
            .args([
                "--config.file=prometheus.yml",
                "--web.listen-address=127.0.0.1:0",
                "--storage.tsdb.path=data",
            ])
            .args(["--web.external-url=http://prometheus.test:9090/", "--rules.alert.resend-delay=1s"]),
    );
    process.after("Listening on\" component=web address=");
    begins_and_ends(&sink, &target, |alert| {
        assert_eq!(
            alert["generatorURL"],
            "http://prometheus.test:9090/graph?g0.expr=up_here+%3D%3D+0&g0.tab=1"
        );
    });
    // Prometheus goes on to say that it ended; that is told once.
    let received = || {
        let page = crate::world::get(foghorn.port, "/metrics").body;
        let lines = page.lines().filter(|line| line.starts_with("alertmanager_alerts_received_total{"));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>()
    };
    let before = received();
    eventually("more from Prometheus", || (received() >= before + 2.0).then_some(()));
    assert_eq!(sink.messages().len(), 2);
}

#[test]
fn a_real_vmalert_asks_and_sends_its_alerts_here() {
    let Some(vmalert) = newer("vmalert") else { return };
    let (target, sink) = (Target::start("up_here 0\n"), Sink::start());
    let foghorn = start(&sink, &target);
    eventually("a sample", || foghorn.value("up_here"));
    write(foghorn.directory.path(), "vmalert-rules.yml", RULES);
    let process = Process::start(
        Command::new(vmalert)
            .current_dir(foghorn.directory.path())
            .args(["-rule=vmalert-rules.yml", "-httpListenAddr=127.0.0.1:0", "-rule.evalDelay=0s"])
            .arg(format!("-datasource.url=http://127.0.0.1:{}", foghorn.port))
            .arg(format!("-notifier.url=http://127.0.0.1:{}", foghorn.alertmanager_port))
            .args(["-external.url=http://vmalert.test:8880", "-external.label=cluster=home"]),
    );
    begins_and_ends(&sink, &target, |alert| {
        let url = alert["generatorURL"].as_str().unwrap_or_default();
        assert!(url.starts_with("http://vmalert.test:8880/vmalert/alert?"), "{url}");
    });
    let log = process.log();
    assert!(!log.contains("\terror\t"), "{log}");
}
