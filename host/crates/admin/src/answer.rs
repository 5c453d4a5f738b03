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
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer realm=\"wasmgate\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}
