//! The whole path on fakes: no database, no broker, no WASM.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod engine {
    pub(crate) mod faults;
    pub(crate) mod guard;
    pub(crate) mod hostile;
    pub(crate) mod misfit;
    pub(crate) mod rig;
    pub(crate) mod stages;
    pub(crate) mod swap;
}
