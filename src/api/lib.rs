//! HTTP: Prometheus' API v1, Alertmanager's API v2, our own, the page.
//!
//! In: requests. Out: what the server's views say, in the exact form that the field's clients expect.
//! Not here: any state. Everything is reached through the traits of [`Api`], which `server` implements.
//! Invariant: an unknown path is a 404; nothing is served under `/alertmanager`.
//! Start at [`router`].

mod alert_json;
mod alertmanager;
mod answer;
mod aside;
mod compress;
mod cors;
mod envelope;
mod foghorn;
mod guard;
mod json;
mod lifecycle;
mod metadata;
mod page;
mod params;
mod posted_alert;
mod query;
mod refused;
mod rule;
mod series;
mod state;
mod stats;
mod status;
mod target;
mod traffic;
mod tree;
mod uri;
mod views;
mod write;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};

pub use answer::AnswerText;
pub use aside::aside;
pub use cors::CorsOrigin;
pub use envelope::ApiError;
pub use guard::{Access, KnownCaller, LoopbackListener, Open};
pub use json::{write_float_sample, write_sample_value, write_timestamp};
pub use page::Assets;
pub use params::{Params, parse_step, parse_time};
pub use state::{
    Api, Control, ControlError, Origin, Queries, QueryAnswer, QueryRequest, QueryTimings, Views,
};
pub use stats::stats_json;
pub use traffic::{DURATION_BOUNDS, RequestCounts, RequestKind, SIZE_BOUNDS, Side, Traffic};
pub use views::{
    AlertView, AlertmanagersView, BeatView, DeliveryOutcome, DeliveryView, DroppedTargetView, FamilyView,
    GroupView, HealthView, PluginCallView, PluginView, RuleKindView, RuleView, RuntimeView, StoreView,
    TargetView,
};

/// The API on the main listener: everything.
pub fn router(api: Arc<Api>) -> Router {
    let routes = Router::new()
        .merge(query::routes())
        .merge(series::routes())
        .merge(metadata::routes())
        .merge(target::routes())
        .merge(rule::routes())
        .merge(status::routes())
        .merge(foghorn::routes())
        .merge(alertmanager::routes())
        .merge(write::routes())
        .merge(lifecycle::routes())
        .merge(page::routes());
    finish(routes, api)
}

/// The API on the second listener, for tools that expect Alertmanager at its own address.
pub fn alertmanager_router(api: Arc<Api>) -> Router {
    let routes = Router::new()
        .merge(alertmanager::routes())
        .merge(alertmanager::routes_of_old())
        .merge(lifecycle::alertmanager_routes())
        .merge(page::redirect_routes());
    finish(routes, api)
}

/// A body longer than this is refused, unless its route says otherwise: ten thousand alerts with long annotations fit.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

fn finish(routes: Router<Arc<Api>>, api: Arc<Api>) -> Router {
    let prefix = api.route_prefix.clone();
    let routes = routes
        .fallback(envelope::not_found)
        .method_not_allowed_fallback(envelope::method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn(compress::compress))
        .layer(from_fn_with_state(Arc::clone(&api), cors::cors))
        .layer(from_fn_with_state(Arc::clone(&api), guard::guard))
        .layer(from_fn_with_state(Arc::clone(&api), traffic::count))
        .with_state(api);
    if prefix.is_empty() {
        routes
    } else {
        Router::new().nest(&prefix, routes).fallback(envelope::nothing_here)
    }
}
