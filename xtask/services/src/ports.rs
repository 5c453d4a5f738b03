//! Ports for servers: below those that the system hands out by itself. While a server is down for
//! a moment no connection and no listener that asked for any port takes its place.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::net::TcpListener;
use std::ops::Range;

/// Systems hand out ports from 32768 (Linux) or 49152 on.
const PORTS: Range<u16> = 10_000..32_000;
const TRIES: usize = 1000;

/// The first of so many free ports in a row, on the loopback interface.
///
/// # Errors
/// There are none.
pub(crate) fn free(count: u16) -> Result<u16, String> {
    let places = u64::from(PORTS.end - PORTS.start - count);
    for _ in 0..TRIES {
        let random = RandomState::new().build_hasher().finish();
        let first = PORTS.start + (random % places) as u16;
        let all = (first..first + count).map(|port| TcpListener::bind(("127.0.0.1", port)).ok());
        if all.collect::<Option<Vec<_>>>().is_some() {
            return Ok(first);
        }
    }
    let (from, to) = (PORTS.start, PORTS.end);
    Err(format!("no {count} free ports in a row between {from} and {to}"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn free_ports_are_none_that_the_system_hands_out() {
        for count in [1, 6] {
            let first = free(count).unwrap();
            assert!(PORTS.contains(&first) && PORTS.contains(&(first + count - 1)), "{first}");
            let all: Vec<_> =
                (first..first + count).map(|p| TcpListener::bind(("127.0.0.1", p))).collect();
            assert!(all.iter().all(Result::is_ok), "{all:?}");
        }
    }
}
