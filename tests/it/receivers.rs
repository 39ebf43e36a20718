//! What receivers send, request for request: payloads, headers, credentials, and the same from a real Alertmanager.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::peers::peers;
use crate::world::{Foghorn, Process, eventually, get, http, post_json, write};

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Came {
    /// With the method in front of it, unless that is `POST`.
    pub(crate) path: String,
    /// Names in lower case, sorted.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Came {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| json!({ "text": self.body }))
    }
}

/// Takes everything, and gives tokens at `/token/…`: at `/token/form` only to whom says who it is in the form. Whoever takes
/// it for a proxy finds every host behind it, with a certificate that nobody signed.
pub(crate) struct Recorder {
    pub(crate) port: u16,
    came: Arc<Mutex<Vec<Came>>>,
}

impl Recorder {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let came: Arc<Mutex<Vec<Came>>> = Arc::default();
        let shared = Arc::clone(&came);
        let tls = tls();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (shared, tls) = (Arc::clone(&shared), Arc::clone(&tls));
                std::thread::spawn(move || take(stream, tls, &shared));
            }
        });
        Recorder { port, came }
    }

    /// All requests so far.
    pub(crate) fn came(&self) -> Vec<Came> {
        self.came.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// By path, each with all requests that came there; waits for `count` paths.
    fn wait_for(&self, count: usize) -> BTreeMap<String, Vec<Came>> {
        eventually(&format!("requests at {count} paths"), || {
            let mut by_path: BTreeMap<String, Vec<Came>> = BTreeMap::new();
            for came in self.came() {
                by_path.entry(came.path.clone()).or_default().push(came);
            }
            (by_path.len() >= count).then_some(by_path)
        })
    }
}

fn tls() -> Arc<ServerConfig> {
    let own = rcgen::generate_simple_self_signed(["anybody.test".to_owned()]).expect("a certificate");
    let key = own.signing_key.serialize_der().try_into().expect("a private key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("versions of TLS").with_no_client_auth();
    Arc::new(config.with_single_cert(vec![own.cert.into()], key).expect("they fit"))
}

fn take(mut stream: TcpStream, tls: Arc<ServerConfig>, came: &Mutex<Vec<Came>>) -> Option<()> {
    let request = read(&mut stream)?;
    if !request.path.starts_with("CONNECT ") {
        return answer(&mut stream, request, came);
    }
    stream.write_all(b"HTTP/1.1 200 X\r\n\r\n").ok()?;
    let mut inside = StreamOwned::new(ServerConnection::new(tls).ok()?, stream);
    let request = read(&mut inside)?;
    answer(&mut inside, request, came)
}

fn read(stream: &mut impl Read) -> Option<Came> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.trim_start_matches("POST ").rsplit_once(' ')?.0.to_owned();
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    headers.sort();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.map_or(Some(0), |(_, length)| length.parse().ok())?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Came { path, headers, body: String::from_utf8_lossy(&body).into_owned() })
}

fn answer(writer: &mut impl Write, request: Came, came: &Mutex<Vec<Came>>) -> Option<()> {
    let (status, answer) = match request.path.as_str() {
        "/token/form" if request.header("authorization").is_some() => (401, r#"{"error":"invalid_client"}"#),
        path if path.starts_with("/token/") => {
            (200, r#"{"access_token":"t0k","token_type":"bearer","expires_in":3600}"#)
        }
        path if path.contains("/sendMessage") => {
            (200, r#"{"ok":true,"result":{"message_id":1,"chat":{"id":1}}}"#)
        }
        path if path.starts_with("/pagerduty") => (202, "{}"),
        path if path.contains("/jira/") => jira(path),
        path if path.contains("/chat.postMessage") => (200, r#"{"success":true}"#),
        path if path.contains("/gettoken?") => {
            (200, r#"{"errcode":0,"access_token":"t0/k +&","expires_in":7200}"#)
        }
        path if path.contains("/message/send?") => (200, r#"{"errcode":0,"errmsg":"ok"}"#),
        path if path.starts_with("/sns/") => (200, PUBLISHED),
        _ => (200, "ok"),
    };
    let kind = if answer == "ok" { "text/plain" } else { "application/json" };
    came.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    write!(
        writer,
        "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{answer}",
        answer.len()
    )
    .ok()
}

/// What SNS says to a message.
const PUBLISHED: &str =
    "<PublishResponse><PublishResult><MessageId>m</MessageId></PublishResult></PublishResponse>";

/// A Jira with no issues at `/jira/fresh/…`, and one that is open or closed at `/jira/open/…` and `/jira/done/…`.
fn jira(path: &str) -> (u16, &'static str) {
    let end = path.split('?').next().unwrap_or_default();
    match () {
        () if path.starts_with("PUT ") => (204, ""),
        () if path.starts_with("GET ") => {
            (200, r#"{"transitions":[{"id":"7","name":"No"},{"id":"9","name":"Reopen"}]}"#)
        }
        () if end.ends_with("/issue") => (201, r#"{"key":"OPS-8"}"#),
        () if end.ends_with("/transitions") => (204, ""),
        () if path.contains("/fresh/") => (200, r#"{"issues":[]}"#),
        () if path.contains("/done/") => (
            200,
            r#"{"issues":[{"key":"OPS-7","fields":{"status":{"name":"x","statusCategory":{"key":"done"}}}}]}"#,
        ),
        () => (
            200,
            r#"{"issues":[{"key":"OPS-6","fields":{"status":{"name":"x","statusCategory":{"key":"new"}}}},{}]}"#,
        ),
    }
}

/// `AT` is where the recorder listens, `DIR` the directory of the files.
const CONFIG: &str = r##"
global: { telegram_api_url: "http://AT", telegram_bot_token_file: DIR/secret,
  wechat_api_url: "http://AT/we?x=1", wechat_api_secret: plain }
route: { receiver: all, group_wait: 0s, group_interval: 1h, group_by: [alertname, n] }
receivers:
  - name: all
    webhook_configs:
      - { url: "http://AT/plain" }
      - { url: "http://AT/templated/{{ .GroupLabels.alertname }}?is={{ .Status }}" }
      - { url_file: DIR/url }
      - { url: "http://us%40er:p%3Aw@AT/login" }
      - url: http://AT/headers
        http_config:
          http_headers: { X-A: { values: [a, b], secrets: [s], files: [DIR/secret] }, Accept: { values: [x/y] } }
          basic_auth: { username: " u ", password_file: DIR/secret }
      - url: http://AT/credentials
        http_config: { authorization: { type: Key, credentials_file: DIR/secret } }
      - url: http://AT/basic-token
        http_config:
          oauth2:
            { client_id: "me:1", client_secret_file: DIR/secret, token_url: "http://AT/token/basic", scopes: [a, b c],
              endpoint_params: { audience: "x&y" } }
      - url: http://AT/form-token
        http_config: { oauth2: { client_id: me, client_secret: "a b", token_url: "http://AT/token/form" } }
      - url: http://AT/payload/map
        payload:
          labels: "{{ toJson .GroupLabels }}"
          count: "{{ len .Alerts }}"
          fires: '{{ eq .Status "firing" }}'
          none: "{{ .CommonLabels.nothing }}"
          "{{ .Status }}": { "{{ .GroupLabels.alertname }}": ["{{ .Status }}", "3", 0x1F, yes, 2024-01-01, 1.50] }
          5: dropped
          deep: { 6: dropped, "7": kept, secret_token: "0123" }
          text: "it is: {{ .Status }}: so"
          annotations: "{{ toJson .CommonAnnotations }}"
      - url: http://AT/payload/list
        payload: ["{{ len .Alerts }}", '{{ range .Alerts }}{{ .Labels.host }}, {{ end }}']
      - url: http://AT/payload/block
        payload: |
          {"state": "{{ .Status }}", "n": {{ len .Alerts.Firing }}, "all": {{ toJson .Alerts }}}
      - { url: "http://AT/payload/text", payload: "{{ .Status }} now" }
    slack_configs:
      - api_url: http://AT/slack
        send_resolved: true
        username: me
        title: "{{ .Status }}"
        actions:
          - { type: button, text: go, url: "http://u", name: n, value: v, confirm: { text: sure } }
          - { type: button, text: do, name: n, value: v, confirm: { text: sure, ok_text: "yes" } }
    discord_configs:
      - { webhook_url: "http://AT/discord", title: "{{ .Status }}", message: "m", username: me }
    telegram_configs:
      - { chat_id: -100123, message: "<b>{{ .Status }}</b> {{ .CommonAnnotations.markup }} & so" }
      - { chat_id_file: DIR/chat, bot_token: "2:plain", parse_mode: "", message: "{{ .CommonAnnotations.markup }}",
          disable_notifications: true, message_thread_id: 5 }
    msteamsv2_configs:
      - { webhook_url: "http://AT/teams", title: "{{ .Status }}", text: t }
    msteams_configs:
      - { webhook_url: "http://AT/connector", title: "{{ .Status }}", summary: s, text: "{{ .CommonAnnotations.markup }}" }
      - { webhook_url_file: DIR/connector, text: "{{ .Receiver }}" }
    sns_configs:
      - api_url: "http://AT/sns/{{ .GroupLabels.alertname }}"
        sigv4: { region: eu-west-1, access_key: AKID, secret_key: s3cret }
        topic_arn: "arn:aws:sns:eu-west-1:1:{{ .GroupLabels.n }}"
        subject: "it is {{ .Status }}"
        message: "é + & = ~ * {{ .CommonAnnotations.markup }}"
        attributes: { b: "1 2", a: "{{ .Status }}", "k{{ .GroupLabels.n }}": "" }
      - api_url: http://AT/sns/fifo/
        sigv4: { region: us-east-2, access_key: AKID, secret_key: s3cret }
        topic_arn: arn:aws:sns:us-east-2:1:t.fifo
        message: m
      - api_url: http://AT/sns/phone
        sigv4: { region: eu-west-1, access_key: AKID, secret_key: s3cret }
        phone_number: "+49 1"
        subject: ""
        message: '{{ reReplaceAll "." "abcdefghijä" (printf "%0160d" 1) }}'
      - { api_url: "http://AT/sns/app?x=y", sigv4: { region: r, access_key: AKID, secret_key: k }, target_arn: "arn:t", message: "" }
    wechat_configs:
      - { corp_id: one, agent_id: "{{ .GroupLabels.n }}", to_user: "@all", message: "{{ .Status }} {{ .CommonAnnotations.markup }}" }
      - corp_id: "of group {{ .GroupLabels.n }}"
        api_secret: "{{ .Status }}&own"
        api_url: http://AT/we-own
        to_party: 1|2
        to_tag: t
        message_type: markdown
        message: m
    jira_configs:
      - api_url: http://AT/jira/fresh/a/rest/api/2/
        project: "OPS \"x\" {{ .GroupLabels.n }}"
        issue_type: "{{ .Status }}"
        summary: "{{ .GroupLabels.alertname }}"
        description: "{{ .CommonAnnotations.markup }}"
        labels: [zz, "a {{ .Status }}"]
        priority: High
        fields:
          customfield_1: "{{ .Status }}"
          customfield_2: { value: "5", "{{ .Status }}": ["{{ .GroupLabels.n }}", 2.5, yes, null, "{{ toJson .GroupLabels }}"], 6: dropped }
          7: kept
      - { api_url: "http://AT/jira/fresh/b/rest/api/2", api_type: cloud, project: P, issue_type: Bug, summary: s, description: "" }
      - api_url: http://AT/jira/open/rest/api/2?a=b
        project: P
        issue_type: Bug
        summary: { template: s, enable_update: false }
        description: { template: d, enable_update: false }
        wont_fix_resolution: Won't "Do"
        http_config: { basic_auth: { username: u, password_file: DIR/secret } }
      - api_url: http://AT/jira/done/rest/api/3/
        project: P
        issue_type: Bug
        summary: s
        description: ' {"type": "doc", "version": 1, "content": []} '
        reopen_transition: Reopen
        reopen_duration: 1h30m
    webex_configs:
      - api_url: http://AT/webex
        room_id: "{{ .GroupLabels.n }}"
        message: "**{{ .Status }}** {{ .CommonAnnotations.markup }}"
        http_config: { authorization: { credentials_file: DIR/secret } }
    pagerduty_configs:
      - routing_key_file: DIR/secret
        url: http://AT/pagerduty
        client: c
        description: "{{ .Status }}"
        details: { "{{ .Status }}": "{{ .Status }}", 5: "{{ len .Alerts }}", own: { a: ["{{ toJson .GroupLabels }}"] } }
        images: [{ src: "http://s" }, { src: "", href: "http://h" }]
        links: [{ href: "http://l" }, { href: "", text: gone }]
"##;
/// Paths of [`CONFIG`], with those of its tokens.
const PATHS: usize = 41;

fn alerts(hosts: &[&str]) -> Value {
    let alert = |host: &str| {
        json!({
            "labels": { "alertname": "Disk", "host": host, "n": "5" },
            "annotations": { "markup": "a <b> & \"c\"", "list": "- 1\n- yes" },
            "startsAt": "2024-01-01T00:00:00.123Z",
            "endsAt": "2124-01-01T00:00:00Z",
            "generatorURL": format!("http://g/{host}"),
        })
    };
    hosts.iter().map(|host| alert(host)).collect()
}

fn prepare(recorder: &Recorder) -> (TempDir, String) {
    let directory = TempDir::new().unwrap();
    let at = format!("127.0.0.1:{}", recorder.port);
    write(directory.path(), "secret", " \ts3cret\r\n\n");
    write(directory.path(), "chat", " 99 \n");
    write(directory.path(), "connector", &format!("http://{at}/connector/file\n"));
    write(directory.path(), "url", &format!("\n http://{at}/from-file \n"));
    let config = CONFIG.replace("AT/", &format!("{at}/")).replace("http://AT\"", &format!("http://{at}\""));
    let config = config.replace("DIR/", &format!("{}/", directory.path().display()));
    (directory, config.replace("@AT", &format!("@{at}")))
}

/// What Foghorn sends.
fn ours() -> BTreeMap<String, Vec<Came>> {
    let recorder = Recorder::start();
    let (_directory, config) = prepare(&recorder);
    let foghorn = Foghorn::start(&[("alertmanager.yml", &config)]);
    assert_eq!(post_json(foghorn.alertmanager_port, "/api/v2/alerts", &alerts(&["a", "b"])).status, 200);
    recorder.wait_for(PATHS)
}

#[test]
fn what_receivers_send() {
    let came = ours();
    let one = |path: &str| {
        came.get(path).and_then(|all| all.first()).unwrap_or_else(|| panic!("{path}: {:?}", came.keys()))
    };
    let agent = format!("Foghorn/{}", env!("CARGO_PKG_VERSION"));
    for (path, all) in &came {
        assert_eq!(all[0].header("user-agent"), Some(agent.as_str()), "{path}");
    }
    for path in ["/from-file", "/templated/Disk?is=firing"] {
        assert_eq!(one(path).json()["groupLabels"], json!({ "alertname": "Disk", "n": "5" }));
    }
    assert_eq!(one("/login").header("authorization"), Some("Basic dXNAZXI6cDp3"));
    let named: Vec<&str> = one("/headers")
        .headers
        .iter()
        .filter(|(name, _)| name == "x-a")
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(named, ["a", "b", "s", "s3cret"]);
    assert_eq!(one("/headers").header("accept"), Some("x/y"));
    assert_eq!(one("/headers").header("authorization"), Some("Basic IHUgOnMzY3JldA=="));
    assert_eq!(one("/credentials").header("authorization"), Some("Key s3cret"));

    assert_eq!(one("/basic-token").header("authorization"), Some("Bearer t0k"));
    assert_eq!(one("/token/basic").header("authorization"), Some("Basic bWUlM0ExOnMzY3JldA=="));
    assert_eq!(one("/token/basic").body, "audience=x%26y&grant_type=client_credentials&scope=a+b+c");
    assert_eq!(one("/form-token").header("authorization"), Some("Bearer t0k"));
    assert_eq!(came["/token/form"].len(), 2);
    assert_eq!(came["/token/form"][1].body, "client_id=me&client_secret=a+b&grant_type=client_credentials");

    let labels = json!({ "alertname": "Disk", "n": 5 });
    assert_eq!(
        one("/payload/map").json(),
        json!({
            "labels": labels,
            "count": 2,
            "fires": true,
            "none": null,
            "firing": { "Disk": ["firing", 3, 31, true, "2024-01-01", 1.5] },
            "deep": { "7": "kept", "secret_token": 83 },
            "text": "it is: firing: so",
            "annotations": { "markup": "a <b> & \"c\"", "list": [1, true] },
        })
    );
    assert_eq!(one("/payload/list").json(), json!([2, "a, b, "]));
    assert_eq!(
        one("/payload/block").json()["all"][1]["labels"],
        json!({ "alertname": "Disk", "host": "b", "n": 5 })
    );
    assert_eq!(one("/payload/text").json(), json!("firing now"));
    let details = &one("/pagerduty").json()["payload"]["custom_details"];
    assert_eq!(
        (&details["{{ .Status }}"], &details["5"], &details["own"]),
        (&json!("firing"), &json!(2), &json!({ "a": [labels] }))
    );
    assert_eq!(details["firing"][0]["labels"]["host"], "a");

    let fifo = &one("/sns/fifo/").body;
    let id = one("/sns/fifo/").header("idempotency-key").expect("each message has one");
    assert!(fifo.contains(&format!("&MessageDeduplicationId={id}&")), "{id}: {fifo}");

    let html = one("/bots3cret/sendMessage").json();
    assert_eq!(html["text"], "<b>firing</b> a &lt;b&gt; &amp; &#34;c&#34; & so");
    assert_eq!(one("/bot2:plain/sendMessage").json()["chat_id"], "99");
}

/// What of a request both must say alike.
pub(crate) fn compared(came: &Came, port: u16) -> Value {
    let own = [
        "host",
        "accept-encoding",
        "content-length",
        "connection",
        "user-agent",
        "idempotency-key",
        "traceparent",
        "amz-sdk-invocation-id",
        "amz-sdk-request",
        "x-amz-date",
    ];
    let headers: Vec<_> = came
        .headers
        .iter()
        .filter(|(name, value)| {
            !own.contains(&name.as_str()) && (name.as_str(), value.as_str()) != ("accept", "*/*")
        })
        // Of a signature for AWS: whose, for what day, region and service.
        .map(|(name, value)| match value.starts_with("AWS4-HMAC-SHA256 ") {
            true => (name, value.split(',').next().unwrap_or_default()),
            false => (name, value.as_str()),
        })
        .collect();
    // Theirs names the group, and the end of it would be taken for a repetition of its beginning.
    let text: Vec<&str> =
        came.body.split('&').filter(|field| !field.starts_with("MessageDeduplicationId=")).collect();
    let mut body: Value = serde_json::from_str(&came.body).unwrap_or_else(|_| Value::from(text.join("&")));
    if let Some(message) = body.as_object_mut() {
        // Labels of routes are younger than the Alertmanager that this is compared with, and none are set.
        message.remove("routeLabels");
        message.remove("externalURL");
    }
    let text = json!({ "headers": headers, "body": body }).to_string().replace(&port.to_string(), "PORT");
    serde_json::from_str(&text).expect("it was JSON")
}

#[test]
fn a_real_alertmanager_sends_the_same() {
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
            .args(["--web.listen-address=127.0.0.1:0", "--cluster.listen-address="]),
    );
    let port = process.after("Listening on\" address=").rsplit(':').next().unwrap().parse().unwrap();
    eventually("an Alertmanager that is ready", || {
        http(port, "GET", "/-/ready", &[], "").filter(|answer| answer.status == 200)
    });
    assert_eq!(post_json(port, "/api/v2/alerts", &alerts(&["a"])).status, 200);
    assert_eq!(get(port, "/-/healthy").status, 200);
    let theirs = recorder.wait_for(PATHS);
    let second = Recorder::start();
    let (_directory, config) = prepare(&second);
    let foghorn = Foghorn::start(&[("alertmanager.yml", &config)]);
    assert_eq!(post_json(foghorn.alertmanager_port, "/api/v2/alerts", &alerts(&["a"])).status, 200);
    let ours = second.wait_for(PATHS);
    let mut differ = Vec::new();
    for (path, theirs) in &theirs {
        // Discord's answer tells the message's id only to those who wait for it.
        let other = if path == "/discord" { "/discord?wait=true" } else { path };
        let Some(ours) = ours.get(other) else { panic!("nothing came to {path}: {:?}", ours.keys()) };
        let (mut theirs, mut ours) = (compared(&theirs[0], recorder.port), compared(&ours[0], second.port));
        for side in [&mut theirs, &mut ours] {
            // Each names itself.
            let text = side.to_string().replace("Alertmanager", "Foghorn");
            *side = serde_json::from_str(&text).expect("it was JSON");
            let attachment = side.pointer_mut("/body/attachments/0").and_then(Value::as_object_mut);
            if let Some(attachment) = attachment.filter(|_| path == "/slack") {
                // They lead to the server itself.
                attachment.retain(|name, _| !["fallback", "title_link"].contains(&name.as_str()));
            }
            if path == "/pagerduty" {
                side["body"]["client_url"] = Value::Null;
            }
        }
        if theirs != ours {
            differ.push(format!("{path}\n  theirs {theirs}\n  ours   {ours}"));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}
