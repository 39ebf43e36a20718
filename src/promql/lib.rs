//! PromQL: text to syntax tree, syntax tree and samples to an answer.
//!
//! In: the text of an expression, the times to evaluate at, and for each [`model::Selection`] that [`plan`] asks for the
//! series that match it. Out: an [`Answer`], or an error that says where and why. Not here: storage, clocks, I/O; [`eval`]
//! is a pure function, and a [`Stop`] is how the outside world ends it early.
//!
//! ```
//! let expr = promql::parse("sum by (job) (rate(x[5m]))", &promql::ParseOptions::default()).unwrap();
//! let range = promql::Range::instant(model::Timestamp::from_secs(600));
//! let options = promql::EvalOptions::default();
//! let data: Vec<Vec<model::Series>> = promql::plan(&expr, range, &options).iter().map(|_| Vec::new()).collect();
//! let answer = promql::eval(&expr, range, &data, &options).unwrap();
//! assert_eq!(answer.value, promql::Value::Vector(Vec::new()));
//! ```
//!
//! Start at [`parse`] and [`eval`].

mod ast;
mod check;
mod error;
mod eval;
mod explain;
mod functions;
mod lex;
mod notation;
mod options;
mod parse;
mod plan;
mod print;
pub mod testing;
#[cfg(test)]
mod tests;

pub use ast::{
    AggregateOp, At, BinaryOp, Cardinality, DurationExpr, DurationNode, Edges, Expr, Matching, Node,
    Selector, SelectorRef, Span, TimeModifier, ValueKind,
};
pub use error::{EvalError, ParseError, ParseErrors};
pub use eval::eval;
pub use explain::{Explain, NanoClock, QuerySamples};
pub use functions::{Arity, Function, FunctionId, all as functions};
pub use notation::{NotationError, SeriesDescription, format_histogram, parse_labels, parse_series};
pub use options::{Answer, EvalOptions, ParseOptions, Range, Stop, Value, lookback_default};
pub use parse::{STACK_BYTES, parse, parse_selector};
pub use plan::{Plan, plan};
