//! The integrations that Alertmanager knows: their keys, defaults, and what goes together.
//!
//! Only data and checks: what an integration does is the notifier plugin's of the same name.

use crate::Setting;
use crate::global::NotifyDefaults;
use crate::reader::Fields;
use crate::schema::Demand::{AtMostOne, Needs, NeedsOne};
use crate::schema::{Key, Kind, Table, filled, key};
use crate::shown::Shown;

/// One integration.
pub(crate) struct IntegrationKind {
    /// `discord` for `discord_configs`.
    pub(crate) name: &'static str,
    /// The key of a receiver.
    pub(crate) key: &'static str,
    /// Whether resolved alerts are told where nothing is said.
    pub(crate) send_resolved: bool,
    /// Its keys besides `send_resolved` and `http_config`.
    pub(crate) table: &'static Table,
    /// Whether it has an `http_config`.
    pub(crate) http: bool,
    /// Fills in what `global` says, and checks what the table cannot say.
    pub(crate) complete: fn(&mut Draft<'_, '_>),
}

/// An integration whose own keys were read.
pub(crate) struct Draft<'a, 'f> {
    pub(crate) fields: &'f Fields<'a>,
    pub(crate) settings: Vec<(String, Setting)>,
    pub(crate) global: &'f NotifyDefaults,
}

impl Draft<'_, '_> {
    fn has(&self, key: &str) -> bool {
        self.settings.iter().any(|(name, _)| name == key)
    }

    fn push(&mut self, key: &str, setting: Setting) {
        let shown = match &setting {
            Setting::Bool(value) => Shown::Bool(*value),
            Setting::Number(number) => Shown::number(number),
            Setting::Secret { .. } => Shown::masked(),
            Setting::SecretFile(path) => Shown::text(path.to_string_lossy()),
            Setting::Text(text) | Setting::Template(text) => Shown::text(text),
            _ => Shown::Null,
        };
        if shown != Shown::Null {
            self.fields.show(key, shown);
        }
        self.settings.push((key.to_owned(), setting));
    }

    /// Takes `key` from `global`, or else the default.
    fn inherit(&mut self, key: &'static str, global_key: &str, default: Option<&str>) {
        if self.has(key) {
            return;
        }
        let inherited = self.global.get(global_key).cloned();
        let default = || default.map(|text| Setting::Text(text.to_owned()));
        if let Some(setting) = inherited.or_else(default) {
            self.push(key, setting);
        }
    }

    /// Takes a secret or its file from `global`, unless either is there. Whether there is one now.
    fn inherit_secret(&mut self, keys: [&'static str; 2], global_keys: [&str; 2]) -> bool {
        if keys.iter().any(|key| self.has(key)) {
            return true;
        }
        for (key, global_key) in keys.into_iter().zip(global_keys) {
            if let Some(setting) = self.global.get(global_key).cloned() {
                self.push(key, setting);
                return true;
            }
        }
        false
    }

    /// Says that `key` is set neither here nor in `global`.
    fn nowhere(&self, key: &'static str, global_key: &str) {
        let unreadable = self.fields.get_or_null(key).is_some_and(|at| at.is_broken());
        if !unreadable {
            self.fields.at.error(
                format!("`{key}` is missing"),
                Some(format!("set it here, or `{global_key}` in `global`")),
            );
        }
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.settings.iter().find(|(name, _)| name == key).and_then(|(_, value)| value.as_str())
    }
}

const fn kind(
    name: &'static str,
    key: &'static str,
    table: &'static Table,
    complete: fn(&mut Draft<'_, '_>),
) -> IntegrationKind {
    IntegrationKind { name, key, send_resolved: true, table, http: true, complete }
}

const fn quiet(kind: IntegrationKind) -> IntegrationKind {
    IntegrationKind { send_resolved: false, ..kind }
}

/// Nothing to fill in.
fn nothing(_: &mut Draft<'_, '_>) {}

pub(crate) const ALL: [IntegrationKind; 19] = [
    kind("discord", "discord_configs", &DISCORD, nothing),
    quiet(IntegrationKind { http: false, ..kind("email", "email_configs", &EMAIL, complete_email) }),
    kind("incidentio", "incidentio_configs", &INCIDENTIO, complete_incidentio),
    kind("jira", "jira_configs", &JIRA, |draft| {
        draft.inherit("api_url", "jira_api_url", None);
        if !draft.has("api_url") {
            draft.nowhere("api_url", "jira_api_url");
        }
    }),
    kind("mattermost", "mattermost_configs", &MATTERMOST, |draft| {
        let global = ["mattermost_webhook_url", "mattermost_webhook_url_file"];
        if !draft.inherit_secret(["webhook_url", "webhook_url_file"], global) {
            draft.nowhere("webhook_url", global[0]);
        }
    }),
    kind("msteams", "msteams_configs", &MSTEAMS, nothing),
    kind("msteamsv2", "msteamsv2_configs", &MSTEAMSV2, nothing),
    kind("opsgenie", "opsgenie_configs", &OPSGENIE, complete_opsgenie),
    kind("pagerduty", "pagerduty_configs", &PAGERDUTY, complete_pagerduty),
    kind("pushover", "pushover_configs", &PUSHOVER, complete_pushover),
    kind("rocketchat", "rocketchat_configs", &ROCKETCHAT, complete_rocketchat),
    quiet(kind("slack", "slack_configs", &SLACK, complete_slack)),
    kind("sns", "sns_configs", &SNS, nothing),
    kind("telegram", "telegram_configs", &TELEGRAM, |draft| {
        draft.inherit("api_url", "telegram_api_url", Some("https://api.telegram.org"));
        let global = ["telegram_bot_token", "telegram_bot_token_file"];
        if !draft.inherit_secret(["bot_token", "bot_token_file"], global) {
            draft.nowhere("bot_token", global[0]);
        }
    }),
    kind("victorops", "victorops_configs", &VICTOROPS, complete_victorops),
    kind("webex", "webex_configs", &WEBEX, complete_webex),
    kind("webhook", "webhook_configs", &WEBHOOK, nothing),
    quiet(kind("wechat", "wechat_configs", &WECHAT, complete_wechat)),
    // The name of the vendor's successor to the first generation of connectors.
    kind("jsmops", "jsmops_configs", &JSMOPS, nothing),
];

const DISCORD: Table = Table {
    keys: &[
        key("webhook_url", Kind::SecretUrl),
        key("webhook_url_file", Kind::SecretPath),
        key("content", Kind::Template),
        key("title", Kind::Template).or(r#"{{ template "discord.default.title" . }}"#),
        key("message", Kind::Template).or(r#"{{ template "discord.default.message" . }}"#),
        key("username", Kind::Template),
        key("avatar_url", Kind::Template),
    ],
    demands: &[NeedsOne(WEBHOOK_URLS), AtMostOne(WEBHOOK_URLS)],
};
const WEBHOOK_URLS: &[&str] = &["webhook_url", "webhook_url_file"];

const THREADING: Table = Table {
    keys: &[key("enabled", Kind::Bool), key("thread_by_date", Kind::Choice(&["daily", "none"]))],
    demands: &[],
};
const EMAIL: Table = Table {
    keys: &[
        key("to", Kind::Template),
        key("from", Kind::Template),
        key("hello", Kind::Text),
        key("smarthost", Kind::HostPort),
        key("auth_username", Kind::Text),
        key("auth_password", Kind::Secret),
        key("auth_password_file", Kind::SecretPath),
        key("auth_secret", Kind::Secret),
        key("auth_secret_file", Kind::SecretPath),
        key("auth_identity", Kind::Text),
        key("headers", Kind::TemplateMap),
        key("html", Kind::Template).or(r#"{{ template "email.default.html" . }}"#),
        key("text", Kind::Template),
        key("require_tls", Kind::Bool),
        key("force_implicit_tls", Kind::Bool),
        key("tls_config", Kind::Tls),
        key("threading", Kind::Map(&THREADING)),
    ],
    demands: &[
        Needs("to"),
        AtMostOne(&["auth_password", "auth_password_file"]),
        AtMostOne(&["auth_secret", "auth_secret_file"]),
    ],
};

fn complete_email(draft: &mut Draft<'_, '_>) {
    draft.inherit("smarthost", "smtp_smarthost", None);
    if draft.text("smarthost").is_none_or(str::is_empty) {
        draft.nowhere("smarthost", "smtp_smarthost");
    }
    draft.inherit("from", "smtp_from", None);
    if draft.text("from").is_none_or(str::is_empty) {
        draft.nowhere("from", "smtp_from");
    }
    // An empty name in `global` is the default, as an absent one is.
    let named = draft.global.get("smtp_hello").and_then(Setting::as_str).is_some_and(|name| !name.is_empty());
    draft.inherit("hello", if named { "smtp_hello" } else { "" }, Some("localhost"));
    draft.inherit("auth_username", "smtp_auth_username", None);
    draft.inherit_secret(
        ["auth_password", "auth_password_file"],
        ["smtp_auth_password", "smtp_auth_password_file"],
    );
    draft.inherit_secret(["auth_secret", "auth_secret_file"], ["smtp_auth_secret", "smtp_auth_secret_file"]);
    draft.inherit("auth_identity", "smtp_auth_identity", None);
    draft.inherit("require_tls", "smtp_require_tls", None);
    if !draft.has("require_tls") {
        draft.push("require_tls", Setting::Bool(true));
    }
    draft.inherit("force_implicit_tls", "smtp_force_implicit_tls", None);
    draft.inherit("tls_config", "smtp_tls_config", None);
    let headers = draft.fields.get("headers").and_then(|at| at.entries()).unwrap_or_default();
    let mut seen: Vec<String> = Vec::new();
    for (name, at) in headers {
        let lower = name.to_lowercase();
        if seen.contains(&lower) {
            at.at_key().error(format!("header `{name}` is there twice"), None);
        }
        seen.push(lower);
    }
}

const INCIDENTIO: Table = Table {
    keys: &[
        key("url", Kind::Url),
        key("url_file", Kind::SecretPath),
        key("alert_source_token", Kind::Secret),
        key("alert_source_token_file", Kind::SecretPath),
        key("max_alerts", Kind::Integer).or("0"),
        key("timeout", Kind::Duration).or("0s"),
    ],
    demands: &[
        NeedsOne(&["url", "url_file"]),
        AtMostOne(&["url", "url_file"]),
        AtMostOne(&["alert_source_token", "alert_source_token_file"]),
    ],
};

fn complete_incidentio(draft: &mut Draft<'_, '_>) {
    let token = draft.has("alert_source_token") || draft.has("alert_source_token_file");
    if !token && !authorized(draft.fields) {
        let hint = "set `alert_source_token_file`, or `authorization` in `http_config`";
        draft.fields.at.error("there is no token", Some(hint.to_owned()));
    }
}

/// Whether `http_config` brings credentials.
fn authorized(fields: &Fields<'_>) -> bool {
    let http = fields.get("http_config").and_then(|at| at.fields());
    http.is_some_and(|http| ["authorization", "basic_auth", "oauth2"].iter().any(|key| http.has(key)))
}

const JIRA: Table = Table {
    keys: &[
        key("api_url", Kind::Url),
        key("api_type", Kind::Choice(&["auto", "cloud", "datacenter"])).or("auto"),
        key("project", Kind::Template),
        key("summary", Kind::TextOrMap(&JIRA_TEXT)).or(r#"{{ template "jira.default.summary" . }}"#),
        key("description", Kind::TextOrMap(&JIRA_TEXT)).or(r#"{{ template "jira.default.description" . }}"#),
        key("labels", Kind::Templates),
        key("priority", Kind::Template).or(r#"{{ template "jira.default.priority" . }}"#),
        key("issue_type", Kind::Template),
        key("resolve_transition", Kind::Text),
        key("reopen_transition", Kind::Text),
        key("wont_fix_resolution", Kind::Text),
        key("reopen_duration", Kind::Duration),
        key("fields", Kind::AnyMap),
        key("custom_fields", Kind::AnyMap),
    ],
    demands: &[Needs("project"), Needs("issue_type")],
};
const JIRA_TEXT: Table =
    Table { keys: &[key("template", Kind::Template), key("enable_update", Kind::Bool)], demands: &[] };

const FIELD: Table = Table {
    keys: &[key("title", Kind::Template), key("value", Kind::Template), key("short", Kind::Bool)],
    demands: &[Needs("title"), Needs("value")],
};
const MATTERMOST_ATTACHMENT: &[Key] = &[
    key("fallback", Kind::Template).or(r#"{{ template "mattermost.default.fallback" . }}"#),
    key("color", Kind::Template).or(COLOR),
    key("pretext", Kind::Template),
    key("text", Kind::Template),
    key("author_name", Kind::Template),
    key("author_link", Kind::Template),
    key("author_icon", Kind::Template),
    key("title", Kind::Template),
    key("title_link", Kind::Template),
    key("fields", Kind::Maps(&FIELD)),
    key("thumb_url", Kind::Template),
    key("footer", Kind::Template),
    key("footer_icon", Kind::Template),
    key("image_url", Kind::Template),
];
const COLOR: &str = r#"{{ if eq .Status "firing" }}danger{{ else }}good{{ end }}"#;
const ATTACHMENT: Table = Table { keys: MATTERMOST_ATTACHMENT, demands: &[] };
const MATTERMOST_PRIORITY: Table = Table {
    keys: &[
        key("priority", Kind::Template),
        key("requested_ack", Kind::Bool),
        key("persistent_notifications", Kind::Bool),
    ],
    demands: &[],
};
const MATTERMOST: Table = Table {
    keys: &[
        key("webhook_url", Kind::SecretUrl),
        key("webhook_url_file", Kind::SecretPath),
        key("channel", Kind::Template),
        key("username", Kind::Template).or(r#"{{ template "mattermost.default.username" . }}"#),
        key("icon_url", Kind::Template),
        key("icon_emoji", Kind::Template),
        key("text", Kind::Template).or(r#"{{ template "mattermost.default.text" . }}"#),
        key("fallback", Kind::Template),
        key("color", Kind::Template).or(COLOR),
        key("pretext", Kind::Template),
        key("author_name", Kind::Template),
        key("author_link", Kind::Template),
        key("author_icon", Kind::Template),
        key("title", Kind::Template).or(r#"{{ template "mattermost.default.title" . }}"#),
        key("title_link", Kind::Template).or(r#"{{ template "mattermost.default.titlelink" . }}"#),
        key("fields", Kind::Maps(&FIELD)),
        key("thumb_url", Kind::Template),
        key("image_url", Kind::Template),
        key("footer", Kind::Template),
        key("footer_icon", Kind::Template),
        key("attachments", Kind::Maps(&ATTACHMENT)),
        key("props", Kind::AnyMap),
        key("priority", Kind::Map(&MATTERMOST_PRIORITY)),
    ],
    demands: &[AtMostOne(WEBHOOK_URLS)],
};

const MSTEAMS: Table = Table {
    keys: &[
        key("webhook_url", Kind::SecretUrl),
        key("webhook_url_file", Kind::SecretPath),
        key("title", Kind::Template).or(r#"{{ template "msteams.default.title" . }}"#),
        key("summary", Kind::Template).or(r#"{{ template "msteams.default.summary" . }}"#),
        key("text", Kind::Template).or(r#"{{ template "msteams.default.text" . }}"#),
    ],
    demands: &[NeedsOne(WEBHOOK_URLS), AtMostOne(WEBHOOK_URLS)],
};
const MSTEAMSV2: Table = Table {
    keys: &[
        key("webhook_url", Kind::SecretUrl),
        key("webhook_url_file", Kind::SecretPath),
        key("title", Kind::Template).or(r#"{{ template "msteamsv2.default.title" . }}"#),
        key("text", Kind::Template).or(r#"{{ template "msteamsv2.default.text" . }}"#),
    ],
    demands: &[NeedsOne(WEBHOOK_URLS), AtMostOne(WEBHOOK_URLS)],
};

const RESPONDER: Table = Table {
    keys: &[
        key("id", Kind::Template),
        key("name", Kind::Template),
        key("username", Kind::Template),
        key("type", Kind::Template),
    ],
    demands: &[NeedsOne(&["id", "name", "username"]), Needs("type")],
};
const OPSGENIE: Table = Table {
    keys: &[
        key("api_key", Kind::Secret),
        key("api_key_file", Kind::SecretPath),
        key("api_url", Kind::Url),
        key("message", Kind::Template).or(r#"{{ template "opsgenie.default.message" . }}"#),
        key("description", Kind::Template).or(r#"{{ template "opsgenie.default.description" . }}"#),
        key("source", Kind::Template).or(r#"{{ template "opsgenie.default.source" . }}"#),
        key("details", Kind::TemplateMap),
        key("entity", Kind::Template),
        key("responders", Kind::Maps(&RESPONDER)),
        key("actions", Kind::Template),
        key("tags", Kind::Template),
        key("note", Kind::Template),
        key("priority", Kind::Template),
        key("update_alerts", Kind::Bool),
    ],
    demands: &[AtMostOne(&["api_key", "api_key_file"])],
};

fn complete_opsgenie(draft: &mut Draft<'_, '_>) {
    draft.inherit("api_url", "opsgenie_api_url", Some("https://api.opsgenie.com/"));
    let global = ["opsgenie_api_key", "opsgenie_api_key_file"];
    if !draft.inherit_secret(["api_key", "api_key_file"], global) {
        draft.nowhere("api_key", global[0]);
    }
    for responder in draft.fields.get("responders").and_then(|at| at.list()).unwrap_or_default() {
        let Some(at) = responder.fields().and_then(|inner| inner.get("type")) else { continue };
        let text = at.scalar().map(|s| s.text.to_lowercase()).unwrap_or_default();
        let known = ["team", "teams", "user", "escalation", "schedule"];
        if !text.contains("{{") && !known.contains(&text.as_str()) {
            let hint = crate::reader::suggestion(&text, known.into_iter(), "possible");
            at.error(format!("`{text}` is not a type of responder"), hint);
        }
    }
}

/// Operations of Jira Service Management: the same alerts under another address.
const JSMOPS: Table = Table {
    keys: &[
        key("api_key", Kind::Secret),
        key("api_key_file", Kind::SecretPath),
        key("api_url", Kind::Url),
        key("message", Kind::Template).or(r#"{{ template "opsgenie.default.message" . }}"#),
        key("description", Kind::Template).or(r#"{{ template "opsgenie.default.description" . }}"#),
        key("source", Kind::Template).or(r#"{{ template "opsgenie.default.source" . }}"#),
        key("details", Kind::TemplateMap),
        key("entity", Kind::Template),
        key("responders", Kind::Maps(&RESPONDER)),
        key("actions", Kind::Template),
        key("tags", Kind::Template),
        key("note", Kind::Template),
        key("priority", Kind::Template),
        key("update_alerts", Kind::Bool),
    ],
    demands: &[NeedsOne(&["api_key", "api_key_file"]), AtMostOne(&["api_key", "api_key_file"])],
};

const PAGERDUTY_IMAGE: Table = Table {
    keys: &[key("src", Kind::Template), key("alt", Kind::Template), key("href", Kind::Template)],
    demands: &[],
};
const PAGERDUTY_LINK: Table =
    Table { keys: &[key("href", Kind::Template), key("text", Kind::Template)], demands: &[] };
const PAGERDUTY: Table = Table {
    keys: &[
        key("routing_key", Kind::Secret),
        key("routing_key_file", Kind::SecretPath),
        key("service_key", Kind::Secret),
        key("service_key_file", Kind::SecretPath),
        key("url", Kind::Url),
        key("client", Kind::Template).or(r#"{{ template "pagerduty.default.client" . }}"#),
        key("client_url", Kind::Template).or(r#"{{ template "pagerduty.default.clientURL" . }}"#),
        key("description", Kind::Template).or(r#"{{ template "pagerduty.default.description" .}}"#),
        key("details", Kind::AnyMap),
        key("images", Kind::Maps(&PAGERDUTY_IMAGE)),
        key("links", Kind::Maps(&PAGERDUTY_LINK)),
        key("source", Kind::Template),
        key("severity", Kind::Template),
        key("class", Kind::Template),
        key("component", Kind::Template),
        key("group", Kind::Template),
        key("timeout", Kind::Duration),
    ],
    demands: &[
        NeedsOne(&["routing_key", "routing_key_file", "service_key", "service_key_file"]),
        AtMostOne(&["routing_key", "routing_key_file"]),
        AtMostOne(&["service_key", "service_key_file"]),
    ],
};

fn complete_pagerduty(draft: &mut Draft<'_, '_>) {
    draft.inherit("url", "pagerduty_url", Some("https://events.pagerduty.com/v2/enqueue"));
    // The source is the client, if nothing else is said.
    if !draft.has("source") {
        let client = draft.text("client").unwrap_or_default().to_owned();
        draft.settings.push(("source".to_owned(), crate::schema::template_setting(&client)));
    }
    let own = draft.settings.iter().position(|(name, _)| name == "details");
    let mut details: Vec<(String, Setting)> = [
        ("firing", r#"{{ template "pagerduty.default.instances" .Alerts.Firing }}"#),
        ("resolved", r#"{{ template "pagerduty.default.instances" .Alerts.Resolved }}"#),
        ("num_firing", "{{ .Alerts.Firing | len }}"),
        ("num_resolved", "{{ .Alerts.Resolved | len }}"),
    ]
    .into_iter()
    .map(|(name, text)| (name.to_owned(), Setting::Template(text.to_owned())))
    .collect();
    if let Some(position) = own
        && let (_, Setting::Map(entries)) = draft.settings.remove(position)
    {
        details.retain(|(name, _)| entries.iter().all(|(n, _)| n != name));
        details.extend(entries);
    }
    draft.settings.push(("details".to_owned(), Setting::Map(details)));
}

const PUSHOVER: Table = Table {
    keys: &[
        key("user_key", Kind::Secret),
        key("user_key_file", Kind::SecretPath),
        key("token", Kind::Secret),
        key("token_file", Kind::SecretPath),
        key("title", Kind::Template).or(r#"{{ template "pushover.default.title" . }}"#),
        key("message", Kind::Template).or(r#"{{ template "pushover.default.message" . }}"#),
        key("url", Kind::Template).or(r#"{{ template "pushover.default.url" . }}"#),
        key("url_title", Kind::Template),
        key("device", Kind::Template),
        key("sound", Kind::Template),
        key("priority", Kind::Template).or(r#"{{ if eq .Status "firing" }}2{{ else }}0{{ end }}"#),
        key("retry", Kind::Duration).or("1m"),
        key("expire", Kind::Duration).or("1h"),
        key("ttl", Kind::Duration),
        key("html", Kind::Bool),
        key("monospace", Kind::Bool),
    ],
    demands: &[
        NeedsOne(&["user_key", "user_key_file"]),
        AtMostOne(&["user_key", "user_key_file"]),
        NeedsOne(&["token", "token_file"]),
        AtMostOne(&["token", "token_file"]),
    ],
};

fn complete_pushover(draft: &mut Draft<'_, '_>) {
    let on =
        |key: &str| draft.settings.iter().any(|(name, value)| name == key && value.as_bool() == Some(true));
    if on("html") && on("monospace") {
        draft.fields.at_most_one(&["html", "monospace"]);
    }
}

const ROCKETCHAT_ACTION: Table = Table {
    keys: &[
        key("type", Kind::Template),
        key("text", Kind::Template),
        key("url", Kind::Template),
        key("msg", Kind::Template),
    ],
    demands: &[],
};
const ROCKETCHAT_FIELD: Table = Table {
    keys: &[key("title", Kind::Template), key("value", Kind::Template), key("short", Kind::Bool)],
    demands: &[],
};
const ROCKETCHAT: Table = Table {
    keys: &[
        key("api_url", Kind::Url),
        key("token", Kind::Secret),
        key("token_file", Kind::SecretPath),
        key("token_id", Kind::Secret),
        key("token_id_file", Kind::SecretPath),
        key("channel", Kind::Template),
        key("color", Kind::Template).or(r#"{{ if eq .Status "firing" }}red{{ else }}green{{ end }}"#),
        key("title", Kind::Template).or(r#"{{ template "rocketchat.default.title" . }}"#),
        key("title_link", Kind::Template).or(r#"{{ template "rocketchat.default.titlelink" . }}"#),
        key("text", Kind::Template).or(r#"{{ template "rocketchat.default.text" . }}"#),
        key("fields", Kind::Maps(&ROCKETCHAT_FIELD)),
        key("short_fields", Kind::Bool),
        key("emoji", Kind::Template).or(r#"{{ template "rocketchat.default.emoji" . }}"#),
        key("icon_url", Kind::Template).or(r#"{{ template "rocketchat.default.iconurl" . }}"#),
        key("image_url", Kind::Template),
        key("thumb_url", Kind::Template),
        key("link_names", Kind::Bool),
        key("actions", Kind::Maps(&ROCKETCHAT_ACTION)),
    ],
    demands: &[AtMostOne(&["token", "token_file"]), AtMostOne(&["token_id", "token_id_file"])],
};

fn complete_rocketchat(draft: &mut Draft<'_, '_>) {
    draft.inherit("api_url", "rocketchat_api_url", Some("https://open.rocket.chat/"));
    if !draft.inherit_secret(["token", "token_file"], ["rocketchat_token", "rocketchat_token_file"]) {
        draft.nowhere("token", "rocketchat_token");
    }
    if !draft
        .inherit_secret(["token_id", "token_id_file"], ["rocketchat_token_id", "rocketchat_token_id_file"])
    {
        draft.nowhere("token_id", "rocketchat_token_id");
    }
}

const SLACK_CONFIRM: Table = Table {
    keys: &[
        key("text", Kind::Template),
        key("title", Kind::Template),
        key("ok_text", Kind::Template),
        key("dismiss_text", Kind::Template),
    ],
    demands: &[Needs("text")],
};
const SLACK_ACTION: Table = Table {
    keys: &[
        key("type", Kind::Template),
        key("text", Kind::Template),
        key("url", Kind::Template),
        key("style", Kind::Template),
        key("name", Kind::Template),
        key("value", Kind::Template),
        key("confirm", Kind::Map(&SLACK_CONFIRM)),
    ],
    demands: &[Needs("type"), Needs("text"), NeedsOne(&["url", "name"])],
};
const SLACK: Table = Table {
    keys: &[
        key("api_url", Kind::SecretUrl),
        key("api_url_file", Kind::SecretPath),
        key("app_token", Kind::Secret),
        key("app_token_file", Kind::SecretPath),
        key("app_url", Kind::Url),
        key("channel", Kind::Template),
        key("username", Kind::Template).or(r#"{{ template "slack.default.username" . }}"#),
        key("color", Kind::Template).or(COLOR),
        key("title", Kind::Template).or(r#"{{ template "slack.default.title" . }}"#),
        key("title_link", Kind::Template).or(r#"{{ template "slack.default.titlelink" . }}"#),
        key("message_text", Kind::Template),
        key("pretext", Kind::Template).or(r#"{{ template "slack.default.pretext" . }}"#),
        key("text", Kind::Template).or(r#"{{ template "slack.default.text" . }}"#),
        key("fields", Kind::Maps(&FIELD)),
        key("short_fields", Kind::Bool).or("false"),
        key("footer", Kind::Template).or(r#"{{ template "slack.default.footer" . }}"#),
        key("fallback", Kind::Template).or(r#"{{ template "slack.default.fallback" . }}"#),
        key("callback_id", Kind::Template).or(r#"{{ template "slack.default.callbackid" . }}"#),
        key("icon_emoji", Kind::Template).or(r#"{{ template "slack.default.iconemoji" . }}"#),
        key("icon_url", Kind::Template).or(r#"{{ template "slack.default.iconurl" . }}"#),
        key("image_url", Kind::Template),
        key("thumb_url", Kind::Template),
        key("link_names", Kind::Bool).or("false"),
        key("mrkdwn_in", Kind::Texts),
        key("actions", Kind::Maps(&SLACK_ACTION)),
        key("timeout", Kind::Duration).or("0s"),
        key("update_message", Kind::Bool),
    ],
    demands: &[
        AtMostOne(&["api_url", "api_url_file"]),
        AtMostOne(&["app_token", "app_token_file"]),
        AtMostOne(&["api_url", "app_token"]),
        AtMostOne(&["api_url_file", "app_token_file"]),
    ],
};

/// A bot's token, or the address of a webhook; each here or in `global`, and what is here comes first.
fn complete_slack(draft: &mut Draft<'_, '_>) {
    let global_token =
        draft.global.get("slack_app_token").or(draft.global.get("slack_app_token_file")).is_some();
    let by_token = draft.has("app_token") || draft.has("app_token_file") || draft.has("app_url");
    let by_url = draft.has("api_url") || draft.has("api_url_file") || authorized(draft.fields);
    if by_token || (!by_url && global_token) {
        draft.inherit("app_url", "slack_app_url", Some("https://slack.com/api/chat.postMessage"));
        let global = ["slack_app_token", "slack_app_token_file"];
        if !draft.inherit_secret(["app_token", "app_token_file"], global) && !authorized(draft.fields) {
            draft.nowhere("app_token", global[0]);
        }
    } else if !draft.inherit_secret(["api_url", "api_url_file"], ["slack_api_url", "slack_api_url_file"]) {
        let hint = "set `api_url_file` or `app_token_file` here, or `slack_api_url_file` or `slack_app_token_file` in `global`";
        draft.fields.at.error("there is neither the address of a webhook nor a token", Some(hint.to_owned()));
    }
}

const SIGV4: Table = Table {
    keys: &[
        key("region", Kind::Text),
        key("access_key", Kind::Text),
        key("secret_key", Kind::Secret),
        key("secret_key_file", Kind::SecretPath),
        key("profile", Kind::Text),
        key("role_arn", Kind::Text),
        key("external_id", Kind::Text),
        key("use_fips_sts_endpoint", Kind::Bool),
    ],
    demands: &[],
};
const SNS: Table = Table {
    keys: &[
        key("api_url", Kind::TemplateUrl),
        key("sigv4", Kind::Map(&SIGV4)),
        key("topic_arn", Kind::Template),
        key("phone_number", Kind::Template),
        key("target_arn", Kind::Template),
        key("subject", Kind::Template).or(r#"{{ template "sns.default.subject" . }}"#),
        key("message", Kind::Template).or(r#"{{ template "sns.default.message" . }}"#),
        key("attributes", Kind::TemplateMap),
        key("use_aws_http_client", Kind::Bool),
    ],
    demands: &[
        NeedsOne(&["topic_arn", "target_arn", "phone_number"]),
        AtMostOne(&["topic_arn", "target_arn", "phone_number"]),
    ],
};

const TELEGRAM: Table = Table {
    keys: &[
        key("api_url", Kind::Url),
        key("bot_token", Kind::Secret),
        key("bot_token_file", Kind::SecretPath),
        key("chat_id", Kind::Integer),
        key("chat_id_file", Kind::SecretPath),
        key("message_thread_id", Kind::Integer),
        key("message", Kind::Template).or(r#"{{ template "telegram.default.message" . }}"#),
        key("disable_notifications", Kind::Bool).or("false"),
        key("parse_mode", Kind::Choice(&["", "Markdown", "MarkdownV2", "HTML"])).or("HTML"),
    ],
    demands: &[
        AtMostOne(&["bot_token", "bot_token_file"]),
        NeedsOne(&["chat_id", "chat_id_file"]),
        AtMostOne(&["chat_id", "chat_id_file"]),
    ],
};

const VICTOROPS: Table = Table {
    keys: &[
        key("api_key", Kind::Secret),
        key("api_key_file", Kind::SecretPath),
        key("api_url", Kind::Url),
        key("routing_key", Kind::Template),
        key("message_type", Kind::Template).or("CRITICAL"),
        key("state_message", Kind::Template).or(r#"{{ template "victorops.default.state_message" . }}"#),
        key("entity_display_name", Kind::Template)
            .or(r#"{{ template "victorops.default.entity_display_name" . }}"#),
        key("monitoring_tool", Kind::Template).or(r#"{{ template "victorops.default.monitoring_tool" . }}"#),
        key("custom_fields", Kind::TemplateMap),
    ],
    demands: &[Needs("routing_key"), AtMostOne(&["api_key", "api_key_file"])],
};

fn complete_victorops(draft: &mut Draft<'_, '_>) {
    let default = "https://alert.victorops.com/integrations/generic/20131114/alert/";
    draft.inherit("api_url", "victorops_api_url", Some(default));
    let global = ["victorops_api_key", "victorops_api_key_file"];
    if !draft.inherit_secret(["api_key", "api_key_file"], global) {
        draft.nowhere("api_key", global[0]);
    }
    let reserved = [
        "routing_key",
        "message_type",
        "state_message",
        "entity_display_name",
        "monitoring_tool",
        "entity_id",
        "entity_state",
    ];
    for (name, at) in draft.fields.get("custom_fields").and_then(|at| at.entries()).unwrap_or_default() {
        if reserved.contains(&name.as_str()) {
            at.at_key().error(format!("`{name}` is a field of the message itself"), None);
        }
    }
}

const WEBEX: Table = Table {
    keys: &[
        key("api_url", Kind::Url),
        key("room_id", Kind::Template),
        key("message", Kind::Template).or(r#"{{ template "webex.default.message" . }}"#),
    ],
    demands: &[Needs("room_id")],
};

fn complete_webex(draft: &mut Draft<'_, '_>) {
    draft.inherit("api_url", "webex_api_url", Some("https://webexapis.com/v1/messages"));
    let global = draft.global.http.auth != ports::HttpAuth::None && !filled(draft.fields, "http_config");
    if !authorized(draft.fields) && !global {
        let hint = "the bot's token stands under `http_config.authorization`";
        draft.fields.at.error("there is no token", Some(hint.to_owned()));
    }
}

const WEBHOOK: Table = Table {
    keys: &[
        key("url", Kind::SecretTemplateUrl),
        key("url_file", Kind::SecretPath),
        key("max_alerts", Kind::Integer).or("0"),
        key("timeout", Kind::Duration).or("0s"),
        key("payload", Kind::Any),
    ],
    demands: &[NeedsOne(&["url", "url_file"]), AtMostOne(&["url", "url_file"])],
};

const WECHAT: Table = Table {
    keys: &[
        key("api_secret", Kind::Secret),
        key("api_secret_file", Kind::SecretPath),
        key("corp_id", Kind::Template),
        key("api_url", Kind::Url),
        key("message", Kind::Template).or(r#"{{ template "wechat.default.message" . }}"#),
        key("message_type", Kind::Choice(&["text", "markdown"])).or("text"),
        key("agent_id", Kind::Template).or(r#"{{ template "wechat.default.agent_id" . }}"#),
        key("to_user", Kind::Template).or(r#"{{ template "wechat.default.to_user" . }}"#),
        key("to_party", Kind::Template).or(r#"{{ template "wechat.default.to_party" . }}"#),
        key("to_tag", Kind::Template).or(r#"{{ template "wechat.default.to_tag" . }}"#),
    ],
    demands: &[AtMostOne(&["api_secret", "api_secret_file"])],
};

fn complete_wechat(draft: &mut Draft<'_, '_>) {
    draft.inherit("api_url", "wechat_api_url", Some("https://qyapi.weixin.qq.com/cgi-bin/"));
    let global = ["wechat_api_secret", "wechat_api_secret_file"];
    if !draft.inherit_secret(["api_secret", "api_secret_file"], global) {
        draft.nowhere("api_secret", global[0]);
    }
    draft.inherit("corp_id", "wechat_api_corp_id", None);
    if draft.text("corp_id").is_none_or(str::is_empty) {
        draft.nowhere("corp_id", "wechat_api_corp_id");
    }
}
