//! What a team that moves its pager brings along: Alertmanager's flags, its reload, its browsers, and batches as they come.

use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::world::{Foghorn, Sink, eventually, get, http, post_json, write};

const CONFIG: &str = "route: {receiver: none}\nreceivers: [{name: none}]\n";

fn start(flags: &[&str]) -> Foghorn {
    let directory = Arc::new(TempDir::new().expect("a directory for the test"));
    write(directory.path(), "alertmanager.yml", CONFIG);
    let args = std::iter::once("--config.file=alertmanager.yml").chain(flags.iter().copied());
    Foghorn::start_in(directory, args.map(str::to_owned).collect())
}

#[test]
fn bounds_of_the_command_line_hold() {
    let foghorn = start(&[
        "--silences.max-silences=1",
        "--silences.max-silence-size-bytes=200",
        "--alerts.per-alertname-limit=2",
        "--cluster.listen-address=",
    ]);
    let silence = |comment: &str| {
        let body = json!({
            "matchers": [{"name": "a", "value": "b", "isRegex": false}], "createdBy": "me", "comment": comment,
            "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2126-01-01T00:00:00Z",
        });
        let answer = post_json(foghorn.port, "/api/v2/silences", &body);
        (answer.status, answer.body)
    };
    let (status, why) = silence(&"x".repeat(300));
    assert!(status == 400 && why.contains("200"), "{status} {why}");
    assert_eq!(silence("short").0, 200);
    let (status, why) = silence("one too many");
    assert!(status == 400 && why.contains('1'), "{status} {why}");

    let alerts: Vec<_> =
        ["a", "b", "c"].map(|host| json!({"labels": {"alertname": "Down", "host": host}})).into();
    post_json(foghorn.port, "/api/v2/alerts", &json!(alerts));
    assert_eq!(foghorn.get("/api/v2/alerts").as_array().map(Vec::len), Some(2));
    let page = get(foghorn.port, "/metrics").body;
    assert!(page.lines().any(|line| line == "alertmanager_alerts_limited_total 1"), "{page}");
}

#[test]
fn alertmanagers_own_address_reloads_without_a_flag_and_never_quits() {
    // The helper starts with --web.enable-lifecycle; this one must not.
    let directory = TempDir::new().expect("a directory for the test");
    write(directory.path(), "alertmanager.yml", CONFIG);
    let mut process = crate::world::Process::start(
        crate::world::foghorn()
            .current_dir(directory.path())
            .args(["--config.file=alertmanager.yml", "--web.listen-address=127.0.0.1:0"])
            .args(["--web.alertmanager-listen-address=127.0.0.1:0"])
            .args([concat!("--plugins.cache-dir=", env!("CARGO_TARGET_TMPDIR"), "/plugins")]),
    );
    let main = crate::world::port_of(&process.after("page: "));
    let alertmanager = crate::world::port_of(&process.after("alertmanager api: "));
    crate::world::eventually("a server that is ready", || {
        http(main, "GET", "/-/ready", &[], "").filter(|answer| answer.status == 200)
    });
    for (port, path, status) in [
        (main, "/-/reload", 403),
        (alertmanager, "/-/reload", 200),
        (main, "/-/quit", 403),
        (alertmanager, "/-/quit", 404),
    ] {
        let answer = post_json(port, path, &json!({}));
        assert_eq!(answer.status, status, "{path}: {answer:?}");
    }
    write(directory.path(), "alertmanager.yml", "route: {receiver: nobody}\n");
    let answer = post_json(alertmanager, "/-/reload", &json!({}));
    assert!(answer.status == 500 && answer.body.contains("nobody"), "{answer:?}");
}

#[test]
fn ten_thousand_alerts_with_long_texts_fit_into_one_request() {
    let foghorn = start(&[]);
    let text = "what happened, where, and what to do; ".repeat(20);
    let alerts: Vec<_> = (0..10_000)
        .map(|n| json!({"labels": {"alertname": "Many", "n": n.to_string()}, "annotations": {"text": text}}))
        .collect();
    assert_eq!(post_json(foghorn.port, "/api/v2/alerts", &json!(alerts)).status, 200);
    let numbers = get(foghorn.port, "/metrics").body;
    assert!(numbers.lines().any(|line| line == r#"alertmanager_alerts{state="active"} 10000"#), "{numbers}");
}

#[test]
fn pages_of_other_sites_may_read_alerts() {
    let foghorn = start(&[]);
    let origin = [("origin", "http://panel.example")];
    for (method, status) in [("GET", 200), ("OPTIONS", 204)] {
        let answer = http(foghorn.port, method, "/api/v2/alerts", &origin, "").expect("an answer");
        assert_eq!(answer.status, status);
        assert!(answer.headers.contains("access-control-allow-origin: *"), "{answer:?}");
    }
}

#[test]
fn pages_of_rule_groups_are_full_of_what_is_wanted() {
    let rules = "
groups:
  - {name: a, rules: [{record: r, expr: '1'}]}
  - {name: b, rules: [{alert: B, expr: 'vector(1) > 2'}]}
  - {name: c, rules: [{record: s, expr: '1'}]}
  - {name: d, rules: [{alert: D, expr: 'vector(1) > 2'}, {record: t, expr: '1'}]}
  - {name: e, rules: []}
";
    let foghorn = Foghorn::start(&[("prometheus.yml", "rule_files: [rules.yml]\n"), ("rules.yml", rules)]);
    let page = |query: &str| {
        let answer = foghorn.get(&format!("/api/v1/rules?{query}"));
        let groups = answer["data"]["groups"].as_array().cloned().unwrap_or_default();
        let names: Vec<String> = groups
            .iter()
            .map(|group| format!("{}{}", group["name"], group["rules"].as_array().unwrap().len()))
            .collect();
        (names.join(" ").replace('"', ""), answer["data"]["groupNextToken"].as_str().map(str::to_owned))
    };
    for (query, first, second) in [
        ("group_limit=1&type=alert", "b1", "d1"),
        ("group_limit=2", "a1 b1", "c1 d2"),
        ("group_limit=1&rule_name[]=t&rule_name[]=r", "a1", "d1"),
    ] {
        let (names, token) = page(query);
        assert_eq!(names, first, "{query}");
        let (names, last) = page(&format!("{query}&group_next_token={}", token.unwrap_or_default()));
        assert_eq!((names.as_str(), last), (second, None), "{query}, second page");
    }
}

#[test]
fn a_template_that_fails_is_shown_where_deliveries_are_and_holds_up_nobody_else() {
    let sink = Sink::start();
    let config = format!(
        "
route: {{receiver: ops, group_wait: 0s, group_interval: 1h}}
receivers:
  - name: ops
    discord_configs:
      - webhook_url: '{url}'
      - webhook_url: '{url}'
        title: 'on {{{{ (index .Alerts 7).Labels.host }}}}'
",
        url = sink.url()
    );
    let mut foghorn = Foghorn::start(&[("alertmanager.yml", config.as_str())]);
    post_json(foghorn.port, "/api/v2/alerts", &json!([{"labels": {"alertname": "Down", "host": "a"}}]));
    sink.wait_for(1);
    let error = eventually("what became of the other one", || {
        let all = foghorn.get("/api/foghorn/v1/notifications")["data"]["notifications"].clone();
        all.as_array()?.iter().find_map(|delivery| delivery["error"].as_str().map(str::to_owned))
    });
    for part in
        ["receiver `ops`, discord[1]: a template failed, and nothing was sent: `title`: ", ":1:", "index"]
    {
        assert!(error.contains(part), "{part}: {error}");
    }
    let failed = "alertmanager_notifications_failed_total{integration=\"discord\",reason=\"other\",receiver_name=\"ops\"} 1";
    let page = get(foghorn.port, "/metrics").body;
    assert!(page.lines().any(|line| line == failed), "{page}");
    foghorn.process.after("a template failed, and nothing was sent");
    sink.wait_for(1);
}

#[test]
fn a_message_that_does_not_get_through_is_seen_while_it_is_tried() {
    // Nobody listens here.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = format!(
        "route: {{ receiver: hook, group_wait: 0s, group_interval: 1h }}\nreceivers:\n  - name: hook\n    webhook_configs: [{{ url: \"http://127.0.0.1:{nobody}/a\" }}, {{ url: \"http://127.0.0.1:{nobody}/b\" }}]\n  - name: nobody\n"
    );
    let foghorn = Foghorn::start(&[("alertmanager.yml", config.as_str())]);
    let before = foghorn.get("/api/foghorn/v1/notifications")["data"].clone();
    assert_eq!(
        before,
        json!({"notifications": [], "trying": [], "waiting": 0, "silentReceivers": ["nobody"]})
    );
    post_json(foghorn.port, "/api/v2/alerts", &json!([{"labels": {"alertname": "Down", "host": "a"}}]));
    let seen = eventually("the message is tried a second time", || {
        let seen = foghorn.get("/api/foghorn/v1/notifications")["data"].clone();
        let trying = seen["trying"].as_array()?;
        let again = |trying: &Value| trying["attempts"].as_u64().is_some_and(|attempts| attempts >= 2);
        (trying.len() == 2 && trying.iter().all(again)).then_some(seen)
    });
    assert_eq!((&seen["notifications"], &seen["waiting"]), (&json!([]), &json!(2)));
    // Two of one kind differ by their index.
    let trying = seen["trying"].as_array().unwrap().iter().find(|trying| trying["index"] == 1).unwrap();
    assert!(seen["trying"].as_array().unwrap().iter().any(|trying| trying["index"] == 0), "{seen}");
    for (name, wanted) in [
        ("receiver", json!("hook")),
        ("integration", json!("webhook")),
        ("firing", json!(1)),
        ("resolved", json!(0)),
    ] {
        assert_eq!(trying[name], wanted, "{name}: {trying}");
    }
    assert!(trying["error"].as_str().is_some_and(|error| error.contains("connect")), "{trying}");
}
