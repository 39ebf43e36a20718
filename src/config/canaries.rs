//! No secret of a configuration is in anything that this room makes for people: what is shown, problems, `Debug`.
//!
//! Every key of every table that holds a secret gets one that can be found again.

use std::path::PathBuf;

use proptest::prelude::*;

use crate::integrations;
use crate::schema::{Kind, Table};
use crate::{Catalog, LoadOptions, MemoryFiles, load_with};

const CANARY: &str = "hush-a6f3";

/// Loads `text`, and looks for the canary in whatever comes of it. Whether it could be loaded.
fn keeps(text: &str) -> bool {
    let files = MemoryFiles::of("/c.yml", text);
    let said = match load_with(
        &files,
        &[PathBuf::from("/c.yml")],
        &Catalog::everything(),
        &LoadOptions::default(),
    ) {
        Ok(loaded) => {
            let config = &loaded.config;
            let shown = config.redacted_yaml().to_owned() + config.redacted_alertmanager_yaml();
            assert!(!shown.contains(CANARY), "shown:\n{shown}\nof\n{text}");
            assert!(!format!("{config:?}").contains(CANARY), "Debug of\n{text}");
            loaded.warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        }
        Err(problems) => {
            let said = problems.to_string();
            assert!(!said.contains(CANARY), "said:\n{said}\nof\n{text}");
            return false;
        }
    };
    assert!(!said.contains(CANARY), "said:\n{said}\nof\n{text}");
    true
}

/// A value for a key; of a secret the canary.
fn sample(kind: Kind) -> String {
    match kind {
        Kind::Secret | Kind::SecretTemplate => CANARY.to_owned(),
        Kind::SecretUrl | Kind::SecretTemplateUrl => format!("\"http://{CANARY}.example.org/{CANARY}\""),
        Kind::Url | Kind::TemplateUrl => format!("\"http://me:{CANARY}@host.example.org/\""),
        Kind::Choice(choices) => format!("\"{}\"", choices[0]),
        Kind::Bool => "true".to_owned(),
        Kind::Integer | Kind::Count | Kind::Float | Kind::Port => "1".to_owned(),
        Kind::Duration | Kind::GoDuration => "1s".to_owned(),
        Kind::HostPort => "\"h:1\"".to_owned(),
        Kind::Texts | Kind::Templates | Kind::TextsOrMap(_) => "[a]".to_owned(),
        Kind::TextMap | Kind::TemplateMap => "{a: b}".to_owned(),
        Kind::Any | Kind::AnyMap => format!("{{password: {CANARY}}}"),
        Kind::Map(table) => mapping(table, None),
        Kind::Maps(table) => format!("[{}]", mapping(table, None)),
        Kind::Tls => format!("{{cert_file: a, key: {CANARY}}}"),
        _ => "a".to_owned(),
    }
}

/// All keys of a table, or without those whose name `leave_out` takes.
fn mapping(table: &Table, leave_out: Option<fn(&str) -> bool>) -> String {
    let keys = table.keys.iter().filter(|key| leave_out.is_none_or(|out| !out(key.name)));
    let entries: Vec<String> = keys.map(|key| format!("{}: {}", key.name, sample(key.kind))).collect();
    format!("{{{}}}", entries.join(", "))
}

#[test]
fn of_every_integration() {
    let mut loaded = Vec::new();
    for kind in &integrations::ALL {
        // With everything, which is mostly too much at once, and with values instead of files.
        let everything = mapping(kind.table, None);
        let inline = mapping(kind.table, Some(|name| name.ends_with("_file")));
        let some = mapping(
            kind.table,
            Some(|name| {
                let other_way =
                    ["app_token", "app_url", "monospace", "phone_number", "target_arn", "threading"];
                name.ends_with("_file") || other_way.contains(&name)
            }),
        );
        for settings in [everything, inline, some] {
            let http = match kind.http {
                true => format!(", http_config: {{authorization: {{credentials: {CANARY}}}}}"),
                false => String::new(),
            };
            let own = settings.trim_end_matches('}').to_owned() + &http + "}";
            for settings in [settings, own] {
                let text = format!(
                    "route: {{receiver: r}}\nreceivers:\n  - name: r\n    {}:\n      - {settings}\n",
                    kind.key
                );
                if keeps(&text) {
                    loaded.push(kind.name);
                }
            }
        }
    }
    // Otherwise nothing was looked at but problems.
    loaded.dedup();
    assert!(loaded.len() > 12, "{loaded:?}");
}

#[test]
fn of_everything_else() {
    let http =
        format!("basic_auth: {{username: u, password: {CANARY}}}, proxy_url: \"http://u:{CANARY}@p/\"");
    for text in [
        format!("scrape_configs: [{{job_name: a, {http}, http_headers: {{X: {{secrets: [{CANARY}]}}}}}}]"),
        format!(
            "scrape_configs: [{{job_name: a, oauth2: {{client_id: c, client_secret: {CANARY}, token_url: t}}}}]"
        ),
        format!("scrape_configs: [{{job_name: a, tls_config: {{cert: c, key: {CANARY}}}}}]"),
        format!("scrape_configs: [{{job_name: a, proxy_url: p, proxy_connect_header: {{X: [{CANARY}]}}}}]"),
        format!(
            "scrape_configs: [{{job_name: a, http_sd_configs: [{{url: \"http://u:{CANARY}@h/\", {http}}}]}}]"
        ),
        format!("scrape_configs: [{{job_name: a, consul_sd_configs: [{{token: {CANARY}}}]}}]"),
        format!("remote_write: [{{url: \"http://u:{CANARY}@h/\", headers: {{X-Token: {CANARY}}}}}]"),
        format!("remote_write: [{{url: \"http://h/\", sigv4: {{access_key: a, secret_key: {CANARY}}}}}]"),
        format!("remote_read: [{{url: \"http://u:{CANARY}@h/\", {http}}}]"),
        format!("alerting: {{alertmanagers: [{{{http}}}]}}"),
        format!("tracing: {{endpoint: e, headers: {{x-api-key: {CANARY}}}}}"),
        format!("plugins: [{{file: a.wasm, allow: {{secrets: {{a: {CANARY}, b: {{value: {CANARY}}}}}}}}}]"),
        format!(
            "plugins: [{{file: a.wasm, params: {{api_token: {CANARY}, deep: [{{password: {CANARY}}}]}}}}]"
        ),
        format!(
            "plugins: [{{file: a.wasm, allow: {{smtp: {{a: {{smarthost: \"h:1\", password: {CANARY}}}}}}}}}]"
        ),
        format!(
            "plugins: [{{file: ntfy.wasm}}]\nroute: {{receiver: r}}\nreceivers: [{{name: r, ntfy_configs: [{{token: {CANARY}}}], plugin_configs: [{{plugin: ntfy, params: {{password: {CANARY}}}}}]}}]"
        ),
    ] {
        assert!(keeps(&text), "not loaded: {text}");
    }
}

#[test]
fn of_what_cannot_be_read() {
    for text in [
        format!("scrape_configs:\n  - job_name: a\n    basic_auth: me:{CANARY}\n"),
        format!("scrape_configs:\n  - job_name: a\n    basic_auth:\n      pasword: {CANARY}\n"),
        format!("scrape_configs:\n  - job_name: a\n    bearer_token: [{CANARY}]\n"),
        format!("scrape_configs:\n  - job_name: a\n    basic_auth:\n      password: \"{CANARY}\n"),
        format!(
            "scrape_configs:\n  - job_name: a\n    basic_auth:\n     username: a\n      password: {CANARY}\n"
        ),
        format!(
            "receivers:\n  - slack_configs:\n    - api_url: https://hooks.slack.com/services/{CANARY}\n   - x\n"
        ),
        format!("receivers: [{{webhook_url: {CANARY}, }}]]\n"),
        format!("global:\n  slack_api_url: \"{CANARY}\"x\n"),
        format!("{CANARY}: 1\n").replace(CANARY, "password"),
    ] {
        assert!(!keeps(&text), "loaded: {text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Any text at all gives a configuration or problems.
    #[test]
    fn anything_can_be_read(text in "([a-z_]{1,12}: ?|- |  |\\n|\"|'|\\[|\\]|\\{|\\}|#|&a |\\*a|\t|[a-z0-9]{1,5}|é|<<: ){0,60}") {
        keeps(&text);
    }

    /// So does a right configuration with one part of it damaged.
    #[test]
    fn damage_is_explained(cut in 0usize..1400, length in 0usize..12, with in "[ -~\\n\\t]{0,6}") {
        let mut text = include_str!("canaries.yml").to_owned();
        let boundary = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let (from, to) = (boundary(cut), boundary(cut + length));
        text.replace_range(from..to, &with);
        let files = MemoryFiles::of("/c.yml", text);
        let _ = load_with(&files, &[PathBuf::from("/c.yml")], &Catalog::everything(), &LoadOptions::default())
            .map_err(|problems| problems.to_string());
    }
}

#[test]
fn the_configuration_that_is_damaged_is_right() {
    assert!(keeps(include_str!("canaries.yml")));
}
