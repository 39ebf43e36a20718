//! `/-/…`, `/metrics`, and the pages of exporter plugins.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use crate::state::{Api, ControlError};

pub(crate) fn routes() -> Router<Arc<Api>> {
    common()
        .route("/-/reload", post(allowed_reload).put(allowed_reload))
        .route("/-/quit", post(quit).put(quit))
        .route("/plugins/{name}/metrics", get(plugin_page))
}

/// Where Alertmanager is expected: there a reload needs no flag, and nobody can end the server.
pub(crate) fn alertmanager_routes() -> Router<Arc<Api>> {
    common().route("/-/reload", post(reload))
}

fn common() -> Router<Arc<Api>> {
    Router::new()
        .route("/-/healthy", get(async || "Foghorn is healthy.\n"))
        .route("/-/ready", get(ready))
        .route("/metrics", get(metrics))
}

async fn ready(State(api): State<Arc<Api>>) -> Response {
    if api.views.health().ready {
        "Foghorn is ready.\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "Foghorn is starting.\n").into_response()
    }
}

fn forbidden() -> Response {
    (StatusCode::FORBIDDEN, "the lifecycle API is off; start with --web.enable-lifecycle\n").into_response()
}

async fn allowed_reload(State(api): State<Arc<Api>>) -> Response {
    if !api.lifecycle {
        return forbidden();
    }
    reload(State(api)).await
}

async fn reload(State(api): State<Arc<Api>>) -> Response {
    match api.control.reload().await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("failed to reload config: {error}\n")).into_response()
        }
    }
}

async fn quit(State(api): State<Arc<Api>>) -> Response {
    if !api.lifecycle {
        return forbidden();
    }
    api.control.quit();
    "Foghorn is stopping.\n".into_response()
}

fn accept(headers: &HeaderMap) -> &str {
    headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

async fn metrics(State(api): State<Arc<Api>>, headers: HeaderMap) -> Response {
    let (body, content_type) = api.views.metrics(accept(&headers)).await;
    ([(header::CONTENT_TYPE, content_type)], body).into_response()
}

async fn plugin_page(State(api): State<Arc<Api>>, Path(name): Path<String>, headers: HeaderMap) -> Response {
    match api.control.exporter_page(&name, accept(&headers)).await {
        Ok((body, content_type)) => ([(header::CONTENT_TYPE, content_type)], body).into_response(),
        Err(ControlError::NotFound(message)) => {
            (StatusCode::NOT_FOUND, format!("{message}\n")).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
