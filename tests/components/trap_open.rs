//! Traps when it is opened.

use wasmgate_hostile_guests as guest;

struct Rule;

impl guest::Rule for Rule {
    fn open(_config: &str) -> Result<(), String> {
        panic!("open")
    }
}

guest::component!(Rule);
