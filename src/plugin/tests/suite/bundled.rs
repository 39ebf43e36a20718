//! The components that ship, through the host that ships: what their own tests do against a fake host, here for real.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{AlertStatus, Timestamp};
use plugin::{Kind, Language, PluginSpec, Source, bundled};
use ports::{NotifyError, Payload};

use crate::fake::{Answers, NOW, World, deadline, notification, target};

fn spec(name: &str) -> PluginSpec {
    PluginSpec::new(Source::Bundled(format!("{name}.wasm")))
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_them_load() {
    let world = World::new();
    let host = world.host();
    for one in bundled::all().iter().filter(|one| one.language() == Language::Wasm) {
        let plugin = host.prepare(PluginSpec::new(Source::Bundled(one.file.to_owned()))).await;
        let status = plugin.unwrap_or_else(|error| panic!("{error}")).status();
        assert_eq!(Some(status.kind), one.kind(), "{}", one.file);
        assert!(status.warnings.is_empty(), "{}: {:?}", one.file, status.warnings);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_model_walks_between_scrapes() {
    let world = World::new();
    let host = world.host();
    let plugin = host.load(spec("mock_model")).await.unwrap();
    assert_eq!(plugin.kind(), Kind::Exporter);
    let collector = plugin.collector().unwrap();
    let mut seen = Vec::new();
    for _ in 0..50 {
        let scrape = collector.collect(&target("mock_model"), deadline()).await.unwrap();
        let Payload::Points(points) = scrape.payload else { panic!("not points") };
        let result = points.iter().find(|p| p.labels.metric_name() == "model_result").expect("the gauge");
        seen.push(result.value.as_float().unwrap());
        world.now.fetch_add(5000, std::sync::atomic::Ordering::SeqCst);
    }
    assert!(seen.iter().all(|value| (0.0..=1.0).contains(value)), "{seen:?}");
    assert!(seen.windows(2).any(|pair| pair[0] != pair[1]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_exporter_reads_this_machine() {
    let world = World::new();
    let host = world.host();
    let collector = host.load(spec("host")).await.unwrap().collector().unwrap();
    let scrape = collector.collect(&target("localhost"), deadline()).await.unwrap();
    let Payload::Points(points) = scrape.payload else { panic!("not points") };
    let names: std::collections::BTreeSet<&str> = points.iter().map(|p| p.labels.metric_name()).collect();
    for name in [
        "node_cpu_seconds_total",
        "node_memory_MemAvailable_bytes",
        "node_load1",
        "node_network_receive_bytes_total",
        "node_uname_info",
        "node_boot_time_seconds",
    ] {
        assert!(names.contains(name), "{name} is not among {names:?}");
    }
    let failed: Vec<String> = points
        .iter()
        .filter(|p| {
            p.labels.metric_name() == "node_scrape_collector_success" && p.value.as_float() == Some(0.0)
        })
        .map(|p| p.labels.to_string())
        .collect();
    println!("{} points; failed: {failed:?}", points.len());
    let status = host.get("host").unwrap().status();
    println!("{:?} cpu {:?}", status.calls[0].duration, status.calls[0].cpu);
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_fire() {
    let world = World::new();
    let host = world.host();
    let mut drift = spec("drift");
    drift.params.insert("limit".to_owned(), 0.75.into());
    let rule = host.load(drift).await.unwrap().rule().unwrap().1;
    let answers = Answers::default().vector(
        "model_result",
        &[(&[("__name__", "model_result"), ("instance", "m")], 0.8), (&[("instance", "n")], 0.7)],
    );
    let found = rule.evaluate(Timestamp::from_millis(NOW), &answers).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].labels.to_string().as_str(), found[0].value), ("{instance=\"m\"}", 0.8));
    let error = rule.evaluate(Timestamp::from_millis(NOW), &Answers::default()).await.unwrap_err();
    assert!(
        error.message.contains("plugin `ModelDrift`, `evaluate`: ")
            && error.message.contains("nothing was laid out"),
        "{error}"
    );
}

/// A storm must not be what a notifier cannot tell.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_ten_thousand_is_told() {
    let world = World::new();
    let host = world.host();
    let notifier = host.load(spec("webhook")).await.unwrap().notifier().unwrap();
    let mut told = notification(&[("Disk", AlertStatus::Firing)]);
    told.integration = "webhook".into();
    told.settings = Arc::new(BTreeMap::from([("url".to_owned(), "\"http://sink.lan/hook\"".to_owned())]));
    let one = told.alerts[0].clone();
    let mut alerts = Vec::new();
    let summary = "the file system of this machine will be full within four hours ".repeat(4);
    for n in 0..10_000 {
        let mut alert = one.clone();
        let instance = format!("node-{n:05}.example.org:9100");
        alert.labels = alert.labels.with("instance", &instance).with("pod", &format!("pod-{n:05}-abcdef"));
        alert.annotations.insert("summary".to_owned(), format!("{instance}: {summary}"));
        alerts.push(alert);
    }
    told.alerts = alerts.into();
    world.answer(200, &[], "");
    match notifier.notify(&told, 1, deadline()).await {
        Ok(_) => {}
        Err(NotifyError::Later { message, .. } | NotifyError::Refused { message, .. }) => panic!("{message}"),
    }
    let sent = world.sent();
    assert_eq!(sent[0].matches("node-").count(), 20_000, "labels and annotations of all of them");
}

#[tokio::test(flavor = "multi_thread")]
async fn notifiers_reach_the_receivers_address_alone() {
    let world = World::new();
    let host = world.host();
    for (name, settings, expected) in [
        (
            "discord",
            &[("webhook_url", "http://127.0.0.1:9999/api/webhooks/1/t0ken")][..],
            "POST http://127.0.0.1:9999/api/webhooks/1/t0ken",
        ),
        ("webhook", &[("url", "http://sink.lan/hook")], "POST http://sink.lan/hook\n"),
        (
            "slack",
            &[("api_url", "https://hooks.slack.com/services/T/B/x")],
            "POST https://hooks.slack.com/services/T/B/x\n",
        ),
        ("msteamsv2", &[("webhook_url", "https://teams.example/x")], "POST https://teams.example/x\n"),
        ("msteams", &[("webhook_url", "https://teams.example/x")], "POST https://teams.example/x\n"),
        (
            "jira",
            &[("api_url", "https://jira.example/rest/api/2"), ("project", "Disk"), ("issue_type", "Bug")],
            "POST https://jira.example/rest/api/2/search\n",
        ),
        (
            "sns",
            &[
                ("topic_arn", "Disk"),
                (
                    "sigv4",
                    r#"{"service": "sns", "region": "eu-west-1", "access_key": "A", "secret_key": "s"}"#,
                ),
            ],
            "POST https://sns.eu-west-1.amazonaws.com/\n",
        ),
        (
            "wechat",
            &[("api_secret", "s3&cret"), ("corp_id", "Disk")],
            "GET https://qyapi.weixin.qq.com/cgi-bin/gettoken?corpid=Disk&corpsecret=s3%26cret\n",
        ),
        ("webex", &[("room_id", "Y2lz")], "POST https://webexapis.com/v1/messages\n"),
        ("pagerduty", &[("routing_key", "k3y")], "POST https://events.pagerduty.com/v2/enqueue\n"),
        (
            "telegram",
            &[("bot_token", "12:ab"), ("chat_id", "-5")],
            "POST https://api.telegram.org/bot12:ab/sendMessage\n",
        ),
        (
            "pushover",
            &[("token", "t0k"), ("user_key", "u&r"), ("url", "http://link.lan/")],
            "POST https://api.pushover.net/1/messages.json?device=&",
        ),
        (
            "victorops",
            &[("api_key", "k3y"), ("routing_key", "ops")],
            "POST https://alert.victorops.com/integrations/generic/20131114/alert/k3y/ops\n",
        ),
        ("incidentio", &[("url", "http://i.lan/x"), ("alert_source_token", "t0k")], "POST http://i.lan/x\n"),
        (
            "rocketchat",
            &[("token", "t0k"), ("token_id", "me")],
            "POST https://open.rocket.chat/api/v1/chat.postMessage\n",
        ),
        ("mattermost", &[("webhook_url", "http://m.lan/hooks/x")], "POST http://m.lan/hooks/x\n"),
        ("opsgenie", &[("api_key", "k3y")], "POST https://api.opsgenie.com/v2/alerts\n"),
        (
            "opsgenie",
            &[("api_key", "k3y"), ("api_url", "http://og.lan:80/x/")],
            "POST http://og.lan:80/x/v2/alerts\n",
        ),
    ] {
        let notifier = host.load(spec(name)).await.unwrap().notifier().unwrap();
        let mut told = notification(&[("Disk", AlertStatus::Firing)]);
        told.integration = name.into();
        let json = |value: &str| match value.parse::<i64>() {
            Ok(_) => value.to_owned(),
            Err(_) if value.starts_with('{') => value.to_owned(),
            Err(_) => format!("{value:?}"),
        };
        told.settings =
            Arc::new(settings.iter().map(|(k, v)| ((*k).to_owned(), json(v))).collect::<BTreeMap<_, _>>());
        // An issue is looked for before it is opened, and a token is had before a message is sent.
        for _ in 0..if matches!(name, "jira" | "wechat") { 2 } else { 1 } {
            world.answer(
                200,
                &[],
                "{\"ok\": true, \"success\": true, \"id\": \"7\", \"errcode\": 0, \"access_token\": \"t\"}",
            );
        }
        match notifier.notify(&told, 1, deadline()).await {
            Ok(_) => {}
            Err(NotifyError::Later { message, .. } | NotifyError::Refused { message, .. }) => {
                panic!("{name}: {message}")
            }
        }
        let reach = world.requests.lock().unwrap()[0].reach.clone();
        assert!(!format!("{reach:?}").contains("link.lan"), "a link is no address: {reach:?}");
        let sent = world.sent();
        assert!(sent[0].starts_with(expected), "{name}: {}", sent[0]);
        assert!(sent[0].contains("Disk"), "{name}: {}", sent[0]);
    }
    let mut told = notification(&[("Disk", AlertStatus::Firing)]);
    for (name, value) in [("smarthost", "mx:25"), ("from", "a@x"), ("to", "b@x")] {
        Arc::make_mut(&mut told.settings).insert(name.to_owned(), format!("{value:?}"));
    }
    let notifier = host.load(spec("email")).await.unwrap().notifier().unwrap();
    notifier.notify(&told, 1, deadline()).await.unwrap();
    assert_eq!(world.mails.lock().unwrap()[0].0, "mx:25");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_had_is_no_message() {
    let world = World::new();
    let notifier = world.host().load(spec("wechat")).await.unwrap().notifier().unwrap();
    let mut told = notification(&[("Disk", AlertStatus::Firing)]);
    let settings = [("api_secret", "\"s3cret\""), ("corp_id", "\"c\"")];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    told.settings = Arc::new(BTreeMap::from(settings));
    for (status, expected) in [(503, false), (504, true)] {
        world.answer(200, &[], "{\"errcode\": 0, \"access_token\": \"t\"}");
        world.answer(status, &[], "");
        let outcome = notifier.notify(&told, 1, deadline()).await;
        let Err(NotifyError::Later { may_have_arrived, .. }) = outcome else { panic!("{outcome:?}") };
        assert_eq!(may_have_arrived, expected, "{status}");
    }
}
