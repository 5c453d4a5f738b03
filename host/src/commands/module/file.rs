//! A module's file, read within bounds: what is given on a command line may be a pipe that never
//! ends, or a device.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use wasmgate_connector::ModuleKind;
use wasmgate_wasm::{Limits, Loaded, MODULE_BYTES_MAX, Runtime, TransformComponent};

use crate::assemble::compiler;
use crate::commands::inspect::world;
use crate::exit::Failure;

/// Reads a module.
///
/// # Errors
/// It cannot be read, is no regular file, or is larger than a module may be.
pub(crate) fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let wrong = |what: String| Failure::Runtime(format!("{}: {what}", file.display()));
    let bytes = wasmgate_wasm::read_module(file).map_err(|error| match error.kind() {
        ErrorKind::InvalidInput => wrong(error.to_string()),
        _ => wrong(format!("cannot be read: {error}")),
    })?;
    if bytes.len() > MODULE_BYTES_MAX {
        let limit = MODULE_BYTES_MAX >> 20;
        return Err(wrong(format!("larger than a module may be ({limit} MiB)")));
    }
    Ok(bytes)
}

/// The name that the module would have in a gateway.
pub(crate) fn name(file: &Path) -> Cow<'_, str> {
    file.file_stem().unwrap_or_default().to_string_lossy()
}

/// A runtime with the limits that are the configuration's defaults.
///
/// # Errors
/// This machine cannot run modules.
pub(crate) fn runtime() -> Result<Runtime, Failure> {
    Ok(Runtime::new(Limits::default(), None)?.with_compiler(compiler()?))
}

/// Loads a module of the world `transform` as the gateway does.
///
/// # Errors
/// It cannot be read, would be refused, or is of another world.
pub(crate) fn transform(file: &Path) -> Result<Arc<TransformComponent>, Failure> {
    let bytes = read(file)?;
    let loaded = runtime()?.load(&name(file), &bytes).map_err(|fault| {
        Failure::Runtime(format!("{}: would be refused: {}", file.display(), fault.chain()))
    })?;
    match loaded {
        Loaded::Transform(module) => Ok(module),
        Loaded::Policy(_) => Err(Failure::Runtime(format!(
            "{}: is of the world {}, expected {}: cases and measurements are about records",
            file.display(),
            world(ModuleKind::Policy),
            world(ModuleKind::Transform)
        ))),
    }
}

/// One case file.
///
/// # Errors
/// It cannot be read, or is no case.
pub(crate) fn case(file: &Path) -> Result<wasmgate_cases::CaseFile, Failure> {
    if file.is_dir() {
        let what = format!("{}: is a folder, expected one case file", file.display());
        return Err(Failure::Runtime(what));
    }
    let cases = wasmgate_cases::load(file).map_err(Failure::Runtime)?;
    let none = || Failure::Runtime(format!("{}: holds no case", file.display()));
    cases.into_iter().next().ok_or_else(none)
}

/// Refuses what is no module by its looks, before anything beside it is missed.
///
/// # Errors
/// There is no such file, it is no regular one, or it is source text.
pub(crate) fn look_like_a_module(file: &Path) -> Result<(), Failure> {
    let begins = read(file)?;
    if begins.starts_with(b"\0asm") {
        return Ok(());
    }
    Err(Failure::Runtime(format!(
        "{}: is no module: found no WebAssembly, expected a component (*.wasm); build it with \
         `cargo build --release --target wasm32-unknown-unknown`",
        file.display()
    )))
}
