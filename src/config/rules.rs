//! Rule files: groups of alerting and recording rules.

use std::path::PathBuf;
use std::time::Duration;

use model::Annotations;

use crate::Place;

/// One group of a rule file: evaluated together, in order, at one interval.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleGroupConfig {
    /// Unique within its file.
    pub name: String,
    /// The file.
    pub file: PathBuf,
    /// From one evaluation to the next; `None` is `global.evaluation_interval`.
    pub interval: Option<Duration>,
    /// How far behind the time of evaluation its queries look; `None` is `global.rule_query_offset`.
    pub query_offset: Option<Duration>,
    /// How many alerts or series a rule may produce; 0 is any number.
    pub limit: u64,
    /// Added to each of its rules, which may override them.
    pub labels: Vec<(String, String)>,
    /// In order.
    pub rules: Vec<RuleConfig>,
    /// Where it stands.
    pub place: Place,
}

/// One rule.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleConfig {
    /// What its result becomes.
    pub action: RuleAction,
    /// The expression as it was written.
    pub expr: String,
    /// Labels of the result, the group's included; values are templates for alerts.
    pub labels: Vec<(String, String)>,
    /// Annotations; values are templates. Empty for recording rules.
    pub annotations: Annotations,
    /// Where it stands.
    pub place: Place,
}

/// What the result of a rule becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleAction {
    /// Alerts.
    Alert {
        /// Their `alertname`.
        name: String,
        /// How long the expression must hold before they fire.
        hold: Duration,
        /// How long they fire on after it held last.
        keep_firing: Duration,
    },
    /// Series.
    Record {
        /// Their metric name.
        name: String,
    },
}

impl RuleAction {
    /// The name of the alert or of the series.
    pub fn name(&self) -> &str {
        match self {
            RuleAction::Alert { name, .. } | RuleAction::Record { name } => name,
        }
    }
}

/// A rule file that is a script or a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptRule {
    /// The `.rhai` or `.wasm` file.
    pub file: PathBuf,
    /// The entry of `rule_files` that named it.
    pub place: Place,
}
