//! Answers one record with the same megabyte 4,000 times: little here, much where it is copied.

use wasmgate_hostile_guests as guest;

struct Rule;

impl guest::Rule for Rule {
    fn after(output: &mut guest::Output, rows: u32) {
        let big = String::leak("x".repeat(1 << 20));
        let (at, size) = (big.as_mut_ptr(), big.len());
        // SAFETY: unsound on purpose; the host stops this before anything is freed.
        let texts = (0..4000).map(|_| unsafe { String::from_raw_parts(at, size, size) }).collect();
        output.columns[2].values = guest::Values::Texts(texts);
        assert!(rows > 0);
    }
}

guest::component!(Rule);
