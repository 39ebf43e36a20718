//! `scrape_configs`: what is read, how often, and within which limits.

use std::path::PathBuf;
use std::time::Duration;

use model::{Labels, RelabelRule};
use ports::HttpOptions;

use crate::{Discovery, Place};

/// Which names metrics and labels may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NameScheme {
    /// Any text.
    #[default]
    Utf8,
    /// Letters, digits, underscores, and colons in metric names.
    Legacy,
}

/// How names outside the classic characters are asked of a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EscapingScheme {
    /// As they are.
    #[default]
    AllowUtf8,
    /// Each foreign character as an underscore.
    Underscores,
    /// Dots as `_dot_`, underscores doubled, others as underscores.
    Dots,
    /// `U__` and each foreign character by its number.
    Values,
}

impl EscapingScheme {
    /// As in the configuration and in `escaping=` of an `Accept` header.
    pub fn as_str(self) -> &'static str {
        match self {
            EscapingScheme::AllowUtf8 => "allow-utf-8",
            EscapingScheme::Underscores => "underscores",
            EscapingScheme::Dots => "dots",
            EscapingScheme::Values => "values",
        }
    }
}

/// A format that a target can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScrapeProtocol {
    /// `application/vnd.google.protobuf`.
    PrometheusProto,
    /// `text/plain; version=0.0.4`.
    PrometheusText0_0_4,
    /// `text/plain; version=1.0.0`.
    PrometheusText1_0_0,
    /// `application/openmetrics-text; version=0.0.1`.
    OpenMetricsText0_0_1,
    /// `application/openmetrics-text; version=1.0.0`.
    OpenMetricsText1_0_0,
}

impl ScrapeProtocol {
    /// All, by name.
    pub const ALL: [ScrapeProtocol; 5] = [
        ScrapeProtocol::OpenMetricsText0_0_1,
        ScrapeProtocol::OpenMetricsText1_0_0,
        ScrapeProtocol::PrometheusProto,
        ScrapeProtocol::PrometheusText0_0_4,
        ScrapeProtocol::PrometheusText1_0_0,
    ];
    /// What is asked for unless the configuration says otherwise, best first.
    pub const DEFAULT: [ScrapeProtocol; 4] = [
        ScrapeProtocol::OpenMetricsText1_0_0,
        ScrapeProtocol::OpenMetricsText0_0_1,
        ScrapeProtocol::PrometheusText1_0_0,
        ScrapeProtocol::PrometheusText0_0_4,
    ];
    /// The same where native histograms are wanted: only protobuf carries them.
    pub const DEFAULT_NATIVE: [ScrapeProtocol; 5] = [
        ScrapeProtocol::PrometheusProto,
        ScrapeProtocol::OpenMetricsText1_0_0,
        ScrapeProtocol::OpenMetricsText0_0_1,
        ScrapeProtocol::PrometheusText1_0_0,
        ScrapeProtocol::PrometheusText0_0_4,
    ];

    /// The name as in `scrape_protocols`.
    pub fn as_str(self) -> &'static str {
        match self {
            ScrapeProtocol::PrometheusProto => "PrometheusProto",
            ScrapeProtocol::PrometheusText0_0_4 => "PrometheusText0.0.4",
            ScrapeProtocol::PrometheusText1_0_0 => "PrometheusText1.0.0",
            ScrapeProtocol::OpenMetricsText0_0_1 => "OpenMetricsText0.0.1",
            ScrapeProtocol::OpenMetricsText1_0_0 => "OpenMetricsText1.0.0",
        }
    }
}

/// Limits of one scrape; 0 is none. A scrape beyond one fails as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScrapeLimits {
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
    /// Targets of the job after relabelling.
    pub targets: u64,
    /// Dropped targets that are remembered for people to look at.
    pub keep_dropped_targets: u64,
    /// Buckets of a native histogram; wider buckets are tried first.
    pub native_histogram_buckets: u64,
}

/// A plugin by name, where the configuration asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginName {
    /// The name.
    pub name: String,
    /// Where it stands.
    pub place: Place,
}

/// One job. Defaults of `global` are filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct ScrapeConfig {
    /// Its name, unique, and the `job` label of its targets.
    pub job_name: String,
    /// The exporter plugin that reads its targets; `None` is HTTP.
    pub plugin: Option<PluginName>,
    /// Time from one scrape to the next.
    pub scrape_interval: Duration,
    /// When a scrape is given up; not longer than the interval.
    pub scrape_timeout: Duration,
    /// The path that is fetched.
    pub metrics_path: String,
    /// `http` or `https`.
    pub scheme: String,
    /// Added to the URL, in the order of names.
    pub params: Vec<(String, Vec<String>)>,
    /// Whether labels of the target win over ours.
    pub honor_labels: bool,
    /// Whether timestamps of the target count.
    pub honor_timestamps: bool,
    /// Whether series with timestamps of their own end when they are no longer there.
    pub track_timestamps_staleness: bool,
    /// Whether gzip is asked for.
    pub enable_compression: bool,
    /// Formats that are asked for, best first.
    pub scrape_protocols: Vec<ScrapeProtocol>,
    /// How to read an answer that does not name its format; without it such an answer is an error.
    pub fallback_scrape_protocol: Option<ScrapeProtocol>,
    /// Its limits.
    pub limits: ScrapeLimits,
    /// Buckets of native histograms that grow by less than this factor are merged; 0 is off.
    pub native_histogram_min_bucket_factor: f64,
    /// Whether native histograms are taken.
    pub scrape_native_histograms: bool,
    /// Whether classic histograms are taken beside native ones.
    pub always_scrape_classic_histograms: bool,
    /// Whether classic histograms are stored as native ones with custom buckets.
    pub convert_classic_histograms_to_nhcb: bool,
    /// Whether the three further synthetic series are written.
    pub extra_scrape_metrics: bool,
    /// Which names are accepted.
    pub metric_name_validation_scheme: NameScheme,
    /// How other names are asked for.
    pub metric_name_escaping_scheme: EscapingScheme,
    /// Where failed scrapes are written down.
    pub scrape_failure_log_file: Option<PathBuf>,
    /// Credentials, TLS, proxy.
    pub http: HttpOptions,
    /// Targets that are written down.
    pub static_configs: Vec<StaticConfig>,
    /// Targets that are found.
    pub discoveries: Vec<Discovery>,
    /// Rules for targets.
    pub relabel_configs: Vec<RelabelRule>,
    /// Rules for series.
    pub metric_relabel_configs: Vec<RelabelRule>,
    /// Where it stands.
    pub place: Place,
}

/// Targets that are written down, with labels.
#[derive(Clone, Debug, PartialEq)]
pub struct StaticConfig {
    /// Addresses.
    pub targets: Vec<String>,
    /// Their labels.
    pub labels: Labels,
}
