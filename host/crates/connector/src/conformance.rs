//! What every source, sink, store and dead-letter place has to show, whatever it is made of.
//!
//! Each kit is one function that a connector's own test calls with the real thing and a closure
//! that looks at the other end. A kit panics with what was done, what was expected and what was
//! found, so that the message alone is enough to go and look.
//!
//! | kit | shows |
//! |---|---|
//! | [`store`] | what was saved is there, whole and alone, also after opening again |
//! | [`sink`] | order, subsets, tombstones, null keys, refusals, opening again |
//! | [`source`] | no gap, ascending positions, resuming anywhere, the plan, what is settled |
//! | [`dead_letters`] | the original record and its cause, once per letter |

mod dead_letters;
mod sink;
mod source;
mod store;

#[cfg(test)]
mod tests;

pub use dead_letters::{ReadLetter, dead_letters};
pub use sink::{Record, SinkKit, sink};
pub use source::{SourceKit, source};
pub use store::store;

use std::future::Future;
use std::time::Duration;

/// How long anything may take that has to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Awaits something that has to happen.
async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: nothing happened within {PATIENCE:?}"),
    }
}
