//! Modules made by hand, byte by byte: shapes that no toolchain makes.
#![allow(dead_code, reason = "not every test binary needs all of it")]

/// Ids of sections of a core module.
pub(crate) const TYPES: u8 = 1;
pub(crate) const IMPORTS: u8 = 2;
pub(crate) const FUNCTIONS: u8 = 3;
pub(crate) const TABLES: u8 = 4;
pub(crate) const MEMORIES: u8 = 5;
pub(crate) const GLOBALS: u8 = 6;
pub(crate) const EXPORTS: u8 = 7;
pub(crate) const ELEMENTS: u8 = 9;
pub(crate) const CODE: u8 = 10;
pub(crate) const DATA: u8 = 11;

/// A core module of these sections.
pub(crate) fn module(sections: &[Vec<u8>]) -> Vec<u8> {
    [&b"\0asm\x01\0\0\0"[..], &sections.concat()].concat()
}

/// A section of as many items as asked for.
pub(crate) fn items(id: u8, count: usize, item: impl Fn(usize) -> Vec<u8>) -> Vec<u8> {
    let mut body = unsigned(count);
    (0..count).for_each(|number| body.extend(item(number)));
    section(id, &body)
}

/// The type of functions without parameters and results.
pub(crate) fn plain_type() -> Vec<u8> {
    items(TYPES, 1, |_| vec![0x60, 0, 0])
}

/// Declarations and bodies of functions.
pub(crate) fn functions(count: usize, body: &[u8]) -> Vec<u8> {
    let sized = [unsigned(body.len()), body.to_vec()].concat();
    [items(FUNCTIONS, count, |_| vec![0]), items(CODE, count, |_| sized.clone())].concat()
}

/// A component with another one inside it, which nobody instantiates.
pub(crate) fn carrying(outer: &[u8], inner: &[u8]) -> Vec<u8> {
    [outer, &section(4, inner)].concat()
}

/// A component with another one inside it, which is instantiated with it.
pub(crate) fn instantiating(outer: &[u8], inner: &[u8]) -> Vec<u8> {
    let is_component =
        |p: &wasmparser::Payload<'_>| matches!(p, wasmparser::Payload::ComponentSection { .. });
    // Components inside components do not count, and the outer ones of these tests have none.
    let payloads = wasmparser::Parser::new(0).parse_all(outer).map(Result::unwrap);
    let index = payloads.filter(is_component).count();
    let instance = [vec![1, 0], unsigned(index), vec![0]].concat();
    [outer, &section(4, inner), &section(5, &instance)].concat()
}

/// A component with a core module inside it, which nobody instantiates.
pub(crate) fn with_module(outer: &[u8], module: &[u8]) -> Vec<u8> {
    [outer, &section(1, module)].concat()
}

/// A core module with the custom sections of another one that hold its contract.
pub(crate) fn with_contract_of(contracted: &[u8], module: &[u8]) -> Vec<u8> {
    let mut bytes = module.to_vec();
    for payload in wasmparser::Parser::new(0).parse_all(contracted) {
        let wasmparser::Payload::CustomSection(custom) = payload.unwrap() else { continue };
        if custom.name().starts_with("component-type") {
            let name = custom.name().as_bytes();
            let body = [&unsigned(name.len())[..], name, custom.data()].concat();
            bytes.extend(section(0, &body));
        }
    }
    bytes
}

fn section(id: u8, body: &[u8]) -> Vec<u8> {
    [&[id], &unsigned(body.len())[..], body].concat()
}

/// LEB128.
pub(crate) fn unsigned(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}
