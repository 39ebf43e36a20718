//! `kill -9` while an alert fires: nothing is forgotten, nothing is told twice.

use serde_json::Value;

use crate::world::{Foghorn, Sink, Target, eventually, get, post_json};

fn start(target: &Target, sink: &Sink) -> Foghorn {
    let config = format!(
        r#"
global: {{ scrape_interval: 100ms, scrape_timeout: 100ms, evaluation_interval: 100ms }}
scrape_configs:
  - job_name: model
    static_configs: [{{ targets: ["127.0.0.1:{}"] }}]
rule_files: [rules.yml]
route: {{ receiver: discord, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 4h }}
receivers:
  - name: discord
    discord_configs: [{{ webhook_url_file: webhook, send_resolved: true }}]
"#,
        target.port
    );
    let rules = r"
groups:
  - name: lab
    rules:
      - { alert: Now, expr: model_result > 0.75 }
      - { alert: Quiet, expr: model_result > 0.75 }
  - name: slow
    interval: 5s
    rules:
      - { alert: Later, expr: model_result > 0.75, for: 1h }
";
    Foghorn::start(&[("foghorn.yml", &config), ("rules.yml", rules), ("webhook", &sink.url())])
}

fn active_at(foghorn: &Foghorn, name: &str) -> Option<String> {
    let answer = foghorn.get("/api/v1/alerts");
    let alerts = answer["data"]["alerts"].as_array()?.clone();
    let alert = alerts.into_iter().find(|a| a["labels"]["alertname"] == name)?;
    alert["activeAt"].as_str().map(str::to_owned)
}

#[test]
fn kill_nine_while_firing_forgets_nothing_and_repeats_nothing() {
    let (target, sink) = (Target::start("model_result 0.5\n"), Sink::start());
    let mut foghorn = start(&target, &sink);
    let id = foghorn.silence("alertname", "Quiet");
    target.set("model_result 0.9\n");
    sink.wait_for(1);
    foghorn.wait_for_alert("Later pending");
    let since = active_at(&foghorn, "Later").expect("it is pending");
    let samples = foghorn.value("count_over_time(model_result[1h])").expect("there are samples");

    for _ in 0..3 {
        foghorn = foghorn.crash_and_restart();
        let silences = foghorn.get("/api/v2/silences");
        assert_eq!(silences[0]["id"], id.as_str(), "{silences}");
        assert_eq!(silences[0]["status"]["state"], "active");
        foghorn.wait_for_alert("Later pending");
        assert_eq!(active_at(&foghorn, "Later").as_deref(), Some(since.as_str()), "the `for` clock went on");
        target.wait_for_scrapes(15);
    }
    assert!(foghorn.value("count_over_time(model_result[1h])") >= Some(samples), "samples were lost");
    let titles = sink.titles();
    assert_eq!(titles.len(), 1, "{titles:?}");

    target.set("model_result 0.5\n");
    let messages: Vec<Value> = sink.wait_for(2);
    assert!(messages[1]["body"]["embeds"][0]["title"].as_str().unwrap().starts_with("[RESOLVED]"));
    eventually("quiet", || foghorn.alerts().is_empty().then_some(()));
}

#[test]
fn a_clean_stop_is_quick_and_says_so() {
    let (target, sink) = (Target::start("model_result 0.5\n"), Sink::start());
    let mut foghorn = start(&target, &sink);
    target.wait_for_scrapes(3);
    assert_eq!(foghorn.process.terminate(), Some(0), "{}", foghorn.process.log());
}

#[test]
fn two_servers_never_share_a_data_directory() {
    let (target, sink) = (Target::start("model_result 0.5\n"), Sink::start());
    let foghorn = start(&target, &sink);
    let mut second = crate::world::Process::start(
        crate::world::foghorn()
            .current_dir(foghorn.directory.path())
            .args(["--config.file=foghorn.yml", "--web.listen-address=127.0.0.1:0"]),
    );
    assert_eq!(second.wait(), Some(1));
    let log = second.log();
    assert!(log.contains("in use"), "{log}");
}

#[test]
fn what_was_under_way_goes_out_again_when_there_are_notifiers() {
    // Nobody listens here: the message is under way until the process dies.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = format!(
        "route: {{ receiver: hook, group_wait: 0s }}\nreceivers:\n  - name: hook\n    webhook_configs: [{{ url: \"http://127.0.0.1:{nobody}/\" }}]\n"
    );
    let foghorn = Foghorn::start(&[("foghorn.yml", &config)]);
    let alert = serde_json::json!([{"labels": {"alertname": "A"}}]);
    assert_eq!(post_json(foghorn.port, "/api/v2/alerts", &alert).status, 200);
    let asked = |foghorn: &Foghorn| {
        eventually("an attempt", || {
            let page = get(foghorn.port, "/metrics").body;
            let line = |line: &&str| {
                line.starts_with("alertmanager_notification_requests_total{integration=\"webhook\"")
            };
            let count: f64 = page.lines().find(line)?.rsplit(' ').next()?.parse().ok()?;
            (count > 0.0).then_some(page)
        })
    };
    asked(&foghorn);
    let foghorn = foghorn.crash_and_restart();
    let page = asked(&foghorn);
    let log = foghorn.process.log();
    assert!(!log.contains("no such integration"), "{log}");
    let failed = page
        .lines()
        .find(|line| line.starts_with("alertmanager_notifications_failed_total") && !line.ends_with(" 0"));
    assert_eq!(failed, None);
}
