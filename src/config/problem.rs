//! What is wrong with a configuration, where, and what to do about it.

use std::fmt;
use std::path::PathBuf;

/// How bad a [`Problem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// It cannot be used like this.
    Error,
    /// It can be used, and is probably not what was meant.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// A place in a file. Line and column count from 1, columns in characters; both are 0 if the whole file is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file as it was named.
    pub file: PathBuf,
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        Ok(())
    }
}

/// The line of a problem and what of it is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snippet {
    /// The line as it stands in the file; long lines are cut.
    pub text: String,
    /// Where in `text` the marks begin, in characters.
    pub start: usize,
    /// How many characters are marked; at least one.
    pub length: usize,
}

/// One thing that is wrong. `Display` writes it in full, with the line and marks under the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// Where it is.
    pub place: Place,
    /// The same in terms of the document: `scrape_configs[0].relabel_configs[1].regex`. Empty for the whole file.
    pub path: String,
    /// What is wrong: lower case, no full stop.
    pub what: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The line; `None` if the whole file is meant.
    pub snippet: Option<Snippet>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n  --> {}", self.severity.as_str(), self.what, self.place)?;
        if !self.path.is_empty() {
            write!(f, ", {}", self.path)?;
        }
        if let Some(snippet) = &self.snippet {
            let number = self.place.line.to_string();
            let margin = " ".repeat(number.len());
            let before = " ".repeat(snippet.start);
            let marks = "^".repeat(snippet.length.max(1));
            write!(f, "\n {margin} |\n {number} | {}\n {margin} | {before}{marks}", snippet.text)?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

/// Everything that is wrong with a configuration that cannot be used: at least one error; warnings stand beside it.
///
/// In the order of files and places. `Display` writes all of them and how many there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// How many are errors.
    pub fn errors(&self) -> usize {
        self.0.iter().filter(|p| p.severity == Severity::Error).count()
    }
}

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.0 {
            writeln!(f, "{problem}\n")?;
        }
        let errors = self.errors();
        let warnings = self.0.len() - errors;
        let plural = |n: usize| if n == 1 { "" } else { "s" };
        write!(f, "{errors} error{}", plural(errors))?;
        if warnings > 0 {
            write!(f, ", {warnings} warning{}", plural(warnings))?;
        }
        Ok(())
    }
}
