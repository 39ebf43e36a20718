//! `targets`, `scrape_pools`.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use serde_json::{Map, Value, json};

use crate::envelope::{ApiError, success};
use crate::params::Params;
use crate::rule::{object, time};
use crate::state::Api;
use crate::views::TargetView;

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new().route("/api/v1/targets", get(targets)).route("/api/v1/scrape_pools", get(pools))
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

async fn pools(State(api): State<Arc<Api>>) -> Response {
    let names: BTreeSet<String> = api.views.targets().into_iter().map(|t| t.pool).collect();
    success(&json!({"scrapePools": names}))
}
