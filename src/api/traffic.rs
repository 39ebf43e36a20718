//! Requests counted, for the metrics that Prometheus and Alertmanager keep about their HTTP.
//!
//! In: each request with the route that took it. Out: [`Traffic::series`]. A request is counted when its answer has been handed
//! over, so its time and size are those of the whole answer. A path that no route takes is counted nowhere.
//! Not here: names and buckets of metrics; `server` shows them.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::Instant;

use crate::state::Api;

/// Upper bounds in seconds: those of both programs' histograms of durations together.
pub const DURATION_BOUNDS: [f64; 19] = [
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.2,
    0.25,
    0.4,
    0.5,
    1.0,
    2.5,
    3.0,
    5.0,
    8.0,
    10.0,
    20.0,
    60.0,
    120.0,
    f64::INFINITY,
];
/// Upper bounds in bytes.
pub const SIZE_BOUNDS: [f64; 9] = [100.0, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, f64::INFINITY];

/// Whose part of the API a route is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Prometheus', and our own.
    Prometheus,
    /// Alertmanager's: `/api/v2`.
    Alertmanager,
}

/// Requests of one kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestKind {
    /// Whose part of the API it was.
    pub side: Side,
    /// The route, as its program writes it: `/api/v1/label/:name/values`.
    pub handler: String,
    /// `get`; `unknown` for a method that HTTP does not know.
    pub method: &'static str,
    /// The status.
    pub code: u16,
}

/// What was counted of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RequestCounts {
    /// Requests.
    pub count: u64,
    /// Seconds of all.
    pub seconds: f64,
    /// Bytes of all answers.
    pub bytes: u64,
    /// By [`DURATION_BOUNDS`], each those of no lower bound.
    pub durations: [u64; DURATION_BOUNDS.len()],
    /// By [`SIZE_BOUNDS`], each those of no lower bound.
    pub sizes: [u64; SIZE_BOUNDS.len()],
}

impl RequestCounts {
    /// Together with what was counted of another kind.
    pub fn add(&mut self, other: &RequestCounts) {
        self.count += other.count;
        self.seconds += other.seconds;
        self.bytes += other.bytes;
        self.durations.iter_mut().zip(other.durations).for_each(|(own, other)| *own += other);
        self.sizes.iter_mut().zip(other.sizes).for_each(|(own, other)| *own += other);
    }
}

/// Requests since the start.
#[derive(Debug, Default)]
pub struct Traffic {
    done: Mutex<BTreeMap<RequestKind, RequestCounts>>,
    alertmanager_gets: AtomicI64,
}

impl Traffic {
    /// Without requests yet.
    pub fn new() -> Self {
        Traffic::default()
    }

    /// What was counted, by kind.
    pub fn series(&self) -> BTreeMap<RequestKind, RequestCounts> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Requests to read of Alertmanager's part that are under way.
    pub fn alertmanager_gets(&self) -> i64 {
        self.alertmanager_gets.load(Ordering::Relaxed)
    }

    fn note(&self, kind: RequestKind, took: Duration, bytes: u64) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = done.entry(kind).or_default();
        counts.count += 1;
        counts.bytes += bytes;
        let seconds = took.as_secs_f64();
        counts.seconds += seconds;
        counts.durations[DURATION_BOUNDS.partition_point(|bound| *bound < seconds)] += 1;
        #[expect(clippy::cast_precision_loss, reason = "no answer is so long that its bucket would differ")]
        let size = bytes as f64;
        counts.sizes[SIZE_BOUNDS.partition_point(|bound| *bound < size)] += 1;
    }
}

pub(crate) async fn count(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let Some(route) = route else { return next.run(request).await };
    let handler = route.strip_prefix(&api.route_prefix).unwrap_or(&route);
    let side = match handler.starts_with("/api/v2/") {
        true => Side::Alertmanager,
        false => Side::Prometheus,
    };
    let method = method_label(request.method());
    let mut under_way = UnderWay {
        traffic: Arc::clone(&api.traffic),
        began: Instant::now(),
        kind: RequestKind { side, handler: handler_label(side, handler), method, code: 0 },
        bytes: 0,
    };
    under_way.begin();
    let response = next.run(request).await;
    under_way.kind.code = response.status().as_u16();
    response.map(|body| Body::new(CountedBody { body, under_way }))
}

/// Prometheus writes `:name` and `*path` for what Alertmanager writes as we do.
fn handler_label(side: Side, route: &str) -> String {
    if side == Side::Alertmanager {
        return route.strip_suffix('/').unwrap_or(route).to_owned();
    }
    let parts = route.split('/').map(|part| {
        let name = part.strip_prefix('{').and_then(|part| part.strip_suffix('}'));
        match name {
            Some(name) if name.starts_with('*') => name.to_owned(),
            Some(name) => format!(":{name}"),
            None => part.to_owned(),
        }
    });
    parts.collect::<Vec<_>>().join("/")
}

fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "get",
        "POST" => "post",
        "PUT" => "put",
        "DELETE" => "delete",
        "HEAD" => "head",
        "OPTIONS" => "options",
        "PATCH" => "patch",
        "CONNECT" => "connect",
        "TRACE" => "trace",
        _ => "unknown",
    }
}

/// A request until its answer was handed over, or nobody waits for it any more.
struct UnderWay {
    traffic: Arc<Traffic>,
    began: Instant,
    /// The code is 0 until there is an answer.
    kind: RequestKind,
    bytes: u64,
}

impl UnderWay {
    fn is_counted_get(&self) -> bool {
        self.kind.side == Side::Alertmanager && self.kind.method == "get"
    }

    fn begin(&self) {
        if self.is_counted_get() {
            self.traffic.alertmanager_gets.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.is_counted_get() {
            self.traffic.alertmanager_gets.fetch_sub(1, Ordering::Relaxed);
        }
        // Who went away before there was an answer has no code to be counted under.
        if self.kind.code != 0 {
            self.traffic.note(self.kind.clone(), self.began.elapsed(), self.bytes);
        }
    }
}

/// A body whose bytes are counted on their way.
struct CountedBody {
    body: Body,
    under_way: UnderWay,
}

impl HttpBody for CountedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(ctx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            self.under_way.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handlers_are_written_as_their_program_does() {
        for (side, route, expected) in [
            (Side::Prometheus, "/api/v1/query", "/api/v1/query"),
            (Side::Prometheus, "/api/v1/label/{name}/values", "/api/v1/label/:name/values"),
            (Side::Prometheus, "/{*path}", "/*path"),
            (Side::Alertmanager, "/api/v2/silence/{silenceID}", "/api/v2/silence/{silenceID}"),
            (Side::Alertmanager, "/api/v2/alerts/", "/api/v2/alerts"),
        ] {
            assert_eq!(handler_label(side, route), expected);
        }
    }

    #[tokio::test]
    async fn an_answer_counts_when_it_was_handed_over() {
        let traffic = Arc::new(Traffic::new());
        let kind = RequestKind {
            side: Side::Alertmanager,
            handler: "/api/v2/alerts".to_owned(),
            method: "get",
            code: 200,
        };
        let under_way =
            UnderWay { traffic: Arc::clone(&traffic), began: Instant::now(), kind: kind.clone(), bytes: 0 };
        under_way.begin();
        let body = Body::new(CountedBody { body: Body::from("x".repeat(1_500)), under_way });
        assert_eq!((traffic.alertmanager_gets(), traffic.series().len()), (1, 0));
        let bytes = axum::body::to_bytes(body, 10_000).await.unwrap();
        let counts = traffic.series()[&kind];
        assert_eq!((traffic.alertmanager_gets(), bytes.len()), (0, 1_500));
        assert_eq!((counts.count, counts.bytes, counts.sizes), (1, 1_500, [0, 0, 1, 0, 0, 0, 0, 0, 0]));
        assert_eq!(counts.durations.iter().sum::<u64>(), 1);
    }

    #[test]
    fn who_went_away_is_not_counted_and_no_longer_under_way() {
        let traffic = Arc::new(Traffic::new());
        let kind = RequestKind { side: Side::Alertmanager, handler: "/".to_owned(), method: "get", code: 0 };
        let under_way = UnderWay { traffic: Arc::clone(&traffic), began: Instant::now(), kind, bytes: 0 };
        under_way.begin();
        drop(under_way);
        assert_eq!((traffic.alertmanager_gets(), traffic.series().len()), (0, 0));
    }
}
