//! Makes `Guest`, an enum with one variant for each file of `components/`, so that a guest
//! without a test, or a test without a guest, does not compile.

#![allow(clippy::print_stdout, reason = "how a build script speaks to cargo")]

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let dir = Path::new("components");
    println!("cargo::rerun-if-changed=components");
    let manifest = fs::read_to_string(dir.join("Cargo.toml")).unwrap_or_default();
    let mut files: Vec<PathBuf> = fs::read_dir(dir)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    files.sort();
    let (mut variants, mut names, mut texts) = (String::new(), String::new(), String::new());
    for file in files {
        let stem = file.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
        let extension = file.extension().and_then(|s| s.to_str()).unwrap_or_default();
        match extension {
            "rs" => assert!(
                manifest.contains(&format!("\npath = \"{stem}.rs\"\ncrate-type = [\"cdylib\"]\n")),
                "components/{stem}.rs is no [[example]] of components/Cargo.toml"
            ),
            "wat" => texts.push_str(&format!("Self::{stem} | ")),
            _ => continue,
        }
        variants.push_str(&format!("    /// `components/{stem}.{extension}`\n    {stem},\n"));
        names.push_str(&format!("            Self::{stem} => \"{stem}\",\n"));
    }
    let texts = texts.trim_end_matches(" | ");
    let made = format!(
        "/// Every file of `tests/components/`.\n\
         #[allow(non_camel_case_types, reason = \"variants are names of files and of tests\")]\n\
         #[derive(Debug, Clone, Copy, PartialEq, Eq)]\npub enum Guest {{\n{variants}}}\n\n\
         impl Guest {{\n    /// Name of its file.\n    #[must_use]\n    \
         pub fn name(self) -> &'static str {{\n        match self {{\n{names}        }}\n    }}\n\n    \
         /// Whether it is text, to be carried by a good guest.\n    #[must_use]\n    \
         pub fn is_text(self) -> bool {{\n        matches!(self, {texts})\n    }}\n}}\n"
    );
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("components.rs");
    if let Err(error) = fs::write(&out, made) {
        panic!("{}: {error}", out.display());
    }
}
