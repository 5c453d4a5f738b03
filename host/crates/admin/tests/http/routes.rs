//! Every route, and what errors look like.

use axum::body::Body;
use axum::http::StatusCode;
use serde_json::Value;
use wasmgate_admin::Role;

use crate::fake::{Fake, TOKEN, limits, open, place};

#[tokio::test]
async fn every_route_answers() {
    let place = open();
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
        ("DELETE /api/v1/modules/unwrap?force=false", 204, ""),
        ("DELETE /api/v1/modules/unwrap?force", 200, r#""paused":["orders"]"#),
        ("POST /api/v1/modules/unwrap/rollback", 200, r#""sha256":"ab""#),
        (
            "POST /api/v1/modules/unwrap/rollback?sha256=abababababababababababababababababababababababababababababababab",
            200,
            r#""sha256":"ab""#,
        ),
        ("POST /api/v1/modules/reload", 200, r#""accepted":["unwrap"]"#),
        // A module may have the name of a route.
        ("DELETE /api/v1/modules/reload?force", 200, r#""name":"reload""#),
        ("POST /api/v1/modules/reload/rollback", 200, r#""sha256":"ab""#),
    ] {
        let (found, body) = place.ask(line, &[], Body::empty()).await;
        assert_eq!(found, status, "{line}: {body}");
        assert!(body.contains(part), "{line}: {body}");
    }
    let asked = place.asked().join(", ");
    let want = "Pause orders, Resume orders, Restart orders, delete unwrap, delete unwrap, \
                delete unwrap by force, rollback unwrap, rollback unwrap by digest, reload, \
                delete reload by force, rollback reload";
    assert_eq!(asked, want);
}

#[tokio::test]
async fn errors_have_one_shape() {
    let place = open();
    for (line, status, code) in [
        ("GET /api/v1/pipelines/nope", 404, "pipeline-unknown"),
        ("POST /api/v1/pipelines/nope/pause", 404, "pipeline-unknown"),
        ("POST /api/v1/pipelines/orders/explode", 404, "action-unknown"),
        ("GET /api/v1/modules/nope", 404, "module-unknown"),
        ("GET /api/v1/modules/reload", 404, "module-unknown"),
        ("PUT /api/v1/modules/reload?dryrun=true", 400, "query-refused"),
        ("GET /api/v1/dead-letters", 404, "route-unknown"),
        ("GET /nope", 404, "route-unknown"),
        ("POST /api/v1/pipelines", 405, "method-refused"),
        ("OPTIONS /api/v1/modules", 405, "method-refused"),
        ("GET /api/v1/modules/%ff", 400, "path-refused"),
        ("PUT /api/v1/modules/no.pe", 400, "name-refused"),
        ("PUT /api/v1/modules/rule?dryrun=true", 400, "query-refused"),
        ("PUT /api/v1/modules/rule?dry_run=perhaps", 400, "query-refused"),
        ("POST /api/v1/modules/rule/rollback?sha256=ab", 400, "query-refused"),
        ("DELETE /api/v1/modules/rule?forced", 400, "query-refused"),
        ("PUT /api/v1/modules/empty", 422, "module-refused"),
    ] {
        let (found, body) = place.ask(line, &[], Body::empty()).await;
        let json: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((found, json["code"].as_str()), (status, Some(code)), "{line}: {body}");
        assert_eq!(json["error_code"], status, "{line}");
        assert!(json["message"].is_string() && json["details"].is_array(), "{body}");
    }
}

#[tokio::test]
async fn readiness_gives_reasons_to_those_who_may_know() {
    let place = place(Fake { down: true, ..Fake::default() }, &[(TOKEN, Role::Viewer)], limits());
    let bearer = format!("Bearer {TOKEN}");
    let known = place.ask("GET /readyz", &[("authorization", &bearer)], Body::empty()).await;
    assert_eq!(known.0, StatusCode::SERVICE_UNAVAILABLE);
    assert!(known.1.contains("the broker is away"), "{}", known.1);
    let stranger = place.ask("GET /readyz", &[], Body::empty()).await;
    assert_eq!(stranger, (503, r#"{"ready":false}"#.to_owned()));
}

#[tokio::test]
async fn a_refused_method_names_those_that_are_not() {
    let place = open();
    for (line, allowed) in [
        ("POST /api/v1/pipelines", "GET"),
        ("PATCH /api/v1/modules/rule", "PUT"),
        ("GET /api/v1/modules/rule/rollback", "POST"),
    ] {
        let (status, headers, _) = place.exchange(line, &[], Body::empty()).await;
        assert_eq!(status, 405, "{line}");
        assert!(headers["allow"].to_str().unwrap().contains(allowed), "{line}: {headers:?}");
    }
}

#[tokio::test]
async fn signals_are_read_strictly_and_handed_on() {
    let place = open();
    let json = [("content-type", "application/json; charset=utf-8")];
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let log = r#"{"type":"log","data":{"message":"hi"}}"#;
    let long = format!(r#"{{"type":"log","id":"{}"}}"#, "x".repeat(65));
    let line = "POST /api/v1/pipelines/orders/signals";
    let nope = "POST /api/v1/pipelines/nope/signals";
    for (line, headers, body, status, part) in [
        (line, &json[..], log, 202, r#"{"id":"made-up"}"#),
        (line, &json, r#"{"id":"s1","type":"stop-snapshot"}"#, 202, r#"{"id":"s1"}"#),
        (nope, &json, log, 404, "pipeline-unknown"),
        (line, &json, "", 400, "body-refused"),
        (line, &json, "[]", 400, "body-refused"),
        (line, &json, r#"{"id":"s1"}"#, 400, "missing field `type`"),
        (line, &json, r#"{"type":""}"#, 400, "`type` is empty"),
        (line, &json, r#"{"type":"log","data":"text"}"#, 400, "body-refused"),
        (line, &json, r#"{"type":"log","daat":{}}"#, 400, "unknown field `daat`"),
        (line, &json, &long, 400, "1 to 64 characters"),
        (line, &json, r#"{"type":"log","id":"a\u0000"}"#, 400, "none of them zero"),
        (line, &form, log, 415, "content-type-refused"),
        (line, &[], log, 415, "content-type-refused"),
    ] {
        let (found, answer) = place.ask(line, headers, Body::from(body.to_owned())).await;
        assert_eq!(found, status, "{line} {body}: {answer}");
        assert!(answer.contains(part), "{line} {body}: {answer}");
    }
    let want = r#"signal orders log {"message":"hi"}, signal orders stop-snapshot {}"#;
    assert_eq!(place.asked().join(", "), want);
}
