//! The functions of the language: names, signatures, and which are experimental.
//!
//! What they compute is in `eval`; the variants of [`FunctionId`] tie the two together.

use crate::ast::ValueKind;

/// A function's signature.
#[derive(Debug, PartialEq)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// Which one it is.
    pub id: FunctionId,
    /// Kinds of its arguments; the last one is that of all further arguments, too.
    pub args: &'static [ValueKind],
    /// How many arguments it may have.
    pub arity: Arity,
    /// What it answers.
    pub returns: ValueKind,
    /// Whether it needs the feature for experimental functions.
    pub experimental: bool,
}

/// How many arguments a function takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arity {
    /// At least.
    pub min: usize,
    /// At most; `None` for any number.
    pub max: Option<usize>,
}

/// The function of this name.
pub(crate) fn lookup(name: &str) -> Option<&'static Function> {
    FUNCTIONS.binary_search_by(|f| f.name.cmp(name)).ok().map(|at| &FUNCTIONS[at])
}

/// All functions in the order of names.
pub fn all() -> &'static [Function] {
    FUNCTIONS
}

use ValueKind::{Matrix as M, Scalar as S, String as T, Vector as V};

const fn exactly(count: usize) -> Arity {
    Arity { min: count, max: Some(count) }
}

const fn between(min: usize, max: usize) -> Arity {
    Arity { min, max: Some(max) }
}

const fn at_least(min: usize) -> Arity {
    Arity { min, max: None }
}

const fn f(
    name: &'static str,
    id: FunctionId,
    args: &'static [ValueKind],
    arity: Arity,
    returns: ValueKind,
    experimental: bool,
) -> Function {
    Function { name, id, args, arity, returns, experimental }
}

use FunctionId as Id;

#[rustfmt::skip]
const FUNCTIONS: &[Function] = &[
    f("abs", Id::Abs, &[V], exactly(1), V, false),
    f("absent", Id::Absent, &[V], exactly(1), V, false),
    f("absent_over_time", Id::AbsentOverTime, &[M], exactly(1), V, false),
    f("acos", Id::Acos, &[V], exactly(1), V, false),
    f("acosh", Id::Acosh, &[V], exactly(1), V, false),
    f("asin", Id::Asin, &[V], exactly(1), V, false),
    f("asinh", Id::Asinh, &[V], exactly(1), V, false),
    f("atan", Id::Atan, &[V], exactly(1), V, false),
    f("atanh", Id::Atanh, &[V], exactly(1), V, false),
    f("avg_over_time", Id::AvgOverTime, &[M], exactly(1), V, false),
    f("ceil", Id::Ceil, &[V], exactly(1), V, false),
    f("changes", Id::Changes, &[M], exactly(1), V, false),
    f("clamp", Id::Clamp, &[V, S, S], exactly(3), V, false),
    f("clamp_max", Id::ClampMax, &[V, S], exactly(2), V, false),
    f("clamp_min", Id::ClampMin, &[V, S], exactly(2), V, false),
    f("cos", Id::Cos, &[V], exactly(1), V, false),
    f("cosh", Id::Cosh, &[V], exactly(1), V, false),
    f("count_over_time", Id::CountOverTime, &[M], exactly(1), V, false),
    f("day_of_month", Id::DayOfMonth, &[V], between(0, 1), V, false),
    f("day_of_week", Id::DayOfWeek, &[V], between(0, 1), V, false),
    f("day_of_year", Id::DayOfYear, &[V], between(0, 1), V, false),
    f("days_in_month", Id::DaysInMonth, &[V], between(0, 1), V, false),
    f("deg", Id::Deg, &[V], exactly(1), V, false),
    f("delta", Id::Delta, &[M], exactly(1), V, false),
    f("deriv", Id::Deriv, &[M], exactly(1), V, false),
    f("double_exponential_smoothing", Id::DoubleExponentialSmoothing, &[M, S, S], exactly(3), V, true),
    f("end", Id::End, &[], exactly(0), S, true),
    f("exp", Id::Exp, &[V], exactly(1), V, false),
    f("first_over_time", Id::FirstOverTime, &[M], exactly(1), V, false),
    f("floor", Id::Floor, &[V], exactly(1), V, false),
    f("histogram_avg", Id::HistogramAvg, &[V], exactly(1), V, false),
    f("histogram_count", Id::HistogramCount, &[V], exactly(1), V, false),
    f("histogram_fraction", Id::HistogramFraction, &[S, S, V], exactly(3), V, false),
    f("histogram_quantile", Id::HistogramQuantile, &[S, V], exactly(2), V, false),
    f("histogram_quantiles", Id::HistogramQuantiles, &[V, T, S, S], between(3, 12), V, true),
    f("histogram_stddev", Id::HistogramStddev, &[V], exactly(1), V, false),
    f("histogram_stdvar", Id::HistogramStdvar, &[V], exactly(1), V, false),
    f("histogram_sum", Id::HistogramSum, &[V], exactly(1), V, false),
    f("hour", Id::Hour, &[V], between(0, 1), V, false),
    f("idelta", Id::Idelta, &[M], exactly(1), V, false),
    f("increase", Id::Increase, &[M], exactly(1), V, false),
    f("info", Id::Info, &[V, V], between(1, 2), V, true),
    f("irate", Id::Irate, &[M], exactly(1), V, false),
    f("label_join", Id::LabelJoin, &[V, T, T, T], at_least(3), V, false),
    f("label_replace", Id::LabelReplace, &[V, T, T, T, T], exactly(5), V, false),
    f("last_over_time", Id::LastOverTime, &[M], exactly(1), V, false),
    f("ln", Id::Ln, &[V], exactly(1), V, false),
    f("log10", Id::Log10, &[V], exactly(1), V, false),
    f("log2", Id::Log2, &[V], exactly(1), V, false),
    f("mad_over_time", Id::MadOverTime, &[M], exactly(1), V, true),
    f("max_of", Id::MaxOf, &[S, S], exactly(2), S, true),
    f("max_over_time", Id::MaxOverTime, &[M], exactly(1), V, false),
    f("min_of", Id::MinOf, &[S, S], exactly(2), S, true),
    f("min_over_time", Id::MinOverTime, &[M], exactly(1), V, false),
    f("minute", Id::Minute, &[V], between(0, 1), V, false),
    f("month", Id::Month, &[V], between(0, 1), V, false),
    f("pi", Id::Pi, &[], exactly(0), S, false),
    f("predict_linear", Id::PredictLinear, &[M, S], exactly(2), V, false),
    f("present_over_time", Id::PresentOverTime, &[M], exactly(1), V, false),
    f("quantile_over_time", Id::QuantileOverTime, &[S, M], exactly(2), V, false),
    f("rad", Id::Rad, &[V], exactly(1), V, false),
    f("range", Id::Range, &[], exactly(0), S, true),
    f("rate", Id::Rate, &[M], exactly(1), V, false),
    f("resets", Id::Resets, &[M], exactly(1), V, false),
    f("round", Id::Round, &[V, S], between(1, 2), V, false),
    f("scalar", Id::Scalar, &[V], exactly(1), S, false),
    f("sgn", Id::Sgn, &[V], exactly(1), V, false),
    f("sin", Id::Sin, &[V], exactly(1), V, false),
    f("sinh", Id::Sinh, &[V], exactly(1), V, false),
    f("sort", Id::Sort, &[V], exactly(1), V, false),
    f("sort_by_label", Id::SortByLabel, &[V, T], at_least(1), V, true),
    f("sort_by_label_desc", Id::SortByLabelDesc, &[V, T], at_least(1), V, true),
    f("sort_desc", Id::SortDesc, &[V], exactly(1), V, false),
    f("sqrt", Id::Sqrt, &[V], exactly(1), V, false),
    f("start", Id::Start, &[], exactly(0), S, true),
    f("start_timestamp", Id::StartTimestamp, &[V], exactly(1), V, true),
    f("stddev_over_time", Id::StddevOverTime, &[M], exactly(1), V, false),
    f("stdvar_over_time", Id::StdvarOverTime, &[M], exactly(1), V, false),
    f("step", Id::Step, &[], exactly(0), S, true),
    f("sum_over_time", Id::SumOverTime, &[M], exactly(1), V, false),
    f("tan", Id::Tan, &[V], exactly(1), V, false),
    f("tanh", Id::Tanh, &[V], exactly(1), V, false),
    f("time", Id::Time, &[], exactly(0), S, false),
    f("timestamp", Id::Timestamp, &[V], exactly(1), V, false),
    f("ts_of_first_over_time", Id::TsOfFirstOverTime, &[M], exactly(1), V, true),
    f("ts_of_last_over_time", Id::TsOfLastOverTime, &[M], exactly(1), V, true),
    f("ts_of_max_over_time", Id::TsOfMaxOverTime, &[M], exactly(1), V, true),
    f("ts_of_min_over_time", Id::TsOfMinOverTime, &[M], exactly(1), V, true),
    f("vector", Id::Vector, &[S], exactly(1), V, false),
    f("year", Id::Year, &[V], between(0, 1), V, false),
];

/// The functions, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the language's")]
pub enum FunctionId {
    Abs,
    Absent,
    AbsentOverTime,
    Acos,
    Acosh,
    Asin,
    Asinh,
    Atan,
    Atanh,
    AvgOverTime,
    Ceil,
    Changes,
    Clamp,
    ClampMax,
    ClampMin,
    Cos,
    Cosh,
    CountOverTime,
    DayOfMonth,
    DayOfWeek,
    DayOfYear,
    DaysInMonth,
    Deg,
    Delta,
    Deriv,
    DoubleExponentialSmoothing,
    End,
    Exp,
    FirstOverTime,
    Floor,
    HistogramAvg,
    HistogramCount,
    HistogramFraction,
    HistogramQuantile,
    HistogramQuantiles,
    HistogramStddev,
    HistogramStdvar,
    HistogramSum,
    Hour,
    Idelta,
    Increase,
    Info,
    Irate,
    LabelJoin,
    LabelReplace,
    LastOverTime,
    Ln,
    Log10,
    Log2,
    MadOverTime,
    MaxOf,
    MaxOverTime,
    MinOf,
    MinOverTime,
    Minute,
    Month,
    Pi,
    PredictLinear,
    PresentOverTime,
    QuantileOverTime,
    Rad,
    Range,
    Rate,
    Resets,
    Round,
    Scalar,
    Sgn,
    Sin,
    Sinh,
    Sort,
    SortByLabel,
    SortByLabelDesc,
    SortDesc,
    Sqrt,
    Start,
    StartTimestamp,
    StddevOverTime,
    StdvarOverTime,
    Step,
    SumOverTime,
    Tan,
    Tanh,
    Time,
    Timestamp,
    TsOfFirstOverTime,
    TsOfLastOverTime,
    TsOfMaxOverTime,
    TsOfMinOverTime,
    Vector,
    Year,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_sorted_and_found() {
        assert!(FUNCTIONS.windows(2).all(|w| w[0].name < w[1].name));
        for function in FUNCTIONS {
            assert_eq!(lookup(function.name).unwrap().id, function.id);
        }
        assert!(lookup("no_such").is_none());
    }
}
