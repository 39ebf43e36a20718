//! What stands in front of everything that a listener serves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use api::KnownCaller;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::passwords::Given;
use super::{Applied, Peer, Web};

/// What the gate goes by: nothing without a file.
#[derive(Clone)]
pub(crate) struct Gate(pub(crate) Option<Arc<Web>>);

/// Lets through who may come in, and tells the router who it is.
pub(crate) async fn gate(State(Gate(web)): State<Gate>, mut request: Request, next: Next) -> Response {
    if let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<Peer>>().cloned() {
        request.extensions_mut().insert(ConnectInfo::<SocketAddr>(peer.address));
        if peer.is_proven() {
            request.extensions_mut().insert(KnownCaller);
        }
    }
    let Some(web) = web else { return next.run(request).await };
    let applied = web.current();
    if applied.requests.is_some_and(|limit| !web.takes_request(limit, Instant::now())) {
        return refusal(StatusCode::TOO_MANY_REQUESTS);
    }
    let mut response = answer(&web, &applied, request, next).await;
    for (name, value) in &applied.headers {
        response.headers_mut().insert(name, value.clone());
    }
    response
}

async fn answer(web: &Web, applied: &Applied, mut request: Request, next: Next) -> Response {
    if !applied.users.is_empty() {
        let right = match Given::read(request.headers()) {
            Some(given) => web.passwords.are_right(given, &applied.users).await,
            None => false,
        };
        if !right {
            let mut response = refusal(StatusCode::UNAUTHORIZED);
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic"));
            return response;
        }
        request.extensions_mut().insert(KnownCaller);
    }
    next.run(request).await
}

/// As the originals answer.
fn refusal(status: StatusCode) -> Response {
    let mut response =
        (status, format!("{}\n", status.canonical_reason().unwrap_or_default())).into_response();
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
