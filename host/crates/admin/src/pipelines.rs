//! `/api/v1/pipelines`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::answer::ApiError;
use crate::gateway::{Action, Gateway, PipelineView};
use crate::input::InPath;

/// Every pipeline.
#[utoipa::path(get, path = "/api/v1/pipelines", tag = "pipelines",
    operation_id = "list_pipelines",
    responses((status = 200, description = "Every pipeline, by name.", body = [PipelineView])))]
pub(crate) async fn list(State(gateway): State<Arc<dyn Gateway>>) -> Json<Vec<PipelineView>> {
    Json(gateway.pipelines())
}

/// One pipeline.
#[utoipa::path(get, path = "/api/v1/pipelines/{pipeline}", tag = "pipelines",
    operation_id = "show_pipeline",
    params(("pipeline" = String, Path, description = "Name of the pipeline.")), responses(
    (status = 200, description = "The pipeline.", body = PipelineView),
    (status = 404, description = "There is no such pipeline.", body = ApiError)))]
pub(crate) async fn show(
    State(gateway): State<Arc<dyn Gateway>>,
    InPath(pipeline): InPath<String>,
) -> Result<Json<PipelineView>, ApiError> {
    let found = gateway.pipelines().into_iter().find(|p| p.name == pipeline);
    found.map(Json).ok_or_else(|| ApiError::pipeline_unknown(&pipeline))
}

/// Pauses, resumes or restarts a pipeline.
#[utoipa::path(post, path = "/api/v1/pipelines/{pipeline}/{action}", tag = "pipelines",
    operation_id = "act_on_pipeline",
    params(
        ("pipeline" = String, Path, description = "Name of the pipeline."),
        ("action" = Action, Path, description = "What to do.")),
    responses(
    (status = 200, description = "The pipeline afterwards.", body = PipelineView),
    (status = 404, description = "There is no such pipeline or action.", body = ApiError),
    (status = 409, description = "A module that it runs was deleted by force, or does not open.",
        body = ApiError)))]
pub(crate) async fn act(
    State(gateway): State<Arc<dyn Gateway>>,
    InPath((pipeline, action)): InPath<(String, String)>,
) -> Result<Json<PipelineView>, ApiError> {
    let action = match action.as_str() {
        "pause" => Action::Pause,
        "resume" => Action::Resume,
        "restart" => Action::Restart,
        other => {
            let message = format!("`{other}` is no action; there are pause, resume and restart");
            return Err(ApiError::new(404, "action-unknown", message));
        }
    };
    gateway.act(&pipeline, action).await.map(Json)
}
