//! Answers with a text that is not UTF-8.

use wasmgate_hostile_guests as guest;

struct Rule;

impl guest::Rule for Rule {
    fn after(output: &mut guest::Output, rows: u32) {
        // SAFETY: unsound on purpose; the host has to look.
        let data = unsafe { String::from_utf8_unchecked(vec![0xff; rows as usize]) };
        let ends = (1..=rows).collect();
        output.columns[2].values = guest::Values::Block(guest::Block { ends, data });
    }
}

guest::component!(Rule);
