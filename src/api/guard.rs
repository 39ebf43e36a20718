//! Who may do what.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use model::{Secret, Timestamp};

use crate::state::Api;

/// Which writes need no token on an address that others can reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Open {
    /// None.
    #[default]
    Nothing,
    /// Alerts and samples from senders.
    Ingest,
    /// Everything: a lab.
    All,
}

/// Whether the listener that a request came through can be reached from this machine alone. The server adds it to each
/// listener; a request without it counts as one from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoopbackListener(pub bool);

/// Who sent the request has shown a password, or a certificate that the listener demands and has checked. The server adds
/// it to each such request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownCaller;

/// Who may do what.
///
/// On a loopback listener everything is open. On another address reads are open, and writes need the token that was made at the
/// first start, unless the listener has asked already who it is. A browser's request from another site changes nothing anywhere.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// The token that writes need.
    pub token: Secret<String>,
    /// What needs none.
    pub open: Open,
    /// When it was last said that somebody was refused, in milliseconds since 1970.
    pub said: Arc<AtomicI64>,
}

/// That somebody is refused is said no more often, in milliseconds.
const SAY_EVERY: i64 = 60_000;

impl Access {
    /// Whether it is time to say that somebody was refused.
    fn is_news(&self, now: Timestamp) -> bool {
        let (now, said) = (now.as_millis(), self.said.load(Ordering::Relaxed));
        let due = said == 0 || now < said || now - said >= SAY_EVERY;
        due && self.said.compare_exchange(said, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Whether a request may go on; if not, why.
    fn check(
        &self,
        method: &Method,
        path: &str,
        loopback: LoopbackListener,
        caller: Option<KnownCaller>,
        headers: &HeaderMap,
    ) -> Result<(), &'static str> {
        if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) || is_query(path) {
            return Ok(());
        }
        if from_other_site(headers) {
            return Err("a page of another site may not change anything here");
        }
        let path = path.strip_suffix('/').unwrap_or(path);
        let ingest = path.ends_with("/api/v2/alerts") || path.ends_with("/api/v1/write");
        let open = match self.open {
            Open::All => true,
            Open::Ingest => ingest,
            Open::Nothing => false,
        };
        if open || loopback.0 || caller.is_some() {
            return Ok(());
        }
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "))
            .unwrap_or_default();
        if equal(given.trim().as_bytes(), self.token.expose().as_bytes()) && !given.is_empty() {
            return Ok(());
        }
        Err(if ingest {
            "on an address that others can reach, alerts and samples need the token: send `Authorization: Bearer …` with the content of DATA/admin-token, or start with --web.open=ingest"
        } else {
            "on an address that others can reach, changes need the token: send `Authorization: Bearer …` with the content of DATA/admin-token, or start with --web.open=all in a lab"
        })
    }
}

/// Compares in a time that does not depend on where the difference is.
fn equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (x, y)| difference | (x ^ y)) == 0
}

/// Query endpoints take POST for long expressions; they change nothing.
fn is_query(path: &str) -> bool {
    const QUERIES: [&str; 7] =
        ["query", "query_range", "query_exemplars", "format_query", "parse_query", "series", "labels"];
    path.ends_with("/api/foghorn/v1/explain")
        || path.rsplit_once("/api/v1/").is_some_and(|(_, name)| QUERIES.contains(&name))
}

fn from_other_site(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return !matches!(site, "same-origin" | "none");
    }
    let Some(origin) = text("origin") else { return false };
    let host = text("host").unwrap_or_default();
    origin.split_once("://").is_none_or(|(_, rest)| rest != host)
}

pub(crate) async fn guard(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let loopback = request.extensions().get().copied().unwrap_or(LoopbackListener(false));
    let caller = request.extensions().get().copied();
    let (method, path) = (request.method(), request.uri().path());
    let checked = api.access.check(method, path, loopback, caller, request.headers());
    let mut response = match checked {
        Ok(()) => next.run(request).await,
        Err(why) => {
            // Who is refused is a program more often than a person, and nobody reads what it was told.
            if api.access.is_news(api.clock.now()) {
                tracing::warn!(method = %request.method(), path = %request.uri().path(), "Refused: {why}");
            }
            let status = if why.contains("token") { StatusCode::UNAUTHORIZED } else { StatusCode::FORBIDDEN };
            (status, format!("{why}\n")).into_response()
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
        ),
    );
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (n.parse().unwrap(), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn who_may_do_what() {
        let (inside, outside) = (LoopbackListener(true), LoopbackListener(false));
        let token = ("authorization", "Bearer abc");
        for (method, path, listener, open, given, allowed) in [
            ("GET", "/api/v2/alerts", outside, Open::Nothing, &[][..], true),
            ("POST", "/api/v1/query", outside, Open::Nothing, &[], true),
            ("POST", "/api/v2/silences", inside, Open::Nothing, &[], true),
            ("POST", "/api/v2/silences", outside, Open::Nothing, &[], false),
            ("POST", "/api/v2/silences", outside, Open::Nothing, &[token], true),
            ("POST", "/api/v2/silences", outside, Open::Nothing, &[("authorization", "Bearer abd")], false),
            ("POST", "/api/v2/alerts", outside, Open::Ingest, &[], true),
            ("POST", "/api/v2/silences", outside, Open::Ingest, &[], false),
            ("DELETE", "/api/v2/silence/x", outside, Open::All, &[], true),
            (
                "POST",
                "/api/v2/silences",
                inside,
                Open::All,
                &[("origin", "http://evil.test"), ("host", "127.0.0.1:9090")],
                false,
            ),
            (
                "POST",
                "/api/v2/silences",
                inside,
                Open::Nothing,
                &[("origin", "http://a:9090"), ("host", "a:9090")],
                true,
            ),
            ("POST", "/-/reload", inside, Open::Nothing, &[("sec-fetch-site", "cross-site")], false),
        ] {
            let access = Access { token: Secret::new("abc".into()), open, ..Access::default() };
            let got = access.check(&method.parse().unwrap(), path, listener, None, &headers(given));
            assert_eq!(got.is_ok(), allowed, "{method} {path} on {listener:?} {given:?}: {got:?}");
        }
    }

    #[test]
    fn who_is_known_needs_no_token_but_a_page_of_our_own() {
        let access = Access { token: Secret::new("abc".into()), ..Access::default() };
        let check = |given: &[(&'static str, &'static str)]| {
            let (outside, known) = (LoopbackListener(false), Some(KnownCaller));
            access.check(&Method::POST, "/api/v2/silences", outside, known, &headers(given)).is_ok()
        };
        assert!(check(&[]));
        assert!(check(&[("origin", "https://a:9090"), ("host", "a:9090")]));
        assert!(!check(&[("origin", "https://evil.test"), ("host", "a:9090")]));
        assert!(!check(&[("sec-fetch-site", "cross-site")]));
    }

    #[test]
    fn refusals_are_said_once_a_minute() {
        let access = Access::default();
        let said: Vec<bool> =
            [1, 2, 61, 62, 5, 6].iter().map(|at| access.is_news(Timestamp::from_secs(*at))).collect();
        // The last clock but one was set back.
        assert_eq!(said, [true, false, true, false, true, false]);
    }

    #[test]
    fn an_empty_token_opens_nothing() {
        let access = Access::default();
        let got = access.check(
            &Method::POST,
            "/-/reload",
            LoopbackListener(false),
            None,
            &headers(&[("authorization", "Bearer ")]),
        );
        assert!(got.is_err());
    }
}
