//! Answers that are not what was asked for.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// `{"error_code":404,"code":"pipeline-unknown","message":"…","details":[]}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ApiError {
    /// The HTTP status.
    pub error_code: u16,
    /// A short stable word.
    pub code: String,
    /// What was found, what was expected, what to do.
    pub message: String,
    /// Single findings, where there are several.
    pub details: Vec<String>,
}

impl ApiError {
    /// An error without details.
    #[must_use]
    pub fn new(error_code: u16, code: &str, message: impl Into<String>) -> Self {
        Self { error_code, code: code.to_owned(), message: message.into(), details: Vec::new() }
    }

    /// Adds single findings.
    #[must_use]
    pub fn with_details(mut self, details: Vec<String>) -> Self {
        self.details = details;
        self
    }

    /// 413: a body of more than `most` bytes.
    #[must_use]
    pub(crate) fn body_too_large(most: u64) -> Self {
        Self::new(413, "body-too-large", format!("the body is larger than {most} bytes"))
    }

    /// 404: there is no pipeline of this name.
    #[must_use]
    pub fn pipeline_unknown(name: &str) -> Self {
        Self::new(404, "pipeline-unknown", format!("there is no pipeline `{name}`"))
    }

    /// 404: there is no module of this name.
    #[must_use]
    pub fn module_unknown(name: &str) -> Self {
        Self::new(404, "module-unknown", format!("there is no module `{name}`"))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.error_code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        let mut add = |name, value| headers.insert(name, HeaderValue::from_static(value));
        match status {
            StatusCode::UNAUTHORIZED => {
                add(header::WWW_AUTHENTICATE, "Bearer realm=\"wasmgate\"");
            }
            StatusCode::TOO_MANY_REQUESTS => {
                add(header::RETRY_AFTER, "1");
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                add(header::RETRY_AFTER, "5");
            }
            // The rest of the body is not read: the connection is of no further use.
            StatusCode::REQUEST_TIMEOUT | StatusCode::PAYLOAD_TOO_LARGE => {
                add(header::CONNECTION, "close");
            }
            _ => {}
        }
        response
    }
}
