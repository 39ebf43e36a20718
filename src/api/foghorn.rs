//! What is our own: plugins, deliveries, health.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use serde_json::{Value, json};

use crate::envelope::success;
use crate::rule::object;
use crate::state::Api;
use crate::views::{DeliveryOutcome, DeliveryView};

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/api/v1/plugins", get(plugins))
        .route("/api/foghorn/v1/notifications", get(notifications))
        .route("/api/foghorn/v1/health", get(health))
}

async fn plugins(State(api): State<Arc<Api>>) -> Response {
    let listed: Vec<Value> = api
        .views
        .plugins()
        .iter()
        .map(|plugin| {
            json!({
                "name": plugin.name,
                "kind": plugin.kind,
                "language": plugin.language,
                "source": plugin.source,
                "digest": plugin.digest,
                "about": plugin.about,
                "version": plugin.version,
                "state": plugin.state,
                "problem": plugin.problem,
                "allow": {"hosts": plugin.hosts, "secrets": plugin.secrets, "files": plugin.files},
                "calls": plugin.calls.iter().map(|call| json!({
                    "at": call.at.to_string(),
                    "seconds": call.took.as_secs_f64(),
                    "result": call.outcome.as_ref().ok(),
                    "error": call.outcome.as_ref().err(),
                })).collect::<Vec<_>>(),
            })
        })
        .collect();
    success(&json!({"plugins": listed}))
}

async fn notifications(State(api): State<Arc<Api>>) -> Response {
    let listed: Vec<Value> = api.views.deliveries().iter().map(delivery_json).collect();
    let (trying, waiting) = api.views.trying();
    let trying: Vec<Value> = trying.iter().map(delivery_json).collect();
    let silent: Vec<Value> = api.views.silent_receivers().iter().map(|name| json!(&**name)).collect();
    success(
        &json!({"notifications": listed, "trying": trying, "waiting": waiting, "silentReceivers": silent}),
    )
}

fn delivery_json(delivery: &DeliveryView) -> Value {
    let mut json = json!({
        "receiver": &*delivery.receiver,
        "integration": &*delivery.integration,
        "index": delivery.index,
        "groupKey": &*delivery.group_key,
        "groupLabels": object(delivery.group_labels.iter()),
        "reason": delivery.reason,
        "firing": delivery.firing,
        "resolved": delivery.resolved,
        "attempts": delivery.attempts,
    });
    let at = delivery.at.to_string().into();
    match &delivery.outcome {
        DeliveryOutcome::Ended { error, took, alerts } => {
            json["at"] = at;
            json["error"] = json!(error);
            json["seconds"] = took.as_secs_f64().into();
            json["alerts"] = alerts.iter().map(ToString::to_string).collect();
        }
        DeliveryOutcome::TriedAgain { error } => {
            json["since"] = at;
            json["error"] = json!(error);
        }
    }
    json
}

async fn health(State(api): State<Arc<Api>>) -> Response {
    let health = api.views.health();
    let runtime = api.views.runtime();
    let store = api.views.store(1);
    success(&json!({
        "ready": health.ready,
        "problems": health.problems,
        "replay": health.replay,
        "version": env!("CARGO_PKG_VERSION"),
        "started": runtime.started.to_string(),
        "now": api.clock.now().to_string(),
        "series": store.series,
        "samplesAppended": health.samples_appended,
    }))
}
