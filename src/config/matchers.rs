//! Matchers of routes and inhibition rules, in the three ways in which they are written.

use alerting::{MatcherMode, match_re, parse_matchers};
use model::{MatchOp, Matcher};

use crate::reader::Fields;
use crate::shown::Shown;

/// `match`: names and values that must be equal.
pub(crate) fn read_equal(fields: &Fields<'_>, key: &'static str) -> Vec<Matcher> {
    let Some(at) = fields.get(key) else { return Vec::new() };
    let mut matchers = Vec::new();
    for (name, value) in at.entries().unwrap_or_default() {
        check_name(&value, &name);
        let Some(text) = value.text() else { continue };
        matchers.extend(Matcher::new(name, MatchOp::Equal, text).ok());
    }
    fields.show(key, Shown::pairs(matchers.iter().map(|m| (m.name(), m.pattern()))));
    matchers
}

/// `match_re`: names and regular expressions.
pub(crate) fn read_regex(fields: &Fields<'_>, key: &'static str) -> Vec<Matcher> {
    let Some(at) = fields.get(key) else { return Vec::new() };
    let mut matchers = Vec::new();
    let mut shown = Vec::new();
    for (name, value) in at.entries().unwrap_or_default() {
        check_name(&value, &name);
        if value.is_null() {
            value.error(format!("`{name}` has no regular expression"), None);
            continue;
        }
        let Some(text) = value.text() else { continue };
        match match_re(&name, &text) {
            Ok(matcher) => matchers.push(matcher),
            Err(error) => value.error(error.to_string(), None),
        }
        shown.push((name, Shown::Text(text)));
    }
    fields.show(key, Shown::Map(shown));
    matchers
}

/// The old ways to write matchers take the names of old, in every mode.
fn check_name(at: &crate::reader::At<'_>, name: &str) {
    if !MatcherMode::Classic.is_label_name(name) {
        let hint = at.cx.options.matcher_mode.is_label_name(name);
        let hint = hint.then(|| "names beyond ASCII letters, digits and `_` go into `matchers`".to_owned());
        at.at_key().error(format!("`{name}` is not a label name"), hint);
    }
}

/// `matchers`: a list of texts such as `severity=~"a|b"`.
pub(crate) fn read_list(fields: &Fields<'_>, key: &'static str) -> Vec<Matcher> {
    let Some(at) = fields.get(key) else { return Vec::new() };
    let mut matchers = Vec::new();
    let mut shown = Vec::new();
    for item in at.list().unwrap_or_default() {
        let Some(text) = item.text() else { continue };
        match parse_matchers(&text, item.cx.options.matcher_mode) {
            Ok(found) => matchers.extend(found),
            Err(error) => {
                let place = error.at().unwrap_or(0);
                let end = if error.at().is_some() { place + 1 } else { text.len() };
                item.error_in_text(place, end, error.to_string(), None);
            }
        }
        shown.push(Shown::Text(text));
    }
    fields.show(key, Shown::List(shown));
    matchers
}
