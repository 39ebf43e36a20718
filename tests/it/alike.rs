//! Receivers whose alerts open and close something: the same configuration and alerts through a real Alertmanager and
//! through us, firing and then resolved, request for request.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use model::Timestamp;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::peers::peers;
use crate::receivers::{Came, Recorder, compared};
use crate::world::{Foghorn, Process, eventually, http, post_json, write};

/// `AT` is where the recorder listens, `DIR` the directory of the files.
const CONFIG: &str = r##"
global:
  opsgenie_api_url: http://AT/og
  opsgenie_api_key: "{{ .GroupLabels.n }}k"
  victorops_api_url: http://AT/vo
  victorops_api_key: "v k"
  rocketchat_api_url: http://AT/rocket
  rocketchat_token: t
  rocketchat_token_id: i
route: { receiver: all, group_wait: 1s, group_interval: 1s, group_by: [alertname, n] }
receivers:
  - name: all
    pushover_configs:
      - user_key: 'usual&"'
        token: t
        http_config: &through { proxy_url: "http://AT", tls_config: { insecure_skip_verify: true } }
      - user_key: "group{{ .GroupLabels.n }}"
        token_file: DIR/secret
        title: "<b>{{ .Status }} {{ .CommonAnnotations.markup }}</b>"
        message: "<b>{{ .Status }} {{ .CommonAnnotations.markup }}</b>{{ printf \"%01100d\" 7 }}"
        html: true
        url: ""
        url_title: "{{ .Status }}"
        device: "d, {{ .GroupLabels.n }}"
        sound: s
        priority: "{{ len .Alerts }}"
        retry: 90s
        expire: 1h30m
        ttl: 1500ms
        http_config: *through
      - user_key_file: DIR/secret
        token: t
        title: &long '{{ printf "%01100d" 7 }}'
        message: "{{ .CommonLabels.none }} "
        url: *long
        priority: "-1"
        retry: 0s
        expire: 0s
        monospace: true
        http_config: *through
    opsgenie_configs:
      - {}
      - api_url: http://AT/og-all/?x=1
        api_key: "{{ .Status }}"
        update_alerts: true
        message: *long
        description: "{{ .Status }}"
        source: "from {{ .Status }}"
        details: { own: "{{ .Status }}", alertname: over, none: "{{ .CommonLabels.none }}" }
        entity: "{{ .CommonLabels.alertname }}"
        tags: " a, b,,{{ .Status }}, "
        actions: "x,y"
        note: n
        priority: P{{ len .Alerts }}
        responders:
          - { name: "{{ .CommonLabels.none }}", type: team }
          - { name: " a,,{{ .CommonLabels.n }}, c", type: teams }
          - { id: i, type: user }
          - { username: u, type: '{{ if eq .Status "x" }}user{{ else }}escalation{{ end }}' }
          - { name: "{{ .CommonLabels.none }}", type: "{{ .CommonLabels.none }}" }
          - { name: "a{{ .CommonLabels.none }}", type: Schedule }
      - { api_url: "http://AT/og-bare", message: "", description: "", source: "", update_alerts: true }
    jira_configs:
      - &issue
        api_url: http://AT/jira/open/rest/api/2
        project: P
        issue_type: Bug
        summary: "{{ .Status }}"
        description: { template: d, enable_update: false }
        resolve_transition: "No"
        reopen_transition: Reopen
        reopen_duration: 1d12h
        wont_fix_resolution: Never
      - { <<: *issue, api_url: "http://AT/jira/fresh/rest/api/2" }
    sns_configs:
      - api_url: http://AT/sns/fifo
        sigv4: { region: eu-west-1, access_key: AKID, secret_key: k }
        topic_arn: arn:t.fifo
        message: "{{ .Status }}"
    wechat_configs:
      - { api_url: "http://AT/we", corp_id: c, api_secret: s, message: "{{ .Status }}", send_resolved: true }
    victorops_configs:
      - { routing_key: "usual-{{ .GroupLabels.n }}" }
      - routing_key: "a b/c?d#e%f!*'()"
        message_type: "{{ .CommonLabels.alertname }}"
        entity_display_name: "{{ .Status }}"
        state_message: '{{ printf "%021000d" 7 }}'
        monitoring_tool: m
        custom_fields: { "{{ .Status }}": "{{ .Status }}", own: "{{ len .Alerts }}", none: "" }
      - { routing_key: info, message_type: "info" }
      - { routing_key: file, api_url: "http://AT/vo-all/?x=1", api_key: own }
    incidentio_configs:
      - { url: "http://AT/incident?x=1", alert_source_token: t, timeout: 20s }
      - { url_file: DIR/url, alert_source_token_file: DIR/secret, max_alerts: 1 }
      - url: http://AT/incident-large
        http_config: { authorization: { credentials: c } }
    rocketchat_configs:
      - { channel: "#{{ .Status }}" }
      - api_url: "http://AT/rocket-all?x=1"
        send_resolved: true
        channel: c
        token_file: DIR/secret
        token_id_file: DIR/secret
        color: "{{ .Status }}"
        title: *long
        title_link: http://l
        text: "{{ .CommonAnnotations.markup }}"
        emoji: ":x:"
        icon_url: http://i
        image_url: http://im
        thumb_url: http://t
        link_names: true
        short_fields: true
        fields: [{ title: a, value: "{{ .Status }}" }, { title: b, value: "{{ .CommonLabels.none }}", short: false }]
        actions: [{ type: menu, text: "{{ .Status }}", url: "http://u", msg: m }, { text: t }]
      - { api_url: "http://AT/rocket-bare/", send_resolved: true, title: "", title_link: "", color: "" }
    mattermost_configs:
      - { webhook_url: "http://AT/matter" }
      - webhook_url_file: DIR/matter
        channel: "{{ .Status }}"
        username: me
        icon_url: http://i
        icon_emoji: ":x:"
        type: "custom_{{ .Status }}"
        text: '{{ printf "%017000d" 7 }}'
        fallback: f
        color: c
        pretext: p
        author_name: an
        author_link: al
        author_icon: ai
        title: *long
        title_link: tl
        thumb_url: tu
        image_url: iu
        footer: fo
        footer_icon: fi
        fields: [{ title: a, value: "{{ .Status }}", short: true }, { title: b, value: "{{ .CommonLabels.none }}" }]
        props: { card: "{{ len .Alerts }}" }
        priority: { priority: "Important", requested_ack: true, persistent_notifications: true }
      - webhook_url: "http://AT/matter-attached"
        text: '{{ printf "%017000d" 7 }}'
        attachments:
          - { fallback: f, color: "{{ .Status }}", pretext: p, text: "", author_name: an, author_link: al, author_icon: ai,
              title: "{{ .Status }}", title_link: tl, thumb_url: tu, image_url: iu, footer: fo, footer_icon: fi,
              fields: [{ title: a, value: b, short: false }, { title: a, value: "{{ .Status }}" }] }
          - {}
        props: {}
        priority: { priority: "{{ .Status }}", requested_ack: true, persistent_notifications: true }
      - { webhook_url: "http://AT/matter-bare", text: "", title: "", title_link: "", fallback: "", color: "", username: "",
          priority: { requested_ack: true } }
"##;
/// Requests of [`CONFIG`] while the alerts fire, and when they are over.
const FIRING: usize = 3 + 7 + 4 + 3 + 3 + 4 + 4 + 1 + 2;
const RESOLVED: usize = 3 + 3 + 4 + 3 + 2 + 4 + 5 + 1 + 1;

/// A configuration for `recorder`, and the directory of its files.
fn prepare(recorder: &Recorder) -> (TempDir, String) {
    let directory = TempDir::new().unwrap();
    write(directory.path(), "secret", "s3cret");
    write(directory.path(), "matter", &format!("http://127.0.0.1:{}/matter-all\n", recorder.port));
    write(directory.path(), "url", &format!("\n http://127.0.0.1:{}/incident-file \n", recorder.port));
    let config = CONFIG.replace("//AT", &format!("//127.0.0.1:{}", recorder.port));
    let config = config.replace("DIR/", &format!("{}/", directory.path().display()));
    (directory, config)
}

/// Two alerts from a time to a time.
fn alerts(began: Timestamp, ended: Timestamp) -> Value {
    let alert = |host: &str| {
        json!({
            "labels": { "alertname": "WARNING", "host": host, "n": "5" },
            "annotations": { "markup": "a <b> & \"c\"" },
            "startsAt": began.to_string(),
            "endsAt": ended.to_string(),
            "generatorURL": format!("http://g/{host}"),
        })
    };
    ["a", "b"].map(alert).into_iter().collect()
}

/// Lets alerts fire and resolve at the API at `port`; what came of it, by method and address.
fn told(recorder: &Recorder, port: u16) -> BTreeMap<String, Vec<Value>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock that is set").as_millis();
    // No zero at its end, which one of them would not write.
    let began = Timestamp::from_millis(now as i64 / 10 * 10 + 1);
    let after = |duration| Timestamp::from_millis(began.as_millis() + duration);
    let (at_once, later) = (after(1), after(3_600_000));
    let wait_for = |count: usize| {
        eventually(&format!("{count} requests"), || {
            let came = recorder.came();
            (came.len() >= count).then_some(came)
        })
    };
    assert_eq!(post_json(port, "/api/v2/alerts", &alerts(began, later)).status, 200);
    wait_for(FIRING);
    assert_eq!(post_json(port, "/api/v2/alerts", &alerts(began, at_once)).status, 200);
    let mut by_address: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for came in wait_for(FIRING + RESOLVED) {
        let (address, said) = said(&came, recorder.port);
        let said =
            said.to_string().replace(&began.to_string(), "BEGAN").replace(&at_once.to_string(), "ENDED");
        let said = serde_json::from_str(&said).expect("it was JSON");
        by_address.entry(address).or_default().push(said);
    }
    by_address
}

/// Where a request went, and what it said. A query is part of what was said, whatever its order and escapes.
fn said(came: &Came, port: u16) -> (String, Value) {
    let (path, query) = came.path.split_once('?').unwrap_or((&came.path, ""));
    let query: Map<String, Value> = form_urlencoded::parse(query.as_bytes())
        .map(|(name, value)| (name.into_owned(), value.into()))
        .collect();
    let whom = query.get("user").and_then(Value::as_str).unwrap_or_default();
    let address = format!("{path} {whom}");
    let mut said = compared(came, port);
    said["query"] = query.into();
    plain(&mut said);
    (address, said)
}

/// Takes out of texts how they are laid out: blank lines and headings' marks, and the sender's name.
fn plain(value: &mut Value) {
    match value {
        Value::String(text) => {
            let lines =
                text.lines().map(|line| line.trim_start_matches("# ")).filter(|line| !line.trim().is_empty());
            *text = lines.collect::<Vec<_>>().join("\n").replace("Alertmanager", "Foghorn");
        }
        Value::Array(values) => values.iter_mut().for_each(plain),
        Value::Object(values) => values.values_mut().for_each(plain),
        _ => {}
    }
}

const OUTSIDE: &str = "--web.external-url=http://outside.test:9093/";

/// What Foghorn sends.
fn ours() -> BTreeMap<String, Vec<Value>> {
    let recorder = Recorder::start();
    let (directory, config) = prepare(&recorder);
    write(directory.path(), "alertmanager.yml", &config);
    let args = vec!["--config.file=alertmanager.yml".to_owned(), OUTSIDE.to_owned()];
    let foghorn = Foghorn::start_in(Arc::new(directory), args);
    told(&recorder, foghorn.alertmanager_port)
}

#[test]
fn what_fires_is_opened_and_what_resolves_is_closed() {
    let told = ours();
    let addresses: Vec<(&str, usize)> =
        told.iter().map(|(address, all)| (address.as_str(), all.len())).collect();
    let alias = told["/og/v2/alerts "][0]["body"]["alias"].as_str().unwrap();
    let of_alert = |method: &str, api: &str, what: &str| format!("{method}/{api}/v2/alerts/{alias}/{what} ");
    let mut wanted = vec![
        ("/1/messages.json usual&\"".to_owned(), 2),
        ("/1/messages.json group5".to_owned(), 2),
        ("/1/messages.json s3cret".to_owned(), 2),
    ];
    for api in ["og", "og-all", "og-bare"] {
        wanted.push((format!("/{api}/v2/alerts "), 1));
        wanted.push((of_alert("", api, "close"), 1));
    }
    for api in ["og-all", "og-bare"] {
        wanted.extend(["message", "description"].map(|what| (of_alert("PUT ", api, what), 1)));
    }
    for key in ["v%20k/usual-5", "v%20k/a%20b/c%3Fd%23e%25f%21%2A%27%28%29", "v%20k/info"] {
        wanted.push((format!("/vo/{key} "), 2));
    }
    wanted.push(("/vo-all/own/file ".to_owned(), 2));
    wanted.extend(["incident", "incident-file", "incident-large"].map(|path| (format!("/{path} "), 2)));
    for (name, count) in [("", 1), ("-all", 2), ("-bare", 2)] {
        wanted.push((format!("/rocket{name}/api/v1/chat.postMessage "), count));
    }
    wanted.extend(["", "-all", "-attached", "-bare"].map(|name| (format!("/matter{name} "), 2)));
    for (path, count) in [
        ("/jira/open/rest/api/2/search", 2),
        ("PUT /jira/open/rest/api/2/issue/OPS-6", 2),
        ("GET /jira/open/rest/api/2/issue/OPS-6/transitions", 1),
        ("/jira/open/rest/api/2/issue/OPS-6/transitions", 1),
        ("/jira/fresh/rest/api/2/search", 2),
        ("/jira/fresh/rest/api/2/issue", 1),
        ("/sns/fifo", 2),
        ("GET /we/gettoken", 1),
        ("/we/message/send", 2),
    ] {
        wanted.push((format!("{path} "), count));
    }
    wanted.sort();
    assert_eq!(addresses, wanted.iter().map(|(a, n)| (a.as_str(), *n)).collect::<Vec<_>>());
    let key = json!([["authorization", "GenieKey 5k"], ["content-type", "application/json"]]);
    assert_eq!(told["/og/v2/alerts "][0]["headers"], key);
}

#[test]
fn a_real_alertmanager_opens_and_closes_the_same() {
    let program = peers().join("testing/alertmanager");
    if !program.exists() {
        println!("skipped: Alertmanager is not here; tests/get-peers brings it");
        return;
    }
    let recorder = Recorder::start();
    let (directory, config) = prepare(&recorder);
    write(directory.path(), "alertmanager.yml", &config);
    let mut process = Process::start(
        Command::new(&program)
            .current_dir(program.parent().expect("a program is in a directory"))
            .arg(format!("--config.file={}", directory.path().join("alertmanager.yml").display()))
            .arg(format!("--storage.path={}", directory.path().join("data").display()))
            .args(["--web.listen-address=127.0.0.1:0", "--cluster.listen-address=", OUTSIDE]),
    );
    let port = process.after("Listening on\" address=").rsplit(':').next().unwrap().parse().unwrap();
    eventually("an Alertmanager that is ready", || {
        http(port, "GET", "/-/ready", &[], "").filter(|answer| answer.status == 200)
    });
    let theirs = told(&recorder, port);
    let ours = ours();
    let mut differ = Vec::new();
    for address in theirs.keys().chain(ours.keys().filter(|address| !theirs.contains_key(*address))) {
        let (theirs, ours) = (theirs.get(address), ours.get(address));
        if theirs != ours {
            differ.push(format!("{address}\n  theirs {}\n  ours   {}", json!(theirs), json!(ours)));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}
