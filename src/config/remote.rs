//! `remote_write` and `remote_read`: other stores.

use std::time::Duration;

use model::{RelabelRule, Secret};
use ports::HttpOptions;

use crate::Place;

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
    pub headers: Vec<(String, String)>,
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
    pub headers: Vec<(String, String)>,
    /// Only queries with these equal matchers go there.
    pub required_matchers: Vec<(String, String)>,
    /// Whether it is asked for times that the local store has too.
    pub read_recent: bool,
    /// Whether external labels are added to the query.
    pub filter_external_labels: bool,
    /// Whether answers may come in chunks.
    pub chunked: bool,
    /// Credentials, TLS, proxy.
    pub http: HttpOptions,
    /// Where it stands.
    pub place: Place,
}
