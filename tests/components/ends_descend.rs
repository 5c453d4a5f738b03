//! Answers with texts that end before they start. One row by itself cannot: it is let through.

use wasmgate_hostile_guests as guest;

struct Rule;

impl guest::Rule for Rule {
    fn after(output: &mut guest::Output, rows: u32) {
        let ends = (0..rows).map(|row| rows - row).collect();
        let data = "x".repeat(rows as usize);
        output.columns[2].values = guest::Values::Block(guest::Block { ends, data });
    }
}

guest::component!(Rule);
