//! Who may use the interface: the host names it answers to, the tokens and their roles, and how
//! often a peer may guess.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, header};
use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable as _, ConstantTimeEq as _};

use crate::role::Role;

/// Names of this machine to itself.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Wrong tokens that a peer may send within [`WINDOW`]; after them none of its tokens is looked
/// at until the window is over.
const GUESSES_MAX: u32 = 10;
const WINDOW: Duration = Duration::from_secs(1);
/// Peers remembered at once: bounds the memory that a crowd of them can take.
const PEERS_MAX: usize = 4096;

/// Who may use the interface.
#[derive(Clone)]
pub struct Access {
    /// Host names taken; `None`: all.
    hosts: Option<Arc<[String]>>,
    tokens: Arc<[KnownToken]>,
    guesses: Arc<Guesses>,
}

/// A token as its sha256, so that a comparison takes the same time whatever its length.
struct KnownToken {
    digest: [u8; 32],
    role: Role,
}

/// What a request's token is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Known(Role),
    /// No token, or a wrong one.
    Unknown,
    /// The peer guessed too often to be listened to.
    Guessing,
}

impl Access {
    /// Access for a listener at `listen`, for clients that know one of `tokens` (none: all
    /// clients, as deployers) and reach it as one of `hosts` or under a loopback name. Without
    /// `hosts` but with tokens every name is taken: a page that rebinds a name does not know the
    /// token.
    #[must_use]
    pub fn new(listen: SocketAddr, tokens: &[(&str, Role)], hosts: &[String]) -> Self {
        let any_host = hosts.is_empty() && !tokens.is_empty();
        let own = (!listen.ip().is_unspecified()).then(|| listen.ip().to_string());
        let names = LOOPBACK.iter().map(|n| (*n).to_owned());
        let names = names.chain(own).chain(hosts.iter().map(|h| h.to_ascii_lowercase()));
        let known = |(token, role): &(&str, Role)| {
            let digest = Sha256::digest(token).into();
            KnownToken { digest, role: *role }
        };
        Self {
            hosts: (!any_host).then(|| names.collect()),
            tokens: tokens.iter().map(known).collect(),
            guesses: Arc::default(),
        }
    }

    pub(crate) fn takes_host(&self, headers: &HeaderMap) -> bool {
        let Some(names) = &self.hosts else {
            return true;
        };
        let host = headers.get(header::HOST).and_then(|h| h.to_str().ok());
        let host = host.map(|h| host_name(h).to_ascii_lowercase());
        host.is_some_and(|host| names.contains(&host))
    }

    /// What the token of a request from `peer` is worth.
    pub(crate) fn standing(&self, headers: &HeaderMap, peer: IpAddr) -> Standing {
        if self.tokens.is_empty() {
            return Standing::Known(Role::Deployer);
        }
        let given = headers.get(header::AUTHORIZATION).and_then(|h| h.to_str().ok());
        let token = given.and_then(|h| {
            let (scheme, token) = h.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
        });
        let Some(token) = token else { return Standing::Unknown };
        let now = Instant::now();
        if self.guesses.too_many(peer, now) {
            return Standing::Guessing;
        }
        match self.role(token) {
            Some(role) => Standing::Known(role),
            None => {
                self.guesses.count(peer, now);
                Standing::Unknown
            }
        }
    }

    /// The role of a token. Every known one is compared: the time tells neither which came near
    /// nor which it was.
    fn role(&self, token: &str) -> Option<Role> {
        let digest: [u8; 32] = Sha256::digest(token).into();
        let mut rank = 0_u8;
        for known in self.tokens.iter() {
            rank.conditional_assign(&(known.role as u8 + 1), known.digest.ct_eq(&digest));
        }
        [Role::Viewer, Role::Operator, Role::Deployer].into_iter().find(|r| *r as u8 + 1 == rank)
    }
}

/// Wrong tokens by peer.
#[derive(Default)]
struct Guesses {
    peers: Mutex<HashMap<IpAddr, (Instant, u32)>>,
}

impl Guesses {
    fn too_many(&self, peer: IpAddr, now: Instant) -> bool {
        let peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let found = peers.get(&network(peer));
        found.is_some_and(|(since, count)| {
            *count >= GUESSES_MAX && now.saturating_duration_since(*since) < WINDOW
        })
    }

    fn count(&self, peer: IpAddr, now: Instant) {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let over = |since: Instant| now.saturating_duration_since(since) >= WINDOW;
        if peers.len() >= PEERS_MAX {
            peers.retain(|_, (since, _)| !over(*since));
        }
        if peers.len() >= PEERS_MAX {
            peers.clear();
        }
        let entry = peers.entry(network(peer)).or_insert((now, 0));
        if over(entry.0) {
            *entry = (now, 0);
        }
        entry.1 += 1;
    }
}

/// Who counts as one peer: an IPv4 address, or the /64 that one IPv6 host usually has to itself.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 @ IpAddr::V4(_) => v4,
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

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

    #[test]
    fn a_token_has_the_role_it_was_given() {
        let tokens = [("a", Role::Viewer), ("bb", Role::Deployer), ("ccc", Role::Operator)];
        let access = Access::new("127.0.0.1:1".parse().unwrap(), &tokens, &[]);
        for (token, role) in tokens {
            assert_eq!(access.role(token), Some(role));
        }
        assert_eq!(access.role("b"), None);
    }

    #[test]
    fn guesses_are_counted_by_peer_and_forgotten_after_a_while() {
        let guesses = Guesses::default();
        let now = Instant::now();
        let [a, b] = ["10.0.0.1", "10.0.0.2"].map(|ip| ip.parse().unwrap());
        for _ in 0..GUESSES_MAX {
            assert!(!guesses.too_many(a, now));
            guesses.count(a, now);
        }
        assert!(guesses.too_many(a, now) && !guesses.too_many(b, now));
        let later = now + WINDOW;
        assert!(!guesses.too_many(a, later));
        guesses.count(a, later);
        assert!(!guesses.too_many(a, later), "a new window begins with one");
    }

    #[test]
    fn a_host_with_many_addresses_is_one_peer() {
        let [a, b, c] = ["2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1"]
            .map(|ip| network(ip.parse().unwrap()));
        assert!(a == b && a != c);
        assert_eq!(network("::ffff:10.0.0.1".parse().unwrap()).to_string(), "10.0.0.1");
    }

    #[test]
    fn a_crowd_of_peers_takes_bounded_memory() {
        let guesses = Guesses::default();
        let now = Instant::now();
        for n in 0..20_000_u32 {
            guesses.count(IpAddr::from(n.to_be_bytes()), now);
        }
        assert!(guesses.peers.lock().unwrap().len() <= PEERS_MAX);
    }
}
