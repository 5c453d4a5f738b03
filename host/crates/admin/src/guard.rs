//! Who may ask. Three attacks are kept out before any route: a web page that reaches the loopback
//! listener through DNS rebinding (`Host`), one that posts across sites (`Origin`,
//! `Sec-Fetch-Site`), and clients without a token, where tokens are configured. Bodies and times
//! are bounded here too.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::answer::ApiError;
use crate::server::MODULE_BYTES_MAX;

/// Probes may look at these without a token.
const OPEN: [&str; 2] = ["/healthz", "/readyz"];

/// Largest body of every request but a module's upload.
const BODY_BYTES_MAX: usize = 1 << 20;
/// Bound on a whole request; compiling a large module takes the longest.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(60);

/// Names of this machine to itself.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Who may use the interface.
#[derive(Clone)]
pub struct Access {
    /// Host names taken; `None`: all.
    hosts: Option<Arc<[String]>>,
    /// sha256 of each token, so that a comparison takes the same time whatever its length.
    tokens: Arc<[[u8; 32]]>,
}

impl Access {
    /// Access for a listener at `listen`, for clients that know one of `tokens` (none: all
    /// clients) and reach it as one of `hosts` or under a loopback name. Without `hosts` but with
    /// tokens every name is taken: a page that rebinds a name does not know the token.
    #[must_use]
    pub fn new(listen: SocketAddr, tokens: &[&str], hosts: &[String]) -> Self {
        let any_host = hosts.is_empty() && !tokens.is_empty();
        let own = (!listen.ip().is_unspecified()).then(|| listen.ip().to_string());
        let names = LOOPBACK.iter().map(|n| (*n).to_owned());
        let names = names.chain(own).chain(hosts.iter().map(|h| h.to_ascii_lowercase()));
        Self {
            hosts: (!any_host).then(|| names.collect()),
            tokens: tokens.iter().map(|t| Sha256::digest(t).into()).collect(),
        }
    }

    fn takes_host(&self, headers: &HeaderMap) -> bool {
        let Some(names) = &self.hosts else {
            return true;
        };
        let host = headers.get(header::HOST).and_then(|h| h.to_str().ok());
        let host = host.map(|h| host_name(h).to_ascii_lowercase());
        host.is_some_and(|host| names.contains(&host))
    }

    pub(crate) fn takes_token(&self, headers: &HeaderMap) -> bool {
        if self.tokens.is_empty() {
            return true;
        }
        let given = headers.get(header::AUTHORIZATION).and_then(|h| h.to_str().ok());
        let token = given.and_then(|h| {
            let (scheme, token) = h.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
        });
        let Some(token) = token else { return false };
        let digest: [u8; 32] = Sha256::digest(token).into();
        // Every token is compared: the time does not tell which one came near.
        let known = |found: subtle::Choice, known: &[u8; 32]| found | known.ct_eq(&digest);
        self.tokens.iter().fold(subtle::Choice::from(0), known).into()
    }
}

/// A `Host` without its port: `[::1]:8080` is `::1`.
fn host_name(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split_once(']').map_or(rest, |(name, _)| name);
    }
    match host.rsplit_once(':') {
        Some((name, _)) if host.parse::<IpAddr>().is_err() => name,
        _ => host,
    }
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

/// Whether the announced body is larger than its route takes.
fn too_large(request: &Request) -> bool {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|h| h.to_str().ok()?.parse::<usize>().ok()).unwrap_or(0);
    let upload = *request.method() == Method::PUT;
    length > if upload { MODULE_BYTES_MAX } else { BODY_BYTES_MAX }
}

/// Why a request may not pass.
fn refusal(access: &Access, request: &Request) -> Option<ApiError> {
    let headers = request.headers();
    if !access.takes_host(headers) {
        let message = "the Host header names another host; add it to `http.hosts` if it is right";
        return Some(ApiError::new(421, "host-refused", message));
    }
    if !reads(request) && cross_site(headers) {
        let message = "the request comes from a page of another site";
        return Some(ApiError::new(403, "origin-refused", message));
    }
    if !OPEN.contains(&request.uri().path()) && !access.takes_token(headers) {
        let message = "send `Authorization: Bearer TOKEN` with one of `http.tokens`";
        return Some(ApiError::new(401, "token-refused", message));
    }
    if too_large(request) {
        let message = "the body is larger than 1 MiB (a component: 32 MiB)";
        return Some(ApiError::new(413, "body-too-large", message));
    }
    None
}

fn reads(request: &Request) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
}

/// Refuses what may not pass; tells the audit log what changes something.
pub(crate) async fn guard(State(access): State<Access>, request: Request, next: Next) -> Response {
    let audited = !reads(&request);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = match refusal(&access, &request) {
        Some(refusal) => refusal.into_response(),
        None => match tokio::time::timeout(REQUEST_TIME_MAX, next.run(request)).await {
            Ok(response) => response,
            Err(_) => {
                let message = format!("no answer within {} s", REQUEST_TIME_MAX.as_secs());
                ApiError::new(504, "too-slow", message).into_response()
            }
        },
    };
    if audited {
        let status = response.status().as_u16();
        tracing::info!(%method, path, status, "request to change something");
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_not_part_of_the_name() {
        for (host, want) in [
            ("localhost:8080", "localhost"),
            ("localhost", "localhost"),
            ("127.0.0.1:1", "127.0.0.1"),
            ("[::1]:8080", "::1"),
            ("[::1]", "::1"),
            ("::1", "::1"),
            ("evil.example:8080", "evil.example"),
        ] {
            assert_eq!(host_name(host), want);
        }
    }
}
