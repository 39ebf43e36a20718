//! Whether a template makes a page whichever way it goes: checked before it runs.
//!
//! In: a template and those that it uses. Out: nothing, or the first mistake. Each value must stand in one place of the page
//! whatever was true before it, since its place decides how it is escaped: branches end where their other side ends, and a
//! round of a loop ends where the next one may begin. Source: the documentation of Go's package `html/template`.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::ast::{Branch, Command, Node, OperandKind, Pipe};
use super::html::{Context, Html};
use super::value::Value;
use super::{Library, Template};
use crate::TemplateError;

/// Templates that use each other are followed this deep.
const DEPTH_MAX: usize = 200;

/// Checks a template, and all that it uses where it uses them.
pub(crate) fn check_page(library: &Library, template: &Template) -> Result<(), TemplateError> {
    let mut checker = Checker {
        library,
        template,
        last: 0,
        depth: 0,
        ends: BTreeMap::new(),
        used: Vec::new(),
        loops: Vec::new(),
    };
    let end = checker.list(Some(Html::default()), &template.nodes)?;
    match end.as_ref().and_then(Html::unfinished) {
        Some(place) => {
            let at = template.source.text.len();
            Err(template.source.error(at, None, format!("the page ends inside of {place}")))
        }
        None => Ok(()),
    }
}

/// Where the page is; `None` behind a `break` or a `continue`.
type Reached = Option<Html>;

/// A template and where it begins.
type Use<'a> = (&'a str, Context);

struct Checker<'a> {
    library: &'a Library,
    template: &'a Template,
    /// The last place in the template that is known.
    last: usize,
    depth: usize,
    /// Where templates end, by where they begin. Of those that are being followed, where they are taken to end.
    ends: BTreeMap<Use<'a>, Reached>,
    /// Those of which somebody asked where they end.
    used: Vec<Use<'a>>,
    /// Of each loop, the innermost last: where it was left early.
    loops: Vec<Vec<Html>>,
}

impl<'a> Checker<'a> {
    fn error<T>(&self, message: impl Into<String>) -> Result<T, TemplateError> {
        Err(self.template.source.error(self.last, None, message.into()))
    }

    fn list(&mut self, mut at: Reached, nodes: &'a [Node]) -> Result<Reached, TemplateError> {
        for node in nodes {
            let Some(html) = at else { break };
            at = self.node(html, node)?;
        }
        Ok(at)
    }

    fn node(&mut self, mut html: Html, node: &'a Node) -> Result<Reached, TemplateError> {
        match node {
            Node::Text(text) => {
                html.text(text, &mut String::new());
                if let Some(problem) = html.problem() {
                    return self.error(problem);
                }
            }
            Node::Action(pipe) => {
                self.last = pipe.at;
                if pipe.targets.is_empty() {
                    self.value(&mut html, pipe)?;
                }
            }
            Node::If(branch) => return self.branch(html, branch, "if"),
            Node::With(branch) => return self.branch(html, branch, "with"),
            Node::Range(branch) => return self.range(html, branch),
            Node::Template { at, name, .. } => {
                self.last = *at;
                return self.template(html, name);
            }
            Node::Break | Node::Continue => {
                if let Some(left) = self.loops.last_mut() {
                    left.push(html);
                }
                return Ok(None);
            }
        }
        Ok(Some(html))
    }

    fn value(&self, html: &mut Html, pipe: &Pipe) -> Result<(), TemplateError> {
        html.nudge();
        if html.is_ambiguous() {
            return self.error(
                "it depends on what came before whether this value stands in the query of the link, and so how it is escaped",
            );
        }
        // `html` and `urlquery` at the end of a pipeline are a part of the escaping; before it they would escape twice.
        let last = pipe.commands.len().saturating_sub(1);
        for (i, command) in pipe.commands.iter().enumerate() {
            let Some(name) = escaper(command) else { continue };
            if i < last || (name == "html" && html.is_unquoted_value()) {
                return self.error(format!("`{name}` must not stand here: the page escapes values"));
            }
        }
        html.value(&Value::str(""), &mut String::new());
        Ok(())
    }

    fn branch(
        &mut self,
        html: Html,
        branch: &'a Branch,
        name: &'static str,
    ) -> Result<Reached, TemplateError> {
        let at = branch.pipe.at;
        let then = self.list(Some(html.clone()), &branch.then)?;
        let otherwise = self.list(Some(html), &branch.otherwise)?;
        self.last = at;
        self.join(then, otherwise, name)
    }

    fn range(&mut self, html: Html, branch: &'a Branch) -> Result<Reached, TemplateError> {
        let at = branch.pipe.at;
        let once = self.round(Some(html.clone()), branch)?;
        // Another round begins where this one ended, and must end there, too.
        let twice = self.round(once.clone(), branch)?;
        self.last = at;
        let rounds = self.join(once, twice, "range")?;
        let otherwise = self.list(Some(html), &branch.otherwise)?;
        self.last = at;
        self.join(rounds, otherwise, "range")
    }

    fn round(&mut self, begin: Reached, branch: &'a Branch) -> Result<Reached, TemplateError> {
        self.loops.push(Vec::new());
        let mut end = self.list(begin, &branch.then)?;
        self.last = branch.pipe.at;
        for left in self.loops.pop().unwrap_or_default() {
            end = self.join(end, Some(left), "range")?;
        }
        Ok(end)
    }

    fn join(&self, a: Reached, b: Reached, name: &str) -> Result<Reached, TemplateError> {
        let (Some(one), Some(other)) = (&a, &b) else { return Ok(a.or(b)) };
        match one.clone().join(other) {
            Some(both) => Ok(Some(both)),
            None => self.error(format!(
                "the ways through this `{name}` end in different places of the page: {} and {}",
                one.place(),
                other.place()
            )),
        }
    }

    /// Where the page is after a template that is used here.
    fn template(&mut self, html: Html, name: &'a str) -> Result<Reached, TemplateError> {
        let begin = (name, html.context());
        if let Entry::Occupied(end) = self.ends.entry(begin.clone()) {
            self.used.push(begin);
            return Ok(end.get().clone());
        }
        let Some(template) = self.library.get(name) else {
            return self.error(format!("there is no template `{name}`"));
        };
        if self.depth >= DEPTH_MAX {
            return self.error(format!("templates nested deeper than {DEPTH_MAX} levels"));
        }
        // One that uses itself is taken to end where it begins; if that is wrong, where it ended under that assumption.
        let mut taken = Some(html.clone());
        for _ in 0..2 {
            let end = self.body(&begin, html.clone(), taken.clone(), template)?;
            let key = |reached: &Reached| reached.as_ref().map(Html::context);
            if !self.used.contains(&begin) || key(&end) == key(&taken) {
                self.ends.insert(begin, end.clone());
                return Ok(end);
            }
            taken = end;
        }
        self.error(format!("`{name}` uses itself, and it is not to be known where in the page it ends"))
    }

    /// Follows a template's body, with `taken` as the end of those uses of it that are within.
    fn body(
        &mut self,
        begin: &Use<'a>,
        html: Html,
        taken: Reached,
        template: &'a Template,
    ) -> Result<Reached, TemplateError> {
        self.used.retain(|used| used != begin);
        self.ends.insert(begin.clone(), taken);
        let (outer, last) = (std::mem::replace(&mut self.template, template), self.last);
        let loops = std::mem::take(&mut self.loops);
        self.depth += 1;
        let end = self.list(Some(html), &template.nodes)?;
        self.depth -= 1;
        (self.template, self.last, self.loops) = (outer, last, loops);
        Ok(end)
    }
}

/// Which of the functions that escape, if it is one.
pub(crate) fn escaper(command: &Command) -> Option<&'static str> {
    match command.operands.first().map(|first| &first.kind) {
        Some(OperandKind::Function(function)) if matches!(function.name, "html" | "urlquery") => {
            Some(function.name)
        }
        _ => None,
    }
}
