//! Syntax trees to text: canonical in one line, and split over lines for people.

use std::fmt::{self, Display, Formatter};

use model::{
    METRIC_NAME, MatchOp, format_duration, format_float, format_float_shortest, is_legacy_label_name,
};

use crate::ast::{
    At, BinaryOp, Cardinality, DurationExpr, DurationNode, Edges, Expr, Matching, Node, Selector,
    TimeModifier,
};

/// A line longer than this is split.
const LINE_MAX: usize = 100;

impl Display for Expr {
    /// In one line, with the spacing and order that every tool of the field prints. Parsing it gives an equal tree.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.node {
            Node::Number { value, duration: true } => f.write_str(&seconds(*value)),
            Node::Number { value, .. } => f.write_str(&format_float(*value)),
            Node::String(bytes) => f.write_str(&quote(bytes)),
            Node::Selector(selector) => selector_text(f, selector, None),
            Node::Range { selector, range, .. } => selector_text(f, selector, Some(range)),
            Node::Subquery { expr, .. } => write!(f, "{expr}{}", self.suffix()),
            Node::Call { function, args } => {
                write!(f, "{}(", function.name)?;
                separated(f, args)?;
                f.write_str(")")
            }
            Node::Aggregate { param, expr, .. } => {
                f.write_str(&self.head())?;
                f.write_str("(")?;
                if let Some(param) = param {
                    write!(f, "{param}, ")?;
                }
                write!(f, "{expr})")
            }
            Node::Binary { op: BinaryOp::Pow, lhs, rhs, .. } => {
                write!(f, "{} {} {}", PowerOperand(lhs), self.head(), PowerOperand(rhs))
            }
            Node::Binary { lhs, rhs, .. } => write!(f, "{lhs} {} {rhs}", self.head()),
            Node::Unary { expr, .. } => write!(f, "{}{expr}", self.head()),
            Node::Paren(expr) => write!(f, "({expr})"),
        }
    }
}

/// A power binds stronger than a sign: the plus of `+Inf` would become the sign of the whole power.
struct PowerOperand<'a>(&'a Expr);

impl Display for PowerOperand<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0.node {
            Node::Number { value: f64::INFINITY, duration: false } => f.write_str("Inf"),
            _ => write!(f, "{}", self.0),
        }
    }
}

impl Expr {
    /// Over several lines where it would be longer than 100 characters.
    pub fn pretty(&self) -> String {
        self.pretty_within(LINE_MAX)
    }

    /// Over several lines where it would be longer than `line_max` bytes.
    pub fn pretty_within(&self, line_max: usize) -> String {
        let mut out = String::new();
        self.split(0, line_max, &mut out);
        out
    }

    /// The operator or name with what belongs to it, before the operands.
    fn head(&self) -> String {
        match &self.node {
            Node::Aggregate { op, grouping, without, .. } => match (without, grouping.is_empty()) {
                (true, _) => format!("{} without ({}) ", op.as_str(), labels(grouping)),
                (false, false) => format!("{} by ({}) ", op.as_str(), labels(grouping)),
                (false, true) => op.as_str().to_owned(),
            },
            Node::Binary { op, return_bool, matching, .. } => {
                let bool_text = if *return_bool { " bool" } else { "" };
                let matching = matching.as_ref().map(matching_text).unwrap_or_default();
                format!("{}{bool_text}{matching}", op.as_str())
            }
            Node::Unary { negative, .. } => if *negative { "-" } else { "+" }.to_owned(),
            Node::Call { function, .. } => function.name.to_owned(),
            _ => String::new(),
        }
    }

    /// Range, step and time of a subquery.
    fn suffix(&self) -> String {
        let Node::Subquery { range, step, time, .. } = &self.node else { return String::new() };
        let step = step.as_ref().map(length).unwrap_or_default();
        format!("[{}:{step}]{}", length(range), TimeText(time))
    }

    fn split(&self, level: usize, line_max: usize, out: &mut String) {
        let indent = "  ".repeat(level);
        let line = self.to_string();
        if line.len() <= line_max {
            out.push_str(&indent);
            out.push_str(&line);
            return;
        }
        match &self.node {
            Node::Binary { lhs, rhs, .. } => {
                lhs.split(level + 1, line_max, out);
                out.push_str(&format!("\n{indent}{}\n", self.head()));
                rhs.split(level + 1, line_max, out);
            }
            Node::Call { .. } | Node::Aggregate { .. } | Node::Paren(_) => {
                out.push_str(&format!("{indent}{}(\n", self.head()));
                for (at, child) in self.children().into_iter().enumerate() {
                    out.push_str(if at > 0 { ",\n" } else { "" });
                    child.split(level + 1, line_max, out);
                }
                out.push_str(&format!("\n{indent})"));
            }
            Node::Subquery { expr, .. } => {
                expr.split(level, line_max, out);
                out.push_str(&self.suffix());
            }
            Node::Unary { expr, .. } => {
                let mut inner = String::new();
                expr.split(level, line_max, &mut inner);
                out.push_str(&format!("{indent}{}{}", self.head(), inner.trim_start()));
            }
            _ => {
                out.push_str(&indent);
                out.push_str(&line);
            }
        }
    }
}

fn separated(f: &mut Formatter<'_>, exprs: &[Expr]) -> fmt::Result {
    for (at, expr) in exprs.iter().enumerate() {
        f.write_str(if at > 0 { ", " } else { "" })?;
        write!(f, "{expr}")?;
    }
    Ok(())
}

/// Names of a label list, quoted where they have to be.
fn labels(names: &[String]) -> String {
    let quoted = |name: &String| {
        if is_legacy_label_name(name) { name.clone() } else { quote(name.as_bytes()) }
    };
    names.iter().map(quoted).collect::<Vec<_>>().join(", ")
}

fn matching_text(matching: &Matching) -> String {
    let mut text = String::new();
    let group = match matching.cardinality {
        Cardinality::ManyToOne => Some("group_left"),
        Cardinality::OneToMany => Some("group_right"),
        Cardinality::OneToOne | Cardinality::ManyToMany => None,
    };
    if matching.on || !matching.labels.is_empty() || group.is_some() {
        let word = if matching.on { "on" } else { "ignoring" };
        text.push_str(&format!(" {word} ({})", labels(&matching.labels)));
    }
    if let Some(group) = group {
        text.push_str(&format!(" {group} ({})", labels(&matching.include)));
    }
    match (matching.fill_left, matching.fill_right) {
        (Some(left), Some(right)) if left.to_bits() == right.to_bits() => {
            text.push_str(&format!(" fill ({})", format_float_shortest(left)));
        }
        (left, right) => {
            for (word, value) in [("fill_left", left), ("fill_right", right)] {
                if let Some(value) = value {
                    text.push_str(&format!(" {word} ({})", format_float_shortest(value)));
                }
            }
        }
    }
    text
}

fn selector_text(f: &mut Formatter<'_>, selector: &Selector, range: Option<&DurationExpr>) -> fmt::Result {
    let bare = !selector.name.is_empty();
    let mut parts: Vec<String> = Vec::new();
    for matcher in &selector.matchers {
        let is_name = matcher.name() == METRIC_NAME
            && matcher.op() == MatchOp::Equal
            && bare
            && matcher.pattern() == selector.name;
        if !is_name {
            let name = if is_legacy_label_name(matcher.name()) {
                matcher.name().to_owned()
            } else {
                quote(matcher.name().as_bytes())
            };
            parts.push(format!("{name}{}{}", matcher.op().as_str(), quote(matcher.pattern().as_bytes())));
        }
    }
    parts.sort();
    f.write_str(&selector.name)?;
    if !(bare && parts.is_empty()) {
        write!(f, "{{{}}}", parts.join(","))?;
    }
    if let Some(range) = range {
        write!(f, "[{}]", length(range))?;
    }
    f.write_str(match selector.edges {
        Edges::Plain => "",
        Edges::Anchored => " anchored",
        Edges::Smoothed => " smoothed",
    })?;
    write!(f, "{}", TimeText(&selector.time))
}

struct TimeText<'a>(&'a TimeModifier);

impl Display for TimeText<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0.at {
            Some(At::Millis(millis)) => {
                let sign = if millis < 0 { "-" } else { "" };
                let millis = millis.unsigned_abs();
                write!(f, " @ {sign}{}.{:03}", millis / 1000, millis % 1000)?;
            }
            Some(At::Start) => f.write_str(" @ start()")?,
            Some(At::End) => f.write_str(" @ end()")?,
            None => {}
        }
        match &self.0.offset {
            Some(offset) => write!(f, " offset {}", length(offset)),
            None => Ok(()),
        }
    }
}

/// A duration on its own: a plain number is written as a duration, too.
fn length(duration: &DurationExpr) -> String {
    match duration.node {
        DurationNode::Literal { seconds: value, .. } if !duration.parens => seconds(value),
        _ => duration.to_string(),
    }
}

impl Display for DurationExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.parens {
            f.write_str("(")?;
        }
        match &self.node {
            DurationNode::Literal { seconds: value, duration: true } => f.write_str(&seconds(*value))?,
            DurationNode::Literal { seconds: value, .. } => f.write_str(&format_float(*value))?,
            DurationNode::Step => f.write_str("step()")?,
            DurationNode::Range => f.write_str("range()")?,
            DurationNode::Negate(inner) => write!(f, "-{inner}")?,
            DurationNode::Binary(op, left, right) => write!(f, "{left} {} {right}", op.as_str())?,
            DurationNode::MinOf(left, right) => write!(f, "min_of({left}, {right})")?,
            DurationNode::MaxOf(left, right) => write!(f, "max_of({left}, {right})")?,
        }
        f.write_str(if self.parens { ")" } else { "" })
    }
}

/// Seconds as a duration.
fn seconds(value: f64) -> String {
    let millis = (value.abs() * 1000.0).round() as u64;
    let sign = if value < 0.0 && millis > 0 { "-" } else { "" };
    format!("{sign}{}", format_duration(std::time::Duration::from_millis(millis)))
}

/// Bytes between double quotes. What cannot be printed is escaped.
pub(crate) fn quote(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    out.push('"');
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\u{7}' => out.push_str("\\a"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{b}' => out.push_str("\\v"),
                c if c.is_ascii_control() => out.push_str(&format!("\\x{:02x}", c as u32)),
                c if c != ' ' && (c.is_control() || c.is_whitespace() || c == '\u{feff}') => {
                    out.push_str(&format!("\\u{:04x}", c as u32));
                }
                c => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out.push('"');
    out
}
