//! What is wrong with a template, and where.

use std::fmt;

/// A template that cannot be read or expanded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// The template: a file, a rule's label, a receiver's setting.
    pub template: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The expression that failed, if it was an expression.
    pub at: Option<String>,
    /// What happened.
    pub message: String,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "template {}:{}:{}: ", self.template, self.line, self.column)?;
        if let Some(at) = &self.at {
            write!(f, "`{at}`: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for TemplateError {}
