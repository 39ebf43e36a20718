//! YAML as a tree with places.
//!
//! In: a [`Source`]. Out: its first document as a [`Node`], and problems with its form. Aliases and merge keys are
//! resolved; a key that stands twice is a problem. Where a line cannot be read, its value is taken out and reading goes
//! on ([`syntax`](crate::syntax)), so that one missing quote does not hide the other mistakes of the file.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Tag};

use crate::Severity;
use crate::source::{Marked, Report, Source, Span};
use crate::syntax;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) yaml: Yaml,
    /// Nodes in it, aliases counted each time.
    size: usize,
    depth: usize,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(crate) enum Yaml {
    /// Nothing, `~` or `null`.
    Null,
    /// Something that could not be read; a problem says why.
    Broken,
    /// A scalar.
    Scalar(Scalar),
    /// A list.
    List(Vec<Rc<Node>>),
    /// A mapping, in the order of the file, keys unique.
    Map(Vec<(Key, Rc<Node>)>),
}

/// The text of a scalar, and whether it could be something else than text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    /// Whether it was written without quotes: only then can it be a number or a boolean.
    pub(crate) plain: bool,
}

/// A key of a mapping.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) span: Span,
    /// Whether it was written without quotes: only then can it be a number or a boolean.
    pub(crate) plain: bool,
}

/// More nodes than any configuration has: aliases of aliases.
const NODES_MAX: usize = 4_000_000;
/// Deeper than any configuration is.
const DEPTH_MAX: usize = 400;
/// How many lines are taken out before reading is given up.
const REPAIRS_MAX: usize = 40;

impl Node {
    pub(crate) fn null(span: Span) -> Rc<Node> {
        Rc::new(Node { span, yaml: Yaml::Null, size: 1, depth: 1 })
    }

    pub(crate) fn broken(span: Span) -> Rc<Node> {
        Rc::new(Node { span, yaml: Yaml::Broken, size: 1, depth: 1 })
    }

    pub(crate) fn scalar(span: Span, scalar: Scalar) -> Rc<Node> {
        Rc::new(Node { span, yaml: Yaml::Scalar(scalar), size: 1, depth: 1 })
    }

    pub(crate) fn list(span: Span, items: Vec<Rc<Node>>) -> Rc<Node> {
        let size = items.iter().fold(1usize, |sum, item| sum.saturating_add(item.size));
        let depth = 1 + items.iter().map(|item| item.depth).max().unwrap_or(0);
        Rc::new(Node { span, yaml: Yaml::List(items), size, depth })
    }

    pub(crate) fn map(span: Span, entries: Vec<(Key, Rc<Node>)>) -> Rc<Node> {
        let size = entries.iter().fold(1usize, |sum, (_, value)| sum.saturating_add(value.size));
        let depth = 1 + entries.iter().map(|(_, value)| value.depth).max().unwrap_or(0);
        Rc::new(Node { span, yaml: Yaml::Map(entries), size, depth })
    }

    #[cfg(test)]
    pub(crate) fn entry(&self, key: &str) -> Option<&(Key, Rc<Node>)> {
        match &self.yaml {
            Yaml::Map(entries) => entries.iter().find(|(k, _)| k.text == key),
            _ => None,
        }
    }

    /// What to mark for a problem with the value as a whole: of a mapping its first key.
    pub(crate) fn mark(&self) -> Span {
        match &self.yaml {
            Yaml::Map(entries) => entries.first().map_or(self.span, |(key, _)| key.span),
            Yaml::List(items) => items.first().map_or(self.span, |item| item.mark()),
            _ => self.span,
        }
    }
}

/// What became of a text.
pub(crate) struct Tree {
    /// The first document.
    pub(crate) root: Rc<Node>,
    /// Problems with the form.
    pub(crate) problems: Vec<Report>,
    /// Where a second document begins.
    pub(crate) second_document: Option<Span>,
}

/// Reads the first document of `source`, which is number `file`.
pub(crate) fn parse(source: &Source, file: usize) -> Tree {
    let mut text = source.text.clone();
    let mut broken: Vec<usize> = Vec::new();
    let mut problems = Vec::new();
    let mut repairs = 0;
    loop {
        let mut builder = Builder::new(file, &broken);
        match builder.run(&text) {
            Ok(()) => {
                let report = |m: Mistake| {
                    let first =
                        |span: Span| format!("the first is at line {}", source.place(span.start).line);
                    let hint = m.first.map(first).or(m.hint);
                    let (severity, marked) = (Severity::Error, Marked::Unread);
                    Report { severity, span: m.span, marked, path: String::new(), what: m.what, hint }
                };
                problems.extend(builder.mistakes.into_iter().map(report));
                let root = builder.root.unwrap_or_else(|| Node::null(Span { file, start: 0, end: 0 }));
                return Tree { root, problems, second_document: builder.second };
            }
            Err(error) => {
                let found = syntax::explain(source, &text, &error, file);
                problems.push(found.problem);
                repairs += 1;
                let Some(repair) = found.repair.filter(|_| repairs < REPAIRS_MAX) else {
                    let root = Node::broken(Span { file, start: 0, end: 0 });
                    return Tree { root, problems, second_document: None };
                };
                broken.extend(repair.broken);
                text = repair.text;
            }
        }
    }
}

struct Mistake {
    span: Span,
    what: String,
    hint: Option<String>,
    /// The place of what it collides with.
    first: Option<Span>,
}

enum Frame {
    List { start: usize, anchor: usize, items: Vec<Rc<Node>> },
    Map { start: usize, anchor: usize, entries: Vec<(Key, Rc<Node>)>, key: Option<PendingKey> },
}

/// A key that waits for its value; `None` for one that cannot be a key.
struct PendingKey {
    key: Option<Key>,
    merge: bool,
}

struct Builder<'a> {
    file: usize,
    broken: &'a [usize],
    stack: Vec<Frame>,
    anchors: HashMap<usize, Rc<Node>>,
    root: Option<Rc<Node>>,
    documents: usize,
    second: Option<Span>,
    mistakes: Vec<Mistake>,
    too_large: bool,
}

impl<'a> Builder<'a> {
    fn new(file: usize, broken: &'a [usize]) -> Self {
        Builder {
            file,
            broken,
            stack: Vec::new(),
            anchors: HashMap::new(),
            root: None,
            documents: 0,
            second: None,
            mistakes: Vec::new(),
            too_large: false,
        }
    }

    fn run(&mut self, text: &str) -> Result<(), ScanError> {
        // As libyaml reads, which the programs that wrote these files use.
        let options = granit_parser::options! {
            block_scalar_eof_without_line_feed: true,
            emit_unresolved_aliases: true,
            emit_comments: false,
        };
        for next in Parser::new_from_str_with_options(text, options) {
            let (event, place) = next?;
            let range = place.byte_range().unwrap_or_default();
            let span = Span { file: self.file, start: range.start, end: range.end };
            if let Event::DocumentStart(..) = event {
                self.documents += 1;
                if self.documents == 2 {
                    self.second = Some(span);
                }
            }
            // Only the first document counts; the others need not even be right.
            if self.documents > 1 {
                return Ok(());
            }
            self.event(event, span);
        }
        Ok(())
    }

    fn event(&mut self, event: Event<'_>, span: Span) {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let node = self.scalar(&text, style, tag.as_deref(), span);
                self.node(node, anchor, style == ScalarStyle::Plain && text == "<<");
            }
            Event::SequenceStart(_, anchor, _) => {
                self.stack.push(Frame::List { start: span.start, anchor, items: Vec::new() });
            }
            Event::MappingStart(_, anchor, _) => {
                self.stack.push(Frame::Map { start: span.start, anchor, entries: Vec::new(), key: None });
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(id) => {
                let node = self.anchors.get(&id).cloned();
                let node = node.unwrap_or_else(|| {
                    self.mistake(span, "this alias stands inside what it refers to", None);
                    Node::broken(span)
                });
                self.node(node, 0, false);
            }
            Event::UnresolvedAlias(name) => {
                let what = format!("`*{name}` refers to an anchor that does not exist");
                let hint =
                    format!("write `&{name}` in front of a value above, or quote the text: \"*{name}\"");
                self.mistake(span, what, Some(hint));
                self.node(Node::broken(span), 0, false);
            }
            _ => {}
        }
    }

    fn mistake(&mut self, span: Span, what: impl Into<String>, hint: Option<String>) {
        self.mistakes.push(Mistake { span, what: what.into(), hint, first: None });
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Rc<Node> {
        if self.broken.contains(&span.start) {
            return Node::broken(span);
        }
        let core = tag.and_then(|tag| tag.suffix_in_namespace("tag:yaml.org,2002:"));
        let core = core.as_deref();
        if core == Some("binary") {
            return self.binary(text, span);
        }
        let plain = style == ScalarStyle::Plain && core != Some("str");
        let null = matches!(text, "" | "~" | "null" | "Null" | "NULL");
        if core == Some("null") || (plain && null && core.is_none()) {
            return Node::null(span);
        }
        let plain = plain || matches!(core, Some("int" | "float" | "bool"));
        Node::scalar(span, Scalar { text: text.to_owned(), plain })
    }

    fn binary(&mut self, text: &str, span: Span) -> Rc<Node> {
        use base64::Engine as _;
        let packed: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        let Ok(bytes) = base64::engine::general_purpose::STANDARD.decode(packed) else {
            self.mistake(span, "the value of `!!binary` is not base64", None);
            return Node::broken(span);
        };
        match String::from_utf8(bytes) {
            Ok(text) => Node::scalar(span, Scalar { text, plain: false }),
            Err(_) => {
                self.mistake(span, "the value of `!!binary` is not UTF-8 text", None);
                Node::broken(span)
            }
        }
    }

    fn close(&mut self, end: Span) {
        let Some(frame) = self.stack.pop() else { return };
        let span = |start| Span { file: end.file, start, end: end.end.max(start) };
        let (node, anchor) = match frame {
            Frame::List { start, anchor, items } => (Node::list(span(start), items), anchor),
            Frame::Map { start, anchor, entries, .. } => {
                (Node::map(span(start), self.merge(entries)), anchor)
            }
        };
        self.node(node, anchor, false);
    }

    /// Puts a finished value where it belongs. `merge`: it is a plain `<<`.
    fn node(&mut self, node: Rc<Node>, anchor: usize, merge: bool) {
        let node = self.bounded(node);
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        match self.stack.last_mut() {
            None => self.root = Some(node),
            Some(Frame::List { items, .. }) => items.push(node),
            Some(Frame::Map { entries, key, .. }) => match key.take() {
                Some(PendingKey { key: Some(name), merge }) => {
                    let text = if merge { MERGE.to_owned() } else { name.text.clone() };
                    entries.push((Key { text, ..name }, node));
                }
                Some(PendingKey { key: None, .. }) => {}
                None => {
                    let text = match &node.yaml {
                        Yaml::Scalar(scalar) => Some(scalar.text.clone()),
                        Yaml::Null => Some("null".to_owned()),
                        _ => None,
                    };
                    let broken = matches!(node.yaml, Yaml::Broken);
                    let plain = match &node.yaml {
                        Yaml::Scalar(scalar) => scalar.plain,
                        _ => true,
                    };
                    let pending = text.map(|text| Key { text, span: node.span, plain });
                    if pending.is_none() && !broken {
                        self.mistakes.push(Mistake {
                            span: node.mark(),
                            what: "a key must be text, not a list or a mapping".to_owned(),
                            hint: Some("quote values that begin with `{` or `[`: \"{{ … }}\"".to_owned()),
                            first: None,
                        });
                    }
                    *key = Some(PendingKey { key: pending, merge });
                }
            },
        }
    }

    /// `node`, unless it is larger than any configuration.
    fn bounded(&mut self, node: Rc<Node>) -> Rc<Node> {
        if node.size <= NODES_MAX && node.depth <= DEPTH_MAX {
            return node;
        }
        if !self.too_large {
            self.too_large = true;
            let what = if node.depth > DEPTH_MAX {
                format!("values stand more than {DEPTH_MAX} levels deep")
            } else {
                format!("aliases make more than {NODES_MAX} values out of this")
            };
            self.mistake(node.mark(), what, None);
        }
        Node::broken(node.span)
    }

    /// Finds keys that stand twice, and fills in what `<<` brings.
    fn merge(&mut self, entries: Vec<(Key, Rc<Node>)>) -> Vec<(Key, Rc<Node>)> {
        let mut seen: HashMap<String, Span> = HashMap::new();
        let mut out: Vec<(Key, Rc<Node>)> = Vec::with_capacity(entries.len());
        let mut merges: Vec<Rc<Node>> = Vec::new();
        for (key, value) in entries {
            if key.text == MERGE {
                merges.push(value);
            } else if let Some(first) = seen.get(&key.text) {
                let what = format!("key `{}` is set twice in this mapping", key.text);
                self.mistakes.push(Mistake { span: key.span, what, hint: None, first: Some(*first) });
            } else {
                seen.insert(key.text.clone(), key.span);
                out.push((key, value));
            }
        }
        let mut names: HashSet<String> = seen.into_keys().collect();
        for value in merges {
            self.merge_one(&value, &mut out, &mut names);
        }
        out
    }

    fn merge_one(&mut self, value: &Node, out: &mut Vec<(Key, Rc<Node>)>, names: &mut HashSet<String>) {
        match &value.yaml {
            Yaml::Map(entries) => {
                for (key, value) in entries {
                    if names.insert(key.text.clone()) {
                        out.push((key.clone(), Rc::clone(value)));
                    }
                }
            }
            Yaml::List(items) => {
                for item in items {
                    self.merge_one(item, out, names);
                }
            }
            Yaml::Broken => {}
            _ => self.mistake(value.span, "`<<` takes a mapping or a list of mappings", None),
        }
    }
}

/// Stands for a plain `<<` key until the mapping is complete. No key of a file can be this: it is not valid YAML text.
const MERGE: &str = "\u{0}<<";
