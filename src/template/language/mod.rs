//! The language itself: tokens, parser, executor, printing, escaping. What is asked and what it is about is elsewhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::TemplateError;

pub(crate) mod ast;
pub(crate) mod builtin;
pub(crate) mod escape;
pub(crate) mod exec;
pub(crate) mod float;
pub(crate) mod function;
pub(crate) mod html;
pub(crate) mod json;
pub(crate) mod layout;
pub(crate) mod page_check;
pub(crate) mod parse;
pub(crate) mod print;
pub(crate) mod printf;
pub(crate) mod time;
pub(crate) mod token;
pub(crate) mod value;

use ast::Nodes;
use function::Dialect;

/// A mistake in a text, by its byte offset.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fault {
    pub(crate) at: usize,
    pub(crate) message: String,
}

impl Fault {
    pub(crate) fn new(at: usize, message: impl Into<String>) -> Self {
        Fault { at, message: message.into() }
    }
}

/// A text with a name that people know.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) text: String,
}

impl Source {
    /// A mistake at a byte offset, with line and column.
    pub(crate) fn error(&self, at: usize, operand: Option<String>, message: String) -> TemplateError {
        let before = self.text.get(..at).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        TemplateError {
            template: self.name.clone(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            at: operand,
            message,
        }
    }
}

/// A parsed template: the body of a text, or of a definition in one.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    pub(crate) source: Arc<Source>,
    pub(crate) nodes: Nodes,
}

/// Templates by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Library {
    templates: BTreeMap<String, Arc<Template>>,
}

impl Library {
    pub(crate) fn get(&self, name: &str) -> Option<&Template> {
        self.templates.get(name).map(Arc::as_ref)
    }

    /// Reads a text: its body is the answer, its definitions join the library and replace those of the same name.
    pub(crate) fn read(
        &mut self,
        name: &str,
        text: &str,
        dialect: Dialect,
        variables: &[&str],
    ) -> Result<Template, TemplateError> {
        let source = Arc::new(Source { name: name.to_owned(), text: text.to_owned() });
        let parsed = parse::parse(text, dialect, variables)
            .map_err(|fault| source.error(fault.at, None, fault.message))?;
        for (name, nodes) in parsed.definitions {
            // White space does not replace a definition, as in Go.
            if parse::is_empty(&nodes) && self.get(&name).is_some_and(|old| !parse::is_empty(&old.nodes)) {
                continue;
            }
            self.templates.insert(name, Arc::new(Template { source: Arc::clone(&source), nodes }));
        }
        Ok(Template { source, nodes: parsed.body })
    }

    /// Whether nothing is defined.
    pub(crate) fn is_empty(&self) -> bool {
        self.templates.is_empty()
    }

    /// Takes over the definitions of another, which replace those of the same name.
    pub(crate) fn extend(&mut self, other: Library) {
        self.templates.extend(other.templates);
    }

    /// Puts a template in under a name.
    pub(crate) fn insert(&mut self, name: &str, template: Template) {
        self.templates.insert(name.to_owned(), Arc::new(template));
    }
}
