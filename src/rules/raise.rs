//! From what a condition found to alerts: the rule's labels and annotations are filled in.

use model::{ALERT_NAME, Annotations, Labels, METRIC_NAME, SampleValue, Timestamp, Vector};
use template::{RuleData, RuleEnv, RuleTemplate, TemplateError};

use crate::{External, Found, Rule, RuleGroup};

/// Where and when a rule is evaluated.
#[derive(Clone, Copy, Debug)]
pub struct Evaluation<'a> {
    /// The time of the evaluation.
    pub at: Timestamp,
    /// How far before `at` the data was looked at; samples get that earlier time.
    pub query_offset: std::time::Duration,
    /// The group's limit; 0 is none.
    pub limit: usize,
    /// What templates know about the server.
    pub external: &'a External,
}

impl<'a> Evaluation<'a> {
    /// An evaluation of a rule of `group`.
    pub fn of(group: &RuleGroup, at: Timestamp, external: &'a External) -> Self {
        Evaluation { at, query_offset: group.query_offset, limit: group.limit, external }
    }

    /// The time for which the condition is asked, and that samples get.
    pub fn sample_time(&self) -> Timestamp {
        self.at - self.query_offset
    }
}

/// Answers the function `query` of templates.
pub type TemplateQuery<'a> = dyn FnMut(&str) -> Result<Vector, String> + 'a;

/// Something a condition found, as an alert.
#[derive(Clone, Debug, PartialEq)]
pub struct RaisedAlert {
    /// Labels of the alert.
    pub labels: Labels,
    /// Its texts.
    pub annotations: Annotations,
    /// The value that made it so. Of a histogram: 0.
    pub value: f64,
}

/// Everything a condition found, as alerts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Raised {
    /// In the condition's order.
    pub alerts: Vec<RaisedAlert>,
    /// Templates that failed. Their text says so, and the alert is raised anyway.
    pub template_errors: Vec<TemplateError>,
}

/// Fills in the rule's labels and annotations for everything that its condition found.
pub fn raise(
    rule: &Rule,
    found: Found,
    evaluation: &Evaluation<'_>,
    query: &mut TemplateQuery<'_>,
) -> Raised {
    let mut raised = Raised::default();
    for (labels, value, own_annotations) in found.into_elements() {
        let mut expander = Expander {
            labels: &labels,
            value: &value,
            evaluation,
            query: &mut *query,
            errors: &mut raised.template_errors,
        };
        let alert_labels = expander.labels(rule);
        // What the condition says about this one finding is closer to it than what the rule says about all.
        let mut annotations: Annotations = rule
            .annotations
            .iter()
            .filter(|(name, _)| !own_annotations.contains_key(name))
            .map(|(name, template)| (name.clone(), expander.expand(template)))
            .collect();
        annotations.extend(&own_annotations);
        raised.alerts.push(RaisedAlert {
            labels: alert_labels,
            annotations,
            value: value.as_float().unwrap_or(0.0),
        });
    }
    raised
}

/// Fills in templates for one finding.
struct Expander<'a, 'q> {
    labels: &'a Labels,
    value: &'a SampleValue,
    evaluation: &'a Evaluation<'a>,
    query: &'a mut TemplateQuery<'q>,
    errors: &'a mut Vec<TemplateError>,
}

impl Expander<'_, '_> {
    fn labels(&mut self, rule: &Rule) -> Labels {
        let mut builder = self.labels.edit();
        builder.remove(METRIC_NAME);
        for (name, template) in &rule.labels {
            let value = self.expand(template);
            builder.set(name, &value);
        }
        builder.set(ALERT_NAME, &rule.name);
        builder.build()
    }

    fn expand(&mut self, template: &RuleTemplate) -> String {
        let data = RuleData {
            labels: self.labels,
            value: self.value,
            external_labels: &self.evaluation.external.labels,
            external_url: &self.evaluation.external.url,
        };
        let mut env = RuleEnv { now: self.evaluation.at, query: &mut *self.query };
        match template.expand(&data, &mut env) {
            Ok(text) => text,
            Err(error) => {
                let text = format!("<error expanding template: {error}>");
                self.errors.push(error);
                text
            }
        }
    }
}
