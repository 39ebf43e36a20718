//! Others find that something is wrong and tell it here: a real Prometheus, a real vmalert.

use std::process::Command;

use serde_json::{Value, json};

use crate::peers::newer;
use crate::world::{Foghorn, Process, Sink, Target, eventually, http, write};

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

/// A server, and what its Alertmanager's listener answers: status, `Allow`, body.
fn asks(foghorn: &Foghorn) -> impl Fn(&str, &str, &str) -> (u16, String, String) + '_ {
    move |method, path, body| {
        let json = [("content-type", "application/json")];
        let answer = http(foghorn.alertmanager_port, method, path, &json, body).unwrap();
        let allow = answer.headers.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("allow").then(|| value.trim().to_owned())
        });
        (answer.status, allow.unwrap_or_default(), answer.body)
    }
}

#[test]
fn paths_and_methods_of_api_v2_are_answered_as_alertmanager_answers_them() {
    let foghorn = Foghorn::start(&[]);
    let ask = asks(&foghorn);
    let id = "6a7b2d3f-0000-4000-8000-000000000000";
    // A slash at the end makes no difference.
    for path in ["alerts", "alerts/groups", "receivers", "silences", "status"] {
        for slash in ["", "/"] {
            assert_eq!(ask("GET", &format!("/api/v2/{path}{slash}"), "").0, 200, "{path}{slash}");
        }
    }
    assert_eq!(ask("GET", &format!("/api/v2/silence/{id}/"), ""), (404, String::new(), String::new()));
    assert_eq!(ask("POST", "/api/v2/alerts/", "[]").0, 200);
    for path in ["/api/v2/nope", "/api/v2/", "/api/v2/silence", "/api/v2/silence/", "/api/v2/silence/a/b"] {
        let body = json!({"code": 404, "message": format!("path {path} was not found")}).to_string();
        assert_eq!(ask("GET", path, ""), (404, String::new(), body), "{path}");
    }
    for (method, path, allow) in [
        ("PUT", "/api/v2/alerts", "GET,POST"),
        ("PUT", "/api/v2/alerts/", "GET,POST"),
        ("DELETE", "/api/v2/silences", "GET,POST"),
        ("BREW", "/api/v2/silences", "GET,POST"),
        ("POST", "/api/v2/status", "GET"),
        ("POST", "/api/v2/alerts/groups", "GET"),
        ("PUT", "/api/v2/silence/x", "DELETE,GET"),
    ] {
        let message = format!("method {method} is not allowed, but [{allow}] are");
        let body = json!({"code": 405, "message": message}).to_string();
        assert_eq!(ask(method, path, "[]"), (405, allow.to_owned(), body), "{method} {path}");
    }
    assert_eq!(ask("HEAD", "/api/v2/status", "").0, 405);
    assert_eq!(ask("POST", "/api/v1/alerts", "[]").0, 410, "the API before this one is gone");
    assert_eq!(ask("GET", "/api/v3/alerts", ""), (404, String::new(), "404 page not found\n".to_owned()));
}

#[test]
fn what_is_wrong_with_a_body_is_said_as_alertmanager_says_it() {
    let foghorn = Foghorn::start(&[]);
    let ask = asks(&foghorn);
    for (alerts, status, wanted) in [
        (r#"[{"labels": {"a": "b"}, "generatorURL": "http://prometheus/graph?q=a b"}]"#, 200, Value::Null),
        (r#"[{"labels": {"a": "b"}, "generatorURL": ""}]"#, 200, Value::Null),
        (r#"[{"labels": {"a": "b"}, "generatorURL": "/graph"}]"#, 200, Value::Null),
        (
            r#"[{"labels": {"a": "c"}}, {"labels": {"a": "b"}, "generatorURL": "::not a url"}]"#,
            422,
            json!({"code": 601, "message": "1.generatorURL in body must be of type uri: \"::not a url\""}),
        ),
        ("[{}]", 422, json!({"code": 602, "message": "0.labels in body is required"})),
        (r#"[{"labels": null}]"#, 422, json!({"code": 602, "message": "0.labels in body is required"})),
        ("", 422, json!({"code": 602, "message": "alerts in body is required"})),
        ("null", 200, Value::Null),
        (r#"[{"labels": {}}]"#, 400, json!("invalid label set: at least one label pair required")),
    ] {
        let (got, _, body) = ask("POST", "/api/v2/alerts", alerts);
        let body = if body.is_empty() { Value::Null } else { serde_json::from_str(&body).unwrap() };
        assert_eq!((got, body), (status, wanted), "{alerts}");
    }
    assert_eq!(
        foghorn.get("/api/v2/alerts").as_array().map(Vec::len),
        Some(1),
        "the other one was refused, too"
    );
    // The interface's document has a string for this status.
    for body in ["{", r#"[{"labels": {"a": 5}}]"#, r#"[{"labels": {"a": "b"}, "startsAt": "x"}]"#] {
        let (status, _, answer) = ask("POST", "/api/v2/alerts", body);
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let said = answer.as_str().unwrap_or_else(|| panic!("{body}: {answer}"));
        assert!(status == 400 && said.contains("parsing "), "{body}: {status} {said}");
    }
    let silence = json!({
        "matchers": [{"name": "a", "value": "b", "isRegex": false}], "startsAt": "2020-01-01T00:00:00Z",
        "endsAt": "2999-01-01T00:00:00Z", "createdBy": "", "comment": "",
    });
    assert_eq!(ask("POST", "/api/v2/silences", &silence.to_string()).0, 200);
    for missing in ["comment", "createdBy", "endsAt", "matchers", "startsAt"] {
        let mut silence = silence.clone();
        silence.as_object_mut().unwrap().remove(missing);
        let wanted = json!({"code": 602, "message": format!("{missing} in body is required")}).to_string();
        assert_eq!(ask("POST", "/api/v2/silences", &silence.to_string()), (422, String::new(), wanted));
    }
    for (matchers, code, message) in [
        (json!([]), 612, "matchers in body should have at least 1 items"),
        (json!([{"name": "a", "value": "b"}]), 602, "matchers.0.isRegex in body is required"),
        (json!([{"value": "b", "isRegex": false}]), 602, "matchers.0.name in body is required"),
    ] {
        let mut silence = silence.clone();
        silence["matchers"] = matchers;
        let wanted = json!({"code": code, "message": message}).to_string();
        assert_eq!(ask("POST", "/api/v2/silences", &silence.to_string()), (422, String::new(), wanted));
    }
    let wanted = json!({"code": 601, "message": "silenceID in path must be of type uuid: \"x\""}).to_string();
    assert_eq!(ask("GET", "/api/v2/silence/x", ""), (422, String::new(), wanted));
}
