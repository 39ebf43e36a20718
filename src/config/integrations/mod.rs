//! The integrations that Alertmanager knows: their keys, defaults, and what goes together.
//!
//! Only data and checks: what an integration does is the notifier plugin's of the same name.

mod chat;
mod paging;
mod transport;

use self::chat::{
    DISCORD, MATTERMOST, MSTEAMS, MSTEAMSV2, ROCKETCHAT, SLACK, TELEGRAM, WEBEX, WECHAT, complete_rocketchat,
    complete_slack, complete_webex, complete_wechat,
};
use self::paging::{
    INCIDENTIO, JIRA, JSMOPS, OPSGENIE, PAGERDUTY, PUSHOVER, VICTOROPS, complete_incidentio,
    complete_opsgenie, complete_pagerduty, complete_pushover, complete_victorops,
};
use self::transport::{EMAIL, SNS, WEBHOOK, complete_email, complete_sns};
use crate::Setting;
use crate::global::NotifyDefaults;
use crate::reader::Fields;
use crate::schema::Table;
use crate::shown::Shown;

/// The settings that say whom an integration tells, whatever it says.
pub(crate) const ADDRESSES: [&str; 14] = [
    "url",
    "webhook_url",
    "api_url",
    "app_url",
    "channel",
    "channel_id",
    "chat_id",
    "bot_token",
    "app_token",
    "routing_key",
    "service_key",
    "room_id",
    "user_key",
    "api_key",
];

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
    quiet(kind("rocketchat", "rocketchat_configs", &ROCKETCHAT, complete_rocketchat)),
    quiet(kind("slack", "slack_configs", &SLACK, complete_slack)),
    kind("sns", "sns_configs", &SNS, complete_sns),
    kind("telegram", "telegram_configs", &TELEGRAM, |draft| {
        draft.inherit("api_url", "telegram_api_url", Some("https://api.telegram.org"));
        let global = ["telegram_bot_token", "telegram_bot_token_file"];
        if !draft.inherit_secret(["bot_token", "bot_token_file"], global) {
            draft.nowhere("bot_token", global[0]);
        }
        // As upstream: a chat without a number is none.
        let zero =
            draft.settings.iter().any(|(name, value)| name == "chat_id" && *value == Setting::Number(0.0));
        if let Some(at) = draft.fields.get("chat_id").filter(|_| zero) {
            at.error(
                "`chat_id` is missing: 0 is no chat",
                Some("set the number of the chat, or `chat_id_file`".to_owned()),
            );
        }
    }),
    kind("victorops", "victorops_configs", &VICTOROPS, complete_victorops),
    kind("webex", "webex_configs", &WEBEX, complete_webex),
    kind("webhook", "webhook_configs", &WEBHOOK, nothing),
    quiet(kind("wechat", "wechat_configs", &WECHAT, complete_wechat)),
    // The name of the vendor's successor to the first generation of connectors.
    kind("jsmops", "jsmops_configs", &JSMOPS, nothing),
];

/// Whether `http_config` brings credentials.
fn authorized(fields: &Fields<'_>) -> bool {
    let http = fields.get("http_config").and_then(|at| at.fields());
    http.is_some_and(|http| ["authorization", "basic_auth", "oauth2"].iter().any(|key| http.has(key)))
}
