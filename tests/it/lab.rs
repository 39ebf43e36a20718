//! The lab: a model above its limit, Discord, silences, scripts that come and go.

use serde_json::Value;

use crate::world::{Foghorn, Sink, Target, delete, eventually, post_json};

fn config(target: &Target, send_resolved: bool) -> String {
    format!(
        r#"
global: {{ scrape_interval: 100ms, scrape_timeout: 100ms, evaluation_interval: 100ms }}
scrape_configs:
  - job_name: model
    static_configs: [{{ targets: ["127.0.0.1:{}"] }}]
rule_files: [rules.yml]
route: {{ receiver: discord, group_by: ["..."], group_wait: 0s, group_interval: 1s, repeat_interval: 4h }}
receivers:
  - name: discord
    discord_configs: [{{ webhook_url_file: webhook, send_resolved: {send_resolved} }}]
"#,
        target.port
    )
}

const RULES: &str = r#"
groups:
  - name: lab
    rules:
      - alert: ModelResultHigh
        expr: model_result > 0.75
        labels: { severity: warning }
        annotations: { summary: 'model_result is {{ printf "%.2f" $value }}' }
"#;

fn start(target: &Target, sink: &Sink, send_resolved: bool) -> Foghorn {
    let config = config(target, send_resolved);
    Foghorn::start(&[("foghorn.yml", &config), ("rules.yml", RULES), ("webhook", &sink.url())])
}

fn embed(message: &Value) -> &Value {
    &message["body"]["embeds"][0]
}

#[test]
fn a_model_above_its_limit_is_one_message_with_the_right_embed() {
    let (target, sink) = (Target::start("model_result 0.5\n"), Sink::start());
    let foghorn = start(&target, &sink, true);
    eventually("a sample", || foghorn.value("model_result").filter(|value| *value == 0.5));
    assert_eq!(sink.messages().len(), 0);

    target.set("model_result 0.9\n");
    let firing = &sink.wait_for(1)[0];
    let title = embed(firing)["title"].as_str().unwrap();
    assert!(title.starts_with("[FIRING:1] ModelResultHigh"), "{title}");
    assert!(embed(firing)["description"].as_str().unwrap().contains("model_result is 0.90"), "{firing}");
    assert_eq!(embed(firing)["color"], 0x99_2D22);
    assert!(firing["idempotencyKey"].is_string(), "{firing}");

    // The value changes, the alert does not: nothing more is sent.
    target.set("model_result 0.95\n");
    target.wait_for_scrapes(20);
    sink.wait_for(1);

    target.set("model_result 0.5\n");
    let resolved = &sink.wait_for(2)[1];
    let title = embed(resolved)["title"].as_str().unwrap();
    assert!(title.starts_with("[RESOLVED] ModelResultHigh"), "{title}");
    assert_eq!(embed(resolved)["color"], 0x2E_CC71);

    for path in [
        "/api/v1/status/config",
        "/api/v2/status",
        "/api/v1/plugins",
        "/metrics",
        "/api/v1/targets",
        "/api/v1/status/flags",
    ] {
        let body = crate::world::get(foghorn.port, path).body;
        assert!(!body.contains("canary"), "{path} shows the webhook's token");
    }
    assert!(!foghorn.process.log().contains("canary"), "the log shows the webhook's token");
}

#[test]
fn without_send_resolved_the_end_is_not_told() {
    let (target, sink) = (Target::start("model_result 0.9\n"), Sink::start());
    let foghorn = start(&target, &sink, false);
    sink.wait_for(1);
    target.set("model_result 0.5\n");
    foghorn.wait_for_no_alert("ModelResultHigh firing");
    target.wait_for_scrapes(20);
    sink.wait_for(1);
    // And a new spell is told again.
    target.set("model_result 0.9\n");
    sink.wait_for(2);
}

#[test]
fn a_silence_holds_back_until_it_is_expired() {
    let (target, sink) = (Target::start("model_result 0.5\n"), Sink::start());
    let foghorn = start(&target, &sink, true);
    let id = foghorn.silence("alertname", "ModelResultHigh");
    target.set("model_result 0.9\n");
    foghorn.wait_for_alert("ModelResultHigh firing");
    eventually("a suppressed alert", || {
        let alerts = foghorn.get("/api/v2/alerts");
        (alerts[0]["status"]["state"] == "suppressed").then(|| {
            assert_eq!(alerts[0]["status"]["silencedBy"][0], id.as_str(), "{alerts}");
        })
    });
    target.wait_for_scrapes(20);
    assert_eq!(sink.titles(), Vec::<String>::new());

    assert_eq!(delete(foghorn.port, &format!("/api/v2/silence/{id}")).status, 200);
    let titles = eventually("the message", || Some(sink.titles()).filter(|t| !t.is_empty()));
    assert!(titles[0].starts_with("[FIRING:1] ModelResultHigh"), "{titles:?}");
}

#[test]
fn alerts_of_other_senders_walk_the_same_way() {
    let (target, sink) = (Target::start(""), Sink::start());
    let foghorn = start(&target, &sink, true);
    let alert =
        serde_json::json!([{"labels": {"alertname": "FromOutside"}, "annotations": {"summary": "x"}}]);
    let answer = post_json(foghorn.alertmanager_port, "/api/v2/alerts", &alert);
    assert_eq!(answer.status, 200, "{answer:?}");
    sink.wait_for(1);
    assert!(sink.titles()[0].contains("FromOutside"), "{:?}", sink.titles());
}

#[test]
fn a_slow_channel_gets_everything_in_the_end() {
    let (target, sink) = (Target::start(""), Sink::start_with(&["--limit", "5/2s"]));
    let foghorn = start(&target, &sink, true);
    let alerts: Vec<Value> =
        (0..12).map(|i| serde_json::json!({"labels": {"alertname": "Many", "i": i.to_string()}})).collect();
    assert_eq!(post_json(foghorn.port, "/api/v2/alerts", &Value::from(alerts)).status, 200);
    let messages = sink.wait_for(12);
    let mut told: Vec<&str> = messages.iter().map(|m| m["idempotencyKey"].as_str().unwrap()).collect();
    told.sort_unstable();
    told.dedup();
    assert_eq!(told.len(), 12);
    // At Discord's own pace: nobody had to say "too many".
    let metrics = crate::world::get(foghorn.port, "/metrics").body;
    let refused = metrics.lines().find(|line| line.starts_with("foghorn_notify_rate_limited_total"));
    assert!(refused.is_some_and(|line| line.ends_with(" 0")), "{refused:?}");
}

const SCRIPT: &str = r#"
const META = #{ name: "Dropped", every: "200ms", labels: #{ severity: "info" } };
fn evaluate() { fire(#{ place: "here" }, 1.0, #{ summary: "dropped in" }); }
"#;

#[test]
fn a_script_is_a_rule_from_drop_to_removal() {
    let (target, sink) = (Target::start(""), Sink::start());
    let foghorn = start(&target, &sink, true);
    foghorn.write("scripts/dropped.rhai", SCRIPT);
    foghorn.wait_for_alert("Dropped firing");
    sink.wait_for(1);

    // A broken version says where, and the old one goes on.
    foghorn.write("scripts/dropped.rhai", &SCRIPT.replace("fire(#", "fire((#"));
    eventually("the mistake's place in the log", || {
        foghorn.process.log().contains("scripts/dropped.rhai:3:").then_some(())
    });
    foghorn.wait_for_alert("Dropped firing");
    sink.wait_for(1);

    std::fs::remove_file(foghorn.path("scripts/dropped.rhai")).unwrap();
    foghorn.wait_for_no_alert("Dropped firing");
    sink.wait_for(2);
    assert!(sink.titles()[1].starts_with("[RESOLVED]"), "{:?}", sink.titles());
}

#[test]
fn with_nothing_given_it_watches_itself_and_this_machine() {
    let directory = std::sync::Arc::new(tempfile::TempDir::new().unwrap());
    let foghorn = Foghorn::start_in(directory, Vec::new());
    eventually("itself and this machine", || {
        (foghorn.value("sum(up)") >= Some(2.0) && foghorn.value("count(node_cpu_seconds_total)") > Some(0.0))
            .then_some(())
    });
    assert!(foghorn.path("data").is_dir());
    let log = foghorn.process.log();
    assert_eq!(log.matches("page: ").count(), 1, "{log}");
}

const NOTIFIER: &str = r#"
const META = #{ name: "hook", needs: #{ secrets: ["webhook"] } };
fn notify(n) { check(http_post(secret("webhook"), #{ json: #{ content: n.title } })); }
"#;

/// A receiver whose notifier's file is broken, and another one beside it; its keys go into `more`.
fn start_with_a_broken_notifier(hook: &Sink, spare: &Sink, more: &str) -> Foghorn {
    let config = format!(
        r#"
route: {{ receiver: hook, group_by: ["..."], group_wait: 0s, group_interval: 1s }}
plugins: [{{ as: hook, file: scripts/hook.rhai }}]
receivers:
  - {{ name: hook, {more} hook_configs: [{{ webhook_url_file: hook }}] }}
  - {{ name: spare, discord_configs: [{{ webhook_url_file: spare }}] }}
"#
    );
    let broken = NOTIFIER.replace("http_post(", "http_post((");
    let (hook, spare) = (hook.url(), spare.url());
    let files =
        [("foghorn.yml", &config), ("scripts/hook.rhai", &broken), ("hook", &hook), ("spare", &spare)];
    let foghorn = Foghorn::start(&files.map(|(name, text)| (name, text.as_str())));
    let alert = serde_json::json!([{"labels": {"alertname": "Told"}}]);
    assert_eq!(post_json(foghorn.port, "/api/v2/alerts", &alert).status, 200);
    foghorn
}

#[test]
fn a_notifier_whose_file_is_repaired_tells_without_a_reload() {
    let (hook, spare) = (Sink::start(), Sink::start());
    let foghorn = start_with_a_broken_notifier(&hook, &spare, "");
    eventually("a message that nobody can send", || {
        foghorn.process.log().contains("Notification not delivered").then_some(())
    });
    foghorn.write("scripts/hook.rhai", NOTIFIER);
    assert_eq!(hook.wait_for(1)[0]["body"]["content"], "Told");
}

#[test]
fn while_a_notifier_is_missing_the_fallback_is_told() {
    let (hook, spare) = (Sink::start(), Sink::start());
    let foghorn = start_with_a_broken_notifier(&hook, &spare, "fallback: spare,");
    spare.wait_for(1);
    assert!(spare.titles()[0].contains("Told"), "{:?}", spare.titles());
    foghorn.write("scripts/hook.rhai", NOTIFIER);
    // What the fallback was told is told; what comes after that is the receiver's own again.
    let mut count = 0;
    eventually("a message of its own", || {
        count += 1;
        let labels = serde_json::json!({"alertname": "Next", "count": count.to_string()});
        post_json(foghorn.port, "/api/v2/alerts", &serde_json::json!([{ "labels": labels }]));
        (!hook.messages().is_empty()).then_some(())
    });
}
