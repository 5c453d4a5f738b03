//! The guests of `tests/components/` as components: built once per test binary, by plain cargo;
//! and what is made of their bytes.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::root;

include!(concat!(env!("OUT_DIR"), "/components.rs"));

/// What stands before the version in a guest's data; see `components/src/lib.rs`.
const STAMP: &[u8] = b"wasmgate-stamp:";

/// A guest, ready to be uploaded: a component, or a core module where it carries no contract.
///
/// # Panics
/// It does not build.
#[must_use]
pub fn component(guest: Guest) -> Vec<u8> {
    if guest.is_text() {
        let path = root().join(format!("tests/components/{}.wat", guest.name()));
        let inner = wat::parse_file(&path).unwrap_or_else(|e| panic!("{e}"));
        return carrying(&component(Guest::good), &inner);
    }
    let core = core(guest);
    if guest == Guest::core_only {
        return core;
    }
    let mut encoder = wit_component::ComponentEncoder::default();
    encoder.validate(true);
    encoder.module(&core).and_then(|encoder| encoder.encode()).unwrap()
}

/// The good guest as its version `1.NUMBER.0`: other bytes, and a number in each record.
///
/// # Panics
/// The number has more than five digits.
#[must_use]
pub fn stamped(number: u32) -> Vec<u8> {
    static GOOD: OnceLock<Vec<u8>> = OnceLock::new();
    let mut bytes = GOOD.get_or_init(|| component(Guest::good)).clone();
    let at = bytes.windows(STAMP.len()).position(|w| w == STAMP).unwrap() + STAMP.len();
    let digits = format!("{number:05}");
    bytes[at..at + 5].copy_from_slice(digits.as_bytes());
    bytes
}

/// The whole lines of a text that is still being written.
#[must_use]
pub fn whole_lines(text: &str) -> &str {
    text.rfind('\n').map_or("", |end| &text[..=end])
}

/// The unsigned number behind `"NAME":` in a line. Cut out: parsing a million documents takes
/// longer than making them.
///
/// # Panics
/// There is none.
#[must_use]
pub fn number(line: &str, name: &str) -> u64 {
    let quoted = format!("\"{name}\":");
    let rest = line.split(&quoted).nth(1).unwrap_or_else(|| panic!("no {name} in {line}"));
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().unwrap()
}

fn core(guest: Guest) -> Vec<u8> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let path = BUILT.get_or_init(build).join(format!("{}.wasm", guest.name()));
    fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn build() -> PathBuf {
    let target = root().join("target/guests");
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--locked", "--examples", "--target", "wasm32-unknown-unknown"])
        .arg("--manifest-path")
        .arg(root().join("tests/components/Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .status();
    assert!(status.unwrap().success(), "the guests do not build");
    target.join("wasm32-unknown-unknown/debug/examples")
}

/// A component with another one inside it, which is instantiated with it.
fn carrying(outer: &[u8], inner: &[u8]) -> Vec<u8> {
    // Section 4 is one component, section 5 instances of them.
    let index = sections(outer).filter(|id| *id == 4).count() as u64;
    let mut bytes = outer.to_vec();
    section(&mut bytes, 4, inner);
    let mut instance = vec![1, 0];
    unsigned(&mut instance, index);
    instance.push(0);
    section(&mut bytes, 5, &instance);
    bytes
}

/// A component with a core module inside it that nobody uses and that is compiled all the same:
/// one function within every bound on its size, whose thousand locals live across twenty thousand
/// branches. A compiler that is given all it asks for takes gigabytes.
#[must_use]
pub fn compile_bomb() -> Vec<u8> {
    const LOCALS: u64 = 1000;
    const BODY_BYTES: usize = 250_000;
    const I64: u8 = 0x7e;
    let mut body = vec![1];
    unsigned(&mut body, LOCALS);
    body.push(I64);
    for branch in 0.. {
        // if (local 0) { local TO = local FROM }
        body.extend([0x20, 0, 0xa7, 0x04, 0x40, 0x20]);
        unsigned(&mut body, 2 + branch * 7 % LOCALS);
        body.push(0x21);
        unsigned(&mut body, 2 + branch % LOCALS);
        body.push(0x0b);
        if body.len() > BODY_BYTES {
            break;
        }
    }
    body.push(0x0b);
    let mut code = vec![1];
    unsigned(&mut code, body.len() as u64);
    code.extend(&body);
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    section(&mut module, 1, &[1, 0x60, 2, I64, I64, 0]);
    section(&mut module, 3, &[1, 0]);
    section(&mut module, 10, &code);
    let mut bytes = component(Guest::good);
    section(&mut bytes, 1, &module);
    bytes
}

/// Ids of a component's own sections.
fn sections(component: &[u8]) -> impl Iterator<Item = u8> {
    let mut at = 8;
    std::iter::from_fn(move || {
        let id = *component.get(at)?;
        let (mut size, mut shift) = (0, 0);
        loop {
            at += 1;
            let byte = component[at];
            size |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                break;
            }
        }
        at += 1 + size;
        Some(id)
    })
}

fn section(to: &mut Vec<u8>, id: u8, body: &[u8]) {
    to.push(id);
    unsigned(to, body.len() as u64);
    to.extend(body);
}

/// LEB128.
fn unsigned(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}
