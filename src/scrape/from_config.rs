//! The job of the configuration as this room wants it: without places, so that moving a job in its file restarts nothing.

use std::sync::Arc;

use config::{DiscoveryKind, NameScheme, ScrapeConfig, ScrapeLimits, ScrapeProtocol};
use exposition::Protocol;

use crate::{CollectorKind, DiscoveryConfig, Limits, PoolConfig, TargetGroup};

impl From<&ScrapeConfig> for PoolConfig {
    fn from(job: &ScrapeConfig) -> Self {
        PoolConfig {
            job_name: job.job_name.clone(),
            collector: match &job.plugin {
                Some(plugin) => CollectorKind::Plugin(plugin.name.clone()),
                None => CollectorKind::Http,
            },
            interval: job.scrape_interval,
            timeout: job.scrape_timeout,
            scheme: job.scheme.clone(),
            metrics_path: job.metrics_path.clone(),
            params: job.params.clone(),
            honor_labels: job.honor_labels,
            honor_timestamps: job.honor_timestamps,
            track_timestamps_staleness: job.track_timestamps_staleness,
            enable_compression: job.enable_compression,
            protocols: job.scrape_protocols.iter().copied().map(protocol).collect(),
            fallback_protocol: job.fallback_scrape_protocol.map(protocol),
            name_escaping: job.metric_name_escaping_scheme.as_str(),
            legacy_names: job.metric_name_validation_scheme == NameScheme::Legacy,
            limits: limits(&job.limits),
            native_histogram_min_bucket_factor: job.native_histogram_min_bucket_factor,
            native_histograms: job.scrape_native_histograms,
            keep_classic_histograms: job.always_scrape_classic_histograms,
            convert_classic_histograms: job.convert_classic_histograms_to_nhcb,
            extra_metrics: job.extra_scrape_metrics,
            http: Arc::new(job.http.clone()),
            relabel: job.relabel_configs.clone(),
            metric_relabel: job.metric_relabel_configs.clone(),
            static_targets: job
                .static_configs
                .iter()
                .map(|group| TargetGroup::of(&group.targets, group.labels.clone()))
                .collect(),
            discoveries: job
                .discoveries
                .iter()
                .map(|discovery| DiscoveryConfig::from(&discovery.kind))
                .collect(),
        }
    }
}

fn protocol(protocol: ScrapeProtocol) -> Protocol {
    match protocol {
        ScrapeProtocol::PrometheusProto => Protocol::PrometheusProto,
        ScrapeProtocol::PrometheusText0_0_4 => Protocol::PrometheusText0_0_4,
        ScrapeProtocol::PrometheusText1_0_0 => Protocol::PrometheusText1_0_0,
        ScrapeProtocol::OpenMetricsText0_0_1 => Protocol::OpenMetricsText0_0_1,
        ScrapeProtocol::OpenMetricsText1_0_0 => Protocol::OpenMetricsText1_0_0,
    }
}

fn limits(limits: &ScrapeLimits) -> Limits {
    Limits {
        body_bytes: limits.body_bytes,
        samples: limits.samples,
        labels: limits.labels,
        label_name_bytes: limits.label_name_bytes,
        label_value_bytes: limits.label_value_bytes,
        native_histogram_buckets: limits.native_histogram_buckets,
        targets: limits.targets,
        keep_dropped_targets: limits.keep_dropped_targets,
    }
}

impl From<&DiscoveryKind> for DiscoveryConfig {
    fn from(kind: &DiscoveryKind) -> Self {
        match kind {
            DiscoveryKind::File { files, refresh_interval } => {
                DiscoveryConfig::File { patterns: files.clone(), refresh: *refresh_interval }
            }
            DiscoveryKind::Http { url, refresh_interval, http } => DiscoveryConfig::Http {
                url: url.clone(),
                refresh: *refresh_interval,
                http: Arc::new(http.as_ref().clone()),
            },
            DiscoveryKind::Dns { names, refresh_interval, record_type, port } => DiscoveryConfig::Dns {
                names: names.clone(),
                record_type: record_type.clone(),
                port: *port,
                refresh: *refresh_interval,
            },
            DiscoveryKind::Other { name, .. } => DiscoveryConfig::Unsupported { name: name.clone() },
        }
    }
}
