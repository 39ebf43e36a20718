//! `rules`, `alerts`, `alertmanagers`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use model::{Matcher, Timestamp};
use serde_json::{Map, Value, json};

use crate::envelope::{ApiError, success};
use crate::params::Params;
use crate::state::Api;
use crate::views::{AlertView, GroupView, RuleKindView, RuleView};

/// What API v1 writes for a time that has not come yet.
const NEVER: &str = "0001-01-01T00:00:00Z";

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/api/v1/rules", get(rules))
        .route("/api/v1/alerts", get(alerts))
        .route("/api/v1/alertmanagers", get(alertmanagers))
}

pub(crate) fn time(at: Option<Timestamp>) -> Value {
    at.map_or_else(|| json!(NEVER), |at| json!(at.to_string()))
}

pub(crate) fn object<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Value {
    Value::Object(pairs.into_iter().map(|(n, v)| (n.to_owned(), json!(v))).collect::<Map<_, _>>())
}

pub(crate) fn alert_json(alert: &AlertView) -> Value {
    let mut json = json!({
        "labels": object(alert.labels.iter()),
        "annotations": object(alert.annotations.iter().map(|(n, v)| (n.as_str(), v.as_str()))),
        "state": alert.state,
        "activeAt": alert.active_at.to_string(),
        "value": model::format_float_exponent(alert.value),
    });
    if let Some(since) = alert.keep_firing_since {
        json["keepFiringSince"] = json!(since.to_string());
    }
    json
}

fn rule_json(rule: &RuleView, with_alerts: bool) -> Value {
    let mut json = json!({
        "name": rule.name,
        "query": rule.query,
        "health": rule.health,
        "evaluationTime": rule.evaluation_time.as_secs_f64(),
        "lastEvaluation": time(rule.last_evaluation),
        "labels": object(rule.labels.iter()),
        "language": rule.language,
    });
    if !rule.last_error.is_empty() {
        json["lastError"] = json!(rule.last_error);
    }
    match &rule.kind {
        RuleKindView::Recording => json["type"] = json!("recording"),
        RuleKindView::Alerting { hold, keep_firing, annotations, alerts } => {
            let state = if alerts.iter().any(|a| a.state == "firing") {
                "firing"
            } else if alerts.is_empty() {
                "inactive"
            } else {
                "pending"
            };
            json["type"] = json!("alerting");
            json["state"] = json!(state);
            json["duration"] = json!(hold.as_secs_f64());
            json["keepFiringFor"] = json!(keep_firing.as_secs_f64());
            json["annotations"] = object(annotations.iter().map(|(n, v)| (n.as_str(), v.as_str())));
            json["alerts"] = if with_alerts { alerts.iter().map(alert_json).collect() } else { Value::Null };
        }
    }
    json
}

/// Which rules are wanted.
struct Wanted {
    alerting: bool,
    recording: bool,
    rules: Vec<String>,
    groups: Vec<String>,
    files: Vec<String>,
    selectors: Vec<Vec<Matcher>>,
}

impl Wanted {
    fn read(params: &Params) -> Result<Self, ApiError> {
        let kind = params.get("type").map(str::to_ascii_lowercase);
        let (alerting, recording) = match kind.as_deref() {
            None => (true, true),
            Some("alert") => (true, false),
            Some("record") => (false, true),
            Some(other) => {
                return Err(ApiError::bad_data(format!(
                    "invalid parameter \"type\": not supported value \"{other}\""
                )));
            }
        };
        let all = |name: &str| params.all(name).map(str::to_owned).collect();
        let selectors = params.selectors()?;
        Ok(Wanted {
            alerting,
            recording,
            rules: all("rule_name[]"),
            groups: all("rule_group[]"),
            files: all("file[]"),
            selectors,
        })
    }

    fn group(&self, group: &GroupView) -> bool {
        let named = |wanted: &[String], name: &String| wanted.is_empty() || wanted.contains(name);
        named(&self.groups, &group.name) && named(&self.files, &group.file)
    }

    fn rule(&self, rule: &RuleView) -> bool {
        let kind = match rule.kind {
            RuleKindView::Recording => self.recording,
            RuleKindView::Alerting { .. } => self.alerting,
        };
        let matched = |matchers: &Vec<Matcher>| matchers.iter().all(|m| m.matches_labels(&rule.labels));
        kind && (self.rules.is_empty() || self.rules.contains(&rule.name))
            && (self.selectors.is_empty() || self.selectors.iter().any(matched))
    }
}

async fn rules(State(api): State<Arc<Api>>, params: Params) -> Result<Response, ApiError> {
    let wanted = Wanted::read(&params)?;
    let with_alerts = !params.flag("exclude_alerts", false)?;
    let mut groups = rest(api.views.groups(), &params)?;
    // A page is made of what is wanted: a group of which nothing is left takes no place on it.
    groups.retain_mut(|group| {
        group.rules.retain(|rule| wanted.rule(rule));
        wanted.group(group) && !group.rules.is_empty()
    });
    let limit = group_limit(&params)?.unwrap_or(usize::MAX);
    let next = groups.get(limit).map(token_of);
    groups.truncate(limit);
    let listed: Vec<Value> = groups
        .iter()
        .map(|group| {
            let rules: Vec<Value> = group.rules.iter().map(|rule| rule_json(rule, with_alerts)).collect();
            json!({
                "name": group.name,
                "file": group.file,
                "interval": group.interval.as_secs_f64(),
                "limit": group.limit,
                "evaluationTime": group.evaluation_time.as_secs_f64(),
                "lastEvaluation": time(group.last_evaluation),
                "rules": rules,
            })
        })
        .collect();
    let mut data = json!({"groups": listed});
    if let Some(token) = next {
        data["groupNextToken"] = json!(token);
    }
    Ok(success(&data))
}

fn token_of(group: &GroupView) -> String {
    model::Labels::from([("f", group.file.as_str()), ("g", group.name.as_str())]).fingerprint().to_string()
}

/// How many groups a page has at the most; `None` for all.
fn group_limit(params: &Params) -> Result<Option<usize>, ApiError> {
    let Some(text) = params.get("group_limit") else { return Ok(None) };
    let limit = text.parse().ok().filter(|limit| *limit > 0);
    limit
        .map(Some)
        .ok_or_else(|| ApiError::bad_data("invalid parameter \"group_limit\": it must be a positive number"))
}

/// The groups from `group_next_token` on.
fn rest(mut groups: Vec<GroupView>, params: &Params) -> Result<Vec<GroupView>, ApiError> {
    let Some(token) = params.get("group_next_token") else { return Ok(groups) };
    if params.get("group_limit").is_none() {
        return Err(ApiError::bad_data(
            "invalid parameter \"group_limit\": it is needed with group_next_token",
        ));
    }
    let Some(position) = groups.iter().position(|group| token_of(group) == token) else {
        return Err(ApiError::bad_data(
            "invalid parameter \"group_next_token\": no group has this token; were the rules reloaded?",
        ));
    };
    groups.drain(..position);
    Ok(groups)
}

async fn alerts(State(api): State<Arc<Api>>) -> Response {
    let mut listed = Vec::new();
    for group in api.views.groups() {
        for rule in &group.rules {
            if let RuleKindView::Alerting { alerts, .. } = &rule.kind {
                listed.extend(alerts.iter().map(alert_json));
            }
        }
    }
    success(&json!({"alerts": listed}))
}

async fn alertmanagers(State(api): State<Arc<Api>>) -> Response {
    let view = api.views.alertmanagers();
    let urls = |list: &[String]| list.iter().map(|url| json!({"url": url})).collect::<Vec<_>>();
    success(&json!({
        "activeAlertmanagers": urls(&view.active),
        "droppedAlertmanagers": urls(&view.dropped),
    }))
}
