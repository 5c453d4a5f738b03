//! The one engine: which WebAssembly is understood, and the clock that ends endless calls.

use std::hash::{Hash, Hasher};
use std::num::NonZeroUsize;
use std::thread;

use sha2::{Digest, Sha256};
use wasmgate_model::{Fault, FaultKind};
use wasmtime::{Config, Engine};

use crate::limits::TICK;
use crate::structure;

/// Frames of a trap's backtrace that are kept.
const FRAMES_MAX: usize = 16;

/// An engine. Proposals that modules do not need stay off: most advisories sit there. Epochs and
/// not fuel, because they cost half; concurrency off, because calls get 2.5 times cheaper.
pub(crate) fn new() -> Result<Engine, Fault> {
    with_epochs(true)
}

/// As [`new`]; without epochs only to measure what they cost.
pub(crate) fn with_epochs(epochs: bool) -> Result<Engine, Fault> {
    let mut config = Config::new();
    config
        .epoch_interruption(epochs)
        .concurrency_support(false)
        .wasm_backtrace_max_frames(NonZeroUsize::new(FRAMES_MAX))
        .wasm_gc(false)
        .wasm_function_references(false)
        .wasm_exceptions(false)
        .wasm_threads(false)
        .wasm_memory64(false)
        .wasm_stack_switching(false);
    Engine::new(&config)
        .map_err(|e| Fault::new(FaultKind::Internal, "cannot set up the engine").because(e))
}

/// Starts the clock of an engine: one thread that ends with it.
pub(crate) fn start_ticker(engine: &Engine) -> Result<(), Fault> {
    let weak = engine.weak();
    let tick = move || {
        while let Some(engine) = weak.upgrade() {
            engine.increment_epoch();
            drop(engine);
            thread::sleep(TICK);
        }
    };
    thread::Builder::new().name("module-clock".into()).spawn(tick).map(drop).map_err(|e| {
        Fault::new(FaultKind::Internal, "cannot start the clock of modules").because(e)
    })
}

/// Names what compiled code depends on (wasmtime's version, processor, settings, and the rules it
/// was admitted under): code compiled under another name must not be loaded.
pub(crate) fn fingerprint(engine: &Engine) -> String {
    fingerprint_under(engine, structure::RULES)
}

fn fingerprint_under(engine: &Engine, rules: u32) -> String {
    struct Hash256(Sha256);
    impl Hasher for Hash256 {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut hasher = Hash256(Sha256::new());
    rules.hash(&mut hasher);
    engine.precompile_compatibility_hash().hash(&mut hasher);
    let mut name = hex::encode(hasher.0.finalize());
    name.truncate(16);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stricter_rules_make_older_code_unknown() {
        let engine = new().expect("an engine");
        let now = fingerprint(&engine);
        assert_eq!(now, fingerprint_under(&engine, structure::RULES));
        assert_ne!(now, fingerprint_under(&engine, structure::RULES - 1));
    }
}
