//! The SDK's sources as they were when this program was built, so that a new module needs no
//! checkout and no registry for them, and always gets the SDK that fits this gateway.

use std::fs;
use std::io;
use std::path::Path;

macro_rules! files {
    ($($path:literal,)*) => {
        &[$(($path, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../", $path))),)*]
    };
}

/// Paths are those of the checkout.
const FILES: &[(&str, &str)] = files![
    "guest-sdk/Cargo.toml",
    "guest-sdk/README.md",
    "guest-sdk/case-file/Cargo.toml",
    "guest-sdk/case-file/src/case.rs",
    "guest-sdk/case-file/src/compare.rs",
    "guest-sdk/case-file/src/dir.rs",
    "guest-sdk/case-file/src/lib.rs",
    "guest-sdk/case-file/src/read.rs",
    "guest-sdk/case-file/src/read/expect.rs",
    "guest-sdk/case-file/src/read/members.rs",
    "guest-sdk/case-file/src/report.rs",
    "guest-sdk/case-file/src/tree.rs",
    "guest-sdk/macros/Cargo.toml",
    "guest-sdk/macros/src/attributes.rs",
    "guest-sdk/macros/src/config.rs",
    "guest-sdk/macros/src/lib.rs",
    "guest-sdk/macros/src/row.rs",
    "guest-sdk/macros/src/row/names.rs",
    "guest-sdk/macros/src/rule.rs",
    "guest-sdk/macros/src/tests.rs",
    "guest-sdk/src/bindings.rs",
    "guest-sdk/src/column.rs",
    "guest-sdk/src/config.rs",
    "guest-sdk/src/contract.rs",
    "guest-sdk/src/export.rs",
    "guest-sdk/src/host.rs",
    "guest-sdk/src/lib.rs",
    "guest-sdk/src/policy.rs",
    "guest-sdk/src/prelude.rs",
    "guest-sdk/src/row.rs",
    "guest-sdk/src/stage.rs",
    "guest-sdk/src/testkit.rs",
    "guest-sdk/src/testkit/admit.rs",
    "guest-sdk/src/testkit/answer.rs",
    "guest-sdk/src/testkit/cases.rs",
    "guest-sdk/src/testkit/harness.rs",
    "guest-sdk/src/testkit/host.rs",
    "guest-sdk/src/testkit/input.rs",
    "guest-sdk/src/testkit/record.rs",
    "wit/host.wit",
    "wit/transform.wit",
    "wit/types.wit",
    "wit/world.wit",
];

const WORKSPACE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"));

/// Crates that the SDK's manifests take from the workspace.
const DEPENDENCIES: &[&str] = &[
    "wasmgate-sdk-macros",
    "wasmgate-case-file",
    "wit-bindgen",
    "serde-saphyr",
    "tempfile",
    "syn",
    "quote",
    "proc-macro2",
];

/// Writes the SDK into a folder, which it makes.
pub(super) fn write(dir: &Path) -> io::Result<()> {
    for (path, text) in FILES {
        let file = dir.join(path);
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(file, text)?;
    }
    fs::write(dir.join("Cargo.toml"), workspace())
}

/// The part of our workspace that the SDK's manifests refer to.
fn workspace() -> String {
    let mut text = "# The wasmgate SDK, as it came with `wasmgate module new`.\n[workspace]\n\
                    resolver = \"3\"\n\
                    members = [\"guest-sdk\", \"guest-sdk/case-file\", \"guest-sdk/macros\"]\n"
        .to_owned();
    for section in WORKSPACE.split("\n[").skip(1) {
        let (title, body) = section.split_once("]\n").unwrap_or_default();
        let ours = |line: &&str| {
            let name = line.split([' ', '.']).next().unwrap_or_default();
            DEPENDENCIES.contains(&name)
        };
        let body: String = match title {
            "workspace.dependencies" => {
                let lines = body.lines().filter(ours);
                lines.map(|l| l.replace("path = \"../", "path = \"") + "\n").collect()
            }
            "workspace.package" => body.to_owned(),
            title if title.starts_with("workspace.lints") => body.to_owned(),
            _ => continue,
        };
        text.push_str(&format!("\n[{title}]\n{}\n", body.trim_end()));
    }
    text
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn sources(dir: &Path, root: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, root, found);
            } else if path.extension().is_some_and(|end| end == "rs" || end == "wit") {
                let path = path.strip_prefix(root).unwrap();
                found.push(path.to_string_lossy().into_owned());
            }
        }
    }

    #[test]
    fn every_source_of_the_sdk_is_in() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut found = Vec::new();
        for dir in ["guest-sdk/src", "guest-sdk/macros/src", "guest-sdk/case-file/src", "wit"] {
            sources(&root.join(dir), &root, &mut found);
        }
        found.sort();
        let here = FILES.iter().map(|(path, _)| (*path).to_owned());
        let mut here: Vec<String> =
            here.filter(|p| p.ends_with("rs") || p.ends_with("wit")).collect();
        here.sort();
        assert_eq!(here, found);
    }

    #[test]
    fn the_workspace_has_what_the_manifests_refer_to() {
        let text = workspace();
        for name in DEPENDENCIES {
            assert!(text.contains(&format!("\n{name} = ")), "{name}:\n{text}");
        }
        let manifests = FILES.iter().filter(|(path, _)| path.ends_with("Cargo.toml"));
        for (path, manifest) in manifests {
            for line in manifest.lines().filter(|line| line.contains("workspace = true")) {
                let name = line.split(['.', ' ']).next().unwrap();
                let known = text.contains(&format!("\n{name} = "))
                    || ["workspace", "version", "edition", "rust-version", "license", "publish"]
                        .contains(&name);
                assert!(known, "{path}: {line}");
            }
        }
    }
}
