//! What API v2 says when it does not do something.
//!
//! Alertmanager knows two forms. What its own code refuses is a JSON string; what is wrong with the request as such, before
//! anybody asks what it means, is an object with a code: `{"code":601,"message":…}`. Tools read both. The interface's own
//! document has strings alone for the status 400, so that is what a 400 is here, always.

use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::envelope::{ApiError, json_response};
use crate::state::ControlError;

/// An error of API v2.
pub(crate) struct Refused {
    status: StatusCode,
    /// Of an error of the request as such.
    code: Option<u16>,
    message: String,
}

/// A value that is not of its format.
pub(crate) const WRONG_FORMAT: u16 = 601;
/// Something that has to be there, and is not.
pub(crate) const REQUIRED: u16 = 602;
/// A list that is too short.
pub(crate) const TOO_FEW: u16 = 612;

impl Refused {
    /// What is asked for cannot be.
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Refused { status, code: None, message: message.into() }
    }

    /// The request as such is not one that is answered: its code is its status.
    fn not_answered(status: StatusCode, message: impl Into<String>) -> Self {
        Refused { status, code: Some(status.as_u16()), message: message.into() }
    }

    /// The body is of a kind that is not read.
    pub(crate) fn wrong_media_type(message: impl Into<String>) -> Self {
        Refused::not_answered(StatusCode::UNSUPPORTED_MEDIA_TYPE, message)
    }

    /// The request can be read, and is not what the interface says.
    pub(crate) fn not_valid(code: u16, message: impl Into<String>) -> Self {
        Refused { status: StatusCode::UNPROCESSABLE_ENTITY, code: Some(code), message: message.into() }
    }

    /// Something that has to be in the body is not there.
    pub(crate) fn required(what: &str) -> Self {
        Refused::not_valid(REQUIRED, format!("{what} in body is required"))
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let body = match self.code {
            Some(code) => json!({"code": code, "message": self.message}),
            None => json!(self.message),
        };
        json_response(self.status, body.to_string())
    }
}

impl From<ControlError> for Refused {
    fn from(error: ControlError) -> Self {
        let status = match &error {
            ControlError::Invalid(_) => StatusCode::BAD_REQUEST,
            ControlError::NotFound(_) => StatusCode::NOT_FOUND,
            ControlError::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Refused::new(status, error.to_string())
    }
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Refused::new(error.status, error.message)
    }
}

/// A path under `/api/v2` that does not exist.
pub(crate) fn no_such_path(uri: &Uri) -> Response {
    Refused::not_answered(StatusCode::NOT_FOUND, format!("path {} was not found", uri.path())).into_response()
}

/// A path that exists, and takes only the methods of `allowed`.
pub(crate) fn wrong_method(method: &Method, allowed: &'static str) -> Response {
    let message = format!("method {method} is not allowed, but [{allowed}] are");
    let mut response = Refused::not_answered(StatusCode::METHOD_NOT_ALLOWED, message).into_response();
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}
