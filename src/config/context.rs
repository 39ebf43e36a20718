//! What all reading of one configuration shares: files, what the server has, the texts, and what was found wrong.

use std::cell::{Cell, OnceCell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;

use template::Templates;

use crate::load::LoadOptions;
use crate::plugins::KnownPlugins;
use crate::reader::Path;
use crate::source::{Marked, Report, Source, Span};
use crate::{Catalog, Files, Problem, Severity};

/// What all reading shares.
pub(crate) struct Context<'a> {
    pub(crate) files: &'a dyn Files,
    pub(crate) catalog: &'a Catalog,
    pub(crate) options: &'a LoadOptions,
    sources: RefCell<Vec<Rc<Source>>>,
    found: RefCell<Vec<Found>>,
    /// Where secrets stand: no problem shows them.
    secrets: RefCell<Vec<Span>>,
    pub(crate) patterns: RefCell<Vec<PathBuf>>,
    templates: OnceCell<Templates>,
    plugins: OnceCell<KnownPlugins>,
    /// Whether a file could not be read at all: what others refer to may be in it.
    incomplete: Cell<bool>,
}

enum Found {
    /// At a place of a text.
    There(Report),
    /// About a whole file.
    Whole { file: usize, problem: Problem },
}

impl Found {
    fn severity(&self) -> Severity {
        match self {
            Found::There(report) => report.severity,
            Found::Whole { problem, .. } => problem.severity,
        }
    }

    fn order(&self) -> (usize, usize) {
        match self {
            Found::There(report) => (report.span.file, report.span.start),
            Found::Whole { file, .. } => (*file, 0),
        }
    }
}

impl<'a> Context<'a> {
    pub(crate) fn new(files: &'a dyn Files, catalog: &'a Catalog, options: &'a LoadOptions) -> Self {
        Context {
            files,
            catalog,
            options,
            sources: RefCell::default(),
            found: RefCell::default(),
            secrets: RefCell::default(),
            patterns: RefCell::default(),
            templates: OnceCell::new(),
            plugins: OnceCell::new(),
            incomplete: Cell::new(false),
        }
    }

    /// Whether a file is missing from what is read, so that names may be defined that are not known.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.incomplete.get()
    }

    pub(crate) fn set_incomplete(&self) {
        self.incomplete.set(true);
    }

    /// The plugins that the configuration brings.
    pub(crate) fn known_plugins(&self) -> &KnownPlugins {
        self.plugins.get_or_init(KnownPlugins::default)
    }

    pub(crate) fn set_known_plugins(&self, plugins: KnownPlugins) {
        // Set once, before anything asks.
        let _ = self.plugins.set(plugins);
    }

    /// The templates that messages can use; those of files once they were read.
    pub(crate) fn templates(&self) -> &Templates {
        let defaults = || {
            Templates::parse::<&str, &str>(&[])
                .expect("the templates that come with us are right, and tested to be")
        };
        self.templates.get_or_init(defaults)
    }

    pub(crate) fn set_templates(&self, templates: Templates) {
        // Set once, before anything asks.
        let _ = self.templates.set(templates);
    }

    /// Takes a text in; its number.
    pub(crate) fn add_source(&self, path: PathBuf, text: String) -> usize {
        let mut sources = self.sources.borrow_mut();
        sources.push(Rc::new(Source::new(path, text)));
        sources.len() - 1
    }

    pub(crate) fn source(&self, file: usize) -> Rc<Source> {
        Rc::clone(&self.sources.borrow()[file])
    }

    pub(crate) fn source_paths(&self) -> Vec<PathBuf> {
        self.sources.borrow().iter().map(|source| source.path.clone()).collect()
    }

    /// Whether a file is there.
    pub(crate) fn exists(&self, path: &std::path::Path) -> bool {
        self.files.glob(path).is_ok_and(|found| !found.is_empty())
    }

    /// Notes a problem with a whole file.
    pub(crate) fn note_file(&self, file: usize, problem: Problem) {
        self.found.borrow_mut().push(Found::Whole { file, problem });
    }

    /// Notes a problem.
    pub(crate) fn note(&self, report: Report) {
        self.found.borrow_mut().push(Found::There(report));
    }

    /// Says that a secret stands at `span`.
    pub(crate) fn hide(&self, span: Span) {
        self.secrets.borrow_mut().push(span);
    }

    pub(crate) fn report(
        &self,
        severity: Severity,
        span: Span,
        marked: Marked,
        path: &Path,
        what: impl Into<String>,
        hint: Option<String>,
    ) {
        let what = what.into();
        // Errors of other rooms say what to do behind a semicolon.
        let (what, hint) = match (what.split_once("; "), hint) {
            (Some((what, hint)), None) => (what.to_owned(), Some(hint.to_owned())),
            (_, hint) => (what, hint),
        };
        self.note(Report { severity, span, marked, path: path.to_string(), what, hint });
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.found.borrow().iter().any(|found| found.severity() == Severity::Error)
    }

    /// All problems, in the order of files and places.
    pub(crate) fn into_problems(self) -> Vec<Problem> {
        let (mut found, secrets) = (self.found.into_inner(), self.secrets.into_inner());
        let sources = self.sources.into_inner();
        found.sort_by_key(Found::order);
        let mut problems: Vec<Problem> = Vec::with_capacity(found.len());
        for found in found {
            let problem = match found {
                Found::Whole { problem, .. } => problem,
                Found::There(report) => {
                    let file = report.span.file;
                    let here = secrets.iter().filter(|span| span.file == file).map(|s| (s.start, s.end));
                    sources[file].problem(&report, &here.collect::<Vec<_>>())
                }
            };
            // What an alias names is read once for each alias, under another path.
            let same = |other: &Problem| other.place == problem.place && other.what == problem.what;
            if !problems.iter().any(same) {
                problems.push(problem);
            }
        }
        problems
    }
}
