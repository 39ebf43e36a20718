//! `remote_write` and `remote_read`: other stores.

use std::time::Duration;

use model::{RelabelRule, Secret};
use ports::HttpOptions;

use crate::reader::{At, Fields};
use crate::shown::Shown;
use crate::source::looks_secret;
use crate::{NameScheme, Place, http, relabel, schema, url};

/// A store that gets a copy of every sample.
#[derive(Clone, Debug, PartialEq)]
pub struct RemoteWriteConfig {
    /// Where to.
    pub url: Secret<String>,
    /// Its name in metrics; unique if not empty.
    pub name: String,
    /// For one request.
    pub remote_timeout: Duration,
    /// Added to each request.
    pub headers: Vec<(String, Secret<String>)>,
    /// Rules for series.
    pub write_relabel_configs: Vec<RelabelRule>,
    /// Credentials, TLS, proxy.
    pub http: HttpOptions,
    /// `prometheus.WriteRequest` or `io.prometheus.write.v2.Request`.
    pub protobuf_message: String,
    /// Whether exemplars are sent.
    pub send_exemplars: bool,
    /// Whether native histograms are sent.
    pub send_native_histograms: bool,
    /// Whether the addresses of the host take turns.
    pub round_robin_dns: bool,
    /// Whether refused requests are logged with their content.
    pub failed_request_logging: bool,
    /// The queue.
    pub queue: RemoteQueueConfig,
    /// Whether metadata are sent, how often, and how many in one request.
    pub metadata: RemoteMetadataConfig,
    /// Where it stands.
    pub place: Place,
}

/// `queue_config`.
#[derive(Clone, Debug, PartialEq)]
pub struct RemoteQueueConfig {
    /// Samples that a shard holds.
    pub capacity: u64,
    /// Requests at the same time, at most.
    pub max_shards: u64,
    /// Requests at the same time, at least.
    pub min_shards: u64,
    /// Samples in one request.
    pub max_samples_per_send: u64,
    /// How long samples wait for a full request.
    pub batch_send_deadline: Duration,
    /// The first wait after a failure.
    pub min_backoff: Duration,
    /// The longest wait after failures.
    pub max_backoff: Duration,
    /// Whether HTTP 429 is tried again.
    pub retry_on_http_429: bool,
    /// Older samples are not sent; 0 is any age.
    pub sample_age_limit: Duration,
}

/// `metadata_config`.
#[derive(Clone, Debug, PartialEq)]
pub struct RemoteMetadataConfig {
    /// Whether they are sent.
    pub send: bool,
    /// How often.
    pub send_interval: Duration,
    /// How many in one request.
    pub max_samples_per_send: u64,
}

/// A store that is asked as well.
#[derive(Clone, Debug, PartialEq)]
pub struct RemoteReadConfig {
    /// Where.
    pub url: Secret<String>,
    /// Its name in metrics; unique if not empty.
    pub name: String,
    /// For one request.
    pub remote_timeout: Duration,
    /// Added to each request.
    pub headers: Vec<(String, Secret<String>)>,
    /// Only queries with these equal matchers go there.
    pub required_matchers: Vec<(String, String)>,
    /// Whether it is asked for times that the local store has too.
    pub read_recent: bool,
    /// Whether external labels are added to the query.
    pub filter_external_labels: bool,
    /// Credentials, TLS, proxy.
    pub http: HttpOptions,
    /// Where it stands.
    pub place: Place,
}

/// Messages of the protocol; the first is the default.
const MESSAGES: [&str; 2] = ["prometheus.WriteRequest", "io.prometheus.write.v2.Request"];

/// All of `remote_write`.
pub(crate) fn read_writes(fields: &Fields<'_>, names: NameScheme) -> Vec<RemoteWriteConfig> {
    let mut seen = Vec::new();
    fields.each("remote_write", |at| {
        let (config, shown) = read_write(&at, names)?;
        check_unique(&at, &config.name, &mut seen);
        Some((config, shown))
    })
}

/// All of `remote_read`.
pub(crate) fn read_reads(fields: &Fields<'_>) -> Vec<RemoteReadConfig> {
    let mut seen = Vec::new();
    fields.each("remote_read", |at| {
        let (config, shown) = read_read(&at)?;
        check_unique(&at, &config.name, &mut seen);
        Some((config, shown))
    })
}

fn check_unique(at: &At<'_>, name: &str, seen: &mut Vec<String>) {
    if !name.is_empty() && seen.iter().any(|n| n == name) {
        let place = at.fields().and_then(|fields| fields.get("name")).unwrap_or_else(|| at.clone());
        place.error(
            format!("there are two called `{name}`"),
            Some("names are optional, and unique".to_owned()),
        );
    }
    seen.push(name.to_owned());
}

fn read_write(at: &At<'_>, names: NameScheme) -> Option<(RemoteWriteConfig, Shown)> {
    let fields = not_empty(at)?;
    let url = read_url(&fields);
    let http = http::read_inline(&fields, &HttpOptions { enable_http2: false, ..HttpOptions::default() });
    let signed = ["basic_auth", "authorization", "oauth2", "sigv4", "azuread", "google_iam"];
    fields.at_most_one(&signed);
    read_cloud_auth(&fields);
    let config = RemoteWriteConfig {
        url,
        name: fields.text("name").unwrap_or_default(),
        remote_timeout: fields.duration_or("remote_timeout", Duration::from_secs(30)),
        headers: read_headers(&fields, "headers"),
        write_relabel_configs: relabel::read_list(&fields, "write_relabel_configs", names),
        http,
        protobuf_message: fields.choice("protobuf_message", &MESSAGES),
        send_exemplars: fields.boolean("send_exemplars").unwrap_or(false),
        send_native_histograms: fields.boolean("send_native_histograms").unwrap_or(false),
        round_robin_dns: fields.boolean("round_robin_dns").unwrap_or(false),
        failed_request_logging: fields.boolean("failed_request_logging").unwrap_or(false),
        queue: read_queue(&fields),
        metadata: read_metadata(&fields),
        place: at.place(),
    };
    Some((config, fields.finish()))
}

fn not_empty<'a>(at: &At<'a>) -> Option<Fields<'a>> {
    if at.is_null() {
        at.error("this item is empty", Some("take it out, or write its keys".to_owned()));
        return None;
    }
    at.fields()
}

fn read_url(fields: &Fields<'_>) -> Secret<String> {
    let url = fields.get("url").and_then(|at| url::shown(fields, "url", &at)).unwrap_or_default();
    if url.is_empty() {
        fields.missing("url", None);
    } else if let Some(at) =
        fields.get("url").filter(|_| !url.starts_with("http://") && !url.starts_with("https://"))
    {
        let hint = Some("begin it with `http://` or `https://`".to_owned());
        at.warn("nothing can be sent to an address without a scheme", hint);
    }
    Secret::new(url)
}

/// Signatures of clouds: read and shown, for a plugin that makes them.
fn read_cloud_auth(fields: &Fields<'_>) {
    for key in ["sigv4", "azuread", "google_iam"] {
        if let Some(at) = fields.get(key) {
            at.entries();
            fields.show(key, schema::plain_shown(at.node));
            if !at.cx.catalog.everything {
                let hint = "use `basic_auth`, `authorization` or `oauth2`, or a proxy that signs";
                at.at_key().error(format!("`{key}` is not built in"), Some(hint.to_owned()));
            }
        }
    }
}

/// Headers of requests to others; those that the protocol sets are refused.
pub(crate) fn read_headers(fields: &Fields<'_>, key: &'static str) -> Vec<(String, Secret<String>)> {
    let Some(at) = fields.get(key) else { return Vec::new() };
    let mut headers = Vec::new();
    let mut shown = Vec::new();
    for (name, value) in at.entries().unwrap_or_default() {
        if name.eq_ignore_ascii_case("authorization") {
            let hint = "use `basic_auth`, `authorization` or `oauth2`";
            value.at_key().secret_error("credentials do not belong here", Some(hint.to_owned()));
        } else if http::is_reserved_header(&name) {
            value
                .at_key()
                .error(format!("header `{name}` is set by the protocol"), Some("take it out".to_owned()));
        }
        let Some(text) = value.text() else { continue };
        let hidden = looks_secret(&name);
        shown.push((name.clone(), if hidden { Shown::masked() } else { Shown::text(&text) }));
        headers.push((name, Secret::new(text)));
    }
    fields.show(key, Shown::Map(shown));
    headers
}

fn read_queue(parent: &Fields<'_>) -> RemoteQueueConfig {
    let default = RemoteQueueConfig {
        capacity: 10_000,
        max_shards: 50,
        min_shards: 1,
        max_samples_per_send: 2_000,
        batch_send_deadline: Duration::from_secs(5),
        min_backoff: Duration::from_millis(30),
        max_backoff: Duration::from_secs(5),
        retry_on_http_429: false,
        sample_age_limit: Duration::ZERO,
    };
    let Some(fields) = parent.get("queue_config").and_then(|at| at.fields()) else { return default };
    let positive = |key: &'static str, default: u64| {
        let value = fields.get(key).and_then(|at| Some((at.unsigned()?, at)));
        match value {
            Some((0, at)) => {
                at.error(format!("`{key}` is 0"), Some("it is at least 1".to_owned()));
                default
            }
            Some((value, _)) => {
                fields.show(key, Shown::number(value));
                value
            }
            None => default,
        }
    };
    let queue = RemoteQueueConfig {
        capacity: positive("capacity", default.capacity),
        max_shards: positive("max_shards", default.max_shards),
        min_shards: positive("min_shards", default.min_shards),
        max_samples_per_send: positive("max_samples_per_send", default.max_samples_per_send),
        batch_send_deadline: fields.duration("batch_send_deadline").unwrap_or(default.batch_send_deadline),
        min_backoff: fields.duration("min_backoff").unwrap_or(default.min_backoff),
        max_backoff: fields.duration("max_backoff").unwrap_or(default.max_backoff),
        retry_on_http_429: fields.boolean("retry_on_http_429").unwrap_or(false),
        sample_age_limit: fields.duration("sample_age_limit").unwrap_or_default(),
    };
    if let Some(at) = fields.get("min_shards").filter(|_| queue.min_shards > queue.max_shards) {
        let hint = Some(format!("`max_shards` is {}", queue.max_shards));
        at.error("`min_shards` is more than `max_shards`", hint);
    }
    parent.show("queue_config", fields.finish());
    queue
}

fn read_metadata(parent: &Fields<'_>) -> RemoteMetadataConfig {
    let default = RemoteMetadataConfig {
        send: true,
        send_interval: Duration::from_secs(60),
        max_samples_per_send: 2_000,
    };
    let Some(fields) = parent.get("metadata_config").and_then(|at| at.fields()) else { return default };
    let metadata = RemoteMetadataConfig {
        send: fields.boolean_or("send", true),
        send_interval: fields.duration_or("send_interval", default.send_interval),
        max_samples_per_send: fields.unsigned_or("max_samples_per_send", default.max_samples_per_send),
    };
    parent.show("metadata_config", fields.finish());
    metadata
}

fn read_read(at: &At<'_>) -> Option<(RemoteReadConfig, Shown)> {
    let fields = not_empty(at)?;
    let config = RemoteReadConfig {
        url: read_url(&fields),
        name: fields.text("name").unwrap_or_default(),
        remote_timeout: fields.duration_or("remote_timeout", Duration::from_secs(60)),
        headers: read_headers(&fields, "headers"),
        required_matchers: fields.text_map("required_matchers"),
        read_recent: fields.boolean("read_recent").unwrap_or(false),
        filter_external_labels: fields.boolean_or("filter_external_labels", true),
        http: http::read_inline(&fields, &HttpOptions::default()),
        place: at.place(),
    };
    Some((config, fields.finish()))
}
