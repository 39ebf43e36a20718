//! `metadata`, `targets/metadata`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use model::Metadata;
use serde_json::{Value, json};

use crate::envelope::{ApiError, success};
use crate::params::{Params, series_matchers};
use crate::rule::object;
use crate::state::Api;

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/api/v1/metadata", get(metadata))
        .route("/api/v1/targets/metadata", get(target_metadata))
}

fn describe(metadata: &Metadata) -> Value {
    json!({"type": metadata.kind.as_str(), "help": metadata.help, "unit": metadata.unit})
}

async fn metadata(State(api): State<Arc<Api>>, params: Params) -> Result<Response, ApiError> {
    let limit = params.count("limit")?;
    let per_metric = params.limit_or_none("limit_per_metric")?;
    let metric = params.get("metric");
    let mut families: BTreeMap<String, Vec<Metadata>> = BTreeMap::new();
    let scraped = api.views.families().into_iter().map(|family| (family.name, family.metadata));
    let sent = api.receiver.iter().flat_map(|receiver| receiver.families());
    for (name, metadata) in scraped.chain(sent) {
        if metric.is_some_and(|m| m != name) {
            continue;
        }
        let known = families.entry(name).or_default();
        if !known.contains(&metadata) && known.len() < per_metric {
            known.push(metadata);
        }
    }
    let listed: serde_json::Map<String, Value> = families
        .into_iter()
        .take(limit)
        .map(|(name, all)| (name, all.iter().map(describe).collect()))
        .collect();
    Ok(success(&Value::Object(listed)))
}

async fn target_metadata(State(api): State<Arc<Api>>, params: Params) -> Result<Response, ApiError> {
    let limit = params.count("limit")?;
    let metric = params.get("metric");
    let matchers = match params.get("match_target") {
        None => Vec::new(),
        Some(text) => {
            promql::parse(text, &promql::ParseOptions::default()).ok().and_then(series_matchers).ok_or_else(
                || ApiError::bad_data("invalid parameter \"match_target\": it is not a series selector"),
            )?
        }
    };
    let listed: Vec<Value> = api
        .views
        .families()
        .into_iter()
        .filter(|f| {
            metric.is_none_or(|m| m == f.name) && matchers.iter().all(|m| m.matches_labels(&f.target))
        })
        .take(limit)
        .map(|family| {
            let mut json = describe(&family.metadata);
            json["target"] = object(family.target.iter());
            if metric.is_none() {
                json["metric"] = json!(family.name);
            }
            json
        })
        .collect();
    Ok(success(&json!(listed)))
}
