//! `targets`, `targets/relabel_steps`, `scrape_pools`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use model::{Labels, RelabelAction, RelabelRule};
use serde_json::{Map, Value, json};

use crate::envelope::{ApiError, success};
use crate::params::Params;
use crate::rule::{object, time};
use crate::state::Api;
use crate::views::TargetView;

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/api/v1/targets", get(targets))
        .route("/api/v1/targets/relabel_steps", get(relabel_steps))
        .route("/api/v1/scrape_pools", get(pools))
}

fn target_json(target: &TargetView) -> Value {
    json!({
        "discoveredLabels": object(target.discovered.iter()),
        "labels": object(target.labels.iter()),
        "scrapePool": target.pool,
        "scrapeUrl": target.url,
        "globalUrl": target.url,
        "lastError": target.last_error,
        "lastScrape": time(target.last_scrape),
        "lastScrapeDuration": target.last_duration.as_secs_f64(),
        "health": target.health,
        "scrapeInterval": model::format_duration(target.interval),
        "scrapeTimeout": model::format_duration(target.timeout),
        "beats": target.beats.iter().map(|beat| json!({
            "at": beat.at.to_string(),
            "seconds": beat.took.as_secs_f64(),
            "error": beat.error,
        })).collect::<Vec<_>>(),
    })
}

async fn targets(State(api): State<Arc<Api>>, params: Params) -> Result<Response, ApiError> {
    let state = params.get("state").unwrap_or("any").to_ascii_lowercase();
    let (active, dropped) = (["any", "active"].contains(&&*state), ["any", "dropped"].contains(&&*state));
    let pool = params.get("scrapePool");
    let wanted = |name: &str| pool.is_none_or(|pool| pool == name);
    let mut data = json!({"activeTargets": [], "droppedTargets": [], "droppedTargetCounts": {}});
    if active {
        data["activeTargets"] =
            api.views.targets().iter().filter(|t| wanted(&t.pool)).map(target_json).collect();
    }
    if dropped {
        let (targets, counts) = api.views.dropped_targets();
        data["droppedTargets"] = targets
            .iter()
            .filter(|t| wanted(&t.pool))
            .map(|t| json!({"discoveredLabels": object(t.discovered.iter()), "scrapePool": t.pool}))
            .collect();
        let counts: Map<String, Value> =
            counts.into_iter().filter(|(name, _)| wanted(name)).map(|(name, n)| (name, json!(n))).collect();
        data["droppedTargetCounts"] = Value::Object(counts);
    }
    Ok(success(&data))
}

/// What each relabelling rule of a pool makes of a target's labels, up to the rule that drops it.
async fn relabel_steps(State(api): State<Arc<Api>>, params: Params) -> Result<Response, ApiError> {
    let pool = params.required("scrapePool")?;
    let given: BTreeMap<String, String> =
        serde_json::from_str(params.required("labels")?).map_err(|error| {
            ApiError::bad_data(format!(
                "invalid parameter \"labels\": it is not an object of strings: {error}"
            ))
        })?;
    let rules = api.views.relabel_rules(pool).ok_or_else(|| {
        ApiError::bad_data(format!("invalid parameter \"scrapePool\": no scrape pool is called \"{pool}\""))
    })?;
    let mut labels: Labels = given.into_iter().collect();
    let mut steps = Vec::new();
    for rule in &rules {
        let made = model::relabel(&labels, std::slice::from_ref(rule));
        let keep = made.is_some();
        labels = made.unwrap_or(labels);
        steps.push(json!({"rule": relabel_json(rule), "output": object(labels.iter()), "keep": keep}));
        if !keep {
            break;
        }
    }
    Ok(success(&json!({"steps": steps})))
}

fn relabel_json(rule: &RelabelRule) -> Value {
    let mut json = json!({
        "action": action_name(rule.action),
        "regex": rule.regex.source(),
        "separator": rule.separator,
        "replacement": rule.replacement,
    });
    if !rule.source_labels.is_empty() {
        json["source_labels"] = json!(rule.source_labels);
    }
    if !rule.target_label.is_empty() {
        json["target_label"] = json!(rule.target_label);
    }
    if rule.modulus > 0 {
        json["modulus"] = json!(rule.modulus);
    }
    json
}

fn action_name(action: RelabelAction) -> &'static str {
    match action {
        RelabelAction::Replace => "replace",
        RelabelAction::Keep => "keep",
        RelabelAction::Drop => "drop",
        RelabelAction::KeepEqual => "keepequal",
        RelabelAction::DropEqual => "dropequal",
        RelabelAction::HashMod => "hashmod",
        RelabelAction::LabelMap => "labelmap",
        RelabelAction::LabelDrop => "labeldrop",
        RelabelAction::LabelKeep => "labelkeep",
        RelabelAction::Lowercase => "lowercase",
        RelabelAction::Uppercase => "uppercase",
    }
}

async fn pools(State(api): State<Arc<Api>>) -> Response {
    let names: BTreeSet<String> = api.views.targets().into_iter().map(|t| t.pool).collect();
    success(&json!({"scrapePools": names}))
}
