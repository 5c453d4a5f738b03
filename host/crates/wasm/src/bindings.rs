//! The Rust side of the contract's `wit/` and of this crate's own: generated, and nothing else.
//! Parameters of exports are borrowed, so that columns are lowered by reference; results are owned.

pub(crate) mod transform {
    wasmtime::component::bindgen!({
        path: "../../../wit",
        world: "transform",
        imports: { default: trappable },
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

pub(crate) mod policy {
    wasmtime::component::bindgen!({
        path: "../../../wit",
        world: "dead-letter-policy",
        imports: { default: trappable },
        ownership: Borrowing { duplicate_if_necessary: true },
        with: { "wasmgate:transform": crate::bindings::transform::wasmgate::transform },
    });
}

/// What is answered without being lent (`host/stand_ins.rs`).
pub(crate) mod stand_ins {
    wasmtime::component::bindgen!({
        path: "wit/stand-ins.wit",
        world: "wasmgate:stand-ins/stand-ins",
        imports: { default: trappable },
    });
}

pub(crate) use transform::wasmgate::transform::{clock, log, lookup, metrics, state, types};
