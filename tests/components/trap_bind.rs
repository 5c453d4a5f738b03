//! Traps when it is bound.

use wasmgate_hostile_guests as guest;

struct Rule;

impl guest::Rule for Rule {
    fn bind() -> Result<guest::Projection, String> {
        panic!("bind")
    }
}

guest::component!(Rule);
