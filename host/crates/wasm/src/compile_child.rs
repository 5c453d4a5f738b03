//! The compiling child: `wasmgate __compile INPUT OUTPUT`. It bounds itself before it looks at
//! the input; what it cannot do within the bounds, the module is refused for.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, setrlimit};
use wasmgate_model::{Fault, FaultKind};

use crate::compile::{REFUSED, refused, write_private};
use crate::engine;

/// Address space: code is compiled here and never run, so no memory of a guest is reserved.
const ADDRESS_SPACE_MAX: u64 = 1 << 30;
/// Processor time, all threads together.
const CPU_SECONDS_MAX: u64 = 20;

/// Compiles the component in `input` to `output` (mode 0600, must not exist). The reason of a
/// failure goes to standard error, one line.
#[must_use]
pub fn compile_child_main(input: &Path, output: &Path) -> ExitCode {
    match compile(input, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            let line = fault.chain().replace('\n', " ");
            // Nobody is left to be told when standard error is closed too.
            let told = writeln!(std::io::stderr(), "{line}").is_ok();
            ExitCode::from(if told { REFUSED } else { 1 })
        }
    }
}

fn compile(input: &Path, output: &Path) -> Result<(), Fault> {
    limit(Resource::As, ADDRESS_SPACE_MAX)?;
    limit(Resource::Cpu, CPU_SECONDS_MAX)?;
    limit(Resource::Core, 0)?;
    let component = fs::read(input).map_err(|e| {
        Fault::new(FaultKind::Disk, format!("cannot read {}", input.display())).because(e)
    })?;
    let engine = engine::new()?;
    let code = engine.precompile_component(&component).map_err(|e| refused(&e))?;
    write_private(output, &code)
}

fn limit(resource: Resource, most: u64) -> Result<(), Fault> {
    let limit = Rlimit { current: Some(most), maximum: Some(most) };
    setrlimit(resource, limit)
        .map_err(|e| Fault::new(FaultKind::Internal, "cannot limit the compiler").because(e))
}
