//! Policies: what becomes of a record that failed in a stage, a codec or a sink.

use crate::config::Config;

pub use crate::bindings::policy::exports::wasmgate::transform::policy::{Decision, Failure};

/// A policy. `#[policy]` implements it for a function; export others with
/// [`crate::export_policy!`].
pub trait Policy: Sized + 'static {
    /// Shape of the configuration.
    type Config: Config;

    /// Once per instance.
    ///
    /// # Errors
    /// The configuration cannot be used; the message says which field and why.
    fn open(config: Self::Config) -> Result<Self, String>;

    /// One decision per failure.
    fn decide(&mut self, failure: &Failure) -> Decision;
}

/// Try again after so many milliseconds.
#[must_use]
pub fn retry(after_ms: u32) -> Decision {
    Decision::Retry(after_ms)
}

/// Keep it in the default dead-letter place.
#[must_use]
pub fn to_dead_letters() -> Decision {
    Decision::DeadLetter(None)
}

/// Keep it in the named dead-letter topic.
#[must_use]
pub fn to_topic(topic: impl Into<String>) -> Decision {
    Decision::DeadLetter(Some(topic.into()))
}
