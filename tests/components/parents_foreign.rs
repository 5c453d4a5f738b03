//! Emits a record that descends from a row that there is not.

use wasmgate_hostile_guests as guest;

struct Rule;

impl guest::Rule for Rule {
    fn after(output: &mut guest::Output, rows: u32) {
        output.extra = vec![guest::emission("side", rows)];
    }
}

guest::component!(Rule);
