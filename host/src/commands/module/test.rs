//! `wasmgate module test`: case files on the real component.

use std::path::Path;
use std::process::ExitCode;

use crate::commands::module::file::{look_like_a_module, transform};
use crate::exit::{Failure, print};

/// Runs the case files of a folder (or one file) and shows what is not as expected. `cases`:
/// `NAME.cases` beside `NAME.wasm` where none is given.
///
/// # Errors
/// The module would be refused, or a case file cannot be read. Cases that fail end with code 1.
pub(crate) fn test(file: &Path, cases: Option<&Path>) -> Result<ExitCode, Failure> {
    let beside = file.with_extension("cases");
    look_like_a_module(file)?;
    let cases = wasmgate_cases::case_files(cases.unwrap_or(&beside)).map_err(Failure::Runtime)?;
    let module = transform(file)?;
    let report = wasmgate_cases::run_files(&*module, &cases)
        .map_err(|fault| Failure::Runtime(format!("{}: {}", file.display(), fault.chain())))?;
    print(&report.to_string())?;
    Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
