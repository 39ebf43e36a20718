//! Integrations that hand on: mail, a webhook of one's own, a topic.

use super::Draft;
use crate::Setting;
use crate::reader::Fields;
use crate::schema::Demand::{AtMostOne, Needs, NeedsOne};
use crate::schema::{Kind, Table, filled, key, template_setting};

const THREADING: Table = Table {
    keys: &[key("enabled", Kind::Bool), key("thread_by_date", Kind::Choice(&["daily", "none"]))],
    demands: &[],
};
pub(super) const EMAIL: Table = Table {
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
    demands: &[Needs("to")],
};

/// Upstream a mail's password may stand beside its file, and the file counts; elsewhere that is refused there, too.
fn prefer_file(draft: &mut Draft<'_, '_>, key: &'static str, file: &'static str) {
    if draft.has(key) && draft.has(file) {
        if let Some(at) = draft.fields.get(key) {
            at.warn(format!("`{key}` is not used: `{file}` is set, too"), Some("remove it".to_owned()));
        }
        draft.settings.retain(|(name, _)| name != key);
    }
}

pub(super) fn complete_email(draft: &mut Draft<'_, '_>) {
    prefer_file(draft, "auth_password", "auth_password_file");
    prefer_file(draft, "auth_secret", "auth_secret_file");
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
    check_mail_headers(draft.fields);
}

fn check_mail_headers(fields: &Fields<'_>) {
    let threading = fields.get("threading").and_then(|at| at.fields());
    let threading = threading.filter(|inner| inner.get("enabled").and_then(|at| at.boolean()) == Some(true));
    if let Some(inner) = threading.as_ref().filter(|inner| !filled(inner, "thread_by_date")) {
        inner.missing("thread_by_date", Some("`daily` begins a thread each day, `none` does not".to_owned()));
    }
    let mut seen: Vec<String> = Vec::new();
    for (name, at) in fields.get("headers").and_then(|at| at.entries()).unwrap_or_default() {
        let lower = name.to_lowercase();
        if seen.contains(&lower) {
            at.at_key().error(format!("header `{name}` is there twice"), None);
        }
        if threading.is_some() && matches!(lower.as_str(), "references" | "in-reply-to") {
            let hint = "take it out, or turn `threading` off";
            at.at_key().error(format!("header `{name}` is set by `threading`"), Some(hint.to_owned()));
        }
        seen.push(lower);
    }
}

/// Names what is signed for, and makes attributes a list, since their names are templates, too.
pub(super) fn complete_sns(draft: &mut Draft<'_, '_>) {
    let sigv4 = draft.settings.iter_mut().find(|(name, _)| name == "sigv4");
    let service = ("service".to_owned(), Setting::Text("sns".to_owned()));
    match sigv4 {
        Some((_, Setting::Map(entries))) => entries.push(service),
        _ => draft.settings.push(("sigv4".to_owned(), Setting::Map(vec![service]))),
    }
    if let Some((_, attributes)) = draft.settings.iter_mut().find(|(name, _)| name == "attributes")
        && let Setting::Map(entries) = attributes
    {
        let named = |(name, value): (String, Setting)| {
            let name = ("name".to_owned(), template_setting(&name));
            Setting::Map(vec![name, ("value".to_owned(), value)])
        };
        *attributes = Setting::List(std::mem::take(entries).into_iter().map(named).collect());
    }
    let at = draft.fields.get("sigv4").and_then(|at| at.fields());
    if let Some(fields) = at {
        let has = |keys: &[&'static str]| keys.iter().any(|key| filled(&fields, key));
        match (has(&["access_key"]), has(&["secret_key", "secret_key_file"])) {
            (true, false) => fields.missing("secret_key", Some("it belongs to `access_key`".to_owned())),
            (false, true) => fields.missing("access_key", Some("it belongs to `secret_key`".to_owned())),
            _ => {}
        }
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
    demands: &[AtMostOne(&["secret_key", "secret_key_file"])],
};
pub(super) const SNS: Table = Table {
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

pub(super) const WEBHOOK: Table = Table {
    keys: &[
        key("url", Kind::SecretTemplateUrl),
        key("url_file", Kind::SecretPath),
        key("max_alerts", Kind::Count).or("0"),
        key("timeout", Kind::GoDuration).or("0s"),
        key("payload", Kind::Any),
    ],
    demands: &[NeedsOne(&["url", "url_file"]), AtMostOne(&["url", "url_file"])],
};
