//! What the host lends to a module. In a native test the same calls reach the collectors of
//! [`crate::testkit`].

#[cfg(target_arch = "wasm32")]
use crate::bindings::transform::wasmgate::transform as imports;
#[cfg(not(target_arch = "wasm32"))]
use crate::testkit::host as imports;

/// Messages into the gateway's log, under the module's name.
/// Do not log contents of records.
pub mod log {
    pub use crate::bindings::transform::wasmgate::transform::log::Level;
    pub use crate::{__debug as debug, __error as error, __info as info, __warn as warn};

    /// Writes one message; the macros `log::info!` and so on format it.
    pub fn write(level: Level, message: &str) {
        super::imports::log::write(level, message);
    }
}

/// Metrics of this module. Call once per batch, not per record.
pub mod metrics {
    /// Adds to a counter.
    pub fn add(counter: &str, by: u64) {
        super::imports::metrics::add(counter, by);
    }

    /// Sets a gauge.
    pub fn set(gauge: &str, to: f64) {
        super::imports::metrics::set(gauge, to);
    }

    /// Adds samples to a histogram.
    pub fn observe(histogram: &str, samples: &[f64]) {
        super::imports::metrics::observe(histogram, samples);
    }
}

/// Time as the host sees it: fixed for one call, and given back the same in a replay.
pub mod clock {
    /// Microseconds since 1970-01-01 UTC.
    #[must_use]
    pub fn now_us() -> i64 {
        super::imports::clock::now_us()
    }
}

/// Keyed state of this stage, checkpointed with its input. Always batched. Stages only, not
/// policies.
pub mod state {
    /// One value per key.
    #[must_use]
    pub fn get(keys: &[String]) -> Vec<Option<Vec<u8>>> {
        super::imports::state::get(keys)
    }

    /// Stores values, for `ttl_ms` milliseconds if given.
    pub fn put(entries: &[(String, Vec<u8>)], ttl_ms: Option<u64>) {
        super::imports::state::put(entries, ttl_ms);
    }

    /// Forgets keys.
    pub fn remove(keys: &[String]) {
        super::imports::state::remove(keys);
    }

    /// Adds deltas and returns the new values: counters and velocity checks in one call.
    #[must_use]
    pub fn add(keys: &[String], deltas: &[i64], ttl_ms: Option<u64>) -> Vec<i64> {
        super::imports::state::add(keys, deltas, ttl_ms)
    }
}

/// Reference tables that the host keeps current. Stages only, not policies.
pub mod lookup {
    use crate::contract::{Column, Read, TextForm};

    /// One column per field, one value per key; a missing key gives null in each.
    ///
    /// # Errors
    /// The table or a field does not exist.
    pub fn get(table: &str, keys: &[String], fields: &[Read]) -> Result<Vec<Column>, String> {
        super::imports::lookup::get(table, keys, fields, TextForm::Block)
    }
}

#[doc(hidden)]
#[macro_export]
macro_rules! __debug {
    ($($message:tt)*) => {
        $crate::log::write($crate::log::Level::Debug, &::std::format!($($message)*))
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __info {
    ($($message:tt)*) => {
        $crate::log::write($crate::log::Level::Info, &::std::format!($($message)*))
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __warn {
    ($($message:tt)*) => {
        $crate::log::write($crate::log::Level::Warn, &::std::format!($($message)*))
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __error {
    ($($message:tt)*) => {
        $crate::log::write($crate::log::Level::Error, &::std::format!($($message)*))
    };
}
