//! `route`: the routing tree as it is written.

use std::collections::BTreeMap;

use alerting::{AlertingConfig, AlertingProblem, GroupBy, RouteSpec, RouteTree, TimeInterval};
use model::Matcher;

use crate::matchers;
use crate::rate_limit;
use crate::reader::{At, Fields, suggestion};
use crate::schema;
use crate::shown::Shown;

/// A route and those below it. What cannot be read is left at its default, so that positions stay right.
pub(crate) fn read(at: &At<'_>) -> (RouteSpec, Shown) {
    let Some(fields) = at.fields() else { return (RouteSpec::default(), Shown::Null) };
    let spec = RouteSpec {
        receiver: fields.text("receiver").filter(|name| !name.is_empty()),
        matchers: read_matchers(&fields),
        group_by: read_group_by(&fields),
        continue_matching: fields.boolean("continue").unwrap_or(false),
        group_wait: fields.duration("group_wait"),
        group_interval: fields.duration("group_interval"),
        repeat_interval: fields.duration("repeat_interval"),
        mute_time_intervals: fields.texts("mute_time_intervals"),
        active_time_intervals: fields.texts("active_time_intervals"),
        labels: read_labels(&fields),
        routes: fields.each("routes", |at| Some(read(&at))),
    };
    (spec, fields.finish())
}

fn read_matchers(fields: &Fields<'_>) -> Vec<Matcher> {
    let mut all = matchers::read_equal(fields, "match");
    all.extend(matchers::read_regex(fields, "match_re"));
    all.extend(matchers::read_list(fields, "matchers"));
    all
}

fn read_group_by(fields: &Fields<'_>) -> Option<GroupBy> {
    let at = fields.get("group_by")?;
    let names = at.texts()?;
    fields.show("group_by", Shown::Row(names.iter().map(Shown::text).collect()));
    match GroupBy::parse(&names, at.cx.options.matcher_mode) {
        Ok(group_by) => Some(group_by),
        Err(what) => {
            at.error(what, None);
            None
        }
    }
}

fn read_labels(fields: &Fields<'_>) -> BTreeMap<String, String> {
    let Some(at) = fields.get("labels") else { return BTreeMap::new() };
    let mut labels = BTreeMap::new();
    for (name, value) in at.entries().unwrap_or_default() {
        if !at.cx.options.matcher_mode.is_label_name(&name) {
            value.at_key().error(format!("`{name}` is not a label name"), None);
        }
        let Some(text) = value.text() else { continue };
        schema::check_template(&value, &text);
        labels.insert(name, text);
    }
    fields.show("labels", Shown::pairs(labels.iter().map(|(n, v)| (n.as_str(), v.as_str()))));
    labels
}

/// Says everything that is wrong with the tree at `at`, and with the names in it.
pub(crate) fn check(
    at: &At<'_>,
    spec: &RouteSpec,
    receivers: &[alerting::Receiver],
    time_intervals: &BTreeMap<String, Vec<TimeInterval>>,
) {
    for problem in AlertingConfig::check(spec, receivers, time_intervals) {
        // Receivers with the same name were reported where they stand.
        let AlertingProblem::Route(problem) = problem else { continue };
        let Some(fields) = find(at, &problem.path) else { continue };
        let value = fields.get_or_null(problem.field);
        let name = problem.what.split('`').nth(1).unwrap_or_default();
        let hint = match problem.field {
            "receiver" => suggestion(name, receivers.iter().map(|r| &*r.name), "there are"),
            "mute_time_intervals" | "active_time_intervals" => {
                suggestion(name, time_intervals.keys().map(String::as_str), "there are")
            }
            _ => None,
        };
        let hint = hint.filter(|_| problem.what.contains("is not a"));
        let item = value.as_ref().and_then(|at| list_item(at, name));
        match item.or(value) {
            Some(at) if at.is_broken() => {}
            Some(at) => at.error(problem.what, hint),
            None => fields.at.error(problem.what, hint),
        }
    }
}

/// The item of a list that is this text.
fn list_item<'a>(at: &At<'a>, text: &str) -> Option<At<'a>> {
    let is_list = matches!(at.node.yaml, crate::tree::Yaml::List(_));
    is_list.then(|| at.list())??.into_iter().find(|item| item.scalar().is_some_and(|s| s.text == text))
}

/// The keys of the route at positions `path` below `at`.
fn find<'a>(at: &At<'a>, path: &[usize]) -> Option<Fields<'a>> {
    let mut fields = at.fields()?;
    for position in path {
        let children = fields.get("routes")?.list()?;
        fields = children.into_iter().nth(*position)?.fields()?;
    }
    Some(fields)
}

/// Warns of rhythms that do not work out.
pub(crate) fn warn(at: &At<'_>, tree: &RouteTree, receivers: &[alerting::Receiver]) {
    for (_, route) in tree.iter() {
        let Some(fields) = find(at, &route.path) else { continue };
        let format = model::format_duration;
        if let Some(at) =
            fields.get("repeat_interval").filter(|_| route.repeat_interval < route.group_interval)
        {
            let hint = format!(
                "`group_interval` is {}: groups are only looked at then",
                format(route.group_interval)
            );
            at.warn("`repeat_interval` is shorter than `group_interval`", Some(hint));
        }
        let Some(interval_at) = fields.get("group_interval") else { continue };
        let integrations = receivers.iter().find(|r| r.name == route.receiver).map(|r| &r.integrations);
        for integration in integrations.into_iter().flatten() {
            let Some((_, service)) = rate_limit::documented(&integration.kind) else { continue };
            if route.group_interval < service.steady {
                let what = format!(
                    "a group may tell every {}, more often than it is heard",
                    format(route.group_interval)
                );
                let hint = format!(
                    "{}; messages beyond that wait; {} or more is safe",
                    service.about,
                    format(service.steady)
                );
                interval_at.warn(what, Some(hint));
                break;
            }
        }
    }
}
