//! Why an evaluation of a rule has no result.

use model::Labels;
use ports::EvalError;

/// A failed evaluation. It changes no alert and ends no series.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RuleError {
    /// The condition could not be evaluated.
    #[error(transparent)]
    Condition(#[from] EvalError),
    /// Two results are the same once the rule's labels are added.
    #[error(
        "the condition gives {labels} twice after the rule's labels are added; keep a label that tells them apart"
    )]
    Duplicate {
        /// The labels that occur twice.
        labels: Labels,
    },
    /// More than the group allows.
    #[error("the condition gives {count} {what}, more than the group's `limit` of {limit}")]
    Limit {
        /// How many it would be.
        count: usize,
        /// `alerts` or `series`.
        what: &'static str,
        /// The group's limit.
        limit: usize,
    },
}
