//! `global`: what holds for all jobs and rules, and what integrations take where they say nothing.

use std::path::PathBuf;
use std::time::Duration;

use model::Labels;
use ports::HttpOptions;

use crate::reader::{At, Fields};
use crate::relabel::is_label_name;
use crate::schema::Demand::AtMostOne;
use crate::schema::{self, Kind, Table, key};
use crate::scrape::{self, EscapingScheme, NameScheme, ScrapeLimits, ScrapeProtocol};
use crate::shown::{MASK, Shown};
use crate::{Global, Setting, http};

const MINUTE: Duration = Duration::from_secs(60);
const SCRAPE_TIMEOUT: Duration = Duration::from_secs(10);
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(300);

/// What scrape configurations take where they say nothing.
pub(crate) struct ScrapeDefaults {
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
    pub(crate) protocols: Option<Vec<ScrapeProtocol>>,
    pub(crate) limits: ScrapeLimits,
    pub(crate) names: NameScheme,
    pub(crate) escaping: Option<EscapingScheme>,
    pub(crate) native_histograms: bool,
    pub(crate) classic_histograms: bool,
    pub(crate) convert_classic: bool,
    pub(crate) extra_metrics: bool,
    pub(crate) failure_log: Option<PathBuf>,
}

/// What integrations take where they say nothing.
pub(crate) struct NotifyDefaults {
    settings: Vec<(String, Setting)>,
    pub(crate) http: HttpOptions,
}

impl NotifyDefaults {
    /// The value of a key of `global`.
    pub(crate) fn get(&self, key: &str) -> Option<&Setting> {
        self.settings.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }
}

/// All of `global`, and what of it is shown: Prometheus' part and Alertmanager's.
pub(crate) struct GlobalSection {
    pub(crate) global: Global,
    pub(crate) scrape: ScrapeDefaults,
    pub(crate) notify: NotifyDefaults,
    pub(crate) shown: Vec<(String, Shown)>,
    pub(crate) shown_notify: Vec<(String, Shown)>,
}

pub(crate) fn read(fields: &Fields<'_>) -> GlobalSection {
    let names = scrape::read_name_scheme(fields).unwrap_or_default();
    let escaping = scrape::read_escaping(fields);
    scrape::check_escaping(fields, names, escaping);
    let interval = positive(fields, "scrape_interval", MINUTE);
    let timeout = read_timeout(fields, interval);
    let protocols = scrape::read_protocols(fields);
    let evaluation_interval = positive(fields, "evaluation_interval", MINUTE);
    let rule_query_offset = fields.duration("rule_query_offset").unwrap_or_default();
    let external_labels = fields.get("external_labels").map(|at| read_external_labels(fields, &at, names));
    let query_log_file = fields.path("query_log_file");
    let failure_log = fields.path("scrape_failure_log_file");
    let limits = scrape::read_limits(fields, &ScrapeLimits::default());
    let scrape = ScrapeDefaults {
        interval,
        timeout,
        protocols,
        limits,
        names,
        escaping,
        native_histograms: fields.boolean("scrape_native_histograms").unwrap_or(false),
        classic_histograms: fields.boolean("always_scrape_classic_histograms").unwrap_or(false),
        convert_classic: fields.boolean("convert_classic_histograms_to_nhcb").unwrap_or(false),
        extra_metrics: fields.boolean("extra_scrape_metrics").unwrap_or(false),
        failure_log,
    };
    let shown = fields.take_shown();
    let resolve_timeout = fields.duration_or("resolve_timeout", RESOLVE_TIMEOUT);
    let http = fields.get("http_config").and_then(|at| http::read(&at, &HttpOptions::default()));
    let http = http.map(|(options, shown)| {
        fields.show("http_config", shown);
        options
    });
    let settings = schema::read_into(fields, &NOTIFY);
    check_slack(fields);
    let shown_notify = fields.take_shown();
    let global = Global {
        evaluation_interval,
        rule_query_offset,
        external_labels: external_labels.unwrap_or_default(),
        query_log_file,
        resolve_timeout,
    };
    let notify = NotifyDefaults { settings, http: http.unwrap_or_default() };
    GlobalSection { global, scrape, notify, shown, shown_notify }
}

/// A duration that is more than nothing; 0 means the default.
fn positive(fields: &Fields<'_>, key: &'static str, default: Duration) -> Duration {
    let given = fields.get(key).and_then(|at| at.duration()).filter(|d| !d.is_zero());
    let duration = given.unwrap_or(default);
    fields.show(key, Shown::text(model::format_duration(duration)));
    duration
}

fn read_timeout(fields: &Fields<'_>, interval: Duration) -> Duration {
    let given = fields.get("scrape_timeout").and_then(|at| Some((at.duration()?, at)));
    let timeout = match given.filter(|(duration, _)| !duration.is_zero()) {
        Some((timeout, at)) if timeout > interval => {
            let hint = Some(format!("`scrape_interval` is {}", model::format_duration(interval)));
            at.error("`scrape_timeout` is longer than `scrape_interval`", hint);
            interval
        }
        Some((timeout, _)) => timeout,
        None => SCRAPE_TIMEOUT.min(interval),
    };
    fields.show("scrape_timeout", Shown::text(model::format_duration(timeout)));
    timeout
}

/// Labels whose values may name variables of the environment.
fn read_external_labels(fields: &Fields<'_>, at: &At<'_>, names: NameScheme) -> Labels {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for (name, value) in at.entries().unwrap_or_default() {
        if !is_label_name(&name, names) {
            value.at_key().error(format!("`{name}` is not a label name"), None);
        }
        let Some(text) = value.text() else { continue };
        let expanded = expand(&text, |variable| {
            let found = value.cx.files.env(variable);
            if found.as_deref().unwrap_or_default().is_empty() {
                let what = format!("the environment variable `{variable}` is empty or not set");
                value.warn(what, Some("set it; write `$$` for a dollar sign".to_owned()));
            }
            found.unwrap_or_default()
        });
        pairs.push((name, expanded));
    }
    fields.show("external_labels", Shown::pairs(pairs.iter().map(|(n, v)| (n.as_str(), v.as_str()))));
    Labels::from_pairs(pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())))
}

/// `$NAME` and `${NAME}` replaced; `$$` is a dollar sign; a dollar sign before anything else stays.
fn expand(text: &str, mut variable: impl FnMut(&str) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(inner) = rest.strip_prefix('{') {
            let Some(close) = inner.find('}') else {
                out.push_str("${");
                rest = inner;
                continue;
            };
            match &inner[..close] {
                "$" => out.push('$'),
                "" => {}
                name => out.push_str(&variable(name)),
            }
            rest = &inner[close + 1..];
        } else {
            let length = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
            // A digit is a name of its own, as in a shell.
            let length = if rest.starts_with(|c: char| c.is_ascii_digit()) { 1 } else { length };
            if length == 0 {
                out.push('$');
            } else {
                out.push_str(&variable(&rest[..length]));
            }
            rest = &rest[length..];
        }
    }
    out.push_str(rest);
    out
}

/// Where a bot posts, with a token.
pub(crate) const SLACK_APP_URL: &str = "https://slack.com/api/chat.postMessage";

/// A token and a webhook exclude each other; but the address of the bots' interface beside a token says nothing new.
fn check_slack(fields: &Fields<'_>) {
    let text = |key| fields.get(key).and_then(|at| at.scalar().map(|s| s.text.clone()));
    let app_url = text("slack_app_url").unwrap_or_else(|| SLACK_APP_URL.to_owned());
    let token = ["slack_app_token", "slack_app_token_file"].into_iter().find(|key| fields.has(key));
    let url = ["slack_api_url", "slack_api_url_file"].into_iter().find(|key| fields.has(key));
    if let (Some(token), Some(url)) = (token, url)
        && text("slack_api_url").is_none_or(|text| text != app_url && text != MASK)
    {
        fields.at_most_one(&[token, url]);
    }
}

/// What integrations take from `global`.
const NOTIFY: Table = Table {
    keys: &[
        key("smtp_from", Kind::Text),
        key("smtp_hello", Kind::Text),
        key("smtp_smarthost", Kind::HostPort),
        key("smtp_auth_username", Kind::Text),
        key("smtp_auth_password", Kind::Secret),
        key("smtp_auth_password_file", Kind::SecretPath),
        key("smtp_auth_secret", Kind::Secret),
        key("smtp_auth_secret_file", Kind::SecretPath),
        key("smtp_auth_identity", Kind::Text),
        key("smtp_require_tls", Kind::Bool),
        key("smtp_force_implicit_tls", Kind::Bool),
        key("smtp_tls_config", Kind::Tls),
        key("slack_api_url", Kind::SecretUrl),
        key("slack_api_url_file", Kind::SecretPath),
        key("slack_app_token", Kind::Secret),
        key("slack_app_token_file", Kind::SecretPath),
        key("slack_app_url", Kind::Url),
        key("pagerduty_url", Kind::Url),
        key("opsgenie_api_key", Kind::SecretTemplate),
        key("opsgenie_api_key_file", Kind::SecretPath),
        key("opsgenie_api_url", Kind::Url),
        key("wechat_api_url", Kind::Url),
        key("wechat_api_secret", Kind::SecretTemplate),
        key("wechat_api_secret_file", Kind::SecretPath),
        key("wechat_api_corp_id", Kind::Text),
        key("victorops_api_url", Kind::Url),
        key("victorops_api_key", Kind::Secret),
        key("victorops_api_key_file", Kind::SecretPath),
        key("telegram_api_url", Kind::Url),
        key("telegram_bot_token", Kind::Secret),
        key("telegram_bot_token_file", Kind::SecretPath),
        key("webex_api_url", Kind::Url),
        key("rocketchat_api_url", Kind::Url),
        key("rocketchat_token", Kind::Secret),
        key("rocketchat_token_file", Kind::SecretPath),
        key("rocketchat_token_id", Kind::Secret),
        key("rocketchat_token_id_file", Kind::SecretPath),
        key("mattermost_webhook_url", Kind::SecretUrl),
        key("mattermost_webhook_url_file", Kind::SecretPath),
        key("jira_api_url", Kind::Url),
    ],
    demands: &[
        AtMostOne(&["smtp_auth_password", "smtp_auth_password_file"]),
        AtMostOne(&["smtp_auth_secret", "smtp_auth_secret_file"]),
        AtMostOne(&["slack_api_url", "slack_api_url_file"]),
        AtMostOne(&["slack_app_token", "slack_app_token_file"]),
        AtMostOne(&["opsgenie_api_key", "opsgenie_api_key_file"]),
        AtMostOne(&["wechat_api_secret", "wechat_api_secret_file"]),
        AtMostOne(&["victorops_api_key", "victorops_api_key_file"]),
        AtMostOne(&["telegram_bot_token", "telegram_bot_token_file"]),
        AtMostOne(&["rocketchat_token", "rocketchat_token_file"]),
        AtMostOne(&["rocketchat_token_id", "rocketchat_token_id_file"]),
        AtMostOne(&["mattermost_webhook_url", "mattermost_webhook_url_file"]),
    ],
};

#[cfg(test)]
mod tests {
    use super::expand;

    #[test]
    fn variables() {
        let value = |name: &str| if name == "A" { "1".to_owned() } else { format!("<{name}>") };
        for (text, expanded) in [
            ("x", "x"),
            ("$A", "1"),
            ("${A}b", "1b"),
            ("$Ab", "<Ab>"),
            ("$$A", "$A"),
            ("a$", "a$"),
            ("$ a", "$ a"),
            ("${", "${"),
            ("${}x", "x"),
            ("$1a", "<1>a"),
        ] {
            assert_eq!(expand(text, value), expanded, "{text}");
        }
    }
}
