//! `wasmgate module …`: what rule authors use.

pub(crate) mod bench;
pub(crate) mod file;
pub(crate) mod new;
mod sdk;
pub(crate) mod test;
