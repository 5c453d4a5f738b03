//! What wit-bindgen makes of the contract in `wit/`: one module per world. The type interfaces of
//! the second world are those of the first, so that a `Kind` is one type everywhere.
//! Authors see these types through [`crate::contract`] and [`mod@crate::policy`].
#![allow(missing_docs, reason = "generated from the contract, which is documented")]

/// What the worlds share.
pub use transform::wasmgate::transform as shared;

/// World `transform`.
pub mod transform {
    wit_bindgen::generate!({
        path: "../wit",
        world: "transform",
        pub_export_macro: true,
        export_macro_name: "export_stage",
        default_bindings_module: "wasmgate_sdk::bindings::transform",
        additional_derives: [PartialEq],
    });
}

/// World `dead-letter-policy`.
pub mod policy {
    wit_bindgen::generate!({
        path: "../wit",
        world: "dead-letter-policy",
        pub_export_macro: true,
        export_macro_name: "export_policy",
        default_bindings_module: "wasmgate_sdk::bindings::policy",
        additional_derives: [PartialEq],
        with: {
            "wasmgate:transform/types@0.1.0": crate::bindings::shared::types,
            "wasmgate:transform/log@0.1.0": crate::bindings::shared::log,
            "wasmgate:transform/metrics@0.1.0": crate::bindings::shared::metrics,
            "wasmgate:transform/clock@0.1.0": crate::bindings::shared::clock,
        },
    });
}
