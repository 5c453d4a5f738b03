//! What every request passes before any route. Kept out are: a web page that reaches the loopback
//! listener through DNS rebinding (`Host`), one that posts across sites (`Origin`,
//! `Sec-Fetch-Site`), clients without a token or with one of too low a role, and bodies that
//! announce too much. Times are bounded here, and every request to change something is logged.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::access::{Access, Standing};
use crate::answer::ApiError;
use crate::role::Role;

/// Probes may look at these without a token.
const OPEN: [&str; 2] = ["/healthz", "/readyz"];
/// Where components are put.
const MODULES: &str = "/api/v1/modules/";

/// Largest body of every request but a module's upload.
pub(crate) const BODY_BYTES_MAX: u64 = 1 << 20;
/// Bound on a whole request. Receiving a component has bounds of its own; with the wait before it
/// and compiling after it an upload may take longer.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(60);
const UPLOAD_TIME_MAX: Duration = Duration::from_secs(210);
/// Characters of a request's target in the audit log.
const TARGET_SHOWN: usize = 200;

/// What the guard goes by.
#[derive(Clone)]
pub(crate) struct Rules {
    pub(crate) access: Access,
    /// Largest component.
    pub(crate) upload_max: u64,
}

/// Whether a browser sent this from a page of another site.
fn cross_site(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|h| h.to_str().ok());
    if let Some(site) = headers.get("sec-fetch-site") {
        return !matches!(site.to_str(), Ok("same-origin" | "none"));
    }
    let Some(origin) = headers.get(header::ORIGIN) else {
        return false;
    };
    let authority = origin.to_str().ok().and_then(|o| o.split_once("://")).map(|(_, a)| a);
    authority.is_none() || authority != text(header::HOST)
}

fn uploads(request: &Request) -> bool {
    *request.method() == Method::PUT && request.uri().path().starts_with(MODULES)
}

/// Bytes that the body is announced with.
fn announced(request: &Request) -> u64 {
    let length = request.headers().get(header::CONTENT_LENGTH);
    length.and_then(|h| h.to_str().ok()?.parse().ok()).unwrap_or(0)
}

fn reads(request: &Request) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
}

/// Who asks; behind a reverse proxy that is the proxy.
pub(crate) fn peer(request: &axum::http::Extensions) -> IpAddr {
    let address = request.get::<ConnectInfo<SocketAddr>>();
    address.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.0.ip())
}

/// The role of a request's token.
///
/// # Errors
/// It has none, a wrong one, or came too often with a wrong one.
fn known(rules: &Rules, request: &Request) -> Result<Role, ApiError> {
    match rules.access.standing(request.headers(), peer(request.extensions())) {
        Standing::Known(role) => Ok(role),
        Standing::Unknown => {
            let message = "send `Authorization: Bearer TOKEN` with one of `http.tokens`";
            Err(ApiError::new(401, "token-refused", message))
        }
        Standing::Guessing => {
            let message = "this address sent too many wrong tokens; try again in a second";
            Err(ApiError::new(429, "too-many-guesses", message))
        }
    }
}

/// Whether a request may pass. `role` becomes the one that it comes with, also where that is too
/// low; none where nobody is asked for a token.
///
/// # Errors
/// Why it may not pass.
fn admit(rules: &Rules, request: &Request, role: &mut Option<Role>) -> Result<(), ApiError> {
    let headers = request.headers();
    if !rules.access.takes_host(headers) {
        let message = "the Host header names another host; add it to `http.hosts` if it is right";
        return Err(ApiError::new(421, "host-refused", message));
    }
    if !reads(request) && cross_site(headers) {
        let message = "the request comes from a page of another site";
        return Err(ApiError::new(403, "origin-refused", message));
    }
    let path = request.uri().path();
    *role = if OPEN.contains(&path) { None } else { Some(known(rules, request)?) };
    let needed = Role::needed(request.method(), path);
    if let Some(role) = role.filter(|role| *role < needed) {
        let (needed, role) = (needed.name(), role.name());
        let message = format!("the token has the role `{role}`, this takes `{needed}`");
        return Err(ApiError::new(403, "role-refused", message));
    }
    let most = if uploads(request) { rules.upload_max } else { BODY_BYTES_MAX };
    if announced(request) > most {
        return Err(ApiError::body_too_large(most));
    }
    Ok(())
}

/// Refuses what may not pass; tells the audit log what changes something.
pub(crate) async fn guard(State(rules): State<Rules>, request: Request, next: Next) -> Response {
    let audited = !reads(&request);
    let method = request.method().clone();
    let target = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
    let peer = peer(request.extensions());
    let most = if uploads(&request) { UPLOAD_TIME_MAX } else { REQUEST_TIME_MAX };
    let mut role = None;
    let response = match admit(&rules, &request, &mut role) {
        Err(refusal) => refusal.into_response(),
        Ok(()) => match tokio::time::timeout(most, next.run(request)).await {
            Ok(response) => response,
            Err(_) => {
                let message = format!("no answer within {} s", most.as_secs());
                ApiError::new(504, "too-slow", message).into_response()
            }
        },
    };
    if audited {
        let target: String = target.chars().take(TARGET_SHOWN).collect();
        let (status, role) = (response.status().as_u16(), role.map_or("none", Role::name));
        tracing::info!(%method, target, status, %peer, role, "request to change something");
    }
    response
}
