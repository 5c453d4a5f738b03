//! Answers with a text that ends past the data.

use wasmgate_hostile_guests as guest;

struct Rule;

impl guest::Rule for Rule {
    fn after(output: &mut guest::Output, rows: u32) {
        let ends = vec![u32::MAX; rows as usize];
        output.columns[2].values = guest::Values::Block(guest::Block { ends, data: "x".into() });
    }
}

guest::component!(Rule);
