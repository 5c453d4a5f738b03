//! Derives and attributes of the wasmgate SDK.
