//! Emits a record to a topic whose name no broker takes.

use wasmgate_hostile_guests as guest;

struct Rule;

impl guest::Rule for Rule {
    fn after(output: &mut guest::Output, _rows: u32) {
        output.extra = vec![guest::emission("up/../../etc\n", 0)];
    }
}

guest::component!(Rule);
