//! The frame around each answer of API v1.

use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use ports::{QueryError, QueryErrorKind};
use serde_json::Value;

use crate::answer::write_notes;
use crate::json::write_string;
use crate::refused::no_such_path;

/// A failed request, as API v1 writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// The status of the response.
    pub(crate) status: StatusCode,
    /// `errorType`.
    pub(crate) kind: &'static str,
    /// What is wrong, and what to do.
    pub message: String,
}

impl ApiError {
    pub(crate) fn bad_data(message: impl Into<String>) -> Self {
        ApiError { status: StatusCode::BAD_REQUEST, kind: "bad_data", message: message.into() }
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        ApiError { status: StatusCode::INTERNAL_SERVER_ERROR, kind: "internal", message: message.into() }
    }
}

/// 499: the client went away before there was an answer. No standard names it, the field's servers use it.
fn client_closed_request() -> StatusCode {
    StatusCode::from_u16(499).unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        let (status, kind) = match error.kind {
            QueryErrorKind::BadData => (StatusCode::BAD_REQUEST, "bad_data"),
            QueryErrorKind::Execution => (StatusCode::UNPROCESSABLE_ENTITY, "execution"),
            QueryErrorKind::Timeout => (StatusCode::SERVICE_UNAVAILABLE, "timeout"),
            QueryErrorKind::Canceled => (client_closed_request(), "canceled"),
            QueryErrorKind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        };
        ApiError { status, kind, message: error.message }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body = format!(r#"{{"status":"error","errorType":"{}","error":"#, self.kind);
        write_string(&mut body, &self.message);
        body.push('}');
        json_response(self.status, body)
    }
}

pub(crate) fn json_response(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// `{"status":"success","data":…}`.
pub(crate) fn success(data: &Value) -> Response {
    success_text(&data.to_string(), &[])
}

/// The same around a text that is JSON already, with what is worth knowing beside it.
pub(crate) fn success_text(data: &str, warnings: &[String]) -> Response {
    let mut body = String::with_capacity(data.len() + 64);
    body.push_str(r#"{"status":"success","data":"#);
    body.push_str(data);
    write_notes(&mut body, warnings, &[]);
    body.push('}');
    json_response(StatusCode::OK, body)
}

/// A path that does not exist, in the form of the API that it would belong to.
pub(crate) async fn not_found(uri: Uri) -> Response {
    if uri.path() == "/api/v2" || uri.path().starts_with("/api/v2/") {
        return no_such_path(&uri);
    }
    nothing_here().await
}

/// A path that belongs to nothing.
pub(crate) async fn nothing_here() -> Response {
    (StatusCode::NOT_FOUND, "404 page not found\n").into_response()
}

/// A path that exists, and does not take this method.
pub(crate) async fn method_not_allowed() -> Response {
    (StatusCode::METHOD_NOT_ALLOWED, "405 method not allowed\n").into_response()
}

#[cfg(test)]
mod tests {
    use ports::QueryErrorKind;

    use super::*;

    #[tokio::test]
    async fn an_error_says_of_what_kind_it_is() {
        for (kind, status, name) in [
            (QueryErrorKind::BadData, 400, "bad_data"),
            (QueryErrorKind::Execution, 422, "execution"),
            (QueryErrorKind::Canceled, 499, "canceled"),
            (QueryErrorKind::Internal, 500, "internal"),
            (QueryErrorKind::Timeout, 503, "timeout"),
        ] {
            let error = QueryError { kind, message: "not \"this\"".to_owned() };
            let response = ApiError::from(error).into_response();
            assert_eq!(response.status(), status);
            assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
            let body = axum::body::to_bytes(response.into_body(), 1000).await.unwrap();
            let wanted = format!(r#"{{"status":"error","errorType":"{name}","error":"not \"this\""}}"#);
            assert_eq!(body, wanted);
        }
    }
}
