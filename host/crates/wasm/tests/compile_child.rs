//! Compiling in a child process. This binary is its own child: called with `__compile` it does
//! what `wasmgate __compile` does.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "support/guests.rs"]
mod guests;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use wasmgate_connector::Module as _;
use wasmgate_model::FaultKind;
use wasmgate_wasm::{COMPILE_COMMAND, Compiler, Limits, Loaded, Runtime, compile_child_main};

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    if args.first().is_some_and(|arg| arg == COMPILE_COMMAND) {
        return compile_child_main(Path::new(&args[1]), Path::new(&args[2]));
    }
    if args.iter().any(|arg| arg == "--list") {
        return ExitCode::SUCCESS;
    }
    a_child_compiles_within_its_limits_and_leaves_nothing_else();
    what_the_compiler_refuses_is_a_refusal_with_its_reason();
    a_child_that_cannot_be_run_is_our_own_fault();
    ExitCode::SUCCESS
}

fn runtime(exe: &Path, cache: Option<&Path>) -> Runtime {
    Runtime::new(Limits::default(), cache.map(Path::to_path_buf))
        .unwrap()
        .with_compiler(Compiler::Child { exe: exe.to_path_buf() })
}

fn me() -> std::path::PathBuf {
    std::env::current_exe().unwrap()
}

fn a_child_compiles_within_its_limits_and_leaves_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    for cache in [Some(dir.path()), None] {
        let module = runtime(&me(), cache).load("probe", &guests::guest("probe")).unwrap();
        let Loaded::Transform(module) = module else { panic!("a transform") };
        assert_eq!(module.identity().version, "1.2.3");
        module.open("").unwrap();
    }
    let files: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    assert_eq!(files[0].extension().unwrap(), "cwasm");
    // With the code kept, no child is needed.
    let nobody = Path::new("/nonexistent/compiler");
    runtime(nobody, Some(dir.path())).load("probe", &guests::guest("probe")).unwrap();
}

fn what_the_compiler_refuses_is_a_refusal_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("in.wasm");
    let output = dir.path().join("out.cwasm");
    std::fs::write(&input, b"\0asm\x0d\0\x01\0junk").unwrap();
    let child = std::process::Command::new(me())
        .arg(COMPILE_COMMAND)
        .args([&input, &output])
        .output()
        .unwrap();
    let complaint = String::from_utf8(child.stderr).unwrap();
    assert_eq!(child.status.code(), Some(10));
    assert!(complaint.starts_with("the module does not compile: "), "{complaint}");
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    assert!(!output.exists());

    // A child that fails without a word: `false` ignores its arguments.
    let fault = runtime(Path::new("/bin/false"), Some(dir.path()))
        .load("probe", &guests::guest("probe"))
        .unwrap_err();
    assert_eq!(fault.kind, FaultKind::ModuleRefused);
    assert!(fault.chain().contains("the compiler did not finish"), "{}", fault.chain());
    let left = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(left, 1, "only in.wasm is left");
}

fn a_child_that_cannot_be_run_is_our_own_fault() {
    let nobody = Path::new("/nonexistent/compiler");
    let fault = runtime(nobody, None).load("probe", &guests::guest("probe")).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Internal, "{}", fault.chain());
}
