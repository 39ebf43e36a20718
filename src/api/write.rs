//! `write`: samples that other servers send.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures_util::StreamExt as _;
use remote::{Receiver, Reply};
use tokio::sync::Semaphore;

use crate::state::Api;

/// Requests that are unpacked at a time; others wait with their compressed bodies. Unpacking takes memory and a processor.
const AT_A_TIME: usize = 4;

pub(crate) fn routes() -> Router<Arc<Api>> {
    let turns = Arc::new(Semaphore::new(AT_A_TIME));
    Router::new().route(
        "/api/v1/write",
        post(move |State(api): State<Arc<Api>>, headers: HeaderMap, body: Body| {
            write(api, turns, headers, body)
        }),
    )
}

async fn write(api: Arc<Api>, turns: Arc<Semaphore>, headers: HeaderMap, body: Body) -> Response {
    let Some(receiver) = api.receiver.clone() else {
        return (
            StatusCode::NOT_FOUND,
            "the remote write receiver is off; start with --web.enable-remote-write-receiver\n",
        )
            .into_response();
    };
    let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or("?"));
    let protocol = match remote::accept(text(header::CONTENT_TYPE), text(header::CONTENT_ENCODING)) {
        Ok(protocol) => protocol,
        Err(refused) => return response(&refused),
    };
    let body = match read(&receiver, &headers, body).await {
        Ok(body) => body,
        Err(refused) => return refused,
    };
    // Never closed, so a turn always comes.
    let turn = turns.acquire_owned().await;
    let now = api.clock.now();
    let reply = tokio::task::spawn_blocking(move || {
        let reply = receiver.reply(protocol, &body, now);
        drop(turn);
        reply
    })
    .await;
    match reply {
        Ok(reply) => response(&reply),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn read(receiver: &Receiver, headers: &HeaderMap, body: Body) -> Result<Vec<u8>, Response> {
    let max = receiver.limits().body_bytes_max;
    let too_large = || {
        let why = format!(
            "the body has more than the {max} bytes that are allowed; send fewer samples at a time\n"
        );
        (StatusCode::PAYLOAD_TOO_LARGE, why).into_response()
    };
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let announced: usize = announced.unwrap_or(0);
    if announced > max {
        return Err(too_large());
    }
    // Who announces much and sends little gets little memory.
    let mut bytes = Vec::with_capacity(announced.min(1 << 20));
    let mut parts = body.into_data_stream();
    while let Some(part) = parts.next().await {
        let part = part.map_err(|error| {
            (StatusCode::BAD_REQUEST, format!("the body cannot be read: {error}\n")).into_response()
        })?;
        if bytes.len() + part.len() > max {
            return Err(too_large());
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}

fn response(reply: &Reply) -> Response {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let message = if reply.message.is_empty() { String::new() } else { format!("{}\n", reply.message) };
    let mut response = (status, message).into_response();
    for (name, count) in reply.headers() {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from(count));
    }
    response
}
