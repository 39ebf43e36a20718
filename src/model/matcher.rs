//! Matchers: what a label's value must be.

use std::fmt;

use crate::{Labels, Needed, Re2, Re2Error, escape_label_value, is_legacy_label_name};

/// How a matcher compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
}

impl MatchOp {
    /// The operator as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Regex => "=~",
            MatchOp::NotRegex => "!~",
        }
    }

    /// Whether the pattern is a regular expression.
    pub fn is_regex(self) -> bool {
        matches!(self, MatchOp::Regex | MatchOp::NotRegex)
    }

    /// Whether a value that fits the pattern is accepted.
    pub fn is_positive(self) -> bool {
        matches!(self, MatchOp::Equal | MatchOp::Regex)
    }
}

/// A matcher that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("matcher `{name}{}\"{}\"`: {source}", .op.as_str(), escape_label_value(.pattern))]
pub struct MatcherError {
    name: String,
    op: MatchOp,
    pattern: String,
    #[source]
    source: Re2Error,
}

/// Name, operator and pattern. A missing label is the empty string; regular expressions match the whole value.
#[derive(Clone, Debug)]
pub struct Matcher {
    name: String,
    op: MatchOp,
    pattern: String,
    /// Present exactly if the operator is a regular expression.
    regex: Option<Re2>,
}

impl Matcher {
    /// Compiles the pattern if the operator needs it.
    pub fn new(
        name: impl Into<String>,
        op: MatchOp,
        pattern: impl Into<String>,
    ) -> Result<Self, MatcherError> {
        Self::compile(name.into(), op, pattern.into(), Re2::anchored)
    }

    /// As [`Matcher::new`], for routes, inhibition rules and silences: there `.` does not match a line break.
    pub fn for_alerts(
        name: impl Into<String>,
        op: MatchOp,
        pattern: impl Into<String>,
    ) -> Result<Self, MatcherError> {
        Self::compile(name.into(), op, pattern.into(), Re2::anchored_line)
    }

    fn compile(
        name: String,
        op: MatchOp,
        pattern: String,
        regex: impl Fn(&str) -> Result<Re2, Re2Error>,
    ) -> Result<Self, MatcherError> {
        let regex = match op.is_regex().then(|| regex(&pattern)).transpose() {
            Ok(regex) => regex,
            Err(source) => return Err(MatcherError { name, op, pattern, source }),
        };
        Ok(Matcher { name, op, pattern, regex })
    }

    /// `name="value"`, which cannot fail.
    pub fn equal(name: impl Into<String>, value: impl Into<String>) -> Self {
        Matcher { name: name.into(), op: MatchOp::Equal, pattern: value.into(), regex: None }
    }

    /// The label's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The operator.
    pub fn op(&self) -> MatchOp {
        self.op
    }

    /// The value or regular expression, as written.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Whether `value` is accepted.
    pub fn matches(&self, value: &str) -> bool {
        let fits = match &self.regex {
            Some(regex) => regex.is_match(value),
            None => self.pattern == value,
        };
        fits == self.op.is_positive()
    }

    /// Whether the label of this name in `labels` is accepted; a missing one is the empty string.
    pub fn matches_labels(&self, labels: &Labels) -> bool {
        self.matches(labels.value(&self.name))
    }

    /// Whether series without the label are accepted.
    pub fn matches_empty(&self) -> bool {
        self.matches("")
    }

    /// The values that can match, if the pattern is plain text or an alternation of plain texts: `a|b|c`.
    /// Only for `=` and `=~`; an index looks them up instead of trying all values.
    pub fn literals(&self) -> Option<Vec<&str>> {
        match self.op {
            MatchOp::Equal => Some(vec![&self.pattern]),
            MatchOp::Regex => {
                let parts: Vec<&str> = self.pattern.split('|').collect();
                let plain = |p: &str| !p.chars().any(|c| r"\.+*?()[]{}^$".contains(c));
                parts.iter().all(|p| plain(p)).then_some(parts)
            }
            _ => None,
        }
    }

    /// What every value that it accepts fulfils, if its pattern says something of the kind.
    pub fn needed(&self) -> Option<Needed> {
        match (self.op, &self.regex) {
            (MatchOp::Equal, _) => Some(Needed::Values(vec![self.pattern.clone().into_bytes()])),
            (MatchOp::Regex, Some(regex)) => Needed::of_pattern(regex.translated()),
            _ => None,
        }
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.op == other.op && self.name == other.name && self.pattern == other.pattern
    }
}

impl Eq for Matcher {}

impl std::hash::Hash for Matcher {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (&self.name, self.op, &self.pattern).hash(state);
    }
}

impl fmt::Display for Matcher {
    /// `name="pattern"`; a name outside the classic character set is quoted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_legacy_label_name(&self.name) {
            f.write_str(&self.name)?;
        } else {
            write!(f, "\"{}\"", escape_label_value(&self.name))?;
        }
        write!(f, "{}\"{}\"", self.op.as_str(), escape_label_value(&self.pattern))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_whole_values() {
        for (op, pattern, value, expected) in [
            (MatchOp::Equal, "a", "a", true),
            (MatchOp::Equal, "a", "ab", false),
            (MatchOp::NotEqual, "a", "", true),
            (MatchOp::Regex, "a.", "ab", true),
            (MatchOp::Regex, "a", "ab", false),
            (MatchOp::Regex, "a|b", "b", true),
            (MatchOp::Regex, ".*", "x\ny", true),
            (MatchOp::Regex, "(?i)ABC", "abc", true),
            (MatchOp::NotRegex, "a.*", "b", true),
            (MatchOp::NotRegex, "", "", false),
        ] {
            let matcher = Matcher::new("l", op, pattern).unwrap();
            assert_eq!(matcher.matches(value), expected, "{matcher} against {value:?}");
        }
    }

    #[test]
    fn a_dot_crosses_lines_only_for_series() {
        assert!(Matcher::new("l", MatchOp::Regex, "a.b").unwrap().matches("a\nb"));
        let for_alerts = |pattern| Matcher::for_alerts("l", MatchOp::Regex, pattern).unwrap();
        assert!(!for_alerts("a.b").matches("a\nb"));
        assert!(for_alerts("(?s)a.b").matches("a\nb"));
        assert!(!for_alerts("a|b").matches("ab"));
    }

    #[test]
    fn says_which_matcher_is_wrong() {
        let error = Matcher::new("job", MatchOp::Regex, "a(").unwrap_err();
        assert!(error.to_string().starts_with("matcher `job=~\"a(\"`: "), "{error}");
    }

    #[test]
    fn knows_what_a_value_needs() {
        let of = |pattern: &str| {
            let text = |all: Vec<Vec<u8>>| {
                all.into_iter().map(|one| String::from_utf8(one).unwrap()).collect::<Vec<_>>().join(" ")
            };
            match Matcher::for_alerts("l", MatchOp::Regex, pattern).unwrap().needed() {
                None => "nothing".to_owned(),
                Some(Needed::Values(values)) => format!("is {}", text(values)),
                Some(Needed::Prefixes(prefixes)) => format!("begins {}", text(prefixes)),
                Some(Needed::Contains(piece)) => format!("contains {}", text(vec![piece])),
            }
        };
        for (pattern, expected) in [
            ("x|y", "is x y"),
            ("ns-(3|x3)", "is ns-3 ns-x3"),
            ("web-.*", "begins web-"),
            ("w1.*|w2.*", "begins w1 w2"),
            (".*-42-.*", "contains -42-"),
            (".*(disk|memory).*", "nothing"),
            ("(?i)ab", "is AB Ab aB ab"),
            ("(abc)+d?", "begins abc"),
            (".*", "nothing"),
            ("", "is "),
        ] {
            assert_eq!(of(pattern), expected, "{pattern}");
        }
        assert_eq!(Matcher::for_alerts("l", MatchOp::NotRegex, "abc.*").unwrap().needed(), None);
    }

    #[test]
    fn lists_literals_only_where_they_decide() {
        let of = |op, p: &str| Matcher::new("l", op, p).unwrap().literals().map(|l| l.join(","));
        assert_eq!(of(MatchOp::Regex, "a|b"), Some("a,b".into()));
        assert_eq!(of(MatchOp::Regex, "a.|b"), None);
        assert_eq!(of(MatchOp::NotEqual, "a"), None);
    }
}
