//! Never comes back from one record.

use wasmgate_hostile_guests as guest;

struct Rule;

impl guest::Rule for Rule {
    fn before(_batch: &guest::Batch) {
        guest::spin()
    }
}

guest::component!(Rule);
