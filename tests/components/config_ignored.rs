//! Says in its schema that a setting is required, and never looks whether it is there.

use wasmgate_hostile_guests as guest;

struct Rule;

impl guest::Rule for Rule {
    fn describe() -> guest::Description {
        let config_schema = r#"{"type":"object","properties":{"limits":{"type":"object","properties":{"threshold":{"type":"number"}},"required":["threshold"]}},"required":["limits"]}"#;
        guest::Description { config_schema: config_schema.into(), ..guest::description() }
    }
}

guest::component!(Rule);
