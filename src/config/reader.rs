//! Reading typed values out of a tree, noting every problem and going on.
//!
//! [`At`] is a value at its place, [`Fields`] a mapping whose keys are asked for by name: what nobody asked for is an
//! unknown key, and what was asked for is what it may have meant. Beside each value stands what of it is shown.

use std::cell::{OnceCell, RefCell};
use std::fmt;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use model::{Secret, format_duration, parse_duration};
use template::Templates;

use crate::load::LoadOptions;
use crate::plugins::KnownPlugins;
use crate::shown::{MASK, Shown};
use crate::source::{Source, Span};
use crate::tree::{Key, Node, Scalar, Yaml};
use crate::{Catalog, Files, Place, Problem, Setting, Severity};

/// What all reading shares.
pub(crate) struct Context<'a> {
    pub(crate) files: &'a dyn Files,
    pub(crate) catalog: &'a Catalog,
    pub(crate) options: &'a LoadOptions,
    sources: RefCell<Vec<Rc<Source>>>,
    found: RefCell<Vec<Found>>,
    pub(crate) patterns: RefCell<Vec<PathBuf>>,
    templates: OnceCell<Templates>,
    plugins: OnceCell<KnownPlugins>,
}

struct Found {
    file: usize,
    offset: usize,
    problem: Problem,
}

impl<'a> Context<'a> {
    pub(crate) fn new(files: &'a dyn Files, catalog: &'a Catalog, options: &'a LoadOptions) -> Self {
        Context {
            files,
            catalog,
            options,
            sources: RefCell::default(),
            found: RefCell::default(),
            patterns: RefCell::default(),
            templates: OnceCell::new(),
            plugins: OnceCell::new(),
        }
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

    /// Notes a problem that was made elsewhere.
    pub(crate) fn note(&self, file: usize, offset: usize, problem: Problem) {
        self.found.borrow_mut().push(Found { file, offset, problem });
    }

    /// Notes a problem at `span`. With `secret`, what stands there is not shown.
    pub(crate) fn report(
        &self,
        severity: Severity,
        span: Span,
        secret: bool,
        path: &Path,
        what: impl Into<String>,
        hint: Option<String>,
    ) {
        let source = self.source(span.file);
        let problem = source.problem(severity, span, secret, path.to_string(), what.into(), hint);
        self.note(span.file, span.start, problem);
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.found.borrow().iter().any(|found| found.problem.severity == Severity::Error)
    }

    /// All problems, in the order of files and places.
    pub(crate) fn into_problems(self) -> Vec<Problem> {
        let mut found = self.found.into_inner();
        found.sort_by_key(|f| (f.file, f.offset));
        let mut problems: Vec<Problem> = Vec::with_capacity(found.len());
        for Found { problem, .. } in found {
            // What an alias names is read once for each alias.
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
        problems
    }
}

/// The place of a value in its document: `a.b[0].c`.
#[derive(Clone, Default)]
pub(crate) struct Path(Option<Rc<Segment>>);

struct Segment {
    parent: Path,
    step: Step,
}

enum Step {
    Key(String),
    Index(usize),
}

impl Path {
    pub(crate) fn is_root(&self) -> bool {
        self.0.is_none()
    }

    pub(crate) fn key(&self, key: &str) -> Path {
        Path(Some(Rc::new(Segment { parent: self.clone(), step: Step::Key(key.to_owned()) })))
    }

    pub(crate) fn index(&self, index: usize) -> Path {
        Path(Some(Rc::new(Segment { parent: self.clone(), step: Step::Index(index) })))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(segment) = &self.0 else { return Ok(()) };
        segment.parent.fmt(f)?;
        match &segment.step {
            Step::Index(index) => write!(f, "[{index}]"),
            Step::Key(key) if segment.parent.0.is_none() => f.write_str(key),
            Step::Key(key) => write!(f, ".{key}"),
        }
    }
}

/// A value at its place.
#[derive(Clone)]
pub(crate) struct At<'a> {
    pub(crate) cx: &'a Context<'a>,
    pub(crate) node: &'a Node,
    pub(crate) path: Path,
    /// What to mark where the value is nothing: its key.
    key: Option<Span>,
    /// Whether the key is meant, and not the value.
    on_key: bool,
}

impl<'a> At<'a> {
    pub(crate) fn root(cx: &'a Context<'a>, node: &'a Node) -> Self {
        At { cx, node, path: Path::default(), key: None, on_key: false }
    }

    pub(crate) fn mark(&self) -> Span {
        match (&self.node.yaml, self.key) {
            (_, Some(key)) if self.on_key => key,
            (Yaml::Null, Some(key)) => key,
            _ => self.node.mark(),
        }
    }

    /// The same, where the key is what a problem is about.
    pub(crate) fn at_key(&self) -> At<'a> {
        At { on_key: true, ..self.clone() }
    }

    pub(crate) fn place(&self) -> Place {
        let mark = self.mark();
        self.cx.source(mark.file).place(mark.start)
    }

    pub(crate) fn error(&self, what: impl Into<String>, hint: Option<String>) {
        self.cx.report(Severity::Error, self.mark(), false, &self.path, what, hint);
    }

    pub(crate) fn secret_error(&self, what: impl Into<String>, hint: Option<String>) {
        self.cx.report(Severity::Error, self.mark(), true, &self.path, what, hint);
    }

    pub(crate) fn warn(&self, what: impl Into<String>, hint: Option<String>) {
        self.cx.report(Severity::Warning, self.mark(), false, &self.path, what, hint);
    }

    /// A problem with a part of a scalar's text, given in bytes of the text.
    pub(crate) fn error_in_text(
        &self,
        from: usize,
        to: usize,
        what: impl Into<String>,
        hint: Option<String>,
    ) {
        let source = self.cx.source(self.node.span.file);
        let span = crate::text_place::inside(&source, self.node, from, to);
        self.cx.report(Severity::Error, span, false, &self.path, what, hint);
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.node.yaml, Yaml::Null)
    }

    pub(crate) fn is_broken(&self) -> bool {
        matches!(self.node.yaml, Yaml::Broken)
    }

    /// What the value is, for people.
    fn kind(&self) -> &'static str {
        match &self.node.yaml {
            Yaml::Null => "nothing",
            Yaml::Broken => "something unreadable",
            Yaml::List(_) => "a list",
            Yaml::Map(_) => "a mapping",
            Yaml::Scalar(_) => "text",
        }
    }

    fn expected(&self, what: &str, hint: Option<String>) {
        if !self.is_broken() {
            self.error(format!("expected {what}, found {}", self.kind()), hint);
        }
    }

    pub(crate) fn scalar(&self) -> Option<&'a Scalar> {
        match &self.node.yaml {
            Yaml::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// Text; nothing is the empty text.
    pub(crate) fn text(&self) -> Option<String> {
        match &self.node.yaml {
            Yaml::Scalar(scalar) => Some(scalar.text.clone()),
            Yaml::Null => Some(String::new()),
            _ => {
                self.expected("text", None);
                None
            }
        }
    }

    pub(crate) fn boolean(&self) -> Option<bool> {
        let scalar = self.scalar();
        let word = scalar.map(|s| s.text.as_str()).unwrap_or_default();
        let value = match word {
            "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => Some(true),
            "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N" => {
                Some(false)
            }
            _ => None,
        };
        match (scalar, value) {
            (Some(scalar), Some(value)) if scalar.plain => return Some(value),
            (Some(_), Some(value)) => {
                let hint = format!("take the quotes away: {value}");
                self.error("expected true or false, found text", Some(hint));
            }
            (Some(_), None) => self.error(format!("expected true or false, found `{}`", short(word)), None),
            (None, _) => self.expected("true or false", None),
        }
        None
    }

    /// A whole number.
    pub(crate) fn integer(&self) -> Option<i64> {
        let Some(scalar) = self.scalar() else {
            self.expected("a whole number", None);
            return None;
        };
        let number = if scalar.plain { parse_integer(&scalar.text) } else { None };
        if number.is_none() {
            let quoted = !scalar.plain && parse_integer(&scalar.text).is_some();
            let hint = quoted.then(|| "take the quotes away".to_owned());
            self.error(format!("expected a whole number, found `{}`", short(&scalar.text)), hint);
        }
        number
    }

    /// A whole number that is not negative.
    pub(crate) fn unsigned(&self) -> Option<u64> {
        let number = self.integer()?;
        let positive = u64::try_from(number).ok();
        if positive.is_none() {
            self.error(format!("{number} is less than 0"), None);
        }
        positive
    }

    pub(crate) fn float(&self) -> Option<f64> {
        let Some(scalar) = self.scalar() else {
            self.expected("a number", None);
            return None;
        };
        let number = if scalar.plain { parse_float(&scalar.text) } else { None };
        if number.is_none() {
            self.error(format!("expected a number, found `{}`", short(&scalar.text)), None);
        }
        number
    }

    pub(crate) fn duration(&self) -> Option<Duration> {
        let Some(scalar) = self.scalar() else {
            self.expected("a duration such as `30s`", None);
            return None;
        };
        match parse_duration(&scalar.text) {
            Ok(duration) => Some(duration),
            Err(error) => {
                let bare = !scalar.text.is_empty() && scalar.text.bytes().all(|b| b.is_ascii_digit());
                if bare {
                    let hint = Some(format!("write `{0}s` for seconds, `{0}m` for minutes", scalar.text));
                    self.error(format!("`{}` has no unit", short(&scalar.text)), hint);
                } else {
                    self.error(error.to_string(), None);
                }
                None
            }
        }
    }

    /// The items of a list; nothing is an empty list.
    pub(crate) fn list(&self) -> Option<Vec<At<'a>>> {
        match &self.node.yaml {
            Yaml::Null => Some(Vec::new()),
            Yaml::List(items) => {
                // Lists of several files are read as one; people count in each file.
                let mut first = 0;
                let mut at = Vec::with_capacity(items.len());
                for (index, node) in items.iter().enumerate() {
                    if index > 0 && items[index - 1].span.file != node.span.file {
                        first = index;
                    }
                    let path = self.path.index(index - first);
                    at.push(At { cx: self.cx, node, path, key: self.key, on_key: false });
                }
                Some(at)
            }
            Yaml::Map(_) => {
                self.expected("a list", Some("begin each item with `- `".to_owned()));
                None
            }
            _ => {
                self.expected(
                    "a list",
                    Some("write it as `[…]`, or each item on a line that begins with `- `".into()),
                );
                None
            }
        }
    }

    /// A list of texts.
    pub(crate) fn texts(&self) -> Option<Vec<String>> {
        let items = self.list()?;
        let texts: Vec<Option<String>> = items.iter().map(At::text).collect();
        texts.into_iter().collect()
    }

    /// The keys of a mapping; nothing is an empty mapping.
    pub(crate) fn fields(&self) -> Option<Fields<'a>> {
        let entries: &'a [(Key, Rc<Node>)] = match &self.node.yaml {
            Yaml::Null => &[],
            Yaml::Map(entries) => entries,
            _ => {
                self.expected("a mapping", Some("write `key: value` lines, indented".to_owned()));
                return None;
            }
        };
        Some(Fields {
            at: self.clone(),
            entries,
            asked: RefCell::default(),
            taken: RefCell::default(),
            shown: RefCell::default(),
        })
    }

    /// The entries of a mapping whose keys are names.
    pub(crate) fn entries(&self) -> Option<Vec<(String, At<'a>)>> {
        match &self.node.yaml {
            Yaml::Null => Some(Vec::new()),
            Yaml::Map(entries) => Some(
                entries
                    .iter()
                    .map(|(key, node)| {
                        let path = self.path.key(&key.text);
                        let at = At { cx: self.cx, node, path, key: Some(key.span), on_key: false };
                        (key.text.clone(), at)
                    })
                    .collect(),
            ),
            _ => {
                self.expected("a mapping", Some("write `name: value` lines, indented".to_owned()));
                None
            }
        }
    }

    /// A mapping of names to texts, in the order of the file.
    pub(crate) fn text_map(&self) -> Option<Vec<(String, String)>> {
        let entries = self.entries()?;
        let pairs: Vec<Option<(String, String)>> =
            entries.into_iter().map(|(name, value)| Some((name, value.text()?))).collect();
        pairs.into_iter().collect()
    }

    /// A path, from the directory of the file it stands in.
    pub(crate) fn resolve(&self, path: &str) -> PathBuf {
        let source = self.cx.source(self.node.span.file);
        source.directory().join(path)
    }
}

/// The keys of a mapping, asked for one by one.
pub(crate) struct Fields<'a> {
    pub(crate) at: At<'a>,
    entries: &'a [(Key, Rc<Node>)],
    asked: RefCell<Vec<&'static str>>,
    /// Keys that were taken though nobody knew their names.
    taken: RefCell<Vec<String>>,
    shown: RefCell<Vec<(String, Shown)>>,
}

impl<'a> Fields<'a> {
    /// The value of a key, unless it is absent or nothing.
    pub(crate) fn get(&self, key: &'static str) -> Option<At<'a>> {
        self.get_or_null(key).filter(|at| !at.is_null())
    }

    /// The value of a key, be it nothing.
    pub(crate) fn get_or_null(&self, key: &'static str) -> Option<At<'a>> {
        let mut asked = self.asked.borrow_mut();
        if !asked.contains(&key) {
            asked.push(key);
        }
        let (name, node) = self.entries.iter().find(|(name, _)| name.text == key)?;
        let path = self.at.path.key(key);
        Some(At { cx: self.at.cx, node, path, key: Some(name.span), on_key: false })
    }

    /// The keys that nobody asked for so far and that `wanted` takes.
    pub(crate) fn others(&self, wanted: impl Fn(&str) -> bool) -> Vec<(String, At<'a>)> {
        let asked = self.asked.borrow();
        let mut taken = self.taken.borrow_mut();
        let mut found = Vec::new();
        for (key, node) in self.entries {
            if asked.contains(&key.text.as_str()) || taken.contains(&key.text) || !wanted(&key.text) {
                continue;
            }
            let path = self.at.path.key(&key.text);
            let at = At { cx: self.at.cx, node, path, key: Some(key.span), on_key: false };
            taken.push(key.text.clone());
            found.push((key.text.clone(), at));
        }
        found
    }

    /// Whether the key is there with a value.
    pub(crate) fn has(&self, key: &'static str) -> bool {
        self.get(key).is_some()
    }

    /// Says that the mapping needs `key`.
    pub(crate) fn missing(&self, key: &'static str, hint: Option<String>) {
        match self.get_or_null(key) {
            // What could not be read is not missing.
            Some(at) if at.is_broken() => {}
            Some(at) => at.error(format!("`{key}` is empty"), hint),
            None => self.at.error(format!("`{key}` is missing"), hint),
        }
    }

    /// Says that only one of `keys` may be there, if more are.
    pub(crate) fn at_most_one(&self, keys: &[&'static str]) {
        let present: Vec<At<'a>> = keys.iter().filter_map(|key| self.get(key)).collect();
        let Some(second) = present.get(1) else { return };
        let names: Vec<String> =
            keys.iter().filter(|key| self.has(key)).map(|key| format!("`{key}`")).collect();
        let what = format!("{} are set, and only one of them may be", join_and(&names));
        second.at_key().secret_error(what, Some("keep one".to_owned()));
    }

    pub(crate) fn show(&self, key: &str, value: Shown) {
        self.shown.borrow_mut().push((key.to_owned(), value));
    }

    /// Text, shown if it is there.
    pub(crate) fn text(&self, key: &'static str) -> Option<String> {
        let text = self.get(key)?.text()?;
        self.show(key, Shown::text(&text));
        Some(text)
    }

    pub(crate) fn text_or(&self, key: &'static str, default: &str) -> String {
        let text = self.get(key).and_then(|at| at.text()).unwrap_or_else(|| default.to_owned());
        if !text.is_empty() {
            self.show(key, Shown::text(&text));
        }
        text
    }

    /// Text out of a few; the first is the default.
    pub(crate) fn choice(&self, key: &'static str, choices: &[&str]) -> String {
        self.choice_or(key, choices, choices[0])
    }

    pub(crate) fn choice_or(&self, key: &'static str, choices: &[&str], default: &str) -> String {
        let text = self.text_or(key, default);
        if text != default && !choices.contains(&text.as_str()) {
            if let Some(at) = self.get(key).filter(|at| at.scalar().is_some()) {
                let what = format!("`{}` is not a value of `{key}`", short(&text));
                at.error(what, suggestion(&text, choices.iter().copied(), "possible"));
            }
            return default.to_owned();
        }
        text
    }

    pub(crate) fn boolean_or(&self, key: &'static str, default: bool) -> bool {
        let value = self.get(key).and_then(|at| at.boolean()).unwrap_or(default);
        self.show(key, Shown::Bool(value));
        value
    }

    /// Yes or no, shown only if it is there.
    pub(crate) fn boolean(&self, key: &'static str) -> Option<bool> {
        let value = self.get(key)?.boolean()?;
        self.show(key, Shown::Bool(value));
        Some(value)
    }

    pub(crate) fn unsigned_or(&self, key: &'static str, default: u64) -> u64 {
        let value = self.get(key).and_then(|at| at.unsigned()).unwrap_or(default);
        if value != 0 {
            self.show(key, Shown::number(value));
        }
        value
    }

    pub(crate) fn float_or(&self, key: &'static str, default: f64) -> f64 {
        let value = self.get(key).and_then(|at| at.float()).unwrap_or(default);
        if value != 0.0 {
            self.show(key, Shown::number(value));
        }
        value
    }

    pub(crate) fn duration(&self, key: &'static str) -> Option<Duration> {
        let duration = self.get(key)?.duration()?;
        self.show(key, Shown::text(format_duration(duration)));
        Some(duration)
    }

    pub(crate) fn duration_or(&self, key: &'static str, default: Duration) -> Duration {
        let duration = self.get(key).and_then(|at| at.duration()).unwrap_or(default);
        self.show(key, Shown::text(format_duration(duration)));
        duration
    }

    pub(crate) fn texts(&self, key: &'static str) -> Vec<String> {
        let texts = self.get(key).and_then(|at| at.texts()).unwrap_or_default();
        if !texts.is_empty() {
            self.show(key, Shown::texts(&texts));
        }
        texts
    }

    pub(crate) fn text_map(&self, key: &'static str) -> Vec<(String, String)> {
        let map = self.get(key).and_then(|at| at.text_map()).unwrap_or_default();
        if !map.is_empty() {
            self.show(key, Shown::pairs(map.iter().map(|(n, v)| (n.as_str(), v.as_str()))));
        }
        map
    }

    /// A path, from the directory of the file it stands in; shown as it is written.
    pub(crate) fn path(&self, key: &'static str) -> Option<PathBuf> {
        let at = self.get(key)?;
        let text = at.text()?;
        self.show(key, Shown::text(&text));
        Some(at.resolve(&text))
    }

    /// A value that nobody sees. `file_key`: where it would better be.
    pub(crate) fn secret(&self, key: &'static str, file_key: Option<&'static str>) -> Option<Secret<String>> {
        let at = self.get(key)?;
        let text = at.secret_text(file_key)?;
        if text.is_empty() {
            return None;
        }
        self.show(key, Shown::masked());
        Some(Secret::new(text))
    }

    /// A secret that is in the configuration or in a file; not in both.
    pub(crate) fn secret_or_file(&self, key: &'static str, file_key: &'static str) -> Option<Setting> {
        self.at_most_one(&[key, file_key]);
        let file = self.path(file_key);
        match self.secret(key, Some(file_key)) {
            Some(value) => Some(Setting::Secret { value, template: false }),
            None => file.map(Setting::SecretFile),
        }
    }

    /// Each item of a list, read by `read`; what it cannot read is left out.
    pub(crate) fn each<T>(
        &self,
        key: &'static str,
        mut read: impl FnMut(At<'a>) -> Option<(T, Shown)>,
    ) -> Vec<T> {
        let items = self.get(key).and_then(|at| at.list()).unwrap_or_default();
        let (values, shown): (Vec<T>, Vec<Shown>) = items.into_iter().filter_map(&mut read).unzip();
        if !shown.is_empty() {
            self.show(key, Shown::List(shown));
        }
        values
    }

    /// What is shown so far, taken out.
    pub(crate) fn take_shown(&self) -> Vec<(String, Shown)> {
        self.shown.take()
    }

    /// Puts what is shown into the order of `keys`; the others follow.
    pub(crate) fn order_shown(&self, keys: impl Iterator<Item = &'static str>) {
        let keys: Vec<&str> = keys.collect();
        let place = |key: &str| keys.iter().position(|k| *k == key).unwrap_or(keys.len());
        self.shown.borrow_mut().sort_by_key(|(key, _)| place(key));
    }

    /// Reports keys that nobody asked for; what of the mapping is shown.
    pub(crate) fn finish(self) -> Shown {
        let (asked, taken) = (self.asked.into_inner(), self.taken.into_inner());
        for (key, node) in self.entries {
            if asked.contains(&key.text.as_str()) || taken.contains(&key.text) {
                continue;
            }
            let path = self.at.path.key(&key.text);
            let hint = suggestion(&key.text, asked.iter().copied(), "known here");
            let at = At { cx: self.at.cx, node, path, key: Some(key.span), on_key: true };
            at.error(format!("unknown key `{}`", short(&key.text)), hint);
        }
        Shown::Map(self.shown.into_inner())
    }
}

impl At<'_> {
    /// Text that nobody sees, with a warning that it stands here.
    pub(crate) fn secret_text(&self, file_key: Option<&str>) -> Option<String> {
        let text = self.text()?;
        if text == MASK {
            let what = "this is the mask of a secret, not a secret";
            let hint = "write the secret itself; configurations that are shown have masks in them";
            self.cx.report(Severity::Warning, self.mark(), true, &self.path, what, Some(hint.to_owned()));
        } else if let Some(file_key) = file_key.filter(|_| !text.is_empty()) {
            let what = "a secret stands in the configuration";
            let hint = format!(
                "move it to a file and name that with `{file_key}`; change it if this file was ever shared"
            );
            self.cx.report(Severity::Warning, self.mark(), true, &self.path, what, Some(hint));
        }
        Some(text)
    }
}

/// `a and b`, `a, b and c`.
fn join_and(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// What `word` may have meant, or all there is if that is not much.
pub(crate) fn suggestion<'w>(
    word: &str,
    known: impl Iterator<Item = &'w str>,
    all_are: &str,
) -> Option<String> {
    let known: Vec<&str> = known.collect();
    let lower = word.to_lowercase();
    let distance = |k: &&str| strsim::damerau_levenshtein(&lower, &k.to_lowercase());
    let nearest = known.iter().min_by_key(|k| distance(k)).filter(|k| distance(k) <= 1.max(word.len() / 3));
    match nearest {
        Some(nearest) => Some(format!("did you mean `{nearest}`?")),
        None if !known.is_empty() && known.len() <= 12 => Some(format!("{all_are}: {}", known.join(", "))),
        None => None,
    }
}

fn short(text: &str) -> String {
    let mut out: String = text.chars().take(60).collect();
    if out.len() < text.len() {
        out.push('…');
    }
    out
}

fn parse_integer(text: &str) -> Option<i64> {
    let text = text.replace('_', "");
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(&text)),
    };
    let number = if let Some(hex) = digits.strip_prefix("0x") {
        i64::from_str_radix(hex, 16).ok()
    } else if let Some(octal) = digits.strip_prefix("0o") {
        i64::from_str_radix(octal, 8).ok()
    } else if let Some(binary) = digits.strip_prefix("0b") {
        i64::from_str_radix(binary, 2).ok()
    } else if digits.bytes().all(|b| b.is_ascii_digit()) {
        digits.parse().ok()
    } else {
        let float: f64 = digits.parse().ok().filter(|_| digits.starts_with(|c: char| c.is_ascii_digit()))?;
        (float.fract() == 0.0 && float < 9e18).then_some(float as i64)
    };
    number.map(|n| sign * n)
}

fn parse_float(text: &str) -> Option<f64> {
    match text {
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" => Some(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Some(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => Some(f64::NAN),
        _ => {
            let numeric =
                text.trim_start_matches(['+', '-']).starts_with(|c: char| c.is_ascii_digit() || c == '.');
            match numeric.then(|| text.replace('_', "").parse().ok()).flatten() {
                Some(number) => Some(number),
                None => parse_integer(text).map(|n| n as f64),
            }
        }
    }
}
