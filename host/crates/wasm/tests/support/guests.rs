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
    build_for("wasm32-unknown-unknown", &["--examples"])
}

/// A guest as `cargo build --target wasm32-wasip2` makes it: a component.
#[allow(dead_code, reason = "not every test binary needs it")]
pub(crate) fn plain_build(name: &str) -> Vec<u8> {
    const WASM: &str = "wasm32-wasip2";
    // Where there is no rustup, the target comes with the toolchain or the build says so.
    let rustup = Command::new("rustup").args(["--quiet", "target", "add", WASM]).output();
    assert!(rustup.is_err() || rustup.is_ok_and(|o| o.status.success()), "no {WASM} target");
    let path = build_for(WASM, &["--example", name]).join(format!("{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn build_for(wasm: &str, what: &[&str]) -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = here.join("../../../target/guests");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--target", wasm])
        .args(what)
        .arg("--manifest-path")
        .arg(here.join("tests/guests/Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .status()
        .expect("cargo runs");
    assert!(status.success(), "the guests do not build: `rustup target add {wasm}`?");
    target.join(wasm).join("debug/examples")
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
