//! Calls of functions that are not there, found before a script runs.

use std::collections::BTreeSet;

use rhai::{AST, ASTNode, Engine, Expr, Stmt};

use super::fault::place;

/// Names that the interpreter knows without a function of that name.
const WORDS: [&str; 12] = [
    "Fn",
    "call",
    "curry",
    "is_shared",
    "is_def_fn",
    "is_def_var",
    "type_of",
    "print",
    "debug",
    "this",
    "len",
    "contains",
];

/// One line for each such call: place and name.
pub(super) fn unknown_functions(ast: &AST, engine: &Engine) -> Vec<String> {
    let mut known: BTreeSet<String> = WORDS.iter().map(|word| (*word).to_owned()).collect();
    known.extend(ast.iter_functions().map(|function| function.name.to_owned()));
    known.extend(engine.gen_fn_signatures(true).iter().filter_map(|signature| name(signature)));
    let mut unknown = Vec::new();
    ast.walk(&mut |path: &[ASTNode<'_>]| {
        let call = match path.last() {
            Some(ASTNode::Expr(Expr::FnCall(call, position) | Expr::MethodCall(call, position))) => {
                Some((call, position))
            }
            Some(ASTNode::Stmt(Stmt::FnCall(call, position))) => Some((call, position)),
            _ => None,
        };
        if let Some((call, position)) = call
            && call.name.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && !known.contains(call.name.as_str())
        {
            let at = place(*position).map_or_else(String::new, |place| format!("{place}: "));
            unknown.push(format!("{at}there is no function `{}`", call.name));
        }
        true
    });
    unknown
}

/// The name in `name(x: INT) -> INT`.
fn name(signature: &str) -> Option<String> {
    let name = signature.split_once('(')?.0.trim();
    let name = name.rsplit(' ').next()?;
    (!name.is_empty()).then(|| name.to_owned())
}
