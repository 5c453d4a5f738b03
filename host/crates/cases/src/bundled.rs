//! Cases that came with a module: a version that does not do what they say is not taken in.

use std::path::Path;

use wasmgate_connector::Module;
use wasmgate_model::{Fault, FaultKind};

use crate::run::run;

/// Runs the cases of `dir/NAME.cases`. Without such a folder there is nothing to hold a module
/// against.
///
/// # Errors
/// `ModuleRefused`: a case is not as expected (the first is named), or cannot be read. As for
/// [`run`] otherwise.
pub fn check_bundled(module: &dyn Module, name: &str, dir: &Path) -> Result<(), Fault> {
    let cases = dir.join(format!("{name}.cases"));
    if !cases.is_dir() {
        return Ok(());
    }
    let report = run(module, &cases)?;
    let Some(first) = report.first_failure() else { return Ok(()) };
    let (count, rows) = (report.failures.len(), report.rows);
    let what = format!(
        "its cases in {name}.cases do not hold ({count} not as expected, of {rows} records); \
         the first"
    );
    Err(Fault::new(FaultKind::ModuleRefused, what).because(first))
}
