//! Integrations that write into a chat.

use super::{Draft, authorized};
use crate::Setting;
use crate::global::SLACK_APP_URL;
use crate::schema::Demand::{AtMostOne, Needs, NeedsOne};
use crate::schema::{Kind, Table, filled, key};

pub(super) const DISCORD: Table = Table {
    keys: &[
        key("webhook_url", Kind::SecretUrl),
        key("webhook_url_file", Kind::SecretPath),
        key("content", Kind::Template).or(r#"{{ template "discord.default.content" . }}"#),
        key("title", Kind::Template).or(r#"{{ template "discord.default.title" . }}"#),
        key("message", Kind::Template).or(r#"{{ template "discord.default.message" . }}"#),
        key("username", Kind::Template),
        key("avatar_url", Kind::Template),
    ],
    demands: &[NeedsOne(WEBHOOK_URLS), AtMostOne(WEBHOOK_URLS)],
};
const WEBHOOK_URLS: &[&str] = &["webhook_url", "webhook_url_file"];

const FIELD: Table = Table {
    keys: &[key("title", Kind::Template), key("value", Kind::Template), key("short", Kind::Bool)],
    demands: &[Needs("title"), Needs("value")],
};
const COLOR: &str = r#"{{ if eq .Status "firing" }}danger{{ else }}good{{ end }}"#;
const ATTACHMENT: Table = Table {
    keys: &[
        key("fallback", Kind::Template),
        key("color", Kind::Template),
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
    ],
    demands: &[],
};
const MATTERMOST_PROPS: Table = Table { keys: &[key("card", Kind::Template)], demands: &[] };
const MATTERMOST_PRIORITY: Table = Table {
    keys: &[
        key("priority", Kind::Template),
        key("requested_ack", Kind::Bool),
        key("persistent_notifications", Kind::Bool),
    ],
    demands: &[],
};
pub(super) const MATTERMOST: Table = Table {
    keys: &[
        key("webhook_url", Kind::SecretUrl),
        key("webhook_url_file", Kind::SecretPath),
        key("channel", Kind::Template),
        key("username", Kind::Template).or(r#"{{ template "mattermost.default.username" . }}"#),
        key("icon_url", Kind::Template),
        key("icon_emoji", Kind::Template),
        key("text", Kind::Template).or(r#"{{ template "mattermost.default.text" . }}"#),
        key("fallback", Kind::Template).or(r#"{{ template "mattermost.default.fallback" . }}"#),
        key("color", Kind::Template).or(r#"{{ template "mattermost.default.color" . }}"#),
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
        key("type", Kind::Template),
        key("props", Kind::Map(&MATTERMOST_PROPS)),
        key("priority", Kind::Map(&MATTERMOST_PRIORITY)),
    ],
    demands: &[AtMostOne(WEBHOOK_URLS)],
};

pub(super) const MSTEAMS: Table = Table {
    keys: &[
        key("webhook_url", Kind::SecretUrl),
        key("webhook_url_file", Kind::SecretPath),
        key("title", Kind::Template).or(r#"{{ template "msteams.default.title" . }}"#),
        key("summary", Kind::Template).or(r#"{{ template "msteams.default.summary" . }}"#),
        key("text", Kind::Template).or(r#"{{ template "msteams.default.text" . }}"#),
    ],
    demands: &[NeedsOne(WEBHOOK_URLS), AtMostOne(WEBHOOK_URLS)],
};
pub(super) const MSTEAMSV2: Table = Table {
    keys: &[
        key("webhook_url", Kind::SecretUrl),
        key("webhook_url_file", Kind::SecretPath),
        key("title", Kind::Template).or(r#"{{ template "msteamsv2.default.title" . }}"#),
        key("text", Kind::Template).or(r#"{{ template "msteamsv2.default.text" . }}"#),
    ],
    demands: &[NeedsOne(WEBHOOK_URLS), AtMostOne(WEBHOOK_URLS)],
};

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
pub(super) const ROCKETCHAT: Table = Table {
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

pub(super) fn complete_rocketchat(draft: &mut Draft<'_, '_>) {
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
pub(super) const SLACK: Table = Table {
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
        key("timeout", Kind::GoDuration).or("0s"),
        key("update_message", Kind::Bool),
        key("post_updates_to_thread", Kind::Bool),
    ],
    demands: &[
        AtMostOne(&["api_url", "api_url_file"]),
        AtMostOne(&["app_token", "app_token_file"]),
        AtMostOne(&["api_url", "app_token"]),
        AtMostOne(&["api_url", "app_token_file"]),
        AtMostOne(&["api_url_file", "app_token"]),
        AtMostOne(&["api_url_file", "app_token_file"]),
    ],
};

/// A bot's token, or the address of a webhook; each here or in `global`, and what is here comes first.
pub(super) fn complete_slack(draft: &mut Draft<'_, '_>) {
    let global_token =
        draft.global.get("slack_app_token").or(draft.global.get("slack_app_token_file")).is_some();
    let by_token = draft.has("app_token") || draft.has("app_token_file") || draft.has("app_url");
    let by_url = draft.has("api_url") || draft.has("api_url_file") || authorized(draft.fields);
    if by_token || (!by_url && global_token) {
        draft.inherit("app_url", "slack_app_url", Some(SLACK_APP_URL));
        let global = ["slack_app_token", "slack_app_token_file"];
        if !draft.inherit_secret(["app_token", "app_token_file"], global) && !authorized(draft.fields) {
            draft.nowhere("app_token", global[0]);
        }
    } else if !draft.inherit_secret(["api_url", "api_url_file"], ["slack_api_url", "slack_api_url_file"]) {
        let hint = "set `api_url_file` or `app_token_file` here, or `slack_api_url_file` or `slack_app_token_file` in `global`";
        draft.fields.at.error("there is neither the address of a webhook nor a token", Some(hint.to_owned()));
    }
    for key in ["update_message", "post_updates_to_thread"] {
        let wanted = draft.settings.iter().any(|(name, value)| name == key && value.as_bool() == Some(true));
        let to_bot = draft.settings.iter().any(|(name, value)| match value {
            Setting::Secret { value, .. } => name == "api_url" && value.expose() == SLACK_APP_URL,
            _ => false,
        });
        if let Some(at) = draft.fields.get(key).filter(|_| wanted && !draft.has("app_url") && !to_bot) {
            let hint = "use `app_token_file`: what a webhook posted cannot be changed";
            at.at_key().error(format!("`{key}` needs a bot"), Some(hint.to_owned()));
        }
    }
}

pub(super) const TELEGRAM: Table = Table {
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

pub(super) const WEBEX: Table = Table {
    keys: &[
        key("api_url", Kind::Url),
        key("room_id", Kind::Template),
        key("message", Kind::Template).or(r#"{{ template "webex.default.message" . }}"#),
    ],
    demands: &[Needs("room_id")],
};

pub(super) fn complete_webex(draft: &mut Draft<'_, '_>) {
    draft.inherit("api_url", "webex_api_url", Some("https://webexapis.com/v1/messages"));
    let global = draft.global.http.auth != ports::HttpAuth::None && !filled(draft.fields, "http_config");
    if !authorized(draft.fields) && !global {
        let hint = "the bot's token stands under `http_config.authorization`";
        draft.fields.at.error("there is no token", Some(hint.to_owned()));
    }
}

pub(super) const WECHAT: Table = Table {
    keys: &[
        key("api_secret", Kind::SecretTemplate),
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

pub(super) fn complete_wechat(draft: &mut Draft<'_, '_>) {
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
