//! What a module's bytes say about it before anything is compiled: its form, its imports and
//! exports, and whether it stays within the bounds (`bounds.rs`).

mod bounds;

use std::borrow::Cow;
use std::panic::catch_unwind;

use wasmgate_connector::ModuleKind;
use wasmgate_model::{Fault, FaultKind};
use wasmparser::{BinaryReaderError, Parser, Payload, Validator, WasmFeatures};
use wit_component::ComponentEncoder;

use crate::host::log::clip;
use crate::inspect::Form;
use crate::limits::MODULE_BYTES_MAX;

/// Raised when the rules here get stricter: code kept under older ones is then compiled anew, and
/// its module looked at again.
pub(crate) const RULES: u32 = 2;

/// Custom sections under which toolchains embed the contract in a core module.
const CONTRACT_SECTION: &str = "component-type";

/// Bytes of an import's or export's name.
const NAME_BYTES_MAX: usize = 256;

const PACKAGE: &str = "wasmgate:transform/";
/// What the worlds lend (`wit/world.wit`).
const TRANSFORM_IMPORTS: [&str; 6] = ["types", "log", "metrics", "clock", "state", "lookup"];
const POLICY_IMPORTS: [&str; 4] = ["types", "log", "metrics", "clock"];
/// What the standard library of a plain `wasm32-wasip2` build imports whether it is used or not:
/// answered by stand-ins that do nothing (`host/stand_ins.rs`).
const CLI_STAND_INS: [&str; 10] = [
    "environment",
    "exit",
    "stdin",
    "stdout",
    "stderr",
    "terminal-input",
    "terminal-output",
    "terminal-stdin",
    "terminal-stdout",
    "terminal-stderr",
];
const IO_STAND_INS: [&str; 3] = ["error", "poll", "streams"];
/// Beginnings of imports that toolchains add, and what a rule does instead.
const ADVICE: [(&str, &str); 4] = [
    ("wasi:random/", "randomness comes in with std's HashMap: use BTreeMap or a fixed hasher"),
    ("wasi:clocks/", "the time is lent by wasmgate:transform/clock"),
    ("wasi:filesystem/", "a module has no files: put what it needs into its configuration"),
    ("wasi:sockets/", "a module has no network: look up what it needs upstream"),
];

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
                        structure.imports.push(name(import.map_err(invalid)?.name.name)?);
                    }
                }
                Payload::ComponentExportSection(section) if depth == 1 => {
                    for export in section {
                        structure.exports.push(name(export.map_err(invalid)?.name.name)?);
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
            .filter(|import| !is_stand_in(import))
            .cloned()
            .collect();
        if foreign.is_empty() {
            return Ok(());
        }
        let meant = |prefix: &str| foreign.iter().any(|name| name.starts_with(prefix));
        let advice = ADVICE.iter().filter(|(prefix, _)| meant(prefix));
        let advice: String = advice.map(|(_, text)| format!("; {text}")).collect();
        Err(refused(format!(
            "the module imports {}, which the gateway does not lend: build it without; \
             {PACKAGE}{{{}}} are lent{advice}",
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

/// Checks all of a module's bytes: the bounds first, as they keep the rest cheap.
pub(crate) fn validate(bytes: &[u8]) -> Result<(), Fault> {
    bounds::check(bytes)?;
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

/// The name of an import or export, which people will be shown.
fn name(name: &str) -> Result<String, Fault> {
    if name.len() <= NAME_BYTES_MAX && !name.contains(|c: char| !c.is_ascii_graphic()) {
        return Ok(name.to_owned());
    }
    let (bytes, shown) = (name.len(), clip(name, 64));
    Err(refused(format!(
        "the component imports or exports a name of {bytes} bytes, {shown:?}: expected at most \
         {NAME_BYTES_MAX} printable ASCII characters"
    )))
}

/// Whether a name is an interface of our package, of a version that this host serves.
fn is_ours(name: &str, interface: &str) -> bool {
    is_interface(name, PACKAGE, interface, "@0.1.")
}

fn is_stand_in(name: &str) -> bool {
    let of = |package, interfaces: &[&str]| {
        interfaces.iter().any(|interface| is_interface(name, package, interface, "@0.2."))
    };
    of("wasi:cli/", &CLI_STAND_INS) || of("wasi:io/", &IO_STAND_INS)
}

/// Whether a name is `package` `interface` `version`, followed by the number of a release.
fn is_interface(name: &str, package: &str, interface: &str, version: &str) -> bool {
    name.strip_prefix(package)
        .and_then(|rest| rest.strip_prefix(interface))
        .and_then(|rest| rest.strip_prefix(version))
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

    #[test]
    fn stand_ins_are_what_a_plain_build_asks_for_and_no_more() {
        for (name, stands_in) in [
            ("wasi:cli/environment@0.2.0", true),
            ("wasi:cli/terminal-stderr@0.2.12", true),
            ("wasi:io/streams@0.2.6", true),
            ("wasi:io/streams@0.3.0", false),
            ("wasi:cli/run@0.2.0", false),
            ("wasi:cli/stdout", false),
            ("wasi:clocks/wall-clock@0.2.6", false),
            ("wasi:random/insecure-seed@0.2.6", false),
            ("wasi:filesystem/types@0.2.6", false),
            ("wasi:sockets/tcp@0.2.6", false),
            ("wasi:http/types@0.2.6", false),
        ] {
            assert_eq!(is_stand_in(name), stands_in, "{name}");
        }
    }
}
