//! Cases that came with a module: a version that does not do what they say is not taken in.
//!
//! Whoever may put files into the folder need not be allowed to read every file that the gateway
//! reads, and what is said here is shown to many. So links are not followed, and nothing that a
//! file holds is quoted: only its name, the line and the kind of what is wrong. One file is in
//! memory at a time.

mod folder;

use std::path::Path;
use std::time::Instant;

use wasmgate_case_file::CaseFile;
use wasmgate_connector::Module;
use wasmgate_model::{Fault, FaultKind};

use crate::run::{CASES_TIME_MAX, run_case};
use folder::{CaseText, Folder};

pub use folder::CASES_BYTES_MAX;

/// Runs the cases of `dir/NAME.cases`. Without such a folder there is nothing to hold a module
/// against.
///
/// # Errors
/// `ModuleRefused`: a case is not as expected (the first is named), or cannot be read.
/// `ModuleDeadline`: the cases take longer than [`CASES_TIME_MAX`]. Faults of the host.
pub fn check_bundled(module: &dyn Module, name: &str, dir: &Path) -> Result<(), Fault> {
    let cannot = |problem: String| {
        Fault::new(FaultKind::ModuleRefused, "its cases cannot be run").because(problem)
    };
    let Some(folder) = Folder::open(dir, &format!("{name}.cases")).map_err(cannot)? else {
        return Ok(());
    };
    let until = Instant::now() + CASES_TIME_MAX;
    let (mut count, mut rows, mut first) = (0, 0, None);
    let mut left = CASES_BYTES_MAX;
    for file_name in folder.names() {
        let CaseText { text, bytes } = folder.read(file_name, left).map_err(cannot)?;
        left = left.saturating_sub(bytes);
        let case = parse(folder.shown(), file_name, &text).map_err(cannot)?;
        drop(text);
        rows += case.rows.len();
        let failures = run_case(module, &case, until)?;
        count += failures.len();
        if let (None, Some(failure)) = (&first, failures.first()) {
            let what = match (failure.line, &case.refuses) {
                (Some(line), _) => format!("{file_name}:{line}: the record is not as expected"),
                (None, Some(_)) => {
                    format!("{file_name}: the module does not refuse it as expected")
                }
                (None, None) => format!("{file_name}: the case does not run as expected"),
            };
            first = Some(format!("{what}; `wasmgate module test {name}.wasm` shows how"));
        }
        if Instant::now() > until {
            let what = format!("its cases take longer than {} s", CASES_TIME_MAX.as_secs());
            return Err(Fault::new(FaultKind::ModuleDeadline, what));
        }
    }
    let Some(first) = first else { return Ok(()) };
    let what = format!(
        "its cases in {name}.cases do not hold ({count} not as expected, of {rows} records); \
         the first"
    );
    Err(Fault::new(FaultKind::ModuleRefused, what).because(first))
}

/// A file's case. The parser's own words may be the file's, so they are not passed on.
fn parse(folder: &str, file_name: &str, text: &str) -> Result<CaseFile, String> {
    let name = file_name.rsplit_once('.').map_or(file_name, |(stem, _)| stem);
    CaseFile::parse(name, text).map_err(|problem| {
        let what = match problem.message.starts_with("not valid YAML") {
            true => "is not valid YAML",
            false => "is no case file",
        };
        format!(
            "{folder}/{file_name}:{}: {what}; `wasmgate module test` on it says more",
            problem.line
        )
    })
}
