//! Users' YAML in, checked values and a list of problems out.
//!
//! In: the paths of `prometheus.yml`, `alertmanager.yml`, `foghorn.yml` or any mixture, a way to read files ([`Files`]),
//! and what this server has ([`Catalog`]). Out: one [`Config`] with every default filled in and every text parsed, and
//! warnings; or all [`Problems`] at once, each with its place. Not here: reading the disk, running what is configured.
//! Invariant: no secret is in any text that this room makes. Start at [`load`]; the file of `--web.config.file` is read by
//! [`load_web`].

mod alertmanagers;
mod catalog;
mod config;
mod context;
mod discovery;
mod fields;
mod files;
mod global;
mod http;
mod inhibit;
mod integrations;
mod load;
mod matchers;
mod optional;
mod plugins;
mod problem;
mod rate_limit;
mod reader;
mod receiver;
mod relabel;
mod remote;
mod route;
mod rule_tests;
mod rules;
mod schema;
mod scrape;
mod setting;
mod shown;
mod size;
mod source;
mod storage;
mod syntax;
mod text_place;
mod time_interval;
mod tree;
mod typed;
mod url;
mod web;

// In [`LoadOptions`].
pub use alerting::{MatcherMode, Zone};
pub use promql::ParseOptions;

#[cfg(test)]
mod becomes;
#[cfg(test)]
mod canaries;
#[cfg(test)]
mod wrong;

pub use crate::alertmanagers::AlertmanagerConfig;
pub use crate::catalog::Catalog;
pub use crate::config::{Config, Global, Sources, TemplateFile};
pub use crate::discovery::{Discovery, DiscoveryKind};
pub use crate::files::{Files, MemoryFiles, path_matches};
pub use crate::load::{LoadOptions, Loaded, LoadedRules, check_rules, load, load_with, read_rule_tests};
pub use crate::optional::OtlpConfig;
pub use crate::plugins::{Grants, PluginConfig, PluginFile, PluginLimits, SecretSource};
pub use crate::problem::{Place, Problem, Problems, Severity, Snippet};
pub use crate::rate_limit::RateLimit;
pub use crate::receiver::{Integration, Receiver};
pub use crate::remote::{RemoteMetadataConfig, RemoteQueueConfig, RemoteReadConfig, RemoteWriteConfig};
pub use crate::rule_tests::{ExpectedAlerts, ExpectedSamples, RuleTest, RuleTestFile};
pub use crate::rules::{RuleAction, RuleConfig, RuleGroupConfig, ScriptRule};
pub use crate::scrape::{
    EscapingScheme, NameScheme, PluginName, ScrapeConfig, ScrapeLimits, ScrapeProtocol, StaticConfig,
};
pub use crate::setting::Setting;
pub use crate::storage::StorageConfig;
pub use crate::web::{ClientAuth, Pem, RequestLimit, ServerTls, TlsVersion, WebConfig, load_web};
