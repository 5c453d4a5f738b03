//! Answers with floats where it writes integers.

use wasmgate_hostile_guests as guest;

struct Rule;

impl guest::Rule for Rule {
    fn after(output: &mut guest::Output, rows: u32) {
        output.columns[0].values = guest::Values::Floats(vec![1.0; rows as usize]);
    }
}

guest::component!(Rule);
