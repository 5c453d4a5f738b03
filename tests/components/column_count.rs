//! Answers with a column fewer than it writes.

use wasmgate_hostile_guests as guest;

struct Rule;

impl guest::Rule for Rule {
    fn after(output: &mut guest::Output, _rows: u32) {
        output.columns.pop();
    }
}

guest::component!(Rule);
