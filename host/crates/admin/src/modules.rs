//! `/api/v1/modules`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::answer::ApiError;
use crate::gateway::{Deletion, Gateway, ModuleView, ReloadView, Upload, UploadState};
use crate::input::{DeleteFlags, InModule, InQuery, PutFlags, RollbackFlags};
use crate::upload::Uploads;

/// Every module.
#[utoipa::path(get, path = "/api/v1/modules", tag = "modules",
    operation_id = "list_modules",
    responses((status = 200, description = "Every module, by name.", body = [ModuleView])))]
pub(crate) async fn list(State(gateway): State<Arc<dyn Gateway>>) -> Json<Vec<ModuleView>> {
    Json(gateway.modules())
}

/// One module.
#[utoipa::path(get, path = "/api/v1/modules/{module}", tag = "modules",
    operation_id = "show_module",
    params(("module" = String, Path, description = "Name of the module.")), responses(
    (status = 200, description = "The module.", body = ModuleView),
    (status = 404, description = "There is no such module.", body = ApiError)))]
pub(crate) async fn show(
    State(gateway): State<Arc<dyn Gateway>>,
    InModule(module): InModule,
) -> Result<Json<ModuleView>, ApiError> {
    let found = gateway.modules().into_iter().find(|m| m.name == module);
    found.map(Json).ok_or_else(|| ApiError::module_unknown(&module))
}

/// Uploads a module: the body is the component. It is checked, compiled and bound against the
/// schemas in use before it is swapped in at a batch border; whatever fails leaves the old
/// version running. A dry run stops before the swap.
#[utoipa::path(put, path = "/api/v1/modules/{module}", tag = "modules",
    operation_id = "put_module",
    params(
        ("module" = String, Path, description = "Name of the module: lower-case letters, digits, \
            - and _, at most 64, beginning with a letter or digit.",
            pattern = "^[a-z0-9][a-z0-9_-]{0,63}$"),
        ("dry_run" = Option<bool>, Query, description = "Runs every check and changes nothing.")),
    request_body(content = inline(Component), content_type = "application/wasm"), responses(
    (status = 200, description = "A dry run: every check passed, nothing was changed.",
        body = Upload),
    (status = 201, description = "Stored and swapped in.", body = Upload),
    (status = 400, description = "The name cannot be a module's, a flag is not known, or the \
        body was cut off.", body = ApiError),
    (status = 408, description = "The body came too slowly.", body = ApiError),
    (status = 409, description = "This component is active already.", body = ApiError),
    (status = 413, description = "Larger than `http.upload_max`.", body = ApiError),
    (status = 415, description = "Not a component by its content type.", body = ApiError),
    (status = 422, description = "Refused; the old version goes on.", body = ApiError),
    (status = 503, description = "Another upload goes on.", body = ApiError)))]
pub(crate) async fn put(
    State(gateway): State<Arc<dyn Gateway>>,
    State(uploads): State<Uploads>,
    InModule(module): InModule,
    InQuery(flags): InQuery<PutFlags>,
    request: Request,
) -> Result<(StatusCode, Json<Upload>), ApiError> {
    check_name(&module)?;
    check_content(request.headers())?;
    let component = uploads.receive(request.into_body()).await?;
    let upload = gateway.put_module(&module, component, flags.dry_run).await?;
    let status = match upload.state {
        UploadState::Active => StatusCode::CREATED,
        UploadState::Checked => StatusCode::OK,
    };
    Ok((status, Json(upload)))
}

/// A component, for the interface's description.
#[derive(utoipa::ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "describes a body that is streamed")]
struct Component(Vec<u8>);

/// Deletes a module. One that pipelines use is deleted by force only: they pause, and what they
/// have read settles with the version they run.
#[utoipa::path(delete, path = "/api/v1/modules/{module}", tag = "modules",
    operation_id = "delete_module",
    params(
        ("module" = String, Path, description = "Name of the module."),
        ("force" = Option<bool>, Query, description = "Also where pipelines use it; they pause.")),
    responses(
    (status = 200, description = "Deleted by force; pipelines were paused.", body = Deletion),
    (status = 204, description = "Deleted."),
    (status = 400, description = "A flag is not known.", body = ApiError),
    (status = 404, description = "There is no such module.", body = ApiError),
    (status = 409, description = "A pipeline uses it.", body = ApiError)))]
pub(crate) async fn delete(
    State(gateway): State<Arc<dyn Gateway>>,
    InModule(module): InModule,
    InQuery(flags): InQuery<DeleteFlags>,
) -> Result<Response, ApiError> {
    let deletion = gateway.delete_module(&module, flags.force).await?;
    Ok(match deletion.paused.as_slice() {
        [] => StatusCode::NO_CONTENT.into_response(),
        _ => Json(deletion).into_response(),
    })
}

/// Goes back to the version before, or to a kept one by its digest.
#[utoipa::path(post, path = "/api/v1/modules/{module}/rollback", tag = "modules",
    operation_id = "roll_back_module",
    params(
        ("module" = String, Path, description = "Name of the module."),
        ("sha256" = Option<String>, Query, description = "Digest of one of `previous` or `aside`. \
            Default: the latest of `previous`.", pattern = "^[0-9a-f]{64}$")),
    responses(
    (status = 200, description = "The module afterwards.", body = ModuleView),
    (status = 400, description = "The digest is none.", body = ApiError),
    (status = 404, description = "There is no such module.", body = ApiError),
    (status = 409, description = "No such version is kept.", body = ApiError),
    (status = 422, description = "Refused; the present version goes on.", body = ApiError)))]
pub(crate) async fn roll_back(
    State(gateway): State<Arc<dyn Gateway>>,
    InModule(module): InModule,
    InQuery(flags): InQuery<RollbackFlags>,
) -> Result<Json<ModuleView>, ApiError> {
    let digest = |text: &str| {
        text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    if flags.sha256.as_deref().is_some_and(|text| !digest(text)) {
        let message = "`sha256` is not 64 lower-case hex digits";
        return Err(ApiError::new(400, "query-refused", message));
    }
    gateway.roll_back(&module, flags.sha256.as_deref()).await.map(Json)
}

/// Reads the modules' directory again.
#[utoipa::path(post, path = "/api/v1/modules/reload", tag = "modules",
    operation_id = "reload_modules", responses(
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
    let kind = kind.split(';').next().unwrap_or_default().trim();
    // curl's -d and --data-binary name a form unless told otherwise.
    let taken =
        ["application/wasm", "application/octet-stream", "application/x-www-form-urlencoded"];
    if taken.iter().any(|taken| taken.eq_ignore_ascii_case(kind)) {
        return Ok(());
    }
    let message = format!("found content type `{kind}`, expected `application/wasm`");
    Err(ApiError::new(415, "content-type-refused", message))
}
