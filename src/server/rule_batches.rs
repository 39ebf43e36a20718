//! Which rules of a group may be asked at the same time.
//!
//! In: the rules of a group, in order, each with what it reads. Out: runs of neighbours none of which reads what an earlier
//! one of the run writes. Asking all rules of a run before any of them writes gives what asking them one by one gives.

use std::ops::Range;

use model::{METRIC_NAME, Matcher};
use rules::{ALERTS, ALERTS_FOR_STATE, Action, Rule};

/// Answers that are held at once are bounded by this.
const RUN_MAX: usize = 64;

/// The matchers of each selector of an expression; `None` if what is read is not known beforehand.
pub(crate) type Reads = Option<Vec<Vec<Matcher>>>;

/// The metric names that a rule writes.
fn written(rule: &Rule) -> Vec<&str> {
    match rule.action {
        Action::Record => vec![&rule.name],
        Action::Alert { .. } => vec![ALERTS, ALERTS_FOR_STATE],
    }
}

/// Whether a selector may find series of this name.
fn finds(selector: &[Matcher], name: &str) -> bool {
    selector.iter().filter(|matcher| matcher.name() == METRIC_NAME).all(|matcher| matcher.matches(name))
}

/// The runs of a group, as positions. `reads` says what a rule reads.
pub(crate) fn runs(rules: &[Rule], reads: impl Fn(&Rule) -> Reads) -> Vec<Range<usize>> {
    let (mut runs, mut from) = (Vec::new(), 0);
    while from < rules.len() {
        let length = run_length(rules, from, &reads);
        runs.push(from..from + length);
        from += length;
    }
    runs
}

/// How many rules from `from` on may be asked together; at least one.
fn run_length(rules: &[Rule], from: usize, reads: impl Fn(&Rule) -> Reads) -> usize {
    let mut names: Vec<&str> = Vec::new();
    for (length, rule) in rules[from..].iter().enumerate() {
        let after_another = !names.is_empty()
            && reads(rule).is_none_or(|selectors| {
                selectors.iter().any(|selector| names.iter().any(|name| finds(selector, name)))
            });
        if after_another || length == RUN_MAX {
            return length;
        }
        for name in written(rule) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    rules.len() - from
}

#[cfg(test)]
mod tests {
    use super::*;
    use rules::Place;

    /// Rules as `NAME = METRIC…`; a capital begins an alert's name, `?` reads something unknown, `~PATTERN` by pattern.
    fn lengths(text: &str) -> Vec<usize> {
        let lines: Vec<(&str, &str)> =
            text.split(';').map(|line| line.trim().split_once(" = ").unwrap()).collect();
        let place = || Place { file: "f".to_owned(), line: 1 };
        let rule = |(name, reads): &(&str, &str)| {
            if name.starts_with(char::is_uppercase) {
                Rule::alert(name, reads, Default::default(), Vec::new(), Vec::new(), place()).unwrap()
            } else {
                Rule::record(name, reads, Vec::new(), place())
            }
        };
        let rules: Vec<Rule> = lines.iter().map(rule).collect();
        let reads = |rule: &Rule| -> Reads {
            let text = rule.condition.describe();
            let selector = |name: &str| {
                let (op, name) = match name.strip_prefix('~') {
                    Some(pattern) => (model::MatchOp::Regex, pattern),
                    None => (model::MatchOp::Equal, name),
                };
                vec![Matcher::new(METRIC_NAME, op, name).unwrap()]
            };
            (text != "?").then(|| text.split(' ').map(selector).collect())
        };
        runs(&rules, reads).into_iter().map(|run| run.len()).collect()
    }

    #[test]
    fn a_rule_that_reads_what_another_writes_comes_after_it() {
        for (rules, wanted) in [
            ("a = x", vec![1]),
            ("a = x; b = y; C = z", vec![3]),
            ("a = x; b = a; C = b", vec![1, 1, 1]),
            ("a = x; b = y; C = a b; D = a", vec![2, 2]),
            // What a later one writes does not matter: the last evaluation's value is read either way.
            ("b = a; a = x", vec![2]),
            ("a = x; B = ~a|b; C = ~c.*", vec![1, 2]),
            ("A = x; b = ALERTS; C = x", vec![1, 2]),
            // A script may read anything.
            ("a = x; B = ?; c = y; D = ?", vec![1, 2, 1]),
        ] {
            assert_eq!(lengths(rules), wanted, "{rules}");
        }
    }
}
