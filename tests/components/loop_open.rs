//! Never comes back from being opened.

use wasmgate_hostile_guests as guest;

struct Rule;

impl guest::Rule for Rule {
    fn open(_config: &str) -> Result<(), String> {
        guest::spin()
    }
}

guest::component!(Rule);
