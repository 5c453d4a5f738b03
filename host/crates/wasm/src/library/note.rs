//! What stands beside a file that was refused: why, in the first line, and what to do.

/// The text of `NAME.wasm.rejected.txt`. `active`: the version that runs on.
pub(super) fn text(name: &str, reason: &str, active: Option<&str>) -> String {
    // Part of the reason may be the module's own words, and notes are read on terminals.
    let reason: String = reason.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let state = match active {
        Some(version) => format!("Version {version} of the module runs on."),
        None => "No version of the module runs.".to_owned(),
    };
    format!(
        "{reason}\n\n\
         The file {name}.wasm was not taken in. {state}\n\
         Replace or remove it, or touch it to have it tried again; this note goes by itself.\n\
         `wasmgate module inspect {name}.wasm` shows what the file is.\n"
    )
}
