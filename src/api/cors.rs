//! Which pages of other sites may read the APIs.
//!
//! Reading is what this is about: a page of another site changes nothing here, whatever its origin (see `guard`).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use model::{MatchOp, Matcher, MatcherError};

use crate::state::Api;

/// The origins that may read.
#[derive(Clone, Debug)]
pub struct CorsOrigin {
    any: bool,
    matcher: Matcher,
}

impl CorsOrigin {
    /// From a regular expression that matches the whole origin: `https?://(a|b)\.example`.
    pub fn new(pattern: &str) -> Result<Self, MatcherError> {
        let matcher = Matcher::new("origin", MatchOp::Regex, pattern)?;
        Ok(CorsOrigin { any: pattern == ".*", matcher })
    }

    /// What to answer to `origin`: itself, `*`, or nothing.
    fn allowed(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        if self.any {
            return Some(HeaderValue::from_static("*"));
        }
        origin.to_str().is_ok_and(|text| self.matcher.matches(text)).then(|| origin.clone())
    }
}

impl Default for CorsOrigin {
    /// Every origin, as without the flag.
    fn default() -> Self {
        CorsOrigin { any: true, matcher: Matcher::equal("origin", "") }
    }
}

/// Says who may read an answer of an API, and answers a browser that asks beforehand.
pub(crate) async fn cors(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if !["/api/v1/", "/api/v2/"].iter().any(|api| path.starts_with(api)) {
        return next.run(request).await;
    }
    let origin = request.headers().get(header::ORIGIN).cloned();
    let mut response = if request.method() == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    if let Some(allowed) = origin.and_then(|origin| api.cors.allowed(&origin)) {
        for (name, value) in [
            (header::ACCESS_CONTROL_ALLOW_HEADERS, "Accept, Authorization, Content-Type, Origin"),
            (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, OPTIONS"),
            (header::ACCESS_CONTROL_EXPOSE_HEADERS, "Date"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_read() {
        for (pattern, origin, allowed) in [
            (".*", "http://a.example", Some("*")),
            ("https?://(a|b)\\.example", "http://a.example", Some("http://a.example")),
            ("https?://(a|b)\\.example", "http://a.example.evil", None),
            ("", "http://a.example", None),
        ] {
            let got = CorsOrigin::new(pattern).unwrap().allowed(&HeaderValue::from_static(origin));
            assert_eq!(got.as_ref().map(|v| v.to_str().unwrap()), allowed, "{pattern} {origin}");
        }
        assert!(CorsOrigin::new("(").is_err());
    }
}
