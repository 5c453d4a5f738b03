//! The interface described for machines, made from the routes' own comments.

use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi};

use crate::answer::ApiError;
use crate::gateway::Action;
use crate::input::RELOAD;

/// Answers that the guard gives on every route, and on every one that asks for a token.
const ALWAYS: [(&str, &str); 1] = [("421", "The `Host` header names another host.")];
const WITH_TOKEN: [(&str, &str); 4] = [
    ("400", "The path or the query cannot be read."),
    ("401", "No token, or a wrong one."),
    ("429", "Too many wrong tokens from this address."),
    ("504", "No answer in time."),
];
const CHANGING: [(&str, &str); 2] = [
    ("403", "A page of another site asks, or the token's role is too low."),
    ("413", "The body is too large."),
];

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
        show,
        crate::pipelines::list,
        crate::pipelines::show,
        crate::pipelines::act,
        crate::signals::send,
        crate::modules::list,
        crate::modules::show,
        crate::modules::put,
        crate::modules::delete,
        crate::modules::roll_back,
        crate::modules::reload,
    ),
    components(schemas(ApiError, Action)),
    modifiers(&Guarded)
)]
struct Document;

/// Adds what the guard does to every route.
struct Guarded;

impl Modify for Guarded {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        describe_a_module_named_reload(document);
        let about = "One of `http.tokens`; nothing is asked where there are none.";
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(about));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme.build()));
        for item in document.paths.paths.values_mut() {
            let changing = [&mut item.put, &mut item.post, &mut item.delete];
            for operation in changing.into_iter().flatten() {
                add(operation, &CHANGING);
                guarded(operation);
            }
            item.get.as_mut().into_iter().for_each(guarded);
        }
    }
}

/// `reload` is an action, and may also be a module's name: a path without a parameter stands before
/// one with, so what other modules answer to `GET`, `PUT` and `DELETE` is described there again.
fn describe_a_module_named_reload(document: &mut utoipa::openapi::OpenApi) {
    let paths = &mut document.paths.paths;
    let Some(module) = paths.get("/api/v1/modules/{module}").cloned() else {
        return;
    };
    let named = |operation: Option<Operation>| {
        operation.map(|mut operation| {
            let kept = operation.parameters.take().into_iter().flatten();
            let query: Vec<_> = kept.filter(|parameter| !in_path(parameter)).collect();
            operation.parameters = (!query.is_empty()).then_some(query);
            operation.operation_id = operation.operation_id.map(|id| id + "_named_reload");
            operation
        })
    };
    let reload = paths.entry(RELOAD.to_owned()).or_default();
    reload.get = named(module.get);
    reload.put = named(module.put);
    reload.delete = named(module.delete);
}

fn in_path(parameter: &RefOr<Parameter>) -> bool {
    matches!(parameter, RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Path)
}

fn guarded(operation: &mut Operation) {
    add(operation, &ALWAYS);
    if operation.security.is_none() {
        add(operation, &WITH_TOKEN);
        operation.security = Some(vec![SecurityRequirement::new("token", [""; 0])]);
    }
}

/// Adds answers that a route does not describe itself.
fn add(operation: &mut Operation, answers: &[(&str, &str)]) {
    for (status, about) in answers {
        let error = ContentBuilder::new().schema(Some(Ref::from_schema_name("ApiError"))).build();
        let answer = ResponseBuilder::new().description(*about).content("application/json", error);
        let responses = &mut operation.responses.responses;
        responses.entry((*status).to_owned()).or_insert_with(|| answer.build().into());
    }
}

/// The OpenAPI document.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// This description.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "health",
    operation_id = "openapi",
    responses((status = 200, description = "The OpenAPI document.", body = serde_json::Value)))]
pub(crate) async fn show() -> axum::Json<utoipa::openapi::OpenApi> {
    axum::Json(document())
}
