//! Whether bytes are the beginning of a module and not the whole: a file that is still being
//! copied by somebody who pauses.

use wasmparser::{Chunk, Parser, Payload};

const MAGIC: &[u8] = b"\0asm";

/// Whether the bytes end in the middle of a module. Nothing at all is the beginning of everything.
pub(super) fn ends_early(bytes: &[u8]) -> bool {
    if bytes.len() < MAGIC.len() {
        return MAGIC.starts_with(bytes);
    }
    let mut parser = Parser::new(0);
    let mut rest = bytes;
    loop {
        let (mut read, payload) = match parser.parse(rest, false) {
            // Broken, which no bytes behind it will mend.
            Err(_) => return false,
            // Between two sections it may be complete.
            Ok(Chunk::NeedMoreData(_)) => return !rest.is_empty(),
            Ok(Chunk::Parsed { consumed, payload }) => (consumed, payload),
        };
        if let Payload::ModuleSection { unchecked_range: inner, .. }
        | Payload::ComponentSection { unchecked_range: inner, .. } = payload
        {
            // What is inside is passed over as a whole, and the parser knows.
            let length = usize::try_from(inner.end - inner.start).unwrap_or(usize::MAX);
            read = read.saturating_add(length);
        }
        match rest.get(read..) {
            Some(behind) => rest = behind,
            None => return true,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::ends_early;

    /// A module with a type section, around it a component with that module.
    fn whole() -> [Vec<u8>; 2] {
        let module = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0".to_vec();
        let mut component = b"\0asm\x0d\0\x01\0\x01\x0e".to_vec();
        component.extend_from_slice(&module);
        [module, component]
    }

    #[test]
    fn what_is_cut_off_is_told_from_what_is_whole_or_broken() {
        for bytes in whole() {
            assert!(!ends_early(&bytes), "whole");
            for (cut, part) in (0..bytes.len()).map(|cut| (cut, bytes.get(..cut).unwrap())) {
                // After the header nothing tells that sections are to come.
                assert_eq!(ends_early(part), cut != 8, "{cut} of {}", bytes.len());
            }
        }
        for broken in [&b"nope"[..], b"\0as!", b"#!/bin/sh\n", b"\0asm\x01\0\0\0\xff\x01\0"] {
            assert!(!ends_early(broken), "{broken:?}");
        }
    }
}
