//! Says that its configuration follows a schema that is not JSON.

use wasmgate_hostile_guests as guest;

struct Rule;

impl guest::Rule for Rule {
    fn describe() -> guest::Description {
        guest::Description { config_schema: "{\"type\":".into(), ..guest::description() }
    }
}

guest::component!(Rule);
