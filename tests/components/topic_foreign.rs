//! Emits a record to a topic that no sink of the pipeline takes.

use wasmgate_hostile_guests as guest;

struct Rule;

impl guest::Rule for Rule {
    fn after(output: &mut guest::Output, _rows: u32) {
        output.extra = vec![guest::emission("elsewhere", 0)];
    }
}

guest::component!(Rule);
