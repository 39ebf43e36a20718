//! The parsed form of a template. Positions are byte offsets into the template's text.

use std::fmt;
use std::sync::Arc;

use super::function::Function;

/// A sequence.
pub(crate) type Nodes = Vec<Node>;

#[derive(Clone, Debug)]
pub(crate) enum Node {
    Text(Arc<str>),
    /// `{{ pipeline }}`
    Action(Pipe),
    If(Branch),
    With(Branch),
    Range(Branch),
    Template {
        at: usize,
        name: String,
        pipe: Option<Pipe>,
    },
    Break,
    Continue,
}

/// A pipeline, what happens if it is true, and what if not.
#[derive(Clone, Debug)]
pub(crate) struct Branch {
    pub(crate) pipe: Pipe,
    pub(crate) then: Nodes,
    pub(crate) otherwise: Nodes,
}

/// Commands, each of which gets the result of the one before as its last argument.
#[derive(Clone, Debug)]
pub(crate) struct Pipe {
    pub(crate) at: usize,
    /// Variables that get the result; `range` takes two.
    pub(crate) targets: Vec<String>,
    /// Whether they exist already: `=`, not `:=`.
    pub(crate) assign: bool,
    pub(crate) commands: Vec<Command>,
}

/// An operand and its arguments.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    pub(crate) operands: Vec<Operand>,
}

#[derive(Clone, Debug)]
pub(crate) struct Operand {
    pub(crate) at: usize,
    pub(crate) kind: OperandKind,
}

#[derive(Clone, Debug)]
pub(crate) enum OperandKind {
    Dot,
    Nil,
    Bool(bool),
    Number {
        value: Number,
        written: String,
    },
    Text {
        value: Arc<str>,
        written: String,
    },
    /// `.a.b`
    Field(Vec<String>),
    /// `$x.a.b`
    Variable(String, Vec<String>),
    Function(&'static Function),
    /// `(…)`
    Pipe(Pipe),
    /// `(…).a.b`, and fields of anything else.
    Chain(Box<Operand>, Vec<String>),
}

/// A number as it was written: a constant, until it meets something that has a type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Int(i64),
    /// Too large for a signed one.
    Uint(u64),
    Float(f64),
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = |f: &mut fmt::Formatter<'_>, names: &[String]| {
            names.iter().try_for_each(|name| write!(f, ".{name}"))
        };
        match &self.kind {
            OperandKind::Dot => f.write_str("."),
            OperandKind::Nil => f.write_str("nil"),
            OperandKind::Bool(value) => write!(f, "{value}"),
            OperandKind::Number { written, .. } | OperandKind::Text { written, .. } => f.write_str(written),
            OperandKind::Field(names) => fields(f, names),
            OperandKind::Variable(name, names) => {
                f.write_str(name)?;
                fields(f, names)
            }
            OperandKind::Function(function) => f.write_str(function.name),
            OperandKind::Pipe(pipe) => write!(f, "({pipe})"),
            OperandKind::Chain(of, names) => {
                write!(f, "{of}")?;
                fields(f, names)
            }
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, operand) in self.operands.iter().enumerate() {
            let space = if i > 0 { " " } else { "" };
            write!(f, "{space}{operand}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.targets.is_empty() {
            write!(f, "{} {} ", self.targets.join(", "), if self.assign { "=" } else { ":=" })?;
        }
        for (i, command) in self.commands.iter().enumerate() {
            let pipe = if i > 0 { " | " } else { "" };
            write!(f, "{pipe}{command}")?;
        }
        Ok(())
    }
}
