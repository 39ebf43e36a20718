//! From checked configuration to what the rooms want.

use std::collections::BTreeMap;
use std::time::Duration;

use alerting::{AlertingConfig, AlertingLimits, Receiver, RouteSpec, RouteTree};
use config::{Config, PluginConfig, PluginFile, RuleAction, RuleGroupConfig, ScriptRule};
use exposition::{Family, group_families};
use model::{Labels, Metadata};
use plugin::{PluginSpec, Source};
use ports::Point;
use rules::{Action, Condition, Place, Rule, RuleGroup};
use template::RuleTemplate;

/// The collector that reads ourselves, by the name under which a scrape configuration asks for it.
pub(crate) const SELF_COLLECTOR: &str = "foghorn";

/// A group of a rule file as the rules room wants it. Its texts were checked when they were read.
pub(crate) fn rule_group(config: &RuleGroupConfig, interval: Duration, offset: Duration) -> RuleGroup {
    let rules = config.rules.iter().map(|rule| {
        let (name, action) = match &rule.action {
            RuleAction::Record { name } => (name, Action::Record),
            RuleAction::Alert { name, hold, keep_firing } => {
                (name, Action::Alert { hold: *hold, keep_firing: *keep_firing })
            }
        };
        let templates = |pairs: &mut dyn Iterator<Item = (&String, &String)>| {
            pairs
                .filter_map(|(name, text)| Some((name.clone(), RuleTemplate::parse(name, text).ok()?)))
                .collect::<Vec<_>>()
        };
        Rule {
            name: name.clone(),
            labels: templates(&mut rule.labels.iter().map(|(n, t)| (n, t))),
            annotations: templates(&mut rule.annotations.iter()),
            action,
            condition: Condition::promql(&rule.expr),
            place: Place {
                file: rule.place.file.to_string_lossy().into_owned(),
                line: rule.place.line as usize,
            },
        }
    });
    RuleGroup {
        name: config.name.clone(),
        file: config.file.to_string_lossy().into_owned(),
        interval: config.interval.unwrap_or(interval),
        query_offset: config.query_offset.unwrap_or(offset),
        limit: usize::try_from(config.limit).unwrap_or(usize::MAX),
        labels: config.labels.clone(),
        rules: rules.collect(),
    }
}

/// A script or component among the rule files.
pub(crate) fn script_rule(rule: &ScriptRule) -> PluginSpec {
    let text = rule.file.to_string_lossy();
    PluginSpec::new(match text.strip_prefix("bundled:") {
        Some(name) => Source::Bundled(name.to_owned()),
        None => Source::File(rule.file.clone()),
    })
}

/// The name under which an entry of `plugins:` is used, where it is known without loading it.
pub(crate) fn granted_name(config: &PluginConfig) -> Option<String> {
    match (&config.name, &config.file) {
        (Some(name), _) => Some(name.clone()),
        (None, PluginFile::Bundled(name)) => {
            Some(name.rsplit_once('.').map_or(name.as_str(), |(n, _)| n).to_owned())
        }
        (None, _) => None,
    }
}

/// What the command line says of alerting; the files say the rest.
#[derive(Clone, Debug)]
pub struct AlertingOptions {
    /// How long ended silences and the notification log are kept.
    pub retention: Duration,
    /// After a start nobody is told anything for this long.
    pub start_delay: Duration,
    /// Bounds on what people and senders can put into memory.
    pub limits: AlertingLimits,
}

impl Default for AlertingOptions {
    fn default() -> Self {
        AlertingOptions {
            retention: Duration::from_secs(120 * 3_600),
            start_delay: Duration::ZERO,
            limits: AlertingLimits::default(),
        }
    }
}

/// Who is told, and how the server speaks about itself. Without a route nobody is told, and alerts are still shown.
pub(crate) fn alerting_config(
    config: &Config,
    external_url: &str,
    options: &AlertingOptions,
) -> AlertingConfig {
    let told = config.alerting.clone().unwrap_or_else(|| {
        let root = RouteSpec { receiver: Some(NOBODY.to_owned()), ..RouteSpec::default() };
        let nobody = Receiver { name: NOBODY.into(), labels: Labels::empty(), integrations: Vec::new() };
        AlertingConfig::new(RouteTree::build(&root), vec![nobody])
    });
    AlertingConfig {
        external_url: external_url.into(),
        retention: options.retention,
        start_delay: options.start_delay,
        limits: options.limits.clone(),
        ..told
    }
}

/// The receiver of a configuration that names none.
const NOBODY: &str = "nobody";

/// Points as families, described by name.
pub(crate) fn families(points: Vec<Point>, describe: &dyn Fn(&str) -> Metadata) -> Vec<Family> {
    let mut known: BTreeMap<String, Metadata> = BTreeMap::new();
    for point in &points {
        let name = point.labels.metric_name();
        if !known.contains_key(name) {
            known.insert(name.to_owned(), describe(name));
        }
        // The family of a histogram's parts is described under its own name.
        for suffix in ["_bucket", "_sum", "_count"] {
            if let Some(base) = name.strip_suffix(suffix) {
                let metadata = describe(base);
                if matches!(metadata.kind, model::MetricType::Histogram | model::MetricType::Summary) {
                    known.remove(name);
                    known.insert(base.to_owned(), metadata);
                }
            }
        }
    }
    let known: Vec<(String, Metadata)> = known.into_iter().collect();
    group_families(points.into_iter().map(|p| (p.labels, p.value, p.at)), &known)
}
