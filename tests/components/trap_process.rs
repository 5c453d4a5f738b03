//! Traps on one record.

use wasmgate_hostile_guests as guest;

struct Rule;

impl guest::Rule for Rule {
    fn before(_batch: &guest::Batch) {
        panic!("process")
    }
}

guest::component!(Rule);
