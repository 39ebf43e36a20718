//! Files of rule tests: series in, expected alerts and samples out, in promtool's form.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use model::Timestamp;

use crate::Place;
use crate::reader::{At, Fields};
use crate::rules::{RuleGroupConfig, ScriptRule};
use crate::shown::Shown;

/// A file of tests and the rules that it is about.
#[derive(Clone, Debug)]
pub struct RuleTestFile {
    /// Where it stands.
    pub file: PathBuf,
    /// From one evaluation of the rules to the next.
    pub evaluation_interval: Duration,
    /// Names of groups in the order in which they are evaluated, the others following.
    pub group_order: Vec<String>,
    /// Whether numbers may differ in their last bit.
    pub fuzzy_compare: bool,
    /// The tests, in order.
    pub tests: Vec<RuleTest>,
    /// The groups of its rule files.
    pub rule_groups: Vec<RuleGroupConfig>,
    /// Scripts and components among its rule files.
    pub script_rules: Vec<ScriptRule>,
}

/// One entry of `tests`.
#[derive(Clone, Debug)]
pub struct RuleTest {
    /// Its name; may be empty.
    pub name: String,
    /// Distance of the values of input series.
    pub interval: Duration,
    /// When time starts.
    pub start: Timestamp,
    /// Series and their values, in the notation for series.
    pub input_series: Vec<(String, String)>,
    /// Which alerts fire when.
    pub alerts: Vec<ExpectedAlerts>,
    /// What expressions give.
    pub exprs: Vec<ExpectedSamples>,
    /// `$externalLabels`.
    pub external_labels: Vec<(String, String)>,
    /// `$externalURL`.
    pub external_url: String,
    /// Where it stands.
    pub place: Place,
}

/// All alerts of a rule that fire at a time.
#[derive(Clone, Debug)]
pub struct ExpectedAlerts {
    /// When, from the start.
    pub eval_time: Duration,
    /// Which rule.
    pub alertname: String,
    /// Labels without `alertname`, and annotations.
    pub alerts: Vec<(BTreeMap<String, String>, BTreeMap<String, String>)>,
}

/// All samples that an expression gives at a time.
#[derive(Clone, Debug)]
pub struct ExpectedSamples {
    /// The expression.
    pub expr: String,
    /// When, from the start.
    pub eval_time: Duration,
    /// Series as in a query, value, and histogram in the notation for series (empty: the value counts).
    pub samples: Vec<(String, f64, String)>,
}

/// Upstream's default, for files that name none.
const EVALUATION_INTERVAL: Duration = Duration::from_secs(60);

/// The file without its rules: `read_rules` is called with the file's fields.
pub(crate) fn read_file(
    at: &At<'_>,
    read_rules: impl FnOnce(&Fields<'_>) -> (Vec<RuleGroupConfig>, Vec<ScriptRule>),
) -> Option<RuleTestFile> {
    let fields = at.fields()?;
    fields.expect_misplaced(&[
        ("groups", "this is a rule file: name it under `rule_files` of a file of tests"),
        ("scrape_configs", "this is a server's configuration, not a file of rule tests"),
    ]);
    let (rule_groups, script_rules) = read_rules(&fields);
    let evaluation_interval = fields
        .duration("evaluation_interval")
        .filter(|interval| !interval.is_zero())
        .unwrap_or(EVALUATION_INTERVAL);
    let group_order = fields.texts("group_eval_order");
    if let (Some(twice), Some(at)) = (named_twice(&group_order), fields.get("group_eval_order")) {
        at.error(format!("group `{twice}` is named twice in the order of evaluation"), None);
    }
    let fuzzy_compare = fields.boolean_or("fuzzy_compare", false);
    let tests = fields.each("tests", |at| Some((read_test(&at, evaluation_interval)?, Shown::Null)));
    fields.finish();
    Some(RuleTestFile {
        file: at.place().file,
        evaluation_interval,
        group_order,
        fuzzy_compare,
        tests,
        rule_groups,
        script_rules,
    })
}

fn named_twice(names: &[String]) -> Option<&String> {
    names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)).map(|(_, name)| name)
}

fn read_test(at: &At<'_>, evaluation_interval: Duration) -> Option<RuleTest> {
    let fields = at.fields()?;
    fields.expect_misplaced(&[
        ("rule_files", "write it beside `tests`, not inside a test"),
        ("alert_rule_tests", "write `alert_rule_test`"),
        ("promql_expr_tests", "write `promql_expr_test`"),
    ]);
    let test = RuleTest {
        name: fields.text_or("name", ""),
        interval: fields.duration("interval").filter(|i| !i.is_zero()).unwrap_or(evaluation_interval),
        start: fields.get("start_timestamp").and_then(|at| read_start(&at)).unwrap_or(Timestamp::EPOCH),
        input_series: fields.each("input_series", |at| {
            let fields = at.fields()?;
            let series = (fields.text_or("series", ""), fields.text_or("values", ""));
            Some((series, fields.finish()))
        }),
        alerts: fields.each("alert_rule_test", |at| Some((read_alerts(&at)?, Shown::Null))),
        exprs: fields.each("promql_expr_test", |at| Some((read_samples(&at)?, Shown::Null))),
        external_labels: fields.text_map("external_labels"),
        external_url: fields.text_or("external_url", ""),
        place: at.place(),
    };
    fields.finish();
    Some(test)
}

/// RFC 3339, or seconds since 1970.
fn read_start(at: &At<'_>) -> Option<Timestamp> {
    let text = at.text()?;
    let time = match text.parse::<f64>() {
        Ok(seconds) if seconds.is_finite() => Some(Timestamp::from_secs_f64(seconds)),
        _ => text.parse::<jiff::Timestamp>().ok().map(|time| Timestamp::from_millis(time.as_millisecond())),
    };
    if time.is_none() {
        let hint = "write it as `2024-01-31T12:00:00Z`, or as seconds since 1970";
        at.error(format!("`{text}` is not a time"), Some(hint.to_owned()));
    }
    time
}

fn read_alerts(at: &At<'_>) -> Option<ExpectedAlerts> {
    let fields = at.fields()?;
    let expected = ExpectedAlerts {
        eval_time: fields.duration("eval_time").unwrap_or_default(),
        alertname: fields.text_or("alertname", ""),
        alerts: fields.each("exp_alerts", |at| {
            let fields = at.fields()?;
            let pairs = |key| fields.text_map(key).into_iter().collect::<BTreeMap<String, String>>();
            let alert = (pairs("exp_labels"), pairs("exp_annotations"));
            Some((alert, fields.finish()))
        }),
    };
    if expected.alertname.is_empty() {
        fields.missing("alertname", Some("the name of the alerting rule".to_owned()));
    }
    fields.finish();
    Some(expected)
}

fn read_samples(at: &At<'_>) -> Option<ExpectedSamples> {
    let fields = at.fields()?;
    let expected = ExpectedSamples {
        expr: fields.text_or("expr", ""),
        eval_time: fields.duration("eval_time").unwrap_or_default(),
        samples: fields.each("exp_samples", |at| {
            let fields = at.fields()?;
            let sample = (
                fields.text_or("labels", ""),
                fields.float_or("value", 0.0),
                fields.text_or("histogram", ""),
            );
            Some((sample, fields.finish()))
        }),
    };
    fields.finish();
    Some(expected)
}
