//! Integrations that call somebody, or open a ticket.

use super::{Draft, authorized};
use crate::Setting;
use crate::schema::Demand::{AtMostOne, Needs, NeedsOne};
use crate::schema::{Kind, Table, key};

pub(super) const INCIDENTIO: Table = Table {
    keys: &[
        key("url", Kind::Url),
        key("url_file", Kind::SecretPath),
        key("alert_source_token", Kind::Secret),
        key("alert_source_token_file", Kind::SecretPath),
        key("max_alerts", Kind::Count).or("0"),
        key("timeout", Kind::GoDuration).or("0s"),
    ],
    demands: &[
        NeedsOne(&["url", "url_file"]),
        AtMostOne(&["url", "url_file"]),
        AtMostOne(&["alert_source_token", "alert_source_token_file"]),
    ],
};

pub(super) fn complete_incidentio(draft: &mut Draft<'_, '_>) {
    let token = draft.has("alert_source_token") || draft.has("alert_source_token_file");
    let http = draft.fields.get("http_config");
    let hint = "set `alert_source_token_file`, or `authorization` in `http_config`";
    match (token, authorized(draft.fields)) {
        (true, true) => {
            let what = "there is a token, and credentials in `http_config`";
            draft.fields.at.error(what, Some("keep one".to_owned()));
        }
        (false, false) if http.is_some() => draft.fields.at.error("there is no token", Some(hint.to_owned())),
        (false, false) if draft.global.http.auth == ports::HttpAuth::None => {
            draft.fields.at.warn("there is no token", Some(hint.to_owned()));
        }
        _ => {}
    }
}

pub(super) const JIRA: Table = Table {
    keys: &[
        key("api_url", Kind::Url),
        key("api_type", Kind::Choice(&["auto", "cloud", "datacenter"])).or("auto"),
        key("project", Kind::Template),
        key("summary", Kind::TextOrMap(&JIRA_TEXT)).or(r#"{{ template "jira.default.summary" . }}"#),
        key("description", Kind::TextOrMap(&JIRA_TEXT)).or(r#"{{ template "jira.default.description" . }}"#),
        key("labels", Kind::TextsOrMap(&JIRA_LABELS)),
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

const JIRA_LABELS: Table =
    Table { keys: &[key("values", Kind::Templates), key("enable_update", Kind::Bool)], demands: &[] };

const RESPONDER: Table = Table {
    keys: &[
        key("id", Kind::Template),
        key("name", Kind::Template),
        key("username", Kind::Template),
        key("type", Kind::Template),
    ],
    demands: &[NeedsOne(&["id", "name", "username"]), Needs("type")],
};
pub(super) const OPSGENIE: Table = Table {
    keys: &[
        key("api_key", Kind::SecretTemplate),
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

pub(super) fn complete_opsgenie(draft: &mut Draft<'_, '_>) {
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
pub(super) const JSMOPS: Table = Table {
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
pub(super) const PAGERDUTY: Table = Table {
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
        key("timeout", Kind::GoDuration),
    ],
    demands: &[
        NeedsOne(&["routing_key", "routing_key_file", "service_key", "service_key_file"]),
        AtMostOne(&["routing_key", "routing_key_file"]),
        AtMostOne(&["service_key", "service_key_file"]),
    ],
};

pub(super) fn complete_pagerduty(draft: &mut Draft<'_, '_>) {
    draft.inherit("url", "pagerduty_url", Some("https://events.pagerduty.com/v2/enqueue"));
    // The source is the client, if nothing else is said.
    if !draft.has("source") {
        let client = draft.text("client").unwrap_or_default().to_owned();
        draft.settings.push(("source".to_owned(), crate::schema::template_setting(&client)));
    }
    let own = draft.settings.iter().position(|(name, _)| name == "details");
    let mut details: Vec<(String, Setting)> = [
        ("firing", "{{ .Alerts.Firing | toJson }}"),
        ("resolved", "{{ .Alerts.Resolved | toJson }}"),
        ("num_firing", "{{ .Alerts.Firing | len }}"),
        ("num_resolved", "{{ .Alerts.Resolved | len }}"),
    ]
    .into_iter()
    .map(|(name, text)| (name.to_owned(), Setting::Typed(Box::new(Setting::Template(text.to_owned())))))
    .collect();
    if let Some(position) = own
        && let (_, Setting::Map(entries)) = draft.settings.remove(position)
    {
        details.retain(|(name, _)| entries.iter().all(|(n, _)| n != name));
        details.extend(entries);
    }
    draft.settings.push(("details".to_owned(), Setting::Map(details)));
}

pub(super) const PUSHOVER: Table = Table {
    keys: &[
        key("user_key", Kind::SecretTemplate),
        key("user_key_file", Kind::SecretPath),
        key("token", Kind::SecretTemplate),
        key("token_file", Kind::SecretPath),
        key("title", Kind::Template).or(r#"{{ template "pushover.default.title" . }}"#),
        key("message", Kind::Template).or(r#"{{ template "pushover.default.message" . }}"#),
        key("url", Kind::Template).or(r#"{{ template "pushover.default.url" . }}"#),
        key("url_title", Kind::Template),
        key("device", Kind::Template),
        key("sound", Kind::Template),
        key("priority", Kind::Template).or(r#"{{ if eq .Status "firing" }}2{{ else }}0{{ end }}"#),
        key("retry", Kind::GoDuration).or("1m"),
        key("expire", Kind::GoDuration).or("1h"),
        key("ttl", Kind::GoDuration),
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

pub(super) fn complete_pushover(draft: &mut Draft<'_, '_>) {
    let on =
        |key: &str| draft.settings.iter().any(|(name, value)| name == key && value.as_bool() == Some(true));
    if on("html") && on("monospace") {
        draft.fields.at_most_one(&["html", "monospace"]);
    }
}

pub(super) const VICTOROPS: Table = Table {
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

pub(super) fn complete_victorops(draft: &mut Draft<'_, '_>) {
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
