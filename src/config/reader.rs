//! Reading typed values out of a tree, noting every problem and going on: [`At`] is a value at its place.

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use model::parse_duration;

pub(crate) use crate::context::Context;
pub(crate) use crate::fields::Fields;
use crate::shown::MASK;
use crate::source::{Marked, Span};
use crate::tree::{Key, Node, Scalar, Yaml};
use crate::{Place, Severity};

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

    /// The value of a key below `self`.
    pub(crate) fn under(&self, key: &Key, node: &'a Node) -> At<'a> {
        At { cx: self.cx, node, path: self.path.key(&key.text), key: Some(key.span), on_key: false }
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
        self.cx.report(Severity::Error, self.mark(), Marked::Plain, &self.path, what, hint);
    }

    pub(crate) fn secret_error(&self, what: impl Into<String>, hint: Option<String>) {
        self.cx.report(Severity::Error, self.mark(), Marked::Secret, &self.path, what, hint);
    }

    pub(crate) fn warn(&self, what: impl Into<String>, hint: Option<String>) {
        self.cx.report(Severity::Warning, self.mark(), Marked::Plain, &self.path, what, hint);
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
        self.cx.report(Severity::Error, span, Marked::Plain, &self.path, what, hint);
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
                    at.push(At { cx: self.cx, node, path, key: self.dash_of(node), on_key: false });
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

    /// What to mark of an item that is nothing: its dash.
    fn dash_of(&self, node: &Node) -> Option<Span> {
        if !matches!(node.yaml, Yaml::Null) {
            return None;
        }
        let source = self.cx.source(node.span.file);
        let before = source.text.get(..node.span.start)?;
        let start = before.rfind('-').filter(|at| before[at + 1..].trim().is_empty());
        start.map(|start| Span { file: node.span.file, start, end: start + 1 })
    }

    /// A list of texts.
    pub(crate) fn texts(&self) -> Option<Vec<String>> {
        let items = self.list()?;
        let texts: Vec<Option<String>> = items.iter().map(At::text).collect();
        texts.into_iter().collect()
    }

    /// The keys of a mapping; nothing is an empty mapping.
    pub(crate) fn fields(&self) -> Option<Fields<'a>> {
        match &self.node.yaml {
            Yaml::Null => Some(Fields::new(self.clone(), &[])),
            Yaml::Map(entries) => Some(Fields::new(self.clone(), entries)),
            _ => {
                self.expected("a mapping", Some("write `key: value` lines, indented".to_owned()));
                None
            }
        }
    }

    /// The entries of a mapping whose keys are names.
    pub(crate) fn entries(&self) -> Option<Vec<(String, At<'a>)>> {
        match &self.node.yaml {
            Yaml::Null => Some(Vec::new()),
            Yaml::Map(entries) => {
                Some(entries.iter().map(|(key, node)| (key.text.clone(), self.under(key, node))).collect())
            }
            _ => {
                self.expected("a mapping", Some("write `name: value` lines, indented".to_owned()));
                None
            }
        }
    }

    /// The texts of a mapping that was read before: what is not text was reported then.
    pub(crate) fn text_map_quietly(&self) -> Option<Vec<(String, String)>> {
        let Yaml::Map(entries) = &self.node.yaml else { return None };
        let text = |node: &Node| match &node.yaml {
            Yaml::Scalar(scalar) => Some(scalar.text.clone()),
            _ => None,
        };
        Some(entries.iter().filter_map(|(key, node)| Some((key.text.clone(), text(node)?))).collect())
    }

    /// A mapping of names to texts, in the order of the file.
    pub(crate) fn text_map(&self) -> Option<Vec<(String, String)>> {
        let entries = self.entries()?;
        let pairs: Vec<Option<(String, String)>> =
            entries.into_iter().map(|(name, value)| Some((name, value.text()?))).collect();
        pairs.into_iter().collect()
    }

    /// Says so if files are to be there and this one is not.
    pub(crate) fn check_exists(&self, path: &std::path::Path) {
        if self.cx.options.require_files && !self.cx.exists(path) {
            let hint = format!("looked for {}; in a container, is it mounted?", path.display());
            self.error("this file does not exist", Some(hint));
        }
    }

    /// A path, from the directory of the file it stands in.
    pub(crate) fn resolve(&self, path: &str) -> PathBuf {
        let source = self.cx.source(self.node.span.file);
        source.directory().join(path)
    }
}

impl At<'_> {
    /// Text that nobody sees: from the environment if it is `${env:NAME}`, else as it stands here, with a warning.
    pub(crate) fn secret_text(&self, file_key: Option<&str>) -> Option<String> {
        let text = self.text()?;
        if let Some(name) = text.strip_prefix("${env:").and_then(|rest| rest.strip_suffix('}')) {
            let value = self.cx.files.env(name);
            if value.is_none() {
                self.error(format!("the environment variable `{name}` is not set"), None);
            }
            return value;
        }
        self.cx.hide(self.node.span);
        if text == MASK {
            let hint = "write the secret itself; configurations that are shown have masks in them";
            self.warn("this is the mask of a secret, not a secret", Some(hint.to_owned()));
        } else if let Some(file_key) = file_key.filter(|_| !text.is_empty()) {
            let hint =
                format!("name a file with `{file_key}` instead; change it if this file was ever shared");
            self.warn("a secret stands in the configuration", Some(hint));
        }
        Some(text)
    }
}

/// What `word` may have meant, or all there is if that is not much.
pub(crate) fn suggestion<'w>(
    word: &str,
    known: impl Iterator<Item = &'w str>,
    all_are: &str,
) -> Option<String> {
    let mut known: Vec<&str> = known.collect();
    let mut seen = HashSet::new();
    known.retain(|word| seen.insert(*word));
    let lower = word.to_lowercase();
    // What all of them end with says nothing about which is meant.
    let stem = |text: &str| text.trim_end_matches("_configs").to_lowercase();
    let distance = |k: &&str| strsim::damerau_levenshtein(&stem(&lower), &stem(k));
    let least = known.iter().map(distance).min().unwrap_or(usize::MAX);
    let nearest: Vec<&&str> = known.iter().filter(|k| distance(k) == least).collect();
    let near = word.chars().count() > 2 && least <= 1.max(stem(&lower).chars().count() / 3);
    match nearest.as_slice() {
        [nearest] if near => Some(format!("did you mean `{nearest}`?")),
        [first, second] if near => Some(format!("did you mean `{first}` or `{second}`?")),
        _ if !known.is_empty() && known.len() <= 12 => Some(format!("{all_are}: {}", known.join(", "))),
        _ => None,
    }
}

pub(crate) fn short(text: &str) -> String {
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
