//! Relabelling: rewriting, keeping and dropping label sets by rules.

use crate::{Labels, LabelsBuilder, Re2, Re2Error};

/// What a rule does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RelabelAction {
    /// Sets the target label if the regex matches.
    #[default]
    Replace,
    /// Drops sets that do not match.
    Keep,
    /// Drops sets that match.
    Drop,
    /// Drops sets whose target label differs from the source.
    KeepEqual,
    /// Drops sets whose target label equals the source.
    DropEqual,
    /// Sets the target label to a hash of the source, modulo.
    HashMod,
    /// Copies labels whose name matches to a new name.
    LabelMap,
    /// Removes labels whose name matches.
    LabelDrop,
    /// Removes labels whose name does not match.
    LabelKeep,
    /// Sets the target label to the source in lower case.
    Lowercase,
    /// Sets the target label to the source in upper case.
    Uppercase,
}

/// A rule that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RelabelError {
    /// The regex is not one.
    #[error("`regex`: {0}")]
    Regex(#[from] Re2Error),
}

/// One rule. Which fields count depends on the action.
#[derive(Clone, Debug, PartialEq)]
pub struct RelabelRule {
    /// What it does.
    pub action: RelabelAction,
    /// Their values, joined by `separator`, are what the regex sees.
    pub source_labels: Vec<String>,
    /// Between the source values; `;` by default.
    pub separator: String,
    /// Matches the whole joined text; `(.*)` by default.
    pub regex: Re2,
    /// Divisor of `hashmod`.
    pub modulus: u64,
    /// The label to set; may name groups of the regex for `replace`.
    pub target_label: String,
    /// What to set it to; `$1` by default.
    pub replacement: String,
}

impl RelabelRule {
    /// A rule with every field at its default.
    pub fn new(action: RelabelAction) -> Result<Self, RelabelError> {
        Ok(RelabelRule {
            action,
            source_labels: Vec::new(),
            separator: ";".to_owned(),
            regex: Re2::anchored("(.*)")?,
            modulus: 0,
            target_label: String::new(),
            replacement: "$1".to_owned(),
        })
    }
}

/// Applies `rules` in order. `None` if one of them drops the set.
pub fn relabel(labels: &Labels, rules: &[RelabelRule]) -> Option<Labels> {
    if rules.is_empty() {
        return Some(labels.clone());
    }
    let mut builder = labels.edit();
    for rule in rules {
        if !apply(&mut builder, rule) {
            return None;
        }
    }
    Some(builder.build())
}

/// One rule; `false` drops the set.
fn apply(labels: &mut LabelsBuilder, rule: &RelabelRule) -> bool {
    let source =
        rule.source_labels.iter().map(|name| labels.value(name)).collect::<Vec<_>>().join(&rule.separator);
    match rule.action {
        RelabelAction::Keep => return rule.regex.is_match(&source),
        RelabelAction::Drop => return !rule.regex.is_match(&source),
        RelabelAction::KeepEqual => return labels.value(&rule.target_label) == source,
        RelabelAction::DropEqual => return labels.value(&rule.target_label) != source,
        RelabelAction::Replace => replace(labels, rule, &source),
        RelabelAction::Lowercase => {
            labels.set(&rule.target_label, &source.to_lowercase());
        }
        RelabelAction::Uppercase => {
            labels.set(&rule.target_label, &source.to_uppercase());
        }
        RelabelAction::HashMod => {
            use md5::Digest as _;
            let digest = md5::Md5::digest(source.as_bytes());
            let low = digest[8..16].iter().fold(0u64, |sum, byte| (sum << 8) | u64::from(*byte));
            labels.set(&rule.target_label, &(low.checked_rem(rule.modulus).unwrap_or(0)).to_string());
        }
        RelabelAction::LabelMap => {
            let copies: Vec<(String, String)> = labels
                .iter()
                .filter(|(name, _)| rule.regex.is_match(name))
                .map(|(name, value)| (rule.regex.replace_all(name, &rule.replacement), value.to_owned()))
                .collect();
            for (name, value) in copies {
                labels.set(&name, &value);
            }
        }
        RelabelAction::LabelDrop => {
            labels.retain(|name| !rule.regex.is_match(name));
        }
        RelabelAction::LabelKeep => {
            labels.retain(|name| rule.regex.is_match(name));
        }
    }
    true
}

fn replace(labels: &mut LabelsBuilder, rule: &RelabelRule, source: &str) {
    let Some(target) = rule.regex.expand_first(source, &rule.target_label) else { return };
    if target.is_empty() {
        return;
    }
    let value = rule.regex.expand_first(source, &rule.replacement).unwrap_or_default();
    if value.is_empty() {
        labels.remove(&target);
    } else {
        labels.set(&target, &value);
    }
}
