//! Rule files: groups of alerting and recording rules.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use template::RuleTemplate;

use crate::reader::{At, Fields};
use crate::relabel::is_label_name;
use crate::shown::Shown;
use crate::{NameScheme, Place, schema};

/// One group of a rule file: evaluated together, in order, at one interval.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleGroupConfig {
    /// Unique within its file.
    pub name: String,
    /// The file.
    pub file: PathBuf,
    /// From one evaluation to the next; `None` is `global.evaluation_interval`.
    pub interval: Option<Duration>,
    /// How far behind the time of evaluation its queries look; `None` is `global.rule_query_offset`.
    pub query_offset: Option<Duration>,
    /// How many alerts or series a rule may produce; 0 is any number.
    pub limit: u64,
    /// Added to each of its rules, which may override them.
    pub labels: Vec<(String, String)>,
    /// In order.
    pub rules: Vec<RuleConfig>,
    /// Where it stands.
    pub place: Place,
}

/// One rule.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleConfig {
    /// What its result becomes.
    pub action: RuleAction,
    /// The expression, in the one form in which every tool of the field prints it.
    pub expr: String,
    /// Labels of the result, the group's included; values are templates for alerts.
    pub labels: Vec<(String, String)>,
    /// Annotations; values are templates. Empty for recording rules.
    pub annotations: BTreeMap<String, String>,
    /// Where it stands.
    pub place: Place,
}

/// What the result of a rule becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleAction {
    /// Alerts.
    Alert {
        /// Their `alertname`.
        name: String,
        /// How long the expression must hold before they fire.
        hold: Duration,
        /// How long they fire on after it held last.
        keep_firing: Duration,
    },
    /// Series.
    Record {
        /// Their metric name.
        name: String,
    },
}

impl RuleAction {
    /// The name of the alert or of the series.
    pub fn name(&self) -> &str {
        match self {
            RuleAction::Alert { name, .. } | RuleAction::Record { name } => name,
        }
    }
}

/// A rule file that is a script or a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptRule {
    /// The `.rhai` or `.wasm` file, or `bundled:NAME`.
    pub file: PathBuf,
    /// The entry of `rule_files` that named it.
    pub place: Place,
}

/// The groups of one rule file.
pub(crate) fn read_file(at: &At<'_>, names: NameScheme) -> (Vec<RuleGroupConfig>, Shown) {
    let Some(fields) = at.fields() else { return (Vec::new(), Shown::Null) };
    fields.expect_misplaced(&[
        ("scrape_configs", "this is a server's configuration, not a rule file"),
        ("rules", "write `groups: [{name: …, rules: […]}]`"),
        ("tests", "this is a file of rule tests, not a rule file"),
    ]);
    let mut names_seen: Vec<(String, u32)> = Vec::new();
    let mut rules_seen = Seen::new();
    let groups = fields.each("groups", |at| {
        let (group, shown) = read_group(&at, names, &mut rules_seen)?;
        match names_seen.iter().find(|(name, _)| *name == group.name) {
            Some((name, line)) if !name.is_empty() => {
                let hint = Some(format!("the first is at line {line}"));
                let at = at.fields().and_then(|fields| fields.get("name")).unwrap_or_else(|| at.clone());
                at.error(format!("there are two groups called `{name}` in this file"), hint);
            }
            _ => names_seen.push((group.name.clone(), group.place.line)),
        }
        Some((group, shown))
    });
    (groups, fields.finish())
}

/// Rules by name and labels, with their lines.
type Seen = HashMap<(String, Vec<(String, String)>), u32>;

/// Two rules that make the same series or alerts: which of them wins is not said anywhere.
fn warn_if_seen(at: &At<'_>, rule: &RuleConfig, seen: &mut Seen) {
    let key = (rule.action.name().to_owned(), rule.labels.clone());
    match seen.get(&key) {
        Some(line) => {
            let hint = format!("the first is at line {line}");
            at.warn(format!("there are two rules called `{}` with the same labels", key.0), Some(hint));
        }
        None => {
            seen.insert(key, rule.place.line);
        }
    }
}

fn read_group(at: &At<'_>, names: NameScheme, seen: &mut Seen) -> Option<(RuleGroupConfig, Shown)> {
    let fields = at.fields()?;
    let name = fields.text_or("name", "");
    if name.is_empty() {
        fields.missing("name", None);
    }
    let interval = fields.duration("interval").filter(|interval| !interval.is_zero());
    let query_offset = fields.duration("query_offset");
    let limit = fields.unsigned_or("limit", 0);
    let labels = read_labels(&fields, names, Templated::No);
    let rules = fields.each("rules", |at| {
        let (rule, shown) = read_rule(&at, names, &labels)?;
        warn_if_seen(&at, &rule, seen);
        Some((rule, shown))
    });
    let group = RuleGroupConfig {
        name,
        file: at.place().file,
        interval,
        query_offset,
        limit,
        labels,
        rules,
        place: at.place(),
    };
    Some((group, fields.finish()))
}

fn read_rule(
    at: &At<'_>,
    names: NameScheme,
    group_labels: &[(String, String)],
) -> Option<(RuleConfig, Shown)> {
    let fields = at.fields()?;
    fields.expect_misplaced(&[
        ("severity", "write it under `labels`"),
        ("summary", "write it under `annotations`"),
        ("description", "write it under `annotations`"),
        ("duration", "write `for`"),
        ("name", "write `alert` or `record`"),
    ]);
    let record = fields.text_or("record", "");
    let alert = fields.text_or("alert", "");
    let expr = read_expr(&fields);
    let hold = fields.duration("for").unwrap_or_default();
    let keep_firing = fields.duration("keep_firing_for").unwrap_or_default();
    let action = match (record.is_empty(), alert.is_empty()) {
        (false, false) => {
            let what = "a rule has either `record` or `alert`, not both";
            if let Some(at) = fields.get("alert") {
                at.at_key().error(what, Some("make two rules of it".to_owned()));
            }
            None
        }
        (true, true) => {
            let broken =
                ["record", "alert"].iter().any(|key| fields.get(key).is_some_and(|at| at.is_broken()));
            if !broken {
                let hint = "`alert: NAME` makes alerts, `record: NAME` makes series";
                at.error("this rule has neither `alert` nor `record`", Some(hint.to_owned()));
            }
            None
        }
        (false, true) => {
            check_recording(&fields, &record, names);
            Some(RuleAction::Record { name: record })
        }
        (true, false) => Some(RuleAction::Alert { name: alert, hold, keep_firing }),
    };
    let is_alert = matches!(action, Some(RuleAction::Alert { .. }));
    let own = read_labels(&fields, names, if is_alert { Templated::Yes } else { Templated::No });
    let annotations = read_annotations(&fields, is_alert);
    let shown = fields.finish();
    let mut labels = group_labels.to_vec();
    for (name, value) in own {
        labels.retain(|(n, _)| *n != name);
        labels.push((name, value));
    }
    labels.sort();
    let rule = RuleConfig { action: action?, expr: expr?, labels, annotations, place: at.place() };
    Some((rule, shown))
}

fn read_expr(fields: &Fields<'_>) -> Option<String> {
    let Some(at) = fields.get("expr") else {
        fields.missing("expr", Some("the PromQL expression to evaluate".to_owned()));
        return None;
    };
    let text = at.text()?;
    fields.show("expr", Shown::text(&text));
    if text.is_empty() {
        fields.missing("expr", Some("the PromQL expression to evaluate".to_owned()));
        return None;
    }
    match promql::parse(&text, &at.cx.options.promql) {
        Ok(expr) => Some(expr.to_string()),
        Err(errors) => {
            for error in errors.iter() {
                let (from, to) = (error.span.start, error.span.end);
                at.error_in_text(from, to, error.message.clone(), error.hint.clone());
            }
            None
        }
    }
}

/// What a recording rule must not have, and its name.
fn check_recording(fields: &Fields<'_>, name: &str, names: NameScheme) {
    for key in ["for", "keep_firing_for", "annotations"] {
        if let Some(at) = fields.get(key) {
            at.at_key().error(format!("a recording rule has no `{key}`"), Some("take it out".to_owned()));
        }
    }
    let Some(at) = fields.get("record") else { return };
    if name.contains(['{', '}']) {
        let hint = "put labels under `labels`, and matchers into `expr`";
        at.error(format!("`{name}` is not a metric name: there are braces in it"), Some(hint.to_owned()));
    } else if names == NameScheme::Legacy && !model::is_legacy_metric_name(name) {
        at.error(format!("`{name}` is not a metric name"), Some("letters, digits, `_` and `:`".to_owned()));
    }
}

/// Whether values are templates.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Templated {
    Yes,
    No,
}

fn read_labels(fields: &Fields<'_>, names: NameScheme, templated: Templated) -> Vec<(String, String)> {
    let Some(at) = fields.get("labels") else { return Vec::new() };
    let mut labels = Vec::new();
    for (name, value) in at.entries().unwrap_or_default() {
        if name.is_empty() {
            value.at_key().error("a label needs a name", None);
        } else if !is_label_name(&name, names) || name == model::METRIC_NAME {
            value.at_key().error(format!("`{name}` cannot be a label here"), None);
        }
        let Some(text) = value.text() else { continue };
        if templated == Templated::Yes {
            check_template(&value, &text);
        }
        labels.push((name, text));
    }
    fields.show("labels", Shown::pairs(labels.iter().map(|(n, v)| (n.as_str(), v.as_str()))));
    labels
}

fn read_annotations(fields: &Fields<'_>, is_alert: bool) -> BTreeMap<String, String> {
    let Some(at) = fields.get("annotations") else { return BTreeMap::new() };
    let mut annotations = BTreeMap::new();
    for (name, value) in at.entries().unwrap_or_default() {
        if name.is_empty() {
            value.at_key().error("an annotation needs a name", None);
        }
        let Some(text) = value.text() else { continue };
        if is_alert {
            check_template(&value, &text);
        }
        annotations.insert(name, text);
    }
    fields.show("annotations", Shown::pairs(annotations.iter().map(|(n, v)| (n.as_str(), v.as_str()))));
    annotations
}

/// Says where a rule's template is wrong.
fn check_template(at: &At<'_>, text: &str) {
    if !text.contains("{{") {
        return;
    }
    if let Err(error) = RuleTemplate::parse("rule", text) {
        schema::report_template(at, text, &error);
    }
}
