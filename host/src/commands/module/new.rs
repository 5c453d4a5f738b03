//! `wasmgate module new`: a crate that builds and whose case passes, from what is in this program.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::sdk;
use crate::exit::{Failure, print};

/// What the new module is an example of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Drops records
    Filter,
    /// Marks records with a written field
    Rule,
    /// Sends records to topics
    Route,
    /// Hides fields that the configuration names
    Mask,
}

impl Kind {
    /// Source, case and description.
    fn template(self) -> (&'static str, &'static str, &'static str) {
        macro_rules! template {
            ($name:literal) => {
                (
                    include_str!(concat!("../../../templates/", $name, "/src/lib.rs")),
                    include_str!(concat!("../../../templates/", $name, "/cases/example.yaml")),
                )
            };
        }
        let ((source, case), description) = match self {
            Self::Filter => (template!("filter"), "Drops records that are too small to matter."),
            Self::Rule => (template!("rule"), "Marks large payments made abroad."),
            Self::Route => (template!("route"), "Sends records to a topic of their region."),
            Self::Mask => (template!("mask"), "Hides fields that the configuration names."),
        };
        (source, case, description)
    }
}

/// Where the module's SDK comes from.
enum Sdk {
    /// A copy in the module's own folder, from this program.
    Own,
    /// A checkout's, by path.
    Path(PathBuf),
    /// The module lies in a checkout's `transforms/` and is one of its members.
    Workspace,
}

/// Makes a folder `name` with a module, and says what to do next.
///
/// # Errors
/// The name cannot be one of a crate, the folder is there already, `sdk` is no SDK, or a file
/// cannot be written.
pub(crate) fn new(name: &str, kind: Kind, sdk: Option<&Path>) -> Result<(), Failure> {
    check(name).map_err(|what| Failure::Runtime(format!("{name}: {what}")))?;
    let here = std::env::current_dir()
        .map_err(|error| Failure::Runtime(format!("this folder cannot be read: {error}")))?;
    let sdk = match sdk {
        Some(path) => Sdk::Path(found(path)?),
        None if is_transforms(&here) => Sdk::Workspace,
        None => Sdk::Own,
    };
    let dir = here.join(name);
    let failed = |error: io::Error| {
        let what = match error.kind() {
            io::ErrorKind::AlreadyExists => "is there already; take another name".to_owned(),
            _ => format!("cannot be written: {error}"),
        };
        Failure::Runtime(format!("{name}: {what}"))
    };
    fs::create_dir(&dir).map_err(failed)?;
    write(&dir, name, kind, &sdk).map_err(failed)?;
    print(&steps(name, &sdk))
}

/// Words that Rust, cargo or the SDK's prelude have another use for.
const TAKEN: &str = "alloc as async await become box break const continue core crate dead-letter \
                     discard do dyn else enum extern false final fn for gen if impl in keep let \
                     loop macro main match mod move mut override priv proc-macro pub ref retry \
                     return self static std struct super test tests trait true try type typeof \
                     union unsafe unsized use virtual wasmgate-sdk where while yield";

/// Names that cargo, Rust and the modules directory take alike.
fn check(name: &str) -> Result<(), String> {
    let letters = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let begins = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    if !letters || !begins || name.ends_with('-') || name.contains("--") || name.len() > 64 {
        return Err("expected lower-case letters, digits and single dashes between them, \
                    such as fraud-rule"
            .to_owned());
    }
    match TAKEN.split(' ').any(|word| word == name) {
        true => Err("Rust has another use for this name; take a longer one".to_owned()),
        false => Ok(()),
    }
}

/// The SDK of a checkout, or an SDK itself.
fn found(path: &Path) -> Result<PathBuf, Failure> {
    let candidates = [path.join("guest-sdk"), path.to_owned()];
    let is_sdk = |dir: &&PathBuf| {
        let manifest = fs::read_to_string(dir.join("Cargo.toml")).unwrap_or_default();
        manifest.contains("name = \"wasmgate-sdk\"")
    };
    let none = || {
        let path = path.display();
        Failure::Runtime(format!(
            "--sdk: {path} is neither a checkout of wasmgate nor its guest-sdk"
        ))
    };
    let sdk = candidates.iter().find(is_sdk).ok_or_else(none)?;
    fs::canonicalize(sdk)
        .map_err(|error| Failure::Runtime(format!("--sdk: {}: {error}", sdk.display())))
}

/// Whether this is the folder in which a checkout takes in modules by itself.
fn is_transforms(dir: &Path) -> bool {
    let root = dir.parent().unwrap_or(dir);
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap_or_default();
    dir.ends_with("transforms") && manifest.contains("\"transforms/*\"")
}

fn write(dir: &Path, name: &str, kind: Kind, sdk: &Sdk) -> io::Result<()> {
    let (source, case, description) = kind.template();
    fs::create_dir(dir.join("src"))?;
    fs::create_dir(dir.join("cases"))?;
    fs::write(dir.join("Cargo.toml"), manifest(name, description, sdk))?;
    fs::write(dir.join("src/lib.rs"), source.replace("rule_name", &name.replace('-', "_")))?;
    fs::write(dir.join("cases/example.yaml"), case)?;
    match sdk {
        Sdk::Workspace => return Ok(()),
        Sdk::Path(_) => {}
        Sdk::Own => sdk::write(&dir.join("sdk"))?,
    }
    fs::write(dir.join(".gitignore"), "/target\n")
}

fn manifest(name: &str, description: &str, sdk: &Sdk) -> String {
    let package = format!("[package]\nname = \"{name}\"\ndescription = \"{description}\"\n");
    let library = "[lib]\n# cdylib: the module; rlib: what cargo test runs.\n\
                   crate-type = [\"cdylib\", \"rlib\"]\n";
    let path = match sdk {
        Sdk::Workspace => {
            return format!(
                "{package}version = \"0.1.0\"\nedition.workspace = true\n\
                 rust-version.workspace = true\nlicense.workspace = true\n\
                 publish.workspace = true\n\n{library}\n\
                 [dependencies]\nwasmgate-sdk.workspace = true\n"
            );
        }
        Sdk::Own => "sdk/guest-sdk".into(),
        Sdk::Path(path) => path.to_string_lossy(),
    };
    // A TOML literal string takes any path but one with a quote in it.
    let path = match path.contains('\'') {
        true => format!("{:?}", path),
        false => format!("'{path}'"),
    };
    format!(
        "{package}version = \"0.1.0\"\nedition = \"2024\"\npublish = false\n\n{library}\n\
         [dependencies]\nwasmgate-sdk = {{ path = {path} }}\n\n\
         # Small and fast; a panic ends the call, and the gateway makes the instance anew.\n\
         [profile.release]\nopt-level = 3\nlto = true\ncodegen-units = 1\npanic = \"abort\"\n\
         strip = true\n\n\
         # This crate is a workspace of its own, wherever it lies.\n\
         [workspace]\nexclude = [\"sdk\"]\n"
    )
}

fn steps(name: &str, sdk: &Sdk) -> String {
    let file = name.replace('-', "_");
    if let Sdk::Workspace = sdk {
        return format!(
            "made {name}/, a member of the checkout\n\n  \
             cargo test -p {name}           # runs {name}/cases natively\n  \
             cargo xtask modules {name}     # builds transforms/{name}.wasm\n  \
             wasmgate module test transforms/{name}.wasm --cases transforms/{name}/cases"
        );
    }
    format!(
        "made {name}/\n\n  \
         cd {name}\n  \
         cargo test                                              # runs cases/ natively\n  \
         rustup target add wasm32-unknown-unknown                # once\n  \
         cargo build --release --target wasm32-unknown-unknown\n  \
         wasmgate module test target/wasm32-unknown-unknown/release/{file}.wasm --cases cases\n  \
         cp target/wasm32-unknown-unknown/release/{file}.wasm MODULES_DIR/{name}.wasm"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_crates_modules_and_functions() {
        for good in ["mask", "fraud-rule", "a1", "x-2-y"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "Mask",
            "1a",
            "-a",
            "a-",
            "a--b",
            "a_b",
            "../a",
            "a/b",
            "fn",
            "dead-letter",
            "test",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_template_names_its_rule_once_or_not_at_all() {
        for kind in Kind::value_variants() {
            let (source, case, description) = kind.template();
            assert!(source.starts_with("//!") && case.contains("rows:"), "{kind:?}");
            assert!(description.ends_with('.'), "{kind:?}");
        }
    }
}
