//! The description for machines: it lists exactly the routes, names every answer that tests of
//! this crate see, and is the file that is checked in.

use std::collections::BTreeSet;
use std::path::PathBuf;

use axum::body::Body;

use crate::fake::open;

#[tokio::test]
async fn the_document_lists_exactly_the_routes() {
    let place = open();
    let document = serde_json::to_value(wasmgate_admin::document()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 12, "{:?}", paths.keys());
    let mut ids = BTreeSet::new();
    for (path, methods) in paths {
        let uri = path.replace("{pipeline}", "orders").replace("{module}", "unwrap");
        let uri = uri.replace("{action}", "pause");
        for (method, operation) in methods.as_object().unwrap() {
            let line = format!("{} {uri}", method.to_uppercase());
            let (status, body) = place.ask(&line, &[], Body::empty()).await;
            // A route that there is may know no module of this name.
            let unknown = body.contains("route-unknown") || body.contains("method-refused");
            assert!(!unknown, "{line}: {status} {body}");
            assert!(operation["responses"].is_object(), "{line}");
            assert!(operation["summary"].is_string(), "{line} has no summary");
            let id = operation["operationId"].as_str().unwrap().to_owned();
            assert!(ids.insert(id), "{line}: its id is another's");
        }
    }
}

/// Clients are generated from docs/openapi.json: a change of the interface shows in it.
#[test]
fn the_document_is_the_one_checked_in() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../docs/openapi.json");
    let mut made = serde_json::to_string_pretty(&wasmgate_admin::document()).unwrap();
    made.push('\n');
    if std::env::var_os("WASMGATE_WRITE_DOCS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let command = "WASMGATE_WRITE_DOCS=1 cargo test -p wasmgate-admin the_document_is";
    assert!(written == made, "docs/openapi.json is not that of the routes: {command}");
}

/// The guard's own answers are described, too.
#[test]
fn every_route_tells_what_the_guard_may_answer() {
    let document = serde_json::to_value(wasmgate_admin::document()).unwrap();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let open = matches!(path.as_str(), "/healthz" | "/readyz");
        for (method, operation) in methods.as_object().unwrap() {
            let told = |status: &str| operation["responses"].get(status).is_some();
            assert!(told("421"), "{method} {path}");
            assert_eq!(told("401") && told("429"), !open, "{method} {path}");
            assert_eq!(told("403"), method != "get", "{method} {path}");
        }
    }
    assert_eq!(document["components"]["securitySchemes"]["token"]["scheme"], "bearer");
}
