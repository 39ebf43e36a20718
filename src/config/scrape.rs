//! `scrape_configs`: what is read, how often, and within which limits.

use std::path::PathBuf;
use std::time::Duration;

use model::{Labels, RelabelRule};
use ports::HttpOptions;

use crate::global::ScrapeDefaults;
use crate::reader::{At, Fields, suggestion};
use crate::shown::Shown;
use crate::size::{format_size, parse_size};
use crate::source::looks_secret;
use crate::{Discovery, Place, discovery, http, relabel};

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

/// One entry of `scrape_configs`.
pub(crate) fn read(at: &At<'_>, defaults: &ScrapeDefaults) -> Option<(ScrapeConfig, Shown)> {
    if at.is_null() {
        at.error("this job is empty", Some("take the item out, or write its keys".to_owned()));
        return None;
    }
    let fields = at.fields()?;
    fields.expect_misplaced(&[
        ("targets", "write `static_configs: [{targets: […]}]`"),
        ("labels", "write `static_configs: [{targets: […], labels: {…}}]`"),
        ("timeout", "write `scrape_timeout`"),
        ("interval", "write `scrape_interval`"),
    ]);
    let job_name = fields.text_or("job_name", "");
    if job_name.is_empty() {
        fields
            .missing("job_name", Some("it becomes the `job` label of everything that is scraped".to_owned()));
    }
    let plugin = read_plugin(&fields);
    let names = read_name_scheme(&fields);
    let escaping = read_escaping(&fields);
    // A scheme of its own comes without the global escaping, unless that is said as well.
    let global_escaping = defaults.escaping.filter(|_| names.is_none_or(|names| names == defaults.names));
    let metric_name_validation_scheme = names.unwrap_or(defaults.names);
    let escaping = escaping.or(global_escaping);
    check_escaping(&fields, metric_name_validation_scheme, escaping);
    let (scrape_interval, scrape_timeout) = read_times(&fields, defaults);
    let scrape_native_histograms = inherited(&fields, "scrape_native_histograms", defaults.native_histograms);
    let protocols = read_protocols(&fields).or_else(|| defaults.protocols.clone());
    let scrape_protocols = protocols.unwrap_or_else(|| match scrape_native_histograms {
        true => ScrapeProtocol::DEFAULT_NATIVE.to_vec(),
        false => ScrapeProtocol::DEFAULT.to_vec(),
    });
    let fallback_scrape_protocol = fields.get("fallback_scrape_protocol").and_then(|at| {
        let protocol = read_protocol(&at)?;
        fields.show("fallback_scrape_protocol", Shown::text(protocol.as_str()));
        Some(protocol)
    });
    let http = http::read_inline(&fields, &HttpOptions::default());
    let (static_configs, discoveries) = discovery::read_all(&fields);
    let config = ScrapeConfig {
        plugin,
        scrape_interval,
        scrape_timeout,
        metrics_path: fields.text_or("metrics_path", "/metrics"),
        scheme: fields.choice("scheme", &["http", "https"]),
        params: read_params(&fields),
        honor_labels: fields.boolean("honor_labels").unwrap_or(false),
        honor_timestamps: fields.boolean_or("honor_timestamps", true),
        track_timestamps_staleness: fields.boolean("track_timestamps_staleness").unwrap_or(false),
        enable_compression: fields.boolean_or("enable_compression", true),
        scrape_protocols,
        fallback_scrape_protocol,
        limits: ScrapeLimits {
            native_histogram_buckets: fields.unsigned_or("native_histogram_bucket_limit", 0),
            ..read_limits(&fields, &defaults.limits)
        },
        native_histogram_min_bucket_factor: fields.float_or("native_histogram_min_bucket_factor", 0.0),
        scrape_native_histograms,
        always_scrape_classic_histograms: read_classic(&fields, defaults),
        convert_classic_histograms_to_nhcb: inherited(
            &fields,
            "convert_classic_histograms_to_nhcb",
            defaults.convert_classic,
        ),
        extra_scrape_metrics: inherited(&fields, "extra_scrape_metrics", defaults.extra_metrics),
        metric_name_validation_scheme,
        metric_name_escaping_scheme: escaping.unwrap_or(default_escaping(metric_name_validation_scheme)),
        scrape_failure_log_file: fields
            .path("scrape_failure_log_file")
            .or_else(|| defaults.failure_log.clone()),
        http,
        static_configs,
        discoveries,
        relabel_configs: relabel::read_list(&fields, "relabel_configs", metric_name_validation_scheme),
        metric_relabel_configs: relabel::read_list(
            &fields,
            "metric_relabel_configs",
            metric_name_validation_scheme,
        ),
        place: fields.get("job_name").map_or_else(|| at.place(), |name| name.place()),
        job_name,
    };
    // A plugin may take anything for an address.
    if config.plugin.is_none() {
        discovery::native::check_addresses(&fields, &base_labels(&config), &config.relabel_configs);
    }
    Some((config, fields.finish()))
}

/// The labels that a job's targets have before relabelling.
fn base_labels(config: &ScrapeConfig) -> Labels {
    let mut labels = Labels::empty().edit();
    labels.set("job", &config.job_name);
    labels.set("__scheme__", &config.scheme);
    labels.set("__metrics_path__", &config.metrics_path);
    labels.set("__scrape_interval__", &model::format_duration(config.scrape_interval));
    labels.set("__scrape_timeout__", &model::format_duration(config.scrape_timeout));
    for (name, values) in &config.params {
        if let Some(first) = values.first() {
            labels.set(&format!("__param_{name}"), first);
        }
    }
    labels.build()
}

/// The exporter plugin that a job names instead of an HTTP path.
fn read_plugin(fields: &Fields<'_>) -> Option<PluginName> {
    let at = fields.get("plugin")?;
    let name = at.text()?;
    fields.show("plugin", Shown::text(&name));
    at.cx.check_exporter(&at, &name);
    Some(PluginName { name, place: at.place() })
}

fn inherited(fields: &Fields<'_>, key: &'static str, default: bool) -> bool {
    fields.boolean(key).unwrap_or(default)
}

/// The key that says so, or the one of 2.x.
fn read_classic(fields: &Fields<'_>, defaults: &ScrapeDefaults) -> bool {
    if let Some(at) = fields.get("scrape_classic_histograms") {
        let hint = "write `always_scrape_classic_histograms`".to_owned();
        at.at_key().warn("`scrape_classic_histograms` is the name of version 2", Some(hint));
        return at.boolean().unwrap_or(defaults.classic_histograms);
    }
    inherited(fields, "always_scrape_classic_histograms", defaults.classic_histograms)
}

fn read_times(fields: &Fields<'_>, defaults: &ScrapeDefaults) -> (Duration, Duration) {
    let given = |key| fields.get(key).and_then(|at| at.duration()).filter(|d| !d.is_zero());
    let interval = given("scrape_interval").unwrap_or(defaults.interval);
    let timeout = match given("scrape_timeout") {
        Some(timeout) if timeout > interval => {
            if let Some(at) = fields.get("scrape_timeout") {
                let hint = format!("`scrape_interval` is {}", model::format_duration(interval));
                at.error("`scrape_timeout` is longer than `scrape_interval`", Some(hint));
            }
            interval
        }
        Some(timeout) => timeout,
        None => defaults.timeout.min(interval),
    };
    fields.show("scrape_interval", Shown::text(model::format_duration(interval)));
    fields.show("scrape_timeout", Shown::text(model::format_duration(timeout)));
    (interval, timeout)
}

fn read_params(fields: &Fields<'_>) -> Vec<(String, Vec<String>)> {
    let Some(at) = fields.get("params") else { return Vec::new() };
    let mut params = Vec::new();
    let mut shown = Vec::new();
    for (name, value) in at.entries().unwrap_or_default() {
        let Some(texts) = value.texts() else { continue };
        let hidden = looks_secret(&name);
        let masks = || Shown::List(texts.iter().map(|_| Shown::masked()).collect());
        shown.push((name.clone(), if hidden { masks() } else { Shown::texts(&texts) }));
        params.push((name, texts));
    }
    fields.show("params", Shown::Map(shown));
    params.sort();
    params
}

/// Formats by preference; `None` if the key is absent.
pub(crate) fn read_protocols(fields: &Fields<'_>) -> Option<Vec<ScrapeProtocol>> {
    let at = fields.get("scrape_protocols")?;
    let mut protocols = Vec::new();
    let items = at.list()?;
    if items.is_empty() {
        at.error("`scrape_protocols` is empty", Some("take it out for the default".to_owned()));
        return None;
    }
    for item in items {
        let Some(protocol) = read_protocol(&item) else { continue };
        if protocols.contains(&protocol) {
            item.error(format!("`{}` is there already", protocol.as_str()), None);
        } else {
            protocols.push(protocol);
        }
    }
    fields.show("scrape_protocols", Shown::texts(protocols.iter().map(|p| p.as_str())));
    Some(protocols)
}

fn read_protocol(at: &At<'_>) -> Option<ScrapeProtocol> {
    let text = at.text()?;
    let found = ScrapeProtocol::ALL.into_iter().find(|protocol| protocol.as_str() == text);
    if found.is_none() {
        let hint = suggestion(&text, ScrapeProtocol::ALL.iter().map(|p| p.as_str()), "possible");
        at.error(format!("`{text}` is not a scrape protocol"), hint);
    }
    found
}

pub(crate) fn read_name_scheme(fields: &Fields<'_>) -> Option<NameScheme> {
    fields.get("metric_name_validation_scheme")?;
    let text = fields.choice_or("metric_name_validation_scheme", &["utf8", "legacy"], "");
    match text.as_str() {
        "utf8" => Some(NameScheme::Utf8),
        "legacy" => Some(NameScheme::Legacy),
        _ => None,
    }
}

pub(crate) fn read_escaping(fields: &Fields<'_>) -> Option<EscapingScheme> {
    fields.get("metric_name_escaping_scheme")?;
    const ALL: [EscapingScheme; 4] = [
        EscapingScheme::AllowUtf8,
        EscapingScheme::Underscores,
        EscapingScheme::Dots,
        EscapingScheme::Values,
    ];
    let choices: Vec<&str> = ALL.iter().map(|scheme| scheme.as_str()).collect();
    let text = fields.choice_or("metric_name_escaping_scheme", &choices, "");
    ALL.into_iter().find(|scheme| scheme.as_str() == text)
}

/// Names are asked for as they are, or, where only classic ones are accepted, with underscores.
fn default_escaping(names: NameScheme) -> EscapingScheme {
    match names {
        NameScheme::Utf8 => EscapingScheme::AllowUtf8,
        NameScheme::Legacy => EscapingScheme::Underscores,
    }
}

pub(crate) fn check_escaping(fields: &Fields<'_>, names: NameScheme, escaping: Option<EscapingScheme>) {
    if names == NameScheme::Legacy
        && escaping == Some(EscapingScheme::AllowUtf8)
        && let Some(at) = fields.get("metric_name_escaping_scheme")
    {
        let hint = "choose another one, or `metric_name_validation_scheme: utf8`";
        at.error("`allow-utf-8` asks for names that `legacy` refuses", Some(hint.to_owned()));
    }
}

/// The limits that `fields` sets; the others are `default`'s.
pub(crate) fn read_limits(fields: &Fields<'_>, default: &ScrapeLimits) -> ScrapeLimits {
    let number = |key: &'static str, default: u64| match fields.get(key).and_then(|at| at.unsigned()) {
        Some(value) => {
            fields.show(key, Shown::number(value));
            if value == 0 { default } else { value }
        }
        None => default,
    };
    ScrapeLimits {
        body_bytes: read_size(fields, "body_size_limit").filter(|n| *n > 0).unwrap_or(default.body_bytes),
        samples: number("sample_limit", default.samples),
        labels: number("label_limit", default.labels),
        label_name_bytes: number("label_name_length_limit", default.label_name_bytes),
        label_value_bytes: number("label_value_length_limit", default.label_value_bytes),
        targets: number("target_limit", default.targets),
        keep_dropped_targets: number("keep_dropped_targets", default.keep_dropped_targets),
        native_histogram_buckets: default.native_histogram_buckets,
    }
}

/// A size that is not negative.
pub(crate) fn read_size(fields: &Fields<'_>, key: &'static str) -> Option<u64> {
    let at = fields.get(key)?;
    let text = at.text()?;
    match parse_size(&text).map(u64::try_from) {
        Ok(Ok(bytes)) => {
            fields.show(key, Shown::text(format_size(bytes)));
            Some(bytes)
        }
        Ok(Err(_)) => {
            at.error(format!("`{text}` is less than 0"), None);
            None
        }
        Err(what) => {
            at.error(what, None);
            None
        }
    }
}
