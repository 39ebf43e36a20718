//! What right configurations become.

use std::path::{Path, PathBuf};
use std::time::Duration;

use alerting::GroupBy;
use model::Labels;

use crate::{
    Catalog, Config, DiscoveryKind, Integration, LoadOptions, MatcherMode, MemoryFiles, PluginFile,
    RuleAction, ScrapeProtocol, SecretSource, Setting, check_rules, load, load_with,
};

fn config_of(files: &MemoryFiles, paths: &[&str]) -> Config {
    let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
    match load(files, &paths, &Catalog::everything()) {
        Ok(loaded) => loaded.config,
        Err(problems) => panic!("{problems}"),
    }
}

fn config(text: &str) -> Config {
    config_of(&MemoryFiles::of("/etc/c.yml", text), &["/etc/c.yml"])
}

fn integrations(text: &str) -> Vec<Integration> {
    config(&format!("route: {{receiver: r}}\n{text}")).receivers.swap_remove(0).integrations
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn jobs_take_what_global_says() {
    let text = "
global: {scrape_interval: 5s, body_size_limit: 1MB, sample_limit: 7, external_labels: {a: b}}
scrape_configs:
  - job_name: a
    static_configs: [{targets: [x, y], labels: {l: 1}}]
  - job_name: b
    scrape_interval: 1m
    sample_limit: 9
    scrape_native_histograms: true
    params: {z: [1], module: [2, 3]}
    scheme: https
    file_sd_configs: [{files: [t/*.yml]}]
";
    let config = config(text);
    let [a, b] = config.scrape_configs.as_slice() else { panic!() };
    assert_eq!((a.scrape_interval, a.scrape_timeout), (5 * SECOND, 5 * SECOND));
    assert_eq!((b.scrape_interval, b.scrape_timeout), (60 * SECOND, 5 * SECOND));
    assert_eq!((a.limits.body_bytes, a.limits.samples, b.limits.samples), (1 << 20, 7, 9));
    assert_eq!(a.static_configs[0].targets, ["x", "y"]);
    assert_eq!(a.static_configs[0].labels, Labels::from([("l", "1")]));
    assert_eq!(
        (a.metrics_path.as_str(), a.scheme.as_str(), b.scheme.as_str()),
        ("/metrics", "http", "https")
    );
    assert_eq!(b.scrape_protocols, ScrapeProtocol::DEFAULT_NATIVE);
    assert_eq!(b.params, [("module".into(), vec!["2".into(), "3".into()]), ("z".into(), vec!["1".into()])]);
    let DiscoveryKind::File { files, refresh_interval } = &b.discoveries[0].kind else { panic!() };
    assert_eq!((files[0].as_path(), *refresh_interval), (Path::new("/etc/t/*.yml"), 300 * SECOND));
    assert_eq!(config.global.external_labels, Labels::from([("a", "b")]));
    assert_eq!(config.global.evaluation_interval, 60 * SECOND);
    assert_eq!((a.place.line, a.place.column), (4, 15));
}

#[test]
fn rules_of_all_kinds_are_found() {
    let files = MemoryFiles::of("c/p.yml", "rule_files: [r/*.yml, s/*]")
        .with("c/r/a.yml", "groups: [{name: g, labels: {x: 1, y: 2}, rules: [{alert: A, expr: up, for: 3m, labels: {y: 3}}, {record: b, expr: up}]}]")
        .with("c/s/a.rhai", "")
        .with("c/s/b.wasm", "");
    let config = config_of(&files, &["c/p.yml"]);
    let group = &config.rule_groups[0];
    assert_eq!((group.name.as_str(), group.file.as_path()), ("g", Path::new("c/r/a.yml")));
    let pairs =
        |labels: &[(String, String)]| labels.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>();
    assert_eq!(pairs(&group.rules[0].labels), ["x=1", "y=3"]);
    let hold = 180 * SECOND;
    assert_eq!(
        group.rules[0].action,
        RuleAction::Alert { name: "A".into(), hold, keep_firing: Duration::ZERO }
    );
    assert_eq!(group.rules[1].action.name(), "b");
    let scripts: Vec<_> = config.script_rules.iter().map(|script| script.file.as_path()).collect();
    assert_eq!(scripts, [Path::new("c/s/a.rhai"), Path::new("c/s/b.wasm")]);
    assert_eq!(config.sources.files, [PathBuf::from("c/p.yml"), PathBuf::from("c/r/a.yml")]);
    assert_eq!(config.sources.patterns, [PathBuf::from("c/r/*.yml"), PathBuf::from("c/s/*")]);
    assert!(check_rules(&files, &[PathBuf::from("c/r/a.yml")], &LoadOptions::default()).is_ok());
}

#[test]
fn an_expression_is_what_it_says_and_not_how_it_was_written() {
    let exprs = |expr: &str| {
        let rules = format!("groups: [{{name: g, rules: [{{alert: A, expr: {expr}}}]}}]");
        let files = MemoryFiles::of("p.yml", "rule_files: [r.yml]").with("r.yml", rules.as_str());
        config_of(&files, &["p.yml"]).rule_groups[0].rules[0].expr.clone()
    };
    for (written, said) in [
        ("'up==0'", "up == 0"),
        (
            "\"sum(rate(a{b='c'}[300s]))by(job) # comment\\n > 1e0\"",
            "sum by (job) (rate(a{b=\"c\"}[5m])) > 1",
        ),
    ] {
        assert_eq!(exprs(written), said, "{written}");
    }
}

#[test]
fn files_are_merged() {
    let files = MemoryFiles::of("p.yml", "global: {scrape_interval: 5s}\nscrape_configs: [{job_name: a}]")
        .with("a.yml", "global: {resolve_timeout: 1m}\nscrape_configs: [{job_name: b}]\nroute: {receiver: r}\nreceivers: [{name: r}]");
    let config = config_of(&files, &["p.yml", "a.yml"]);
    let jobs: Vec<_> =
        config.scrape_configs.iter().map(|job| (job.job_name.as_str(), job.scrape_interval)).collect();
    assert_eq!(jobs, [("a", 5 * SECOND), ("b", 5 * SECOND)]);
    assert_eq!(config.alerting.unwrap().resolve_timeout, 60 * SECOND);
    assert!(config_of(&files, &["p.yml"]).alerting.is_none());
}

#[test]
fn routes_receivers_and_inhibition() {
    let text = "
route:
  receiver: a
  group_by: [x]
  routes:
    - {matchers: ['s=\"p\"', 't=~\"u|v\"'], receiver: b, group_by: ['...'], continue: true}
receivers:
  - {name: a, labels: {team: x}}
  - name: b
    webhook_configs: [{url: 'http://x/'}, {url: 'http://y/', send_resolved: false}]
    slack_configs: [{api_url_file: f}]
inhibit_rules: [{source_match: {a: b}, target_matchers: [c=d], equal: [e]}]
time_intervals: [{name: t, time_intervals: [{weekdays: ['monday:friday']}]}]
";
    let config = config(text);
    let alerting = config.alerting.as_ref().unwrap();
    let routes: Vec<_> = alerting.routes.iter().map(|(_, route)| route).collect();
    assert_eq!((&*routes[1].receiver, &routes[1].group_by), ("b", &GroupBy::All));
    assert_eq!(routes[1].matchers.len(), 2);
    assert_eq!(alerting.receivers[0].labels, Labels::from([("name", "a"), ("team", "x")]));
    let told: Vec<_> =
        alerting.receivers[1].integrations.iter().map(|i| (&*i.kind, i.index, i.send_resolved)).collect();
    assert_eq!(told, [("slack", 0, false), ("webhook", 0, true), ("webhook", 1, false)]);
    assert_eq!(alerting.inhibit_rules.len(), 1);
    assert!(alerting.time_intervals.contains_key("t"));
}

#[test]
fn settings_have_their_defaults_and_those_of_global() {
    let text = "
global: {slack_api_url_file: g, http_config: {proxy_url: 'http://p', authorization: {credentials_file: c}}}
receivers:
  - name: r
    slack_configs: [{channel: '#x'}, {api_url: 'https://s/', http_config: {follow_redirects: false}}]
    pagerduty_configs: [{routing_key_file: k, details: {firing: x, own: '{{ .Status }}'}}]
";
    let found = integrations(text);
    let [pagerduty, first, second] = found.as_slice() else { panic!() };
    assert_eq!(first.setting("api_url"), Some(&Setting::SecretFile("/etc/g".into())));
    assert_eq!(first.setting("channel"), Some(&Setting::Text("#x".into())));
    assert!(matches!(first.setting("title"), Some(Setting::Template(_))));
    assert!(first.http.proxy_url.is_some() && first.http.auth != ports::HttpAuth::None);
    // Its own client takes the proxy, and no credentials.
    assert!(second.http.proxy_url.is_some() && second.http.auth == ports::HttpAuth::None);
    assert!(matches!(second.setting("http_config"), Some(Setting::Map(_))));
    let details = pagerduty.setting("details").unwrap();
    let typed = |text: Setting| Setting::Typed(Box::new(text));
    assert_eq!(details.get("firing"), Some(&typed(Setting::Text("x".into()))));
    assert!(
        matches!(details.get("own"), Some(Setting::Typed(text)) if matches!(**text, Setting::Template(_)))
    );
    assert!(details.get("num_firing").is_some());
}

#[test]
fn mail_takes_its_server_from_global() {
    let text = "
global: {smtp_smarthost: 'h:587', smtp_from: f, smtp_auth_username: u, smtp_auth_password_file: /p, smtp_hello: ''}
receivers: [{name: r, email_configs: [{to: t, require_tls: no}]}]
";
    let mail = &integrations(text)[0];
    let text = |name: &str| mail.setting(name).and_then(Setting::as_str).unwrap_or_default().to_owned();
    assert_eq!(
        [text("smarthost"), text("from"), text("auth_username"), text("hello")],
        ["h:587", "f", "u", "localhost"]
    );
    assert_eq!(mail.setting("require_tls"), Some(&Setting::Bool(false)));
    assert_eq!(mail.setting("auth_password"), Some(&Setting::SecretFile("/p".into())));
    assert!(!mail.send_resolved);
}

#[test]
fn a_topic_knows_what_is_signed_for() {
    let text = "
receivers: [{name: r, sns_configs: [
  {topic_arn: t, sigv4: {region: x, access_key: A, secret_key: s}, attributes: {'{{ .Status }}': 'a {{ .Status }}', b: c}},
  {topic_arn: t}]}]
";
    let told = integrations(text);
    let text = |text: &str| Setting::Text(text.to_owned());
    for one in &told {
        assert_eq!(one.setting("sigv4").and_then(|sigv4| sigv4.get("service")), Some(&text("sns")));
    }
    let json = told[0]
        .setting("attributes")
        .unwrap()
        .to_json(&mut |text| Ok::<_, ()>(text.replace("{{ .Status }}", "x")));
    assert_eq!(json.as_deref(), Ok(r#"[{"name":"x","value":"a x"},{"name":"b","value":"c"}]"#));
    for half in ["access_key: A", "secret_key: s", "secret_key_file: f"] {
        let text = format!("receivers: [{{name: r, sns_configs: [{{topic_arn: t, sigv4: {{{half}}}}}]}}]");
        let files = MemoryFiles::of("c.yml", format!("route: {{receiver: r}}\n{text}"));
        let problems =
            load(&files, &[PathBuf::from("c.yml")], &Catalog::everything()).err().map(|p| p.to_string());
        assert!(problems.is_some_and(|said| said.contains("_key` is missing")), "{half}");
    }
}

#[test]
fn of_a_mail_password_and_its_file_the_file_counts() {
    let text = "
global: {smtp_smarthost: 'h:587', smtp_from: f}
receivers: [{name: r, email_configs: [
  {to: t, auth_password: x, auth_password_file: /p, auth_secret: y, auth_secret_file: /s}, {to: t, auth_password: x}]}]
";
    let mails = integrations(text);
    for (name, path) in [("auth_password", "/p"), ("auth_secret", "/s")] {
        assert_eq!(mails[0].setting(name), Some(&Setting::SecretFile(path.into())), "{name}");
    }
    assert!(matches!(mails[1].setting("auth_password"), Some(Setting::Secret { .. })));
}

#[test]
fn plugins_and_their_grants() {
    let text = "
plugins:
  - bundled:discord
  - file: a/b.wasm
    as: c
    allow: {hosts: [d.com], secrets: {x: {file: s}, y: {env: V}}, files: [/proc/stat], root: /host, smtp: {o: 'm:25'}}
    params: {n: 5, t: '{{ x }}', b: true}
    limits: {cpu: 500ms, memory: 64MiB}
route: {receiver: r}
receivers:
  - name: r
    plugin_configs: [{plugin: c, params: {show: 5}}, {plugin: c}]
    c_configs: [{topic: '{{ .Status }}', key_file: k}]
";
    let config = config(text);
    let [bundled, own] = config.plugins.as_slice() else { panic!() };
    assert_eq!(bundled.file, PluginFile::Bundled("discord".into()));
    assert_eq!(
        (own.file.clone(), own.name.as_deref()),
        (PluginFile::Path("/etc/a/b.wasm".into()), Some("c"))
    );
    assert_eq!(own.allow.secrets[0].1, SecretSource::File("/etc/s".into()));
    assert_eq!(own.allow.secrets[1].1, SecretSource::Env("V".into()));
    assert_eq!(own.allow.smtp[0].1.smarthost, "m:25");
    assert_eq!(own.params[1].1, Setting::Text("{{ x }}".into()));
    assert_eq!(own.limits.memory_bytes, Some(64 << 20));
    let receiver = &config.receivers[0];
    let kinds: Vec<_> = receiver.integrations.iter().map(|i| (&*i.kind, i.index)).collect();
    assert_eq!(kinds, [("c", 0), ("c", 1), ("c", 2)]);
    assert_eq!(receiver.integrations[2].setting("key"), Some(&Setting::SecretFile("/etc/k".into())));
    assert!(matches!(receiver.integrations[2].setting("topic"), Some(Setting::Template(_))));
}

#[test]
fn options_decide_what_is_allowed() {
    let text = "route: {receiver: a, group_by: [-x-]}\nreceivers: [{name: a}]";
    let files = MemoryFiles::of("a.yml", text)
        .with("empty.yml", "")
        .with("f.yml", "rule_files: [gone.yml]")
        .with("u.yml", "what: ever");
    let allowed = |path: &str, options: &LoadOptions| {
        load_with(&files, &[PathBuf::from(path)], &Catalog::everything(), options).is_ok()
    };
    let default = LoadOptions::default();
    let classic = LoadOptions { matcher_mode: MatcherMode::Classic, ..default.clone() };
    assert!(allowed("a.yml", &default) && !allowed("a.yml", &classic));
    let with_route = LoadOptions { require_route: true, ..default.clone() };
    assert!(allowed("empty.yml", &default) && !allowed("empty.yml", &with_route));
    let lenient = LoadOptions { ignore_unknown_keys: true, ..default.clone() };
    assert!(!allowed("u.yml", &default) && allowed("u.yml", &lenient));
    let with_files = LoadOptions { require_files: true, ..default.clone() };
    assert!(allowed("f.yml", &default) && !allowed("f.yml", &with_files));
}

#[test]
fn every_default_of_an_integration_is_a_template_that_exists() {
    use crate::schema::{Kind, Table};
    fn texts(table: &Table, out: &mut Vec<&'static str>) {
        for key in table.keys {
            out.extend(key.default);
            if let Kind::Map(inner) | Kind::Maps(inner) = key.kind {
                texts(inner, out);
            }
        }
    }
    let mut defaults = Vec::new();
    for kind in &crate::integrations::ALL {
        texts(kind.table, &mut defaults);
    }
    for text in defaults {
        for name in text.split("template \"").skip(1).filter_map(|rest| rest.split('"').next()) {
            let definition = format!("define \"{name}\"");
            assert!(template::default_templates().contains(&definition), "{text}: there is no `{name}`");
        }
    }
}
