//! Traps when it is asked who it is.

use wasmgate_hostile_guests as guest;

struct Rule;

impl guest::Rule for Rule {
    fn describe() -> guest::Description {
        panic!("describe")
    }
}

guest::component!(Rule);
