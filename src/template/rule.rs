//! Templates in the labels and annotations of rules.

use std::fmt;
use std::sync::Arc;

use model::{Labels, SampleValue, Timestamp, Vector};

use crate::language::exec::{MissingKey, Mode, Start, World, execute};
use crate::language::function::Dialect;
use crate::language::value::{STRING_MAP, Type, Value};
use crate::language::{Library, Template};
use crate::rule_functions::sample_value;
use crate::{TemplateError, Trial};

/// The text of a rule's label or annotation, parsed once.
#[derive(Clone)]
pub struct RuleTemplate {
    source: Arc<str>,
    /// `None` if there is nothing to fill in, as in most labels.
    parsed: Option<Arc<(Library, Template)>>,
}

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

static RULE_DATA: Type = Type {
    fields: &[
        ("Labels", "Labels"),
        ("ExternalLabels", "ExternalLabels"),
        ("ExternalURL", "ExternalURL"),
        ("Value", "Value"),
    ],
    ..Type::plain("template data of a rule")
};

/// The variables that stand for the data's fields, in the order of the fields.
const VARIABLES: [&str; 4] = ["$labels", "$externalLabels", "$externalURL", "$value"];

impl RuleTemplate {
    /// Reads a template. `name` stands in messages.
    pub fn parse(name: &str, text: &str) -> Result<Self, TemplateError> {
        let source = Arc::from(text);
        if !text.contains("{{") {
            return Ok(RuleTemplate { source, parsed: None });
        }
        let mut library = Library::default();
        let template = library.read(name, text, Dialect::Rules, &VARIABLES)?;
        Ok(RuleTemplate { source, parsed: Some(Arc::new((library, template))) })
    }

    /// A text in which nothing is filled in, whatever it looks like.
    pub fn plain(text: &str) -> Self {
        RuleTemplate { source: Arc::from(text), parsed: None }
    }

    /// The text as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Fills it in.
    pub fn expand(&self, data: &RuleData<'_>, env: &mut RuleEnv<'_>) -> Result<String, TemplateError> {
        let Some(parsed) = &self.parsed else { return Ok(self.source.to_string()) };
        let (library, template) = &**parsed;
        let fields = vec![
            Value::string_map(&STRING_MAP, data.labels.iter()),
            Value::string_map(&STRING_MAP, data.external_labels.iter()),
            Value::str(data.external_url),
            sample_value(data.value),
        ];
        let variables = VARIABLES.iter().map(|name| (*name).to_owned()).zip(fields.iter().cloned()).collect();
        let start = Start {
            library,
            template,
            data: Value::structure(&RULE_DATA, fields),
            variables,
            mode: Mode::Text,
            missing_key: MissingKey::Zero,
        };
        let world = World {
            now: env.now,
            external_url: data.external_url,
            query: Some(&mut *env.query),
            route_labels: None,
        };
        execute(start, world)
    }
}

impl fmt::Debug for RuleTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RuleTemplate({:?})", self.source)
    }
}

impl PartialEq for RuleTemplate {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for RuleTemplate {}

/// Reads and fills in a template in one go; where it is used once.
pub fn expand_rule(text: &str, data: &RuleData<'_>, env: &mut RuleEnv<'_>) -> Result<String, TemplateError> {
    RuleTemplate::parse("rule", text)?.expand(data, env)
}

/// Fills in a text with the functions of rules about any data, to try a template.
pub fn try_rule_text(text: &str, trial: &Trial, env: &mut RuleEnv<'_>) -> Result<String, TemplateError> {
    let mut library = Library::default();
    let template = library.read("text", text, Dialect::Rules, &[])?;
    let start = Start {
        library: &library,
        template: &template,
        data: trial.data.0.clone(),
        variables: Vec::new(),
        mode: trial.mode(),
        missing_key: trial.missing_key(),
    };
    let world = World {
        now: env.now,
        external_url: &trial.external_url,
        query: Some(&mut *env.query),
        route_labels: None,
    };
    execute(start, world)
}
