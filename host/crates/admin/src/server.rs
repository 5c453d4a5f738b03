//! The routes, and what they share.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRef};
use axum::http::Uri;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use crate::access::Access;
use crate::answer::ApiError;
use crate::gateway::Gateway;
use crate::guard::{Rules, guard};
use crate::input::RELOAD;
use crate::upload::Uploads;
use crate::{health, modules, openapi, pipelines, signals};

#[derive(Clone)]
struct Shared {
    gateway: Arc<dyn Gateway>,
    access: Access,
    uploads: Uploads,
}

impl FromRef<Shared> for Arc<dyn Gateway> {
    fn from_ref(shared: &Shared) -> Self {
        Arc::clone(&shared.gateway)
    }
}

impl FromRef<Shared> for Access {
    fn from_ref(shared: &Shared) -> Self {
        shared.access.clone()
    }
}

impl FromRef<Shared> for Uploads {
    fn from_ref(shared: &Shared) -> Self {
        shared.uploads.clone()
    }
}

/// The whole interface.
pub fn router(gateway: Arc<dyn Gateway>, access: Access, uploads: Uploads) -> Router {
    let rules = Rules { access: access.clone(), upload_max: uploads.bytes_max() };
    let shared = Shared { gateway, access, uploads };
    let module = || get(modules::show).put(modules::put).delete(modules::delete);
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .route("/api/v1/openapi.json", get(openapi::show))
        .route("/api/v1/pipelines", get(pipelines::list))
        .route("/api/v1/pipelines/{pipeline}", get(pipelines::show))
        .route("/api/v1/pipelines/{pipeline}/signals", post(signals::send))
        .route("/api/v1/pipelines/{pipeline}/{action}", post(pipelines::act))
        .route("/api/v1/modules", get(modules::list))
        .route(RELOAD, module().post(modules::reload))
        .route("/api/v1/modules/{module}/rollback", post(modules::roll_back))
        .route("/api/v1/modules/{module}", module())
        .method_not_allowed_fallback(wrong_method)
        .fallback(unknown_route)
        .with_state(shared)
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(rules, guard))
}

async fn unknown_route(uri: Uri) -> ApiError {
    let message = format!("there is nothing at `{}`; see /api/v1/openapi.json", uri.path());
    ApiError::new(404, "route-unknown", message)
}

async fn wrong_method() -> ApiError {
    let message = "this route does not know this method; see /api/v1/openapi.json";
    ApiError::new(405, "method-refused", message)
}
