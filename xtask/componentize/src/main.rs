//! `wasmgate-componentize IN.wasm OUT.wasm`: wraps a core module that was built for
//! wasm32-unknown-unknown into a component, and refuses one that asks the host for anything but
//! the contract. A file that is a component already is checked and copied.

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

use wasmparser::{ComponentExternalKind, Parser, Payload};
use wit_component::ComponentEncoder;

/// Interfaces that a component may import, and the package of its exports.
const CONTRACT: &str = "wasmgate:transform/";

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let [input, output] = arguments.as_slice() else {
        return refuse("expected two arguments: IN.wasm OUT.wasm");
    };
    match componentize(Path::new(input), Path::new(output)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => refuse(&format!("{}: {message}", Path::new(input).display())),
    }
}

#[expect(clippy::print_stderr, reason = "a command line tool")]
fn refuse(message: &str) -> ExitCode {
    eprintln!("wasmgate-componentize: {message}");
    ExitCode::FAILURE
}

/// Writes beside the target and renames: whoever watches the directory sees a whole file.
fn componentize(input: &Path, output: &Path) -> Result<(), String> {
    let bytes = fs::read(input).map_err(|error| error.to_string())?;
    let component = if Parser::is_component(&bytes) { bytes } else { encode(&bytes)? };
    check(&component)?;
    let partial = output.with_extension("wasm.partial");
    let failed = |error: std::io::Error| format!("writing {}: {error}", output.display());
    fs::write(&partial, component).map_err(failed)?;
    fs::rename(&partial, output).map_err(failed)
}

fn encode(module: &[u8]) -> Result<Vec<u8>, String> {
    ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(|encoder| encoder.encode())
        .map_err(|error| format!("not a module of a wasmgate world: {error:#}"))
}

/// Refuses imports outside the contract, and components that export none of its interfaces.
fn check(component: &[u8]) -> Result<(), String> {
    // Nested modules and components have imports of their own; the host is asked for the outermost.
    let mut depth = 0_u32;
    let mut exported = false;
    for payload in Parser::new(0).parse_all(component) {
        match payload.map_err(|error| error.to_string())? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(imports) if depth == 0 => {
                for import in imports {
                    let name = import.map_err(|error| error.to_string())?.name.name;
                    if !name.starts_with(CONTRACT) {
                        return Err(format!(
                            "imports {name}, but a module may import {CONTRACT}* only: \
                             build it for wasm32-unknown-unknown"
                        ));
                    }
                }
            }
            Payload::ComponentExportSection(exports) if depth == 0 => {
                for export in exports {
                    let export = export.map_err(|error| error.to_string())?;
                    exported |= export.kind == ComponentExternalKind::Instance
                        && export.name.name.starts_with(CONTRACT);
                }
            }
            _ => {}
        }
    }
    if exported { Ok(()) } else { Err(format!("exports no interface of {CONTRACT}*")) }
}
