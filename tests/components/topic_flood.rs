//! Emits to more topics than a call may.

use wasmgate_hostile_guests as guest;

struct Rule;

impl guest::Rule for Rule {
    fn after(output: &mut guest::Output, _rows: u32) {
        output.extra = (0..2_000).map(|n| guest::emission(&format!("side-{n}"), 0)).collect();
    }
}

guest::component!(Rule);
