//! The interface over a gateway that remembers what it was asked.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::Value;
use tower::ServiceExt;
use wasmgate_admin::{
    Access, Action, ApiError, Gateway, MODULE_BYTES_MAX, ModuleState, ModuleView, NotReady,
    PipelineView, Readiness, ReloadView, Upload,
};

const TOKEN: &str = "0123456789abcdef";

#[derive(Default)]
struct Fake {
    down: bool,
    asked: Mutex<Vec<String>>,
}

impl Fake {
    fn asked(&self, what: String) {
        self.asked.lock().unwrap().push(what);
    }
}

fn pipeline() -> PipelineView {
    PipelineView {
        name: "orders".into(),
        state: "running".into(),
        reason: None,
        source: "file".into(),
        sinks: vec!["file".into()],
        phase: "reading".into(),
        records_in: 3,
        records_out: 2,
        dropped: 1,
        dead_letters: 0,
        in_flight: 0,
        lag_ms: None,
        checkpoint: Vec::new(),
        stages: Vec::new(),
        fields: Vec::new(),
    }
}

fn module() -> ModuleView {
    ModuleView {
        name: "unwrap".into(),
        state: ModuleState::Active,
        world: Some("transform".into()),
        version: Some("0.1.0".into()),
        sha256: Some("ab".into()),
        summary: None,
        config_schema: None,
        rejected: None,
        used_by: vec!["orders".into()],
        previous: Vec::new(),
        stats: None,
    }
}

#[async_trait]
impl Gateway for Fake {
    fn ready(&self) -> Readiness {
        let reason = Some("the broker is away".to_owned());
        let not = NotReady { pipeline: "orders".into(), state: "retrying".into(), reason };
        Readiness { ready: !self.down, not_ready: if self.down { vec![not] } else { vec![] } }
    }

    fn metrics(&self) -> String {
        "wasmgate_records_in_total 3\n".into()
    }

    fn pipelines(&self) -> Vec<PipelineView> {
        vec![pipeline()]
    }

    async fn act(&self, name: &str, action: Action) -> Result<PipelineView, ApiError> {
        if name != "orders" {
            return Err(ApiError::pipeline_unknown(name));
        }
        self.asked(format!("{action:?} {name}"));
        Ok(pipeline())
    }

    fn modules(&self) -> Vec<ModuleView> {
        vec![module()]
    }

    async fn put_module(&self, name: &str, component: Vec<u8>) -> Result<Upload, ApiError> {
        self.asked(format!("put {name} {}", component.len()));
        if component.is_empty() {
            let details = vec!["import wasi:sockets".to_owned()];
            return Err(ApiError::new(422, "module-refused", "no").with_details(details));
        }
        let (version, sha256) = ("1.0.0".to_owned(), "cd".to_owned());
        Ok(Upload { name: name.to_owned(), version, sha256, state: ModuleState::Active })
    }

    async fn delete_module(&self, name: &str) -> Result<(), ApiError> {
        self.asked(format!("delete {name}"));
        Ok(())
    }

    async fn roll_back(&self, name: &str) -> Result<ModuleView, ApiError> {
        self.asked(format!("rollback {name}"));
        Ok(module())
    }

    async fn reload(&self) -> Result<ReloadView, ApiError> {
        self.asked("reload".to_owned());
        Ok(ReloadView { accepted: vec!["unwrap".into()], ..ReloadView::default() })
    }
}

fn open() -> (Router, Arc<Fake>) {
    over(Fake::default(), &[])
}

fn over(fake: Fake, tokens: &[&str]) -> (Router, Arc<Fake>) {
    let fake = Arc::new(fake);
    let access = Access::new("127.0.0.1:8080".parse().unwrap(), tokens, &[]);
    let gateway: Arc<dyn Gateway> = Arc::<Fake>::clone(&fake);
    (wasmgate_admin::router(gateway, access), fake)
}

/// Sends a request; `Host: localhost:8080` unless `headers` say otherwise.
async fn ask(router: &Router, line: &str, headers: &[(&str, &str)], body: Body) -> (u16, String) {
    let (method, path) = line.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| *name == "host") {
        request = request.header("host", "localhost:8080");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn every_route_answers() {
    let (router, fake) = open();
    for (line, status, part) in [
        ("GET /healthz", 200, "ok"),
        ("GET /readyz", 200, r#""ready":true"#),
        ("GET /metrics", 200, "wasmgate_records_in_total 3"),
        ("GET /api/v1/openapi.json", 200, r#""/api/v1/modules/{module}/rollback""#),
        ("GET /api/v1/pipelines", 200, r#"[{"name":"orders","#),
        ("GET /api/v1/pipelines/orders", 200, r#""state":"running""#),
        ("POST /api/v1/pipelines/orders/pause", 200, r#""name":"orders""#),
        ("POST /api/v1/pipelines/orders/resume", 200, r#""name":"orders""#),
        ("POST /api/v1/pipelines/orders/restart", 200, r#""name":"orders""#),
        ("GET /api/v1/modules", 200, r#"[{"name":"unwrap","state":"active""#),
        ("GET /api/v1/modules/unwrap", 200, r#""used_by":["orders"]"#),
        ("DELETE /api/v1/modules/unwrap", 204, ""),
        ("POST /api/v1/modules/unwrap/rollback", 200, r#""sha256":"ab""#),
        ("POST /api/v1/modules/reload", 200, r#""accepted":["unwrap"]"#),
    ] {
        let (found, body) = ask(&router, line, &[], Body::empty()).await;
        assert_eq!(found, status, "{line}: {body}");
        assert!(body.contains(part), "{line}: {body}");
    }
    let asked = fake.asked.lock().unwrap().join(", ");
    let want =
        "Pause orders, Resume orders, Restart orders, delete unwrap, rollback unwrap, reload";
    assert_eq!(asked, want);
}

#[tokio::test]
async fn errors_have_one_shape() {
    let (router, _) = open();
    for (line, status, code) in [
        ("GET /api/v1/pipelines/nope", 404, "pipeline-unknown"),
        ("POST /api/v1/pipelines/nope/pause", 404, "pipeline-unknown"),
        ("POST /api/v1/pipelines/orders/explode", 404, "action-unknown"),
        ("GET /api/v1/modules/nope", 404, "module-unknown"),
        ("GET /api/v1/dead-letters", 404, "route-unknown"),
        ("GET /nope", 404, "route-unknown"),
        ("POST /api/v1/pipelines", 405, "method-refused"),
        ("PUT /api/v1/modules/no.pe", 400, "name-refused"),
        ("PUT /api/v1/modules/empty", 422, "module-refused"),
    ] {
        let (found, body) = ask(&router, line, &[], Body::empty()).await;
        let json: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((found, json["code"].as_str()), (status, Some(code)), "{line}: {body}");
        assert_eq!(json["error_code"], status, "{line}");
        assert!(json["message"].is_string() && json["details"].is_array(), "{body}");
    }
}

#[tokio::test]
async fn a_module_is_put_and_bounded() {
    let (router, fake) = open();
    let line = "PUT /api/v1/modules/rule";
    let (status, body) = ask(&router, line, &[], Body::from("wasm")).await;
    assert_eq!(status, 201, "{body}");
    let want = r#"{"name":"rule","version":"1.0.0","sha256":"cd","state":"active"}"#;
    assert_eq!(body, want);

    let text = &[("content-type", "text/html")];
    assert_eq!(ask(&router, line, text, Body::from("wasm")).await.0, 415);
    let long = (MODULE_BYTES_MAX + 1).to_string();
    assert_eq!(ask(&router, line, &[("content-length", &long)], Body::empty()).await.0, 413);
    // Without an announced length the body itself is counted.
    let body = Body::from(vec![0; MODULE_BYTES_MAX + 1]);
    assert_eq!(ask(&router, line, &[], body).await.0, 400);
    let long = &[("content-length", "1048577")];
    let pause = "POST /api/v1/pipelines/orders/pause";
    assert_eq!(ask(&router, pause, long, Body::empty()).await.0, 413);
    assert_eq!(*fake.asked.lock().unwrap(), ["put rule 4"]);
}

#[tokio::test]
async fn only_own_host_names_and_own_pages_pass() {
    let (router, fake) = open();
    let get = "GET /api/v1/pipelines";
    let post = "POST /api/v1/pipelines/orders/pause";
    for (line, headers, status) in [
        (get, &[("host", "127.0.0.1:8080")][..], 200),
        (get, &[("host", "[::1]:8080")], 200),
        (get, &[("host", "LOCALHOST")], 200),
        (get, &[("host", "evil.example:8080")], 421),
        ("GET /healthz", &[("host", "evil.example")], 421),
        (post, &[("host", "127.0.0.1.evil.example")], 421),
        (post, &[("origin", "http://localhost:8080")], 200),
        (post, &[("origin", "http://evil.example")], 403),
        (post, &[("origin", "http://localhost:9999")], 403),
        (post, &[("origin", "null")], 403),
        (post, &[("sec-fetch-site", "same-origin")], 200),
        (post, &[("sec-fetch-site", "cross-site")], 403),
        (post, &[("sec-fetch-site", "same-site")], 403),
        (get, &[("sec-fetch-site", "cross-site")], 200),
    ] {
        let (found, body) = ask(&router, line, headers, Body::empty()).await;
        assert_eq!(found, status, "{line} {headers:?}: {body}");
    }
    assert_eq!(fake.asked.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn tokens_are_asked_for() {
    let (router, _) = over(Fake { down: true, ..Fake::default() }, &["another-token-00", TOKEN]);
    let bearer = format!("Bearer {TOKEN}");
    let longer = format!("Bearer {TOKEN}0");
    for (line, header, status) in [
        ("GET /api/v1/pipelines", None, 401),
        ("GET /metrics", None, 401),
        ("GET /nope", None, 401),
        ("GET /healthz", None, 200),
        ("GET /readyz", None, 503),
        ("GET /api/v1/pipelines", Some("Bearer wrong"), 401),
        ("GET /api/v1/pipelines", Some(longer.as_str()), 401),
        ("GET /api/v1/pipelines", Some(TOKEN), 401),
        ("GET /api/v1/pipelines", Some(bearer.as_str()), 200),
        ("GET /metrics", Some("bearer another-token-00"), 200),
    ] {
        let headers: Vec<_> = header.into_iter().map(|value| ("authorization", value)).collect();
        let (found, body) = ask(&router, line, &headers, Body::empty()).await;
        assert_eq!(found, status, "{line} {header:?}: {body}");
    }
}

#[tokio::test]
async fn readiness_gives_reasons_to_those_who_may_know() {
    let (router, _) = over(Fake { down: true, ..Fake::default() }, &[TOKEN]);
    let bearer = format!("Bearer {TOKEN}");
    let known = ask(&router, "GET /readyz", &[("authorization", &bearer)], Body::empty()).await;
    assert_eq!(known.0, StatusCode::SERVICE_UNAVAILABLE);
    assert!(known.1.contains("the broker is away"), "{}", known.1);
    let stranger = ask(&router, "GET /readyz", &[], Body::empty()).await;
    assert_eq!(stranger, (503, r#"{"ready":false}"#.to_owned()));
}

#[tokio::test]
async fn the_document_lists_exactly_the_routes() {
    let (router, _) = open();
    let document = serde_json::to_value(wasmgate_admin::document()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 10, "{:?}", paths.keys());
    for (path, methods) in paths {
        let uri = path.replace("{pipeline}", "orders").replace("{module}", "unwrap");
        let uri = uri.replace("{action}", "pause");
        for (method, operation) in methods.as_object().unwrap() {
            let line = format!("{} {uri}", method.to_uppercase());
            let (status, body) = ask(&router, &line, &[], Body::empty()).await;
            assert!(!matches!(status, 404 | 405), "{line}: {body}");
            assert!(operation["responses"].is_object(), "{line}");
            assert!(operation["summary"].is_string(), "{line} has no summary");
        }
    }
}
