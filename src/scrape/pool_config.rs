//! What a job is configured to do.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use exposition::Protocol;
use model::{Labels, RelabelRule, Secret};
use ports::HttpOptions;

/// One job. Two equal configurations run the same: a reload leaves such a pool alone.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolConfig {
    /// The job's name, and the `job` label of its targets unless relabelling says otherwise.
    pub job_name: String,
    /// What reads its targets.
    pub collector: CollectorKind,
    /// Time from one scrape to the next.
    pub interval: Duration,
    /// When a scrape is given up.
    pub timeout: Duration,
    /// `http` or `https`.
    pub scheme: String,
    /// The path that is fetched.
    pub metrics_path: String,
    /// Parameters of the address.
    pub params: Vec<(String, Vec<String>)>,
    /// Whether labels of the body win over those of the target.
    pub honor_labels: bool,
    /// Whether timestamps of the body count.
    pub honor_timestamps: bool,
    /// Whether series with timestamps of their own are marked stale when they are gone.
    pub track_timestamps_staleness: bool,
    /// Whether gzip is asked for.
    pub enable_compression: bool,
    /// What the target is asked to speak, best first.
    pub protocols: Vec<Protocol>,
    /// How to read a body whose `Content-Type` does not say.
    pub fallback_protocol: Option<Protocol>,
    /// The scheme for names outside the classic character set, as in `escaping=` of an `Accept` header.
    pub name_escaping: &'static str,
    /// Whether names outside the classic character set are errors.
    pub legacy_names: bool,
    /// Limits of one scrape.
    pub limits: Limits,
    /// Native histograms whose buckets grow by less than this factor are made coarser; 0 is off.
    pub native_histogram_min_bucket_factor: f64,
    /// Whether native histograms are taken.
    pub native_histograms: bool,
    /// Whether classic histograms are taken beside native ones.
    pub keep_classic_histograms: bool,
    /// Whether classic histograms become native ones with custom bounds.
    pub convert_classic_histograms: bool,
    /// Whether timeout, sample limit and body size are written as series.
    pub extra_metrics: bool,
    /// Credentials, TLS, proxy.
    pub http: Arc<HttpOptions>,
    /// Rules for targets.
    pub relabel: Vec<RelabelRule>,
    /// Rules for series.
    pub metric_relabel: Vec<RelabelRule>,
    /// Targets that are written down.
    pub static_targets: Vec<TargetGroup>,
    /// Where other targets come from.
    pub discoveries: Vec<DiscoveryConfig>,
}

/// What reads the targets of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CollectorKind {
    /// A metrics page over HTTP.
    Http,
    /// The exporter plugin of this name.
    Plugin(String),
}

/// Limits of one scrape and of one job; 0 is none. A scrape beyond one fails as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the unpacked body.
    pub body_bytes: u64,
    /// Samples after relabelling.
    pub samples: u64,
    /// Labels of a series.
    pub labels: u64,
    /// Bytes of a label's name.
    pub label_name_bytes: u64,
    /// Bytes of a label's value.
    pub label_value_bytes: u64,
    /// Buckets of a native histogram; coarser ones are tried first.
    pub native_histogram_buckets: u64,
    /// Targets of the job after relabelling; beyond it every target of the job fails.
    pub targets: u64,
    /// Dropped targets that are remembered to be looked at.
    pub keep_dropped_targets: u64,
}

/// Where targets come from.
#[derive(Clone, Debug, PartialEq)]
pub enum DiscoveryConfig {
    /// Files with lists of targets, read again when they change.
    File {
        /// Paths; the last part may be a pattern.
        patterns: Vec<PathBuf>,
        /// How often they are read at the latest.
        refresh: Duration,
    },
    /// A list of targets in JSON.
    Http {
        /// Where.
        url: Secret<String>,
        /// How often.
        refresh: Duration,
        /// Credentials, TLS, proxy.
        http: Arc<HttpOptions>,
    },
    /// Names that are looked up.
    Dns {
        /// Names.
        names: Vec<String>,
        /// `A` or `AAAA`; other records need a kind of lookup that the system's resolver does not offer.
        record_type: String,
        /// The port of the targets.
        port: u16,
        /// How often.
        refresh: Duration,
    },
    /// A kind that is not built in: shown as a problem of the pool.
    Unsupported {
        /// `kubernetes`, `consul`, …
        name: String,
    },
}

impl DiscoveryConfig {
    /// The kind's name: `file` for `file_sd_configs`.
    pub fn kind(&self) -> &str {
        match self {
            DiscoveryConfig::File { .. } => "file",
            DiscoveryConfig::Http { .. } => "http",
            DiscoveryConfig::Dns { .. } => "dns",
            DiscoveryConfig::Unsupported { name } => name,
        }
    }
}

/// Targets that have labels in common.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TargetGroup {
    /// Their own labels, `__address__` among them.
    pub targets: Vec<Labels>,
    /// Labels that a target has unless its own say otherwise.
    pub labels: Labels,
}

impl TargetGroup {
    /// From addresses.
    pub fn of<A: AsRef<str>>(addresses: impl IntoIterator<Item = A>, labels: Labels) -> Self {
        let targets =
            addresses.into_iter().map(|address| Labels::from([(ADDRESS, address.as_ref())])).collect();
        TargetGroup { targets, labels }
    }
}

/// The label that holds where a target is.
pub(crate) const ADDRESS: &str = "__address__";

impl PoolConfig {
    /// A job of this name with every setting at its default: HTTP, every minute.
    pub fn new(job_name: impl Into<String>) -> Self {
        PoolConfig {
            job_name: job_name.into(),
            collector: CollectorKind::Http,
            interval: Duration::from_secs(60),
            timeout: Duration::from_secs(10),
            scheme: "http".to_owned(),
            metrics_path: "/metrics".to_owned(),
            params: Vec::new(),
            honor_labels: false,
            honor_timestamps: true,
            track_timestamps_staleness: false,
            enable_compression: true,
            protocols: Protocol::DEFAULT.to_vec(),
            fallback_protocol: None,
            name_escaping: "allow-utf-8",
            legacy_names: false,
            limits: Limits::default(),
            native_histogram_min_bucket_factor: 0.0,
            native_histograms: false,
            keep_classic_histograms: false,
            convert_classic_histograms: false,
            extra_metrics: false,
            http: Arc::new(HttpOptions::default()),
            relabel: Vec::new(),
            metric_relabel: Vec::new(),
            static_targets: Vec::new(),
            discoveries: Vec::new(),
        }
    }

    /// Whether a target is scraped the same under both: they differ at most in where targets come from.
    pub(crate) fn scrapes_like(&self, other: &PoolConfig) -> bool {
        let scraping = |config: &PoolConfig| PoolConfig {
            relabel: Vec::new(),
            static_targets: Vec::new(),
            discoveries: Vec::new(),
            limits: Limits { targets: 0, keep_dropped_targets: 0, ..config.limits },
            ..config.clone()
        };
        scraping(self) == scraping(other)
    }

    /// How bodies are read.
    pub(crate) fn parse_options(&self) -> exposition::Options {
        exposition::Options {
            native_histograms: self.native_histograms,
            keep_classic: self.keep_classic_histograms,
            convert_classic: self.convert_classic_histograms,
            start_times: false,
        }
    }
}
