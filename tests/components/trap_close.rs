//! Traps when it is closed.

use wasmgate_hostile_guests as guest;

struct Rule;

impl guest::Rule for Rule {
    fn close() {
        panic!("close")
    }
}

guest::component!(Rule);
