//! Answers with a value fewer than there are rows.

use wasmgate_hostile_guests as guest;

struct Rule;

impl guest::Rule for Rule {
    fn after(output: &mut guest::Output, rows: u32) {
        output.columns[0].values = guest::Values::Ints(vec![1; rows as usize - 1]);
    }
}

guest::component!(Rule);
