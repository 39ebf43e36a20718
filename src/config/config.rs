//! The checked configuration.

use std::path::PathBuf;
use std::time::Duration;

use alerting::AlertingConfig;
use model::{Labels, RelabelRule};

use crate::{
    AlertmanagerConfig, OtlpConfig, PluginConfig, Receiver, RemoteReadConfig, RemoteWriteConfig,
    RuleGroupConfig, ScrapeConfig, ScriptRule, StorageConfig,
};

/// Everything that the files say, checked, with defaults filled in.
#[derive(Clone, Debug)]
pub struct Config {
    /// What holds for all.
    pub global: Global,
    /// Jobs, those of `scrape_config_files` last. Names are unique.
    pub scrape_configs: Vec<ScrapeConfig>,
    /// Groups of all rule files, in the order of files.
    pub rule_groups: Vec<RuleGroupConfig>,
    /// Rule files that are scripts or components.
    pub script_rules: Vec<ScriptRule>,
    /// Who is told: routes, receivers, inhibition, time intervals. `None` without a `route`. What flags decide (links,
    /// retention, limits) has its default.
    pub alerting: Option<AlertingConfig>,
    /// Receivers with the settings of their integrations, in the order of `alerting`'s.
    pub receivers: Vec<Receiver>,
    /// Notification templates, in the order of files.
    pub templates: Vec<TemplateFile>,
    /// Other Alertmanagers.
    pub alertmanagers: Vec<AlertmanagerConfig>,
    /// Rules for alerts on their way to any Alertmanager, ours included.
    pub alert_relabel_configs: Vec<RelabelRule>,
    /// Plugins and their grants.
    pub plugins: Vec<PluginConfig>,
    /// Stores that get a copy.
    pub remote_write: Vec<RemoteWriteConfig>,
    /// Stores that are asked as well.
    pub remote_read: Vec<RemoteReadConfig>,
    /// How long samples are kept.
    pub storage: StorageConfig,
    /// How pushed metrics get their names.
    pub otlp: OtlpConfig,
    /// Every file that was read, and every pattern that was looked up: what to watch for changes.
    pub sources: Sources,
    pub(crate) shown: String,
    pub(crate) shown_alerting: String,
}

impl Config {
    /// The configuration in effect as YAML, with every secret masked. It can be read again; masks stay masks.
    pub fn redacted_yaml(&self) -> &str {
        &self.shown
    }

    /// Alertmanager's part of it: what its API shows, and its tools read.
    pub fn redacted_alertmanager_yaml(&self) -> &str {
        &self.shown_alerting
    }
}

/// Values that hold for all. What scrape configurations inherit is in them already.
#[derive(Clone, Debug, PartialEq)]
pub struct Global {
    /// From one evaluation of a rule group to the next.
    pub evaluation_interval: Duration,
    /// How far behind the time of evaluation rules look.
    pub rule_query_offset: Duration,
    /// Added to samples and alerts that leave us.
    pub external_labels: Labels,
    /// Where queries are written down.
    pub query_log_file: Option<PathBuf>,
    /// How long an alert holds whose sender does not say.
    pub resolve_timeout: Duration,
}

/// A file of notification templates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateFile {
    /// Its path.
    pub file: PathBuf,
    /// Its text; parses.
    pub text: String,
}

/// What a configuration was made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// Files, in the order of reading.
    pub files: Vec<PathBuf>,
    /// Patterns that were looked up.
    pub patterns: Vec<PathBuf>,
}
