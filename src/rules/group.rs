//! Rules and the groups they are evaluated in: data, as the configuration or a plugin's manifest wrote it.

use std::sync::Arc;
use std::time::Duration;

use model::{ALERT_NAME, Finding, Labels, SampleValue, Vector};
use ports::{BoxFuture, EvalError, Evaluate, Query};
use template::{RuleTemplate, TemplateError};

/// Rules that are evaluated together, in order, at one interval.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleGroup {
    /// Unique within its file.
    pub name: String,
    /// The file it stands in.
    pub file: String,
    /// From one evaluation to the next; more than zero.
    pub interval: Duration,
    /// How far before the time of evaluation the data is looked at, for data that arrives late.
    pub query_offset: Duration,
    /// A rule that gives more alerts or series than this fails; 0 is no limit.
    pub limit: usize,
    /// Labels that every rule of the group gets, as written. They are in [`Rule::labels`] already.
    pub labels: Vec<(String, String)>,
    /// In order of evaluation: later ones see what earlier ones recorded.
    pub rules: Vec<Rule>,
}

/// Something to record, or something to watch for.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// The recorded metric, or the alert's name.
    pub name: String,
    /// Labels that it adds, the group's included, sorted by name. Of a recording rule they are plain text.
    pub labels: Vec<(String, RuleTemplate)>,
    /// Texts that it adds to alerts, sorted by name.
    pub annotations: Vec<(String, RuleTemplate)>,
    /// What to do with what the condition finds.
    pub action: Action,
    /// What is asked at each evaluation.
    pub condition: Condition,
    /// Where it is written.
    pub place: Place,
}

/// Labels or annotations as they are written.
type Texts = Vec<(String, String)>;

impl Rule {
    /// A rule with a PromQL condition that raises alerts. The expression has been checked; the templates in labels and
    /// annotations are read here. `hold` and `keep_firing` as in [`Action::Alert`].
    pub fn alert(
        name: &str,
        expr: &str,
        (hold, keep_firing): (Duration, Duration),
        labels: Texts,
        annotations: Texts,
        place: Place,
    ) -> Result<Self, TemplateError> {
        let templates = |what: &str, texts: Texts| -> Result<Vec<(String, RuleTemplate)>, TemplateError> {
            let parse = |(key, text): (String, String)| {
                let source = format!("alert {name}, {what} {key}");
                Ok((key, RuleTemplate::parse(&source, &text)?))
            };
            texts.into_iter().map(parse).collect()
        };
        Ok(Rule {
            name: name.to_owned(),
            labels: templates("label", labels)?,
            annotations: templates("annotation", annotations)?,
            action: Action::Alert { hold, keep_firing },
            condition: Condition::promql(expr),
            place,
        })
    }

    /// A rule with a PromQL condition that records. Its labels are plain text.
    pub fn record(name: &str, expr: &str, labels: Texts, place: Place) -> Self {
        let plain = |(key, text): (String, String)| (key, RuleTemplate::plain(&text));
        Rule {
            name: name.to_owned(),
            labels: labels.into_iter().map(plain).collect(),
            annotations: Vec::new(),
            action: Action::Record,
            condition: Condition::promql(expr),
            place,
        }
    }

    /// What keeps a rule the same rule when its file is edited: kind, name and labels.
    pub fn identity(&self) -> String {
        let kind = if self.is_alert() { "alert" } else { "record" };
        let labels = self.labels.iter().map(|(name, value)| (name.as_str(), value.source()));
        format!("{kind} {} {}", self.name, Labels::from_pairs(labels))
    }

    /// Whether it watches for something, instead of recording.
    pub fn is_alert(&self) -> bool {
        matches!(self.action, Action::Alert { .. })
    }

    /// The labels as they are written, without those that the name stands for.
    pub fn plain_labels(&self) -> Labels {
        let labels = self.labels.iter().map(|(name, value)| (name.as_str(), value.source()));
        Labels::from_pairs(labels.filter(|(name, _)| *name != ALERT_NAME))
    }
}

/// What a rule does with what its condition finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Every value becomes a sample of the series named after the rule.
    Record,
    /// Every value becomes an alert.
    Alert {
        /// How long it must be found before it fires: `for`.
        hold: Duration,
        /// How long it goes on firing after it is no longer found: `keep_firing_for`.
        keep_firing: Duration,
    },
}

/// Where something is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: String,
    /// Line, from 1; 0 if the file has none.
    pub line: usize,
}

/// What a rule asks at each evaluation.
#[derive(Clone)]
pub enum Condition {
    /// A PromQL expression, checked.
    Promql(Arc<str>),
    /// A script or a component.
    Plugin(Arc<dyn Evaluate>),
}

/// What a condition found. Empty if nothing is wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// By PromQL.
    Vector(Vector),
    /// By a script or a component.
    Findings(Vec<Finding>),
}

impl Condition {
    /// A PromQL expression. The caller has checked that it is one.
    pub fn promql(expr: &str) -> Self {
        Condition::Promql(Arc::from(expr))
    }

    /// The condition as people should see it: the PromQL text, or the file of a script.
    pub fn describe(&self) -> String {
        match self {
            Condition::Promql(expr) => expr.to_string(),
            Condition::Plugin(plugin) => plugin.describe(),
        }
    }

    /// Everything that is wrong at `at`.
    pub fn evaluate<'a>(
        &'a self,
        at: model::Timestamp,
        query: &'a dyn Query,
    ) -> BoxFuture<'a, Result<Found, EvalError>> {
        Box::pin(async move {
            match self {
                Condition::Promql(expr) => match query.instant(expr, at).await {
                    Ok(vector) => Ok(Found::Vector(vector)),
                    Err(error) => Err(EvalError { message: error.message }),
                },
                Condition::Plugin(plugin) => plugin.evaluate(at, query).await.map(Found::Findings),
            }
        })
    }
}

impl PartialEq for Condition {
    /// Plugins are compared by what they show: a reloaded one with the same text is the same condition.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Condition::Promql(a), Condition::Promql(b)) => a == b,
            (Condition::Plugin(a), Condition::Plugin(b)) => a.describe() == b.describe(),
            _ => false,
        }
    }
}

impl std::fmt::Debug for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Condition({:?})", self.describe())
    }
}

impl Found {
    /// Labels, value and own annotations of everything that was found.
    pub(crate) fn into_elements(self) -> Vec<(Labels, SampleValue, model::Annotations)> {
        match self {
            Found::Vector(vector) => {
                vector.into_iter().map(|s| (s.labels, s.value, model::Annotations::new())).collect()
            }
            Found::Findings(findings) => {
                findings.into_iter().map(|f| (f.labels, SampleValue::Float(f.value), f.annotations)).collect()
            }
        }
    }
}

/// What templates and links know about the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct External {
    /// Labels that it adds to everything it sends.
    pub labels: Labels,
    /// Its address for links, without a slash at the end.
    pub url: String,
}
