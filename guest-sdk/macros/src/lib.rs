//! Derives and attributes of the wasmgate SDK. Use them through `wasmgate_sdk`.
//!
//! They generate calls to traits of the SDK and put the author's spans on the types, so that an
//! unsupported type is an error at the author's field.

mod attributes;
mod config;
mod row;
mod rule;
#[cfg(test)]
mod tests;

use proc_macro::TokenStream;
use syn::{DeriveInput, ItemFn, parse_macro_input};

/// Makes a struct with named fields, or an enum of unit variants, a configuration.
///
/// Doc comments become descriptions in the JSON Schema. A field may be bool, i64, u32, u64, usize,
/// f64, String, `Option<T>`, `Vec<T>`, `BTreeMap<String, T>` or another such type, with
/// - `#[config(default = EXPR)]` or `#[config(default)]`: it may be left out;
/// - `#[config(name = "delete.tombstone.handling.mode")]`: its name in the configuration.
#[proc_macro_derive(Config, attributes(config))]
pub fn derive_config(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    config::derive(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes a struct the view of one record: its fields are what the rule reads and writes.
///
/// - plain: read, `bool`, `i64`, `f64`, `&'a str`, or an `Option` of these where it may be null or
///   missing. Null in a field that is no `Option` dead-letters the record (`null-field`);
/// - `#[write]`: written, also `String`; starts as its default;
/// - `#[read_write]`: both;
/// - `#[row(name = "before.amount")]`: its name in the record, reserved names included;
/// - `#[row(kind = "timestamp-us")]`: another kind with the same representation (`i64`:
///   timestamp-us, date-days, time-us; texts: json, decimal, uuid).
#[proc_macro_derive(Row, attributes(row, write, read_write))]
pub fn derive_row(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    row::derive(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes `fn rule(row: &mut R, config: &C) -> Verdict` (the second parameter may be left out) the
/// stage that this component exports.
///
/// The module is called like the function (`fraud_rule` is `fraud-rule`), its summary is the doc
/// comment, its version the package's. A type named like the function stands for the rule in
/// tests: `Harness::<fraud_rule>::new(..)`.
#[proc_macro_attribute]
pub fn transform(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let function = parse_macro_input!(item as ItemFn);
    rule::transform(&arguments.into(), &function)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Makes `fn decide(failure: &Failure, config: &C) -> Decision` (the second parameter may be left
/// out) the dead-letter policy that this component exports. Names as for `#[transform]`.
#[proc_macro_attribute]
pub fn policy(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let function = parse_macro_input!(item as ItemFn);
    rule::policy(&arguments.into(), &function).unwrap_or_else(syn::Error::into_compile_error).into()
}
