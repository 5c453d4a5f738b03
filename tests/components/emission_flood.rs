//! Emits more groups of records than a call may.

use wasmgate_hostile_guests as guest;

struct Rule;

impl guest::Rule for Rule {
    fn after(output: &mut guest::Output, _rows: u32) {
        output.extra = (0..20_000).map(|_| guest::emission("side", 0)).collect();
    }
}

guest::component!(Rule);
