//! The interface described for machines, made from the routes' own comments.

use utoipa::OpenApi;

/// Every route is listed here; a test compares the list with the router.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "wasmgate",
        description = "Health, metrics, pipelines and modules of a wasmgate process.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    paths(
        crate::health::healthz,
        crate::health::readyz,
        crate::health::metrics,
        crate::pipelines::list,
        crate::pipelines::show,
        crate::pipelines::act,
        crate::modules::list,
        crate::modules::show,
        crate::modules::put,
        crate::modules::delete,
        crate::modules::roll_back,
        crate::modules::reload,
    )
)]
struct Document;

/// The OpenAPI document.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

pub(crate) async fn show() -> axum::Json<utoipa::openapi::OpenApi> {
    axum::Json(document())
}
