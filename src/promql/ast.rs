//! The syntax tree, as written: nothing is resolved or simplified.
//!
//! Every node carries the [`Span`] of the text it came from. Printing is in `print`, type rules in `check`.

use model::Matcher;

use crate::functions::Function;

/// A part of the text, in bytes: from `start` up to, not including, `end`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// Behind the last byte.
    pub end: usize,
    /// Line of the first byte, from 1.
    pub line: u32,
    /// Column of the first byte, in bytes from 1, as everything in the field counts them.
    pub column: u32,
}

impl Span {
    /// From the start of this one to `end`.
    pub(crate) fn until(self, end: usize) -> Span {
        Span { end, ..self }
    }
}

/// What an expression evaluates to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValueKind {
    /// One number at each step.
    Scalar,
    /// A text.
    String,
    /// One value for each of many series: an instant vector.
    Vector,
    /// Samples over time for each of many series: a range vector.
    Matrix,
}

impl ValueKind {
    /// As messages and the HTTP API name it.
    pub fn as_str(self) -> &'static str {
        match self {
            ValueKind::Scalar => "scalar",
            ValueKind::String => "string",
            ValueKind::Vector => "vector",
            ValueKind::Matrix => "matrix",
        }
    }

    /// As people say it: `instant vector`, `range vector`.
    pub fn describe(self) -> &'static str {
        match self {
            ValueKind::Scalar => "scalar",
            ValueKind::String => "string",
            ValueKind::Vector => "instant vector",
            ValueKind::Matrix => "range vector",
        }
    }
}

/// An expression with its place in the text.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub node: Node,
    /// Where it stands.
    pub span: Span,
}

/// The kinds of expressions.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// A number.
    Number {
        /// The number; seconds if it was written as a duration.
        value: f64,
        /// Whether it was written as a duration: `5m`.
        duration: bool,
    },
    /// A quoted text. Bytes, since escapes can write what is not UTF-8.
    String(Vec<u8>),
    /// `name{label="value"}`.
    Selector(Selector),
    /// A selector with a range: `x[5m]`.
    Range {
        /// What is selected; holds offset and time of the whole.
        selector: Selector,
        /// The span of the selector without its range.
        selector_span: Span,
        /// How far back.
        range: DurationExpr,
    },
    /// An expression evaluated over a range: `x[1h:5m]`.
    Subquery {
        /// What is evaluated.
        expr: Box<Expr>,
        /// How far back.
        range: DurationExpr,
        /// Distance of its evaluations; the default interval if absent.
        step: Option<DurationExpr>,
        /// Shift in time.
        time: TimeModifier,
    },
    /// A call of a function.
    Call {
        /// Which one.
        function: &'static Function,
        /// Its arguments.
        args: Vec<Expr>,
    },
    /// An aggregation.
    Aggregate {
        /// Which one.
        op: AggregateOp,
        /// The number or text that some of them take first.
        param: Option<Box<Expr>>,
        /// What is aggregated.
        expr: Box<Expr>,
        /// Labels of `by` or `without`.
        grouping: Vec<String>,
        /// Whether `grouping` lists what is left out.
        without: bool,
    },
    /// Two operands.
    Binary {
        /// The operator.
        op: BinaryOp,
        /// Left operand.
        lhs: Box<Expr>,
        /// Right operand.
        rhs: Box<Expr>,
        /// Whether a comparison answers 0 or 1 instead of filtering.
        return_bool: bool,
        /// How series find their partner; absent unless both sides are vectors.
        matching: Option<Matching>,
    },
    /// A sign before an expression.
    Unary {
        /// Whether it is a minus.
        negative: bool,
        /// The operand.
        expr: Box<Expr>,
    },
    /// Parentheses.
    Paren(Box<Expr>),
}

/// Which series, and with what shift in time.
#[derive(Clone, Debug, PartialEq)]
pub struct Selector {
    /// The metric name before the braces; empty if there is none. One that is quoted inside is only a matcher.
    pub name: String,
    /// All matchers in the order of the text; the one for a name before the braces is last.
    pub matchers: Vec<Matcher>,
    /// Shift in time.
    pub time: TimeModifier,
    /// How values at the borders are found.
    pub edges: Edges,
}

/// How values at the borders of a window are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Edges {
    /// Only samples inside of the window count.
    #[default]
    Plain,
    /// The value at a border is that of the last sample before it.
    Anchored,
    /// The value at a border is interpolated between its neighbours.
    Smoothed,
}

/// `offset` and `@`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TimeModifier {
    /// How far back.
    pub offset: Option<DurationExpr>,
    /// A fixed time.
    pub at: Option<At>,
}

/// A fixed time of evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Milliseconds since the epoch.
    Millis(i64),
    /// The start of the query's range.
    Start,
    /// The end of the query's range.
    End,
}

/// A duration, or arithmetic that gives one.
#[derive(Clone, Debug, PartialEq)]
pub struct DurationExpr {
    /// What it is.
    pub node: DurationNode,
    /// Where it stands.
    pub span: Span,
    /// Whether it stands in parentheses.
    pub parens: bool,
}

/// The kinds of duration expressions.
#[derive(Clone, Debug, PartialEq)]
pub enum DurationNode {
    /// A number of seconds.
    Literal {
        /// Seconds.
        seconds: f64,
        /// Whether it was written as a duration: `5m`.
        duration: bool,
    },
    /// The query's step.
    Step,
    /// The query's range: end minus start.
    Range,
    /// A minus.
    Negate(Box<DurationExpr>),
    /// Arithmetic: `+ - * / % ^`.
    Binary(BinaryOp, Box<DurationExpr>, Box<DurationExpr>),
    /// The smaller of two.
    MinOf(Box<DurationExpr>, Box<DurationExpr>),
    /// The larger of two.
    MaxOf(Box<DurationExpr>, Box<DurationExpr>),
}

impl DurationExpr {
    /// Milliseconds, if it is a plain literal.
    pub fn as_literal_millis(&self) -> Option<i64> {
        match self.node {
            DurationNode::Literal { seconds, .. } if !self.parens => Some((seconds * 1000.0).round() as i64),
            _ => None,
        }
    }
}

/// Aggregation operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the language's")]
pub enum AggregateOp {
    Sum,
    Avg,
    Count,
    Min,
    Max,
    Group,
    Stddev,
    Stdvar,
    Topk,
    Bottomk,
    CountValues,
    Quantile,
    Limitk,
    LimitRatio,
}

impl AggregateOp {
    /// All of them.
    pub const ALL: [AggregateOp; 14] = [
        AggregateOp::Sum,
        AggregateOp::Avg,
        AggregateOp::Count,
        AggregateOp::Min,
        AggregateOp::Max,
        AggregateOp::Group,
        AggregateOp::Stddev,
        AggregateOp::Stdvar,
        AggregateOp::Topk,
        AggregateOp::Bottomk,
        AggregateOp::CountValues,
        AggregateOp::Quantile,
        AggregateOp::Limitk,
        AggregateOp::LimitRatio,
    ];

    /// The operator's name.
    pub fn as_str(self) -> &'static str {
        match self {
            AggregateOp::Sum => "sum",
            AggregateOp::Avg => "avg",
            AggregateOp::Count => "count",
            AggregateOp::Min => "min",
            AggregateOp::Max => "max",
            AggregateOp::Group => "group",
            AggregateOp::Stddev => "stddev",
            AggregateOp::Stdvar => "stdvar",
            AggregateOp::Topk => "topk",
            AggregateOp::Bottomk => "bottomk",
            AggregateOp::CountValues => "count_values",
            AggregateOp::Quantile => "quantile",
            AggregateOp::Limitk => "limitk",
            AggregateOp::LimitRatio => "limit_ratio",
        }
    }

    /// The kind of the argument before the vector, if there is one.
    pub fn param_kind(self) -> Option<ValueKind> {
        match self {
            AggregateOp::CountValues => Some(ValueKind::String),
            AggregateOp::Topk
            | AggregateOp::Bottomk
            | AggregateOp::Quantile
            | AggregateOp::Limitk
            | AggregateOp::LimitRatio => Some(ValueKind::Scalar),
            _ => None,
        }
    }

    /// Whether it needs the feature for experimental functions.
    pub fn is_experimental(self) -> bool {
        matches!(self, AggregateOp::Limitk | AggregateOp::LimitRatio)
    }
}

/// Operators between two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the language's")]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    Eq,
    Ne,
    Gt,
    Lt,
    Ge,
    Le,
    And,
    Or,
    Unless,
    /// `</`: the part of a histogram below a value.
    TrimUpper,
    /// `>/`: the part of a histogram above a value.
    TrimLower,
}

impl BinaryOp {
    /// The operator as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Mod => "%",
            BinaryOp::Pow => "^",
            BinaryOp::Atan2 => "atan2",
            BinaryOp::Eq => "==",
            BinaryOp::Ne => "!=",
            BinaryOp::Gt => ">",
            BinaryOp::Lt => "<",
            BinaryOp::Ge => ">=",
            BinaryOp::Le => "<=",
            BinaryOp::And => "and",
            BinaryOp::Or => "or",
            BinaryOp::Unless => "unless",
            BinaryOp::TrimUpper => "</",
            BinaryOp::TrimLower => ">/",
        }
    }

    /// Whether it compares.
    pub fn is_comparison(self) -> bool {
        use BinaryOp::{Eq, Ge, Gt, Le, Lt, Ne};
        matches!(self, Eq | Ne | Gt | Lt | Ge | Le)
    }

    /// Whether it works on sets of series.
    pub fn is_set(self) -> bool {
        matches!(self, BinaryOp::And | BinaryOp::Or | BinaryOp::Unless)
    }

    /// How strongly it binds; larger is stronger.
    pub fn precedence(self) -> u8 {
        match self {
            BinaryOp::Or => 1,
            BinaryOp::And | BinaryOp::Unless => 2,
            BinaryOp::TrimUpper | BinaryOp::TrimLower => 3,
            op if op.is_comparison() => 3,
            BinaryOp::Add | BinaryOp::Sub => 4,
            BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod | BinaryOp::Atan2 => 5,
            _ => 6,
        }
    }
}

/// How many partners a series may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cardinality {
    /// One on each side.
    OneToOne,
    /// `group_left`: many on the left.
    ManyToOne,
    /// `group_right`: many on the right.
    OneToMany,
    /// Set operators.
    ManyToMany,
}

/// How series of two vectors find each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Matching {
    /// How many partners.
    pub cardinality: Cardinality,
    /// Labels of `on` or `ignoring`.
    pub labels: Vec<String>,
    /// Whether `labels` lists those that count.
    pub on: bool,
    /// Labels that are taken over from the side of one.
    pub include: Vec<String>,
    /// Value for a missing left partner.
    pub fill_left: Option<f64>,
    /// Value for a missing right partner.
    pub fill_right: Option<f64>,
}

/// A selector in an expression.
#[derive(Clone, Copy, Debug)]
pub struct SelectorRef<'a> {
    /// Its matchers.
    pub matchers: &'a [Matcher],
    /// Where it stands.
    pub span: Span,
}

impl Expr {
    /// What it evaluates to.
    pub fn kind(&self) -> ValueKind {
        match &self.node {
            Node::Number { .. } => ValueKind::Scalar,
            Node::String(_) => ValueKind::String,
            Node::Selector(_) | Node::Aggregate { .. } => ValueKind::Vector,
            Node::Range { .. } | Node::Subquery { .. } => ValueKind::Matrix,
            Node::Call { function, .. } => function.returns,
            Node::Binary { lhs, rhs, .. } => {
                if lhs.kind() == ValueKind::Scalar && rhs.kind() == ValueKind::Scalar {
                    ValueKind::Scalar
                } else {
                    ValueKind::Vector
                }
            }
            Node::Unary { expr, .. } | Node::Paren(expr) => expr.kind(),
        }
    }

    /// The expressions directly inside of this one, in the order of the text.
    pub fn children(&self) -> Vec<&Expr> {
        match &self.node {
            Node::Number { .. } | Node::String(_) | Node::Selector(_) | Node::Range { .. } => Vec::new(),
            Node::Subquery { expr, .. } | Node::Unary { expr, .. } | Node::Paren(expr) => vec![expr],
            Node::Call { args, .. } => args.iter().collect(),
            Node::Aggregate { param, expr, .. } => {
                param.iter().map(|p| &**p).chain(std::iter::once(&**expr)).collect()
            }
            Node::Binary { lhs, rhs, .. } => vec![lhs, rhs],
        }
    }

    /// All selectors in the order of the text.
    pub fn selectors(&self) -> Vec<SelectorRef<'_>> {
        let mut found = Vec::new();
        self.collect_selectors(&mut found);
        found
    }

    fn collect_selectors<'a>(&'a self, found: &mut Vec<SelectorRef<'a>>) {
        match &self.node {
            Node::Selector(selector) => {
                found.push(SelectorRef { matchers: &selector.matchers, span: self.span });
            }
            Node::Range { selector, selector_span, .. } => {
                found.push(SelectorRef { matchers: &selector.matchers, span: *selector_span });
            }
            _ => self.children().into_iter().for_each(|child| child.collect_selectors(found)),
        }
    }

    /// The expression without the parentheses around it.
    pub fn without_parens(&self) -> &Expr {
        let mut expr = self;
        while let Node::Paren(inner) = &expr.node {
            expr = inner;
        }
        expr
    }
}
