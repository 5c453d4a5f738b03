//! Answers with a text that ends inside a character.

use wasmgate_hostile_guests as guest;

struct Rule;

impl guest::Rule for Rule {
    fn after(output: &mut guest::Output, rows: u32) {
        let ends = vec![1; rows as usize];
        output.columns[2].values = guest::Values::Block(guest::Block { ends, data: "é".into() });
    }
}

guest::component!(Rule);
