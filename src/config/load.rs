//! From paths to a configuration.

use std::path::PathBuf;

use crate::{Catalog, Config, Files, Place, Problem, Problems, Severity};

/// A configuration that can be used.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What is probably not meant.
    pub warnings: Vec<Problem>,
}

/// Reads, merges and checks `paths`. Relative paths inside a file start at that file's directory.
pub fn load(files: &dyn Files, paths: &[PathBuf], _catalog: &Catalog) -> Result<Loaded, Problems> {
    let mut problems = Vec::new();
    for path in paths {
        if let Err(error) = files.read(path) {
            problems.push(Problem {
                severity: Severity::Error,
                place: Place { file: path.clone(), line: 0, column: 0 },
                path: String::new(),
                what: format!("cannot be read: {error}"),
                hint: None,
                snippet: None,
            });
        }
    }
    Err(Problems(problems))
}
