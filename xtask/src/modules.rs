//! `transforms/NAME/` → core module → component → `transforms/NAME.wasm`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::run::{cargo, found, program, root, run, target};

const WASM: &str = "wasm32-unknown-unknown";

/// Builds the named modules, or all of them.
pub(crate) fn build(names: &[&str]) -> Result<(), String> {
    let names = if names.is_empty() { all()? } else { names.iter().map(|n| (*n).into()).collect() };
    ensure_target()?;
    let guests = target().join("guests");
    let mut compile = cargo();
    compile.args(["build", "--quiet", "--profile", "guest", "--target", WASM, "--target-dir"]);
    compile.arg(&guests);
    names.iter().for_each(|n| {
        compile.args(["--package", n]);
    });
    run(&mut compile)?;
    run(cargo().args(["build", "--quiet", "--package", "wasmgate-componentize"]))?;
    for name in &names {
        let core = guests.join(WASM).join("guest").join(format!("{}.wasm", name.replace('-', "_")));
        let component = root().join("transforms").join(format!("{name}.wasm"));
        // Beside, then renamed: a gateway that watches the folder never sees half a file.
        let part = component.with_extension("wasm.part");
        run(Command::new(target().join("debug/wasmgate-componentize")).args([&core, &part]))?;
        fs::rename(&part, &component).map_err(|e| format!("{}: {e}", component.display()))?;
        let size = fs::metadata(&component).map_or(0, |m| m.len());
        println!("{} ({} kB)", component.display(), size / 1000);
    }
    Ok(())
}

/// Folders of transforms/ that are crates.
fn all() -> Result<Vec<String>, String> {
    let dir: PathBuf = root().join("transforms");
    let entries = fs::read_dir(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter(|e| e.path().join("Cargo.toml").is_file())
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    Ok(names)
}

fn ensure_target() -> Result<(), String> {
    if !found("rustup") {
        return Ok(());
    }
    run(program("rustup")
        .args(["--quiet", "target", "add", WASM])
        .stderr(std::process::Stdio::null()))
    .map_err(|e| format!("the {WASM} target is needed: {e}"))
}
