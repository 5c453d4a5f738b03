//! The test guests as bytes: built once per test binary, by plain cargo.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The core module of a guest (`tests/guests/examples/NAME.rs`), with its contract inside.
pub(crate) fn guest(name: &str) -> Vec<u8> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let path = BUILT.get_or_init(build).join(format!("{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn build() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = here.join("../../../target/guests");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--examples", "--target", "wasm32-unknown-unknown"])
        .arg("--manifest-path")
        .arg(here.join("tests/guests/Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .status()
        .expect("cargo runs");
    assert!(status.success(), "the guests do not build");
    target.join("wasm32-unknown-unknown/debug/examples")
}

/// A guest as a component.
#[allow(dead_code, reason = "not every test binary needs components")]
pub(crate) fn component(name: &str) -> Vec<u8> {
    wit_component::ComponentEncoder::default()
        .module(&guest(name))
        .and_then(|encoder| encoder.validate(true).encode())
        .expect("the guest carries its contract")
}

/// Where code is kept from test to test: compiling takes a second in an unoptimised build.
#[allow(dead_code, reason = "not every test binary keeps code")]
pub(crate) fn code_dir() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("wasm-code")
}
