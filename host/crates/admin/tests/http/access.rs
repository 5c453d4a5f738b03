//! Who may ask: host names, pages, tokens, roles, guesses.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use serde_json::Value;
use tower::ServiceExt as _;
use wasmgate_admin::Role;

use crate::fake::{Fake, TOKEN, limits, open, place};

#[tokio::test]
async fn only_own_host_names_and_own_pages_pass() {
    let place = open();
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
        (post, &[("sec-fetch-site", "cross-site"), ("origin", "http://localhost:8080")], 403),
        (get, &[("sec-fetch-site", "cross-site")], 200),
    ] {
        let (found, body) = place.ask(line, headers, Body::empty()).await;
        assert_eq!(found, status, "{line} {headers:?}: {body}");
    }
    assert_eq!(place.asked().len(), 2);
}

#[tokio::test]
async fn tokens_are_asked_for() {
    let tokens = [("another-token-00", Role::Viewer), (TOKEN, Role::Deployer)];
    let place = place(Fake { down: true, ..Fake::default() }, &tokens, limits());
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
        let (found, body) = place.ask(line, &headers, Body::empty()).await;
        assert_eq!(found, status, "{line} {header:?}: {body}");
    }
}

/// What changes something cannot come from another site or under another name, whatever it is.
#[tokio::test]
async fn every_change_is_guarded() {
    let place = open();
    let document = serde_json::to_value(wasmgate_admin::document()).unwrap();
    let mut changes = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let path = path.replace("{action}", "pause").replace("{pipeline}", "orders");
        let path = path.replace("{module}", "rule");
        for method in methods.as_object().unwrap().keys().filter(|method| *method != "get") {
            changes += 1;
            let line = format!("{} {path}", method.to_uppercase());
            for (header, status) in [
                (("host", "evil.example"), 421),
                (("sec-fetch-site", "cross-site"), 403),
                (("origin", "https://evil.example"), 403),
            ] {
                let (found, body) = place.ask(&line, &[header], Body::from("wasm")).await;
                assert_eq!(found, status, "{line} {header:?}: {body}");
            }
        }
    }
    assert!(changes >= 5, "{changes}");
    assert!(place.asked().is_empty(), "{:?}", place.asked());
}

#[tokio::test]
async fn a_role_does_what_it_may_and_no_more() {
    let tokens = [
        ("viewer-0123456789", Role::Viewer),
        ("operator-0123456789", Role::Operator),
        ("deployer-0123456789", Role::Deployer),
    ];
    let place = place(Fake::default(), &tokens, limits());
    for (line, allowed) in [
        ("GET /metrics", [200, 200, 200]),
        ("GET /api/v1/modules/unwrap", [200, 200, 200]),
        ("POST /api/v1/pipelines/orders/pause", [403, 200, 200]),
        ("POST /api/v1/pipelines/orders/restart", [403, 200, 200]),
        ("PUT /api/v1/modules/rule", [403, 403, 201]),
        ("PUT /api/v1/modules/rule?dry_run=true", [403, 403, 200]),
        ("DELETE /api/v1/modules/rule", [403, 403, 204]),
        ("POST /api/v1/modules/rule/rollback", [403, 403, 200]),
        ("POST /api/v1/modules/reload", [403, 403, 200]),
        ("POST /nope", [403, 403, 404]),
    ] {
        for ((token, role), want) in tokens.iter().zip(allowed) {
            let bearer = format!("Bearer {token}");
            let headers = [("authorization", bearer.as_str())];
            let (status, body) = place.ask(line, &headers, Body::from("wasm")).await;
            assert_eq!(status, want, "{line} as {role:?}: {body}");
            if want == 403 {
                let error: Value = serde_json::from_str(&body).unwrap();
                assert_eq!(error["code"], "role-refused");
                assert!(body.contains(role.name()), "{body}");
            }
        }
    }
}

#[tokio::test]
async fn who_guesses_is_not_listened_to() {
    let place = place(Fake::default(), &[(TOKEN, Role::Viewer)], limits());
    let ask = async |peer: &str, token: &str| {
        let peer: SocketAddr = peer.parse().unwrap();
        let request = Request::get("/metrics").header("host", "localhost");
        let request = request.header("authorization", format!("Bearer {token}"));
        let request = request.extension(ConnectInfo(peer)).body(Body::empty()).unwrap();
        let response = place.router.clone().oneshot(request).await.unwrap();
        let retry = response.headers().get("retry-after").cloned();
        (response.status().as_u16(), retry)
    };
    assert_eq!(ask("10.0.0.1:1", "wrong").await.0, 401);
    // A slow machine may need more than a second for ten of them.
    let mut refused = false;
    for _ in 0..100 {
        while ask("10.0.0.1:2", "wrong").await.0 != 429 {}
        let (status, retry) = ask("10.0.0.1:3", TOKEN).await;
        refused = status == 429 && retry.is_some();
        if refused {
            break;
        }
    }
    assert!(refused, "the right token was always looked at");
    assert_eq!(ask("10.0.0.2:1", TOKEN).await.0, 200, "others are not concerned");
}
