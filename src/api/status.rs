//! `status/…`, `notifications`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use serde_json::{Map, Value, json};

use crate::envelope::{ApiError, success};
use crate::params::Params;
use crate::state::Api;

/// The version of Prometheus whose interfaces we follow: what Grafana's feature detection compares.
pub(crate) const PROMETHEUS_VERSION: &str = "3.5.0";

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/api/v1/status/config", get(config))
        .route("/api/v1/status/flags", get(flags))
        .route("/api/v1/status/buildinfo", get(build))
        .route("/api/v1/status/runtimeinfo", get(runtime))
        .route("/api/v1/status/tsdb", get(store))
        .route("/api/v1/status/tsdb/blocks", get(blocks))
        .route("/api/v1/status/walreplay", get(replay))
        .route("/api/v1/notifications", get(notices))
}

async fn config(State(api): State<Arc<Api>>) -> Response {
    success(&json!({"yaml": api.views.config_yaml()}))
}

async fn flags(State(api): State<Arc<Api>>) -> Response {
    let flags: Map<String, Value> =
        api.views.flags().into_iter().map(|(name, value)| (name, json!(value))).collect();
    success(&Value::Object(flags))
}

async fn build() -> Response {
    success(&json!({
        "version": PROMETHEUS_VERSION,
        "revision": format!("foghorn {}", env!("CARGO_PKG_VERSION")),
        "branch": "main",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    }))
}

async fn runtime(State(api): State<Arc<Api>>) -> Response {
    let view = api.views.runtime();
    success(&json!({
        "startTime": view.started.to_string(),
        "CWD": view.working_directory,
        "hostname": view.hostname,
        "serverTime": api.clock.now().to_string(),
        "reloadConfigSuccess": view.reload_ok,
        "lastConfigTime": view.last_reload.to_string(),
        "corruptionCount": view.corruptions,
        "goroutineCount": 0,
        "GOMAXPROCS": view.processors,
        "GOMEMLIMIT": 0,
        "GOGC": "",
        "GODEBUG": "",
        "storageRetention": view.retention,
    }))
}

async fn store(State(api): State<Arc<Api>>, params: Params) -> Result<Response, ApiError> {
    let limit = match params.get("limit") {
        None => 10,
        Some(text) => {
            text.parse::<usize>().ok().filter(|limit| (1..=10_000).contains(limit)).ok_or_else(|| {
                ApiError::bad_data("invalid parameter \"limit\": it must be a number from 1 to 10000")
            })?
        }
    };
    let view = api.views.store(limit);
    let list = |pairs: &[(String, u64)]| {
        pairs.iter().map(|(name, value)| json!({"name": name, "value": value})).collect::<Vec<_>>()
    };
    Ok(success(&json!({
        "headStats": {
            "numSeries": view.series,
            "numLabelPairs": view.label_pairs,
            "chunkCount": view.chunks,
            "minTime": view.oldest.map_or(i64::MAX, |t| t.as_millis()),
            "maxTime": view.newest.map_or(i64::MIN, |t| t.as_millis()),
        },
        "seriesCountByMetricName": list(&view.series_by_name),
        "labelValueCountByLabelName": list(&view.values_by_label),
        "memoryInBytesByLabelName": list(&view.bytes_by_label),
        "seriesCountByLabelValuePair": list(&view.series_by_pair),
    })))
}

/// What an operator should know, as of now.
async fn notices(State(api): State<Arc<Api>>) -> Response {
    let now = api.clock.now().to_string();
    let notice = |text: &String| json!({"text": text, "date": now, "active": true});
    success(&api.views.health().problems.iter().map(notice).collect())
}

/// There are none: what the head lets go is in the chunk log.
async fn blocks() -> Response {
    success(&json!({"blocks": []}))
}

/// Replay is over before the first request is taken.
async fn replay() -> Response {
    success(&json!({"min": 0, "max": 0, "current": 0}))
}
