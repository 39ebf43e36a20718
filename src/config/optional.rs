//! Sections that a server may do without: checked, shown, and warned about where they do nothing.

use ports::HttpOptions;

use crate::catalog::OPTIONAL_SECTIONS;
use crate::reader::{At, Fields};
use crate::remote;
use crate::schema::Demand::Needs;
use crate::schema::{self, Kind, Table, key};
use crate::shown::Shown;
use crate::{NameScheme, http};

/// `otlp`: how metrics that are pushed in OTLP get their names and labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpConfig {
    /// Resource attributes that become labels.
    pub promote_resource_attributes: Vec<String>,
    /// Whether all of them do.
    pub promote_all_resource_attributes: bool,
    /// Which of all do not.
    pub ignore_resource_attributes: Vec<String>,
    /// How names are made.
    pub translation_strategy: String,
    /// Whether the attributes that make `job` and `instance` are kept.
    pub keep_identifying_resource_attributes: bool,
    /// Whether explicit histograms become native ones with custom buckets.
    pub convert_histograms_to_nhcb: bool,
    /// Whether name and version of the scope become labels.
    pub promote_scope_metadata: bool,
    /// Whether label names that begin with an underscore get `key` in front.
    pub label_name_underscore_sanitization: bool,
    /// Whether several underscores in a row stay.
    pub label_name_preserve_multiple_underscores: bool,
}

impl Default for OtlpConfig {
    fn default() -> Self {
        OtlpConfig {
            promote_resource_attributes: Vec::new(),
            promote_all_resource_attributes: false,
            ignore_resource_attributes: Vec::new(),
            translation_strategy: STRATEGIES[0].to_owned(),
            keep_identifying_resource_attributes: false,
            convert_histograms_to_nhcb: false,
            promote_scope_metadata: false,
            label_name_underscore_sanitization: true,
            label_name_preserve_multiple_underscores: true,
        }
    }
}

/// How names are made; the first is the default. The last two keep characters that classic names do not have.
const STRATEGIES: [&str; 4] = [
    "UnderscoreEscapingWithSuffixes",
    "UnderscoreEscapingWithoutSuffixes",
    "NoUTF8EscapingWithSuffixes",
    "NoTranslation",
];

/// The `otlp` section.
pub(crate) fn read_otlp(parent: &Fields<'_>, names: NameScheme) -> OtlpConfig {
    let Some(fields) = parent.get("otlp").and_then(|at| at.fields()) else { return OtlpConfig::default() };
    let promote_all = fields.boolean("promote_all_resource_attributes").unwrap_or(false);
    let promoted = read_attributes(&fields, "promote_resource_attributes");
    let ignored = read_attributes(&fields, "ignore_resource_attributes");
    if let Some(at) =
        fields.get("promote_resource_attributes").filter(|_| promote_all && !promoted.is_empty())
    {
        at.at_key().error("all attributes and a list of them are promoted", Some("keep one".to_owned()));
    }
    if let Some(at) = fields.get("ignore_resource_attributes").filter(|_| !promote_all && !ignored.is_empty())
    {
        let hint = "it takes back from `promote_all_resource_attributes: true`";
        at.at_key().error("there is nothing to ignore attributes of", Some(hint.to_owned()));
    }
    let strategy = fields.choice("translation_strategy", &STRATEGIES);
    let keeps_all = STRATEGIES[2..].contains(&strategy.as_str());
    if let Some(at) = fields.get("translation_strategy").filter(|_| keeps_all && names == NameScheme::Legacy)
    {
        let hint = "`metric_name_validation_scheme` is `legacy`; use an Underscore strategy";
        at.error(format!("`{strategy}` makes names that are refused"), Some(hint.to_owned()));
    }
    let config = OtlpConfig {
        promote_resource_attributes: promoted,
        promote_all_resource_attributes: promote_all,
        ignore_resource_attributes: ignored,
        translation_strategy: strategy,
        keep_identifying_resource_attributes: fields
            .boolean("keep_identifying_resource_attributes")
            .unwrap_or(false),
        convert_histograms_to_nhcb: fields.boolean("convert_histograms_to_nhcb").unwrap_or(false),
        promote_scope_metadata: fields.boolean("promote_scope_metadata").unwrap_or(false),
        label_name_underscore_sanitization: fields.boolean_or("label_name_underscore_sanitization", true),
        label_name_preserve_multiple_underscores: fields
            .boolean_or("label_name_preserve_multiple_underscores", true),
    };
    parent.show("otlp", fields.finish());
    config
}

/// Names of attributes without blanks around them; each once.
fn read_attributes(fields: &Fields<'_>, key: &'static str) -> Vec<String> {
    let items = fields.get(key).and_then(|at| at.list()).unwrap_or_default();
    let mut names: Vec<String> = Vec::new();
    for item in items {
        let Some(name) = item.text().map(|text| text.trim().to_owned()) else { continue };
        if name.is_empty() {
            item.error("an attribute needs a name", None);
        } else if names.contains(&name) {
            item.error(format!("`{name}` is there already"), None);
        } else {
            names.push(name);
        }
    }
    if !names.is_empty() {
        fields.show(key, Shown::texts(&names));
    }
    names
}

/// `tracing`, `runtime` and `event_recorder`: nothing is kept of them.
pub(crate) fn read_ignored(parent: &Fields<'_>) {
    if let Some(fields) = parent.get("tracing").and_then(|at| at.fields()) {
        schema::read_into(&fields, &TRACING);
        remote::read_headers(&fields, "headers");
        parent.show("tracing", fields.finish());
    }
    if let Some(fields) = parent.get("runtime").and_then(|at| at.fields()) {
        schema::read_into(&fields, &RUNTIME);
        parent.show("runtime", fields.finish());
    }
    if let Some(fields) = parent.get("event_recorder").and_then(|at| at.fields()) {
        read_event_recorder(&fields);
        parent.show("event_recorder", fields.finish());
    }
}

const TRACING: Table = Table {
    keys: &[
        key("client_type", Kind::Choice(&["grpc", "http"])).or("grpc"),
        key("endpoint", Kind::Text),
        key("sampling_fraction", Kind::Float),
        key("insecure", Kind::Bool),
        key("compression", Kind::Choice(&["gzip"])),
        key("timeout", Kind::Duration),
        key("tls_config", Kind::Tls),
    ],
    demands: &[Needs("endpoint")],
};

const RUNTIME: Table = Table { keys: &[key("gogc", Kind::Integer).or("75")], demands: &[] };

const FILE_OUTPUT: Table = Table { keys: &[key("path", Kind::Path)], demands: &[Needs("path")] };
const KAFKA_OUTPUT: Table = Table {
    keys: &[key("brokers", Kind::Texts), key("topic", Kind::Text), key("tls_config", Kind::Tls)],
    demands: &[Needs("brokers"), Needs("topic")],
};

/// Alertmanager's own record of events; ours is always on.
fn read_event_recorder(fields: &Fields<'_>) {
    fields.each("file_outputs", |at| schema::read(&at, &FILE_OUTPUT));
    fields.each("kafka_outputs", |at| schema::read(&at, &KAFKA_OUTPUT));
    fields.each("webhook_outputs", |at| read_webhook_output(&at));
    for key in ["stdout", "stdout_output", "stdout_outputs", "outputs", "include_events", "exclude_events"] {
        if let Some(at) = fields.get(key) {
            fields.show(key, schema::plain_shown(at.node));
        }
    }
}

fn read_webhook_output(at: &At<'_>) -> Option<((), Shown)> {
    let fields = at.fields()?;
    if fields.get("url").and_then(|at| crate::url::shown(&fields, "url", &at)).is_none() {
        fields.missing("url", None);
    }
    fields.boolean("batch");
    fields.duration("timeout");
    for key in ["workers", "max_retries", "retry_backoff", "batch_size", "batch_interval", "max_batch_size"] {
        if let Some(at) = fields.get(key) {
            fields.show(key, schema::plain_shown(at.node));
        }
    }
    if let Some(at) = fields.get("http_config")
        && let Some((_, shown)) = http::read(&at, &HttpOptions::default())
    {
        fields.show("http_config", shown);
    }
    Some(((), fields.finish()))
}

/// Warns of sections that do nothing here.
pub(crate) fn warn_unused(fields: &Fields<'_>) {
    for section in OPTIONAL_SECTIONS {
        let Some(at) = fields.get(section) else { continue };
        if !at.cx.catalog.has_section(section) {
            let what = format!("`{section}` is read and checked, and does nothing in this server");
            at.at_key().warn(what, None);
        }
    }
}
