//! Relabelling rules as they are written.

use model::{Re2, RelabelAction, RelabelRule, is_legacy_label_name};

use crate::NameScheme;
use crate::reader::{At, Fields, suggestion};
use crate::shown::Shown;

/// Actions by name.
const ACTIONS: [(&str, RelabelAction); 11] = [
    ("replace", RelabelAction::Replace),
    ("keep", RelabelAction::Keep),
    ("drop", RelabelAction::Drop),
    ("keepequal", RelabelAction::KeepEqual),
    ("dropequal", RelabelAction::DropEqual),
    ("hashmod", RelabelAction::HashMod),
    ("labelmap", RelabelAction::LabelMap),
    ("labeldrop", RelabelAction::LabelDrop),
    ("labelkeep", RelabelAction::LabelKeep),
    ("lowercase", RelabelAction::Lowercase),
    ("uppercase", RelabelAction::Uppercase),
];

/// A list of rules under `key`.
pub(crate) fn read_list(fields: &Fields<'_>, key: &'static str, names: NameScheme) -> Vec<RelabelRule> {
    fields.each(key, |at| {
        if at.is_null() {
            at.error("this rule is empty", Some("take the item out, or write its keys".to_owned()));
            return None;
        }
        read(&at, names)
    })
}

/// One rule.
pub(crate) fn read(at: &At<'_>, names: NameScheme) -> Option<(RelabelRule, Shown)> {
    let fields = at.fields()?;
    let action = read_action(&fields);
    let known = action.is_some();
    let action = action.unwrap_or_default();
    let source_labels = read_source_labels(&fields, names);
    let separator = optional_text(&fields, "separator");
    let regex = read_regex(&fields);
    let modulus = fields.get("modulus").and_then(|at| at.unsigned());
    let target_label = fields.get("target_label").and_then(|at| at.text()).unwrap_or_default();
    let replacement = optional_text(&fields, "replacement");
    if known {
        check_needs(&fields, action, &target_label, modulus.unwrap_or(0));
        check_target(&fields, action, &target_label, names);
        check_replacement(&fields, action, replacement.as_deref(), names);
        check_unused(&fields, action, replacement.as_deref());
    }
    show(
        &fields,
        action,
        &source_labels,
        separator.as_deref(),
        modulus,
        &target_label,
        replacement.as_deref(),
    );
    let default_regex = || Re2::anchored("(.*)").expect("a plain group is a regular expression");
    let rule = RelabelRule {
        action,
        source_labels,
        separator: separator.unwrap_or_else(|| ";".to_owned()),
        regex: regex.unwrap_or_else(default_regex),
        modulus: modulus.unwrap_or(0),
        target_label,
        replacement: replacement.unwrap_or_else(|| "$1".to_owned()),
    };
    Some((rule, fields.finish()))
}

/// Text that may be empty on purpose; `None` is not there.
fn optional_text(fields: &Fields<'_>, key: &'static str) -> Option<String> {
    fields.get(key).and_then(|at| at.text())
}

/// `None` if what is there is not an action.
fn read_action(fields: &Fields<'_>) -> Option<RelabelAction> {
    let Some(at) = fields.get("action") else { return Some(RelabelAction::Replace) };
    let text = at.text()?.to_lowercase();
    let found = ACTIONS.iter().find(|(name, _)| *name == text).map(|(_, action)| *action);
    if found.is_none() && !at.is_broken() {
        let hint = suggestion(&text, ACTIONS.iter().map(|(name, _)| *name), "possible");
        at.error(format!("`{text}` is not an action"), hint);
    }
    found
}

fn read_source_labels(fields: &Fields<'_>, names: NameScheme) -> Vec<String> {
    let Some(at) = fields.get("source_labels") else { return Vec::new() };
    let items = at.list().unwrap_or_default();
    let texts = items.iter().filter_map(|at| {
        let text = at.text()?;
        if !is_label_name(&text, names) {
            at.error(format!("`{text}` is not a label name"), None);
        }
        Some(text)
    });
    texts.collect()
}

/// Whether a label may have this name.
pub(crate) fn is_label_name(name: &str, names: NameScheme) -> bool {
    match names {
        NameScheme::Utf8 => !name.is_empty(),
        NameScheme::Legacy => is_legacy_label_name(name),
    }
}

fn read_regex(fields: &Fields<'_>) -> Option<Re2> {
    let at = fields.get("regex")?;
    let text = at.text()?;
    match Re2::anchored(&text) {
        Ok(regex) => Some(regex),
        Err(error) => {
            at.error(error.to_string(), None);
            None
        }
    }
}

/// What an action cannot do without.
fn check_needs(fields: &Fields<'_>, action: RelabelAction, target: &str, modulus: u64) {
    let name = action_name(action);
    let needs_target = matches!(
        action,
        RelabelAction::Replace
            | RelabelAction::HashMod
            | RelabelAction::Lowercase
            | RelabelAction::Uppercase
            | RelabelAction::KeepEqual
            | RelabelAction::DropEqual
    );
    if action == RelabelAction::HashMod && modulus == 0 && !is_broken(fields, "modulus") {
        fields.missing("modulus", Some(format!("action `{name}` divides by it: a number above 0")));
    }
    if needs_target && target.is_empty() && !is_broken(fields, "target_label") {
        let hint = match action {
            RelabelAction::Replace => {
                "action `replace`, which is the default, needs the label to set; to filter, add `action: keep` or `drop`"
            }
            _ => "the label to set or to compare with",
        };
        fields.missing("target_label", Some(hint.to_owned()));
    }
}

fn is_broken(fields: &Fields<'_>, key: &'static str) -> bool {
    fields.get(key).is_some_and(|at| at.is_broken())
}

fn action_name(action: RelabelAction) -> &'static str {
    ACTIONS.iter().find(|(_, a)| *a == action).map_or("replace", |(name, _)| name)
}

fn check_target(fields: &Fields<'_>, action: RelabelAction, target: &str, names: NameScheme) {
    if target.is_empty() {
        return;
    }
    let valid = match action {
        RelabelAction::Replace => is_target(target, names),
        RelabelAction::Lowercase
        | RelabelAction::Uppercase
        | RelabelAction::HashMod
        | RelabelAction::KeepEqual
        | RelabelAction::DropEqual => is_label_name(target, names),
        _ => true,
    };
    if let Some(at) = fields.get("target_label").filter(|_| !valid) {
        at.error(
            format!("`{target}` is not a label name that action `{}` can set", action_name(action)),
            None,
        );
    }
}

fn check_replacement(
    fields: &Fields<'_>,
    action: RelabelAction,
    replacement: Option<&str>,
    names: NameScheme,
) {
    let Some(replacement) = replacement else { return };
    if action == RelabelAction::LabelMap
        && !is_target(replacement, names)
        && let Some(at) = fields.get("replacement")
    {
        at.error(format!("`{replacement}` is not a label name"), None);
    }
}

/// Whether `text`, with its groups filled in by something, is a label name.
pub(crate) fn is_target(text: &str, names: NameScheme) -> bool {
    match names {
        NameScheme::Utf8 => !text.is_empty(),
        NameScheme::Legacy => is_legacy_target(text),
    }
}

/// `^(?:[a-zA-Z_]|\$\{?\w+\}?)+\w*…$` in words: letters, digits (not first), underscores, `$name` and `${name}`.
fn is_legacy_target(text: &str) -> bool {
    let mut rest = text;
    let mut first = true;
    while let Some(c) = rest.chars().next() {
        if let Some(group) = rest.strip_prefix('$') {
            let (braced, group) = match group.strip_prefix('{') {
                Some(inner) => (true, inner),
                None => (false, group),
            };
            let length = group.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
            if length == 0 {
                return false;
            }
            rest = &group[length..];
            if braced {
                let Some(after) = rest.strip_prefix('}') else { return false };
                rest = after;
            }
        } else if c.is_ascii_alphabetic() || c == '_' || (c.is_ascii_digit() && !first) {
            rest = &rest[1..];
        } else {
            return false;
        }
        first = false;
    }
    !first
}

/// Keys that an action does not look at: they show a misunderstanding.
fn check_unused(fields: &Fields<'_>, action: RelabelAction, replacement: Option<&str>) {
    let unused: &[&'static str] = match action {
        RelabelAction::LabelDrop | RelabelAction::LabelKeep => {
            &["source_labels", "target_label", "modulus", "separator", "replacement"]
        }
        RelabelAction::KeepEqual | RelabelAction::DropEqual => {
            &["regex", "modulus", "separator", "replacement"]
        }
        RelabelAction::Lowercase | RelabelAction::Uppercase => &["replacement"],
        _ => &[],
    };
    for key in unused {
        let Some(at) = fields.get(key) else { continue };
        // A default that is written down says nothing.
        let is_default = match *key {
            "separator" => at.scalar().is_some_and(|s| s.text == ";"),
            "replacement" => replacement == Some("$1"),
            "regex" => at.scalar().is_some_and(|s| s.text == "(.*)"),
            "modulus" => at.scalar().is_some_and(|s| s.text == "0"),
            "target_label" => at.scalar().is_some_and(|s| s.text.is_empty()),
            _ => false,
        };
        if !is_default {
            let name = action_name(action);
            let hint = match action {
                RelabelAction::LabelDrop | RelabelAction::LabelKeep => {
                    format!("`{name}` takes `regex` and nothing else")
                }
                RelabelAction::KeepEqual | RelabelAction::DropEqual => {
                    format!("`{name}` takes `source_labels` and `target_label` and nothing else")
                }
                _ => "take it out".to_owned(),
            };
            at.at_key().error(format!("action `{name}` does not use `{key}`"), Some(hint));
        }
    }
}

fn show(
    fields: &Fields<'_>,
    action: RelabelAction,
    source_labels: &[String],
    separator: Option<&str>,
    modulus: Option<u64>,
    target: &str,
    replacement: Option<&str>,
) {
    if !source_labels.is_empty() {
        fields.show("source_labels", Shown::Row(source_labels.iter().map(Shown::text).collect()));
    }
    fields.show("separator", Shown::text(separator.unwrap_or(";")));
    if let Some(text) = fields.get("regex").and_then(|at| at.scalar().map(|s| s.text.clone())) {
        fields.show("regex", Shown::text(text));
    }
    if let Some(modulus) = modulus.filter(|m| *m > 0) {
        fields.show("modulus", Shown::number(modulus));
    }
    if !target.is_empty() {
        fields.show("target_label", Shown::text(target));
    }
    fields.show("replacement", Shown::text(replacement.unwrap_or("$1")));
    fields.show("action", Shown::text(action_name(action)));
}
