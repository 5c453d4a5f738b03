//! What a compiler does not check: sizes of files and functions, floors, words. Each rule says
//! what to do about a breach. The floors are the table of ARCHITECTURE.md.

use std::fs;
use std::path::{Path, PathBuf};

use crate::run::{output, program, root};

const FILE_MAX: usize = 500;
const FUNCTION_MAX: usize = 70;
const LIB_MAX: usize = 80;
const LINE_MAX: usize = 100;

/// Words that say nothing about what a thing is.
const EMPTY_WORDS: &[&str] =
    &["manager", "handler", "helper", "processor", "utils", "common", "misc"];
/// Marks of unfinished work.
const UNFINISHED: &[&str] = &[
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
    concat!("FIX", "ME"),
    concat!("X", "XX"),
];

/// Which crates of ours a crate may name: the floors.
const FLOORS: &[(&str, &[&str])] = &[
    ("host/crates/model", &[]),
    ("host/crates/codec", &["model"]),
    ("host/crates/telemetry", &[]),
    ("host/crates/debezium", &[]),
    ("host/crates/connector", &["model"]),
    ("host/crates/replication", &["model", "connector"]),
    ("host/crates/wasm", &["model", "connector"]),
    ("host/crates/postgres", &["model", "codec", "connector", "replication"]),
    ("host/crates/mysql", &["model", "codec", "connector", "replication"]),
    ("host/crates/kafka", &["model", "codec", "connector"]),
    ("host/crates/clickhouse", &["model", "codec", "connector"]),
    ("host/crates/file", &["model", "codec", "connector"]),
    ("host/crates/store", &["model", "connector"]),
    ("host/crates/cases", &["model", "codec", "connector", "case-file"]),
    ("host/crates/pipeline", &["model", "connector", "telemetry"]),
    ("host/crates/admin", &["model", "telemetry"]),
    ("tests/capture-kit", &["model", "codec", "connector"]),
    ("guest-sdk", &["sdk-macros", "case-file"]),
    ("guest-sdk/case-file", &[]),
    ("guest-sdk/macros", &[]),
];

/// Runs every rule and lists every breach.
pub(crate) fn run() -> Result<(), String> {
    let mut breaches = Vec::new();
    for path in sources()? {
        let text = fs::read_to_string(root().join(&path)).map_err(|e| format!("{path}: {e}"))?;
        source(&path, &text, &mut breaches);
    }
    for (dir, allowed) in FLOORS {
        floor(dir, allowed, &mut breaches);
    }
    transforms(&mut breaches);
    if breaches.is_empty() {
        return Ok(());
    }
    Err(format!("{} breaches\n  {}", breaches.len(), breaches.join("\n  ")))
}

/// Rust files that git knows or would take.
fn sources() -> Result<Vec<String>, String> {
    let mut list = program("git");
    list.args(["ls-files", "--cached", "--others", "--exclude-standard", "*.rs"]);
    let files = output(&mut list)?;
    Ok(files.lines().filter(|f| root().join(f).is_file()).map(str::to_owned).collect())
}

fn is_test(path: &str) -> bool {
    path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("/tests.rs")
}

fn source(path: &str, text: &str, breaches: &mut Vec<String>) {
    let name = Path::new(path).file_name().unwrap_or_default().to_string_lossy();
    if name == "mod.rs" {
        breaches.push(format!("{path}: mod.rs; name the file after the module, beside its folder"));
    }
    let stem = name.trim_end_matches(".rs");
    if EMPTY_WORDS.iter().any(|w| stem.split('_').any(|s| s == *w)) {
        breaches.push(format!("{path}: the name says nothing; name what is in it"));
    }
    if !text.starts_with("//!") && !is_test(path) {
        breaches.push(format!("{path}: no header; say in 3 to 8 lines what the room is for"));
    }
    for (n, line) in text.lines().enumerate() {
        let prose = is_test(path) || line.contains("http") || line.contains('"');
        if line.chars().count() > LINE_MAX && !prose {
            breaches.push(format!("{path}:{}: longer than {LINE_MAX} columns", n + 1));
        }
        if !path.starts_with("xtask/") && UNFINISHED.iter().any(|mark| line.contains(mark)) {
            breaches.push(format!("{path}:{}: unfinished; finish it or take it out", n + 1));
        }
        if let Some(word) = type_with_empty_word(line) {
            breaches.push(format!("{path}:{}: `{word}` says nothing; name what it is", n + 1));
        }
    }
    if is_test(path) {
        return;
    }
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or(text);
    let lines = code.lines().count();
    let max = if name == "lib.rs" && path.starts_with("host/crates") { LIB_MAX } else { FILE_MAX };
    if lines > max {
        breaches.push(format!("{path}: {lines} lines of code; at most {max}: move a wall"));
    }
    functions(path, code, breaches);
}

fn type_with_empty_word(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace().skip_while(|w| w.starts_with("pub"));
    if !matches!(words.next(), Some("struct" | "enum" | "trait")) {
        return None;
    }
    let name = words.next()?.split(|c: char| !c.is_alphanumeric()).next()?;
    let lower = name.to_lowercase();
    EMPTY_WORDS.iter().any(|w| lower.ends_with(w)).then_some(name)
}

/// Lexical: rustfmt puts a function's last brace under its first line.
fn functions(path: &str, code: &str, breaches: &mut Vec<String>) {
    let lines: Vec<&str> = code.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let start = line.trim_start();
        let words: Vec<&str> = start.split_whitespace().take(5).collect();
        let is_fn = words.iter().position(|w| *w == "fn").is_some_and(|n| {
            words
                .iter()
                .take(n)
                .all(|w| w.starts_with("pub") || ["async", "const", "unsafe", "extern"].contains(w))
        });
        if !is_fn {
            continue;
        }
        let indent = line.len() - start.len();
        let end = format!("{}}}", " ".repeat(indent));
        let rest = lines.get(at..).unwrap_or(&[]);
        let length = rest.iter().position(|l| *l == end).map_or(1, |n| n + 1);
        if length > FUNCTION_MAX && !line.ends_with(';') {
            breaches.push(format!("{path}:{}: {length} lines; at most {FUNCTION_MAX}", at + 1));
        }
    }
}

fn floor(dir: &str, allowed: &[&str], breaches: &mut Vec<String>) {
    let manifest = root().join(dir).join("Cargo.toml");
    let Ok(text) = fs::read_to_string(&manifest) else { return };
    let normal = text.split("[dev-dependencies]").next().unwrap_or(&text);
    for line in normal.lines().filter(|l| l.starts_with("wasmgate-")) {
        let name = line.split(['.', ' ', '=']).next().unwrap_or(line);
        let ours = name.trim_start_matches("wasmgate-");
        if !allowed.contains(&ours) {
            breaches.push(format!("{dir}/Cargo.toml: {name} is not on a floor below"));
        }
    }
}

/// Modules know the SDK and nothing of the host.
fn transforms(breaches: &mut Vec<String>) {
    let entries: Vec<PathBuf> = fs::read_dir(root().join("transforms"))
        .map(|d| d.flatten().map(|e| e.path()).collect())
        .unwrap_or_default();
    for dir in entries.iter().filter(|p| p.is_dir()) {
        let dir = dir.strip_prefix(root()).unwrap_or(dir).to_string_lossy().into_owned();
        floor(&dir, &["sdk"], breaches);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaches(path: &str, text: &str) -> Vec<String> {
        let mut found = Vec::new();
        source(path, text, &mut found);
        found
    }

    #[test]
    fn each_rule_finds_its_breach() {
        let long = format!("//! h\nfn f() {{\n{}}}\n", "    x();\n".repeat(FUNCTION_MAX));
        let big = format!("//! h\n{}", "const A: u8 = 0;\n".repeat(FILE_MAX + 1));
        let cases = [
            ("a/mod.rs", "//! h\n", "mod.rs"),
            ("a/string_utils.rs", "//! h\n", "says nothing"),
            ("a/b.rs", "fn f() {}\n", "no header"),
            ("a/b.rs", "//! h\nstruct TaskManager;\n", "TaskManager"),
            ("a/b.rs", concat!("//! h\nfn f() { to", "do!() }\n"), "unfinished"),
            ("a/b.rs", &long, "72 lines"),
            ("a/b.rs", &big, "move a wall"),
        ];
        for (path, text, want) in cases {
            let found = breaches(path, text);
            assert!(found.iter().any(|b| b.contains(want)), "{path} {want}: {found:?}");
        }
        assert_eq!(breaches("a/b.rs", "//! h\nfn f() {\n    x();\n}\n"), Vec::<String>::new());
    }

    #[test]
    fn the_tree_is_tidy() {
        assert_eq!(run(), Ok(()));
    }
}
