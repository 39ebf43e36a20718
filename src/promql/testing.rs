//! Test scripts: the field's small language for tests of PromQL engines.
//!
//! `load 30s` with lines of series (see [`crate::parse_series`]) adds samples, `clear` removes all, and
//! `eval instant at 5m EXPR` or `eval range from 0 to 1h step 5m EXPR` evaluates; the lines below it say what is expected:
//! a number, series with values, or `expect fail`, `expect warn msg: …`, `expect ordered` and the like. Commands end at an
//! empty line; `#` starts a comment line.
//!
//! In: a script. Out: an [`Outcome`] for each `eval`, and errors of the script itself. Start at [`run`].

mod compare;
mod expectation;
mod memory;
mod start_times;

use std::time::Duration;

use model::{SampleValue, Timestamp};

use crate::ast::{At, DurationExpr, Expr, Node, TimeModifier};
use crate::functions::FunctionId;
use crate::{Answer, EvalOptions, ParseOptions, Range, Value, parse, parse_series};
use expectation::{Expectation, Kind};
pub use memory::Memory;

/// How one `eval` went.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its line, from 1.
    pub line: usize,
    /// The expression, or the text of a command that is none.
    pub text: String,
    /// What went wrong.
    pub result: Result<(), String>,
}

/// Whether texts of errors and annotations are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Texts {
    /// They must be as expected.
    Compared,
    /// It is enough that there is one of the right level.
    Ignored,
}

/// Runs a script to its end.
pub fn run(script: &str, texts: Texts) -> Vec<Outcome> {
    let mut runner = Runner { memory: Memory::default(), texts, outcomes: Vec::new() };
    let lines: Vec<&str> =
        script.lines().map(str::trim).map(|l| if l.starts_with('#') { "" } else { l }).collect();
    let mut at = 0;
    while at < lines.len() {
        if lines[at].is_empty() {
            at += 1;
            continue;
        }
        let ends = |line: &&str| line.is_empty() || line.eq_ignore_ascii_case("clear");
        let end = lines[at + 1..].iter().position(ends).map_or(lines.len(), |len| at + 1 + len);
        runner.block(at, &lines[at..end]);
        at = end;
    }
    runner.outcomes
}

/// What the scripts are evaluated with.
fn options() -> EvalOptions {
    EvalOptions {
        samples_max: 10_000,
        default_step: Duration::from_secs(60),
        delayed_name_removal: true,
        ..EvalOptions::default()
    }
}

struct Runner {
    memory: Memory,
    texts: Texts,
    outcomes: Vec<Outcome>,
}

impl Runner {
    /// One command with the lines that belong to it; `first` is the index of its line.
    fn block(&mut self, first: usize, lines: &[&str]) {
        let command = lines[0];
        let word = command.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
        let result = match word.as_str() {
            "clear" if command.eq_ignore_ascii_case("clear") => {
                self.memory = Memory::default();
                // Nothing belongs to it: what follows is a command of its own.
                if lines.len() > 1 {
                    self.block(first + 1, &lines[1..]);
                }
                return;
            }
            "load" | "load_with_nhcb" => self.load(command, &lines[1..], word == "load_with_nhcb"),
            _ if word.starts_with("eval") => {
                let (text, result) = self.evaluate(command, &lines[1..]);
                self.outcomes.push(Outcome { line: first + 1, text, result });
                return;
            }
            _ => Err("unknown command".to_owned()),
        };
        if let Err(message) = result {
            self.outcomes.push(Outcome { line: first + 1, text: command.to_owned(), result: Err(message) });
        }
    }

    fn load(&mut self, command: &str, lines: &[&str], with_native: bool) -> Result<(), String> {
        let step = command.split_whitespace().nth(1).ok_or("load needs a step")?;
        let step = model::parse_duration(step).map_err(|e| e.to_string())?;
        self.memory.load(step, lines, with_native)
    }

    fn evaluate(&mut self, command: &str, lines: &[&str]) -> (String, Result<(), String>) {
        let (query, expected) =
            match Query::read(command).and_then(|q| Ok((q, Expectation::read(command, lines)?))) {
                Ok(read) => read,
                Err(message) => return (command.to_owned(), Err(message)),
            };
        let result = self.check(&query, &expected);
        (query.expr, result)
    }

    fn check(&self, query: &Query, expected: &Expectation) -> Result<(), String> {
        let expr = match parse(&query.expr, &ParseOptions::all()) {
            Ok(expr) => expr,
            Err(errors) => return self.check_failure(&errors.to_string(), expected),
        };
        let answer = match self.memory.query(&expr, query.range, &options()) {
            Ok(answer) => answer,
            Err(error) => return self.check_failure(&error.message(), expected),
        };
        if expected.fails() {
            return Err("expected to fail, but it does not".to_owned());
        }
        self.check_annotations(&answer, expected)?;
        compare::answer(&answer.value, expected, query.range)?;
        if query.range.is_instant() && !expected.is_special() {
            self.check_as_range(&expr, query.range.start, &answer)?;
            self.check_at_other_times(&expr, query.range.start, &answer)?;
        }
        Ok(())
    }

    fn check_failure(&self, message: &str, expected: &Expectation) -> Result<(), String> {
        if !expected.fails() {
            return Err(format!("failed: {message}"));
        }
        match expected.lines(Kind::Fail).find(|text| !text.fits(message)) {
            Some(text) if self.texts == Texts::Compared => {
                Err(format!("expected an error {text}, but it failed with: {message}"))
            }
            _ => Ok(()),
        }
    }

    fn check_annotations(&self, answer: &Answer, expected: &Expectation) -> Result<(), String> {
        let levels = [
            (Kind::Warn, Kind::NoWarn, &answer.warnings, "warning"),
            (Kind::Info, Kind::NoInfo, &answer.infos, "info"),
        ];
        for (kind, none, found, name) in levels {
            if expected.has(none) && !found.is_empty() {
                return Err(format!("unexpected {name} annotations: {found:?}"));
            }
            if expected.has(kind) && found.is_empty() {
                return Err(format!("expected {name} annotations, but there are none"));
            }
            if self.texts == Texts::Compared && expected.has(kind) {
                if let Some(text) = expected.lines(kind).find(|t| !found.iter().any(|f| t.fits(f))) {
                    return Err(format!("expected a {name} annotation {text}, but found {found:?}"));
                }
                if let Some(other) = found.iter().find(|f| !expected.lines(kind).any(|t| t.fits(f))) {
                    return Err(format!("unexpected {name} annotation: {other}"));
                }
            }
        }
        Ok(())
    }

    /// A range query around the time must give the same value at it.
    fn check_as_range(&self, expr: &Expr, at: Timestamp, answer: &Answer) -> Result<(), String> {
        if mentions(expr, &[FunctionId::Start, FunctionId::End, FunctionId::Step, FunctionId::Range]) {
            return Ok(());
        }
        let minute = Duration::from_secs(60);
        let range = Range::new(at - minute, at + minute, minute);
        let ranged =
            self.memory.query(expr, range, &options()).map_err(|e| format!("as a range query: {e}"))?;
        let Value::Matrix(matrix) = ranged.value else {
            return Err("a range query gave no matrix".to_owned());
        };
        compare::same_at(&answer.value, &matrix, at).map_err(|why| format!("as a range query: {why}"))
    }

    /// With `@` at every selector the time of evaluation must not matter.
    fn check_at_other_times(&self, expr: &Expr, at: Timestamp, answer: &Answer) -> Result<(), String> {
        let mut fixed = expr.clone();
        if !fix_times(&mut fixed, at.as_millis()) {
            return Ok(());
        }
        let t = at.as_millis();
        let others = if t == 0 { vec![-1000, 0, 1000] } else { vec![-10 * t, 0, t / 5, t, 10 * t] };
        for other in others {
            let range = Range::instant(Timestamp::from_millis(other));
            let place = format!("as `{fixed}` at {other} ms");
            let again = self.memory.query(&fixed, range, &options()).map_err(|e| format!("{place}: {e}"))?;
            compare::same(&answer.value, &again.value).map_err(|why| format!("{place}: {why}"))?;
        }
        Ok(())
    }
}

/// `eval instant at TIME EXPR` or `eval range from START to END step STEP EXPR`.
struct Query {
    range: Range,
    expr: String,
}

impl Query {
    fn read(command: &str) -> Result<Query, String> {
        let mut rest = command.split_once(char::is_whitespace).map_or("", |(_, rest)| rest).trim_start();
        let mut word = || -> &str {
            let (word, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            rest = after.trim_start();
            word
        };
        let time = |text: &str| -> Result<Timestamp, String> {
            let duration = model::parse_duration(text).map_err(|e| format!("invalid timestamp: {e}"))?;
            Ok(Timestamp::EPOCH + duration)
        };
        let range = match word() {
            "instant" => {
                if word() != "at" {
                    return Err("expected `eval instant at TIME EXPR`".to_owned());
                }
                Range::instant(time(word())?)
            }
            "range" => {
                let words = [word(), word(), word(), word(), word(), word()];
                let ["from", start, "to", end, "step", step] = words else {
                    return Err("expected `eval range from START to END step STEP EXPR`".to_owned());
                };
                let (start, end) = (time(start)?, time(end)?);
                if end < start {
                    return Err("the end is before the start".to_owned());
                }
                Range::new(start, end, model::parse_duration(step).map_err(|e| e.to_string())?)
            }
            _ => return Err("expected `eval instant` or `eval range`".to_owned()),
        };
        if rest.is_empty() {
            return Err("there is no expression".to_owned());
        }
        Ok(Query { range, expr: rest.to_owned() })
    }
}

fn mentions(expr: &Expr, functions: &[FunctionId]) -> bool {
    let here = matches!(&expr.node, Node::Call { function, .. } if functions.contains(&function.id));
    let time = match &expr.node {
        Node::Selector(selector) | Node::Range { selector, .. } => Some(&selector.time),
        Node::Subquery { time, .. } => Some(time),
        _ => None,
    };
    let by_query = |duration: &DurationExpr| duration.as_literal_millis().is_none();
    let in_durations = time.is_some_and(|t| {
        t.offset.as_ref().is_some_and(by_query) || matches!(t.at, Some(At::Start | At::End))
    }) || match &expr.node {
        Node::Range { range, .. } => by_query(range),
        Node::Subquery { range, step, .. } => by_query(range) || step.as_ref().is_some_and(by_query),
        _ => false,
    };
    here || in_durations || expr.children().into_iter().any(|child| mentions(child, functions))
}

/// Gives every selector and subquery without `@` the time `at`. `false` if the value depends on the time in other ways.
fn fix_times(expr: &mut Expr, at: i64) -> bool {
    let fix = |time: &mut TimeModifier| {
        time.at.get_or_insert(At::Millis(at));
    };
    match &mut expr.node {
        Node::Selector(selector) | Node::Range { selector, .. } => fix(&mut selector.time),
        Node::Subquery { expr, time, .. } => {
            fix(time);
            return !looks_at_time(expr);
        }
        _ => {}
    }
    if looks_at_time(expr) {
        return false;
    }
    match &mut expr.node {
        Node::Paren(inner) | Node::Unary { expr: inner, .. } => fix_times(inner, at),
        Node::Call { args, .. } => args.iter_mut().all(|arg| fix_times(arg, at)),
        Node::Aggregate { param, expr: inner, .. } => {
            param.as_mut().is_none_or(|p| fix_times(p, at)) && fix_times(inner, at)
        }
        Node::Binary { lhs, rhs, .. } => fix_times(lhs, at) && fix_times(rhs, at),
        _ => true,
    }
}

fn looks_at_time(expr: &Expr) -> bool {
    use FunctionId as F;
    mentions(
        expr,
        &[
            F::Time,
            F::Timestamp,
            F::PredictLinear,
            F::Start,
            F::End,
            F::Step,
            F::Range,
            F::Minute,
            F::Hour,
            F::DayOfWeek,
            F::DayOfMonth,
            F::DayOfYear,
            F::DaysInMonth,
            F::Month,
            F::Year,
            F::Info,
        ],
    )
}

/// Whether two numbers are the same for a test: up to a millionth.
pub fn almost_equal(a: f64, b: f64) -> bool {
    const TOLERANCE: f64 = 1e-6;
    if model::is_stale(a) || model::is_stale(b) {
        return model::is_stale(a) && model::is_stale(b);
    }
    if (a.is_nan() && b.is_nan()) || a == b {
        return true;
    }
    let (size, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || size < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / size.min(f64::MAX) < TOLERANCE
}

fn show(value: &SampleValue) -> String {
    match value {
        SampleValue::Float(value) => model::format_float_shortest(*value),
        SampleValue::Histogram(histogram) => crate::format_histogram(histogram),
    }
}

/// The labels and the values of a line.
fn series_line(line: &str) -> Result<crate::SeriesDescription, String> {
    parse_series(line).map_err(|error| format!("`{line}`: {error}"))
}
