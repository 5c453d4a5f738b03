//! What a module's bytes say about it before anything is compiled: its form, its imports and
//! exports, and bounds on what the compiler will be asked to do.

use std::borrow::Cow;
use std::panic::catch_unwind;

use wasmgate_connector::ModuleKind;
use wasmgate_model::{Fault, FaultKind};
use wasmparser::{BinaryReaderError, Parser, Payload, Validator, WasmFeatures};
use wit_component::ComponentEncoder;

use crate::inspect::Form;
use crate::limits::MODULE_BYTES_MAX;

/// Functions of a module, those of all its core modules together.
const FUNCTIONS_MAX: u64 = 50_000;
/// Bytes of one function's body; compile time grows faster than this.
const BODY_BYTES_MAX: u64 = 256 << 10;
/// Custom sections under which toolchains embed the contract in a core module.
const CONTRACT_SECTION: &str = "component-type";

const PACKAGE: &str = "wasmgate:transform/";
/// What the worlds lend (`wit/world.wit`).
const TRANSFORM_IMPORTS: [&str; 6] = ["types", "log", "metrics", "clock", "state", "lookup"];
const POLICY_IMPORTS: [&str; 4] = ["types", "log", "metrics", "clock"];

/// A module's outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Structure {
    pub(crate) form: Form,
    pub(crate) imports: Vec<String>,
    pub(crate) exports: Vec<String>,
}

impl Structure {
    /// Reads imports and exports of a component. Everything else is skipped, so this is cheap.
    pub(crate) fn read(component: &[u8], form: Form) -> Result<Self, Fault> {
        let mut structure = Self { form, imports: Vec::new(), exports: Vec::new() };
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(component) {
            match payload.map_err(invalid)? {
                Payload::Version { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(section) if depth == 1 => {
                    for import in section {
                        structure.imports.push(import.map_err(invalid)?.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(section) if depth == 1 => {
                    for export in section {
                        structure.exports.push(export.map_err(invalid)?.name.name.to_owned());
                    }
                }
                _ => {}
            }
        }
        Ok(structure)
    }

    /// The world a component is of, by its exports. Exports of no world are ignored: toolchains
    /// add their own.
    ///
    /// # Errors
    /// No world, more than one, or an import that the world does not lend.
    pub(crate) fn kind(&self) -> Result<ModuleKind, Fault> {
        let has = |interface| self.exports.iter().any(|e| is_ours(e, interface));
        let kind = match (has("stage"), has("policy"), has("raw-stage")) {
            (true, false, false) => ModuleKind::Transform,
            (false, true, false) => ModuleKind::Policy,
            (false, false, true) => ModuleKind::RawTransform,
            (false, false, false) => {
                return Err(refused(format!(
                    "the component is of no world of {PACKAGE}*@0.1: expected an export \
                     {PACKAGE}stage@0.1.0 or {PACKAGE}policy@0.1.0, found {}",
                    list(&self.exports)
                )));
            }
            _ => {
                return Err(refused(format!(
                    "the component is of more than one world, a module is of one: found {}",
                    list(&self.exports)
                )));
            }
        };
        self.check_imports(kind)?;
        Ok(kind)
    }

    fn check_imports(&self, kind: ModuleKind) -> Result<(), Fault> {
        let lent = match kind {
            ModuleKind::Policy => &POLICY_IMPORTS[..],
            ModuleKind::Transform | ModuleKind::RawTransform => &TRANSFORM_IMPORTS[..],
        };
        let foreign: Vec<String> = self
            .imports
            .iter()
            .filter(|import| !lent.iter().any(|name| is_ours(import, name)))
            .cloned()
            .collect();
        if foreign.is_empty() {
            return Ok(());
        }
        Err(refused(format!(
            "the module imports {}, which the gateway does not lend: build it without (no WASI, \
             no network, no files); {PACKAGE}{{{}}} are lent",
            list(&foreign),
            lent.join(",")
        )))
    }
}

/// The component in a module's bytes: they are one, or a core module that carries its contract.
pub(crate) fn component(bytes: &[u8]) -> Result<(Cow<'_, [u8]>, Form), Fault> {
    if bytes.len() > MODULE_BYTES_MAX {
        let size = bytes.len();
        return Err(refused(format!(
            "the module has {size} bytes, the limit is {MODULE_BYTES_MAX} bytes"
        )));
    }
    if Parser::is_component(bytes) {
        return Ok((Cow::Borrowed(bytes), Form::Component));
    }
    if !Parser::is_core_wasm(bytes) {
        return Err(refused("the file is not WebAssembly: expected a component".into()));
    }
    validate(bytes)?;
    if !carries_contract(bytes)? {
        return Err(refused(
            "the file is a core module without a component-type section: build it with the SDK \
             or wit-bindgen and without stripping custom sections, or make it a component \
             (`wasm-tools component new`)"
                .into(),
        ));
    }
    // The encoder is written for output of toolchains, not for hostile input.
    let encoded = catch_unwind(|| {
        ComponentEncoder::default().module(bytes).and_then(|encoder| {
            encoder.validate(true);
            encoder.encode()
        })
    });
    match encoded {
        Ok(Ok(component)) => Ok((Cow::Owned(component), Form::CoreModule)),
        Ok(Err(error)) => {
            Err(refused(format!("the core module cannot be made a component: {error:#}")))
        }
        Err(_) => Err(refused("the core module cannot be made a component".into())),
    }
}

/// Checks all of a module's bytes, within bounds on what compiling them may cost.
pub(crate) fn validate(bytes: &[u8]) -> Result<(), Fault> {
    let mut functions = 0_u64;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(invalid)? {
            Payload::CodeSectionStart { count, .. } => functions += u64::from(count),
            Payload::CodeSectionEntry(body) => {
                let size = body.range().end.saturating_sub(body.range().start);
                if size > BODY_BYTES_MAX {
                    return Err(refused(format!(
                        "a function has {size} bytes, the limit is {BODY_BYTES_MAX} bytes"
                    )));
                }
            }
            _ => {}
        }
    }
    if functions > FUNCTIONS_MAX {
        return Err(refused(format!(
            "the module has {functions} functions, the limit is {FUNCTIONS_MAX}"
        )));
    }
    Validator::new_with_features(features()).validate_all(bytes).map(drop).map_err(invalid)
}

/// The proposals that the engine knows (see `engine.rs`).
fn features() -> WasmFeatures {
    WasmFeatures::default().difference(
        WasmFeatures::GC
            | WasmFeatures::FUNCTION_REFERENCES
            | WasmFeatures::EXCEPTIONS
            | WasmFeatures::THREADS
            | WasmFeatures::MEMORY64
            | WasmFeatures::CM_ASYNC,
    )
}

fn carries_contract(module: &[u8]) -> Result<bool, Fault> {
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::CustomSection(section) = payload.map_err(invalid)?
            && section.name().starts_with(CONTRACT_SECTION)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a name is an interface of our package, of a version that this host serves.
fn is_ours(name: &str, interface: &str) -> bool {
    name.strip_prefix(PACKAGE)
        .and_then(|rest| rest.strip_prefix(interface))
        .and_then(|rest| rest.strip_prefix("@0.1."))
        .is_some_and(|patch| !patch.is_empty() && patch.bytes().all(|b| b.is_ascii_digit()))
}

fn list(names: &[String]) -> String {
    const SHOWN_MAX: usize = 12;
    match names.len() {
        0 => "none".into(),
        n if n <= SHOWN_MAX => names.join(", "),
        n => {
            let shown: Vec<&str> = names.iter().take(SHOWN_MAX).map(String::as_str).collect();
            format!("{} and {} more", shown.join(", "), n - SHOWN_MAX)
        }
    }
}

fn invalid(error: BinaryReaderError) -> Fault {
    refused("the file is not valid WebAssembly".into()).because(error)
}

fn refused(message: String) -> Fault {
    Fault::new(FaultKind::ModuleRefused, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_our_package_and_version_only() {
        for (name, ours) in [
            ("wasmgate:transform/stage@0.1.0", true),
            ("wasmgate:transform/stage@0.1.17", true),
            ("wasmgate:transform/stage@0.2.0", false),
            ("wasmgate:transform/stage@0.1.0-rc1", false),
            ("wasmgate:transform/stage@0.1.", false),
            ("wasmgate:transform/stage", false),
            ("wasmgate:transform/raw-stage@0.1.0", false),
            ("other:transform/stage@0.1.0", false),
        ] {
            assert_eq!(is_ours(name, "stage"), ours, "{name}");
        }
    }
}
