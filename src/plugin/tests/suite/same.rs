//! One list of calls and answers for both languages: a script and a component reach the same functions.

use std::path::Path;
use std::sync::Arc;

use model::{AlertStatus, Secret, Timestamp};
use plugin::{Grants, Kind, PluginSpec, SecretSource, Source};
use ports::{NotifyError, Payload, SmtpServer};
use serde_json::{Value, json};

use crate::fake::{Answers, NOW, World, deadline, notification, script, target};

/// What is called: in a component as JSON, in a script as an expression; and what is answered.
struct Case {
    call: Value,
    script: &'static str,
    answer: Value,
}

fn case(call: Value, script: &'static str, answer: Value) -> Case {
    Case { call, script, answer }
}

fn error(kind: &str) -> Value {
    json!({ "error": kind, "retry_after": null })
}

/// What every kind may call.
fn common() -> Vec<Case> {
    let long = "x".repeat(300);
    vec![
        case(json!(["param", "limit"]), r#"param("limit")"#, json!(90.0)),
        case(json!(["param", "label"]), r#"param("label")"#, json!("b")),
        case(json!(["param", "none"]), r#"param("none")"#, error("config")),
        case(json!(["now"]), "now()", json!(NOW as f64 / 1000.0)),
        case(json!(["print", "hello"]), r#"print("hello")"#, json!(null)),
        case(json!(["metric_add", "n_total", 2]), r#"metric_add("n_total", #{ a: "b" }, 2)"#, json!(null)),
        case(json!(["metric_add", "n_total", -1]), r#"metric_add("n_total", #{ a: "b" }, -1)"#, json!(null)),
        case(json!(["state_get", "none"]), r#"state_get("none")"#, json!(null)),
        case(
            json!(["state_set", "b", { "x": [1, 2.5, null] }]),
            r#"state_set("b", #{ x: [1, 2.5, ()] })"#,
            json!(null),
        ),
        case(json!(["state_set", "a", 5, 60]), r#"state_set("a", 5, 60)"#, json!(null)),
        case(json!(["state_set", "c", "", 0]), r#"state_set("c", "", 0)"#, json!(null)),
        case(json!(["state_get", "b"]), r#"state_get("b")"#, json!({ "x": [1, 2.5, null] })),
        case(json!(["state_get", "c"]), r#"state_get("c")"#, json!(null)),
        case(json!(["state_keys", ""]), r#"state_keys("")"#, json!(["a", "b"])),
        case(json!(["state_del", "b"]), r#"state_del("b")"#, json!(null)),
        case(json!(["state_keys", "b"]), r#"state_keys("b")"#, json!([])),
        case(
            json!(["state_set", long, 1]),
            r#"{ let k = "x"; k.pad(300, 'x'); state_set(k, 1) }"#,
            error("limit"),
        ),
    ]
}

fn of_rules() -> Vec<Case> {
    let at = NOW as f64 / 1000.0;
    vec![
        case(
            json!(["query", "up"]),
            r#"query("up").map(|s| [s.job, s.value, s.times[0]])"#,
            json!([["a", 1.0, at], ["", 0.5, at]]),
        ),
        case(json!(["query", "none("]), r#"query("none(")"#, error("permanent")),
        case(
            json!(["query_range", "model", 180, 60]),
            r#"query_range("model", "3m", "1m").map(|s| [s.job, s.values])"#,
            json!([["m", [0.25, 0.5, 0.75]]]),
        ),
        case(json!(["query_range", "model", 180, 0]), r#"query_range("model", 180, 0)"#, error("permanent")),
        case(
            json!(["query_range", "model", 1e9, 1]),
            r#"query_range("model", 1000000000, 1)"#,
            error("limit"),
        ),
    ]
}

fn of_the_web(world: &World) -> Vec<Case> {
    world.answer(201, &[("x-echo", "t0p-secret")], "made with t0p-secret");
    world.answer(429, &[("retry-after", "7")], "");
    world.answer(503, &[], "");
    world.answer(401, &[], "");
    world.fail(ports::OutgoingError::Timeout(std::time::Duration::from_secs(1)));
    world.fail(ports::OutgoingError::TooLarge(5));
    let post = json!(["http", "POST", "https://api.example.org/x", "Authorization", "S:token", "S:hook"]);
    let get = |call: &str| json!([call, "GET", "https://api.example.org/"]);
    let checked = r#"{ check(http_get("https://api.example.org/")) }"#;
    vec![
        case(
            post,
            r#"{ let a = http_post("https://api.example.org/x", #{ headers: #{ Authorization: secret("token") }, body: secret("hook") });
                [a.status, a.body, a.headers["x-echo"]] }"#,
            json!([201, "made with <secret>", "<secret>"]),
        ),
        case(get("check"), checked, json!({ "error": "rate-limited", "retry_after": 7.0 })),
        case(get("check"), checked, error("retryable")),
        case(get("check"), checked, error("unauthorized")),
        case(get("http"), checked, error("retryable")),
        case(get("http"), checked, error("limit")),
        case(
            json!(["http", "GET", "https://evil.example/"]),
            r#"http_get("https://evil.example/")"#,
            error("denied"),
        ),
        case(
            json!(["http", "GET", "gopher://api.example.org/"]),
            r#"http_get("gopher://api.example.org/")"#,
            error("permanent"),
        ),
        case(
            json!(["http", "POST", "https://api.example.org/", "Host", "evil.example"]),
            r#"http_post("https://api.example.org/", #{ headers: #{ Host: "evil.example" } })"#,
            error("denied"),
        ),
        case(json!(["secret", "none"]), r#"secret("none")"#, error("denied")),
    ]
}

fn of_exporters(world: &World) -> Vec<Case> {
    let mut cases = of_the_web(world);
    cases.extend([
        case(json!(["read_file", "/etc/passwd"]), r#"read_file("/etc/passwd")"#, error("denied")),
        case(
            json!(["read_file", "/proc/self/environ"]),
            r#"read_file("/proc/self/environ")"#,
            error("denied"),
        ),
        case(json!(["list_directory", "/proc"]), r#"list_directory("/proc")"#, error("denied")),
        case(json!(["read_link", "/proc/self/exe"]), r#"read_link("/proc/self/exe")"#, error("denied")),
        case(json!(["file_system", "/"]), r#"file_system("/")"#, error("denied")),
        case(json!(["uname"]), "uname().sysname", json!("Linux")),
    ]);
    cases
}

fn of_notifiers(world: &World) -> Vec<Case> {
    let mut cases = of_the_web(world);
    cases.extend([
        case(
            json!(["hmac_sha256", "token", "data"]),
            r#"hmac_sha256("token", "data")"#,
            json!("4aeaf50eec3e447eba6e96249e42f5aae38e6d4b2122f8ee65257bd96d6503a5"),
        ),
        case(
            json!(["mail", "office", "a@x", "b@x", "Hi", "text"]),
            r#"mail("office", #{ from: "a@x", to: "b@x", subject: "Hi", text: "text" })"#,
            json!("<1@test>"),
        ),
        case(
            json!(["mail", "home", "a@x", "b@x", "Hi", ""]),
            r#"mail("home", #{ to: "b@x" })"#,
            error("denied"),
        ),
        case(
            json!(["mail", "office", "a@x", "b@x\r\nX: y", "Hi", ""]),
            r#"mail("office", #{ to: "b@x\r\nX: y" })"#,
            error("permanent"),
        ),
    ]);
    cases
}

fn component(kind: Kind, cases: &[Case]) -> PluginSpec {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("../../tests/fixtures/plugins/probe/{kind}/probe_{kind}.wasm"));
    let mut spec = PluginSpec::new(Source::File(path));
    spec.params.insert("calls".to_owned(), cases.iter().map(|case| case.call.clone()).collect());
    spec
}

fn as_script(kind: Kind, cases: &[Case]) -> PluginSpec {
    let mut text = String::from(
        "const META = #{ name: \"probe\", params: #{ limit: 90.0, label: \"a\" },\n  needs: #{ secrets: [\"token\", \
         \"hook\"], hosts: [\"api.example.org\"] } };\n",
    );
    text.push_str(match kind {
        Kind::Rule => "fn evaluate() {\n",
        Kind::Exporter => "fn collect(target) {\n",
        Kind::Notifier => "fn notify(n) {\n",
    });
    text.push_str("let out = [];\n");
    for case in cases {
        text.push_str(&format!(
            "try {{ out.push({}); }} catch (e) {{ out.push(#{{ error: e.kind, retry_after: e.retry_after }}); }}\n",
            case.script
        ));
    }
    text.push_str(match kind {
        Kind::Rule => "fire(#{}, 1, #{ answers: to_json(out) });\n}\n",
        Kind::Exporter => "gauge(\"probe\", 1, #{ answers: to_json(out) });\n}\n",
        Kind::Notifier => "to_json(out)\n}\n",
    });
    script("probe", &text)
}

/// Runs the plugin and gives what it was answered, and what was sent meanwhile.
async fn answers(world: &Arc<World>, kind: Kind, mut spec: PluginSpec) -> (Vec<Value>, Vec<String>) {
    spec.params.insert("label".to_owned(), "b".into());
    if kind != Kind::Rule {
        spec.allow = Grants {
            hosts: vec!["api.example.org".to_owned()],
            secrets: [
                ("token".to_owned(), SecretSource::Inline(Secret::new("t0p-secret".to_owned()))),
                (
                    "hook".to_owned(),
                    SecretSource::Inline(Secret::new("https://api.example.org/hook".to_owned())),
                ),
            ]
            .into(),
            files: vec!["/proc/uptime".to_owned()],
            smtp: [("office".to_owned(), SmtpServer::default())].into(),
            ..Grants::default()
        };
    }
    let host = world.host();
    let plugin = host.load(spec).await.unwrap();
    let text = match kind {
        Kind::Rule => {
            let query = Answers::default().vector("up", &[(&[("job", "a")], 1.0), (&[], 0.5)]).matrix(
                "model",
                &[("job", "m")],
                &[0.25, 0.5, 0.75],
            );
            let found = plugin.rule().unwrap().1.evaluate(Timestamp::from_millis(NOW), &query).await;
            found.unwrap_or_else(|error| panic!("{error}"))[0].annotations["answers"].to_owned()
        }
        Kind::Exporter => {
            let scrape = plugin.collector().unwrap().collect(&target("t:1"), deadline()).await;
            let Payload::Points(points) = scrape.unwrap_or_else(|error| panic!("{error}")).payload else {
                panic!("not points")
            };
            points[0].labels.value("answers").to_owned()
        }
        Kind::Notifier => {
            let told = notification(&[("X", AlertStatus::Firing)]);
            match plugin.notifier().unwrap().notify(&told, 1, deadline()).await {
                Ok(receipt) => receipt.remember.unwrap(),
                Err(NotifyError::Later { message, .. } | NotifyError::Refused { message, .. }) => {
                    panic!("{message}")
                }
            }
        }
    };
    let Ok(Value::Array(answers)) = serde_json::from_str(&text) else { panic!("{text}") };
    // The manifest is part of neither language's answer, and the traces of a plugin are its name's.
    let own: Vec<String> = host
        .points()
        .iter()
        .filter(|point| point.labels.metric_name().starts_with("plugin_probe_"))
        .map(|point| format!("{} {}", point.labels, point.value.as_float().unwrap()))
        .collect();
    let mut seen = world.sent();
    seen.extend(own);
    seen.extend(world.mails.lock().unwrap().drain(..).map(|mail| format!("{mail:?}")));
    seen.push(format!("{:?}", std::mem::take(&mut *world.kept.lock().unwrap())));
    (answers, seen)
}

/// 5 and 5.0 are the same answer.
fn plain(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(map) => Value::Object(map.iter().map(|(k, v)| (k.clone(), plain(v))).collect()),
        other => other.clone(),
    }
}

async fn same(kind: Kind, own: impl Fn(&World) -> Vec<Case>) {
    let mut seen = Vec::new();
    for write in [component, as_script] {
        let world = World::new();
        let cases: Vec<Case> = common().into_iter().chain(own(&world)).collect();
        let (answers, effects) = answers(&world, kind, write(kind, &cases)).await;
        assert_eq!(answers.len(), cases.len());
        for (case, answer) in cases.iter().zip(&answers) {
            assert_eq!(plain(answer), plain(&case.answer), "{kind}: {} or {}", case.call, case.script);
        }
        seen.push(effects);
    }
    assert_eq!(seen[0], seen[1], "{kind}: what a component does, and what a script does");
}

#[tokio::test(flavor = "multi_thread")]
async fn rules() {
    same(Kind::Rule, |_| of_rules()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exporters() {
    same(Kind::Exporter, of_exporters).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn notifiers() {
    same(Kind::Notifier, of_notifiers).await;
}
