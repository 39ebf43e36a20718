//! Fills a parsed template in.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Timestamp, Vector};

use super::ast::{Branch, Command, Node, Number, Operand, OperandKind, Pipe};
use super::builtin::one_text;
use super::function::{Function, Work};
use super::html::Html;
use super::page_check::{check_page, escaper};
use super::printf::{sprint_pointed_to, sprint_value};
use super::time::DURATION;
use super::value::{INT, Param, URL, Value};
use super::{Library, Template};
use crate::TemplateError;

/// Blocks and templates may be entered this deep. A template that uses itself without end is a mistake, not a crash.
const DEPTH_MAX: usize = 200;
/// Nodes and calls of one expansion.
const STEPS_MAX: usize = 2_000_000;
/// Bytes of one expansion, and of any text on the way.
pub(crate) const OUTPUT_BYTES_MAX: usize = 8 << 20;

/// What a key gives that a map does not have, and what a field of nothing is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum MissingKey {
    /// What the map's type has for it: the empty text for labels.
    #[default]
    Zero,
    /// An error.
    Error,
}

/// How the result is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Values as they are.
    Text,
    /// Values escaped as their place in an HTML page needs.
    Html,
}

/// What functions may ask of the world around an expansion.
pub(crate) struct World<'a> {
    pub(crate) now: Timestamp,
    pub(crate) external_url: &'a str,
    pub(crate) query: Option<&'a mut dyn FnMut(&str) -> Result<Vector, String>>,
    /// Labels of the route, and whether their own templates are filled in.
    pub(crate) route_labels: Option<(&'a BTreeMap<String, String>, bool)>,
}

/// One expansion.
pub(crate) struct Executor<'a, 'w> {
    library: &'a Library,
    pub(crate) world: World<'w>,
    missing_key: MissingKey,
    root: Value,
    out: String,
    html: Option<Html>,
    variables: Vec<(String, Value)>,
    template: &'a Template,
    depth: usize,
    steps: usize,
}

/// How a node ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

/// Everything an expansion starts from.
pub(crate) struct Start<'a> {
    pub(crate) library: &'a Library,
    pub(crate) template: &'a Template,
    pub(crate) data: Value,
    /// Variables besides `$`, with their `$`.
    pub(crate) variables: Vec<(String, Value)>,
    pub(crate) mode: Mode,
    pub(crate) missing_key: MissingKey,
}

/// Fills in a template.
pub(crate) fn execute(start: Start<'_>, world: World<'_>) -> Result<String, TemplateError> {
    let Start { library, template, data, variables, mode, missing_key } = start;
    if mode == Mode::Html {
        check_page(library, template)?;
    }
    let mut all = vec![("$".to_owned(), data.clone())];
    all.extend(variables);
    let mut executor = Executor {
        library,
        world,
        missing_key,
        root: data.clone(),
        out: String::new(),
        html: (mode == Mode::Html).then(Html::default),
        variables: all,
        template,
        depth: 0,
        steps: 0,
    };
    executor.list(&data, &template.nodes)?;
    Ok(executor.out)
}

impl<'a> Executor<'a, '_> {
    /// The data of the whole expansion.
    pub(crate) fn root(&self) -> &Value {
        &self.root
    }

    fn error(&self, operand: &Operand, message: impl Into<String>) -> TemplateError {
        self.template.source.error(operand.at, Some(operand.to_string()), message.into())
    }

    fn error_at(&self, at: usize, message: impl Into<String>) -> TemplateError {
        self.template.source.error(at, None, message.into())
    }

    fn step(&mut self, at: usize) -> Result<(), TemplateError> {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return Err(self.error_at(at, format!("gave up after {STEPS_MAX} steps; does a loop end?")));
        }
        if self.out.len() > OUTPUT_BYTES_MAX {
            return Err(self.error_at(at, format!("the result is longer than {OUTPUT_BYTES_MAX} bytes")));
        }
        Ok(())
    }

    fn list(&mut self, dot: &Value, nodes: &'a [Node]) -> Result<Flow, TemplateError> {
        self.depth += 1;
        let mut flow = Flow::Next;
        for node in nodes {
            flow = self.node(dot, node)?;
            if flow != Flow::Next {
                break;
            }
        }
        self.depth -= 1;
        Ok(flow)
    }

    fn node(&mut self, dot: &Value, node: &'a Node) -> Result<Flow, TemplateError> {
        match node {
            Node::Text(text) => match &mut self.html {
                Some(html) => html.text(text, &mut self.out),
                None => self.out.push_str(text),
            },
            Node::Action(pipe) => {
                if self.html.is_some() && pipe.targets.is_empty() {
                    return self.page_value(dot, pipe).map(|()| Flow::Next);
                }
                let value = self.pipeline(dot, pipe)?;
                if pipe.targets.is_empty() {
                    sprint_value(&value, &mut self.out);
                }
            }
            Node::If(branch) => return self.branch(dot, branch, false),
            Node::With(branch) => return self.branch(dot, branch, true),
            Node::Range(branch) => return self.range(dot, branch),
            Node::Template { at, name, pipe } => self.template(dot, *at, name, pipe.as_ref())?,
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    /// A value in a page. `html` and `urlquery` at the end of its pipeline are a part of the escaping: where the place
    /// asks for just that, the value is escaped once.
    fn page_value(&mut self, dot: &Value, pipe: &'a Pipe) -> Result<(), TemplateError> {
        let last_escaper = pipe.commands.last().and_then(escaper);
        let as_text = last_escaper == Some("html") && self.html.as_ref().is_some_and(Html::escapes_as_text);
        if let (true, Some((last, before))) = (as_text, pipe.commands.split_last()) {
            self.step(pipe.at)?;
            let mut values = Vec::new();
            let mut piped = None;
            for command in before {
                piped = Some(self.command(dot, command, piped.take())?);
            }
            for operand in last.operands.iter().skip(1) {
                values.push(self.operand(dot, operand)?);
            }
            values.extend(piped);
            let text = one_text(&values);
            if let Some(html) = &mut self.html {
                html.text_value(&text, &mut self.out);
            }
            return Ok(());
        }
        let mut value = self.pipeline(dot, pipe)?;
        if let Some(html) = &mut self.html {
            if last_escaper == Some("urlquery") && html.is_query() {
                value = Value::Str(sprint_pointed_to(&[value]).into(), &URL);
            }
            html.value(&value, &mut self.out);
        }
        Ok(())
    }

    fn branch(&mut self, dot: &Value, branch: &'a Branch, is_with: bool) -> Result<Flow, TemplateError> {
        let scope = self.variables.len();
        let value = self.pipeline(dot, &branch.pipe)?;
        let flow = if value.is_true() {
            self.list(if is_with { &value } else { dot }, &branch.then)
        } else {
            self.list(dot, &branch.otherwise)
        };
        self.variables.truncate(scope);
        flow
    }

    fn range(&mut self, dot: &Value, branch: &'a Branch) -> Result<Flow, TemplateError> {
        let scope = self.variables.len();
        let value = self.pipeline(dot, &branch.pipe)?;
        let flow = self.range_over(dot, branch, &value);
        self.variables.truncate(scope);
        flow
    }

    fn range_over(&mut self, dot: &Value, branch: &'a Branch, value: &Value) -> Result<Flow, TemplateError> {
        let mut any = false;
        let mut each = |executor: &mut Self, key: Value, element: Value| {
            any = true;
            executor.round(branch, key, element)
        };
        match value {
            Value::List(list) => {
                for (i, element) in list.items.iter().enumerate() {
                    if each(self, Value::int(i64::try_from(i).unwrap_or(i64::MAX)), element.clone())?
                        == Flow::Break
                    {
                        break;
                    }
                }
            }
            Value::Map(map) => {
                for (name, element) in &map.entries {
                    if each(self, Value::str(name.as_str()), element.clone())? == Flow::Break {
                        break;
                    }
                }
            }
            Value::Int(..) | Value::Uint(..) if branch.pipe.targets.len() > 1 => {
                return Err(self.error_at(branch.pipe.at, "`range` over a number takes one variable"));
            }
            Value::Int(count, ty) => {
                for i in 0..*count {
                    if each(self, Value::Int(i, ty), Value::Int(i, ty))? == Flow::Break {
                        break;
                    }
                }
            }
            Value::Uint(count, ty) => {
                for i in 0..*count {
                    if each(self, Value::Uint(i, ty), Value::Uint(i, ty))? == Flow::Break {
                        break;
                    }
                }
            }
            Value::Missing | Value::Nil => {}
            other => {
                let message = format!("`range` cannot go over {}", other.with_article());
                return Err(self.error_at(branch.pipe.at, message));
            }
        }
        if any { Ok(Flow::Next) } else { self.list(dot, &branch.otherwise) }
    }

    /// One round of a loop.
    fn round(&mut self, branch: &'a Branch, key: Value, element: Value) -> Result<Flow, TemplateError> {
        self.step(branch.pipe.at)?;
        let scope = self.variables.len();
        let values = match branch.pipe.targets.len() {
            2 => vec![key, element.clone()],
            _ => vec![element.clone()],
        };
        for (name, value) in branch.pipe.targets.iter().zip(values) {
            self.set_variable(branch.pipe.at, name, value, branch.pipe.assign)?;
        }
        let flow = self.list(&element, &branch.then);
        self.variables.truncate(scope);
        flow
    }

    fn template(
        &mut self,
        dot: &Value,
        at: usize,
        name: &str,
        pipe: Option<&'a Pipe>,
    ) -> Result<(), TemplateError> {
        self.step(at)?;
        let data = match pipe {
            Some(pipe) => self.pipeline(dot, pipe)?,
            None => Value::Missing,
        };
        let Some(template) = self.library.get(name) else {
            return Err(self.error_at(at, format!("there is no template `{name}`")));
        };
        if self.depth >= DEPTH_MAX {
            let message = format!("nested deeper than {DEPTH_MAX} levels; does `{name}` use itself?");
            return Err(self.error_at(at, message));
        }
        self.inside(template, data)
    }

    /// Runs another template here, with its own variables.
    fn inside(&mut self, template: &'a Template, data: Value) -> Result<(), TemplateError> {
        let variables = std::mem::replace(&mut self.variables, vec![("$".to_owned(), data.clone())]);
        let caller = std::mem::replace(&mut self.template, template);
        let depth = self.depth;
        let result = self.list(&data, &template.nodes);
        // An error leaves it where it was raised.
        self.depth = depth;
        self.template = caller;
        self.variables = variables;
        result.map(|_| ())
    }

    /// The result of a named template, as a text.
    pub(crate) fn run_named(&mut self, name: &str, data: Value) -> Result<String, String> {
        let Some(template) = self.library.get(name) else {
            return Err(format!("there is no template `{name}`"));
        };
        self.run_aside(template, data)
    }

    /// The result of a text that is a template itself.
    pub(crate) fn run_text(&mut self, template: &Template, data: Value) -> Result<String, String> {
        if self.depth >= DEPTH_MAX {
            return Err(format!("nested deeper than {DEPTH_MAX} levels; does it use itself?"));
        }
        let mut aside = Executor {
            library: self.library,
            world: World {
                now: self.world.now,
                external_url: self.world.external_url,
                query: None,
                route_labels: self.world.route_labels,
            },
            missing_key: self.missing_key,
            root: self.root.clone(),
            out: String::new(),
            html: None,
            variables: vec![("$".to_owned(), data.clone())],
            template,
            depth: self.depth + 1,
            steps: self.steps,
        };
        let result = aside.list(&data, &template.nodes);
        let (out, steps) = (aside.out, aside.steps);
        self.steps = steps;
        result.map(|_| out).map_err(|error| error.to_string())
    }

    fn run_aside(&mut self, template: &'a Template, data: Value) -> Result<String, String> {
        if self.depth >= DEPTH_MAX {
            return Err(format!("nested deeper than {DEPTH_MAX} levels; does it use itself?"));
        }
        let out = std::mem::take(&mut self.out);
        let html = self.html.take();
        self.html = html.as_ref().map(|_| Html::default());
        let result = self.inside(template, data);
        self.html = html;
        let result_text = std::mem::replace(&mut self.out, out);
        result.map(|()| result_text).map_err(|error| error.to_string())
    }

    fn set_variable(
        &mut self,
        at: usize,
        name: &str,
        value: Value,
        assign: bool,
    ) -> Result<(), TemplateError> {
        if !assign {
            self.variables.push((name.to_owned(), value));
            return Ok(());
        }
        match self.variables.iter_mut().rev().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => return Err(self.error_at(at, format!("undefined variable `{name}`; write `:=`"))),
        }
        Ok(())
    }

    fn pipeline(&mut self, dot: &Value, pipe: &'a Pipe) -> Result<Value, TemplateError> {
        self.step(pipe.at)?;
        let mut last = None;
        for command in &pipe.commands {
            last = Some(self.command(dot, command, last.take())?);
        }
        // What a pipeline hands on is the value itself: an empty interface is nothing.
        let value = match last {
            None | Some(Value::Nil) => Value::Missing,
            Some(value) => value,
        };
        // Two variables are those of a loop, and set in each round.
        if let [name] = pipe.targets.as_slice() {
            self.set_variable(pipe.at, name, value.clone(), pipe.assign)?;
        }
        Ok(value)
    }

    fn command(
        &mut self,
        dot: &Value,
        command: &'a Command,
        last: Option<Value>,
    ) -> Result<Value, TemplateError> {
        let Some((first, arguments)) = command.operands.split_first() else { return Ok(Value::Missing) };
        match &first.kind {
            OperandKind::Field(names) => self.fields(dot, first, dot.clone(), names, arguments, last),
            OperandKind::Variable(name, names) if !names.is_empty() => {
                let value = self.variable(first, name)?;
                self.fields(dot, first, value, names, arguments, last)
            }
            OperandKind::Chain(of, names) => {
                let value = self.operand(dot, of)?;
                self.fields(dot, first, value, names, arguments, last)
            }
            OperandKind::Function(function) => self.function(dot, first, function, arguments, last),
            _ if !arguments.is_empty() || last.is_some() => {
                Err(self.error(first, "it takes no arguments: it is not a function"))
            }
            OperandKind::Nil => Err(self.error(first, "nothing can be done with `nil` alone")),
            _ => self.operand(dot, first),
        }
    }

    fn variable(&self, operand: &Operand, name: &str) -> Result<Value, TemplateError> {
        let known = self.variables.iter().rev().find(|(known, _)| known == name);
        let value = known.map(|(_, value)| value.clone());
        value.ok_or_else(|| self.error(operand, "the variable has no value here"))
    }

    /// An operand without arguments.
    fn operand(&mut self, dot: &Value, operand: &'a Operand) -> Result<Value, TemplateError> {
        match &operand.kind {
            OperandKind::Dot => Ok(dot.clone()),
            OperandKind::Nil => Ok(Value::Missing),
            OperandKind::Bool(value) => Ok(Value::Bool(*value)),
            OperandKind::Number { value, .. } => Ok(match value {
                Number::Int(value) => Value::int(*value),
                Number::Uint(_) => return Err(self.error(operand, "the number is too large for an int")),
                Number::Float(value) => Value::Float(*value),
            }),
            OperandKind::Text { value, .. } => Ok(Value::str(Arc::clone(value))),
            OperandKind::Field(names) => self.fields(dot, operand, dot.clone(), names, &[], None),
            OperandKind::Variable(name, names) => {
                let value = self.variable(operand, name)?;
                self.fields(dot, operand, value, names, &[], None)
            }
            OperandKind::Chain(of, names) => {
                let value = self.operand(dot, of)?;
                self.fields(dot, operand, value, names, &[], None)
            }
            OperandKind::Function(function) => self.function(dot, operand, function, &[], None),
            OperandKind::Pipe(pipe) => self.pipeline(dot, pipe),
        }
    }

    /// An operand as an argument: a number as it is written has the type that is wanted, if it fits.
    fn argument(&mut self, dot: &Value, operand: &'a Operand, param: Param) -> Result<Value, TemplateError> {
        let ty = match param {
            Param::Int => &INT,
            Param::Duration => &DURATION,
            _ => return self.operand(dot, operand),
        };
        let whole = match operand.kind {
            OperandKind::Number { value: Number::Int(value), .. } => Some(value),
            OperandKind::Number { value: Number::Float(value), .. } => {
                let whole = value as i64;
                (whole as f64 == value).then_some(whole)
            }
            _ => None,
        };
        match whole {
            Some(value) => Ok(Value::Int(value, ty)),
            None => self.operand(dot, operand),
        }
    }

    /// `.a.b.c` of a value; the arguments are for the last name.
    fn fields(
        &mut self,
        dot: &Value,
        operand: &'a Operand,
        value: Value,
        names: &'a [String],
        arguments: &'a [Operand],
        last: Option<Value>,
    ) -> Result<Value, TemplateError> {
        let Some((final_name, path)) = names.split_last() else { return Ok(value) };
        let mut value = value;
        for name in path {
            value = self.field(operand, &value, name, Vec::new())?;
        }
        let method = value.named_type().and_then(|ty| ty.method(final_name));
        let mut values = Vec::with_capacity(arguments.len() + 1);
        for (i, argument) in arguments.iter().enumerate() {
            let param = method.and_then(|method| method.params.get(i).copied());
            values.push(self.argument(dot, argument, param.unwrap_or(Param::Any))?);
        }
        values.extend(last);
        self.field(operand, &value, final_name, values)
    }

    fn field(
        &mut self,
        operand: &Operand,
        receiver: &Value,
        name: &str,
        arguments: Vec<Value>,
    ) -> Result<Value, TemplateError> {
        match receiver {
            Value::Missing if self.missing_key == MissingKey::Error => {
                return Err(self.error(operand, format!("there is no data, so it has no `{name}`")));
            }
            Value::Missing => return Ok(Value::Missing),
            Value::Nil => return Err(self.error(operand, format!("nothing has no field `{name}`"))),
            _ => {}
        }
        if let Some(method) = receiver.named_type().and_then(|ty| ty.method(name)) {
            if arguments.len() != method.params.len() {
                let (wanted, got) = (method.params.len(), arguments.len());
                return Err(self.error(operand, format!("`{name}` takes {wanted} arguments, not {got}")));
            }
            for (argument, param) in arguments.iter().zip(method.params) {
                self.check_param(operand, *param, argument)?;
            }
            let called = (method.call)(receiver, &arguments);
            return called.map_err(|message| self.error(operand, format!("{name}: {message}")));
        }
        let no_arguments = |value: Value| match arguments.is_empty() {
            true => Ok(value),
            false => Err(self.error(operand, format!("`{name}` takes no arguments: it is not a method"))),
        };
        match receiver {
            Value::Map(map) => match map.entries.get(name) {
                Some(value) => no_arguments(value.clone()),
                None if self.missing_key == MissingKey::Error => {
                    Err(self.error(operand, format!("the map has no entry `{name}`")))
                }
                None => no_arguments(map.get(name)),
            },
            _ => match receiver.field(name) {
                Some(value) => no_arguments(value.clone()),
                None => {
                    let hint = known_names(receiver);
                    let message =
                        format!("{} has no field or method `{name}`{hint}", receiver.with_article());
                    Err(self.error(operand, message))
                }
            },
        }
    }

    fn check_param(&self, operand: &Operand, param: Param, value: &Value) -> Result<(), TemplateError> {
        if param.takes(value) {
            return Ok(());
        }
        let got = if value.is_nothing() { "nothing" } else { value.type_name() };
        Err(self.error(operand, format!("expected {}, got {got}", param.expects())))
    }

    fn function(
        &mut self,
        dot: &Value,
        operand: &'a Operand,
        function: &'static Function,
        arguments: &'a [Operand],
        last: Option<Value>,
    ) -> Result<Value, TemplateError> {
        self.step(operand.at)?;
        let count = arguments.len() + usize::from(last.is_some());
        if let Some(wanted) = function.wrong_count(count) {
            let message = format!("`{}` takes {wanted} arguments, not {count}", function.name);
            return Err(self.error(operand, message));
        }
        let call = match function.work {
            Work::And => return self.decide(dot, arguments, last, false),
            Work::Or => return self.decide(dot, arguments, last, true),
            Work::Call(call) => call,
        };
        let mut values = Vec::with_capacity(count);
        for (i, argument) in arguments.iter().enumerate() {
            let param = function.param(i).unwrap_or(Param::Any);
            let value = self.argument(dot, argument, param)?;
            self.check_param(argument, param, &value)?;
            values.push(value);
        }
        if let Some(last) = last {
            self.check_param(operand, function.param(arguments.len()).unwrap_or(Param::Any), &last)?;
            values.push(last);
        }
        call(self, &values).map_err(|message| self.error(operand, message))
    }

    /// `and` and `or`: arguments from left to right until one is `stop`; the result is the last one looked at.
    fn decide(
        &mut self,
        dot: &Value,
        arguments: &'a [Operand],
        last: Option<Value>,
        stop: bool,
    ) -> Result<Value, TemplateError> {
        let mut value = Value::Missing;
        for argument in arguments {
            value = self.operand(dot, argument)?;
            if value.is_true() == stop {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }
}

/// What a value does have, for the one who asked for something else.
fn known_names(value: &Value) -> String {
    let Some(ty) = value.named_type() else { return String::new() };
    let names: Vec<&str> =
        ty.fields.iter().map(|(name, _)| *name).chain(ty.methods.iter().map(|method| method.name)).collect();
    if names.is_empty() || names.len() > 16 {
        String::new()
    } else {
        format!("; it has {}", names.join(", "))
    }
}
