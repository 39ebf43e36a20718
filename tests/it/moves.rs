//! Rules move to other groups and files, and nobody is told.

use serde_json::Value;

use crate::world::{Foghorn, Sink, eventually, get, http, write};

fn rules(group: &str, expr: &str) -> String {
    format!(
        "groups:\n  - name: {group}\n    rules:\n      - {{ alert: Now, expr: {expr}, labels: {{ severity: page }} }}\n      - {{ alert: Later, expr: vector(1), for: 1h }}\n"
    )
}

/// Since when the alerts are active, when the group was evaluated a few times.
fn active_at(foghorn: &Foghorn, group: &str) -> Vec<String> {
    eventually("evaluations of the group", || {
        let page = get(foghorn.port, "/metrics").body;
        let line = page.lines().find(|line| {
            line.starts_with("prometheus_rule_group_iterations_total{")
                && line.contains(&format!(";{group}\""))
        })?;
        let count: f64 = line.rsplit(' ').next()?.parse().ok()?;
        (count > 4.0).then_some(())
    });
    let answer = foghorn.get("/api/v1/alerts");
    let alerts: Vec<Value> = answer["data"]["alerts"].as_array().cloned().unwrap_or_default();
    let mut since: Vec<String> = alerts
        .iter()
        .map(|alert| format!("{} {} {}", alert["labels"]["alertname"], alert["state"], alert["activeAt"]))
        .collect();
    since.sort();
    since
}

#[test]
fn a_group_with_another_name_or_file_goes_on() {
    let sink = Sink::start();
    let config = format!(
        r#"
global: {{ evaluation_interval: 100ms }}
rule_files: ["rules/*.yml"]
route: {{ receiver: hook, group_wait: 0s, group_interval: 100ms }}
receivers:
  - name: hook
    webhook_configs: [{{ url: "http://127.0.0.1:{}/hook" }}]
"#,
        sink.port
    );
    let foghorn = Foghorn::start(&[("foghorn.yml", &config), ("rules/a.yml", &rules("one", "vector(1)"))]);
    sink.wait_for(1);
    let since = active_at(&foghorn, "one");
    assert_eq!(since.len(), 2, "{since:?}");

    // Another file and another name, by a reload.
    std::fs::remove_file(foghorn.path("rules/a.yml")).unwrap();
    foghorn.write("rules/b.yml", &rules("two", "vector(2)"));
    assert_eq!(http(foghorn.alertmanager_port, "POST", "/-/reload", &[], "").unwrap().status, 200);
    assert_eq!(active_at(&foghorn, "two"), since);

    // To a group that is there already, while another one stays.
    foghorn.write("rules/c.yml", "groups: [{ name: three, rules: [{ record: r, expr: vector(1) }] }]");
    assert_eq!(http(foghorn.alertmanager_port, "POST", "/-/reload", &[], "").unwrap().status, 200);
    let both = rules("three", "vector(1)") + "      - { record: r, expr: vector(1) }\n";
    foghorn.write("rules/c.yml", &both);
    foghorn.write("rules/b.yml", "groups: [{ name: two, rules: [{ record: s, expr: vector(1) }] }]");
    assert_eq!(http(foghorn.alertmanager_port, "POST", "/-/reload", &[], "").unwrap().status, 200);
    assert_eq!(active_at(&foghorn, "three"), since);

    // While nobody runs.
    let directory = foghorn.path("");
    let mut foghorn = foghorn;
    foghorn.process.kill();
    std::fs::remove_file(directory.join("rules/b.yml")).unwrap();
    write(&directory, "rules/c.yml", &rules("four", "vector(1)"));
    let foghorn = foghorn.restart();
    // What waits does not wait while nobody runs; what fires goes on firing.
    let (now, before) = (active_at(&foghorn, "four"), &since[1]);
    assert!(
        before.starts_with("\"Now\" \"firing\"") && now.contains(before) && now.len() == 2,
        "{now:?} {since:?}"
    );
    assert_eq!(sink.messages().len(), 1, "{:?}", sink.messages());
}
