//! Wrong input: one clear message each, and nothing else stops.

use std::process::Command;

use crate::world::{Foghorn, Sink, Target, eventually, foghorn, write};

fn output(command: &mut Command) -> (String, Option<i32>) {
    let output = command.output().expect("the binary starts");
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &*String::from_utf8_lossy(&output.stderr);
    (text, output.status.code())
}

#[test]
fn five_mistakes_are_five_messages_with_their_places() {
    let directory = tempfile::TempDir::new().unwrap();
    write(
        directory.path(),
        "foghorn.yml",
        r#"global:
  scrape_intervall: 5s
  evaluation_interval: 5 seconds
scrape_configs:
  - job_name: model
    static_configs: [{ targets: ["localhost:1"] }]
  - job_name: model
    static_configs: [{ targets: ["localhost:2"] }]
rule_files: [rules.yml]
route: { receiver: ops-teem }
receivers:
  - name: ops-team
"#,
    );
    write(
        directory.path(),
        "rules.yml",
        "groups:\n  - name: a\n    rules:\n      - alert: A\n        expr: sum(rate(x[5m])\n",
    );
    for args in [vec!["check", "foghorn.yml"], vec!["--config.file=foghorn.yml"]] {
        let (text, code) = output(foghorn().current_dir(directory.path()).args(args));
        println!("{text}");
        assert_eq!(code, Some(1));
        for place in ["foghorn.yml:2:", "foghorn.yml:3:", "foghorn.yml:7:", "foghorn.yml:10:", "rules.yml:5:"]
        {
            assert!(text.contains(place), "no message for {place}\n{text}");
        }
        assert!(text.contains("scrape_interval"), "the nearest key is named\n{text}");
        assert!(text.contains("did you mean `ops-team`"), "{text}");
        assert!(text.matches('^').count() >= 5, "a caret under each place\n{text}");
        assert_eq!(text.matches("5 errors").count(), 1, "counted once\n{text}");
        assert!(!text.contains("problem"), "counted once\n{text}");
    }
}

#[test]
fn a_bad_reload_keeps_the_old_configuration() {
    let (target, sink) = (Target::start("model_result 0.5\n"), Sink::start());
    let config = format!(
        "global: {{ scrape_interval: 100ms, scrape_timeout: 100ms }}\nscrape_configs: [{{ job_name: model, static_configs: [{{ targets: ['127.0.0.1:{}'] }}] }}]\n",
        target.port
    );
    let foghorn = Foghorn::start(&[("foghorn.yml", &config), ("webhook", &sink.url())]);
    eventually("a sample", || foghorn.value("model_result"));
    foghorn.write("foghorn.yml", "scrape_configs: [{ job_name: 5, nonsense: true }]\n");
    let answer = crate::world::http(foghorn.port, "POST", "/-/reload", &[], "").unwrap();
    assert_eq!(answer.status, 500);
    assert!(answer.body.contains("foghorn.yml:1:"), "{}", answer.body);
    target.wait_for_scrapes(5);
    assert_eq!(foghorn.value("prometheus_config_last_reload_successful"), None);
    let metrics = crate::world::get(foghorn.port, "/metrics").body;
    assert!(metrics.contains("prometheus_config_last_reload_successful 0"), "{metrics}");
    foghorn.write("foghorn.yml", &config);
    assert_eq!(crate::world::http(foghorn.port, "POST", "/-/reload", &[], "").unwrap().status, 200);
}

#[test]
fn one_bad_thing_stops_nothing_else() {
    let (good, bad) = (Target::start("model_result 0.9\n"), Target::start("this is { not\n"));
    let sink = Sink::start();
    let config = format!(
        r#"
global: {{ scrape_interval: 100ms, scrape_timeout: 100ms, evaluation_interval: 100ms }}
scrape_configs:
  - job_name: good
    static_configs: [{{ targets: ["127.0.0.1:{}"] }}]
  - job_name: bad
    static_configs: [{{ targets: ["127.0.0.1:{}"] }}]
rule_files: [rules.yml]
route: {{ receiver: discord, group_by: [alertname], group_wait: 0s, group_interval: 1s }}
receivers:
  - name: discord
    discord_configs:
      - {{ webhook_url_file: webhook }}
      - {{ webhook_url_file: webhook, message: '{{{{ .NoSuchThing }}}}' }}
"#,
        good.port, bad.port
    );
    let rules = r#"
groups:
  - name: lab
    rules:
      - alert: BadTemplate
        expr: model_result > 0.75
        annotations: { summary: '{{ $labels.instance | nonsuch }}' }
      - alert: Good
        expr: model_result > 0.75
"#;
    let directory = std::sync::Arc::new(tempfile::TempDir::new().unwrap());
    for (name, text) in [("foghorn.yml", config.as_str()), ("rules.yml", rules), ("webhook", &sink.url())] {
        write(directory.path(), name, text);
    }
    // A template that cannot be read is a mistake in the configuration, with its place.
    let (text, code) = output(foghorn().current_dir(directory.path()).args(["check", "foghorn.yml"]));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("rules.yml:7:") && text.contains("nonsuch"), "{text}");

    // One that fails when it is filled in says so in the message, and the alert is told anyway.
    let rules = rules.replace("$labels.instance | nonsuch", "index .Labels.instance 99");
    write(directory.path(), "rules.yml", &rules);
    let foghorn = Foghorn::start_in(directory, vec!["--config.file=foghorn.yml".into()]);
    foghorn.wait_for_alert("BadTemplate firing");
    foghorn.wait_for_alert("Good firing");
    let alerts = foghorn.get("/api/v1/alerts").to_string();
    assert!(alerts.contains("error expanding template"), "{alerts}");
    eventually("both messages of the sound one", || (sink.messages().len() >= 2).then_some(()));

    let targets = eventually("the bad target's error", || {
        let targets = foghorn.get("/api/v1/targets");
        targets["data"]["activeTargets"].as_array()?.iter().any(|t| t["health"] == "down").then_some(targets)
    });
    let down =
        targets["data"]["activeTargets"].as_array().unwrap().iter().find(|t| t["health"] == "down").unwrap();
    assert!(down["lastError"].as_str().unwrap().contains("line 1"), "{down}");
    assert_eq!(foghorn.value(r#"up{job="good"}"#), Some(1.0));
    assert_eq!(foghorn.value(r#"up{job="bad"}"#), Some(0.0));

    // A component that broke off and a script with a mistake are each one message.
    foghorn.write("scripts/cut.wasm", "\0asm\r\0\x01\0");
    foghorn.write("scripts/bad.rhai", "const META = #{ name: \"X\" };\nfn evaluate() { let = 1; }\n");
    eventually("both messages in the log", || {
        let log = foghorn.process.log();
        (log.contains("scripts/cut.wasm") && log.contains("scripts/bad.rhai:2:")).then_some(())
    });
    good.wait_for_scrapes(3);
    foghorn.wait_for_alert("Good firing");
}
