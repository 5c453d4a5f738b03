//! `/api/v1/modules`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use tokio::sync::Semaphore;

use crate::answer::ApiError;
use crate::gateway::{Gateway, ModuleView, ReloadView, Upload};
use crate::server::MODULE_BYTES_MAX;

/// Every module.
#[utoipa::path(get, path = "/api/v1/modules", tag = "modules",
    responses((status = 200, description = "Every module, by name.", body = [ModuleView])))]
pub(crate) async fn list(State(gateway): State<Arc<dyn Gateway>>) -> Json<Vec<ModuleView>> {
    Json(gateway.modules())
}

/// One module.
#[utoipa::path(get, path = "/api/v1/modules/{module}", tag = "modules",
    params(("module" = String, Path, description = "Name of the module.")), responses(
    (status = 200, description = "The module.", body = ModuleView),
    (status = 404, description = "There is no such module.", body = ApiError)))]
pub(crate) async fn show(
    State(gateway): State<Arc<dyn Gateway>>,
    Path(module): Path<String>,
) -> Result<Json<ModuleView>, ApiError> {
    let found = gateway.modules().into_iter().find(|m| m.name == module);
    found.map(Json).ok_or_else(|| ApiError::module_unknown(&module))
}

/// Uploads a module: the body is the component. It is checked, compiled and bound against the
/// schemas in use before it is swapped in at a batch border; whatever fails leaves the old
/// version running.
#[utoipa::path(put, path = "/api/v1/modules/{module}", tag = "modules",
    params(("module" = String, Path, description = "Name of the module.")),
    request_body(content = Vec<u8>, content_type = "application/wasm"), responses(
    (status = 201, description = "Stored and swapped in.", body = Upload),
    (status = 400, description = "The name cannot be a module's, or the body was cut off.",
        body = ApiError),
    (status = 409, description = "This component is active already.", body = ApiError),
    (status = 413, description = "Larger than 32 MiB.", body = ApiError),
    (status = 415, description = "Not a component by its content type.", body = ApiError),
    (status = 422, description = "Refused; the old version goes on.", body = ApiError)))]
pub(crate) async fn put(
    State(gateway): State<Arc<dyn Gateway>>,
    State(uploads): State<Arc<Semaphore>>,
    Path(module): Path<String>,
    request: Request,
) -> Result<(StatusCode, Json<Upload>), ApiError> {
    check_name(&module)?;
    check_content(request.headers())?;
    // One upload at a time: a body is held in memory, and compiling takes a core.
    let Ok(_turn) = uploads.acquire().await else {
        return Err(ApiError::new(503, "stopping", "the gateway is stopping"));
    };
    let body = axum::body::to_bytes(request.into_body(), MODULE_BYTES_MAX).await;
    let component = body.map_err(|_| {
        let message = "the body was cut off, or is larger than 32 MiB";
        ApiError::new(400, "body-refused", message)
    })?;
    let upload = gateway.put_module(&module, component.to_vec()).await?;
    Ok((StatusCode::CREATED, Json(upload)))
}

/// Deletes a module that no pipeline uses.
#[utoipa::path(delete, path = "/api/v1/modules/{module}", tag = "modules",
    params(("module" = String, Path, description = "Name of the module.")), responses(
    (status = 204, description = "Deleted."),
    (status = 404, description = "There is no such module.", body = ApiError),
    (status = 409, description = "A pipeline uses it.", body = ApiError)))]
pub(crate) async fn delete(
    State(gateway): State<Arc<dyn Gateway>>,
    Path(module): Path<String>,
) -> Result<StatusCode, ApiError> {
    gateway.delete_module(&module).await.map(|()| StatusCode::NO_CONTENT)
}

/// Goes back to the version before.
#[utoipa::path(post, path = "/api/v1/modules/{module}/rollback", tag = "modules",
    params(("module" = String, Path, description = "Name of the module.")), responses(
    (status = 200, description = "The module afterwards.", body = ModuleView),
    (status = 404, description = "There is no such module.", body = ApiError),
    (status = 409, description = "There is no version before this one.", body = ApiError),
    (status = 422, description = "Refused; the present version goes on.", body = ApiError)))]
pub(crate) async fn roll_back(
    State(gateway): State<Arc<dyn Gateway>>,
    Path(module): Path<String>,
) -> Result<Json<ModuleView>, ApiError> {
    gateway.roll_back(&module).await.map(Json)
}

/// Reads the modules' directory again.
#[utoipa::path(post, path = "/api/v1/modules/reload", tag = "modules", responses(
    (status = 200, description = "What changed.", body = ReloadView),
    (status = 500, description = "The directory cannot be read.", body = ApiError)))]
pub(crate) async fn reload(
    State(gateway): State<Arc<dyn Gateway>>,
) -> Result<Json<ReloadView>, ApiError> {
    gateway.reload().await.map(Json)
}

/// A module's name is the stem of its file.
fn check_name(name: &str) -> Result<(), ApiError> {
    let first = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    let allowed = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '-' | '_');
    if first && name.len() <= 64 && name.chars().all(allowed) {
        return Ok(());
    }
    let message = format!(
        "`{name}` cannot be a module's name: use lower-case letters, digits, - and _, at most 64, \
         beginning with a letter or digit"
    );
    Err(ApiError::new(400, "name-refused", message))
}

fn check_content(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(kind) = headers.get(header::CONTENT_TYPE).map(|h| h.to_str().unwrap_or("?")) else {
        return Ok(());
    };
    // curl's -d and --data-binary name a form unless told otherwise.
    let taken =
        ["application/wasm", "application/octet-stream", "application/x-www-form-urlencoded"];
    if taken.contains(&kind) {
        return Ok(());
    }
    let message = format!("found content type `{kind}`, expected `application/wasm`");
    Err(ApiError::new(415, "content-type-refused", message))
}
