//! Write a wasmgate rule: a struct whose fields are the contract, and a function.
