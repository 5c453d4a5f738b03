//! `/healthz`, `/readyz`, `/metrics`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{Extensions, HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::access::{Access, Standing};
use crate::gateway::{Gateway, Readiness};
use crate::guard::peer;

/// The process is alive. Never fails because something else is down.
#[utoipa::path(get, path = "/healthz", tag = "health",
    operation_id = "healthz", security(()),
    responses(
    (status = 200, description = "The process is alive.", body = String,
        content_type = "text/plain; charset=utf-8")))]
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// Every pipeline is connected and has its checkpoint, or is completed. Who has no token learns
/// yes or no, not why.
#[utoipa::path(get, path = "/readyz", tag = "health",
    operation_id = "readyz", security(()), responses(
    (status = 200, description = "Every pipeline runs or is completed.", body = Readiness),
    (status = 503, description = "Some pipelines do not run.", body = Readiness)))]
pub(crate) async fn readyz(
    State(gateway): State<Arc<dyn Gateway>>,
    State(access): State<Access>,
    headers: HeaderMap,
    extensions: Extensions,
) -> Response {
    let mut readiness = gateway.ready();
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    if !matches!(access.standing(&headers, peer(&extensions)), Standing::Known(_)) {
        readiness.not_ready.clear();
    }
    (status, Json(readiness)).into_response()
}

/// Prometheus exposition.
#[utoipa::path(get, path = "/metrics", tag = "health",
    operation_id = "metrics",
    responses((status = 200, description = "Prometheus text, format 0.0.4.", body = String,
        content_type = "text/plain; version=0.0.4; charset=utf-8")))]
pub(crate) async fn metrics(State(gateway): State<Arc<dyn Gateway>>) -> Response {
    let text = gateway.metrics();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}
