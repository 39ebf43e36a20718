//! `foghorn sink`: receives messages as Discord does, prints and keeps them.
//!
//! `POST` anything anywhere is a message; `GET /messages` lists them, oldest first; `DELETE /messages` forgets them.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use ports::Clock as _;
use serde_json::{Value, json};
use std::collections::HashMap;

use super::args;
use super::say::say;

/// Messages that are kept; older ones are forgotten.
const KEPT: usize = 10_000;

struct Sink {
    messages: Mutex<VecDeque<Value>>,
    received: Mutex<u64>,
    limit: Option<Limit>,
}

struct Limit {
    count: usize,
    window: Duration,
    accepted: Mutex<VecDeque<Instant>>,
}

impl Limit {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let (count, window) = text.split_once('/').context("write the limit as 5/2s")?;
        let count = count.parse().context("write the limit as 5/2s")?;
        let window = model::parse_duration(window)?;
        if count == 0 || window.is_zero() {
            bail!("a limit of nothing accepts nothing; write it as 5/2s");
        }
        Ok(Limit { count, window, accepted: Mutex::default() })
    }

    /// How long to wait, or `None` if one more may pass now.
    fn wait(&self) -> Option<Duration> {
        let now = Instant::now();
        let mut accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        while accepted.front().is_some_and(|at| now.duration_since(*at) >= self.window) {
            accepted.pop_front();
        }
        if accepted.len() < self.count {
            accepted.push_back(now);
            return None;
        }
        accepted.front().map(|at| self.window.saturating_sub(now.duration_since(*at)))
    }
}

/// Runs until the process is ended.
pub(crate) async fn run(args: args::Sink) -> anyhow::Result<()> {
    let limit = args.limit.as_deref().map(Limit::parse).transpose()?;
    let sink = Arc::new(Sink { messages: Mutex::default(), received: Mutex::new(0), limit });
    let router =
        Router::new().route("/messages", get(list).delete(forget)).fallback(receive).with_state(sink);
    let listener = tokio::net::TcpListener::bind(&args.listen)
        .await
        .with_context(|| format!("cannot listen on {}", args.listen))?;
    let address: SocketAddr = listener.local_addr()?;
    say!("foghorn sink listens on http://{address}; messages are at http://{address}/messages");
    axum::serve(listener, router)
        .with_graceful_shutdown(async {
            // Without a handler for the signal the process ends the hard way, which is fine here.
            let _ = tokio::signal::ctrl_c().await;
        })
        .await?;
    Ok(())
}

async fn list(State(sink): State<Arc<Sink>>) -> Json<Value> {
    let messages = sink.messages.lock().unwrap_or_else(PoisonError::into_inner);
    Json(json!(messages.iter().collect::<Vec<_>>()))
}

async fn forget(State(sink): State<Arc<Sink>>) -> StatusCode {
    sink.messages.lock().unwrap_or_else(PoisonError::into_inner).clear();
    StatusCode::NO_CONTENT
}

async fn receive(
    State(sink): State<Arc<Sink>>,
    uri: Uri,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some(wait) = sink.limit.as_ref().and_then(Limit::wait) {
        say!("429: asked to wait {} ms", wait.as_millis());
        let body = json!({"message": "You are being rate limited.", "retry_after": wait.as_secs_f64(), "global": false});
        let retry = format!("{}", wait.as_secs_f64().ceil());
        return (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, retry)], Json(body)).into_response();
    }
    let id = {
        let mut received = sink.received.lock().unwrap_or_else(PoisonError::into_inner);
        *received += 1;
        format!("{:018}", *received)
    };
    let content: Value =
        serde_json::from_slice(&body).unwrap_or_else(|_| json!(String::from_utf8_lossy(&body)));
    let at = server::SystemClock.now().to_string();
    say!("{at} {} {}", uri.path(), summary(&content));
    let key = headers.get("idempotency-key").and_then(|value| value.to_str().ok());
    let message = json!({"id": id, "at": at, "path": uri.path(), "idempotencyKey": key, "body": content});
    {
        let mut messages = sink.messages.lock().unwrap_or_else(PoisonError::into_inner);
        if messages.len() == KEPT {
            messages.pop_front();
        }
        messages.push_back(message);
    }
    if query.get("wait").is_some_and(|wait| wait == "true") {
        Json(json!({"id": id, "type": 0, "channel_id": "1", "content": ""})).into_response()
    } else {
        StatusCode::NO_CONTENT.into_response()
    }
}

/// The part of a message that a person wants to see on one line.
fn summary(content: &Value) -> String {
    let embed = &content["embeds"][0];
    let parts: Vec<&str> = [&content["content"], &embed["title"], &embed["description"], &content["title"]]
        .into_iter()
        .filter_map(Value::as_str)
        .filter(|text| !text.is_empty())
        .collect();
    if parts.is_empty() { content.to_string() } else { parts.join(" | ").replace('\n', " ") }
}
