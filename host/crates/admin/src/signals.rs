//! `/api/v1/pipelines/{pipeline}/signals`.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};

use crate::answer::ApiError;
use crate::gateway::{Gateway, Signal, SignalView};
use crate::guard::BODY_BYTES_MAX;
use crate::input::InPath;

/// Longest id and type of a signal: those of Debezium's signal table.
const ID_MAX: usize = 64;

/// Hands a signal to the source of a pipeline.
#[utoipa::path(post, path = "/api/v1/pipelines/{pipeline}/signals", tag = "pipelines",
    operation_id = "signal_pipeline",
    params(("pipeline" = String, Path, description = "Name of the pipeline.")),
    request_body = Signal,
    responses(
    (status = 202, description = "The source has taken it; what comes of it is told by \
        notifications and the log.", body = SignalView),
    (status = 400, description = "The body cannot be read, or does not fit the type.",
        body = ApiError),
    (status = 404, description = "There is no such pipeline.", body = ApiError),
    (status = 409, description = "The pipeline does not run, or its source cannot take the \
        signal.", body = ApiError),
    (status = 415, description = "The body is no JSON by its content type.", body = ApiError)))]
pub(crate) async fn send(
    State(gateway): State<Arc<dyn Gateway>>,
    InPath(pipeline): InPath<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<SignalView>), ApiError> {
    check_content(&headers)?;
    let most = usize::try_from(BODY_BYTES_MAX).unwrap_or(usize::MAX);
    let body = to_bytes(body, most).await;
    let body = body.map_err(|_| ApiError::body_too_large(BODY_BYTES_MAX))?;
    let mut signal: Signal =
        serde_json::from_slice(&body).map_err(|why| refused(why.to_string()))?;
    // An empty one is none.
    signal.id = signal.id.filter(|id| !id.is_empty());
    if signal.kind.is_empty() {
        return Err(refused("`type` is empty".into()));
    }
    let long = |text: &str| text.is_empty() || text.chars().count() > ID_MAX || text.contains('\0');
    if signal.id.as_deref().is_some_and(long) || long(&signal.kind) {
        return Err(refused(format!(
            "`id` and `type` take 1 to {ID_MAX} characters, none of them zero"
        )));
    }
    let taken = gateway.signal(&pipeline, signal).await?;
    Ok((StatusCode::ACCEPTED, Json(taken)))
}

fn refused(why: String) -> ApiError {
    ApiError::new(400, "body-refused", why)
}

/// A form of another site's page cannot have this type.
fn check_content(headers: &HeaderMap) -> Result<(), ApiError> {
    let kind = headers.get(header::CONTENT_TYPE).map_or("none", |h| h.to_str().unwrap_or("?"));
    let plain = kind.split(';').next().unwrap_or_default().trim();
    if plain.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let message = format!("found content type `{kind}`, expected `application/json`");
    Err(ApiError::new(415, "content-type-refused", message))
}
