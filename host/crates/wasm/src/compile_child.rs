//! The compiling child: `wasmgate __compile INPUT OUTPUT`. It bounds itself before it looks at
//! the input; what it cannot do within the bounds, the module is refused for.

mod descriptors;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use rustix::process::{
    Resource, Rlimit, Signal, getrlimit, set_parent_process_death_signal, setrlimit,
};
use wasmgate_model::{Fault, FaultKind};

use crate::compile::child::{BROKEN, DISK, REFUSED};
use crate::compile::{refused, write_private};
use crate::engine;

/// What the child may use. Code is compiled here and never run, so no memory of a guest is
/// reserved. Processor time counts all threads together, in seconds; the files are the output and
/// those that the allocator and the threads look at.
const LIMITS: [(Resource, u64); 5] = [
    (Resource::As, MEMORY_BYTES_MAX),
    (Resource::Cpu, CPU_SECONDS_MAX),
    (Resource::Fsize, CODE_BYTES_MAX),
    (Resource::Nofile, 16),
    (Resource::Core, 0),
];
pub(crate) const MEMORY_BYTES_MAX: u64 = 1 << 30;
pub(crate) const CPU_SECONDS_MAX: u64 = 40;
pub(crate) const CODE_BYTES_MAX: u64 = 256 << 20;

/// Compiles the component in `input` to `output` (mode 0600, must not exist). The reason of a
/// failure goes to standard error, one line. To be called first thing in a process: it closes
/// every descriptor that is not standard input, output or error.
#[must_use]
pub fn compile_child_main(input: &Path, output: &Path) -> ExitCode {
    match compile(input, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            let line = fault.chain().replace('\n', " ");
            let code = match fault.kind {
                FaultKind::ModuleRefused => REFUSED,
                FaultKind::Disk => DISK,
                _ => BROKEN,
            };
            // Nobody is left to be told when standard error is closed too.
            let told = writeln!(std::io::stderr(), "{line}").is_ok();
            ExitCode::from(if told { code } else { 1 })
        }
    }
}

fn compile(input: &Path, output: &Path) -> Result<(), Fault> {
    // Nobody waits for the code when the gateway is killed.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|e| {
        Fault::new(FaultKind::Internal, "cannot tie the compiler to the gateway").because(e)
    })?;
    descriptors::close_inherited();
    for (resource, most) in LIMITS {
        limit(resource, most)?;
    }
    let component = fs::read(input).map_err(|e| {
        Fault::new(FaultKind::Disk, format!("cannot read {}", input.display())).because(e)
    })?;
    let engine = engine::new()?;
    let code = engine.precompile_component(&component).map_err(|e| refused(&e))?;
    write_private(output, &code)
}

/// Limits what may be used, or leaves a limit that is lower already.
fn limit(resource: Resource, most: u64) -> Result<(), Fault> {
    let found = getrlimit(resource);
    let most = found.current.map_or(most, |found| most.min(found));
    // A second past the time, and the kernel's signal no longer says what was used up.
    let rest = if resource == Resource::Cpu { most.saturating_add(1) } else { most };
    let rest = found.maximum.map_or(rest, |found| rest.min(found));
    let limit = Rlimit { current: Some(most), maximum: Some(rest) };
    setrlimit(resource, limit)
        .map_err(|e| Fault::new(FaultKind::Internal, "cannot limit the compiler").because(e))
}
