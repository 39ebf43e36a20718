//! `inhibit_rules` as they are written.

use std::collections::BTreeSet;

use alerting::InhibitRule;

use crate::matchers;
use crate::reader::{At, Fields};
use crate::shown::Shown;

/// All rules.
pub(crate) fn read_all(fields: &Fields<'_>) -> Vec<InhibitRule> {
    fields.each("inhibit_rules", |at| read(&at))
}

fn read(at: &At<'_>) -> Option<(InhibitRule, Shown)> {
    if at.is_null() {
        // Alertmanager takes it, and it inhibits nothing: every alert is on both sides of it.
        at.warn(
            "this rule is empty and does nothing",
            Some("take the item out, or write its keys".to_owned()),
        );
        return None;
    }
    let fields = at.fields()?;
    let name = fields.text("name").unwrap_or_default();
    let mut source_matchers = matchers::read_equal(&fields, "source_match");
    source_matchers.extend(matchers::read_regex(&fields, "source_match_re"));
    source_matchers.extend(matchers::read_list(&fields, "source_matchers"));
    let mut target_matchers = matchers::read_equal(&fields, "target_match");
    target_matchers.extend(matchers::read_regex(&fields, "target_match_re"));
    target_matchers.extend(matchers::read_list(&fields, "target_matchers"));
    let mut equal = BTreeSet::new();
    for item in fields.get("equal").and_then(|at| at.list()).unwrap_or_default() {
        let Some(label) = item.text() else { continue };
        if !at.cx.options.matcher_mode.is_label_name(&label) {
            item.error(format!("`{label}` is not a label name"), None);
        }
        equal.insert(label);
    }
    if fields.has("equal") {
        fields.show("equal", Shown::Row(equal.iter().map(Shown::text).collect()));
    }
    if source_matchers.is_empty() && !any(&fields, ["source_match", "source_match_re", "source_matchers"]) {
        at.warn("this rule has no source matchers: every firing alert is a source", None);
    }
    Some((InhibitRule { name, source_matchers, target_matchers, equal }, fields.finish()))
}

fn any(fields: &Fields<'_>, keys: [&'static str; 3]) -> bool {
    keys.into_iter().any(|key| fields.has(key))
}
