//! Functions and who knows which.

use super::builtin::BUILTINS;
use super::exec::Executor;
use super::value::{Param, Value};
use crate::{notification_functions::NOTIFICATION_FUNCTIONS, rule_functions::RULE_FUNCTIONS};

/// A function of templates.
pub(crate) struct Function {
    pub(crate) name: &'static str,
    /// What it takes, in order.
    pub(crate) params: &'static [Param],
    /// What it takes any number of behind that.
    pub(crate) rest: Option<Param>,
    pub(crate) work: Work,
}

/// How a function is computed.
pub(crate) enum Work {
    /// Arguments from left to right until one is false.
    And,
    /// Arguments from left to right until one is true.
    Or,
    /// All arguments first.
    Call(fn(&mut Executor<'_, '_>, &[Value]) -> Result<Value, String>),
}

impl Function {
    pub(crate) const fn new(
        name: &'static str,
        params: &'static [Param],
        call: fn(&mut Executor<'_, '_>, &[Value]) -> Result<Value, String>,
    ) -> Self {
        Function { name, params, rest: None, work: Work::Call(call) }
    }

    pub(crate) const fn variadic(
        name: &'static str,
        params: &'static [Param],
        rest: Param,
        call: fn(&mut Executor<'_, '_>, &[Value]) -> Result<Value, String>,
    ) -> Self {
        Function { name, params, rest: Some(rest), work: Work::Call(call) }
    }

    /// What argument number `index` must be.
    pub(crate) fn param(&self, index: usize) -> Option<Param> {
        self.params.get(index).copied().or(self.rest)
    }

    /// How many arguments it wants, if `count` is wrong.
    pub(crate) fn wrong_count(&self, count: usize) -> Option<String> {
        let wanted = self.params.len();
        match self.rest {
            Some(_) if count < wanted => Some(format!("at least {wanted}")),
            None if count != wanted => Some(wanted.to_string()),
            _ => None,
        }
    }
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Which functions there are besides the built-in ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Those of labels and annotations.
    Rules,
    /// Those of messages.
    Notifications,
}

impl Dialect {
    fn functions(self) -> impl Iterator<Item = &'static Function> {
        let own = match self {
            Dialect::Rules => RULE_FUNCTIONS,
            Dialect::Notifications => NOTIFICATION_FUNCTIONS,
        };
        own.iter().chain(BUILTINS)
    }

    pub(crate) fn function(self, name: &str) -> Option<&'static Function> {
        self.functions().find(|function| function.name == name)
    }

    /// A function that someone who wrote `name` may have meant.
    pub(crate) fn similar(self, name: &str) -> Option<&'static str> {
        let known = self.functions().map(|function| function.name);
        known
            .map(|known| (edit_distance(known, name), known))
            .filter(|(distance, known)| *distance <= 2 && distance * 3 <= known.len())
            .min()
            .map(|(_, known)| known)
    }
}

/// Insertions, removals and replacements from `a` to `b`, upper and lower case being the same.
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.to_lowercase(), b.to_lowercase());
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.chars().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}
